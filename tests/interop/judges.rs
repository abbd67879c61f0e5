//! Judges who share no code with us or with cosign: openssl, in-toto's envelopes in Python, and sigstore's own verifiers in Python and in
//! JavaScript. What they take, anybody's tools take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::mock::{Rekor, Sigstore};
use crate::peers::{cache, done, output, peer, said};
use crate::release::Released;
use crate::servers::Make;
use crate::signing::{KEYLESS, WHO, World};

/// Checks the envelope of a bundle with a public key.
const ENVELOPE: &str = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
key = SSlibKey.from_crypto(load_pem_public_key(open(sys.argv[1], "rb").read()))
envelope = json.load(open(sys.argv[2]))["dsseEnvelope"]
for signature in envelope["signatures"]:
    signature["keyid"] = key.keyid
Envelope.from_dict(envelope).verify([key], 1)
"#;

/// Checks a bundle, its signer, and that it is about a digest.
const BUNDLE: &str = r#"
const fs = require("node:fs");
const [file, root, digest, identity, issuer, stamps] = process.argv.slice(1);
const { bundleFromJSON } = require("@sigstore/bundle");
const { TrustedRoot } = require("@sigstore/protobuf-specs");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");
const read = (path) => JSON.parse(fs.readFileSync(path));
const bundle = bundleFromJSON(read(file));
const options = { tlogThreshold: 1, ctlogThreshold: 1, timestampThreshold: stamps === "true" ? 1 : 0 };
const verifier = new Verifier(toTrustMaterial(TrustedRoot.fromJSON(read(root))), options);
const policy = { subjectAlternativeName: `^${identity.replaceAll(".", "\\.")}$`, extensions: { issuer } };
verifier.verify(toSignedEntity(bundle), policy);
const statement = JSON.parse(bundle.content.dsseEnvelope.payload);
if (!statement.subject.some((subject) => subject.digest.sha256 === digest.replace("sha256:", ""))) throw new Error("another image");
"#;

/// Where the judges of signatures are.
fn room() -> PathBuf {
    let room = cache().join("judges");
    assert!(room.join("bin/sigstore").is_file(), "`{}` is missing; run `bash .ci/peers`", room.display());
    room
}

fn judge(program: &str, home: &Path) -> Command {
    let mut command = Command::new(room().join("bin").join(program));
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").env("NODE_PATH", room().join("node_modules"));
    command
}

#[track_caller]
fn takes(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", said(output));
}

#[track_caller]
fn refuses(output: &Output, what: &str) {
    assert!(!output.status.success(), "{what} is taken");
}

/// The bundles beside an image, as anybody fetches them.
fn bundles(released: &Released, image: &str) -> Vec<Value> {
    let kinds: [&[&str]; 2] = [&[], &["--attestation", "slsaprovenance1"]];
    let of_kind = |kind: &&[&str]| {
        let words = [&["--format", "json", "verify", image, "--key", "mine.pub"], *kind].concat();
        let told: Value = serde_json::from_str(&done(&mut released.ours(&words))).unwrap();
        let blob = told["images"][0]["accepted"][0]["blob"].as_str().unwrap().to_string();
        let bundle = released.place.ask("GET", &format!("/v2/team/app/blobs/{blob}"), None).body;
        serde_json::from_str(&bundle).unwrap()
    };
    kinds.iter().map(of_kind).collect()
}

#[test]
fn sig_03_openssl_takes_what_a_key_signed() {
    let released = Released::to(Make::Plain);
    let (place, room) = (&released.place, released.project.app());
    let get = |path: String| place.ask("GET", &format!("/v2/team/app/{path}"), None).body;
    for image in released.images.iter().chain([&released.whole]) {
        let manifest: Value = serde_json::from_str(&get(format!("manifests/{}.sig", image.replace(':', "-")))).unwrap();
        let layer = &manifest["layers"][0];
        let payload = get(format!("blobs/{}", layer["digest"].as_str().unwrap()));
        let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        fs::write(room.join("signature"), STANDARD.decode(signature).unwrap()).unwrap();
        let verify = |key: &str, payload: &str| {
            fs::write(room.join("payload"), payload).unwrap();
            let words = ["dgst", "-sha256", "-verify", key, "-signature", "signature", "payload"];
            output(peer("openssl").current_dir(&room).args(words))
        };
        takes(&verify("mine.pub", &payload), "the payload");
        refuses(&verify("other.pub", &payload), "another key");
        refuses(&verify("mine.pub", &payload.replace("sha256:", "sha256;")), "another payload");
        let payload: Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], **image);
        assert_eq!(payload["critical"]["identity"]["docker-reference"], place.name("team/app"));
    }
}

#[test]
fn sig_03_in_toto_takes_the_envelopes_of_a_key() {
    let released = Released::to(Make::Ferro);
    let room = released.project.app();
    let verify = |key: &str, bundle: &Value| {
        fs::write(room.join("bundle.json"), bundle.to_string()).unwrap();
        output(judge("python", &room).args(["-c", ENVELOPE]).arg(room.join(key)).arg(room.join("bundle.json")))
    };
    let found = bundles(&released, &released.reference());
    assert_ne!(found[0], found[1]);
    for mut bundle in found {
        takes(&verify("mine.pub", &bundle), "the envelope");
        refuses(&verify("other.pub", &bundle), "another key");
        let payload = &mut bundle["dsseEnvelope"]["payload"];
        let mut bytes = STANDARD.decode(payload.as_str().unwrap()).unwrap();
        bytes[20] ^= 1;
        *payload = json!(STANDARD.encode(bytes));
        refuses(&verify("mine.pub", &bundle), "another payload");
    }
}

/// Two sigstores.
const HERE: &str = "here";
const ELSEWHERE: &str = "elsewhere";

/// A keyless release, and what judges of other languages are told to trust.
struct Keyless {
    world: World,
    room: TempDir,
    stamps: bool,
}

impl Keyless {
    fn new(rekor: Rekor, stamps: bool) -> Keyless {
        let (world, room) = (World::new(Make::Plain, rekor, stamps, KEYLESS), tempfile::tempdir().unwrap());
        let read = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
        for (name, sigstore) in [(HERE, &world.sigstore), (ELSEWHERE, &Sigstore::start())] {
            // The verifier in Python wants a rule for stamps, whether they are asked for or not.
            let config = json!({
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": read(sigstore.trusted_root()),
                "signingConfig": read(sigstore.signing_config(rekor, true)),
            });
            fs::create_dir(room.path().join(name)).unwrap();
            fs::write(room.path().join(name).join("config.json"), config.to_string()).unwrap();
            fs::write(room.path().join(name).join("root.json"), config["trustedRoot"].to_string()).unwrap();
        }
        Keyless { world, room, stamps }
    }

    /// The bundles of the signature and of the provenance.
    fn bundles(&self) -> Vec<Value> {
        let url = self.world.sigstore.url();
        let of_kind = |kind: &[&str]| -> Value {
            let words = [&["--format", "json", "--identity", WHO, "--issuer", url], kind].concat();
            let told = self.world.verify(&words, &self.world.at(&self.world.digest));
            let told: Value = serde_json::from_slice(&told.stdout).unwrap();
            let accepted = told["images"][0]["accepted"].as_array().unwrap();
            let bundle = accepted.iter().find(|one| one["format"] == "bundle").unwrap();
            let blob = format!("/v2/team/app/blobs/{}", bundle["blob"].as_str().unwrap());
            serde_json::from_str(&self.world.place.ask("GET", &blob, None).body).unwrap()
        };
        vec![of_kind(&[]), of_kind(&["--attestation", "slsaprovenance1"])]
    }

    fn write(&self, bundle: &Value) -> PathBuf {
        let file = self.room.path().join("bundle.json");
        fs::write(&file, bundle.to_string()).unwrap();
        file
    }

    fn python(&self, trust: &str, bundle: &Value, digest: &str, identity: &str, issuer: &str) -> Output {
        let mut command = judge("sigstore", self.room.path());
        command.arg("--trust-config").arg(self.room.path().join(trust).join("config.json"));
        command.args(["verify", "identity", "--offline", "--bundle"]).arg(self.write(bundle));
        output(command.args(["--cert-identity", identity, "--cert-oidc-issuer", issuer, digest]))
    }

    fn javascript(&self, trust: &str, bundle: &Value, digest: &str, identity: &str, issuer: &str) -> Output {
        let mut command = judge("node", self.room.path());
        command.args(["-e", BUNDLE]).arg(self.write(bundle)).arg(self.room.path().join(trust).join("root.json"));
        output(command.args([digest, identity, issuer]).arg(self.stamps.to_string()))
    }
}

/// Sigstore's verifiers in other languages take what we release without a key; another signer, another image, another byte and another
/// sigstore they do not.
fn other_languages(rekor: Rekor, stamps: bool) {
    let here = Keyless::new(rekor, stamps);
    let (digest, issuer) = (here.world.digest.clone(), here.world.sigstore.url().to_string());
    let another = here.world.images[0].clone();
    let judges = [("python", Keyless::python as fn(&_, &_, &_, &_, &_, &_) -> _), ("javascript", Keyless::javascript)];
    for bundle in here.bundles() {
        let mut flipped = bundle.clone();
        let sig = &mut flipped["dsseEnvelope"]["signatures"][0]["sig"];
        let mut bytes = STANDARD.decode(sig.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        *sig = json!(STANDARD.encode(bytes));
        for (name, judge) in judges {
            let what = |what: &str| format!("{name} {rekor:?} {stamps}: {what}");
            takes(&judge(&here, HERE, &bundle, &digest, WHO, &issuer), &what("the bundle"));
            refuses(&judge(&here, HERE, &bundle, &digest, "mallory@example.com", &issuer), &what("another signer"));
            refuses(&judge(&here, HERE, &bundle, &digest, WHO, "https://issuer.test"), &what("another issuer"));
            refuses(&judge(&here, HERE, &flipped, &digest, WHO, &issuer), &what("another byte"));
            refuses(&judge(&here, ELSEWHERE, &bundle, &digest, WHO, &issuer), &what("another sigstore"));
        }
    }
    // Provenance is about every image of the index, a signature about one.
    let signature = &here.bundles()[0];
    for (name, judge) in judges {
        refuses(&judge(&here, HERE, signature, &another, WHO, &issuer), &format!("{name}: another image"));
    }
}

#[test]
fn verifiers_in_other_languages_take_a_keyless_release_in_an_older_log() {
    other_languages(Rekor::V1, false);
}

#[test]
fn verifiers_in_other_languages_take_a_keyless_release_in_an_older_log_with_stamps() {
    other_languages(Rekor::V1, true);
}

#[test]
fn verifiers_in_other_languages_take_a_keyless_release_in_a_newer_log() {
    other_languages(Rekor::V2, true);
}
