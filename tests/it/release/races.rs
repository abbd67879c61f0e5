//! Releases at the same instant. No registry locks a tag: no order of their requests leaves a shared tag at the lower release, and one
//! version that two released differently is an error.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use super::{OLD, World};
use crate::git::git;
use crate::registry::{Response, on};
use crate::support::project::{Done, Running};

/// Another release that happens while the first one's answer to a request is held back.
async fn meanwhile(world: &World, method: &'static str, path: &str, what: impl FnOnce(&World)) -> Done {
    let gate = Arc::new(Notify::new());
    world.registry.fault(on(method, path).times(1).until(&gate));
    let before = world.registry.count(method, path);
    let running: Running = world.run(&["release", "--receipt", "receipt.json"]).start();
    world.registry.saw(before + 1, method, path).await;
    what(world);
    gate.notify_one();
    tokio::task::spawn_blocking(move || running.ends()).await.unwrap()
}

/// Others release 1.2.0 under these tags.
fn higher(world: &World, tags: &[&str]) -> String {
    let blob = world.registry.blob("app", b"another config");
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":14}},"layers":[]}}"#,
        blob.digest
    );
    let kind = "application/vnd.oci.image.manifest.v1+json";
    tags.iter().map(|tag| world.registry.manifest("app", tag, kind, text.as_bytes()).to_string()).last().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_tag_that_went_back_is_given_to_the_higher_release() {
    let world = World::new("bundle", "").await;
    let all = ["1.2.0", "1", "latest"];
    // All of the other's tags were set after ours were decided on; then each of ours was set after the other's.
    let done = meanwhile(&world, "PUT", "/manifests/1.1.0", |world| drop(higher(world, &all))).await.expect(0);
    let (ours, theirs) = (done.digest(), world.tag("1.2.0").unwrap());
    assert_ne!(ours, theirs);
    assert_eq!(world.tag("1.1.0").unwrap(), ours);
    assert_eq!([world.tag("1"), world.tag("latest")].map(Option::unwrap), [&theirs; 2].map(String::clone));
    let receipt: Value = serde_json::from_slice(&std::fs::read(world.project.path("receipt.json")).unwrap()).unwrap();
    let tags = receipt["pushed"][0]["tags"].as_array().unwrap();
    let how: Vec<&str> = tags.iter().map(|tag| tag["how"].as_str().unwrap()).collect();
    assert_eq!(how, ["set", "given away", "given away"]);
    assert_eq!(tags[2]["why"], "1.2.0 is higher than 1.1.0, and was released at the same time");
    assert!(done.stderr.contains("given to 1.2.0"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_comes_during_the_last_look_is_seen_too() {
    let world = World::new("bundle", "").await;
    // The other one has only its own tag yet when ours go back; it sets the shared ones later itself.
    let done = meanwhile(&world, "PUT", "/manifests/latest", |world| drop(higher(world, &["1.2.0"]))).await.expect(0);
    let theirs = world.tag("1.2.0").unwrap();
    assert_eq!([world.tag("1"), world.tag("latest")].map(Option::unwrap), [&theirs; 2].map(String::clone));
    assert_eq!(world.tag("1.1.0").unwrap(), done.digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_version_that_two_release_differently_is_an_error() {
    let world = World::new("bundle", "").await;
    let done = meanwhile(&world, "PUT", "/manifests/latest", |world| drop(higher(world, &["1.1.0"]))).await.expect(4);
    assert!(done.stderr.contains("app:1.1.0` at the same time"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_at_once_end_with_the_higher_one_in_any_order() {
    let world = World::new("bundle", "").await;
    let old = world.project.path("");
    let newer = crate::support::Project::named("newer");
    git(&newer, &["clone", "-q", old.to_str().unwrap(), "clone"]);
    for file in ["cosign.key", "cosign.pub"] {
        std::fs::copy(world.project.path(file), newer.path(&format!("clone/{file}"))).unwrap();
    }
    newer.write("clone/x", "newer");
    let clone = newer.path("clone").to_str().unwrap().to_string();
    for words in [&["commit", "-qam", "two"][..], &["tag", "-d", "v1.1.0"], &["tag", "v1.2.0"]] {
        git(&newer, &[&["-C", &clone], words].concat());
    }
    let digests = |pair: [&Done; 2]| pair.map(|done| done.digest());
    let mut expected = None;
    for round in 0..4 {
        world.reset();
        let one = world.run(&["release"]).start();
        let two =
            newer.run(["-f", &clone, "release"]).cwd(&newer.path("clone")).env("COSIGN_PASSWORD", "secret").start();
        let pair = tokio::task::spawn_blocking(move || [one.ends(), two.ends()]).await.unwrap();
        let [one, two] = pair.map(|done| done.expect(0));
        let digests = digests([&one, &two]);
        assert_eq!(*expected.get_or_insert(digests.clone()), digests);
        let tags = ["1.1.0", "1.2.0", "1", "latest"].map(|tag| world.tag(tag).unwrap());
        assert_eq!(tags, [&digests[0], &digests[1], &digests[1], &digests[1]].map(String::clone), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_a_tag_that_is_there_is_no_list() {
    let world = World::new("bundle", "").await;
    let old = world.tag("latest").unwrap();
    for answer in [Response::error(404, "NAME_UNKNOWN"), Response::new(200).body(r#"{"name":"app","tags":null}"#)] {
        world.registry.fault(on("GET", "/tags/list").reply(answer));
        let done = world.run(&["release"]).fails(3);
        assert!(done.stderr.contains("but lists no tags at all"), "{}", done.stderr);
        assert_eq!(world.tag("latest").unwrap(), old);
        world.registry.heal();
    }
    world.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_behind_does_not_say_what_a_tag_is() {
    let world = World::new("both", "").await;
    let mirror = crate::registry::Registry::start().await;
    let digest = world.release().digest();
    // The mirror has what was there before: another image under the tags, and nobody's signatures.
    let shelf = world.registry.shelf("app");
    mirror.set(|model| drop(model.shelves.insert("app".into(), shelf)));
    let sig = format!("{}.sig", digest.replace(':', "-"));
    let none = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
    mirror.manifest("app", &sig, "application/vnd.oci.image.manifest.v1+json", none.as_bytes());
    mirror.image("app", "latest");
    world
        .project
        .write("registries.toml", format!("[host.\"{}\"]\nmirrors = [\"{}\"]\n", world.registry.name(), mirror.name()));
    let hosts = world.project.path("registries.toml");
    let run = |words: &[&str]| world.run(words).env("STILLFRAME_REGISTRIES", &hosts);
    let reference = format!("{}/app:latest", world.registry.name());
    assert_eq!(run(&["verify", &reference, "--key", "cosign.pub"]).success().digest(), digest);
    let layers = || {
        let shelf = world.registry.shelf("app");
        let text = &shelf.manifests[&shelf.tags[&sig]].1;
        serde_json::from_slice::<Value>(text).unwrap()["layers"].as_array().unwrap().len()
    };
    assert_eq!(layers(), 1);
    run(&["keygen", "--output-prefix", "cosign.second"]).success();
    run(&["sign", &reference, "--key", "cosign.second.key"]).success();
    assert_eq!(layers(), 2, "the signature that was there stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_tag_that_an_older_release_took_last_is_set_again() {
    let world = World::new("bundle", "").await;
    let old = world.tag(OLD).unwrap();
    // Somebody else's older release, which never looks again.
    let done = meanwhile(&world, "PUT", "/manifests/latest", |world| {
        world.registry.set(|model| drop(model.shelf("app").tags.insert("latest".into(), old.clone())));
    })
    .await
    .expect(0);
    assert_eq!(world.tag("latest").unwrap(), done.digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_release_that_comes_while_a_tag_is_given_away_gets_it() {
    let world = World::new("bundle", "").await;
    let gate = Arc::new(Notify::new());
    let first = Arc::new(Notify::new());
    // 1.2.0 comes before our last look; 1.3.0, and its own `latest`, while we give `latest` to 1.2.0.
    world.registry.fault(on("PUT", "/manifests/latest").times(1).until(&first));
    world.registry.fault(on("PUT", "/manifests/latest").times(1).until(&gate));
    let running: Running = world.run(&["release"]).start();
    world.registry.saw(1, "PUT", "/manifests/latest").await;
    higher(&world, &["1.2.0"]);
    first.notify_one();
    world.registry.saw(2, "PUT", "/manifests/latest").await;
    let highest = world.registry.image("app", "1.3.0").to_string();
    gate.notify_one();
    tokio::task::spawn_blocking(move || running.ends()).await.unwrap().expect(0);
    assert_eq!([world.tag("1"), world.tag("latest")].map(Option::unwrap), [&highest; 2].map(String::clone));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_only_says_to_have_set_a_tag_is_not_believed() {
    let world = World::new("bundle", "").await;
    let accepted = || Response::new(201);
    world.registry.fault(on("PUT", "/manifests/latest").times(1).reply(accepted()));
    let done = world.run(&["release"]).success();
    assert_eq!(world.tag("latest").unwrap(), done.digest(), "it was set again");
    world.reset();
    world.registry.fault(on("PUT", "/manifests/1.1.0").reply(accepted()));
    let done = world.run(&["release"]).fails(3);
    assert!(done.stderr.contains("did not stay as they were set"), "{}", done.stderr);
    // Nor is a digest in a header what a tag leads to.
    world.reset();
    let old = world.tag(OLD).unwrap();
    let digest = world.release().digest();
    let shelf = world.registry.shelf("app");
    world.reset();
    let lie = move |_: &crate::registry::Request, response: Response| {
        let (kind, bytes) = shelf.manifests[&old].clone();
        response.header("Content-Type", kind).header("Docker-Content-Digest", &digest).body(bytes)
    };
    world.registry.fault(on("GET", "/manifests/latest").edit(lie));
    world.run(&["release"]).fails(3);
}
