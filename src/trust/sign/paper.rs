//! Stage 8: what was signed, as it is written down. A signature and its witnesses in; a bundle (v0.3), an envelope and the annotations
//! of legacy layers out. Pure. Formats: signing.md §1 and §2 of the facts.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sigstore_sign::bundle::BundleV03;
use sigstore_sign::bundle::VerificationMaterialV03;
use sigstore_sign::types::{
    DerCertificate, DsseEnvelope, DsseSignature, KeyId, PayloadBytes, SignatureBytes, SignatureContent, TimestampToken,
    TransparencyLogEntry,
};

use crate::error::{Error, Result};
use crate::oci::json::canonical;
use crate::trust::statement::PAYLOAD_TYPE;
use crate::trust::verify::PublicKey;

/// Who signed.
#[derive(Clone)]
pub enum By {
    /// The holder of a key.
    Key(PublicKey),
    /// Whom a certificate names; the leaf first.
    Certificate(Vec<DerCertificate>),
}

impl By {
    /// What logs and annotations hold of who signed, as PEM.
    pub fn pem(&self) -> String {
        match self {
            By::Key(key) => key.to_pem(),
            By::Certificate(chain) => chain.first().map(pem).unwrap_or_default(),
        }
    }
}

/// A signature with everything that speaks for it.
pub struct Paper {
    /// The signature, DER.
    pub signature: SignatureBytes,
    /// Whose it is.
    pub by: By,
    /// What logs said.
    pub entries: Vec<TransparencyLogEntry>,
    /// What timestamp authorities said.
    pub stamps: Vec<TimestampToken>,
}

impl Paper {
    /// The bundle around a statement.
    pub fn bundle(&self, statement: &[u8]) -> Result<Vec<u8>> {
        let by = match &self.by {
            By::Key(key) => VerificationMaterialV03::PublicKey { hint: hint(key) },
            By::Certificate(chain) => {
                let leaf = chain.first().ok_or_else(|| Error::bug("a certificate is nowhere"))?;
                VerificationMaterialV03::Certificate(leaf.clone())
            }
        };
        let content = SignatureContent::DsseEnvelope(envelope(statement, &self.signature));
        let mut bundle = BundleV03::new(by, content);
        for entry in &self.entries {
            bundle = bundle.with_tlog_entry(entry.clone());
        }
        for stamp in &self.stamps {
            bundle = bundle.with_rfc3161_timestamp(stamp.clone());
        }
        let text = bundle.into_bundle().to_json();
        text.map(String::into_bytes).map_err(|cause| Error::bug("a bundle cannot be written").because(cause))
    }

    /// The annotations of a legacy layer; those of an attestation name its type and have the signature in the envelope.
    pub fn annotations(&self, attestation: Option<&str>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |key: &str, value: String| drop(all.insert(key.to_string(), value));
        match attestation {
            None => set("dev.cosignproject.cosign/signature", self.signature.to_base64()),
            Some(kind) => {
                set("dev.cosignproject.cosign/signature", String::new());
                set("predicateType", kind.to_string());
            }
        }
        if let By::Certificate(chain) = &self.by {
            set("dev.sigstore.cosign/certificate", self.by.pem());
            set("dev.sigstore.cosign/chain", chain.iter().skip(1).map(pem).collect());
        }
        // One of each has a place.
        if let Some(text) = self.entries.iter().find_map(promise) {
            set("dev.sigstore.cosign/bundle", text);
        }
        if let Some(stamp) = self.stamps.first() {
            let text = canonical(&json!({ "SignedRFC3161Timestamp": stamp.to_base64() }));
            set("dev.sigstore.cosign/rfc3161timestamp", String::from_utf8_lossy(&text).into_owned());
        }
        all
    }

    /// The envelope of a legacy attestation.
    pub fn envelope(&self, statement: &[u8]) -> Vec<u8> {
        canonical(&json!({
            "payloadType": PAYLOAD_TYPE,
            "payload": STANDARD.encode(statement),
            "signatures": [{ "keyid": "", "sig": self.signature.to_base64() }],
        }))
    }
}

/// The envelope around a statement.
pub fn envelope(statement: &[u8], signature: &SignatureBytes) -> DsseEnvelope {
    let signature = DsseSignature::new(signature.clone(), KeyId::default());
    DsseEnvelope::new(PAYLOAD_TYPE, PayloadBytes::from_bytes(statement), signature)
}

/// What a bundle says of a key: the base64 of its digest.
fn hint(key: &PublicKey) -> String {
    use sha2::Digest;
    STANDARD.encode(sha2::Sha256::digest(key.der().as_bytes()))
}

fn pem(certificate: &DerCertificate) -> String {
    // The crate ends lines as mails do; logs and other verifiers compare texts.
    certificate.to_pem().replace("\r\n", "\n")
}

/// A log's promise as legacy signatures carry it.
fn promise(entry: &TransparencyLogEntry) -> Option<String> {
    let promise = entry.inclusion_promise.as_ref()?;
    let id: String = entry.log_id.key_id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = canonical(&json!({
        "SignedEntryTimestamp": promise.signed_entry_timestamp.to_base64(),
        "Payload": {
            "body": entry.canonicalized_body.to_base64(),
            "integratedTime": entry.integrated_time?.as_second(),
            "logIndex": entry.log_index.get(),
            "logID": id,
        },
    }));
    Some(String::from_utf8_lossy(&text).into_owned())
}
