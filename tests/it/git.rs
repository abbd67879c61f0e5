//! What git may do to a build: give its facts, and nothing else. No program of its configuration runs, and what cannot be read is
//! an error.

use std::fs;
use std::process::Command;

use super::support::{Project, scratch};

/// Runs git in a project as nobody in particular, at a fixed time.
pub fn git(project: &Project, words: &[&str]) {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"])
        .args(words);
    command.current_dir(project.path("")).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_AUTHOR_DATE", "1600000000 +0200").env("GIT_COMMITTER_DATE", "1600000000 +0200");
    let done = command.output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with one commit of all its files.
pub fn committed(project: Project) -> Project {
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "one"]);
    project
}

fn plain() -> Project {
    Project::of(&scratch("[[file]]\ndest = \"/x\"\ncontent = \"x\"")).file(".gitignore", "/out/\n")
}

#[test]
fn no_program_of_the_configuration_runs() {
    let project = plain().file("a.bin", "a").file(".gitattributes", "*.bin filter=evil diff=evil\n");
    let project = committed(project);
    let canary = project.path("../canary");
    let evil = format!("touch {}; cat", canary.display());
    for key in
        ["filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "core.fsmonitor"]
    {
        git(&project, &["config", key, &evil]);
    }
    for key in ["diff.evil.command", "diff.external", "core.sshCommand", "core.pager", "core.alternateRefsCommand"] {
        git(&project, &["config", key, &evil]);
    }
    git(&project, &["config", "filter.evil.required", "true"]);
    fs::write(project.path("a.bin"), "b").unwrap();
    for words in [&["check"][..], &["plan"], &["build", "-o", "oci:out"]] {
        let done = project.run(words).success();
        assert!(done.stderr.contains("`a.bin` may be changed: it goes through a filter"), "{}", done.stderr);
        assert!(!canary.exists(), "{words:?}");
    }
    fs::write(project.path("a.bin"), "a").unwrap();
    assert_eq!(project.run(["check"]).success().stderr, "", "its bytes are those of the commit");
    assert!(!canary.exists());
    Command::new("git").args(["status"]).current_dir(project.path("")).output().unwrap();
    assert!(canary.exists(), "git itself would have run it");
}

#[test]
fn no_program_of_a_submodule_runs() {
    let inner = committed(plain().file("a.bin", "a").file(".gitattributes", "*.bin filter=evil\n"));
    let project = committed(plain());
    let from = inner.path("");
    git(&project, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from.to_str().unwrap(), "sub"]);
    git(&project, &["commit", "-qm", "two"]);
    assert_eq!(project.run(["check"]).success().stderr, "");
    let canary = project.path("../canary");
    git(&project, &["-C", "sub", "config", "filter.evil.clean", &format!("touch {}; cat", canary.display())]);
    fs::write(project.path("sub/a.bin"), "b").unwrap();
    let done = project.run(["check"]).success();
    assert!(done.stderr.contains("`sub/a.bin` may be changed"), "{}", done.stderr);
    assert!(!canary.exists());
    fs::write(project.path("sub/a.bin"), "a").unwrap();
    git(&project, &["-C", "sub", "commit", "-q", "--allow-empty", "-m", "three"]);
    assert!(project.run(["check"]).success().stderr.contains("`sub` is not committed"));
}

#[test]
fn what_cannot_be_read_is_not_none() {
    let broken = |breaks: &dyn Fn(&Project)| {
        let project = committed(plain());
        project.run(["check"]).success();
        breaks(&project);
        let done = project.run(["check"]).fails(5);
        assert!(done.stderr.contains("reading the git repository"), "{}", done.stderr);
        assert_eq!(project.run(["--format", "json", "build"]).fails(5).findings(), ["git"]);
    };
    broken(&|project| {
        git(project, &["pack-refs", "--all"]);
        let path = project.path(".git/packed-refs");
        fs::write(&path, fs::read_to_string(&path).unwrap() + "junk\n").unwrap();
    });
    broken(&|project| fs::write(project.path(".git/refs/heads/main"), "junk\n").unwrap());
    broken(&|project| fs::write(project.path(".git/HEAD"), "").unwrap());
    broken(&|project| fs::write(project.path(".git/index"), "junk").unwrap());
    broken(&|project| fs::remove_dir_all(project.path(".git/objects")).unwrap());
    broken(&|project| {
        for fan in project.names(".git/objects") {
            fs::remove_dir_all(project.path(&format!(".git/objects/{fan}"))).unwrap();
        }
    });
    let unborn = plain();
    git(&unborn, &["init", "-q"]);
    assert!(unborn.run(["check"]).success().stderr.contains("there is no git commit"));
}

#[test]
fn one_note_names_the_way_out() {
    let project = committed(Project::of(&scratch("")));
    let clean = project.run(["build", "-o", "oci:out"]).success();
    assert_eq!(clean.stderr, "");
    let dirty = project.run(["build", "-o", "oci:out"]).success();
    assert_ne!(dirty.digest(), clean.digest());
    assert_eq!(
        dirty.stderr,
        "note: `created` is 1980-01-01T00:00:00Z and there is no tag for the commit, because `out/` is not committed; \
         commit it, or add `out/` to .gitignore\n"
    );
    project.write(".git/info/exclude", "out/\n");
    assert_eq!(project.run(["build", "-o", "oci:out"]).success().digest(), clean.digest());
}

#[test]
fn a_wrong_time_is_told_with_the_other_mistakes() {
    let project = Project::of(&scratch("[[file]]\ndest = \"/x\"\nsrc = \"nothing\""));
    let run = || project.run(["--format", "json", "check"]);
    assert_eq!(run().env("SOURCE_DATE_EPOCH", "soon").fails(2).findings(), ["missing-source 6:7", "epoch"]);
    assert_eq!(run().env("SOURCE_DATE_EPOCH", "7").fails(2).findings(), ["missing-source 6:7"]);
}
