//! The transparency log, version 2: `hashedrekord` only, no promise and no time, a proof and a checkpoint.

use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use super::keys::{Public, b64, ed25519, sha256, sign, unb64};
use super::rekor::{Proof, SEEDS};
use super::tree::Tree;
use super::{Flaw, Flaws, canonical};
use crate::http::{Request, Response};

pub struct Tiles {
    pub key: KeyPair,
    stranger: KeyPair,
    /// Without a port.
    origin: String,
    tree: Tree,
    bodies: Vec<Vec<u8>>,
}

fn bad(message: &str) -> Response {
    Response::json(400, &json!({"code": 3, "message": message, "details": []}))
}

impl Tiles {
    pub fn new(origin: &str) -> Tiles {
        let (tree, bodies) = (Tree::default(), Vec::new());
        let mut tiles = Tiles { key: ed25519(), stranger: ed25519(), origin: origin.into(), tree, bodies };
        for seed in 0..SEEDS {
            tiles.add(format!("a newer entry of somebody else, number {seed}").into_bytes());
        }
        tiles
    }

    fn add(&mut self, body: Vec<u8>) -> usize {
        self.bodies.push(body.clone());
        self.tree.push(&body)
    }

    /// The identity of the key of a note; its first four bytes stand in each signature.
    pub fn id(&self) -> [u8; 32] {
        sha256(&[self.origin.as_bytes(), b"\n\x01", self.key.public_key_raw()].concat())
    }

    pub fn spki(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    /// Adds what somebody sent.
    pub fn post(&mut self, request: &Request, flaws: &Flaws) -> Response {
        let Ok(request) = serde_json::from_slice::<Value>(&request.body) else { return bad("not JSON") };
        let body = match stored(&request["hashedRekordRequestV002"]) {
            Ok(stored) => canonical(&stored),
            Err(message) => return bad(message),
        };
        if let Some(index) = self.tree.find(&body) {
            let message = format!("an equivalent entry already exists in the transparency log with index {index}");
            return Response::json(409, &json!({"code": 6, "message": message, "details": []}));
        }
        let index = self.add(body);
        let body = if flaws.has(Flaw::OtherEntry) { &self.bodies[0] } else { &self.bodies[index] };
        let proof = Proof::of(&self.tree, index, flaws);
        Response::json(
            201,
            &json!({
                "logIndex": index.to_string(),
                "logId": {"keyId": b64(self.id())},
                "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                "integratedTime": "0",
                "inclusionProof": {
                    "logIndex": index.to_string(),
                    "rootHash": b64(proof.root),
                    "treeSize": proof.size.to_string(),
                    "hashes": proof.hashes.iter().map(b64).collect::<Vec<_>>(),
                    "checkpoint": {"envelope": self.checkpoint(flaws)},
                },
                "canonicalizedBody": b64(body),
            }),
        )
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self, flaws: &Flaws) -> String {
        let name = &self.origin;
        let note = format!("{name}\n{}\n{}\n", self.tree.size(), b64(self.tree.root()));
        let key = if flaws.has(Flaw::WrongCheckpoint) { &self.stranger } else { &self.key };
        let signature = [&self.id()[..4], &sign(key, note.as_bytes())].concat();
        format!("{note}\n\u{2014} {name} {}\n", b64(signature))
    }

    /// How many entries were made here.
    pub fn made(&self) -> usize {
        self.bodies.len() - SEEDS
    }
}

fn stored(request: &Value) -> Result<Value, &'static str> {
    let digest = request["digest"].as_str().and_then(unb64).filter(|raw| raw.len() == 32).ok_or("missing digest")?;
    let signature = request["signature"]["content"].as_str().and_then(unb64).ok_or("missing signature")?;
    let verifier = &request["signature"]["verifier"];
    let raw = |kind: &str| verifier[kind]["rawBytes"].as_str().and_then(unb64);
    let (kind, bytes, key) = match (raw("x509Certificate"), raw("publicKey")) {
        (Some(bytes), None) => ("x509Certificate", b64(&bytes), Public::of_certificate(&bytes)),
        (None, Some(bytes)) => ("publicKey", b64(&bytes), Public::read(&bytes)),
        _ => return Err("either a certificate or a public key is wanted"),
    };
    let details = verifier["keyDetails"].as_str().ok_or("missing key details")?;
    let key = key.ok_or("the verifier cannot be read")?;
    if !key.verifies_digest(&digest, &signature) {
        return Err("invalid signature");
    }
    let mut verifier = json!({"keyDetails": details});
    verifier[kind] = json!({"rawBytes": bytes});
    Ok(json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
        "data": {"algorithm": "SHA2_256", "digest": b64(digest)},
        "signature": {"content": b64(signature), "verifier": verifier},
    }}}))
}
