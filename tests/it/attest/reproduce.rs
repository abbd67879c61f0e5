//! `reproduce`: the same bytes exit with 0, and the first other one is named.

use std::fs;

use super::elf::elf;
use crate::git::git;
use crate::registry::Registry;
use crate::support::{Base, Project, dir, file, manifest, scratch};

const ITEMS: &str =
    "[[file]]\nsrc = \"a.txt\"\ndest = \"/etc/a.txt\"\n[[binary]]\nsrc = \"server\"\ndest = \"/app/server\"\n";

fn files(project: Project) -> Project {
    project.file("a.txt", "one\ntwo\n").file("server", elf(&[])).file(".gitignore", "/server\n/out\n/base\n")
}

/// A repository, its image in the layout `out`.
fn released() -> Project {
    let project = files(Project::of(&scratch(&format!("workdir = \"/app\"\n{ITEMS}"))));
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "one"]);
    project.build();
    project
}

/// What the refusal says.
fn difference(project: &Project, place: &str) -> String {
    let done = project.run(["reproduce", place]).fails(4);
    let line = done.stderr.lines().find(|line| line.contains("was not reproduced")).unwrap_or(&done.stderr).to_string();
    line.split("was not reproduced: ").last().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_clone_in_another_directory_gives_the_same_bytes() {
    let project = released();
    let registry = Registry::start().await;
    let place = format!("{}/acme/app:1", registry.name());
    let digest = project.run(["copy", "oci:out", &place]).success().digest();
    let clone = Project::named("elsewhere");
    git(&clone, &["clone", "-q", project.path("").to_str().unwrap(), "clone"]);
    fs::copy(project.path("server"), clone.path("clone/server")).unwrap();
    // Another time zone, another store, another way to the manifest; and a work tree that is not its commit.
    clone.write("clone/untracked", "x");
    let done = clone.run(["-f", "clone", "reproduce", &place]).env("TZ", "Asia/Tokyo").success();
    assert_eq!(done.stdout, format!("{}/acme/app@{digest}\n", registry.name()));
    let json = clone.run(["--format", "json", "-f", "clone", "reproduce", &place]).success().json();
    assert_eq!((&json["reproduced"], json["digest"].as_str().unwrap()), (&true.into(), digest.as_str()));
    clone.write("clone/a.txt", "one\ntWo\n");
    assert_eq!(
        clone.run(["-f", "clone", "reproduce", &place]).fails(4).stderr.lines().next().unwrap(),
        format!("error: `{place}` was not reproduced: layer 1 (`files`), `/etc/a.txt`: byte 5 of its content differs")
    );
}

#[test]
fn the_first_difference_is_named_by_layer_path_and_field() {
    let project = released();
    let original = fs::read_to_string(project.path("image.toml")).unwrap();
    project.run(["reproduce", "oci:out"]).success();
    let with = |change: &dyn Fn(&str) -> String| {
        project.write("image.toml", change(&original));
        difference(&project, "oci:out")
    };
    let in_layer = |text: &str| {
        with(&|old| old.replacen("dest = \"/etc/a.txt\"\n", &format!("dest = \"/etc/a.txt\"\n{text}\n"), 1))
    };
    assert_eq!(in_layer("mode = \"0600\""), "layer 1 (`files`), `/etc/a.txt`: `mode` is 0644 in the image, 0600 here");
    assert_eq!(in_layer("owner = \"1:2\""), "layer 1 (`files`), `/etc/a.txt`: `uid` is 0 in the image, 1 here");
    assert_eq!(
        with(&|old| old.replace("/etc/a.txt", "/etc/b.txt")),
        "layer 1 (`files`), `/etc/a.txt`: it is in the image, and not here"
    );
    assert_eq!(
        with(&|old| format!("{old}[[file]]\ndest = \"/etc/A\"\ncontent = \"x\"\n")),
        "layer 1 (`files`), `/etc/A`: it is here, and not in the image"
    );
    assert_eq!(
        with(&|old| old.replace("workdir = \"/app\"", "workdir = \"/\"")),
        "the config, `config.WorkingDir`: \"/app\" in the image, \"/\" here"
    );
    assert_eq!(
        with(&|old| format!("{old}[annotations]\nx = \"1\"\n")),
        "the manifest, `annotations`: nothing in the image, {\"x\":\"1\"} here"
    );
    let found = with(&|old| old.replace("workdir", "compression = \"zstd\"\nworkdir"));
    assert!(found.starts_with("layer 1 (`files`), the same tar, compressed otherwise: byte 0 of the blob"), "{found}");
}

#[test]
fn a_program_of_one_other_byte_is_found() {
    let project = released();
    let mut bytes = fs::read(project.path("server")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    project.write("server", &bytes);
    assert_eq!(
        difference(&project, "oci:out"),
        format!("layer 2 (`binaries`), `/app/server`: byte {last} of its content differs")
    );
    bytes.pop();
    project.write("server", &bytes);
    let found = difference(&project, "oci:out");
    let sizes = format!("byte {last} of its content differs (it has {} bytes in the image, {last} here)", last + 1);
    assert!(found.ends_with(&sizes), "{found}");
}

#[test]
fn what_no_runtime_looks_at_is_found_too() {
    let project = Project::of(&scratch("created = \"fixed\"\n[[file]]\ndest = \"/a\"\ncontent = \"a\"\n"));
    let by_hand = Base::of([file("a", "a")]).write(&project, "by-hand");
    let found = difference(&project, &by_hand);
    assert_eq!(found, "layer 1 (`files`), `/a`: the header field `mtime` differs, at byte 136 of the tar");
}

#[test]
fn a_base_is_compared_by_its_layers() {
    let project = files(Project::new());
    let [one, two] =
        ["1", "2"].map(|text| Base::of([dir("etc"), file("etc/x", text)]).write(&project, &format!("base/{text}")));
    project.write("image.toml", manifest(&one, ITEMS));
    project.build();
    project.run(["reproduce", "oci:out"]).success();
    project.write("image.toml", manifest(&two, ITEMS));
    assert!(difference(&project, "oci:out").starts_with("layer 1, of the base: it is sha256:"));
}

#[test]
fn platforms_are_compared_one_by_one() {
    let platforms =
        "platforms = [\"linux/amd64\", \"linux/arm64\"]\n[[file]]\ndest = \"/a\"\ncontent = \"{{ platform.arch }}\"\n";
    let project = Project::of(&scratch(platforms));
    let digest = project.run(["build", "-o", "oci:out"]).success().digest();
    project.run(["reproduce", "oci:out"]).success();
    // One image of the index is rebuilt alone.
    let child = project.layout("out").image_for("linux", "arm64").digest;
    assert_ne!(child, digest);
    project.run(["reproduce", &format!("oci:out@{child}")]).success();
    project
        .write("image.toml", scratch(&platforms.replace("\"{{", "\"{% if platform.arch == 'arm64' %}x{% endif %}{{")));
    let found = difference(&project, "oci:out");
    assert!(found.starts_with("linux/arm64: layer 1 (`files`), `/a`: byte 0 of its content differs"), "{found}");
    project.write("image.toml", scratch(&platforms.replace(", \"linux/arm64\"", "")));
    assert_eq!(difference(&project, "oci:out"), "the image has one for linux/arm64, which is not made here");
}

#[test]
fn the_image_gives_the_time_and_an_unreachable_one_is_no_difference() {
    let project =
        Project::of(&scratch("created = \"2024-05-06T07:08:09Z\"\n[[file]]\ndest = \"/a\"\ncontent = \"a\"\n"));
    project.build();
    project.write("image.toml", scratch("[[file]]\ndest = \"/a\"\ncontent = \"a\"\n"));
    project.run(["reproduce", "oci:out"]).env("SOURCE_DATE_EPOCH", "7").success();
    assert_eq!(project.run(["reproduce", "oci:none"]).ends().code, Some(2));
    assert_eq!(project.run(["--offline", "reproduce", "example.com/none:1"]).ends().code, Some(3));
}
