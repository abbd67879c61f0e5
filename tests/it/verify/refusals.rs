//! What is never taken (checks SIG-05 to SIG-11).

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use stillframe::manifest::Matcher;
use stillframe::oci::Digest;
use stillframe::trust::root::Roots;
use stillframe::trust::verify::{Policy, check_blob};

use super::World;
use super::fixture::{PAYLOAD, SIGN, SIMPLE, SPDX, Signer, bundle, legacy, log_entries, statement};

#[tokio::test(flavor = "multi_thread")]
async fn sig_05_a_signature_of_another_image_is_refused() {
    let world = World::new().await;
    let other = format!("sha256:{}", "1".repeat(64));
    world.attach(&world.signer.signature(&other));
    world.refused(&[], "about another image");
    let (payload, annotations) = world.signer.simple(&other);
    legacy(&world.registry, "app", &world.digest, "sig", &[(SIMPLE, payload, annotations)]);
    world.refused(&[], "the payload is about another image");
    world.attach(&world.signer.signature(&world.digest));
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_06_a_log_entry_of_another_artifact_is_refused() {
    let world = World::new().await;
    let mut bundle = world.signer.signature(&world.digest);
    bundle["verificationMaterial"]["tlogEntries"] = json!(log_entries("intoto-with-custom-trust-root"));
    world.attach(&bundle);
    world.refused(&[], "proofs do not hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_log_does_not_do_where_a_log_is_asked_for() {
    let world = World::new().await;
    world.attach(&world.signer.signature(&world.digest));
    world.accepted(&[]);
    let root = "tests/it/conformance/sigstore-bundle-verify/intoto-with-custom-trust-root/trusted_root.json";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    world.refused(&["--require-log", "--trusted-root", root.to_str().unwrap()], "proofs do not hold");
    world.keyed(&["--require-log", "--trusted-root", "none.json"]).expect(2);
    world.keyed(&["--require-log", "--trusted-root", "cosign.pub"]).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_07_and_11_an_empty_policy_is_a_mistake_of_usage() {
    let world = World::new().await;
    world.attach(&world.signer.signature(&world.digest));
    for words in [
        &[][..],
        &["--identity", "a@example.com"],
        &["--identity-regexp", ".*"],
        &["--issuer", "https://issuer.test"],
        &["--identity", "", "--issuer", "https://issuer.test"],
        &["--identity", "a@example.com", "--issuer", ""],
        &["--identity-regexp", "(", "--issuer", "https://issuer.test"],
        &["--key", "cosign.pub", "--identity", "a@example.com"],
        &["--key", "none.pub"],
    ] {
        world.ends(words).expect(2);
    }
    world.project.write("private.pub", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n");
    assert!(world.ends(&["--key", "private.pub"]).expect(2).stderr.contains("it is a private key"));
    world.ends(&["--key", "cosign.pub"]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_not_met_by_a_key() {
    let world = World::new().await;
    world.attach(&world.signer.signature(&world.digest));
    let words = ["--identity", "a@example.com", "--issuer", "https://issuer.test", "--offline"];
    // Without the network the registry cannot be asked, but the root that the program carries can be trusted by.
    assert!(world.ends(&words).expect(3).stderr.contains("offline"));
    let root = "tests/it/conformance/sigstore-bundle-verify/intoto-with-custom-trust-root/trusted_root.json";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let words = [&words[..4], &["--trusted-root", root.to_str().unwrap()]].concat();
    let done = world.ends(&words).expect(4);
    assert!(done.stderr.contains("made with a key, not with a certificate"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_09_an_envelope_has_one_signature_and_one_payload_type() {
    let world = World::new().await;
    let statement = statement(SIGN, &world.digest);
    let good = world.signer.envelope(PAYLOAD, &statement);
    let mut none = good.clone();
    none["signatures"] = json!([]);
    world.attach(&bundle(none));
    world.refused(&[], "exactly one signature, found 0");
    let mut two = good.clone();
    two["signatures"] = json!([good["signatures"][0], good["signatures"][0]]);
    world.attach(&bundle(two));
    world.refused(&[], "exactly one signature, found 2");
    world.attach(&bundle(world.signer.envelope("text/plain", &statement)));
    world.refused(&[], "the payload type is `text/plain`");
    let mut relabelled = world.signer.envelope("text/plain", &statement);
    relabelled["payloadType"] = json!(PAYLOAD);
    world.attach(&bundle(relabelled));
    world.refused(&[], "not by this key");
    world.attach(&bundle(good));
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_refused() {
    let world = World::new().await;
    let good = world.signer.signature(&world.digest);
    let mut changed = statement(SIGN, &world.digest);
    changed["subject"][0]["annotations"]["stage"] = json!("test");
    let mut forged = good.clone();
    forged["dsseEnvelope"]["payload"] = world.signer.bundle(&changed)["dsseEnvelope"]["payload"].clone();
    world.attach(&forged);
    world.refused(&[], "not by this key");
    world.attach(&good);
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_08_a_malformed_predicate_is_refused() {
    let world = World::new().await;
    for predicate in [json!(1), json!([]), Value::Null] {
        let mut statement = statement(SPDX, &world.digest);
        statement["predicate"] = predicate;
        world.attach(&world.signer.bundle(&statement));
        world.refused(&["--attestation", "spdx"], "the predicate of the statement is not an object");
    }
    let mut statement = statement(SPDX, &world.digest);
    statement["predicate"] = json!({"spdxVersion": "SPDX-2.3"});
    world.attach(&world.signer.bundle(&statement));
    world.accepted(&["--attestation", "spdx"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_11_no_signature_is_refused() {
    let world = World::new().await;
    world.refused(&[], "has no signature");
    world.refused(&["--attestation", "spdx"], "has no attestation of the type");
    legacy(&world.registry, "app", &world.digest, "sig", &[]);
    world.refused(&[], "has no signature");
    legacy(&world.registry, "app", &world.digest, "sig", &[(SIMPLE, b"{}".to_vec(), json!({}))]);
    world.refused(&[], "it holds no signature");
    let (payload, _) = Signer::new().simple(&world.digest);
    let empty = json!({"dev.cosignproject.cosign/signature": ""});
    legacy(&world.registry, "app", &world.digest, "sig", &[(SIMPLE, payload, empty)]);
    world.refused(&[], "it holds no signature");
}

/// A conformance case whose bundle was changed.
fn changed(case: &str, change: impl Fn(&mut Value)) -> stillframe::error::Result<()> {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance/sigstore-bundle-verify");
    let mut bundle: Value =
        serde_json::from_slice(&fs::read(room.join(case).join("bundle.sigstore.json")).unwrap()).unwrap();
    change(&mut bundle);
    let artifact = Digest::of(&fs::read(room.join("a.txt")).unwrap());
    let any = || Matcher::pattern(".*");
    let policy = Policy::identity(any()?, any()?);
    check_blob(bundle.to_string().as_bytes(), &artifact, &policy, Some(&Roots::embedded()?)).map(|_| ())
}

#[test]
fn sig_10_a_changed_time_of_the_log_is_refused() {
    changed("happy-path-v0.1", |_| {}).unwrap();
    let error = changed("happy-path-v0.1", |bundle| {
        let time = &mut bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"];
        let later = time.as_str().unwrap().parse::<i64>().unwrap() + 1;
        *time = json!(later.to_string());
    });
    assert_eq!(error.unwrap_err().kind().exit_code(), 4);
}

#[test]
fn sig_11_an_empty_artifact_is_not_the_signed_one() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance/sigstore-bundle-verify");
    let bundle = fs::read(room.join("happy-path-v0.1/bundle.sigstore.json")).unwrap();
    let any = || Matcher::pattern(".*").unwrap();
    let policy = Policy::identity(any(), any());
    let refused = check_blob(&bundle, &Digest::of(b""), &policy, Some(&Roots::embedded().unwrap()));
    assert_eq!(refused.unwrap_err().kind().exit_code(), 4);
}
