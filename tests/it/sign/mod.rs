//! `stillframe keygen`, `sign` and `attest`: what they put beside an image, and what they leave alone (checks SIG-02, SIG-13, SIG-14).

mod external;
mod keyless;
mod log;
mod patience;
mod person;
mod released;
mod tokens;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use stillframe::oci::media;

use crate::http::Response;
use crate::registry::{Registry, on};
use crate::sigstore::{Rekor, Sigstore};
use crate::support::Project;
use crate::support::project::{Done, Run};

/// A registry with the image `app:1`, and somebody with a key.
struct World {
    registry: Registry,
    project: Project,
    digest: String,
}

impl World {
    async fn new() -> World {
        let registry = Registry::start().await;
        let digest = registry.image("app", "1").to_string();
        let world = World { registry, project: Project::new(), digest };
        world.ends(&["keygen"]).expect(0);
        world
    }

    fn ends(&self, words: &[&str]) -> Done {
        self.project.run(words.iter().copied()).env("COSIGN_PASSWORD", "CANARY-password").ends()
    }

    fn name(&self) -> String {
        format!("{}/app", self.registry.name())
    }

    fn pinned(&self) -> String {
        format!("{}@{}", self.name(), self.digest)
    }

    fn sign(&self, words: &[&str]) -> Done {
        let reference = format!("{}:1", self.name());
        self.ends(&[&["sign", &reference], words].concat())
    }

    fn verify(&self, words: &[&str]) -> Done {
        self.ends(&[&["verify", &self.pinned()], words].concat())
    }

    /// The layers under the legacy tag with this ending.
    fn layers(&self, ending: &str) -> Vec<Value> {
        let shelf = self.registry.shelf("app");
        let tag = format!("{}.{ending}", self.digest.replace(':', "-"));
        let Some(digest) = shelf.tags.get(&tag) else { return Vec::new() };
        let manifest: Value = serde_json::from_slice(&shelf.manifests[digest].1).unwrap();
        manifest["layers"].as_array().unwrap().clone()
    }
}

/// A world with a sigstore: its roots and signing config are files of the project.
struct Keyless {
    world: World,
    sigstore: Sigstore,
}

/// Who signs.
const WHO: &str = "dev@example.com";
/// Where the services are named, and whom to trust.
const SERVICES: [&str; 4] = ["--signing-config", "signing_config.json", "--trusted-root", "trusted_root.json"];

impl Keyless {
    async fn new(rekor: Rekor, stamps: bool) -> Keyless {
        let keyless = Keyless { world: World::new().await, sigstore: Sigstore::start() };
        keyless.serves(rekor, stamps);
        keyless
    }

    /// Names these services.
    fn serves(&self, rekor: Rekor, stamps: bool) {
        self.sigstore.write(&self.world.project.path(""), rekor, stamps);
    }

    /// `sign` as somebody with a token.
    fn signing(&self, words: &[&str]) -> Run {
        let reference = format!("{}:1", self.world.name());
        let all = [&["sign", &reference, "--keyless"], &SERVICES[..], words].concat();
        self.world.project.run(all).env("SIGSTORE_ID_TOKEN", self.sigstore.token(WHO))
    }

    fn sign(&self, words: &[&str]) -> Done {
        self.signing(words).ends()
    }

    /// `verify` for an identity of this sigstore.
    fn verify(&self, identity: &str, words: &[&str]) -> Done {
        let who = ["--identity", identity, "--issuer", self.sigstore.url(), "--trusted-root", "trusted_root.json"];
        self.world.verify(&[&who[..], words].concat())
    }

    /// What is beside the image: bundles, and layers of signatures.
    fn beside(&self) -> (usize, usize) {
        let shelf = self.world.registry.shelf("app");
        let bundle = |bytes: &[u8]| {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            document["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
        };
        let bundles = shelf.manifests.values().filter(|(_, bytes)| bundle(bytes)).count();
        (bundles, self.world.layers("sig").len())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_02_a_tag_is_resolved_once_and_its_digest_is_signed() {
    let world = World::new().await;
    let done = world.sign(&["--key", "cosign.key"]).expect(0);
    assert_eq!(done.stdout, format!("{}\n", world.pinned()));
    let layers = world.layers("sig");
    let payload = world.registry.shelf("app").blobs[layers[0]["digest"].as_str().unwrap()].clone();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], world.digest);
    assert_eq!(payload["critical"]["identity"]["docker-reference"], world.name());
    world.verify(&["--key", "cosign.pub"]).expect(0);
    // The tag moves; what was signed is still what it was.
    let shelf = world.registry.shelf("app");
    let other = String::from_utf8(shelf.manifests[&world.digest].1.clone()).unwrap();
    let other = other.replacen('{', "{\"annotations\":{\"a\":\"b\"},", 1);
    world.registry.manifest("app", "1", media::MANIFEST, other.as_bytes());
    world.verify(&["--key", "cosign.pub"]).expect(0);
    let moved = format!("{}:1", world.name());
    world.ends(&["verify", &moved, "--key", "cosign.pub"]).expect(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_not_said_again() {
    for api in [true, false] {
        let world = World::new().await;
        world.registry.set(|model| model.referrers = api);
        world.sign(&["--key", "cosign.key"]).expect(0);
        world.registry.forget();
        let done = world.sign(&["--key", "cosign.key", "--format", "json"]).expect(0);
        assert_eq!(world.registry.count("PUT", "/manifests/"), 0, "referrers API: {api}");
        let told: Value = serde_json::from_str(&done.stdout).unwrap();
        let how: Vec<&Value> = told["signed"].as_array().unwrap().iter().map(|one| &one["how"]).collect();
        assert_eq!(how, [&json!("already there"), &json!("already there")]);
        // Another annotation is another claim, and another key another signer.
        world.sign(&["--key", "cosign.key", "-a", "stage=prod"]).expect(0);
        world.ends(&["keygen", "--output-prefix", "other"]).expect(0);
        world.sign(&["--key", "other.key"]).expect(0);
        assert_eq!(world.layers("sig").len(), 3);
        for key in ["cosign.pub", "other.pub"] {
            world.verify(&["--key", key]).expect(0);
        }
        world.verify(&["--key", "cosign.pub", "--annotation", "stage=prod"]).expect(0);
        world.verify(&["--key", "other.pub", "--annotation", "stage=prod"]).expect(4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_14_two_signers_at_once_lose_nothing() {
    let world = World::new().await;
    world.registry.set(|model| model.referrers = false);
    world.ends(&["keygen", "--output-prefix", "other"]).expect(0);
    for round in 0..3 {
        let note = format!("round={round}");
        std::thread::scope(|scope| {
            for key in ["cosign.key", "other.key"] {
                let (world, note) = (&world, &note);
                scope.spawn(move || world.sign(&["--key", key, "-a", note]).expect(0));
            }
        });
        for key in ["cosign.pub", "other.pub"] {
            world.verify(&["--key", key, "--annotation", &note]).expect(0);
        }
        assert_eq!(world.layers("sig").len(), 2 * (round + 1));
    }
    let list = world.registry.shelf("app").tags[&world.digest.replace(':', "-")].clone();
    let list: Value = serde_json::from_slice(&world.registry.shelf("app").manifests[&list].1).unwrap();
    for entry in list["manifests"].as_array().unwrap() {
        assert_eq!(entry["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
        assert_eq!(entry["annotations"]["dev.sigstore.bundle.predicateType"], "https://sigstore.dev/cosign/sign/v1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_is_kept_in_both_formats_and_is_no_signature() {
    let world = World::new().await;
    fs::write(world.project.path("spdx.json"), "{\"spdxVersion\": \"SPDX-2.3\"}").unwrap();
    let pinned = world.pinned();
    let attest = ["attest", &pinned, "--type", "spdxjson", "--predicate", "spdx.json", "--key", "cosign.key"];
    world.ends(&attest).expect(0);
    world.verify(&["--key", "cosign.pub", "--attestation", "spdxjson"]).expect(0);
    world.verify(&["--key", "cosign.pub"]).expect(4);
    world.verify(&["--key", "cosign.pub", "--attestation", "cyclonedx"]).expect(4);
    assert_eq!(world.layers("att").len(), 1);
    assert!(world.layers("sig").is_empty());
    let signature = "https://sigstore.dev/cosign/sign/v1";
    let done = world.ends(&["attest", &pinned, "--type", signature, "--predicate", "spdx.json", "--key", "cosign.key"]);
    assert!(done.expect(2).stderr.contains("would be a signature"));
    fs::write(world.project.path("spdx.json"), "no json").unwrap();
    world.ends(&attest).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_open_signs_nothing() {
    let world = World::new().await;
    let reference = world.pinned();
    let wrong = world.project.run(["sign", &reference, "--key", "cosign.key"]).env("COSIGN_PASSWORD", "wrong").ends();
    let wrong = wrong.expect(2);
    assert!(wrong.stderr.contains("password") && wrong.stderr.contains("COSIGN_PASSWORD"), "{}", wrong.stderr);
    for key in ["cosign.pub", "not.there", "env://NOT_THERE"] {
        world.sign(&["--key", key]).expect(2);
    }
    world.sign(&[]).expect(2);
    assert_eq!(world.registry.count("PUT", "/manifests/"), 0);
    let key = fs::read_to_string(world.project.path("cosign.key")).unwrap();
    let from_variable = world.project.run(["sign", &reference, "--key", "env://THE_KEY"]);
    from_variable.env("COSIGN_PASSWORD", "CANARY-password").env("THE_KEY", key).ends().expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_never_written_over_and_only_its_owner_reads_it() {
    let world = World::new().await;
    let before = fs::read(world.project.path("cosign.key")).unwrap();
    let mode = fs::metadata(world.project.path("cosign.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    world.ends(&["keygen"]).expect(2);
    assert_eq!(fs::read(world.project.path("cosign.key")).unwrap(), before);
    fs::remove_file(world.project.path("cosign.key")).unwrap();
    // The public half is still there: nothing is written at all.
    world.ends(&["keygen"]).expect(2);
    assert!(!world.project.path("cosign.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_cannot_tell_what_is_signed_is_not_signed_into() {
    let world = World::new().await;
    world.registry.fault(on("GET", "/referrers/").status(500));
    world.sign(&["--key", "cosign.key"]).expect(3);
    assert!(world.layers("sig").is_empty());
}

/// docker-registry forgets a blob for a moment when two clients push it at once (found by 20 rounds of SIG-14 in it).
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_lacks_for_a_moment_what_it_took_gets_it_again() {
    let unknown = || {
        let body = json!({ "errors": [{ "code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown", "detail": {} }] });
        Response::json(404, &body)
    };
    for (path, format) in [("/manifests/sha256-", "legacy"), ("/manifests/sha256:", "bundle")] {
        let world = World::new().await;
        let words = ["--key", "cosign.key", "--signature-format", format];
        world.registry.fault(on("PUT", path).times(2).reply(unknown()));
        world.sign(&words).expect(0);
        world.verify(&["--key", "cosign.pub"]).expect(0);
        world.registry.fault(on("PUT", path).reply(unknown()));
        let refused = world.sign(&[&words[..], &["-a", "a=b"]].concat()).expect(3);
        assert!(refused.stderr.contains("lacks what"), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_says_with_what_to_sign() {
    let world = World::new().await;
    let manifest = |sign: &str| {
        let name = world.name();
        format!("schema = 1\n[image]\nname = \"{name}\"\nbase = \"scratch\"\nuser = \"1\"\n[sign]\n{sign}\n")
    };
    let write = |sign: &str| fs::write(world.project.path("image.toml"), manifest(sign)).unwrap();
    write("method = \"key\"\nkey = \"cosign.key\"\nformat = \"legacy\"");
    world.ends(&["push", "--receipt", "receipt.json"]).expect(0);
    let signed = world.ends(&["sign", "--from", "receipt.json", "--format", "json"]).expect(0);
    let told: Value = serde_json::from_str(&signed.stdout).unwrap();
    assert_eq!(told["signed"].as_array().unwrap().len(), 1);
    assert_eq!(told["signed"][0]["format"], "legacy");
    write("method = \"keyless\"");
    assert!(world.sign(&[]).expect(2).stderr.contains("nothing says who we are"));
    write("method = \"key\"");
    assert!(world.sign(&[]).expect(2).stderr.contains("which key"));
    write("method = \"keyless\"\nkey = \"cosign.key\"");
    assert!(world.sign(&[]).expect(2).stderr.contains("no meaning"));
}
