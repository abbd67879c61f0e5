//! Answers without an end, and documents that are too large (checks LIM-01, LIM-02), through the program and in little memory: the
//! system gives it no more than [`MOST_MEMORY`] that it could write to, which is more than what it has in use (RSS) but for its own code.

use stillframe::oci::{Descriptor, media};

use super::stand::{digest, noise};
use super::{Guard, How, Registry, Response, on};
use crate::support::project::{Done, Run};
use crate::support::{Project, manifest, scratch};

/// In KiB.
const MOST_MEMORY: u32 = 100 << 10;

/// A run that gets so much memory and no more.
fn little(run: Run) -> Run {
    run.after(&format!("ulimit -d {MOST_MEMORY} || exit 99"))
}

/// Words that must be said.
fn says(done: &Done, words: &[&str]) {
    for word in words {
        assert!(done.stderr.contains(word), "`{word}` is missing: {}", done.stderr);
    }
}

fn endless(status: u16, body: &str) -> Response {
    Response::new(status).header("Content-Type", media::INDEX).body(body).how(How::Endless)
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_01_every_endless_answer_has_a_limit_of_its_own() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let at = format!("{}/app@{digest}", registry.name());
    let endless_manifest = || on("GET", "/manifests/").reply(endless(200, " "));
    let open = || Guard::Open;
    let tokens =
        || Guard::Bearer { realm: String::new(), user: "user".to_string(), password: "CANARY-word".to_string() };
    let error = on("GET", "/manifests/").reply(endless(403, "CANNOT "));
    for (guard, fault, words, limit) in [
        (open(), endless_manifest(), ["pull", &at], "over 4194304 bytes"),
        (tokens(), on("GET", "/token").reply(endless(200, " ")), ["pull", &at], "over 262144 bytes"),
        (open(), error, ["pull", &at], "403 Forbidden: CANNOT"),
        (open(), on("GET", "/referrers/").reply(endless(200, "{")), ["copy", &at], "over 16777216 bytes"),
        (open(), on("GET", "/blobs/").reply(endless(200, "x")), ["pull", &at], "more than the 2 bytes"),
    ] {
        registry.heal();
        registry.set(|model| model.guard = guard);
        registry.fault(fault);
        let project = Project::new();
        let run = || project.run(words.into_iter().chain((words[0] == "copy").then_some("oci:out")));
        let done = little(run()).fails(3);
        says(&done, &[limit]);
        assert!(done.stderr.len() < 4000, "{}", done.stderr);
        registry.heal();
        little(run()).success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_01_a_config_is_bounded_before_it_is_read() {
    let registry = Registry::start().await;
    let layer = Descriptor { media_type: media::LAYER.into(), ..registry.blob("app", &noise(10)) };
    let mut built = Vec::new();
    for (size, limit) in [(2u64, "more than the 2 bytes"), (1 << 40, "8388608 are allowed")] {
        let config = Descriptor::new(media::CONFIG, digest(b"{}"), size);
        let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        let digest = registry.manifest("app", "1", media::MANIFEST, text.as_bytes());
        registry.fault(on("GET", "/blobs/").reply(endless(200, " ")));
        let project = Project::of(&manifest(&format!("{}/app@{digest}", registry.name()), ""));
        let done = little(project.run(["build"])).fails(3);
        says(&done, &[limit]);
        built.push(project);
    }
    little(Project::of(&scratch("")).run(["build"])).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_01_a_helper_that_never_stops_is_stopped() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    registry.basic("ann", "CANARY-word");
    let name = format!("{}/app:1", registry.name());
    let run = |script: &str| {
        let project = Project::new();
        project.write("docker/config.json", r#"{"credsStore":"stub"}"#);
        let project = project.file_mode("bin/docker-credential-stub", format!("#!/bin/sh\n{script}\n"), 0o755);
        let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
        let run = project.run(["-vvv", "pull", &name]).env("DOCKER_CONFIG", project.path("docker")).env("PATH", path);
        little(run).ends()
    };
    let done = run("while :; do echo CANARY-x CANARY-x CANARY-x CANARY-x CANARY-x CANARY-x; done").expect(2);
    says(&done, &["docker-credential-stub", "over 1048576 bytes"]);
    run(r#"echo '{"Username":"ann","Secret":"CANARY-word"}'"#).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_02_what_is_too_large_or_too_deep_names_its_limit() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let size = registry.shelf("app").manifests[&digest.to_string()].1.len() as u64;
    let image = Descriptor::new(media::MANIFEST, digest, size);
    let index = |name: &str, entries: Vec<Descriptor>| {
        let text = serde_json::json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": entries}).to_string();
        let digest = registry.manifest("app", name, media::INDEX, text.as_bytes());
        Descriptor::new(media::INDEX, digest, text.len() as u64)
    };
    let small = Descriptor::new("m", digest, 1);
    index("entries-100000", vec![small.clone(); 100_000]);
    index("entries-10001", vec![small; 10_001]);
    index("entries-1000", vec![image.clone(); 1000]);
    let mut deep = image;
    for depth in 1..=50 {
        deep = index(&format!("deep-{depth}"), vec![deep]);
    }
    let layered = |count: usize| {
        let config = registry.blob("app", b"{}");
        let layer = registry.blob("app", b"layer");
        let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": vec![layer; count]}).to_string();
        registry.manifest("app", &format!("layers-{count}"), media::MANIFEST, text.as_bytes());
    };
    [1000, 1001, 10_000].into_iter().for_each(layered);
    for (name, limit) in [
        ("entries-100000", Some("over 4194304 bytes")),
        ("entries-10001", Some("the limit is 10000")),
        ("entries-1000", None),
        ("deep-50", Some("more than 8 deep")),
        ("deep-9", Some("more than 8 deep")),
        ("deep-8", None),
        ("layers-10000", Some("the limit is 1000")),
        ("layers-1001", Some("the limit is 1000")),
        ("layers-1000", None),
    ] {
        let project = Project::new();
        let done = little(project.run(["pull", &format!("{}/app:{name}", registry.name())])).ends();
        match limit {
            Some(limit) => says(&done.expect(3), &[limit]),
            None => drop(done.expect(0)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_01_what_is_large_when_it_is_read_is_bounded_too() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let fill = |start: &str, one: &str, end: &str, length: usize| {
        let count = (length - start.len() - end.len()) / one.len();
        format!("{start}{}{end}", vec![one.trim_end_matches('|'); count].join(","))
    };
    // Each byte or two becomes a value, which takes many times as much.
    let config = registry.blob("app", b"{}");
    let head = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{}","digest":"{}","size":2}},"layers":[],"#,
        media::CONFIG,
        config.digest
    );
    for one in ["0|", "{}|", "[]|", "\"\"|"] {
        let text = fill(&format!("{head}\"x\":["), one, "]}", 4 << 20);
        assert!(text.len() <= 4 << 20);
        registry.manifest("app", "wide", media::MANIFEST, text.as_bytes());
        let done = little(Project::new().run(["pull", &format!("{}/app:wide", registry.name())])).ends();
        assert!(matches!(done.code, Some(0 | 3)), "{one}: {:?} {}", done.code, done.stderr);
    }
    let list = fill("{\"manifests\":[", "0|", "]}", 16 << 20);
    registry.fault(on("GET", "/referrers/").reply(Response::new(200).body(list)));
    let done = little(Project::new().run(["copy", &format!("{}/app@{digest}", registry.name()), "oci:out"])).ends();
    assert_eq!(done.code, Some(3), "{}", done.stderr);
}

#[test]
fn lim_01_the_limit_of_memory_is_kept_by_the_system() {
    let project = Project::of(&scratch(""));
    project.run(["build"]).after("ulimit -d 102400").success();
    let done = project.run(["build"]).after("ulimit -d 1000").ends();
    assert_ne!(done.code, Some(0), "so little memory is not enough for anything");
}
