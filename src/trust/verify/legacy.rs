//! Stage 8: one layer of a legacy signature manifest (`sha256-….sig`, `sha256-….att`). A blob and its annotations in, what it proves
//! out. Pure. Certificate, log entry and timestamp are put into the form of a bundle (v0.1), so that there is one way to check them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_verify::types::{Bundle, DerCertificate};

use super::bundle::{self, Proof, base64};
use super::policy::{Policy, Want, Who};
use super::statement::{self, Claim, PAYLOAD_TYPE};
use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::trust::root::Roots;

/// The media type of a signature's payload.
pub const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The media type of an attestation's envelope.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Annotation: the signature of the payload.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Annotation: the signer's certificate, PEM.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// Annotation: the log's promise.
const PROMISE: &str = "dev.sigstore.cosign/bundle";
/// Annotation: a timestamp.
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
/// The kind of bundle that a log's promise is enough for.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";

/// What the log said (annotation `dev.sigstore.cosign/bundle`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Promise {
    signed_entry_timestamp: String,
    payload: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    body: String,
    #[serde(default)]
    integrated_time: i64,
    #[serde(default)]
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Timestamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    signed: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
}

/// What a layer says of an image, once it meets the policy.
pub fn check(
    media_type: &str,
    blob: &[u8],
    annotations: &BTreeMap<String, String>,
    digest: &Digest,
    want: &Want,
    policy: &Policy,
    roots: Option<&Roots>,
) -> Result<(Claim, Proof)> {
    let (content, claim, signed) = match (media_type, want) {
        (SIMPLE, Want::Signature) => {
            let signature = annotations.get(SIGNATURE).filter(|text| !text.is_empty());
            let signature = base64(signature.ok_or_else(|| Error::policy("it holds no signature"))?)?;
            let signed = Digest::of(blob);
            let content = json!({ "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(raw(&signed)?) },
                "signature": STANDARD.encode(signature),
            }});
            (content, statement::simple(blob, digest)?, signed)
        }
        (ENVELOPE, _) => {
            let value: Value = serde_json::from_slice(blob).map_err(|cause| wrong("the envelope").because(cause))?;
            let envelope: Envelope =
                serde_json::from_value(value.clone()).map_err(|cause| wrong("the envelope").because(cause))?;
            if envelope.payload_type != PAYLOAD_TYPE {
                return Err(Error::policy(format!("the payload type is `{}`", printable(&envelope.payload_type))));
            }
            (json!({ "dsseEnvelope": value }), statement::read(&base64(&envelope.payload)?, want, digest)?, *digest)
        }
        (SIMPLE, Want::Attestation(_)) => return Err(Error::policy(format!("it is a signature, not {}", want.name()))),
        (other, _) => return Err(Error::policy(format!("it has the unknown media type `{}`", printable(other)))),
    };
    let bundle = as_bundle(content, annotations, policy)?;
    let proof = bundle::prove(&bundle, &signed, policy, roots)?;
    bundle::annotated(&claim, policy)?;
    Ok((claim, proof))
}

fn as_bundle(mut whole: Value, annotations: &BTreeMap<String, String>, policy: &Policy) -> Result<Bundle> {
    let mut material = match (&policy.who, annotations.get(CERTIFICATE)) {
        (Who::Identity { .. }, Some(leaf)) => {
            // The chain that is annotated beside it is not needed: the trusted root has every certificate above a signer's.
            let leaf =
                DerCertificate::from_pem(leaf.trim()).map_err(|cause| wrong("the certificate").because(cause))?;
            json!({ "certificate": { "rawBytes": STANDARD.encode(leaf.as_bytes()) } })
        }
        (Who::Identity { .. }, None) => return Err(Error::policy("it was made with a key, not with a certificate")),
        (Who::Key(_), Some(_)) => return Err(Error::policy("it was made with a certificate, not with a key")),
        (Who::Key(key), None) => json!({ "publicKey": { "hint": STANDARD.encode(raw(&key.id())?) } }),
    };
    if let Some(text) = annotations.get(PROMISE).filter(|text| !text.is_empty()) {
        material["tlogEntries"] = json!([entry(text)?]);
    }
    if let Some(text) = annotations.get(TIMESTAMP).filter(|text| !text.is_empty()) {
        let Timestamp { signed } =
            serde_json::from_str(text).map_err(|cause| wrong("the annotated timestamp").because(cause))?;
        material["timestampVerificationData"] = json!({ "rfc3161Timestamps": [{ "signedTimestamp": signed }] });
    }
    whole["mediaType"] = json!(BUNDLE);
    whole["verificationMaterial"] = material;
    Bundle::from_json(&whole.to_string()).map_err(|cause| wrong("the signature").because(cause))
}

/// A log's promise as an entry of a bundle.
fn entry(text: &str) -> Result<Value> {
    let broken = |cause| wrong("the annotated log entry").because(cause);
    let Promise { signed_entry_timestamp, payload } = serde_json::from_str(text).map_err(broken)?;
    let body: Value = serde_json::from_slice(&base64(&payload.body)?).map_err(broken)?;
    let id: Digest =
        format!("sha256:{}", payload.log_id).parse().map_err(|cause: Error| wrong("the log's name").because(cause))?;
    Ok(json!({
        "logIndex": payload.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(raw(&id)?) },
        "kindVersion": { "kind": body["kind"], "version": body["apiVersion"] },
        "integratedTime": payload.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": signed_entry_timestamp },
        "canonicalizedBody": payload.body,
    }))
}

fn raw(digest: &Digest) -> Result<Vec<u8>> {
    let hex = digest.hex();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
    (0..hex.len())
        .step_by(2)
        .map(byte)
        .collect::<Result<_, _>>()
        .map_err(|cause| Error::bug("a digest is no hex").because(cause))
}

fn wrong(what: &str) -> Error {
    Error::policy(format!("{what} cannot be read"))
}
