//! `init --from Dockerfile`: 25 Dockerfiles in the manner of common projects are imported, each whole result is a snapshot, every
//! manifest is one that `check` reads, and those that need nothing run are built.

pub mod cases;

use cases::{CASES, Case};

use crate::support::Project;

/// What `check` may say of an imported manifest, before its sources are there and its images pinned.
const OPEN: [&str; 5] = ["missing-source", "unpinned-base", "lock", "missing-interpreter", "root-user"];

fn project(case: &Case) -> Project {
    let project = Project::new().file("Dockerfile", case.text);
    case.files.iter().fold(project, |project, (path, content)| project.file(path, content))
}

fn manifest(project: &Project) -> String {
    std::fs::read_to_string(project.path("image.toml")).unwrap()
}

#[test]
fn real_looking_dockerfiles_import_and_their_manifests_are_read() {
    let mut odd = Vec::new();
    for case in &CASES {
        let project = project(case);
        let done = project.run(["init", "--from", "Dockerfile"]).success();
        assert!(done.stdout.starts_with("image.toml\n"), "{}", done.stdout);
        insta::assert_snapshot!(case.name, manifest(&project));
        let mirrors = ["--set", "debian_mirror=http://127.0.0.1:9/d", "--set", "alpine_mirror=http://127.0.0.1:9/a"];
        let text = manifest(&project);
        let sets = mirrors.chunks(2).filter(|set| text.contains(set[1].split('=').next().unwrap())).flatten();
        let words: Vec<&str> = sets.copied().chain(["--offline", "--format", "json", "check"]).collect();
        let done = project.run(words).ends();
        for finding in done.findings() {
            let code = finding.split(' ').next().unwrap();
            if !OPEN.contains(&code) {
                odd.push(format!("{}: {finding}", case.name));
            }
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n"));
}

#[test]
fn what_needs_nothing_run_is_built_at_once() {
    for case in CASES.iter().filter(|case| case.builds) {
        let project = project(case);
        project.run(["init", "--from", "Dockerfile"]).success();
        let text = manifest(&project)
            .replace("\n[check]\n", "\n[check]\nmissing-interpreter = { level = \"allow\", reason = \"a test\" }\n");
        let rules = "\n[check]\nmissing-interpreter = { level = \"allow\", reason = \"a test\" }\n";
        project.write("image.toml", if text.contains("\n[check]\n") { text } else { text + rules });
        project.build();
    }
    assert!(CASES.iter().filter(|case| case.builds).count() >= 10);
}

#[test]
fn nothing_is_written_over() {
    let project = Project::of("# mine\n").file("Dockerfile", "FROM scratch\n");
    let done = project.run(["init", "--from", "Dockerfile"]).fails(2);
    assert!(done.stderr.contains("`image.toml` is there already"), "{}", done.stderr);
    assert_eq!(manifest(&project), "# mine\n");
    project.run(["init", "--from", "Dockerfile", "--force"]).success();
    assert!(manifest(&project).contains("base = \"scratch\""));
}

#[test]
fn what_is_left_out_is_told_with_its_line() {
    let project = Project::new().file("Dockerfile", "FROM alpine:3.22\nRUN make\n");
    let done = project.run(["--format", "json", "init", "--from", "Dockerfile"]).success();
    assert_eq!(done.findings(), ["not-carried 2:1"]);
    let wrong = Project::new().file("Dockerfile", "FROM alpine:3.22\nRNU make\n");
    let done = wrong.run(["--format", "json", "init", "--from", "Dockerfile"]).fails(2);
    assert_eq!(done.findings(), ["dockerfile 2:1"]);
}

#[test]
fn another_stage_can_be_the_image() {
    let text = "FROM scratch AS one\nENV A=1\nFROM scratch AS two\nENV B=2\n";
    let project = Project::new().file("Containerfile", text);
    project.run(["init", "--from", "Containerfile", "--target", "one"]).success();
    assert!(manifest(&project).contains("A = \"1\"") && !manifest(&project).contains("\nB = "));
    let done = project.run(["init", "--from", "Containerfile", "--target", "three", "--force"]).fails(2);
    assert!(done.stderr.contains("its stages are called: one, two"), "{}", done.stderr);
}
