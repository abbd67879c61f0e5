//! Stage 8: what is signed. A subject and a predicate in, the bytes of an in-toto statement out; an image in, the payload of a legacy
//! signature out. Pure. (in-toto attestation framework, Statement v1; containers/image, "simple signing".)

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::oci::json::canonical;
use crate::oci::{Digest, Repository};

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The name of the image; verifiers other than cosign want one.
    pub name: &'a Repository,
    /// What is vouched for.
    pub digest: &'a Digest,
    /// What the signer adds; signed with the rest.
    pub annotations: &'a BTreeMap<String, String>,
}

/// The bytes of an in-toto statement, in canonical JSON.
pub fn statement(subject: &Subject<'_>, predicate_type: &str, predicate: &Value) -> Vec<u8> {
    canonical(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{
            "name": subject.name.to_string(),
            "digest": { "sha256": subject.digest.hex() },
            "annotations": subject.annotations,
        }],
        "predicateType": predicate_type,
        "predicate": predicate,
    }))
}

/// The payload of a legacy signature. Its keys stand in the order in which cosign writes them, which is that of the alphabet.
pub fn simple(subject: &Subject<'_>) -> Vec<u8> {
    let annotations = (!subject.annotations.is_empty()).then_some(subject.annotations);
    canonical(&json!({
        "critical": {
            "identity": { "docker-reference": subject.name.to_string() },
            "image": { "docker-manifest-digest": subject.digest },
            "type": "cosign container image signature",
        },
        "optional": annotations,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legacy_payload_is_cosigns() {
        let name: Repository = "127.0.0.1:5282/test/img".parse().unwrap();
        let digest = Digest::of(b"x");
        let none = BTreeMap::new();
        let text = String::from_utf8(simple(&Subject { name: &name, digest: &digest, annotations: &none })).unwrap();
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"127.0.0.1:5282/test/img"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(text, expected);
    }
}
