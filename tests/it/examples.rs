//! Each example, built twice in two places and equal; what its head says is done first, as it stands there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stillframe::facts::programs::{Nature, read};

use crate::support::{self, Base, Elf, LOADER, Project};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Copies a directory whole.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The example in a directory of this name, its programs made by the lines `# $ …` at its head.
pub fn prepared(example: &str, directory: &str) -> Project {
    let project = Project::named(directory);
    copy(&examples().join(example), &project.path("."));
    let manifest = fs::read_to_string(project.path("image.toml")).unwrap();
    for line in manifest.lines().filter_map(|line| line.strip_prefix("# $ ")) {
        let words: Vec<&str> = line.split(' ').collect();
        if let Some(at) = words.iter().position(|word| *word == "-o") {
            fs::create_dir_all(project.path(words[at + 1]).parent().unwrap()).unwrap();
        }
        let done = Command::new(words[0]).args(&words[1..]).current_dir(project.path(".")).output().unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    }
    project.brought();
    project
}

/// Builds an example twice and compares; the second time elsewhere, with one thread.
fn twice(example: &str) -> (Project, String) {
    let one = prepared(example, "one");
    let two = Project::named("another place, ä");
    copy(&one.path("."), &two.path("."));
    two.brought();
    let base = if example == "dynamic" { with_libraries(&one) } else { Base::debian() };
    let digests = [(&one, "8"), (&two, "1")].map(|(project, jobs)| {
        let base = if example == "dynamic" { base.write(project, "base") } else { String::new() };
        let base = base.trim_start_matches("oci:base@");
        let done = project.run(["--jobs", jobs, "build", "-o", "oci:out"]).env("BASE", base).success();
        project.layout("out");
        done.digest()
    });
    assert_eq!(digests[0], digests[1], "{example}");
    (one, digests[0].clone())
}

/// A base with a loader and the libraries that the example's program wants, whatever compiler made it.
fn with_libraries(project: &Project) -> Base {
    if cfg!(not(target_arch = "x86_64")) {
        project.write("hello", Elf::program().loader(LOADER).needs("libc.so.6").bytes());
    }
    let bytes = fs::read(project.path("hello")).unwrap();
    let Some(Nature::Program(program)) = read(bytes.as_slice()) else { panic!("the example's program is none") };
    let path = program.loader.clone().unwrap();
    let name = path.rsplit('/').next().unwrap();
    let mut files = vec![support::bytes(path.trim_start_matches('/'), 0o755, Elf::library(name).bytes())];
    for library in &program.needed {
        let wanted =
            program.wants.iter().filter(|wanted| wanted.library == *library).flat_map(|wanted| &wanted.versions);
        let versions: Vec<&str> = wanted.map(String::as_str).collect();
        let content = Elf::library(library).defines(&versions).bytes();
        files.push(support::bytes(&format!("usr/lib/{library}"), 0o644, content));
    }
    Base::debian().layer(files)
}

#[test]
fn every_example_is_tested() {
    let mut names: Vec<String> =
        fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let here = ["dynamic", "imports", "static-binary", "two-platforms", "users", "website"];
    let mut tested: Vec<&str> = here.into_iter().chain(crate::packages::examples::EXAMPLES).collect();
    tested.sort_unstable();
    assert_eq!(names, tested);
}

#[test]
fn static_binary() {
    let (project, _) = twice("static-binary");
    let image = project.layout("out").image();
    assert_eq!(image.entry("hello").mode, 0o755);
}

#[test]
fn two_platforms() {
    let (project, _) = twice("two-platforms");
    let layout = project.layout("out");
    assert_eq!(layout.image_for("linux", "amd64").text("etc/platform"), "linux/amd64\n");
    assert_eq!(layout.image_for("linux", "arm64").text("etc/platform"), "linux/arm64\n");
}

#[test]
fn website() {
    let (project, _) = twice("website");
    let image = project.layout("out").image();
    assert_eq!(image.layer_names(), ["site", "binaries"]);
    assert!(!image.listing().iter().any(|line| line.contains("draft")), "{:?}", image.listing());
}

#[test]
fn imports() {
    let (project, _) = twice("imports");
    let layout = project.layout("out");
    for arch in ["amd64", "arm64"] {
        let image = layout.image_for("linux", arch);
        assert_eq!(image.layer_names(), ["imports", "files"]);
        assert_eq!(image.text("usr/share/zone/tables"), format!("UTC {arch}\n"));
        let own: Vec<String> = image.listing().into_iter().filter(|line| line.contains("www/")).collect();
        assert_eq!(own, ["f 0644 0:0 srv/www/app.js", "f 0644 0:0 srv/www/index.html"]);
        assert_eq!(image.config["config"]["User"], "65534:65534");
    }
}

#[test]
fn dynamic() {
    let (project, _) = twice("dynamic");
    let image = project.layout("out").image();
    assert_eq!(image.text("usr/lib/hello/note.txt"), "On a merged-usr base this lies in /usr/lib.\n");
}

#[test]
fn users() {
    let (project, _) = twice("users");
    let image = project.layout("out").image();
    assert_eq!(image.entry("var/lib/keep").uid, 1000);
    assert!(image.text("etc/group").contains("readers:x:2000:keeper\n"));
}
