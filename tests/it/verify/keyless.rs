//! Signatures of identities: what the mock sigstore certifies is accepted, and each of its lies is refused (checks SIG-06, SIG-10).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_sign::oidc::IdentityToken;
use sigstore_sign::rekor::RekorApiVersion;
use sigstore_sign::{SigningContext, SigningServices};

use super::World;
use super::fixture::{SIGN, SIMPLE, SPDX, attach, legacy, statement};
use crate::sigstore::{Flaw, Rekor, Sigstore};

/// Who signs.
pub const WHO: &str = "dev@example.com";

/// Somebody with a certificate, who does not look at what the services say.
fn signer(sigstore: &Sigstore, rekor: Rekor, stamps: bool) -> sigstore_sign::Signer {
    let version = if rekor == Rekor::V2 { RekorApiVersion::V2 } else { RekorApiVersion::V1 };
    let mut services = SigningServices::new(sigstore.url(), sigstore.url()).with_rekor(sigstore.url(), version);
    if stamps {
        services = services.with_tsa_url(sigstore.tsa_url());
    }
    let token = IdentityToken::from_jwt(&sigstore.token(WHO)).unwrap();
    SigningContext::new(services).signer(token)
}

/// A statement about the image of the world, signed.
pub async fn signed(sigstore: &Sigstore, rekor: Rekor, stamps: bool, kind: &str, digest: &str) -> Value {
    let statement = statement(kind, digest).to_string();
    let bundle = signer(sigstore, rekor, stamps).sign_raw_statement(statement.as_bytes()).await.unwrap();
    serde_json::from_str(&bundle.to_json().unwrap()).unwrap()
}

/// A legacy layer of an identity.
async fn simple(sigstore: &Sigstore, world: &World) -> (Vec<u8>, Value) {
    let (payload, _) = world.signer.simple(&world.digest);
    let bundle = signer(sigstore, Rekor::V1, false).sign(&payload).await.unwrap();
    let bundle: Value = serde_json::from_str(&bundle.to_json().unwrap()).unwrap();
    let material = &bundle["verificationMaterial"];
    let entry = &material["tlogEntries"][0];
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let id = STANDARD.decode(entry["logId"]["keyId"].as_str().unwrap()).unwrap();
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let promise = json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": number(&entry["integratedTime"]),
            "logIndex": number(&entry["logIndex"]),
            "logID": id,
        },
    });
    let leaf = material["certificate"]["rawBytes"].as_str().unwrap();
    let annotations = json!({
        "dev.cosignproject.cosign/signature": bundle["messageSignature"]["signature"],
        "dev.sigstore.cosign/certificate": format!("-----BEGIN CERTIFICATE-----\n{leaf}\n-----END CERTIFICATE-----\n"),
        "dev.sigstore.cosign/bundle": promise.to_string(),
    });
    (payload, annotations)
}

/// `verify` for this identity, trusting this sigstore.
fn ends(
    world: &World,
    sigstore: &Sigstore,
    root: &str,
    identity: &[&str],
    words: &[&str],
) -> crate::support::project::Done {
    world.project.write("root.json", root);
    let common = ["--issuer", sigstore.url(), "--trusted-root", "root.json"];
    world.ends(&[identity, &common, words].concat())
}

#[track_caller]
fn accepted(world: &World, sigstore: &Sigstore) {
    ends(world, sigstore, &sigstore.trusted_root(), &["--identity", WHO], &[]).expect(0);
}

#[track_caller]
fn refused(world: &World, sigstore: &Sigstore, what: &str) {
    let done = ends(world, sigstore, &sigstore.trusted_root(), &["--identity", WHO], &[]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(4), ""), "{what}: {}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_07_an_identity_is_accepted_as_a_whole() {
    let (world, sigstore) = (World::new().await, Sigstore::start());
    world.attach(&signed(&sigstore, Rekor::V1, false, SIGN, &world.digest).await);
    let root = sigstore.trusted_root();
    let run = |identity: &[&str]| ends(&world, &sigstore, &root, identity, &[]).code;
    assert_eq!(run(&["--identity", WHO]), Some(0));
    assert_eq!(run(&["--identity-regexp", r".*@example\.com"]), Some(0));
    for other in ["dev@example.co", "ev@example.com", "dev@example.com.evil.test"] {
        assert_eq!(run(&["--identity", other]), Some(4), "{other}");
    }
    assert_eq!(run(&["--identity-regexp", "dev@example"]), Some(4));
    let document = ends(&world, &sigstore, &root, &["--identity", WHO], &["--format", "json"]).expect(0).json();
    let accepted = &document["images"][0]["accepted"][0];
    assert_eq!((&accepted["identity"], &accepted["issuer"]), (&json!(WHO), &json!(sigstore.url())));
    assert_eq!(accepted["logIndexes"].as_array().unwrap().len(), 1);
    assert!(!accepted["times"].as_array().unwrap().is_empty());
    world.keyed(&[]).expect(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_lie_of_a_service_is_refused() {
    let all = [
        (Rekor::V1, false, Flaw::ExpiredCertificate),
        (Rekor::V1, false, Flaw::UnknownAuthority),
        (Rekor::V1, false, Flaw::OtherIdentity),
        (Rekor::V1, false, Flaw::WrongSct),
        (Rekor::V1, false, Flaw::NoSct),
        (Rekor::V1, false, Flaw::WrongSet),
        (Rekor::V1, false, Flaw::NoSet),
        (Rekor::V1, false, Flaw::LateEntry),
        (Rekor::V1, false, Flaw::OtherEntry),
        (Rekor::V1, false, Flaw::WrongProof),
        (Rekor::V1, false, Flaw::WrongCheckpoint),
        (Rekor::V2, true, Flaw::WrongProof),
        (Rekor::V2, true, Flaw::WrongCheckpoint),
        (Rekor::V2, true, Flaw::LateStamp),
        (Rekor::V2, true, Flaw::UnknownStamp),
    ];
    for (rekor, stamps, flaw) in all {
        let (world, sigstore) = (World::new().await, Sigstore::start());
        sigstore.fault(flaw);
        world.attach(&signed(&sigstore, rekor, stamps, SIGN, &world.digest).await);
        refused(&world, &sigstore, &format!("{rekor:?} {flaw:?}"));
        sigstore.heal();
        world.attach(&signed(&sigstore, rekor, stamps, SIGN, &world.digest).await);
        accepted(&world, &sigstore);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_06_parts_of_another_bundle_are_refused() {
    for (rekor, stamps) in [(Rekor::V1, false), (Rekor::V1, true), (Rekor::V2, true)] {
        for part in ["tlogEntries", "timestampVerificationData", "certificate"] {
            let (world, sigstore) = (World::new().await, Sigstore::start());
            let good = signed(&sigstore, rekor, stamps, SIGN, &world.digest).await;
            let other = signed(&sigstore, rekor, stamps, SPDX, &world.digest).await;
            if part == "timestampVerificationData" && !stamps {
                continue;
            }
            let mut mixed = good.clone();
            mixed["verificationMaterial"][part] = other["verificationMaterial"][part].clone();
            world.attach(&mixed);
            refused(&world, &sigstore, &format!("{rekor:?} {part}"));
            world.attach(&good);
            accepted(&world, &sigstore);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_10_what_was_not_valid_at_signing_time_is_refused() {
    let (world, sigstore) = (World::new().await, Sigstore::start());
    world.attach(&signed(&sigstore, Rekor::V1, false, SIGN, &world.digest).await);
    accepted(&world, &sigstore);
    let mut root: Value = serde_json::from_str(&sigstore.trusted_root()).unwrap();
    for list in ["certificateAuthorities", "tlogs", "ctlogs"] {
        let whole = root.clone();
        for one in root[list].as_array_mut().unwrap() {
            let window = json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"});
            match one.get_mut("publicKey") {
                Some(key) => key["validFor"] = window,
                None => one["validFor"] = window,
            }
        }
        let done = ends(&world, &sigstore, &root.to_string(), &["--identity", WHO], &[]);
        assert_eq!(done.code, Some(4), "{list}: {}", done.stderr);
        root = whole;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_06_and_10_a_legacy_layer_is_checked_as_a_bundle_is() {
    let (world, sigstore) = (World::new().await, Sigstore::start());
    let (payload, annotations) = simple(&sigstore, &world).await;
    let put = |payload: &[u8], annotations: &Value| {
        legacy(&world.registry, "app", &world.digest, "sig", &[(SIMPLE, payload.to_vec(), annotations.clone())]);
    };
    put(&payload, &annotations);
    accepted(&world, &sigstore);
    world.keyed(&[]).expect(4);
    let changed = |key: &str, change: &dyn Fn(&mut Value)| {
        let mut annotations = annotations.clone();
        let mut value: Value = serde_json::from_str(annotations[key].as_str().unwrap()).unwrap();
        change(&mut value);
        annotations[key] = json!(value.to_string());
        annotations
    };
    let bundle = "dev.sigstore.cosign/bundle";
    let later = changed(bundle, &|promise| {
        let time = promise["Payload"]["integratedTime"].as_u64().unwrap();
        promise["Payload"]["integratedTime"] = json!(time + 1);
    });
    put(&payload, &later);
    refused(&world, &sigstore, "a changed time");
    let index = changed(bundle, &|promise| promise["Payload"]["logIndex"] = json!(1));
    put(&payload, &index);
    refused(&world, &sigstore, "a changed index");
    // The entry of another signature by the same identity.
    let (_, other) = simple(&sigstore, &world).await;
    let mut mixed = annotations.clone();
    mixed[bundle] = other[bundle].clone();
    put(&payload, &mixed);
    refused(&world, &sigstore, "the entry of another signature");
    let mut none = annotations.clone();
    none.as_object_mut().unwrap().remove(bundle);
    put(&payload, &none);
    refused(&world, &sigstore, "no entry");
    let mut swapped = annotations.clone();
    swapped["dev.sigstore.cosign/certificate"] = other["dev.sigstore.cosign/certificate"].clone();
    put(&payload, &swapped);
    refused(&world, &sigstore, "another certificate");
    put(&payload, &annotations);
    accepted(&world, &sigstore);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_of_the_identity_is_no_signature() {
    let (world, sigstore) = (World::new().await, Sigstore::start());
    let bundle = signed(&sigstore, Rekor::V2, true, SPDX, &world.digest).await;
    attach(&world.registry, "app", &world.digest, &bundle);
    refused(&world, &sigstore, "an attestation");
    ends(&world, &sigstore, &sigstore.trusted_root(), &["--identity", WHO], &["--attestation", "spdx"]).expect(0);
}
