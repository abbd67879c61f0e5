//! Keyless: a token becomes a certificate, and what it signs is in a log. Whatever a service says wrong, nothing is put beside the image.

use std::fs;

use serde_json::{Value, json};

use super::{Keyless, SERVICES, WHO};
use crate::sigstore::{Flaw, Rekor};

const SETUPS: [(Rekor, bool); 3] = [(Rekor::V1, false), (Rekor::V1, true), (Rekor::V2, true)];

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_signs_and_attests_with_both_logs() {
    for (rekor, stamps) in SETUPS {
        for api in [true, false] {
            let keyless = Keyless::new(rekor, stamps).await;
            keyless.world.registry.set(|model| model.referrers = api);
            let done = keyless.sign(&[]).expect(0);
            assert_eq!(done.stdout, format!("{}\n", keyless.world.pinned()));
            let legacy = rekor == Rekor::V1;
            assert_eq!(done.stderr.contains("only bundles are written"), !legacy, "{}", done.stderr);
            assert_eq!(keyless.beside(), (1, usize::from(legacy)), "{rekor:?} {stamps}");
            keyless.verify(WHO, &[]).expect(0);
            keyless.verify("dev@example.com.evil.test", &[]).expect(4);
            keyless.verify(WHO, &["--attestation", "spdxjson"]).expect(4);
            let entries = |older, newer| if legacy { (older, 0) } else { (0, newer) };
            assert_eq!(keyless.sigstore.entries(), entries(2, 1), "a bundle and a legacy signature");
            assert_eq!(keyless.sigstore.count("POST", "/timestamp") > 0, stamps);

            fs::write(keyless.world.project.path("spdx.json"), "{\"spdxVersion\": \"SPDX-2.3\"}").unwrap();
            let pinned = keyless.world.pinned();
            let attest = ["attest", &pinned, "--type", "spdxjson", "--predicate", "spdx.json", "--keyless"];
            let run = keyless.world.project.run([&attest[..], &SERVICES].concat());
            run.env("SIGSTORE_ID_TOKEN", keyless.sigstore.token(WHO)).ends().expect(0);
            keyless.verify(WHO, &["--attestation", "spdxjson"]).expect(0);
            assert_eq!(keyless.world.layers("att").len(), usize::from(legacy));
            assert_eq!(keyless.sigstore.entries(), entries(3, 2), "one entry serves both forms of an attestation");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_identity_said_is_not_said_again() {
    for (rekor, stamps) in SETUPS {
        let keyless = Keyless::new(rekor, stamps).await;
        keyless.sign(&[]).expect(0);
        let before = keyless.sigstore.entries();
        keyless.world.registry.forget();
        let told = keyless.sign(&["--format", "json"]).expect(0).json();
        assert_eq!(keyless.world.registry.count("PUT", ""), 0);
        assert_eq!(keyless.sigstore.entries(), before);
        assert!(told["signed"].as_array().unwrap().iter().all(|one| one["how"] == "already there"), "{told}");
        // Another identity is another signer, and another annotation another claim.
        let other = keyless.signing(&[]).env("SIGSTORE_ID_TOKEN", keyless.sigstore.token("other@example.com"));
        other.ends().expect(0);
        keyless.verify("other@example.com", &[]).expect(0);
        keyless.sign(&["-a", "stage=prod"]).expect(0);
        keyless.verify(WHO, &["--annotation", "stage=prod"]).expect(0);
        assert_eq!(keyless.beside().0, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_format_is_one_that_the_services_allow() {
    let keyless = Keyless::new(Rekor::V2, true).await;
    let refused = keyless.sign(&["--signature-format", "legacy"]).expect(2);
    assert!(refused.stderr.contains("Rekor v1") && refused.stderr.contains("--signature-format bundle"));
    assert_eq!(keyless.beside(), (0, 0));
    for stamps in [false, true] {
        let keyless = Keyless::new(Rekor::V1, stamps).await;
        keyless.sign(&["--signature-format", "legacy"]).expect(0);
        assert_eq!(keyless.beside(), (0, 1));
        keyless.verify(WHO, &[]).expect(0);
        let annotations = keyless.world.layers("sig")[0]["annotations"].clone();
        let text = |key: &str| annotations[key].as_str().unwrap_or_default().to_string();
        assert!(text("dev.sigstore.cosign/certificate").starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert_eq!(text("dev.sigstore.cosign/chain").matches("BEGIN CERTIFICATE").count(), 2);
        assert!(text("dev.sigstore.cosign/bundle").contains("SignedEntryTimestamp"));
        assert_eq!(!text("dev.sigstore.cosign/rfc3161timestamp").is_empty(), stamps);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_cannot_prove_anything_are_refused() {
    for (rekor, stamps, why) in
        [(Rekor::None, true, "names no transparency log"), (Rekor::V2, false, "names no timestamp authority")]
    {
        let keyless = Keyless::new(rekor, stamps).await;
        let refused = keyless.sign(&[]).expect(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        assert_eq!(keyless.sigstore.count("POST", ""), 0, "nobody was asked");
    }
    let keyless = Keyless::new(Rekor::V1, false).await;
    let config = keyless.sigstore.signing_config(Rekor::V1, false);
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["caUrls"] = json!([]);
    fs::write(keyless.world.project.path("signing_config.json"), config.to_string()).unwrap();
    assert!(keyless.sign(&[]).expect(2).stderr.contains("names no certificate authority"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_says_wrong_is_seen_before_it_goes_out() {
    let lies = [
        (Rekor::V1, false, Flaw::ExpiredCertificate),
        (Rekor::V1, false, Flaw::UnknownAuthority),
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
        (Rekor::V1, true, Flaw::WrongStamp),
        (Rekor::V2, true, Flaw::WrongStamp),
        (Rekor::V2, true, Flaw::LateStamp),
        (Rekor::V2, true, Flaw::UnknownStamp),
    ];
    let keyless = Keyless::new(Rekor::V1, false).await;
    for (rekor, stamps, flaw) in lies {
        keyless.serves(rekor, stamps);
        keyless.sigstore.heal().fault(flaw);
        let refused = keyless.sign(&["--signature-format", "bundle"]).expect(4);
        assert!(refused.stderr.contains("what was just signed does not hold"), "{flaw:?}: {}", refused.stderr);
        if rekor == Rekor::V1 && !matches!(flaw, Flaw::WrongProof | Flaw::WrongCheckpoint) {
            keyless.sign(&["--signature-format", "legacy"]).expect(4);
        }
        assert_eq!(keyless.beside(), (0, 0), "{rekor:?} {flaw:?}");
    }
    keyless.sigstore.heal().fault(Flaw::OtherIdentity);
    let refused = keyless.sign(&[]).expect(3);
    assert!(refused.stderr.contains("a certificate of `mallory@example.com`"), "{}", refused.stderr);
    keyless.sigstore.heal();
    keyless.sign(&[]).expect(0);
    keyless.verify(WHO, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tuf_mirror_names_services_and_roots() {
    for served in [(Rekor::V1, true), (Rekor::V2, true)] {
        let keyless = Keyless::new(Rekor::V1, false).await;
        keyless.sigstore.set(|model| model.served = served);
        let reference = keyless.world.pinned();
        let run = |words: &[&str]| {
            let run = keyless.world.project.run(words).env("SIGSTORE_ID_TOKEN", keyless.sigstore.token(WHO));
            run.env("TUF_MIRROR", keyless.sigstore.tuf_url())
                .env("TUF_ROOT_JSON", keyless.world.project.path("tuf_root.json"))
        };
        run(&["sign", &reference, "--keyless"]).ends().expect(0);
        run(&["verify", &reference, "--identity", WHO, "--issuer", keyless.sigstore.url()]).ends().expect(0);
        assert_eq!(keyless.beside(), (1, usize::from(served.0 == Rekor::V1)));
        run(&["--offline", "sign", &reference, "--keyless"]).ends().expect(3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_names_services_and_roots() {
    let keyless = Keyless::new(Rekor::V2, true).await;
    let name = keyless.world.name();
    let manifest = |sign: &str| {
        let text = format!(
            "schema = 1\n[image]\nname = \"{name}\"\nbase = \"scratch\"\nuser = \"1\"\n[sign]\nmethod = \"keyless\"\n{sign}\n"
        );
        fs::write(keyless.world.project.path("image.toml"), text).unwrap();
    };
    let reference = keyless.world.pinned();
    let run = || keyless.world.project.run(["sign", &reference]).env("SIGSTORE_ID_TOKEN", keyless.sigstore.token(WHO));
    manifest("signing-config = \"signing_config.json\"\ntrusted-root = \"trusted_root.json\"");
    run().ends().expect(0);
    keyless.verify(WHO, &[]).expect(0);
    // A client trust config holds both.
    manifest("trusted-root = \"trust_config.json\"");
    assert_eq!(run().ends().expect(0).stdout, format!("{reference}\n"));
    manifest("trusted-root = \"trusted_root.json\"");
    assert!(run().ends().expect(2).stderr.contains("does not say which services sign"));
    for (wrong, why) in [("log = true", "`log` has no meaning"), ("signing-config = 1", "signing-config")] {
        manifest(wrong);
        let refused = run().ends().expect(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_grows_old_is_replaced() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    keyless.sign(&[]).expect(0);
    assert_eq!(keyless.sigstore.count("POST", "/signingCert"), 1, "one serves all signatures of a run");
    let keyless = Keyless::new(Rekor::V1, false).await;
    keyless.sigstore.set(|model| model.authority.life = 60);
    keyless.sign(&[]).expect(0);
    assert!(keyless.sigstore.count("POST", "/signingCert") > 1);
    keyless.verify(WHO, &[]).expect(0);
}
