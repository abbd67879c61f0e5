//! Judges who share no code with us or with cosign: openssl, in-toto's envelopes in Python, and sigstore's own verifiers in Python and in
//! JavaScript. What they take, anybody's tools take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_sign::oidc::IdentityToken;
use sigstore_sign::rekor::RekorApiVersion;
use sigstore_sign::{SigningContext, SigningServices};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::mock::{Rekor, Sigstore};
use crate::peers::{cache, done, output, peer, said};
use crate::release::Released;
use crate::servers::Make;

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

const WHO: &str = "dev@example.com";

/// A sigstore, and a keyless signature of an image.
struct Keyless {
    sigstore: Sigstore,
    root: PathBuf,
    config: PathBuf,
    room: TempDir,
    stamps: bool,
}

impl Keyless {
    fn new(rekor: Rekor, stamps: bool) -> Keyless {
        let (sigstore, room) = (Sigstore::start(), tempfile::tempdir().unwrap());
        // The verifier in Python wants a rule for stamps, whether they are asked for or not.
        let files = sigstore.write(room.path(), rekor, true);
        Keyless { root: files.trusted_root, config: files.trust_config, room, stamps, sigstore }
    }

    /// Signs a digest as somebody.
    fn sign(&self, rekor: Rekor, digest: &str) -> Value {
        let url = self.sigstore.url();
        let mut services = SigningServices::new(url, url);
        if self.stamps {
            services = services.with_tsa_url(self.sigstore.tsa_url());
        }
        if rekor == Rekor::V2 {
            services = services.with_rekor(url, RekorApiVersion::V2);
        }
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "registry.test/app", "digest": {"sha256": digest.trim_start_matches("sha256:")}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        let token = IdentityToken::from_jwt(&self.sigstore.token(WHO)).unwrap();
        let signer = SigningContext::new(services).signer(token);
        let signed = Runtime::new().unwrap().block_on(signer.sign_raw_statement(statement.to_string().as_bytes()));
        serde_json::from_str(&signed.unwrap().to_json().unwrap()).unwrap()
    }

    fn python(&self, bundle: &Value, digest: &str, identity: &str, issuer: &str) -> Output {
        let file = self.room.path().join("bundle.json");
        fs::write(&file, bundle.to_string()).unwrap();
        let mut command = judge("sigstore", self.room.path());
        command.arg("--trust-config").arg(&self.config).args(["verify", "identity", "--offline", "--bundle"]).arg(file);
        output(command.args(["--cert-identity", identity, "--cert-oidc-issuer", issuer, digest]))
    }

    fn javascript(&self, bundle: &Value, digest: &str, identity: &str, issuer: &str) -> Output {
        let file = self.room.path().join("bundle.json");
        fs::write(&file, bundle.to_string()).unwrap();
        let mut command = judge("node", self.room.path());
        command.args(["-e", BUNDLE]).arg(file).arg(&self.root).args([digest, identity, issuer]);
        output(command.arg(self.stamps.to_string()))
    }
}

/// What sigstore signs without a key, its verifiers in other languages take; another signer, another image and another sigstore not.
#[test]
fn sigstores_verifiers_in_other_languages_take_keyless_bundles() {
    let digest = format!("sha256:{}", "5a".repeat(32));
    let another = format!("sha256:{}", "5b".repeat(32));
    for (rekor, stamps) in [(Rekor::V1, false), (Rekor::V1, true), (Rekor::V2, true)] {
        let (world, elsewhere) = (Keyless::new(rekor, stamps), Keyless::new(rekor, stamps));
        let bundle = world.sign(rekor, &digest);
        let issuer = world.sigstore.url().to_string();
        let mut flipped = bundle.clone();
        let sig = &mut flipped["dsseEnvelope"]["signatures"][0]["sig"];
        let mut bytes = STANDARD.decode(sig.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        *sig = json!(STANDARD.encode(bytes));
        for (name, judge) in
            [("python", Keyless::python as fn(&_, &_, &_, &_, &_) -> _), ("javascript", Keyless::javascript)]
        {
            let what = |what: &str| format!("{name} {rekor:?} {stamps}: {what}");
            takes(&judge(&world, &bundle, &digest, WHO, &issuer), &what("the bundle"));
            refuses(&judge(&world, &bundle, &digest, "mallory@example.com", &issuer), &what("another signer"));
            refuses(&judge(&world, &bundle, &digest, WHO, "https://issuer.test"), &what("another issuer"));
            refuses(&judge(&world, &bundle, &another, WHO, &issuer), &what("another image"));
            refuses(&judge(&world, &flipped, &digest, WHO, &issuer), &what("another byte"));
            refuses(&judge(&elsewhere, &bundle, &digest, WHO, &issuer), &what("another sigstore"));
        }
    }
}
