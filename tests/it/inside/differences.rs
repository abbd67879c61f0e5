//! `diff`.

use serde_json::{Value, json};

use super::{document, odd, paths, project, short};
use crate::support::{Base, Project, dir, file, link, manifest};

/// Two images of a project, `before` and `after`.
fn two(before: &Base, after: &Base) -> Project {
    let project = Project::new();
    before.write(&project, "before");
    after.write(&project, "after");
    project
}

#[test]
fn config_then_layers_then_files() {
    let config =
        |port: &str, debug: &str| json!({"Env": ["PATH=/bin", debug], "ExposedPorts": {port: {}}, "Cmd": ["a"]});
    let lower = || Base::of([dir("etc"), file("etc/same", "same"), file("etc/motd", "one")]);
    let before = lower().config(config("80/tcp", "DEBUG=0")).layer([
        dir("opt"),
        file("opt/gone", "gone"),
        file("opt/tool", "tool").owned(0o644, 0, 0),
        dir("opt/old"),
        file("opt/old/1", "1"),
        file("opt/old/2", "22"),
        link("opt/link", "a"),
    ]);
    let after = lower().config(config("443/tcp", "DEBUG=1")).layer([
        file("etc/motd", "three"),
        dir("opt"),
        file("opt/new", "new"),
        file("opt/tool", "tool").owned(0o755, 7, 8),
        link("opt/link", "b"),
    ]);
    let project = two(&before, &after);
    let told = project.run(["diff", "oci:before", "oci:after"]).success().stdout;
    insta::assert_snapshot!(short(&told), @r"
    --- oci:before  linux/amd64  sha256:aa02
    +++ oci:after  linux/amd64  sha256:f5a0

    config
    ~ config.Env.DEBUG: 0 → 1
    + config.ExposedPorts.443/tcp: true
    - config.ExposedPorts.80/tcp: true

    layers: 1 layer is the same
    - 2  sha256:56c0  308 B
    + 2  sha256:6c06  278 B

    files
    ~ /etc/motd  size 3 B → 5 B, content
    - /opt/gone  4 B
    ~ /opt/link  target a → b
    + /opt/new  3 B
    - /opt/old  directory with 2 paths, 3 B
    ~ /opt/tool  mode 0644 → 0755, owner 0:0 → 7:8

    1 added, 4 removed, 3 changed; files 18 B → 16 B (-2 B), over the wire 1.4 KiB → 1.4 KiB (-29 B)
    ");
    let document = document(&project.run(["--format", "json", "diff", "oci:before", "oci:after"]).success(), "diff");
    let expect =
        ["/etc/motd", "/opt/gone", "/opt/link", "/opt/new", "/opt/old", "/opt/old/1", "/opt/old/2", "/opt/tool"];
    assert_eq!(paths(&document["files"]), expect);
    let tool = &document["files"][7]["fields"];
    assert_eq!(tool[0], json!({"field": "mode", "from": "0644", "to": "0755"}));
    assert_eq!(tool[1], json!({"field": "owner", "from": "0:0", "to": "7:8"}));
    let all = project.run(["diff", "oci:before", "oci:after", "--all"]).success().stdout;
    assert!(all.contains("- /opt/old/1  1 B"), "{all}");
    // The other way round is the same with its sides changed.
    let back = project.run(["--format", "json", "diff", "oci:after", "oci:before"]).success().json();
    let turned = |change: &str| match change {
        "added" => "removed",
        "removed" => "added",
        _ => "changed",
    };
    let changes = |document: &Value| -> Vec<String> {
        document["files"].as_array().unwrap().iter().map(|one| one["change"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(changes(&back), changes(&document).iter().map(|change| turned(change)).collect::<Vec<_>>());
}

#[test]
fn the_exit_code_tells_when_asked() {
    let (project, reference) = project();
    odd().layer([file("more", "x")]).write(&project, "other");
    let same = project.run(["diff", &reference, "oci:odd", "--exit-code"]).success().stdout;
    assert!(same.starts_with("both are sha256:"), "{same}");
    project.run(["diff", &reference, "oci:other"]).success();
    project.run(["diff", &reference, "oci:other", "--exit-code"]).fails(4);
    let done = project.run(["--format", "json", "diff", &reference, "oci:odd"]).success();
    assert_eq!(document(&done, "diff")["same"], true);
}

#[test]
fn the_same_files_in_other_layers_are_no_difference_of_files() {
    let flat = Base::of([dir("a"), file("a/x", "1"), file("b", "2")]);
    let layered = Base::of([dir("a"), file("a/x", "0"), file("b", "2"), file("c", "")])
        .layer([dir("a"), file("a/x", "1")])
        .layer([file(".wh.c", "")]);
    let project = two(&flat, &layered);
    let document = document(&project.run(["--format", "json", "diff", "oci:before", "oci:after"]).success(), "diff");
    assert_eq!(document["files"], json!([]));
    assert_eq!(document["same"], false);
    let told = project.run(["diff", "oci:before", "oci:after"]).success().stdout;
    assert!(told.contains("files: all are the same"), "{told}");
}

#[test]
fn the_work_tree_is_compared_with_what_is_shipped() {
    let project = Project::of(&manifest("scratch", "user = \"1\"\n[[file]]\nsrc = \"site\"\ndest = \"/srv\""))
        .file("site/a", "1");
    project.run(["build", "-o", "oci:out"]).success();
    project.run(["diff", "oci:out", "--exit-code"]).success();
    project.write("site/b", "2");
    project.write("image.toml", manifest("scratch", "user = \"2\"\n[[file]]\nsrc = \"site\"\ndest = \"/srv\""));
    let told = project.run(["diff", "oci:out", "--exit-code"]).fails(4).stdout;
    assert!(told.contains("~ config.User: 1 → 2\n") && told.contains("+ /srv/b  1 B\n"), "{told}");
    let turned = project.run(["diff", ".", "oci:out"]).success().stdout;
    assert!(turned.contains("- /srv/b  1 B\n"), "{turned}");
}

#[test]
fn the_platform_of_the_one_image_is_meant_in_the_other() {
    let project = Project::new();
    let base = Base::of([dir("etc"), file("etc/arch", "none")]);
    base.write_several(&project, "several");
    base.write(&project, "one");
    for words in [["oci:several", "oci:one"], ["oci:one", "oci:several"]] {
        let done = project.run(["--format", "json", "diff", words[0], words[1]]).success();
        let document = document(&done, "diff");
        assert_eq!([&document["before"]["platform"], &document["after"]["platform"]], ["linux/amd64", "linux/amd64"]);
        assert_eq!(paths(&document["files"]), ["/etc/arch"]);
    }
    let refused = project.run(["diff", "oci:several", "oci:several"]).fails(2);
    assert!(refused.stderr.contains("--platform"), "{}", refused.stderr);
    project.run(["diff", "oci:several", "oci:several", "--platform", "linux/arm64"]).success();
    // The manifest is for one of them.
    let text = "schema = 1\n[image]\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[[file]]\ndest = \"/x\"\ncontent = \"x\"\n";
    project.write("image.toml", text);
    let document = document(&project.run(["--format", "json", "diff", "oci:one"]).success(), "diff");
    assert_eq!(document["after"]["platform"], "linux/amd64");
}
