//! The mock sigstore, judged by sigstore's own crates: what it answers verifies, and each of its lies is caught.

use std::fmt::Display;

use sigstore_sign::oidc::IdentityToken;
use sigstore_sign::trust_root::{TrustedRoot, TufBootstrap, TufConfig, fetch_trust_material};
use sigstore_sign::types::Bundle;
use sigstore_sign::{SigningContext, SigningServices};
use sigstore_verify::{VerificationPolicy, verify};

use crate::faults::on;
use crate::sigstore::{Flaw, Rekor, Sigstore};

const DEV: &str = "dev@example.com";
const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const ARTIFACT: &[u8] = b"signed bytes";

fn services(sigstore: &Sigstore, rekor: Rekor, stamps: bool) -> SigningServices {
    let url = sigstore.url();
    let services = SigningServices::new(url, url);
    let services = if stamps { services.with_tsa_url(sigstore.tsa_url()) } else { services };
    match rekor {
        Rekor::V2 => services.with_rekor(url, sigstore_sign::rekor::RekorApiVersion::V2),
        _ => services,
    }
}

fn words(cause: impl Display) -> String {
    cause.to_string()
}

/// Signs a statement about the artifact.
async fn signed(sigstore: &Sigstore, token: &str, rekor: Rekor, stamps: bool) -> Result<Bundle, String> {
    let digest = stillframe::oci::Digest::of(ARTIFACT).to_string();
    let hex = digest.strip_prefix("sha256:").unwrap();
    let statement = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"x","digest":{{"sha256":"{hex}"}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#
    );
    let token = IdentityToken::from_jwt(token).map_err(words)?;
    let signer = SigningContext::new(services(sigstore, rekor, stamps)).signer(token);
    signer.sign_raw_statement(statement.as_bytes()).await.map_err(words)
}

fn verified(sigstore: &Sigstore, bundle: &Bundle, identity: &str) -> Result<(), String> {
    let root = TrustedRoot::from_json(&sigstore.trusted_root()).map_err(words)?;
    // Through the text, as a bundle travels.
    let bundle = Bundle::from_json(&bundle.to_json().map_err(words)?).map_err(words)?;
    let policy = VerificationPolicy::new(identity, sigstore.url());
    verify(ARTIFACT, &bundle, &policy, &root).map(drop).map_err(words)
}

const KINDS: [(Rekor, bool); 3] = [(Rekor::V1, false), (Rekor::V1, true), (Rekor::V2, true)];

#[tokio::test]
async fn what_the_mock_signs_verifies() {
    let sigstore = Sigstore::start();
    for (rekor, stamps) in KINDS {
        for identity in [DEV, WORKFLOW, "https://ci.example.com/job"] {
            let bundle = signed(&sigstore, &sigstore.token(identity), rekor, stamps).await.unwrap();
            verified(&sigstore, &bundle, identity).unwrap_or_else(|why| panic!("{rekor:?} {stamps} {identity}: {why}"));
            assert!(verified(&sigstore, &bundle, "mallory@example.com").is_err());
            let other = Sigstore::start();
            assert!(verified(&other, &bundle, identity).is_err(), "another sigstore's root");
        }
    }
    assert_eq!(sigstore.entries(), (6, 3));
}

#[tokio::test]
async fn every_lie_is_caught_where_it_is_told() {
    let (v1, v1_stamped, v2) = (KINDS[0], KINDS[1], KINDS[2]);
    let lies = [
        (Flaw::ExpiredCertificate, v1),
        (Flaw::ExpiredCertificate, v2),
        (Flaw::UnknownAuthority, v1),
        (Flaw::OtherIdentity, v1),
        (Flaw::WrongSct, v1),
        (Flaw::NoSct, v1),
        (Flaw::WrongSet, v1),
        (Flaw::LateEntry, v1),
        (Flaw::OtherEntry, v1),
        (Flaw::OtherEntry, v2),
        (Flaw::WrongProof, v1),
        (Flaw::WrongProof, v2),
        (Flaw::WrongCheckpoint, v1),
        (Flaw::WrongCheckpoint, v2),
        (Flaw::WrongStamp, v1_stamped),
        (Flaw::WrongStamp, v2),
        (Flaw::LateStamp, v2),
        (Flaw::UnknownStamp, v2),
    ];
    let sigstore = Sigstore::start();
    for (flaw, (rekor, stamps)) in lies {
        sigstore.heal().fault(flaw);
        let bundle = signed(&sigstore, &sigstore.token(DEV), rekor, stamps).await;
        let outcome = bundle.and_then(|bundle| verified(&sigstore, &bundle, DEV));
        assert!(outcome.is_err(), "{flaw:?} {rekor:?} {stamps}");
        sigstore.heal();
        let bundle = signed(&sigstore, &sigstore.token(DEV), rekor, stamps).await.unwrap();
        verified(&sigstore, &bundle, DEV).unwrap();
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_gets_no_certificate() {
    let sigstore = Sigstore::start();
    let other = Sigstore::start();
    let tokens = [
        other.token(DEV),
        sigstore.odd_token(DEV, serde_json::json!({"aud": "elsewhere"})),
        sigstore.odd_token(DEV, serde_json::json!({"iss": other.url()})),
    ];
    for token in tokens {
        assert!(signed(&sigstore, &token, Rekor::V1, false).await.is_err());
    }
    assert_eq!(sigstore.entries(), (0, 0));
    signed(&sigstore, &sigstore.token(DEV), Rekor::V1, false).await.unwrap();
}

#[tokio::test]
async fn services_stumble_as_often_as_they_are_told() {
    for path in ["/api/v2/signingCert", "/api/v1/timestamp", "/api/v1/log/entries"] {
        let sigstore = Sigstore::start();
        sigstore.fault(on("POST", path).times(1).status(400));
        assert!(signed(&sigstore, &sigstore.token(DEV), Rekor::V1, true).await.is_err(), "{path}");
        signed(&sigstore, &sigstore.token(DEV), Rekor::V1, true).await.unwrap();
        assert_eq!(sigstore.count("POST", path), 2, "{path}");
    }
}

#[tokio::test]
async fn tuf_hands_out_what_there_is_to_trust() {
    let sigstore = Sigstore::start();
    let fetch = || {
        let root = TufBootstrap::trusted(sigstore.tuf_root());
        fetch_trust_material(TufConfig::custom(sigstore.tuf_url(), root).without_cache())
    };
    let (root, config) = fetch().await.unwrap();
    assert_eq!(root.tlogs.len(), 2);
    assert_eq!(config.rekor_url(None).map(|service| service.url.as_str()), Some(sigstore.url()));
    for flaw in [Flaw::ExpiredTuf, Flaw::ForgedTuf] {
        sigstore.heal().fault(flaw);
        assert!(fetch().await.is_err(), "{flaw:?}");
    }
    sigstore.heal();
    fetch().await.unwrap();
}
