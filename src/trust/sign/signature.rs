//! Stage 8: a signature with everything that speaks for it, as it is written down: a bundle (v0.3), an envelope, the annotations of a
//! legacy layer. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_sign::types::{SignatureBytes, TimestampToken, TransparencyLogEntry};
use sigstore_verify::types::pae;

use super::signer::By;
use crate::error::{Error, Result};
use crate::oci::json::canonical;
use crate::trust::verify::PAYLOAD_TYPE;

/// The media type of bundles.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What is signed.
#[derive(Clone, Copy)]
pub enum Message<'a> {
    /// Bytes as they are: the payload of a legacy signature.
    Payload(&'a [u8]),
    /// A statement, in an envelope.
    Statement(&'a [u8]),
}

impl Message<'_> {
    /// The bytes that the signature is over.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Message::Payload(bytes) => bytes.to_vec(),
            Message::Statement(bytes) => pae(PAYLOAD_TYPE, bytes),
        }
    }
}

/// A signature with everything that speaks for it.
pub struct Signature {
    /// The signature itself.
    pub bytes: SignatureBytes,
    /// Whose it is.
    pub by: By,
    /// What logs said.
    pub entries: Vec<TransparencyLogEntry>,
    /// What timestamp authorities said.
    pub stamps: Vec<TimestampToken>,
}

impl Signature {
    /// The bundle around a statement.
    pub fn bundle(&self, statement: &[u8]) -> Result<Vec<u8>> {
        let mut material = match &self.by {
            By::Key(key) => json!({ "publicKey": { "hint": key.hint() } }),
            By::Certificate { chain, .. } => {
                let leaf = chain.first().ok_or_else(|| Error::bug("a certificate is nowhere"))?;
                json!({ "certificate": { "rawBytes": STANDARD.encode(leaf.as_bytes()) } })
            }
        };
        if !self.entries.is_empty() {
            material["tlogEntries"] = json!(self.entries);
        }
        if !self.stamps.is_empty() {
            let stamp = |stamp: &TimestampToken| json!({ "signedTimestamp": stamp.to_base64() });
            let stamps: Vec<Value> = self.stamps.iter().map(stamp).collect();
            material["timestampVerificationData"] = json!({ "rfc3161Timestamps": stamps });
        }
        Ok(canonical(&json!({
            "mediaType": BUNDLE,
            "verificationMaterial": material,
            "dsseEnvelope": envelope(statement, &self.bytes),
        })))
    }

    /// The annotations of a legacy layer. That of an attestation has its type, and the signature in the envelope.
    pub fn annotations(&self, attestation: Option<&str>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |key: &str, value: String| drop(all.insert(key.to_string(), value));
        match attestation {
            None => set("dev.cosignproject.cosign/signature", self.bytes.to_base64()),
            Some(kind) => {
                set("dev.cosignproject.cosign/signature", String::new());
                set("predicateType", kind.to_string());
            }
        }
        if let Some(above) = self.by.above() {
            set("dev.sigstore.cosign/certificate", self.by.pem());
            set("dev.sigstore.cosign/chain", above);
        }
        // One of each has a place.
        if let Some(text) = self.entries.iter().find_map(promise) {
            set("dev.sigstore.cosign/bundle", text);
        }
        if let Some(stamp) = self.stamps.first() {
            set("dev.sigstore.cosign/rfc3161timestamp", text(&json!({ "SignedRFC3161Timestamp": stamp.to_base64() })));
        }
        all
    }

    /// The envelope of a legacy attestation.
    pub fn envelope(&self, statement: &[u8]) -> Vec<u8> {
        canonical(&envelope(statement, &self.bytes))
    }
}

/// The envelope around a statement (DSSE v1).
pub fn envelope(statement: &[u8], signature: &SignatureBytes) -> Value {
    json!({
        "payload": STANDARD.encode(statement),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{ "sig": signature.to_base64() }],
    })
}

/// A log's promise as legacy signatures carry it.
fn promise(entry: &TransparencyLogEntry) -> Option<String> {
    let promise = entry.inclusion_promise.as_ref()?;
    let id: String = entry.log_id.key_id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(text(&json!({
        "SignedEntryTimestamp": promise.signed_entry_timestamp.to_base64(),
        "Payload": {
            "body": entry.canonicalized_body.to_base64(),
            "integratedTime": entry.integrated_time?.as_second(),
            "logIndex": entry.log_index.get(),
            "logID": id,
        },
    })))
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(&canonical(value)).into_owned()
}
