//! `update`, `outdated` and the lock as a user meets them (checks LCK-01 to LCK-04).

use std::fs;

use super::repo::{Said, deb};
use super::{manifest, project, usual, world};
use crate::support::{Base, Project, file};

fn lock(project: &Project) -> String {
    fs::read_to_string(project.path("image.lock")).unwrap_or_default()
}

#[test]
fn lck_01_what_has_moved_upstream_changes_nothing_before_update() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    assert!(project.run(["update"]).success().stdout.contains("package app new 1.0-1"));
    let (first, before) = (project.digest(), lock(&project));
    assert_eq!(project.run(["update"]).success().stdout, "nothing has moved\n");
    let mut newer = world();
    newer.push(deb("app", "1.1-1", "Depends: libapp", &[("usr/bin/app", "#!/bin/sh\nnew\n")]));
    repo.publish("", &Said { date: 1_750_000_100, ..Said::default() }, &newer);
    assert_eq!(project.run(["--locked", "build"]).success().digest(), first);
    let shown = project.run(["outdated"]).success().stdout;
    assert!(shown.contains("package app 1.0-1 -> 1.1-1 (") && shown.contains("package data 2:3 is gone (-"), "{shown}");
    assert_eq!(project.run(["update", "--dry-run"]).success().stdout, shown);
    assert_eq!(lock(&project), before, "nothing was written");
    let document = project.run(["--format", "json", "outdated"]).success().json();
    assert_eq!(document["packages"][0]["new"]["version"], "1.1-1");
    assert_eq!(project.run(["update"]).success().stdout, shown);
    assert_ne!(project.digest(), first);
    let done = project.run(["--locked", "update"]).fails(2);
    assert!(done.stderr.contains("`--locked` forbids"), "{}", done.stderr);
}

#[test]
fn lck_02_without_its_entry_nothing_is_built_and_the_lock_stays() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    for words in [&["build"][..], &["--locked", "build"], &["check"], &["--locked", "plan"]] {
        let done = project.run(words).fails(2);
        assert!(
            done.stderr.contains("`image.lock` pins no packages") && done.stderr.contains("stillframe update"),
            "{}",
            done.stderr
        );
        assert_eq!(lock(&project), "");
    }
    project.run(["update"]).success();
    let (text, before) = (fs::read_to_string(project.path("image.toml")).unwrap(), lock(&project));
    project.write("image.toml", text.replace("[\"app\"]", "[\"libapp\", \"data>=2:1\"]"));
    let done = project.run(["build"]).fails(2);
    for word in ["resolved from something else", "`install` has `data>=2:1` now", "`install` has no `app` any more"] {
        assert!(done.stderr.contains(word), "`{word}` is not in {}", done.stderr);
    }
    assert_eq!(lock(&project), before);
    repo.mirror.asked();
    project.run(["update"]).success();
    project.run(["build"]).success();
}

#[test]
fn lck_03_a_damaged_lock_is_never_resolved_anew() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    project.run(["update"]).success();
    let good = lock(&project);
    for (bad, place) in [
        (good[..good.len() / 2].to_string(), "image.lock:"),
        (good.replacen("[[index]]", "<<<<<<< ours\n[[index]]", 1), "a merge left its marks"),
        (good.replacen("version = 1", "version = 7", 1), "image.lock:2:11"),
        (good.replacen("[[package]]\nname", "[[package]]\nnick = \"x\"\nname", 1), "the key `nick` is not known"),
    ] {
        project.write("image.lock", &bad);
        for command in ["build", "update", "outdated"] {
            let done = project.run([command]).fails(2);
            assert!(done.stderr.contains(place), "{command}: {}", done.stderr);
            assert_eq!(lock(&project), bad);
        }
    }
}

#[test]
fn wishes_that_cannot_be_are_told_with_what_was_meant() {
    let repo = usual();
    for (rest, code, words) in [
        ("install = [\"ap\"]", 2, vec!["there is no package `ap`", "did you mean `app`?"]),
        (
            "install = [\"app=9\", \"libap\"]",
            2,
            vec!["there is no `app=9`", "there is only 1.0-1", "did you mean `libapp`?"],
        ),
        ("install = [\"data\", \"other-data\"]", 2, vec!["cannot be installed together", "other-data"]),
        (
            "components = [\"contrib\"]\ninstall = [\"app\"]",
            2,
            vec!["no packages of `contrib`", "its components are main"],
        ),
        ("install = [\"app\", \"app\"]", 2, vec!["stands in the list twice"]),
        ("install = [\"app\"]\nsnapshot = \"yesterday\"", 2, vec!["is not a moment"]),
        ("install = [\"app\"]\nmirror2 = \"x\"", 2, vec!["did you mean `mirror`?"]),
    ] {
        let done = project(&repo, rest).run(["update"]).fails(code);
        for word in words {
            assert!(done.stderr.contains(word), "`{word}` is not in {}", done.stderr);
        }
    }
    let text = manifest("", &repo.mirror.url(), "install = [\"app\"]")
        .replace("suite = \"bookworm\"\n", "")
        .replace("mirror =", "#");
    let done = Project::of(&text).run(["update"]).fails(2);
    assert!(
        done.stderr.contains("`mirror` is missing") && done.stderr.contains("`suite` is missing"),
        "{}",
        done.stderr
    );
    let done = Project::of(&manifest("platforms = [\"linux/s390x\"]", &repo.mirror.url(), "install = [\"app\"]"))
        .file("keys.asc", repo.keyring())
        .run(["update"])
        .fails(2);
    assert!(done.stderr.contains("no packages of `main` for `s390x`"), "{}", done.stderr);
}

/// Only the base's libapp 1.5 is there, whatever the index has; its files are put where the base's links lead.
#[test]
fn what_the_base_has_is_not_installed_again() {
    let repo = usual();
    let record = "Package: libapp\nVersion: 1.5\nArchitecture: amd64\n";
    let base = Base::debian().layer([file("var/lib/dpkg/status.d/libapp", record)]);
    let project = Project::new().file("keys.asc", repo.keyring());
    let named = base.write(&project, "debian");
    let text = manifest("", &repo.mirror.url(), "install = [\"app\"]").replace("\"scratch\"", &format!("\"{named}\""));
    project.write("image.toml", &text);
    let said = project.run(["update"]).success().stdout;
    assert!(said.contains("package app new") && !said.contains("libapp"), "{said}");
    project.run(["build"]).success();
    let other =
        Base::debian().layer([file("var/lib/dpkg/status", &record.replace("1.5", "0.5"))]).write(&project, "older");
    let text = text.replace(&named, &other);
    project.write("image.toml", &text);
    let done = project.run(["build"]).fails(2);
    assert!(done.stderr.contains("the base for `linux/amd64` is `sha256:"), "{}", done.stderr);
    let done = project.run(["update"]).fails(2);
    assert!(done.stderr.contains("cannot be installed together") && done.stderr.contains("libapp"), "{}", done.stderr);
    project.write("image.toml", text.replace("[\"app\"]", "[\"libapp>=1\"]"));
    let done = project.run(["update"]).fails(2);
    assert!(done.stderr.contains("the base has 0.5"), "{}", done.stderr);
}
