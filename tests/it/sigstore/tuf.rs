//! The TUF repository that hands out the trusted root and the signing config. TUF specification 1.0.31, consistent snapshots.

use std::collections::BTreeMap;

use rcgen::KeyPair;
use serde_json::{Value, json};

use super::keys::{ed25519, hex, sha256, sign};
use super::{Flaw, Flaws, canonical};
use crate::http::Response;

/// Far away, and long ago.
const LATER: &str = "2049-01-01T00:00:00Z";
const EARLIER: &str = "2024-01-01T00:00:00Z";

/// One key has all roles.
pub struct Tuf {
    key: KeyPair,
    stranger: KeyPair,
}

impl Tuf {
    pub fn new() -> Tuf {
        Tuf { key: ed25519(), stranger: ed25519() }
    }

    fn described(&self) -> Value {
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": hex(self.key.public_key_raw())}})
    }

    fn id(&self) -> String {
        hex(&sha256(&canonical(&self.described())))
    }

    fn signed(&self, key: &KeyPair, body: Value) -> Vec<u8> {
        let signature = hex(&sign(key, &canonical(&body)));
        canonical(&json!({"signed": body, "signatures": [{"keyid": self.id(), "sig": signature}]}))
    }

    /// The first root, which a client has to be given.
    pub fn root(&self) -> Vec<u8> {
        let role = json!({"keyids": [self.id()], "threshold": 1});
        let mut keys = json!({});
        keys[self.id()] = self.described();
        let body = json!({
            "_type": "root", "spec_version": "1.0.31", "version": 1, "expires": LATER, "consistent_snapshot": true,
            "keys": keys, "roles": {"root": role, "snapshot": role, "targets": role, "timestamp": role},
        });
        self.signed(&self.key, body)
    }

    /// Answers for a path below the repository.
    pub fn answer(&self, path: &str, targets: &[(&str, Vec<u8>)], flaws: &Flaws) -> Response {
        let files = self.files(targets, flaws);
        match files.get(path) {
            Some(bytes) => Response::new(200).header("Content-Type", "application/octet-stream").body(bytes.clone()),
            None => Response::new(404),
        }
    }

    fn files(&self, targets: &[(&str, Vec<u8>)], flaws: &Flaws) -> BTreeMap<String, Vec<u8>> {
        let key = if flaws.has(Flaw::ForgedTuf) { &self.stranger } else { &self.key };
        let expires = if flaws.has(Flaw::ExpiredTuf) { EARLIER } else { LATER };
        let mut files = BTreeMap::from([("1.root.json".to_string(), self.root())]);
        let mut listed = json!({});
        for (name, bytes) in targets {
            let digest = hex(&sha256(bytes));
            listed[*name] = json!({"length": bytes.len(), "hashes": {"sha256": digest}});
            files.insert(format!("targets/{digest}.{name}"), bytes.clone());
        }
        let role = |kind: &str, expires: &str, more: (&str, Value)| {
            let mut body = json!({"_type": kind, "spec_version": "1.0.31", "version": 1, "expires": expires});
            body[more.0] = more.1;
            self.signed(key, body)
        };
        let meta = |name: &str, bytes: &[u8]| {
            let mut meta = json!({});
            meta[name] = json!({"version": 1, "length": bytes.len(), "hashes": {"sha256": hex(&sha256(bytes))}});
            ("meta", meta)
        };
        let top = role("targets", LATER, ("targets", listed));
        let snapshot = role("snapshot", LATER, meta("targets.json", &top));
        files.insert("timestamp.json".into(), role("timestamp", expires, meta("snapshot.json", &snapshot)));
        files.insert("1.snapshot.json".into(), snapshot);
        files.insert("1.targets.json".into(), top);
        files
    }
}
