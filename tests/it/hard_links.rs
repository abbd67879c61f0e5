//! `hard-links = true`: equal files of a layer are stored once, and everything else sees them all (`docs/format-1.md`, *Hard links*).

use serde_json::Value;

use super::support::{Project, idle, scratch};

const TREE: &str =
    "[[file]]\nsrc = \"tree\"\ndest = \"/t\"\n[[file]]\nsrc = \"tree/a\"\ndest = \"/late\"\nlayer = \"late\"\n";

fn project(image: &str, rest: &str) -> Project {
    let text = |letter: &str| letter.repeat(5000);
    let project = Project::of(&idle(&scratch(&format!("{image}{TREE}{rest}"))));
    let project = project.file("tree/a", text("a")).file("tree/b/c", text("a")).file("tree/d", text("d"));
    project.file("tree/e", "short").file("tree/f", "short").file("tree/g", "").file("tree/h", "")
}

#[test]
fn equal_files_of_a_layer_are_stored_once() {
    let project = project("hard-links = true\n", "");
    let image = project.build().image();
    let listing = [
        "d 0755 0:0 t",
        "f 0644 0:0 t/a",
        "d 0755 0:0 t/b",
        "h 0644 0:0 t/b/c -> t/a",
        "f 0644 0:0 t/d",
        "f 0644 0:0 t/e",
        "f 0644 0:0 t/f",
        "f 0644 0:0 t/g",
        "f 0644 0:0 t/h",
        "f 0644 0:0 late",
    ];
    assert_eq!(image.listing(), listing, "a link leads to nothing in another layer");
}

#[test]
fn nothing_is_linked_unless_the_manifest_says_so() {
    for image in ["", "hard-links = false\n"] {
        let listing = project(image, "").build().image().listing();
        assert!(listing.iter().all(|line| !line.starts_with('h')), "{listing:?}");
    }
}

#[test]
fn the_switch_is_a_part_of_what_a_layer_is_known_by() {
    let project = project("hard-links = true\n", "");
    let manifest = std::fs::read_to_string(project.path("image.toml")).unwrap();
    let linked = project.run(["build"]).success().digest();
    let apart = {
        project.write("image.toml", manifest.replace("hard-links = true\n", ""));
        project.run(["build"]).success().digest()
    };
    assert_ne!(linked, apart);
    project.write("image.toml", manifest);
    for words in [&["build"] as &[&str], &["--paranoid", "build"], &["--no-cache", "build"], &["--jobs", "1", "build"]]
    {
        assert_eq!(project.run(words).success().digest(), linked, "{words:?}");
    }
    // One byte of a twin, and it is a file of its own.
    let linked = project.build().image().layers[0].tar.clone();
    project.write("tree/b/c", format!("{}b", "a".repeat(4999)));
    let image = project.build().image();
    assert_eq!(image.entry("t/b/c").kind, 'f');
    assert_ne!(image.layers[0].tar, linked);
}

#[test]
fn secrets_programs_and_bills_of_materials_see_every_path() {
    let token = format!("{}{}\n", "ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
    let leak = format!("{token}{}", "x\n".repeat(4000));
    let script = format!("#!/opt/missing\n{}", "x\n".repeat(4000));
    let project = Project::of(&scratch("hard-links = true\n[[file]]\nsrc = \"tree\"\ndest = \"/t\"\n"));
    let project =
        project.file("tree/one", &leak).file("tree/two", &leak).file("tree/run", &script).file("tree/walk", &script);
    for command in ["check", "build"] {
        let done = project.run(["--format", "json", command]);
        let told = done.fails(4).stdout;
        for path in ["/t/one", "/t/two", "/t/run", "/t/walk"] {
            assert!(told.contains(path), "{command}: {path} is missing in {told}");
        }
    }
    let project = self::project("hard-links = true\n", "");
    let bill = project.run(["sbom"]).success().json();
    let files: Vec<&str> =
        bill["files"].as_array().unwrap().iter().filter_map(|file| file["fileName"].as_str()).collect();
    let (one, other) = (sum(&bill, "/t/a"), sum(&bill, "/t/b/c"));
    assert!(one.is_some() && one == other, "{files:?}");
    let listed = project.run(["files"]).success().stdout;
    assert!(listed.lines().any(|line| line.contains("/t/b/c") && line.contains("/t/a")), "{listed}");
}

/// The digest of a file in a bill of materials.
fn sum(bill: &Value, path: &str) -> Option<String> {
    let mut files = bill["files"].as_array()?.iter();
    let file = files.find(|file| file["fileName"].as_str().is_some_and(|name| name.ends_with(path)))?;
    file["checksums"].as_array()?.iter().find(|sum| sum["algorithm"] == "SHA256")?["checksumValue"]
        .as_str()
        .map(Into::into)
}

#[test]
fn what_is_linked_is_not_wasted() {
    let limit = |bytes: u32| format!("[check]\nroot-user = \"allow\"\nmax-wasted = \"{bytes}B\"\n");
    // Two layers hold the same file; that is waste, with links too.
    project("", &limit(9999)).run(["check"]).fails(4);
    project("", &limit(10_000)).run(["check"]).success();
    project("hard-links = true\n", &limit(4999)).run(["check"]).fails(4);
    project("hard-links = true\n", &limit(5000)).run(["check"]).success();
}
