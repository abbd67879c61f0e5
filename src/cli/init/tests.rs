//! Stage 10: tests of what `init` makes of a directory.

use super::directory::Directory;
use super::mirror::Mirror;
use super::project::{ALL, Project, Template, bare, guesses, plain};
use super::render::{Ground, Pipeline, manifest};
use crate::cli::render;
use crate::manifest::locate::locate;
use crate::manifest::{Outside, read};

/// What the reader has against a manifest.
fn mistakes(text: &str) -> String {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("image.toml"), text).unwrap();
    let location = locate(room.path()).unwrap();
    let read = read(&location, &Outside { sets: &[], env: &|_| None });
    if read.report.errors().next().is_none() { String::new() } else { render::text(&read.report, false) }
}

fn first(name: &str, files: &[(&str, &str)]) -> (Template, Project) {
    guesses(&Directory::with(name, files)).into_iter().next().expect("a guess")
}

#[test]
fn names_become_plain() {
    for (name, wanted) in
        [("@acme/Web.App", "web-app"), ("server", "server"), ("", "app"), ("--", "app"), ("a/b/", "b")]
    {
        assert_eq!(plain(name), wanted, "{name}");
    }
}

#[test]
fn a_crate_names_its_program() {
    let (template, project) = first("x", &[("Cargo.toml", "[package]\nname = \"acme-api\"\n"), ("src/main.rs", "")]);
    assert_eq!((template, project.program.as_str()), (Template::RustStatic, "acme-api"));
    assert_eq!(project.build, "target/{{ platform.rust_target }}/release/acme-api");
    let several =
        "[package]\nname = \"acme\"\ndefault-run = \"two\"\n[[bin]]\nname = \"one\"\n[[bin]]\nname = \"two\"\n";
    assert_eq!(first("x", &[("Cargo.toml", several)]).1.program, "two");
    assert_eq!(first("x", &[("Cargo.toml", "[package]\nname = \"a\"\n[[bin]]\nname = \"one\"\n")]).1.program, "one");
    let members = "[workspace]\nmembers = [\"lib\", \"apps/server\", \"tools/*\"]\n";
    assert_eq!(first("x", &[("Cargo.toml", members), ("apps/server/src/main.rs", "")]).1.program, "server");
    assert_eq!(first("Some Thing", &[("Cargo.toml", "not TOML [")]).1.title, "some-thing");
}

#[test]
fn a_go_module_names_its_command() {
    let (_, project) = first("x", &[("go.mod", "module example.com/acme/server/v2\n\ngo 1.24\n"), ("main.go", "")]);
    assert_eq!(project.program, "server");
    assert!(project.make.ends_with("-o bin/amd64/server ."), "{}", project.make);
    let (_, project) = first("x", &[("go.mod", "module example.com/acme\n"), ("cmd/api/main.go", "")]);
    assert!(project.make.ends_with("-o bin/amd64/api ./cmd/api"), "{}", project.make);
}

#[test]
fn a_package_json_is_an_application_or_a_site() {
    let app = r#"{"name": "@acme/web", "scripts": {"start": "node --enable-source-maps ./src/server.js"}, "dependencies": {"a": "1"}}"#;
    let (template, project) = first("x", &[("package.json", app), ("src/server.js", ""), ("package-lock.json", "")]);
    assert_eq!(
        (template, project.main.as_str(), project.title.as_str()),
        (Template::Node, "/app/src/server.js", "web")
    );
    assert_eq!(project.make, "npm ci --omit=dev");
    assert!(project.modules);
    let site = r#"{"scripts": {"build": "vite build", "start": "vite"}}"#;
    let (template, project) = first("x", &[("package.json", site)]);
    assert_eq!((template, project.build.as_str()), (Template::Website, "dist/"));
    assert_eq!(first("x", &[("package.json", "nothing"), ("index.js", "")]).1.main, "/app/index.js");
}

#[test]
fn a_python_project_is_a_module_or_a_file() {
    let manifest = "[project]\nname = \"Acme-Api\"\ndependencies = [\"flask\"]\n";
    let (_, project) = first("x", &[("pyproject.toml", manifest), ("src/acme_api/__main__.py", "")]);
    assert_eq!((project.sources.as_str(), project.main.as_str()), ("src/acme_api/", "\"-m\", \"acme_api\""));
    assert!(project.vendor && project.make.contains("--target vendor"));
    let (_, project) = first("x", &[("requirements.txt", "\n"), ("app.py", "")]);
    assert_eq!((project.main.as_str(), project.make.as_str(), project.vendor), ("\"/app/app.py\"", "", false));
}

#[test]
fn a_jar_is_found_or_foretold() {
    let pom = "<project><parent><artifactId>above</artifactId></parent><artifactId>shop</artifactId></project>";
    assert_eq!(first("x", &[("pom.xml", pom)]).1.build, "target/shop.jar");
    assert_eq!(first("x", &[("pom.xml", pom), ("target/shop-1.0.jar", "")]).1.build, "target/shop-1.0.jar");
    assert_eq!(first("x", &[("build.gradle.kts", "")]).1.make, "./gradlew build");
}

#[test]
fn c_and_sites_are_seen_last() {
    assert_eq!(first("tool", &[("tool.c", "")]).1.make, "cc -O2 -o tool tool.c");
    assert_eq!(first("tool", &[("CMakeLists.txt", "")]).1.build, "build/tool");
    let (template, project) = first("x", &[("public/index.html", "")]);
    assert_eq!((template, project.build.as_str()), (Template::Website, "public/"));
    assert_eq!(first("x", &[("index.html", "")]).1.build, ".");
    assert!(guesses(&Directory::with("x", &[("Dockerfile", "")])).is_empty());
    let both: Vec<Template> =
        guesses(&Directory::with("x", &[("Makefile", ""), ("go.mod", "")])).iter().map(|guess| guess.0).collect();
    assert_eq!(both, [Template::GoStatic, Template::CDynamic]);
}

#[test]
fn every_template_on_every_ground_is_a_manifest() {
    let mirror = Mirror {
        url: "https://mirror.example.com/debian".into(),
        suite: "trixie".into(),
        security: Some("https://mirror.example.com/debian-security".into()),
        keyring: Some("keys.asc".into()),
    };
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for template in ALL {
        let project = bare(template, &Directory::with("shop", &[]));
        let base = Ground::Base(format!("registry.example.com/base:1@sha256:{digest}"));
        let other = if template.packages().is_empty() { Ground::Nothing } else { Ground::Packages(mirror.clone()) };
        for ground in [base, other] {
            let text = manifest(template, &project, "registry.example.com/shop", &ground).unwrap();
            assert_eq!(mistakes(&text), "", "{}\n{text}", template.name());
        }
    }
}

#[test]
fn pipelines_have_no_place_left_open() {
    use clap::ValueEnum;
    for pipeline in Pipeline::value_variants() {
        for make in ["", "cargo build"] {
            let text = pipeline.text(make, "registry.example.com/acme/shop");
            assert!(!text.contains("@make@") && !text.contains("@registry@"), "{text}");
            assert_eq!(text.contains("cargo build"), !make.is_empty(), "{text}");
            assert!(text.contains("stillframe release"));
        }
    }
}
