//! The transparency log, version 1: `hashedrekord` and `dsse`, promises, proofs and checkpoints.

use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use super::keys::{Public, b64, hex, log_id, p256, pem, sha256, sign, unb64, unpem};
use super::tree::{Tree, leaf};
use super::{Flaw, Flaws, canonical, now, text};
use crate::http::{Request, Response};

/// The number of the log's tree, and how many entries older trees of the log hold.
const TREE: u64 = 1193050959916656506;
const OLDER: usize = 7_200_000;

/// How many entries others made before us.
pub const SEEDS: usize = 5;

pub struct Log {
    pub key: KeyPair,
    stranger: KeyPair,
    /// Host and port.
    host: String,
    tree: Tree,
    entries: Vec<Entry>,
}

struct Entry {
    body: Vec<u8>,
    time: u64,
}

fn bad(message: impl Into<String>) -> Response {
    Response::json(400, &json!({"code": 400, "message": message.into()}))
}

impl Log {
    pub fn new(host: &str) -> Log {
        let (tree, entries) = (Tree::default(), Vec::new());
        let mut log = Log { key: p256(), stranger: p256(), host: host.into(), tree, entries };
        for seed in 0..SEEDS {
            log.add(format!("an entry of somebody else, number {seed}").into_bytes(), now());
        }
        log
    }

    fn add(&mut self, body: Vec<u8>, time: u64) -> usize {
        self.entries.push(Entry { body: body.clone(), time });
        self.tree.push(&body)
    }

    fn id(&self, index: usize) -> String {
        format!("{TREE:016x}{}", hex(&leaf(&self.entries[index].body)))
    }

    /// Adds what somebody sent.
    pub fn post(&mut self, request: &Request, flaws: &Flaws) -> Response {
        let Ok(proposed) = serde_json::from_slice::<Value>(&request.body) else { return bad("not JSON") };
        let stored = match proposed["kind"].as_str() {
            Some("hashedrekord") => hashedrekord(&proposed["spec"]),
            Some("dsse") => dsse(&proposed["spec"]["proposedContent"]),
            _ => Err("unsupported kind".to_string()),
        };
        let body = match stored {
            Ok(stored) => canonical(&stored),
            Err(message) => return bad(message),
        };
        if let Some(index) = self.tree.find(&body) {
            let id = self.id(index);
            let message = format!("an equivalent entry already exists in the transparency log with UUID {id}");
            let answer = Response::json(409, &json!({"code": 409, "message": message}));
            return answer.header("Location", format!("/api/v1/log/entries/{id}"));
        }
        let time = if flaws.has(Flaw::LateEntry) { now() + 3600 } else { now() };
        let index = self.add(body, time);
        self.entry(201, index, flaws)
    }

    /// Finds an entry by its identifier.
    pub fn get(&self, id: &str, flaws: &Flaws) -> Response {
        // With or without the tree's number.
        let found = (0..self.entries.len()).find(|index| id.len() >= 64 && self.id(*index).ends_with(id));
        found.map_or_else(missing, |index| self.entry(200, index, flaws))
    }

    /// Finds an entry by its number.
    pub fn at(&self, number: &str, flaws: &Flaws) -> Response {
        let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(OLDER));
        let found = index.filter(|index| *index < self.entries.len());
        found.map_or_else(missing, |index| self.entry(200, index, flaws))
    }

    fn entry(&self, status: u16, index: usize, flaws: &Flaws) -> Response {
        let entry = match flaws.has(Flaw::OtherEntry) {
            true => &self.entries[0],
            false => &self.entries[index],
        };
        let id = self.id(index);
        let signed = json!({
            "body": b64(&entry.body),
            "integratedTime": entry.time,
            "logID": hex(&log_id(&self.key)),
            "logIndex": OLDER + index,
        });
        let promise = match flaws.has(Flaw::WrongSet) {
            true => sign(&self.key, b"something else"),
            false => sign(&self.key, &canonical(&signed)),
        };
        let proof = Proof::of(&self.tree, index, flaws);
        let mut verification = json!({"inclusionProof": {
            "checkpoint": self.checkpoint(flaws),
            "hashes": proof.hashes.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
            "logIndex": index,
            "rootHash": hex(&proof.root),
            "treeSize": proof.size,
        }});
        if !flaws.has(Flaw::NoSet) {
            verification["signedEntryTimestamp"] = json!(b64(promise));
        }
        let mut answer = signed;
        answer["verification"] = verification;
        let location = format!("/api/v1/log/entries/{id}");
        let mut all = json!({});
        all[&id] = answer;
        Response::json(status, &all).header("ETag", &id).header("Location", location)
    }

    fn checkpoint(&self, flaws: &Flaws) -> String {
        let name = &self.host;
        let note = format!("{name} - {TREE}\n{}\n{}\n", self.tree.size(), b64(self.tree.root()));
        let key = if flaws.has(Flaw::WrongCheckpoint) { &self.stranger } else { &self.key };
        let signature = [&log_id(&self.key)[..4], &sign(key, note.as_bytes())].concat();
        format!("{note}\n\u{2014} {name} {}\n", b64(signature))
    }

    /// What the log says of itself.
    pub fn state(&self, flaws: &Flaws) -> Response {
        let head = self.checkpoint(flaws);
        let (root, size) = (hex(&self.tree.root()), self.tree.size());
        let state = json!({"rootHash": root, "signedTreeHead": head, "treeID": TREE.to_string(), "treeSize": size});
        Response::json(200, &state)
    }

    pub fn public_key(&self) -> Response {
        let text = pem("PUBLIC KEY", &self.key.subject_public_key_info());
        Response::new(200).header("Content-Type", "application/x-pem-file").body(text)
    }

    /// How many entries were made here.
    pub fn made(&self) -> usize {
        self.entries.len() - SEEDS
    }
}

fn missing() -> Response {
    Response::json(404, &json!({"code": 404, "message": "entry not found"}))
}

/// An inclusion proof, true or not.
pub struct Proof {
    pub hashes: Vec<[u8; 32]>,
    pub root: [u8; 32],
    pub size: usize,
}

impl Proof {
    pub fn of(tree: &Tree, index: usize, flaws: &Flaws) -> Proof {
        let mut hashes = tree.proof(index);
        if let (true, Some(first)) = (flaws.has(Flaw::WrongProof), hashes.first_mut()) {
            first[0] ^= 1;
        }
        Proof { hashes, root: tree.root(), size: tree.size() }
    }
}

/// The base64 of base64's PEM in the form that the log stores, and the key in it.
fn verifier(content: &Value) -> Result<(String, Public), String> {
    let wrong = || "the verifier is not a public key or certificate".to_string();
    let raw = content.as_str().and_then(unb64).map(|raw| text(&raw)).ok_or_else(wrong)?;
    let key = Public::from_pem(&raw).ok_or_else(wrong)?;
    let (label, der) = unpem(&raw).ok_or_else(wrong)?;
    Ok((b64(pem(&label, &der)), key))
}

fn hashedrekord(spec: &Value) -> Result<Value, String> {
    let digest = spec["data"]["hash"]["value"].as_str().unwrap_or_default();
    let raw = unhex(digest).filter(|raw| raw.len() == 32).ok_or("the hash is no SHA-256")?;
    if spec["data"]["hash"]["algorithm"] != "sha256" {
        return Err("unsupported hash algorithm".into());
    }
    let (content, key) = verifier(&spec["signature"]["publicKey"]["content"])?;
    let signature = spec["signature"]["content"].as_str().unwrap_or_default();
    if !key.verifies_digest(&raw, &unb64(signature).unwrap_or_default()) {
        return Err("verifying signature: invalid signature when validating ASN.1 encoded signature".into());
    }
    Ok(json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": digest.to_lowercase()}},
        "signature": {"content": signature, "publicKey": {"content": content}},
    }}))
}

fn dsse(proposed: &Value) -> Result<Value, String> {
    let envelope = proposed["envelope"].as_str().ok_or("no envelope")?;
    let parsed: Value = serde_json::from_str(envelope).map_err(|cause| cause.to_string())?;
    let payload = parsed["payload"].as_str().and_then(unb64).ok_or("no payload")?;
    let kind = parsed["payloadType"].as_str().ok_or("no payload type")?;
    let pae = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat();
    let keys = proposed["verifiers"].as_array().ok_or("no verifiers")?;
    let keys: Vec<(String, Public)> = keys.iter().map(verifier).collect::<Result<_, _>>()?;
    let signatures = parsed["signatures"].as_array().filter(|all| !all.is_empty()).ok_or("no signatures")?;
    let mut stored = Vec::new();
    for signature in signatures {
        let text = signature["sig"].as_str().unwrap_or_default();
        let raw = unb64(text).unwrap_or_default();
        let (content, _) = keys
            .iter()
            .find(|(_, key)| key.verifies(&pae, &raw))
            .ok_or("could not verify envelope: no verifier fits a signature")?;
        stored.push(json!({"signature": text, "verifier": content}));
    }
    let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(&sha256(bytes))});
    Ok(json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "envelopeHash": hash(envelope.as_bytes()),
        "payloadHash": hash(&payload),
        "signatures": stored,
    }}))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(pair).collect()
}
