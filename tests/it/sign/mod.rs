//! `stillframe sign`, `attest` and `keygen`: what is written, what is verified, what is refused (checks SIG-01, SIG-02, SIG-13, SIG-14).

mod keyless;
mod keys;
mod races;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stillframe::oci::{Digest, media};

use crate::registry::{Registry, on};
use crate::support::Project;
use crate::support::project::{Done, Run};

const PASSWORD: &str = "sesame-canary";
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// A registry with the image `app:1`, a project with two pairs of keys.
struct World {
    registry: Registry,
    project: Project,
    digest: String,
}

impl World {
    async fn new() -> World {
        let registry = Registry::start().await;
        let digest = registry.image("app", "1").to_string();
        let project = Project::new();
        for prefix in ["cosign", "other"] {
            project.run(["keygen", "--output-prefix", prefix]).env("COSIGN_PASSWORD", PASSWORD).success();
        }
        World { registry, project, digest }
    }

    fn name(&self) -> String {
        format!("{}/app", self.registry.name())
    }

    fn run(&self, words: &[&str]) -> Run {
        self.project.run(words).env("COSIGN_PASSWORD", PASSWORD)
    }

    /// `sign app:1` with these words.
    fn sign(&self, words: &[&str]) -> Done {
        let reference = format!("{}:1", self.name());
        self.run(&[&["sign", reference.as_str()], words].concat()).ends()
    }

    /// `verify app@digest` with these words.
    fn verify(&self, words: &[&str]) -> Done {
        let reference = format!("{}@{}", self.name(), self.digest);
        self.run(&[&["verify", reference.as_str()], words].concat()).ends()
    }

    /// The manifest under a tag.
    fn tagged(&self, tag: &str) -> Option<Value> {
        let shelf = self.registry.shelf("app");
        let digest = shelf.tags.get(tag)?;
        serde_json::from_slice(&shelf.manifests[digest].1).ok()
    }

    fn blob(&self, descriptor: &Value) -> Vec<u8> {
        self.registry.shelf("app").blobs[descriptor["digest"].as_str().unwrap()].clone()
    }

    /// The manifests that refer to a digest.
    fn bundles(&self, digest: &str) -> Vec<Value> {
        let shelf = self.registry.shelf("app");
        let all = shelf.manifests.values().filter_map(|(_, bytes)| serde_json::from_slice::<Value>(bytes).ok());
        all.filter(|manifest| manifest["subject"]["digest"] == digest).collect()
    }

    fn legacy(&self, digest: &str, ending: &str) -> Vec<Value> {
        let manifest = self.tagged(&format!("{}.{ending}", digest.replace(':', "-")));
        manifest.map_or(Vec::new(), |manifest| manifest["layers"].as_array().unwrap().clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_02_a_tag_is_resolved_once_shown_and_its_digest_is_signed() {
    let world = World::new().await;
    world.registry.forget();
    let done = world.sign(&["--key", "cosign.key"]).expect(0);
    assert_eq!(done.stdout, format!("{}@{}\n", world.name(), world.digest));
    assert!(done.stderr.contains(&format!("is {}; that digest is signed", world.digest)), "{}", done.stderr);
    assert_eq!(world.registry.count("GET", "/manifests/1"), 1);
    let layers = world.legacy(&world.digest, "sig");
    let payload: Value = serde_json::from_slice(&world.blob(&layers[0])).unwrap();
    assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], world.digest.as_str());
    assert_eq!(payload["critical"]["identity"]["docker-reference"], world.name());
    // The tag moves; what was signed stays signed, and the new one is not.
    let other = world.registry.manifest("app", "1", media::MANIFEST, &other_image(&world.registry));
    assert_ne!(other.to_string(), world.digest);
    world.verify(&["--key", "cosign.pub"]).expect(0);
    let moved = format!("{}:1", world.name());
    world.run(&["verify", &moved, "--key", "cosign.pub"]).ends().expect(4);
}

/// The bytes of another image, its blobs in the registry.
fn other_image(registry: &Registry) -> Vec<u8> {
    let config = registry
        .blob("app", b"{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "layers": [],
        "config": {"mediaType": media::CONFIG, "digest": config.digest, "size": config.size},
    });
    manifest.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_are_written_as_cosign_writes_them() {
    let world = World::new().await;
    world.sign(&["--key", "cosign.key", "-a", "stage=prod", "--receipt", "receipt.json"]).expect(0);
    let bundles = world.bundles(&world.digest);
    assert_eq!(bundles.len(), 1);
    let manifest = &bundles[0];
    assert_eq!(manifest["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(
        manifest["annotations"],
        json!({"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": SIGN})
    );
    let bundle: Value = serde_json::from_slice(&world.blob(&manifest["layers"][0])).unwrap();
    assert!(bundle["verificationMaterial"]["publicKey"]["hint"].is_string(), "{bundle}");
    assert!(bundle["verificationMaterial"]["tlogEntries"].as_array().is_none_or(Vec::is_empty));
    let tag = format!("{}.sig", world.digest.replace(':', "-"));
    let manifest = world.tagged(&tag).unwrap();
    let config: Value = serde_json::from_slice(&world.blob(&manifest["config"])).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(config["rootfs"], json!({"type": "layers", "diff_ids": [layers[0]["digest"]]}));
    assert_eq!(config["history"], json!([{"created": "0001-01-01T00:00:00Z"}]));
    assert_eq!(layers[0]["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let keys: Vec<&String> = layers[0]["annotations"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["dev.cosignproject.cosign/signature"]);
    for words in [&["--annotation", "stage=prod"][..], &[]] {
        world.verify(&[&["--key", "cosign.pub"], words].concat()).expect(0);
    }
    world.verify(&["--key", "cosign.pub", "--annotation", "stage=test"]).expect(4);
    let receipt: Value = serde_json::from_slice(&std::fs::read(world.project.path("receipt.json")).unwrap()).unwrap();
    assert_eq!(receipt["images"][0]["signed"][0]["legacy"]["new"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_signs_twice_leaves_one_signature_and_other_keys_stay() {
    let world = World::new().await;
    for referrers in [true, false] {
        world.registry.set(|model| model.referrers = referrers);
        world.sign(&["--key", "cosign.key"]).expect(0);
        world.sign(&["--key", "cosign.key"]).expect(0);
        world.sign(&["--key", "other.key"]).expect(0);
        world.sign(&["--key", "cosign.key"]).expect(0);
        assert_eq!(
            (world.bundles(&world.digest).len(), world.legacy(&world.digest, "sig").len()),
            (2, 2),
            "{referrers}"
        );
        for key in ["cosign.pub", "other.pub"] {
            world.verify(&["--key", key]).expect(0);
        }
        // Other remarks are another signature.
        world.sign(&["--key", "cosign.key", "-a", "a=b"]).expect(0);
        assert_eq!((world.bundles(&world.digest).len(), world.legacy(&world.digest, "sig").len()), (3, 3));
        world.registry.set(|model| {
            let shelf = model.shelf("app");
            let image = shelf.manifests[&world.digest].clone();
            shelf.manifests = BTreeMap::from([(world.digest.clone(), image)]);
            shelf.tags = BTreeMap::from([("1".to_string(), world.digest.clone())]);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_chosen() {
    for (form, bundles, layers) in [("bundle", 1, 0), ("legacy", 0, 1), ("both", 1, 1)] {
        let world = World::new().await;
        world.sign(&["--key", "cosign.key", "--signature-format", form]).expect(0);
        assert_eq!((world.bundles(&world.digest).len(), world.legacy(&world.digest, "sig").len()), (bundles, layers));
        world.verify(&["--key", "cosign.pub"]).expect(0);
        world.verify(&["--key", "other.pub"]).expect(4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_image_of_an_index_is_signed_before_the_index() {
    let world = World::new().await;
    let image = world.registry.shelf("app").manifests[&world.digest].1.len();
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [
        {"mediaType": media::MANIFEST, "digest": world.digest, "size": image, "platform": {"os": "linux", "architecture": "amd64"}},
    ]});
    let index = world.registry.manifest("app", "all", media::INDEX, index.to_string().as_bytes()).to_string();
    let reference = format!("{}:all", world.name());
    let one = ["sign", &reference, "--key", "cosign.key", "--signature-format", "bundle", "--no-recursive"];
    world.run(&one).ends().expect(0);
    assert_eq!((world.bundles(&world.digest).len(), world.bundles(&index).len()), (0, 1));
    world.run(&one[..6]).ends().expect(0);
    assert_eq!((world.bundles(&world.digest).len(), world.bundles(&index).len()), (1, 1));
    world.run(&["verify", &reference, "--key", "cosign.pub", "--recursive"]).ends().expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attestations_stand_in_both_forms_and_are_no_signatures() {
    let world = World::new().await;
    world.project.write("sbom.json", r#"{"spdxVersion":"SPDX-2.3"}"#);
    world.project.write("list.json", "[]");
    let reference = format!("{}@{}", world.name(), world.digest);
    let attest = |kind: &str, file: &str| {
        world.run(&["attest", &reference, "--key", "cosign.key", "--type", kind, "--predicate", file]).ends()
    };
    for _ in 0..2 {
        attest("spdxjson", "sbom.json").expect(0);
    }
    assert_eq!((world.bundles(&world.digest).len(), world.legacy(&world.digest, "att").len()), (1, 1));
    world.verify(&["--key", "cosign.pub", "--attestation", "spdx"]).expect(0);
    world.verify(&["--key", "cosign.pub", "--attestation", "cyclonedx"]).expect(4);
    world.verify(&["--key", "cosign.pub"]).expect(4);
    // The legacy one counts by itself.
    world.registry.set(|model| {
        let subject = world.digest.clone();
        model.shelf("app").manifests.retain(|_, (_, bytes)| {
            serde_json::from_slice::<Value>(bytes)
                .is_ok_and(|manifest| manifest["subject"]["digest"] != subject.as_str())
        });
    });
    world.verify(&["--key", "cosign.pub", "--attestation", "spdx"]).expect(0);
    for (kind, file, code) in
        [("nothing", "sbom.json", 2), (SIGN, "sbom.json", 2), ("spdx", "list.json", 2), ("spdx", "none", 2)]
    {
        attest(kind, file).expect(code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_says_what_another_job_signs() {
    let world = World::new().await;
    let name = world.name();
    world.project.write("image.toml", format!("schema = 1\n[image]\nname = \"{name}\"\nbase = \"scratch\"\n[sign]\nmethod = \"key\"\nkey = \"env://KEY\"\nformat = \"bundle\"\n"));
    let pushed = world.run(&["push", "--receipt", "pushed.json"]).ends().expect(0);
    let key = std::fs::read_to_string(world.project.path("cosign.key")).unwrap();
    let sign = |words: &[&str]| world.run(words).env("KEY", &key).ends();
    assert_eq!(sign(&["sign", "--from", "pushed.json"]).expect(0).stdout, pushed.stdout);
    world.run(&["verify", pushed.stdout.trim(), "--key", "cosign.pub"]).ends().expect(0);
    // What is written on the command line goes first.
    sign(&["sign", "--from", "pushed.json", "--key", "other.key"]).expect(0);
    world.run(&["verify", pushed.stdout.trim(), "--key", "other.pub"]).ends().expect(0);
    for text in ["{}", "[]", "{\"references\":[]}", &format!("{{\"reference\":\"{name}:1\"}}"), "x"] {
        world.project.write("wrong.json", text);
        sign(&["sign", "--from", "wrong.json"]).expect(2);
    }
    assert!(sign(&["sign"]).expect(2).stderr.contains("REF"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_01_what_the_tag_says_later_is_not_signed() {
    let world = World::new().await;
    let other = other_image(&world.registry);
    let moved = Digest::of(&other).to_string();
    // Whoever asks for the tag a second time gets another image.
    let reference = format!("{}:1", world.name());
    world.registry.fault(
        on("GET", "/manifests/1")
            .skip(1)
            .reply(crate::http::Response::new(200).header("Content-Type", media::MANIFEST.to_string()).body(other)),
    );
    world.run(&["sign", &reference, "--key", "cosign.key"]).ends().expect(0);
    world.registry.heal();
    assert_eq!(world.bundles(&world.digest).len(), 1);
    assert_eq!(world.bundles(&moved).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_fails_leaves_words_on_what_is_left_to_do() {
    for (method, path) in [("PUT", "/manifests/"), ("POST", "/blobs/uploads/"), ("GET", "/referrers/")] {
        let world = World::new().await;
        world.registry.fault(on(method, path).status(403));
        let done = world.sign(&["--key", "cosign.key"]).expect(3);
        assert!(done.stderr.contains("is there, but not signed") && done.stderr.contains("again"), "{}", done.stderr);
        assert!(!done.stderr.contains(PASSWORD));
        world.registry.heal();
        world.sign(&["--key", "cosign.key"]).expect(0);
        assert_eq!((world.bundles(&world.digest).len(), world.legacy(&world.digest, "sig").len()), (1, 1));
    }
}
