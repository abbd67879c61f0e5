//! Signatures as cosign makes them, by hand: a key, statements, bundles, legacy layers, and how they are put beside an image.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_crypto::KeyPair;
use sigstore_verify::types::pae;
use stillframe::oci::{Descriptor, Digest, media};

use crate::registry::Registry;

pub const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
pub const SPDX: &str = "https://spdx.dev/Document";
pub const PAYLOAD: &str = "application/vnd.in-toto+json";
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// Somebody with a key.
pub struct Signer(KeyPair);

impl Signer {
    pub fn new() -> Signer {
        Signer(KeyPair::generate_ecdsa_p256().unwrap())
    }

    /// The public key as a PEM file.
    pub fn public(&self) -> String {
        let text = STANDARD.encode(self.0.public_key_der().unwrap().as_bytes());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn sign(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(bytes).unwrap().as_bytes())
    }

    /// An envelope around a statement.
    pub fn envelope(&self, payload_type: &str, statement: &Value) -> Value {
        let payload = statement.to_string();
        let sig = self.sign(&pae(payload_type, payload.as_bytes()));
        json!({"payload": STANDARD.encode(payload), "payloadType": payload_type, "signatures": [{"sig": sig}]})
    }

    /// A bundle around an envelope.
    pub fn bundle(&self, statement: &Value) -> Value {
        bundle(self.envelope(PAYLOAD, statement))
    }

    /// A signature of an image, as a bundle.
    pub fn signature(&self, digest: &str) -> Value {
        self.bundle(&statement(SIGN, digest))
    }

    /// A layer of a legacy signature: the payload and the annotations.
    pub fn simple(&self, digest: &str) -> (Vec<u8>, Value) {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": "h.test/app"},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": {"stage": "prod"},
        });
        let payload = payload.to_string().into_bytes();
        let signature = self.sign(&payload);
        (payload, json!({"dev.cosignproject.cosign/signature": signature}))
    }
}

pub fn bundle(envelope: Value) -> Value {
    json!({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": ""}}, "dsseEnvelope": envelope})
}

/// A statement of this type about an image.
pub fn statement(predicate_type: &str, digest: &str) -> Value {
    let hex = digest.trim_start_matches("sha256:");
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": hex}, "annotations": {"stage": "prod"}}],
        "predicateType": predicate_type,
        "predicate": {},
    })
}

/// The bytes of a bundle's manifest, the bundle in the repository.
pub fn referrer(registry: &Registry, repository: &str, digest: &str, bundle: &[u8], annotations: &Value) -> Vec<u8> {
    let layer = registry.blob(repository, bundle);
    let empty = registry.blob(repository, b"{}");
    let (_, image) = registry.shelf(repository).manifests[digest].clone();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "artifactType": BUNDLE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty.digest, "size": 2},
        "layers": [{"mediaType": BUNDLE, "digest": layer.digest, "size": layer.size}],
        "annotations": annotations,
        "subject": {"mediaType": media::MANIFEST, "digest": digest, "size": image.len()},
    });
    manifest.to_string().into_bytes()
}

/// Puts a bundle beside an image; the registry has the referrers API.
pub fn attach(registry: &Registry, repository: &str, digest: &str, bundle: &Value) -> Digest {
    let kind: Option<Value> = bundle["dsseEnvelope"]["payload"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let kind = kind.map_or(json!(SIGN), |statement| statement["predicateType"].clone());
    let annotations = json!({"dev.sigstore.bundle.predicateType": kind});
    attach_bytes(registry, repository, digest, bundle.to_string().as_bytes(), &annotations)
}

pub fn attach_bytes(registry: &Registry, repository: &str, digest: &str, bundle: &[u8], annotations: &Value) -> Digest {
    let bytes = referrer(registry, repository, digest, bundle, annotations);
    let descriptor = Descriptor::of(media::MANIFEST, &bytes);
    registry.set(|model| {
        let manifests = &mut model.shelf(repository).manifests;
        manifests.insert(descriptor.digest.to_string(), (media::MANIFEST.to_string(), bytes));
    });
    descriptor.digest
}

/// Puts legacy layers under the tag of an image.
pub fn legacy(registry: &Registry, repository: &str, digest: &str, ending: &str, layers: &[(&str, Vec<u8>, Value)]) {
    let config = registry.blob(repository, b"{}");
    let mut entries = Vec::new();
    for (media_type, bytes, annotations) in layers {
        let blob = registry.blob(repository, bytes);
        entries.push(
            json!({"mediaType": media_type, "digest": blob.digest, "size": blob.size, "annotations": annotations}),
        );
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "config": {"mediaType": media::CONFIG, "digest": config.digest, "size": 2},
        "layers": entries,
    });
    let tag = format!("{}.{ending}", digest.replace(':', "-"));
    registry.manifest(repository, &tag, media::MANIFEST, manifest.to_string().as_bytes());
}

/// Writes the list under the fallback tag, each entry with a wrong artifact type, as some tools do.
pub fn fallback(registry: &Registry, repository: &str, digest: &str, referrers: &[Digest]) {
    let shelf = registry.shelf(repository);
    let entry = |digest: &Digest| {
        let size = shelf.manifests[&digest.to_string()].1.len();
        json!({"mediaType": media::MANIFEST, "digest": digest, "size": size,
            "artifactType": "application/vnd.oci.empty.v1+json"})
    };
    let entries: Vec<Value> = referrers.iter().map(entry).collect();
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": entries});
    registry.manifest(repository, &digest.replace(':', "-"), media::INDEX, index.to_string().as_bytes());
}

/// The entries of a log in a conformance case, and the root that they are checked by.
pub fn log_entries(case: &str) -> Vec<Value> {
    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance/sigstore-bundle-verify");
    let text = std::fs::read_to_string(room.join(case).join("bundle.sigstore.json")).unwrap();
    let bundle: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    bundle["verificationMaterial"]["tlogEntries"].as_array().unwrap().clone()
}
