//! `init --from` jib.yaml, .ko.yaml and apko.yaml: files in the manner of common projects are imported, each whole result is a snapshot,
//! every manifest is one that `check` reads, and every key is carried over or told of.

mod cases;

use cases::{CASES, Case};

use crate::support::Project;

/// What `check` may say of an imported manifest, before its sources are there and its images pinned.
const OPEN: [&str; 5] = ["missing-source", "unpinned-base", "lock", "missing-interpreter", "root-user"];

fn project(case: &Case) -> Project {
    let project = Project::new().file(case.file, case.text);
    case.files.iter().fold(project, |project, (path, content)| project.file(path, content))
}

fn manifest(project: &Project) -> String {
    std::fs::read_to_string(project.path("image.toml")).unwrap()
}

#[test]
fn real_looking_files_import_and_their_manifests_are_read() {
    let mut odd = Vec::new();
    for case in &CASES {
        let project = project(case);
        let done = project.run(["--format", "json", "init", "--from", case.file]).success();
        insta::assert_snapshot!(
            case.name,
            format!("{}\n# told:\n# {}\n", manifest(&project), done.findings().join("\n# "))
        );
        let sets = case.sets.iter().flat_map(|set| ["--set", set]);
        let words: Vec<&str> = sets.chain(["--offline", "--format", "json", "check"]).collect();
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
fn keys_that_nobody_knows_are_told_and_stand_as_comments() {
    for (file, text, place) in [
        ("jib.yaml", "apiVersion: jib/v1alpha1\nkind: BuildFile\nfrom:\n  image: scratch\n  mirror: here\n", "5:3"),
        ("jib.yaml", "apiVersion: jib/v1alpha1\nflavour:\n  - sweet\n", "2:1"),
        (".ko.yaml", "defaultBaseImage: scratch\nflavour:\n  - sweet\n", "2:1"),
        ("apko.yaml", "contents:\n  packages: []\nflavour:\n  - sweet\n", "3:1"),
        (
            "apko.yaml",
            "accounts:\n  run-as: 65532\n  users:\n    - username: a\n      uid: 5\n      flavour: sweet\n",
            "6:7",
        ),
    ] {
        let project = Project::new().file(file, text);
        let done = project.run(["--format", "json", "init", "--from", file]).success();
        assert_eq!(done.findings(), [format!("not-carried {place}")], "{text}");
        let line = text.lines().nth(place.split(':').next().unwrap().parse::<usize>().unwrap() - 1).unwrap();
        let comments: Vec<String> =
            manifest(&project).lines().filter(|line| line.starts_with('#')).map(String::from).collect();
        assert!(comments.iter().any(|comment| comment.contains(line)), "{text}\n{}", comments.join("\n"));
        let rest = text.lines().last().unwrap();
        assert!(comments.iter().any(|comment| comment.contains(rest)), "{text}\n{}", comments.join("\n"));
    }
}

#[test]
fn the_tool_is_known_by_the_content_too() {
    for (text, sign) in [
        ("apiVersion: jib/v1alpha1\nkind: BuildFile\ncmd: [a]\n", "cmd = [\"a\"]"),
        ("defaultPlatforms: [linux/arm64]\n", "/ko-app/app"),
        ("contents:\n  packages:\n    - busybox\ncmd: b c\n", "cmd = [\"b\", \"c\"]"),
    ] {
        let project = Project::new().file("image.yaml", text);
        project.run(["init", "--from", "image.yaml"]).success();
        assert!(manifest(&project).contains(sign), "{}", manifest(&project));
    }
    let project = Project::new().file("image.yaml", "services: {}\n");
    let done = project.run(["init", "--from", "image.yaml"]).fails(2);
    assert!(done.stderr.contains("`jib.yaml`, `.ko.yaml` and `apko.yaml`"), "{}", done.stderr);
}

#[test]
fn a_broken_document_is_refused_at_its_place() {
    let project = Project::new().file("jib.yaml", "cmd: [a\nuser: b\n");
    let done = project.run(["--format", "json", "init", "--from", "jib.yaml"]).fails(2);
    assert!(done.findings()[0].starts_with("yaml 2:"), "{:?}", done.findings());
    let project = Project::new().file("jib.yaml", "cmd: [a]\nuser: b\nuser: c\n");
    let done = project.run(["--format", "json", "init", "--from", "jib.yaml"]).fails(2);
    assert_eq!(done.findings(), ["yaml 3:1"]);
    let done = project.run(["init", "--from", "jib.yaml", "--target", "x"]).fails(2);
    assert!(done.stderr.contains("has no stages"), "{}", done.stderr);
}
