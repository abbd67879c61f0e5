//! What we sign keyless, and with keys whose signatures are in a log, against the mock sigstore: both cosigns verify it, with and without
//! the referrers API, and what does not hold they refuse as we do. Nothing leaves the machine.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::mock::{Files, Rekor, Sigstore};
use crate::peers::{done, output, peer, said};
use crate::project::{Project, refused};
use crate::servers::{Make, Place};

/// Who signs without a key.
pub const WHO: &str = "dev@example.com";
const PASSWORD: (&str, &str) = ("COSIGN_PASSWORD", "a password");
/// `[sign]` of a release without a key.
pub const KEYLESS: &str = "method = \"keyless\"";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What cosign asks for, that verifies a signature, and an attestation of where an image is from.
const VERIFY: &[&str] = &["verify"];
const PROVENANCE: &[&str] = &["verify-attestation", "--type", "slsaprovenance1"];

/// A release of two images, made by a project that is signed in some way.
pub struct World {
    /// Where it is.
    pub place: Place,
    /// What it was made of, and the documents of who certified it.
    pub project: Project,
    /// Who certified it.
    pub sigstore: Sigstore,
    files: Files,
    /// Its index.
    pub digest: String,
    /// The images in the index.
    pub images: Vec<String>,
}

fn git(project: &Project, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]).args(words);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    done(command.current_dir(project.app()));
}

impl World {
    /// A release to a registry of this make, with these services and this `[sign]`.
    pub fn new(make: Make, rekor: Rekor, stamps: bool, sign: &str) -> World {
        let (place, sigstore) = (Place::start(make), Sigstore::start());
        let project = Project::new(&format!(
            "[image]\nname = \"{}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [[file]]\ndest = \"/x\"\ncontent = \"x\"\n[tags]\nsemver = [\"{{{{ version }}}}\"]\n\
             [attest]\nsbom = [\"spdx\"]\nprovenance = true\n\
             [sign]\n{sign}\nsigning-config = \"signing_config.json\"\ntrusted-root = \"trusted_root.json\"\n",
            place.name("team/app")
        ))
        .file(".gitignore", "*.key\n*.pub\n*.pem\n*.json\ntoken\n");
        for key in ["mine", "other"] {
            let mut keygen = peer("cosign-3");
            keygen.current_dir(project.app()).env("HOME", project.room()).env(PASSWORD.0, PASSWORD.1);
            done(keygen.args(["generate-key-pair", "--output-key-prefix", key]));
        }
        git(&project, &["init", "-q"]);
        git(&project, &["add", "."]);
        git(&project, &["commit", "-qm", "one"]);
        git(&project, &["tag", "v1.2.3"]);
        let files = sigstore.write(&project.app(), rekor, stamps);
        let mut world = World { place, project, sigstore, files, digest: String::new(), images: Vec::new() };
        let told: Value = serde_json::from_str(&done(&mut world.ours(&["--format", "json", "release"]))).unwrap();
        world.digest = told["digest"].as_str().unwrap().to_string();
        let images = told["images"].as_array().unwrap().iter();
        world.images = images.map(|image| image["digest"].as_str().unwrap().to_string()).collect();
        assert_eq!(world.images.len(), 2);
        world
    }

    /// The program, as somebody who has a token and a password.
    fn ours(&self, words: &[&str]) -> Command {
        let mut command = self.place.ours(&self.project, words);
        command.env(PASSWORD.0, PASSWORD.1).env("SIGSTORE_ID_TOKEN", self.sigstore.token(WHO));
        command
    }

    /// Something of it by its digest.
    pub fn at(&self, digest: &str) -> String {
        format!("{}@{digest}", self.place.name("team/app"))
    }

    fn tagged(&self) -> String {
        format!("{}:1.2.3", self.place.name("team/app"))
    }

    /// A cosign that trusts the mock, asked about an image and a signer.
    fn cosign(&self, which: &str, verb: &[&str], signer: &[&str], image: &str) -> Output {
        let mut command = peer(which);
        self.place.introduce(&mut command);
        command.current_dir(self.project.app()).env("HOME", self.project.room()).args(verb).args(signer);
        match which {
            "cosign-2" => command.envs(self.files.env()),
            _ => command.arg("--trusted-root").arg(&self.files.trusted_root),
        };
        output(command.arg(image))
    }

    /// We, asked the same.
    pub fn verify(&self, words: &[&str], image: &str) -> Output {
        output(&mut self.ours(&[&["verify", image, "--trusted-root", "trusted_root.json"], words].concat()))
    }

    fn identity<'a>(&'a self, identity: &'a str) -> [&'a str; 4] {
        ["--certificate-identity", identity, "--certificate-oidc-issuer", self.sigstore.url()]
    }

    #[track_caller]
    fn taken(&self, which: &str, verb: &[&str], signer: &[&str], image: &str) {
        let output = self.cosign(which, verb, signer, image);
        assert!(output.status.success(), "{which} {verb:?} {image}: {}", said(&output));
    }

    #[track_caller]
    fn not_taken(&self, which: &str, verb: &[&str], signer: &[&str], image: &str) {
        let output = self.cosign(which, verb, signer, image);
        assert!(!output.status.success(), "{which} {verb:?} takes {image}");
    }
}

/// An identity's release, judged by these cosigns and by us.
fn keyless(make: Make, rekor: Rekor, stamps: bool, judges: &[&str]) {
    let world = World::new(make, rekor, stamps, KEYLESS);
    let (whole, url) = (world.at(&world.digest), world.sigstore.url());
    for which in judges {
        let who = world.identity(WHO);
        for image in [&whole, &world.tagged()] {
            world.taken(which, VERIFY, &who, image);
        }
        world.taken(which, PROVENANCE, &who, &whole);
        for image in &world.images {
            world.taken(which, VERIFY, &who, &world.at(image));
            world.taken(which, &["verify-attestation", "--type", "spdxjson"], &who, &world.at(image));
        }
        for verb in [VERIFY, PROVENANCE] {
            world.not_taken(which, verb, &world.identity("dev@example.com.evil.test"), &whole);
            let elsewhere = ["--certificate-identity", WHO, "--certificate-oidc-issuer", "https://issuer.test"];
            world.not_taken(which, verb, &elsewhere, &whole);
            world.not_taken(which, verb, &["--key", "mine.pub"], &whole);
        }
    }
    let ours = |identity: &str, words: &[&str]| {
        world.verify(&[&["--identity", identity, "--issuer", url], words].concat(), &whole)
    };
    assert!(ours(WHO, &["--recursive"]).status.success());
    assert!(ours(WHO, &["--attestation", "slsaprovenance1"]).status.success());
    refused(&ours("other@example.com", &[]), 4, &["it is by `dev@example.com`"]);
}

#[test]
fn both_cosigns_verify_a_keyless_release_in_a_registry_without_referrers() {
    keyless(Make::Plain, Rekor::V1, false, &["cosign-2", "cosign-3"]);
}

#[test]
fn both_cosigns_verify_a_keyless_release_in_a_registry_with_referrers() {
    keyless(Make::Ferro, Rekor::V1, true, &["cosign-2", "cosign-3"]);
}

#[test]
fn cosign_verifies_a_keyless_release_in_the_newer_log() {
    for make in [Make::Plain, Make::Ferro] {
        keyless(make, Rekor::V2, true, &["cosign-3"]);
    }
}

#[test]
fn cosign_finds_a_keys_signatures_in_the_log() {
    for (rekor, stamps, judges) in [
        (Rekor::V1, false, &["cosign-2", "cosign-3"][..]),
        (Rekor::V1, true, &["cosign-2", "cosign-3"]),
        (Rekor::V2, true, &["cosign-3"]),
    ] {
        let world = World::new(Make::Plain, rekor, stamps, "method = \"key\"\nkey = \"mine.key\"\nlog = true");
        let whole = world.at(&world.digest);
        for which in judges {
            for verb in [VERIFY, PROVENANCE] {
                world.taken(which, verb, &["--key", "mine.pub"], &whole);
                world.not_taken(which, verb, &["--key", "other.pub"], &whole);
                world.not_taken(which, verb, &world.identity(WHO), &whole);
            }
        }
        let ours = |key: &str| world.verify(&["--key", key, "--require-log", "--recursive"], &whole);
        assert!(ours("mine.pub").status.success());
        refused(&ours("other.pub"), 4, &["not by this key"]);
    }
}

/// Asks the registry itself.
impl World {
    fn manifest(&self, reference: &str) -> String {
        let answer = self.place.ask("GET", &format!("/v2/team/app/manifests/{reference}"), None);
        assert_eq!(answer.status, 200, "{reference}");
        answer.body
    }

    fn put(&self, reference: &str, kind: &str, text: &str) {
        let answer = self.place.ask("PUT", &format!("/v2/team/app/manifests/{reference}"), Some((kind, text)));
        assert_eq!(answer.status, 201, "{reference}: {}", answer.body);
    }

    fn blob(&self, digest: &str) -> String {
        self.place.ask("GET", &format!("/v2/team/app/blobs/{digest}"), None).body
    }

    fn put_blob(&self, text: &str) -> (String, usize) {
        let digest = stillframe::oci::Digest::of(text.as_bytes()).to_string();
        let at = self.place.ask("POST", "/v2/team/app/blobs/uploads/", Some(("application/octet-stream", "")));
        let at = at.location.unwrap();
        let joint = if at.contains('?') { '&' } else { '?' };
        let put = format!("{at}{joint}digest={digest}");
        assert_eq!(self.place.ask("PUT", &put, Some(("application/octet-stream", text))).status, 201);
        (digest, text.len())
    }
}

/// The same text with one bit of a base64 letter in the middle changed.
fn flipped(text: &str) -> String {
    let middle = text.len() / 2;
    let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &text[..middle], &text[middle + 1..])
}

#[test]
fn a_flipped_byte_is_refused_by_us_and_by_them() {
    let world = World::new(Make::Plain, Rekor::V1, false, KEYLESS);
    let (whole, who) = (world.at(&world.digest), world.identity(WHO));
    let ours = ["--identity", WHO, "--issuer", world.sigstore.url()];
    let fallback = world.digest.replace(':', "-");
    let legacy = format!("{fallback}.sig");

    // The signature of the legacy layer, and no bundle at all.
    let good = world.manifest(&legacy);
    let mut manifest: Value = serde_json::from_str(&good).unwrap();
    let signature = &mut manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"];
    *signature = json!(flipped(signature.as_str().unwrap()));
    let index = world.manifest(&fallback);
    let mut list: Value = serde_json::from_str(&index).unwrap();
    let bundles = list["manifests"].take();
    list["manifests"] = json!([]);
    world.put(&fallback, INDEX, &list.to_string());
    for which in ["cosign-2", "cosign-3"] {
        world.taken(which, VERIFY, &who, &whole);
    }
    assert!(world.verify(&ours, &whole).status.success());
    world.put(&legacy, MANIFEST, &manifest.to_string());
    for which in ["cosign-2", "cosign-3"] {
        world.not_taken(which, VERIFY, &who, &whole);
    }
    refused(&world.verify(&ours, &whole), 4, &[]);

    // A byte of each part of the bundle, one after the other.
    let signs = |entry: &&Value| {
        entry["annotations"]["dev.sigstore.bundle.predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    };
    let entry = bundles.as_array().unwrap().iter().find(signs).unwrap().clone();
    let holder: Value = serde_json::from_str(&world.manifest(entry["digest"].as_str().unwrap())).unwrap();
    let bundle: Value = serde_json::from_str(&world.blob(holder["layers"][0]["digest"].as_str().unwrap())).unwrap();
    let mut put = |bundle: &Value| {
        let (digest, size) = world.put_blob(&bundle.to_string());
        let mut holder = holder.clone();
        holder["layers"][0]["digest"] = json!(digest);
        holder["layers"][0]["size"] = json!(size);
        let text = holder.to_string();
        let digest = stillframe::oci::Digest::of(text.as_bytes()).to_string();
        world.put(&digest, MANIFEST, &text);
        let mut entry = entry.clone();
        entry["digest"] = json!(digest);
        entry["size"] = json!(text.len());
        list["manifests"] = json!([entry]);
        world.put(&fallback, INDEX, &list.to_string());
    };
    for part in [
        "/dsseEnvelope/payload",
        "/dsseEnvelope/signatures/0/sig",
        "/verificationMaterial/certificate/rawBytes",
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp",
        "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash",
    ] {
        let mut wrong = bundle.clone();
        let value = wrong.pointer_mut(part).unwrap();
        *value = json!(flipped(value.as_str().unwrap()));
        put(&wrong);
        world.not_taken("cosign-3", VERIFY, &who, &whole);
        refused(&world.verify(&ours, &whole), 4, &[]);
    }
    put(&bundle);
    world.taken("cosign-3", VERIFY, &who, &whole);
    assert!(world.verify(&ours, &whole).status.success());
}

#[test]
fn a_moved_tag_is_refused_by_us_and_by_them() {
    let world = World::new(Make::Plain, Rekor::V1, false, KEYLESS);
    let (tagged, who) = (world.tagged(), world.identity(WHO));
    let ours = ["--identity", WHO, "--issuer", world.sigstore.url()];
    let mut index: Value = serde_json::from_str(&world.manifest(&world.digest)).unwrap();
    index["annotations"] = json!({ "a": "b" });
    let text = index.to_string();
    let other = stillframe::oci::Digest::of(text.as_bytes()).to_string();
    world.put("1.2.3", INDEX, &text);
    let refused_by_all = || {
        for which in ["cosign-2", "cosign-3"] {
            world.not_taken(which, VERIFY, &who, &tagged);
            world.not_taken(which, PROVENANCE, &who, &tagged);
        }
        refused(&world.verify(&ours, &tagged), 4, &[]);
    };
    refused_by_all();
    // What was signed for the other image is put beside this one.
    for ending in ["", ".sig", ".att"] {
        let from = format!("{}{ending}", world.digest.replace(':', "-"));
        let kind = if ending.is_empty() { INDEX } else { MANIFEST };
        world.put(&format!("{}{ending}", other.replace(':', "-")), kind, &world.manifest(&from));
    }
    refused_by_all();
}
