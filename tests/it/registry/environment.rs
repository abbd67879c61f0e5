//! What the environment says about credentials and hosts, as the program takes it (`Source::from_environment`, `Hosts::from_environment`).

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Registry;
use crate::support::Project;
use crate::support::project::Run;

const WORD: &str = "CANARY-word";

/// A credential file of docker and podman.
fn keys(registry: &Registry, word: &str) -> String {
    format!(r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#, registry.name(), STANDARD.encode(format!("ann:{word}")))
}

async fn private() -> (Registry, String) {
    let registry = Registry::start().await;
    registry.image("app", "1");
    registry.basic("ann", WORD);
    let name = format!("{}/app:1", registry.name());
    (registry, name)
}

fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_found_where_docker_and_podman_keep_them() {
    let (registry, name) = private().await;
    for (variable, value, file) in [
        ("HOME", "", ".docker/config.json"),
        ("HOME", "", ".config/containers/auth.json"),
        ("DOCKER_CONFIG", "d", "d/config.json"),
        ("XDG_RUNTIME_DIR", "run", "run/containers/auth.json"),
        ("XDG_CONFIG_HOME", "conf", "conf/containers/auth.json"),
        ("REGISTRY_AUTH_FILE", "keys/auth.json", "keys/auth.json"),
    ] {
        let project = Project::new();
        let pull = || project.run(["-vvv", "pull", &name]).env(variable, project.home().join(value));
        let refused = pull().fails(3);
        assert!(refused.stderr.contains("no credential for"), "{file}: {}", refused.stderr);
        write(project.home().join(file), &keys(&registry, WORD));
        let done = pull().success();
        assert!(done.stderr.contains(file), "the place is named: {}", done.stderr);
        // An empty variable counts as none.
        if variable != "HOME" {
            project.run(["pull", &name]).env(variable, "").fails(3);
        }
    }
    let project = Project::new();
    let pull = || project.run(["-vvv", "pull", &name]).env("DOCKER_AUTH_CONFIG", keys(&registry, WORD));
    assert!(pull().success().stderr.contains("`DOCKER_AUTH_CONFIG`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_place_of_credentials_counts() {
    let (registry, name) = private().await;
    let project = Project::new();
    let (right, wrong) = (keys(&registry, WORD), keys(&registry, "CANARY-wrong"));
    write(project.home().join(".docker/config.json"), &right);
    write(project.home().join("wrong/auth.json"), &wrong);
    let pull = || project.run(["pull", &name]);
    pull().success();
    pull().env("DOCKER_AUTH_CONFIG", &wrong).fails(3);
    // It stands alone: what it lacks is not looked for elsewhere.
    pull().env("REGISTRY_AUTH_FILE", project.home().join("wrong/auth.json")).fails(3);
    pull().env("REGISTRY_AUTH_FILE", project.home().join("none/auth.json")).fails(3);
    pull().env("DOCKER_AUTH_CONFIG", &right).env("REGISTRY_AUTH_FILE", "/nonexistent").success();
    // A place that cannot be read is an error, not an empty place.
    let broken = pull().env("DOCKER_AUTH_CONFIG", "{\"auths\": CANARY-x").fails(2);
    assert!(broken.stderr.contains("`DOCKER_AUTH_CONFIG`"), "{}", broken.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_declared_in_a_file_of_the_machine() {
    let (registry, mirror) = (Registry::start().await, Registry::start().await);
    mirror.image("app", "1");
    let (name, hosts) = (
        format!("{}/app:1", registry.name()),
        format!("[host.\"{}\"]\nmirrors = [\"{}\"]\n", registry.name(), mirror.name()),
    );
    type Change = fn(Run, &Project) -> Run;
    let places: [(&str, Change); 3] = [
        (".config/stillframe/registries.toml", |run, _| run),
        ("conf/stillframe/registries.toml", |run, it| run.env("XDG_CONFIG_HOME", it.home().join("conf"))),
        ("mine.toml", |run, it| run.env("STILLFRAME_REGISTRIES", it.home().join("mine.toml"))),
    ];
    for (file, change) in places {
        let project = Project::new();
        let pull = || change(project.run(["pull", &name]), &project);
        let named = file == "mine.toml";
        let without = pull().fails(if named { 2 } else { 3 });
        assert_eq!(without.stderr.contains("`STILLFRAME_REGISTRIES` names it"), named, "{}", without.stderr);
        write(project.home().join(file), &hosts);
        pull().success();
        write(project.home().join(file), "[host.\"x.test\"]\nhtpp = true\n");
        let wrong = pull().fails(2);
        assert!(wrong.stderr.contains(&format!("{file}:2:1")), "{}", wrong.stderr);
    }
    // The variable stands alone.
    let project = Project::new();
    write(project.home().join(".config/stillframe/registries.toml"), "nonsense");
    write(project.home().join("mine.toml"), &hosts);
    project.run(["pull", &name]).fails(2);
    project.run(["pull", &name]).env("STILLFRAME_REGISTRIES", project.home().join("mine.toml")).success();
}
