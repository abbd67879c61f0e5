//! `stillframe verify`: what is accepted, and what is refused and why (checks SIG-05 to SIG-12).

mod bases;
mod fixture;
mod keyless;
mod limits;
mod refusals;
mod roots;

use serde_json::{Value, json};

use crate::registry::{Registry, on};
use crate::support::Project;
use crate::support::project::Done;
use fixture::{ENVELOPE, PAYLOAD, SIMPLE, SPDX, Signer, attach, fallback, legacy, statement};

/// A registry with the image `app:1`, somebody who signs, and where the program runs.
struct World {
    registry: Registry,
    signer: Signer,
    project: Project,
    digest: String,
}

impl World {
    async fn new() -> World {
        let registry = Registry::start().await;
        let signer = Signer::new();
        let digest = registry.image("app", "1").to_string();
        let project = Project::new().file("cosign.pub", signer.public()).file("other.pub", Signer::new().public());
        World { registry, signer, project, digest }
    }

    fn name(&self) -> String {
        format!("{}/app", self.registry.name())
    }

    /// `verify app:1` with these words.
    fn ends(&self, words: &[&str]) -> Done {
        let reference = format!("{}:1", self.name());
        let all = ["verify", &reference].into_iter().chain(words.iter().copied());
        self.project.run(all).ends()
    }

    /// `verify app:1` with the signer's key and these words.
    fn keyed(&self, words: &[&str]) -> Done {
        let words: Vec<&str> = ["--key", "cosign.pub"].into_iter().chain(words.iter().copied()).collect();
        self.ends(&words)
    }

    /// It is verified, and its digest is told.
    #[track_caller]
    fn accepted(&self, words: &[&str]) {
        let done = self.keyed(words).expect(0);
        assert_eq!(done.stdout, format!("{}@{}\n", self.name(), self.digest));
    }

    /// It is refused for this reason, and nothing is on stdout.
    #[track_caller]
    fn refused(&self, words: &[&str], reason: &str) {
        let done = self.keyed(words).expect(4);
        assert_eq!(done.stdout, "");
        assert!(done.stderr.contains(reason), "{}", done.stderr);
    }

    fn attach(&self, bundle: &Value) {
        attach(&self.registry, "app", &self.digest, bundle);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_the_key_is_accepted_and_another_key_is_not() {
    let world = World::new().await;
    world.attach(&world.signer.signature(&world.digest));
    world.accepted(&[]);
    let done = world.ends(&["--key", "other.pub"]).expect(4);
    assert!(done.stderr.contains("not by this key"), "{}", done.stderr);
    let document = world.keyed(&["--format", "json"]).expect(0).json();
    let accepted = &document["images"][0]["accepted"][0];
    assert_eq!((&accepted["format"], &accepted["annotations"]["stage"]), (&json!("bundle"), &json!("prod")));
    assert_eq!(document["digest"], json!(world.digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_signature_is_accepted_and_one_of_another_key_is_not() {
    let world = World::new().await;
    let (payload, annotations) = world.signer.simple(&world.digest);
    legacy(&world.registry, "app", &world.digest, "sig", &[(SIMPLE, payload.clone(), annotations)]);
    world.accepted(&[]);
    world.accepted(&["--annotation", "stage=prod"]);
    world.refused(&["--annotation", "stage=test"], "`stage=test` is not signed");
    let (_, annotations) = Signer::new().simple(&world.digest);
    legacy(&world.registry, "app", &world.digest, "sig", &[(SIMPLE, payload, annotations)]);
    world.refused(&[], "not by this key");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_good_candidate_among_bad_ones_is_enough() {
    let world = World::new().await;
    let (payload, annotations) = world.signer.simple(&world.digest);
    let other = Signer::new();
    // cosign 3 stops at bundles, whatever they say, and does not see the legacy signature.
    world.attach(&other.signature(&world.digest));
    world.attach(&world.signer.bundle(&statement(SPDX, &world.digest)));
    world.refused(&[], "not by this key");
    let (bad, worse) = other.simple(&world.digest);
    let layers = [(SIMPLE, bad, worse), (SIMPLE, payload, annotations)];
    legacy(&world.registry, "app", &world.digest, "sig", &layers);
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_under_the_fallback_tag_is_read_whatever_types_it_names() {
    let world = World::new().await;
    world.registry.set(|model| model.referrers = false);
    world.refused(&[], "has no signature");
    let bundle = attach(&world.registry, "app", &world.digest, &world.signer.signature(&world.digest));
    let other = world.registry.image("app", "other");
    fallback(&world.registry, "app", &world.digest, &[other, bundle]);
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_08_an_attestation_is_no_signature_and_a_signature_no_attestation() {
    let world = World::new().await;
    world.attach(&world.signer.bundle(&statement(SPDX, &world.digest)));
    world.accepted(&["--attestation", "spdx"]);
    world.accepted(&["--attestation", SPDX, "--annotation", "stage=prod"]);
    world.refused(&[], "it is an attestation of the type `https://spdx.dev/Document`, not a signature");
    world.refused(&["--attestation", "cyclonedx"], "not an attestation of the type `https://cyclonedx.org/bom`");
    world.attach(&world.signer.signature(&world.digest));
    world.accepted(&[]);
    world.refused(&["--attestation", "slsaprovenance1"], "meets the policy");
    world.keyed(&["--attestation", "sbom"]).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_attestation_is_accepted_by_its_type() {
    let world = World::new().await;
    let envelope = world.signer.envelope(PAYLOAD, &statement(SPDX, &world.digest)).to_string().into_bytes();
    let annotations = json!({"dev.cosignproject.cosign/signature": "", "predicateType": SPDX});
    legacy(&world.registry, "app", &world.digest, "att", &[(ENVELOPE, envelope.clone(), annotations.clone())]);
    world.accepted(&["--attestation", "spdx"]);
    world.refused(&["--attestation", "cyclonedx"], "it is an attestation of the type `https://spdx.dev/Document`");
    world.refused(&[], "has no signature");
    // Not even under the tag of signatures.
    legacy(&world.registry, "app", &world.digest, "sig", &[(ENVELOPE, envelope, annotations)]);
    world.refused(&[], "not a signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_annotation_of_the_manifest_hides_nothing() {
    let world = World::new().await;
    let bundle = world.signer.signature(&world.digest).to_string();
    let annotations = json!({"dev.sigstore.bundle.predicateType": SPDX});
    fixture::attach_bytes(&world.registry, "app", &world.digest, bundle.as_bytes(), &annotations);
    world.accepted(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_resolved_once_and_its_digest_is_what_is_verified() {
    let world = World::new().await;
    world.attach(&world.signer.signature(&world.digest));
    world.accepted(&[]);
    assert_eq!(world.registry.count("GET", "/manifests/1"), 1);
    // The tag moves to an image that is not signed.
    let other = world.registry.blob("app", b"other");
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":5}},"layers":[]}}"#,
        other.digest
    );
    world.registry.manifest("app", "1", "application/vnd.oci.image.manifest.v1+json", text.as_bytes());
    world.refused(&[], "has no signature");
    let old = format!("{}@{}", world.name(), world.digest);
    world.project.run(["verify", &old, "--key", "cosign.pub"]).success();
    world.project.run(["verify", "oci:out", "--key", "cosign.pub"]).fails(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_images_of_an_index_are_asked_for_with_recursive() {
    let world = World::new().await;
    let size = world.registry.shelf("app").manifests[&world.digest].1.len();
    let entry =
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": world.digest, "size": size});
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}).to_string();
    let digest = world.registry.manifest("app", "all", media_type, index.as_bytes()).to_string();
    attach(&world.registry, "app", &digest, &world.signer.signature(&digest));
    let all = format!("{}:all", world.name());
    let line = format!("{}@{digest}\n", world.name());
    assert_eq!(world.project.run(["verify", &all, "--key", "cosign.pub"]).success().stdout, line);
    let whole = ["verify", &all, "--key", "cosign.pub", "--recursive"];
    let done = world.project.run(whole).fails(4);
    assert!(done.stderr.contains(&world.digest), "{}", done.stderr);
    world.attach(&world.signer.signature(&world.digest));
    assert_eq!(world.project.run(whole).success().stdout, line);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_failed_is_not_unsigned() {
    let world = World::new().await;
    let (payload, annotations) = world.signer.simple(&world.digest);
    for path in ["/referrers/", ".sig"] {
        world.registry.fault(on("GET", path).status(403));
        let done = world.keyed(&[]).expect(3);
        assert!(done.stderr.contains("looking for a signature"), "{path}: {}", done.stderr);
        world.registry.heal();
    }
    // What was found elsewhere and meets the policy is enough.
    legacy(&world.registry, "app", &world.digest, "sig", &[(SIMPLE, payload, annotations)]);
    world.registry.fault(on("GET", "/referrers/").status(403));
    world.accepted(&[]);
    world.registry.heal();
    // A bundle that is listed and cannot be had may be the one.
    world.attach(&Signer::new().signature(&world.digest));
    legacy(&world.registry, "app", &world.digest, "sig", &[]);
    world.refused(&[], "not by this key");
    world.registry.fault(on("GET", "/blobs/").status(403));
    world.keyed(&[]).expect(3);
}
