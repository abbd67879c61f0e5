//! `stillframe release`: a transaction. Whatever fails, and whenever: no tag says what is not signed, and the same command again ends
//! the work (checks SIG-01, SIG-13).

mod person;
mod races;
mod resume;
mod several;
mod together;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::git::git;
use crate::http::How;
use crate::registry::{Registry, on};
use crate::support::project::{Done, Run};
use crate::support::{Project, rooted};

/// A repository at the release 1.1.0, with a key, and a registry.
struct World {
    registry: Registry,
    project: Project,
}

const OLD: &str = "1.0.0";

impl World {
    async fn new(format: &str, more: &str) -> World {
        let registry = Registry::start().await;
        let manifest = format!(
            "schema = 1\n[image]\nname = \"{}/app\"\nbase = \"scratch\"\n[[file]]\nsrc = \"x\"\ndest = \"/x\"\n\
             [tags]\nsemver = [\"{{{{ version }}}}\", \"{{{{ major }}}}\"]\n\
             [sign]\nmethod = \"key\"\nkey = \"cosign.key\"\nformat = \"{format}\"\n{more}",
            registry.name()
        );
        let project = Project::of(&rooted(&manifest)).file("x", "new").file(".gitignore", "cosign.*\nreceipt.json\n");
        let world = World { registry, project };
        world.run(&["keygen"]).success();
        git(&world.project, &["init", "-q"]);
        git(&world.project, &["add", "."]);
        git(&world.project, &["commit", "-qm", "one"]);
        git(&world.project, &["tag", "v1.1.0"]);
        world.reset();
        world
    }

    /// The registry as it was before: one older release.
    fn reset(&self) {
        self.registry.heal();
        self.registry.set(|model| model.shelves.clear());
        let old = self.registry.image("app", OLD).to_string();
        self.registry.set(|model| {
            for tag in ["1", "latest"] {
                model.shelf("app").tags.insert(tag.into(), old.clone());
            }
        });
        self.registry.forget();
    }

    fn run(&self, words: &[&str]) -> Run {
        self.project.run(words).env("COSIGN_PASSWORD", "secret")
    }

    fn release(&self) -> Done {
        self.run(&["release"]).success()
    }

    fn tag(&self, tag: &str) -> Option<String> {
        self.registry.shelf("app").tags.get(tag).cloned()
    }

    fn signed(&self, digest: &str) -> bool {
        let reference = format!("{}/app@{digest}", self.registry.name());
        self.run(&["verify", &reference, "--key", "cosign.pub"]).ends().code == Some(0)
    }

    /// Whether every tag that is not the old one's says something that is signed.
    #[track_caller]
    fn holds(&self, at: &str) {
        let old = self.tag(OLD).unwrap();
        for tag in ["1.1.0", "1", "latest"] {
            let Some(now) = self.tag(tag).filter(|now| *now != old) else { continue };
            assert!(self.signed(&now), "{at}: `{tag}` says {now}, which is not signed");
        }
    }
}

const ATTEST: &str = "[attest]\nsbom = [\"spdx\", \"cyclonedx\"]\nprovenance = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_signed_and_attested_before_any_tag_moves() {
    for api in [true, false] {
        let world = World::new("both", ATTEST).await;
        world.registry.set(|model| model.referrers = api);
        let done = world.run(&["release", "--receipt", "receipt.json"]).success();
        let digest = done.digest();
        assert_eq!(
            [world.tag("1.1.0"), world.tag("1"), world.tag("latest")].map(Option::unwrap),
            [&digest; 3].map(String::clone)
        );
        assert!(world.signed(&digest));
        let reference = format!("{}/app@{digest}", world.registry.name());
        for kind in ["spdx", "cyclonedx", "slsaprovenance1"] {
            world.run(&["verify", &reference, "--key", "cosign.pub", "--attestation", kind]).success();
        }
        let puts: Vec<String> = world.registry.told().into_iter().filter(|line| line.starts_with("PUT")).collect();
        let tags = ["1.1.0", "1", "latest"].map(|tag| format!("PUT /v2/app/manifests/{tag}"));
        assert_eq!(puts[puts.len() - 3..], tags, "the tags are the last thing written");
        let receipt: Value =
            serde_json::from_slice(&std::fs::read(world.project.path("receipt.json")).unwrap()).unwrap();
        assert_eq!(receipt["signed"].as_array().unwrap().len(), 8, "four claims in two formats: {receipt}");
        assert_eq!(receipt["signers"].as_array().unwrap().len(), 1);
        let shelf = world.registry.shelf("app");
        for one in receipt["signed"].as_array().unwrap() {
            let (manifest, blob) = (&one["manifest"], &one["blob"]);
            let (kind, bytes) = &shelf.manifests[manifest["digest"].as_str().unwrap()];
            assert_eq!(
                (manifest["mediaType"].as_str().unwrap(), manifest["size"].as_u64()),
                (kind.as_str(), Some(bytes.len() as u64))
            );
            let named: Value = serde_json::from_slice(bytes).unwrap();
            let layer =
                named["layers"].as_array().unwrap().iter().find(|layer| layer["digest"] == blob["digest"]).unwrap();
            assert_eq!((&layer["size"], &layer["mediaType"]), (&blob["size"], &blob["mediaType"]));
            assert_eq!(shelf.blobs[blob["digest"].as_str().unwrap()].len() as u64, blob["size"].as_u64().unwrap());
        }
        let moved = &receipt["pushed"][0]["tags"][2];
        assert_eq!(
            (&moved["tag"], &moved["from"], &moved["to"]),
            (&"latest".into(), &json!(world.tag(OLD).unwrap()), &json!(digest))
        );
        assert_eq!(receipt["pushed"][0]["tags"][0]["how"], "set");
        assert!(!receipt["inputs"].as_array().unwrap().is_empty());

        world.registry.forget();
        world.release();
        assert_eq!(world.registry.count("PUT", ""), 0, "a second run changes nothing: {:?}", world.registry.told());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_refused_at_any_request_moves_no_tag_to_what_is_not_signed() {
    for format in ["bundle", "both"] {
        let world = World::new(format, "[attest]\nprovenance = true\n").await;
        let new = world.release().digest();
        let all = world.registry.log().len();
        assert!(all > 20, "{:?}", world.registry.told());
        // With both formats every request takes a second and a half more: only those that write are refused.
        let method = if format == "bundle" { "*" } else { "PUT" };
        let count = if format == "bundle" { all } else { world.registry.count("PUT", "") };
        for at in 0..count {
            world.reset();
            world.registry.fault(on(method, "").skip(at).times(1).status(403));
            let done = world.run(&["release"]).ends();
            world.holds(&format!("{format}, request {at}"));
            if done.code != Some(0) {
                assert_eq!(done.code, Some(3), "{at}: {}", done.stderr);
                assert!(done.stderr.contains("hint: "), "{at}: {}", done.stderr);
                world.registry.heal();
                assert_eq!(world.release().digest(), new);
            }
            assert_eq!(world.tag("latest").unwrap(), new, "{at}");
            world.holds(&format!("{format}, after request {at}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_killed_at_any_request_moves_no_tag_to_what_is_not_signed() {
    let world = World::new("bundle", "").await;
    let new = world.release().digest();
    let all = world.registry.log().len();
    for at in 0..all {
        world.reset();
        world.registry.fault(on("*", "").skip(at).times(1).how(How::Silence));
        let running = world.run(&["release"]).start();
        while world.registry.log().len() <= at {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(Command::new("kill").args(["-9", &running.id().to_string()]).status().unwrap().success());
        assert_eq!(running.ends().code, None, "{at}");
        world.registry.heal();
        world.holds(&format!("killed at request {at}"));
        assert_eq!(world.release().digest(), new, "{at}");
        assert_eq!(world.tag("latest").unwrap(), new, "{at}");
        assert!(world.signed(&new));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_01_a_tag_that_moves_in_between_does_not_change_what_is_signed() {
    let world = World::new("both", "").await;
    let pushed = world.run(&["push", "--receipt", "receipt.json"]).success().digest();
    let other = world.registry.image("app", "1.1.0").to_string();
    assert_ne!(other, pushed);
    let done = world.run(&["sign", "--from", "receipt.json"]).success();
    assert_eq!(done.digest(), pushed);
    assert!(world.signed(&pushed) && !world.signed(&other));
    // In a release nobody else's tag is read at all: the digest is its own.
    let done = world.run(&["release"]).fails(4);
    assert!(done.stderr.contains(&format!("it was released as {other}")), "{}", done.stderr);
    assert_eq!(world.tag("1.1.0").unwrap(), other);
    assert_eq!(world.run(&["release", "--overwrite"]).success().digest(), pushed);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_13_what_is_pushed_and_not_signed_is_said_and_can_be_resumed() {
    let world = World::new("bundle", "").await;
    let old = world.tag("latest").unwrap();
    world.registry.fault(on("GET", "/referrers/").status(403));
    let done = world.run(&["release", "--receipt", "receipt.json"]).fails(3);
    assert!(done.stderr.contains("the image is pushed, not signed"), "{}", done.stderr);
    assert!(done.stderr.contains("no tag was moved; run the same command again"), "{}", done.stderr);
    assert!(done.stderr.contains("stillframe sign --from receipt.json"), "{}", done.stderr);
    assert_eq!(world.tag("latest").unwrap(), old);
    world.registry.heal();
    let signed = world.run(&["sign", "--from", "receipt.json"]).success().digest();
    assert!(world.signed(&signed));
    assert_eq!(world.release().digest(), signed);
    let shelf = world.registry.shelf("app");
    let is_bundle = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("dev.sigstore.bundle.predicateType");
    let bundles = shelf.manifests.values().filter(|(_, bytes)| is_bundle(bytes));
    assert_eq!(bundles.count(), 1, "one signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_repositories_are_all_signed_before_a_tag_of_any_moves() {
    let world = World::new("bundle", "").await;
    let second = Registry::start().await;
    let manifest = std::fs::read_to_string(world.project.path("image.toml")).unwrap();
    let names = format!("name = [\"{}/app\", \"{}/other\"]", world.registry.name(), second.name());
    let one = format!("name = \"{}/app\"", world.registry.name());
    world.project.write("image.toml", manifest.replace(&one, &names));
    git(&world.project, &["commit", "-qam", "two"]);
    git(&world.project, &["tag", "-f", "v1.1.0"]);
    let old = world.tag("latest").unwrap();
    second.fault(on("GET", "/referrers/").status(403));
    world.run(&["release"]).fails(3);
    assert_eq!(world.tag("latest").unwrap(), old);
    assert!(second.shelf("other").tags.is_empty());
    second.heal();
    let done = world.release();
    assert_eq!(done.stdout.lines().count(), 2);
    let digest = world.tag("latest").unwrap();
    assert_eq!(second.shelf("other").tags["latest"], digest);
    let reference = format!("{}/other@{digest}", second.name());
    world.run(&["verify", &reference, "--key", "cosign.pub"]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_released_is_refused_before_anything_is_sent() {
    let world = World::new("bundle", "").await;
    let manifest = std::fs::read_to_string(world.project.path("image.toml")).unwrap();
    world.project.write("x", "changed");
    let done = world.run(&["release"]).fails(4);
    assert!(done.stderr.contains("the work tree is no commit: `x` is not committed"), "{}", done.stderr);
    git(&world.project, &["commit", "-qam", "two"]);
    let done = world.run(&["release"]).fails(4);
    assert!(done.stderr.contains("this commit is no release: no git tag points at HEAD"), "{}", done.stderr);
    let unsigned = rooted(manifest.split("[sign]").next().unwrap());
    world.project.write("image.toml", &unsigned);
    git(&world.project, &["commit", "-qam", "three"]);
    git(&world.project, &["tag", "v1.2.0"]);
    let done = world.run(&["release"]).fails(2);
    assert!(done.stderr.contains("[sign]") && done.stderr.contains("--no-sign"), "{}", done.stderr);
    let done = world.run(&["release", "--key", "cosign.key"]).env("COSIGN_PASSWORD", "wrong").ends();
    assert_ne!(done.code, Some(0));
    assert_eq!(world.registry.count("PUT", ""), 0, "nothing was sent");
    let digest = world.run(&["release", "--no-sign"]).success().digest();
    assert_eq!(world.tag("1.2.0").unwrap(), digest);
    assert!(!world.signed(&digest));
    assert!(world.run(&["release", "--key", "cosign.key"]).success().digest() == digest && world.signed(&digest));
}
