//! Check SIG-12: everything that a registry says is bounded.

use serde_json::{Value, json};
use stillframe::oci::media;

use super::World;
use super::fixture::{BUNDLE, ENVELOPE, SIMPLE, SPDX, legacy, log_entries};
use crate::registry::{Response, on};

#[tokio::test(flavor = "multi_thread")]
async fn sig_12_1001_legacy_signatures_are_too_many_and_1000_are_not() {
    let world = World::new().await;
    let (payload, annotations) = world.signer.simple(&world.digest);
    let layer = (SIMPLE, payload, annotations);
    legacy(&world.registry, "app", &world.digest, "sig", &vec![layer.clone(); 1001]);
    let done = world.keyed(&[]).expect(3);
    assert!(done.stderr.contains("1001 layers, the limit is 1000"), "{}", done.stderr);
    assert_eq!(world.registry.count("GET", "/blobs/"), 0);
    let mut layers = vec![(SIMPLE, b"{}".to_vec(), json!({})); 999];
    layers.push(layer);
    legacy(&world.registry, "app", &world.digest, "sig", &layers);
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_12_1001_referrers_are_too_many() {
    let world = World::new().await;
    let entry = |at: usize| json!({"mediaType": media::MANIFEST, "digest": format!("sha256:{at:064x}"), "size": 100, "artifactType": BUNDLE});
    let entries: Vec<Value> = (0..1001).map(entry).collect();
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": entries}).to_string();
    let answer = Response::new(200).header("Content-Type", media::INDEX).body(index);
    world.registry.fault(on("GET", "/referrers/").reply(answer));
    let done = world.keyed(&[]).expect(3);
    assert!(done.stderr.contains("1001 manifests refer to"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_12_an_attestation_of_200_mb_is_not_fetched() {
    let world = World::new().await;
    let annotations = json!({"dev.cosignproject.cosign/signature": "", "predicateType": SPDX});
    legacy(&world.registry, "app", &world.digest, "att", &[(ENVELOPE, b"{}".to_vec(), annotations)]);
    let tag = format!("{}.att", world.digest.replace(':', "-"));
    let shelf = world.registry.shelf("app");
    let mut manifest: Value = serde_json::from_slice(&shelf.manifests[&shelf.tags[&tag]].1).unwrap();
    manifest["layers"][0]["size"] = json!(200_000_000);
    world.registry.manifest("app", &tag, media::MANIFEST, manifest.to_string().as_bytes());
    let done = world.keyed(&["--attestation", "spdx"]).expect(4);
    assert!(done.stderr.contains("it has 200000000 bytes"), "{}", done.stderr);
    assert_eq!(world.registry.count("GET", "/blobs/"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_12_33_log_entries_are_too_many() {
    let world = World::new().await;
    let mut bundle = world.signer.signature(&world.digest);
    let entry = log_entries("intoto-with-custom-trust-root").remove(0);
    bundle["verificationMaterial"]["tlogEntries"] = json!(vec![entry; 33]);
    world.attach(&bundle);
    world.refused(&[], "over 32 log entries");
    bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    world.attach(&bundle);
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_12_the_bytes_of_all_candidates_are_bounded() {
    let world = World::new().await;
    // Statements of another kind, each padded to nearly the limit; five of them are over the limit of all.
    for at in 0..6 {
        let mut bundle = world.signer.signature(&world.digest).to_string();
        let padding = (60 << 20) + at;
        bundle.insert_str(0, &" ".repeat(padding));
        let bundle = bundle.replace("publicKey", "certificate");
        super::fixture::attach_bytes(&world.registry, "app", &world.digest, bundle.as_bytes(), &json!({}));
    }
    let done = world.keyed(&[]).expect(3);
    assert!(done.stderr.contains("bytes of candidates"), "{}", done.stderr);
    assert_eq!(world.registry.count("GET", "/blobs/"), 5);
}
