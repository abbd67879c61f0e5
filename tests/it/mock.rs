//! The mock sigstore, judged by sigstore's own crates: what it answers verifies, and each of its lies is caught.

use std::fmt::Display;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
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

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
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
        sigstore.odd_token(DEV, json!({"aud": "elsewhere"})),
        sigstore.odd_token(DEV, json!({"iss": other.url()})),
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

/// Sends a body and gives status, head and JSON of the answer.
async fn post(url: &str, body: impl Into<reqwest::Body>, token: &str) -> (u16, reqwest::header::HeaderMap, Value) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.post(url).bearer_auth(token).body(body).send().await.unwrap();
    let (status, head) = (answer.status().as_u16(), answer.headers().clone());
    (status, head, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn the_log_takes_an_entry_once_and_finds_it_again() {
    let sigstore = Sigstore::start();
    signed(&sigstore, &sigstore.token(DEV), Rekor::V1, false).await.unwrap();
    let sent = sigstore.log().into_iter().find(|request| request.path == "/api/v1/log/entries").unwrap();
    let url = sigstore.url();
    let (status, head, _) = post(&format!("{url}/api/v1/log/entries"), sent.body.clone(), "").await;
    assert_eq!(status, 409);
    let location = head["location"].to_str().unwrap().to_string();
    let found = reqwest::get(format!("{url}{location}")).await.unwrap();
    let id = found.headers()["etag"].to_str().unwrap().to_string();
    assert!(location.ends_with(&id));
    let entry: Value = found.json().await.unwrap();
    let (number, within) = (&entry[&id]["logIndex"], &entry[&id]["verification"]["inclusionProof"]["logIndex"]);
    assert_ne!(number, within, "the log has older trees");
    let again = reqwest::get(format!("{url}/api/v1/log/entries?logIndex={number}")).await.unwrap();
    // Its signatures are new ones.
    assert_eq!(again.json::<Value>().await.unwrap()[&id]["body"], entry[&id]["body"]);
    let spoiled = String::from_utf8(sent.body).unwrap().replacen("vnd.in-toto", "vnd.another", 1);
    assert_eq!(post(&format!("{url}/api/v1/log/entries"), spoiled, "").await.0, 400, "the signature is checked");
    assert_eq!(sigstore.entries(), (1, 0));
}

#[tokio::test]
async fn a_certificate_may_be_asked_for_with_a_pkcs10_request() {
    let sigstore = Sigstore::start();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let mut der = request.der().to_vec();
    let url = format!("{}/api/v2/signingCert", sigstore.url());
    for status in [200, 400] {
        let pem =
            format!("-----BEGIN CERTIFICATE REQUEST-----\r\n{}\r\n-----END CERTIFICATE REQUEST-----\r\n", b64(&der));
        let body = json!({"certificateSigningRequest": b64(pem)}).to_string();
        let (got, _, answer) = post(&url, body.clone(), &sigstore.token(DEV)).await;
        assert_eq!(got, status, "{answer}");
        assert_eq!(post(&url, body, "a.b.c").await.0, 401);
        // The last byte belongs to the signature: the proof is wrong now.
        *der.last_mut().unwrap() ^= 1;
    }
}

#[tokio::test]
async fn a_browser_gets_a_token_for_its_own_code_only() {
    let sigstore = Sigstore::start();
    let url = sigstore.url();
    // RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    for (sent, status) in [("another", 400), (verifier, 200)] {
        let page = format!(
            "{url}/oidc/auth?redirect_uri=http%3A%2F%2F127.0.0.1%3A1&state=s1&nonce=n1&code_challenge={challenge}"
        );
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.get(page).send().await.unwrap();
        assert_eq!(answer.headers()["location"], "http://127.0.0.1:1?code=code-1&state=s1");
        let form = format!("grant_type=authorization_code&code=code-1&code_verifier={sent}");
        let (got, _, answer) = post(&format!("{url}/oidc/token"), form, "").await;
        assert_eq!(got, status, "{answer}");
        if let Some(token) = answer["id_token"].as_str() {
            signed(&sigstore, token, Rekor::V1, false).await.unwrap();
        }
    }
    assert_eq!(sigstore.entries(), (1, 0));
}
