//! `stillframe release` keyless: all of it is signed by the identity, verified from the registry, and only then tagged (checks SIG-01, SIG-13).

use serde_json::Value;

use super::WHO;
use crate::git::git;
use crate::registry::{Registry, on};
use crate::sigstore::{Flaw, Rekor, Sigstore};
use crate::support::Project;
use crate::support::project::{Done, Run};

/// A repository at a release, and a sigstore.
struct World {
    registry: Registry,
    project: Project,
    sigstore: Sigstore,
}

impl World {
    async fn new(rekor: Rekor, stamps: bool) -> World {
        let (registry, sigstore) = (Registry::start().await, Sigstore::start());
        let manifest = format!(
            "schema = 1\n[image]\nname = \"{}/app\"\nbase = \"scratch\"\nuser = \"1\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [[file]]\ndest = \"/x\"\ncontent = \"x\"\n[tags]\nsemver = [\"{{{{ version }}}}\"]\n[attest]\nsbom = [\"spdx\"]\n\
             provenance = true\n[sign]\nmethod = \"keyless\"\nsigning-config = \"signing_config.json\"\n\
             trusted-root = \"trusted_root.json\"\n",
            registry.name()
        );
        let project = Project::of(&manifest);
        sigstore.write(&project.path(""), rekor, stamps);
        git(&project, &["init", "-q"]);
        git(&project, &["add", "."]);
        git(&project, &["commit", "-qm", "one"]);
        git(&project, &["tag", "v1.1.0"]);
        World { registry, project, sigstore }
    }

    fn run(&self, words: &[&str]) -> Run {
        self.project.run(words).env("SIGSTORE_ID_TOKEN", self.sigstore.token(WHO))
    }

    fn tagged(&self) -> bool {
        self.registry.shelf("app").tags.contains_key("1.1.0")
    }

    fn verify(&self, digest: &str, words: &[&str]) -> Done {
        let reference = format!("{}/app@{digest}", self.registry.name());
        let who = ["--identity", WHO, "--issuer", self.sigstore.url(), "--trusted-root", "trusted_root.json"];
        self.run(&[&["verify", &reference], &who[..], words].concat()).ends()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_releases_with_both_logs() {
    for (rekor, stamps) in [(Rekor::V1, false), (Rekor::V2, true)] {
        let world = World::new(rekor, stamps).await;
        let receipt = ["--receipt", "../receipt.json"];
        let digest = world.run(&[&["release"], &receipt[..]].concat()).success().digest();
        assert!(world.tagged());
        world.verify(&digest, &["--recursive"]).expect(0);
        world.verify(&digest, &["--attestation", "slsaprovenance1"]).expect(0);
        let told = std::fs::read(world.project.path("../receipt.json")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["signers"][0]["identity"], WHO);
        assert_eq!(told["signers"][0]["issuer"], world.sigstore.url());
        assert_eq!(world.sigstore.count("POST", "/signingCert"), 1);
        world.registry.forget();
        let before = world.sigstore.entries();
        world.run(&["release"]).success();
        assert_eq!(world.registry.count("PUT", ""), 0, "a second run changes nothing");
        assert_eq!(world.sigstore.entries(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_13_a_release_whose_log_is_down_moves_no_tag() {
    for (rekor, stamps, path) in
        [(Rekor::V1, false, "/log/entries"), (Rekor::V2, true, "/log/entries"), (Rekor::V2, true, "/timestamp")]
    {
        let world = World::new(rekor, stamps).await;
        // The first ones are taken in: the log goes down in the middle.
        world.sigstore.fault(on("POST", path).skip(2).status(502));
        let failed = world.run(&["release", "--patience", "1s"]).fails(3);
        for words in ["the image is pushed, not signed", "no tag was moved"] {
            assert!(failed.stderr.contains(words), "{}", failed.stderr);
        }
        assert!(!world.tagged());
        world.sigstore.heal();
        let digest = world.run(&["release"]).success().digest();
        assert!(world.tagged());
        world.verify(&digest, &["--recursive"]).expect(0);
        let shelf = world.registry.shelf("app");
        let bundles = shelf.manifests.values().filter(|(_, bytes)| {
            String::from_utf8_lossy(bytes)
                .contains("\"artifactType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\"")
        });
        // An index and its two images signed, bills of two images, provenance of all three.
        assert_eq!(bundles.count(), 8, "nothing is said twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_services_say_wrong_is_not_tagged() {
    for (rekor, stamps, flaw) in [(Rekor::V1, false, Flaw::WrongSet), (Rekor::V2, true, Flaw::WrongCheckpoint)] {
        let world = World::new(rekor, stamps).await;
        world.sigstore.fault(flaw);
        world.run(&["release"]).fails(4);
        assert!(!world.tagged());
        world.sigstore.heal();
        world.run(&["release"]).success();
        assert!(world.tagged());
    }
}
