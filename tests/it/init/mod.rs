//! `stillframe init`: every template makes an image, twice the same, in a directory that looks like one; what is there stays; the
//! pipelines do in a shell what they say.

mod pipelines;

use std::fs;

use crate::support::{Base, Elf, Project, executable, file, program};

/// Directories as people have them, by the template that fits; what is built by a compiler is there.
fn directories() -> Vec<(&'static str, Project)> {
    let named = Project::named;
    let elf = || Elf::program().bytes();
    let triple = "target/x86_64-unknown-linux-musl/release";
    vec![
        (
            "rust-static",
            named("one").file("Cargo.toml", "[package]\nname = \"api\"\n").file(&format!("{triple}/api"), elf()),
        ),
        (
            "go-static",
            named("one").file("go.mod", "module example.com/api\n").file("main.go", "").file("bin/amd64/api", elf()),
        ),
        ("c-dynamic", named("api").file("api.c", "int main() {}\n").file("api", program(true))),
        (
            "node",
            named("one")
                .file("package.json", "{\"name\": \"@acme/api\", \"dependencies\": {\"dep\": \"1\"}}")
                .file("index.js", "require('dep')\n")
                .file("node_modules/dep/index.js", "\n"),
        ),
        (
            "python",
            named("one")
                .file("pyproject.toml", "[project]\nname = \"api\"\ndependencies = [\"dep\"]\n")
                .file("src/api/__main__.py", "import dep\n")
                .file("src/api/__pycache__/x.pyc", "")
                .file("vendor/dep.py", "\n"),
        ),
        ("java-jar", named("one").file("pom.xml", "<artifactId>api</artifactId>").file("target/api.jar", "PK")),
        ("website", named("one").file("public/index.html", "<h1>hello</h1>\n")),
    ]
}

/// A base that has a program of every kind.
fn base(project: &Project) -> String {
    let programs =
        ["node", "python3", "java", "nginx"].map(|name| executable(&format!("usr/bin/{name}"), Elf::program().bytes()));
    let more = [file("etc/nginx/mime.types", ""), executable("lib64/ld-linux-x86-64.so.2", Elf::program().bytes())];
    Base::of(programs.into_iter().chain(more)).write(project, "../base")
}

#[test]
fn every_template_builds_at_once_and_twice_the_same() {
    for (template, project) in directories() {
        let base = base(&project);
        let words: &[&str] = match template {
            "rust-static" | "go-static" => &["init"],
            _ => &["init", "--base", &base],
        };
        let done = project.run(words).success();
        assert_eq!(done.stdout, "image.toml\n", "{template}");
        assert!(done.stderr.contains(&format!("the template is `{template}`")), "{}", done.stderr);
        project.run(["check"]).success();
        let digests = ["1", "8"].map(|jobs| {
            let done = project.run(["--jobs", jobs, "--no-cache", "build", "-o", "oci:../out"]).success();
            done.digest()
        });
        assert_eq!(digests[0], digests[1], "{template}");
        let image = project.layout("../out").image();
        assert_eq!(image.config["config"]["User"], "65532:65532", "{template}");
        let listing = image.listing().join("\n");
        assert!(!listing.contains("__pycache__") && !listing.contains("pom.xml"), "{template}: {listing}");
    }
}

#[test]
fn what_is_there_stays() {
    let project = Project::new().file("go.mod", "module example.com/api\n").file("image.toml", "mine");
    let refused = project.run(["init", "--ci", "github"]).fails(2);
    assert!(refused.stderr.contains("`image.toml` is there already"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(project.path("image.toml")).unwrap(), "mine");
    assert!(!project.path(".github").exists());
    project.run(["init", "--force", "--ci", "github"]).success();
    assert!(fs::read_to_string(project.path("image.toml")).unwrap().contains("schema = 1"));
    assert!(project.path(".github/workflows/image.yml").is_file());
}

#[test]
fn a_directory_that_says_nothing_is_asked_about() {
    let project = Project::new().file("notes.txt", "");
    let refused = project.run(["init"]).fails(2);
    assert!(refused.stderr.contains("choose a template") && refused.stderr.contains("java-jar"), "{}", refused.stderr);
    let refused = Project::new().file("Dockerfile", "FROM scratch\n").run(["init"]).fails(2);
    assert!(refused.stderr.contains("stillframe init --from Dockerfile"), "{}", refused.stderr);
    let answer = project
        .run(["--format", "json", "init", "--template", "rust-static", "--name", "registry.test/a/b"])
        .success()
        .json();
    assert_eq!((&answer["template"], &answer["files"][0]), (&"rust-static".into(), &"image.toml".into()));
    assert!(fs::read_to_string(project.path("image.toml")).unwrap().contains("\"registry.test/a/b\""));
}

#[test]
fn packages_need_a_mirror_and_offline_leaves_the_lock_for_later() {
    let project = Project::new().file("package.json", "{\"main\": \"a.js\"}").file("a.js", "");
    let words = ["--offline", "init", "--mirror", "https://mirror.example.com/debian", "--suite", "trixie"];
    let done = project.run(words).success();
    assert!(done.stderr.contains("`stillframe update` pins what they name"), "{}", done.stderr);
    let text = fs::read_to_string(project.path("image.toml")).unwrap();
    assert!(text.contains("mirror  = \"https://mirror.example.com/debian\"") && text.contains("\"nodejs\""), "{text}");
    assert!(!project.path("image.lock").exists());
}
