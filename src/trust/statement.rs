//! Stage 8: what is signed. An image and what is said of it in, the bytes out that a signature is over: in-toto statements in their
//! envelope's encoding (DSSE), and the payload of legacy signatures. Pure. Formats: in-toto attestation v1, DSSE v1, cosign's
//! `SIGNATURE_SPEC`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::oci::json::canonical;
use crate::oci::{Digest, Repository};

pub use crate::trust::verify::SIGNATURE;

/// The payload type of all our envelopes.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// An image that something is said of.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where it is.
    pub name: Repository,
    /// What it is; a tag is never signed.
    pub digest: Digest,
    /// Remarks of the signer.
    pub annotations: BTreeMap<String, String>,
}

/// An in-toto statement. The name is there because other verifiers refuse a subject without one; what counts is the digest.
pub fn statement(subject: &Subject, predicate_type: &str, predicate: &Value) -> Vec<u8> {
    let mut about = json!({ "name": subject.name.to_string(), "digest": { "sha256": subject.digest.hex() } });
    if !subject.annotations.is_empty() {
        about["annotations"] = json!(subject.annotations);
    }
    canonical(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [about],
        "predicateType": predicate_type,
        "predicate": predicate,
    }))
}

/// The payload of a legacy signature; who wants, gets the annotations under `optional`.
pub fn simple(subject: &Subject) -> Vec<u8> {
    let optional = if subject.annotations.is_empty() { Value::Null } else { json!(subject.annotations) };
    canonical(&json!({
        "critical": {
            "identity": { "docker-reference": subject.name.to_string() },
            "image": { "docker-manifest-digest": subject.digest },
            "type": "cosign container image signature",
        },
        "optional": optional,
    }))
}

/// What an envelope's signature is over (DSSE's pre-authentication encoding).
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(annotations: &[(&str, &str)]) -> Subject {
        let annotations = annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Subject { name: "h.test/app".parse().unwrap(), digest: Digest::of(b""), annotations }
    }

    #[test]
    fn the_payload_of_a_legacy_signature_is_as_cosign_writes_it() {
        let hex = Digest::of(b"").hex();
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"h.test/app"}},"image":{{"docker-manifest-digest":"sha256:{hex}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(String::from_utf8(simple(&subject(&[]))).unwrap(), expected);
        let annotated = String::from_utf8(simple(&subject(&[("b", "2"), ("a", "1")]))).unwrap();
        assert!(annotated.ends_with(r#""optional":{"a":"1","b":"2"}}"#));
    }

    #[test]
    fn a_statement_is_canonical_and_binds_the_digest() {
        let text = String::from_utf8(statement(&subject(&[]), SIGNATURE, &json!({}))).unwrap();
        let hex = Digest::of(b"").hex();
        assert_eq!(
            text,
            format!(
                r#"{{"_type":"https://in-toto.io/Statement/v1","predicate":{{}},"predicateType":"{SIGNATURE}","subject":[{{"digest":{{"sha256":"{hex}"}},"name":"h.test/app"}}]}}"#
            )
        );
    }

    #[test]
    fn lengths_stand_in_the_encoding_that_is_signed() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
