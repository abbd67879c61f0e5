//! `init` in seven projects as people begin them: three commands from a directory to a program that runs, with this machine's own
//! mirror of packages and compilers. Where `init` and `build` run there is nothing but the static program and the project.

use std::fs;
use std::path::Path;

use crate::alone::alone;
use crate::packages::mirror;
use crate::peers::{done, peer, run, said};
use crate::project::Project;

/// A project of these files without a manifest.
fn begun(files: &[(&str, &str)]) -> Project {
    let mut project = Project::new("");
    fs::remove_file(project.app().join("image.toml")).unwrap();
    for (path, text) in files {
        project = project.file(path, text);
    }
    project
}

/// `init`. A place that has packages of Debian of its own tells where they come from; this one is asked.
fn init(project: &Project, name: &str) {
    let mut done = alone(project, &["init", "--name", name]);
    if said(&done).contains("--mirror") {
        assert!(!done.status.success() && !project.app().join("image.toml").exists(), "{}", said(&done));
        done = alone(project, &["init", "--name", name, "--mirror", mirror()]);
    }
    assert!(done.status.success(), "{}", said(&done));
}

/// `init`, the compiler, `build -o docker`; what the container says.
fn says(files: &[(&str, &str)], name: &str, compiler: &[&str], arguments: &[&str]) -> String {
    let project = begun(files);
    let name = format!("stillframe.test/init-{name}-{}", std::process::id());
    init(&project, &name);
    if let Some((program, words)) = compiler.split_first() {
        let mut command = peer(program);
        command.args(words).current_dir(project.app()).env("CGO_ENABLED", "0").env("GOARCH", "amd64");
        done(command.env("GOCACHE", project.out("go")).env("HOME", project.out("home")));
    }
    let built = alone(&project, &["build", "-o", "docker"]);
    assert!(built.status.success(), "{}", said(&built));
    let said = done(peer("docker").args(["run", "--rm", "--network", "none", &name]).args(arguments));
    let _ = peer("docker").args(["rmi", "--force", &name]).output();
    said
}

#[test]
fn a_crate_a_module_and_a_source_file_of_c_run_after_three_commands() {
    let cargo = "[package]\nname = \"api\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    let build = [
        "rustc",
        "--target",
        "x86_64-unknown-linux-musl",
        "--out-dir",
        "target/x86_64-unknown-linux-musl/release",
        "--crate-name",
        "api",
        "src/main.rs",
    ];
    let crate_of_rust = [("Cargo.toml", cargo), ("src/main.rs", "fn main() { println!(\"hello\"); }\n")];
    assert_eq!(says(&crate_of_rust, "rust", &build, &[]), "hello\n");
    let module = [
        ("go.mod", "module example.com/api\n\ngo 1.19\n"),
        ("main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") }\n"),
    ];
    assert_eq!(says(&module, "go", &["go", "build", "-trimpath", "-o", "bin/amd64/api", "."], &[]), "hello\n");
    // The program is called as its directory is.
    let c = [("app.c", "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n")];
    assert_eq!(says(&c, "c", &["gcc", "-O2", "-o", "app", "app.c"], &[]), "hello\n");
}

#[test]
fn applications_for_interpreters_run_after_two_commands() {
    let node =
        [("package.json", "{\"name\": \"api\", \"main\": \"index.js\"}"), ("index.js", "console.log('hello')\n")];
    assert_eq!(says(&node, "node", &[], &[]), "hello\n");
    let python = [("pyproject.toml", "[project]\nname = \"api\"\n"), ("src/api/__main__.py", "print('hello')\n")];
    assert_eq!(says(&python, "python", &[], &[]), "hello\n");
    let java = "public class Main { public static void main(String[] a) { System.out.println(\"hello\"); } }\n";
    let files = [("build.gradle", ""), ("Main.java", java), ("m.txt", "Main-Class: Main\n")];
    let pack = [
        "sh",
        "-c",
        "mkdir -p build/libs && javac -d classes Main.java && jar cfm build/libs/app.jar m.txt -C classes .",
    ];
    assert_eq!(says(&files, "java", &pack, &[]), "hello\n");
}

#[test]
fn a_web_site_is_served_after_two_commands() {
    let project = begun(&[("public/index.html", "<h1>hello</h1>\n"), ("public/about.html", "about\n")]);
    let name = format!("stillframe.test/init-site-{}", std::process::id());
    init(&project, &name);
    let built = alone(&project, &["build", "-o", "docker"]);
    assert!(built.status.success(), "{}", said(&built));
    let id = run("docker", ["run", "--detach", "--rm", "--publish", "127.0.0.1:0:8080", &name]);
    let port = run("docker", ["port", id.trim(), "8080"]);
    let port = port.lines().next().unwrap_or_default().trim().to_string();
    let fetched = |path: &str| {
        let url = format!("http://{port}{path}");
        done(peer("curl").args([
            "--silent",
            "--show-error",
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-all-errors",
            "--retry-delay",
            "1",
            &url,
        ]))
    };
    let (index, about) = (fetched("/"), fetched("/about"));
    run("docker", ["rm", "--force", id.trim()]);
    let _ = peer("docker").args(["rmi", "--force", &name]).output();
    assert_eq!((index.as_str(), about.as_str()), ("<h1>hello</h1>\n", "about\n"));
    assert!(Path::new(&project.app().join("image.lock")).is_file());
}
