//! A release in two jobs: one builds and has no key, the other has the key and no sources.

use std::fs;

use serde_json::{Value, json};

use super::{ATTEST, OLD, World};
use crate::git::git;
use crate::registry::on;
use crate::support::Project;
use crate::support::project::Run;

/// A job that has the key of a world and a receipt, and nothing else.
fn job(world: &World, receipt: &Value) -> Project {
    let job = Project::named("job").file("receipt.json", receipt.to_string());
    for file in ["cosign.key", "cosign.pub"] {
        job.write(file, fs::read(world.project.path(file)).unwrap());
    }
    job
}

fn sign(job: &Project) -> Run {
    let words = ["sign", "--from", "receipt.json", "--key", "cosign.key", "--receipt", "signed.json"];
    job.run(words).env("COSIGN_PASSWORD", "secret")
}

fn receipt(project: &Project, name: &str) -> Value {
    serde_json::from_slice(&fs::read(project.path(name)).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_job_prepares_another_signs_and_tags() {
    let world = World::new("both", ATTEST).await;
    let words =
        ["release", "--prepare", "--receipt", "receipt.json", "-a", "stage=prod", "--builder-id", "urn:acme:ci"];
    let digest = world.project.run(words).success().digest();
    assert_eq!(world.tag("1.1.0"), None);
    assert_eq!(world.tag("latest"), world.tag(OLD));
    assert!(!world.signed(&digest));
    let prepared = receipt(&world.project, "receipt.json");
    assert_eq!(prepared["remaining"]["attest"].as_array().unwrap().len(), 3);
    let job = job(&world, &prepared);
    assert_eq!(sign(&job).success().digest(), digest);
    let tags = ["1.1.0", "1", "latest"].map(|tag| world.tag(tag).unwrap());
    assert_eq!(tags, [&digest; 3].map(String::clone));
    let reference = format!("{}/app@{digest}", world.registry.name());
    let verify = |words: &[&str]| {
        job.run([&["verify", &reference, "--key", "cosign.pub", "--format", "json"], words].concat()).success().json()
    };
    verify(&["--annotation", "stage=prod"]);
    for kind in ["spdx", "cyclonedx"] {
        verify(&["--attestation", kind]);
    }
    let provenance = verify(&["--attestation", "slsaprovenance1"]);
    let builder = &provenance["images"][0]["accepted"][0]["predicate"]["runDetails"]["builder"]["id"];
    assert_eq!(builder, "urn:acme:ci");
    let signed = receipt(&job, "signed.json");
    assert_eq!(signed["signed"].as_array().unwrap().len(), 8);
    assert_eq!(signed["pushed"][0]["tags"][0], json!({"tag": "1.1.0", "how": "set", "to": digest}));
    assert_eq!(signed["remaining"], Value::Null);
    world.registry.forget();
    sign(&job).success();
    assert_eq!(world.registry.count("PUT", ""), 0, "a second run changes nothing: {:?}", world.registry.told());
    // And it is the release that one job would have made.
    world.run(&["release", "--builder-id", "urn:acme:ci", "-a", "stage=prod"]).success();
    assert_eq!(world.registry.count("PUT", ""), 0, "{:?}", world.registry.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_that_signs_follows_the_releases_of_its_own_time() {
    let world = World::new("bundle", "").await;
    let prepare = ["release", "--prepare", "--receipt", "receipt.json"];
    let digest = world.project.run(prepare).success().digest();
    let job = job(&world, &receipt(&world.project, "receipt.json"));
    let newer = world.registry.image("app", "1.2.0").to_string();
    sign(&job).success();
    assert_eq!(world.tag("1.1.0").unwrap(), digest);
    assert_ne!(world.tag("1").unwrap(), digest, "{newer} is higher");
    // Somebody else has released the version meanwhile.
    world.reset();
    world.project.run(prepare).success();
    let other = world.registry.image("app", "1.1.0").to_string();
    let done = sign(&job).fails(4);
    assert!(done.stderr.contains(&format!("it was released as {other}")), "{}", done.stderr);
    assert_eq!(world.tag("1.1.0").unwrap(), other);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_job_refused_at_any_write_moves_no_tag_to_what_is_not_signed() {
    let world = World::new("bundle", "[attest]\nprovenance = true\n").await;
    let prepare = ["release", "--prepare", "--receipt", "receipt.json"];
    let digest = world.project.run(prepare).success().digest();
    let job = job(&world, &receipt(&world.project, "receipt.json"));
    world.registry.forget();
    sign(&job).success();
    let count = world.registry.count("PUT", "");
    assert!(count > 6, "{:?}", world.registry.told());
    for at in 0..count {
        world.reset();
        world.project.run(prepare).success();
        world.registry.fault(on("PUT", "").skip(at).times(1).status(403));
        let done = sign(&job).ends();
        world.holds(&format!("request {at}"));
        assert_eq!(done.code, Some(3), "{at}: {}", done.stderr);
        world.registry.heal();
        sign(&job).success();
        assert_eq!(world.tag("latest").unwrap(), digest, "{at}");
        world.holds(&format!("after request {at}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_interrupted_at_its_tags_is_ended_by_its_receipt() {
    let world = World::new("bundle", "").await;
    world.registry.fault(on("PUT", "/manifests/latest").status(403));
    let done = world.run(&["release", "--receipt", "receipt.json"]).fails(3);
    assert!(done.stderr.contains("stillframe sign --from receipt.json"), "{}", done.stderr);
    assert!(done.stderr.contains("not set yet: "), "{}", done.stderr);
    let left = receipt(&world.project, "receipt.json");
    assert_eq!(left["pushed"][0]["tags"].as_array().unwrap().len(), 2);
    world.registry.heal();
    let digest = sign(&job(&world, &left)).success().digest();
    assert_eq!(world.tag("latest").unwrap(), digest);
    // A receipt of a release that was ended, and of a push, is only signed.
    world.run(&["release", "--receipt", "receipt.json"]).success();
    assert_eq!(receipt(&world.project, "receipt.json")["remaining"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_changed_is_refused() {
    let world = World::new("bundle", "[attest]\nprovenance = true\n").await;
    world.project.run(["release", "--prepare", "--receipt", "receipt.json"]).success();
    let good = receipt(&world.project, "receipt.json");
    let other = world.registry.image("app", "other").to_string();
    world.registry.forget();
    let refuse = |change: &dyn Fn(&mut Value), reason: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let done = sign(&job(&world, &bad)).fails(2);
        assert!(done.stderr.contains(reason), "{reason}: {}", done.stderr);
        assert_eq!(world.registry.count("PUT", ""), 0);
    };
    refuse(&|bad| bad["remaining"]["attest"][0]["subject"]["digest"] = json!(other), "which is not in the release");
    let second = format!("{}/app@{other}", world.registry.name());
    refuse(&|bad| bad["references"].as_array_mut().unwrap().push(json!(second)), "several digests");
    refuse(&|bad| bad["references"] = json!([]), "is not a receipt");
    refuse(&|bad| bad["references"][0] = json!(format!("{}/app:latest", world.registry.name())), "is not a receipt");
    refuse(&|bad| bad["remaining"]["tags"]["wishes"][0]["tag"] = json!("../x"), "its tags cannot be read");
    refuse(&|bad| bad["remaining"]["attest"] = json!("x"), "what remains of it cannot be read");
    sign(&job(&world, &good)).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_lost_is_not_signed_from_memory() {
    let world = World::new("bundle", "").await;
    world.project.run(["release", "--prepare", "--receipt", "receipt.json"]).success();
    let prepared = receipt(&world.project, "receipt.json");
    let digest = prepared["digest"].as_str().unwrap().to_string();
    let job = job(&world, &prepared);
    // The job has the image in its store, and the registry has it no more.
    let reference = format!("{}/app@{digest}", world.registry.name());
    job.run(["pull", &reference]).success();
    world.registry.set(|model| drop(model.shelf("app").manifests.remove(&digest)));
    world.registry.forget();
    let done = sign(&job).fails(3);
    assert!(done.stderr.contains("which the receipt names"), "{}", done.stderr);
    assert_eq!(world.registry.count("PUT", ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_carried_is_said_before_anything_is_made() {
    let world = World::new("bundle", "").await;
    let manifest = fs::read_to_string(world.project.path("image.toml")).unwrap();
    let odd = "\"{% if major | int > 1 %}new{% else %}old{% endif %}\"";
    world.project.write("image.toml", manifest.replace("\"{{ major }}\"", odd));
    git(&world.project, &["commit", "-qam", "two"]);
    git(&world.project, &["tag", "-f", "v1.1.0"]);
    let done = world.run(&["release", "--prepare", "--receipt", "receipt.json"]).fails(2);
    assert!(done.stderr.contains("the tag `old` cannot be set by another job"), "{}", done.stderr);
    assert_eq!(world.registry.log().len(), 0);
    world.release();
    assert!(world.tag("old").is_some());
    world.run(&["release", "--prepare"]).fails(2);
    world.run(&["release", "--prepare", "--receipt", "receipt.json", "--key", "cosign.key"]).fails(2);
    assert!(world.run(&["provenance", "--builder-id", "no uri"]).fails(2).stderr.contains("it must be a URI"));
}
