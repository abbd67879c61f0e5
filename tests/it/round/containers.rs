//! `run` and `watch`, with an engine that only takes note.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::{Project, scratch};

/// A podman that writes down its words, knows every image that it has loaded, and ends with 7 where a container ends.
const PODMAN: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$HOME/told"
case "$1" in
run) exit 7 ;;
esac
"#;

/// A project with that program in a search path of its own.
fn project() -> (Project, String) {
    let project = Project::of(&scratch(
        "name = \"r.test/acme/api\"\ncreated = \"fixed\"\n[[file]]\nsrc = \"motd\"\ndest = \"/motd\"\n",
    ))
    .file("motd", "hello\n");
    let bin = project.home().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("podman"), PODMAN).unwrap();
    fs::set_permissions(bin.join("podman"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    (project, path)
}

fn told(project: &Project) -> Vec<String> {
    let told = fs::read_to_string(project.home().join("told")).unwrap_or_default();
    told.lines().map(str::to_string).collect()
}

/// The config's digest of the only image that the project makes.
fn config(project: &Project) -> String {
    project.run(["--format", "json", "build"]).success().json()["images"][0]["config"].as_str().unwrap().to_string()
}

#[test]
fn run_hands_the_image_over_and_becomes_the_engine() {
    let (project, path) = project();
    let words =
        ["run", "-p", "8080:80", "-e", "MODE=x", "--volume", "./d:/d", "--engine", "podman", "--", "--flag", "word"];
    let done = project.run(words).env("PATH", &path).fails(7);
    assert_eq!(done.stdout, "");
    let config = config(&project);
    let told = told(&project);
    assert!(told[0].starts_with("load --quiet --input "), "{told:?}");
    assert_eq!(told[1], format!("image inspect --format {{{{.Id}}}} {config}"));
    let expected =
        format!("run --rm --interactive --publish 8080:80 --env MODE=x --volume ./d:/d {config} --flag word");
    assert_eq!(told[2..], [expected]);
}

#[test]
fn run_takes_an_image_that_exists_and_a_manifest_by_its_path() {
    let (project, path) = project();
    let digest = project.run(["build"]).success().digest();
    let config = config(&project);
    for subject in [digest.as_str(), "./image.toml", "store:r.test/acme/api"] {
        fs::remove_file(project.home().join("told")).ok();
        project.run(["run", "--engine", "podman", "--detach", "--keep", subject]).env("PATH", &path).fails(7);
        assert_eq!(told(&project).last().unwrap(), &format!("run --detach {config}"), "{subject}");
    }
}

#[test]
fn without_an_engine_run_says_what_is_missing() {
    let (project, _) = project();
    let docker = |run: crate::support::project::Run| {
        run.env("DOCKER_HOST", "unix:///nowhere/docker.sock").env("PATH", "/nowhere")
    };
    let done = docker(project.run(["run"])).fails(5);
    assert!(done.stderr.contains("no docker that runs, and no podman"), "{}", done.stderr);
    assert!(done.stderr.contains("docker-archive"), "{}", done.stderr);
    let done = docker(project.run(["run", "--engine", "docker"])).fails(5);
    assert!(done.stderr.contains("no program `docker`"), "{}", done.stderr);
    assert!(!project.store().join("blobs").exists(), "nothing is built for nobody");
}

/// Waits until the program has said this.
fn until(running: &mut crate::support::project::Running, words: &str) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        said.push(running.says());
        if said.last().unwrap().contains(words) {
            return said;
        }
    }
}

#[test]
fn watch_builds_again_when_an_input_changes_and_goes_on_after_a_mistake() {
    let (project, path) = project();
    let mut running =
        project.run(["watch", "--interval", "20ms", "--run", "--engine", "podman"]).env("PATH", &path).start();
    until(&mut running, "watching");
    project.write("motd", "changed\n");
    until(&mut running, "`motd` has changed");
    until(&mut running, "watching");
    let manifest = fs::read_to_string(project.path("image.toml")).unwrap();
    project.write("image.toml", manifest.replace("src =", "scr ="));
    let said = until(&mut running, "watching").join("\n");
    assert!(said.contains("`image.toml` has changed") && said.contains("unknown"), "{said}");
    project.write("image.toml", &manifest);
    let said = until(&mut running, "watching").join("\n");
    assert!(said.contains("has changed") && !said.contains("unknown"), "{said}");
    let id = rustix::process::Pid::from_raw(running.id() as i32).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let done = running.ends().expect(143);
    assert_eq!(done.stdout.lines().count(), 3, "{}", done.stdout);
    let told = told(&project);
    let runs: Vec<&String> = told.iter().filter(|line| line.starts_with("run --rm --name stillframe-watch-")).collect();
    assert!(runs.len() >= 2, "{told:?}");
    let removed = told.iter().filter(|line| line.starts_with("rm --force stillframe-watch-")).count();
    assert!(removed > runs.len(), "each container is removed before the next one, and the last at the end: {told:?}");
}

#[test]
fn watch_ends_at_once_when_it_is_told_to() {
    let (project, _) = project();
    let mut running = project.run(["watch", "--interval", "60s"]).start();
    until(&mut running, "watching");
    let id = rustix::process::Pid::from_raw(running.id() as i32).unwrap();
    let begun = Instant::now();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    running.ends().expect(130);
    assert!(begun.elapsed() < Duration::from_secs(30));
}
