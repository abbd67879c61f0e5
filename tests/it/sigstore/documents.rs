//! What clients are told to trust and to use: trusted root, signing config, client trust config. Formats: sigstore protobuf-specs.

use rcgen::PublicKeyData;
use serde_json::{Value, json};

use super::Model;
use super::fulcio::{described, listed};
use super::keys::{b64, log_id};

/// Since when all of the mock is good.
const START: &str = "2024-01-01T00:00:00Z";

/// Which log a client is told to use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rekor {
    V1,
    V2,
    /// No log at all.
    None,
}

fn log(url: &str, details: &str, spki: &[u8], id: &[u8]) -> Value {
    json!({
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": b64(spki), "keyDetails": details, "validFor": {"start": START}},
        "logId": {"keyId": b64(id)},
    })
}

pub fn trusted_root(model: &Model) -> Value {
    let url = &model.url;
    let p256 = "PKIX_ECDSA_P256_SHA_256";
    let (rekor, ct) = (&model.log.key, &model.authority.ct);
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [
            log(url, p256, &rekor.subject_public_key_info(), &log_id(rekor)),
            log(url, "PKIX_ED25519", &model.tiles.spki(), &model.tiles.id()),
        ],
        "certificateAuthorities": [{
            "subject": described("intermediate"),
            "uri": url,
            "certChain": listed(&model.authority.chain()),
            "validFor": {"start": START},
        }],
        "ctlogs": [log(url, p256, &ct.subject_public_key_info(), &log_id(ct))],
        "timestampAuthorities": [{
            "subject": described("time"),
            "uri": format!("{url}/api/v1/timestamp"),
            "certChain": listed(&model.stamps.chain()),
            "validFor": {"start": START},
        }],
    })
}

pub fn signing_config(url: &str, rekor: Rekor, stamps: bool) -> Value {
    let service = |url: String, version: u32| json!([{"url": url, "majorApiVersion": version, "validFor": {"start": START}, "operator": "mock.sigstore"}]);
    let mut config = json!({
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": service(url.into(), 1),
        "oidcUrls": service(url.into(), 1),
        "rekorTlogUrls": [],
        "tsaUrls": [],
        "rekorTlogConfig": {},
        "tsaConfig": {},
    });
    let any = json!({"selector": "ANY"});
    if rekor != Rekor::None {
        config["rekorTlogUrls"] = service(url.into(), if rekor == Rekor::V1 { 1 } else { 2 });
        config["rekorTlogConfig"] = any.clone();
    }
    if stamps {
        config["tsaUrls"] = service(format!("{url}/api/v1/timestamp"), 1);
        config["tsaConfig"] = any;
    }
    config
}

pub fn trust_config(root: &Value, config: &Value) -> Value {
    json!({
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": root,
        "signingConfig": config,
    })
}
