//! What cosign 2 and cosign 3 sign and attest, `stillframe verify` accepts; what does not hold, both refuse. Nothing leaves the
//! machine: the registry is on a loopback port, and no log and no certificate authority is asked.

use std::fs;
use std::process::{Command, Output};

use crate::peers::{Server, done, peer, registry, said};
use crate::project::{Project, digest, refused};

const COSIGNS: [&str; 2] = ["cosign-2", "cosign-3"];

/// An image in a registry, and somebody with a key of cosign's making.
struct World {
    server: Server,
    project: Project,
    digest: String,
}

impl World {
    fn new() -> World {
        let server = registry(None);
        let name = format!("{}/team/app", server.host);
        let project = Project::new(&format!("[image]\nname = \"{name}\"\nbase = \"scratch\"\n"));
        let digest = digest(&project.run(&["push"]));
        for key in ["mine", "other"] {
            done(peer_in(&project, "cosign-2").args(["generate-key-pair", "--output-key-prefix", key]));
        }
        World { server, project, digest }
    }

    fn name(&self) -> String {
        format!("{}/team/app", self.server.host)
    }

    fn reference(&self) -> String {
        format!("{}@{}", self.name(), self.digest)
    }

    /// cosign with these words, and the image behind them.
    fn cosign(&self, which: &str, words: &[&str]) {
        done(peer_in(&self.project, which).args(words).arg(self.reference()));
    }

    /// Signs the way that this cosign does it by itself, without services.
    fn sign(&self, which: &str, key: &str) {
        match which {
            "cosign-2" => self.cosign(which, &["sign", "-y", "--key", key, "--tlog-upload=false"]),
            _ => self.cosign(which, &["sign", "-y", "--key", key, "--use-signing-config=false", "--tlog-upload=false"]),
        }
    }

    fn attest(&self, which: &str, kind: &str) {
        self.project.write("predicate.json", "{\"spdxVersion\":\"SPDX-2.3\"}");
        let mut words = vec!["attest", "-y", "--key", "mine.key", "--tlog-upload=false"];
        words.extend(["--type", kind, "--predicate", "predicate.json"]);
        if which == "cosign-3" {
            words.push("--use-signing-config=false");
        }
        self.cosign(which, &words);
    }

    fn verify(&self, words: &[&str]) -> Output {
        let reference = self.reference();
        let all: Vec<&str> = ["verify", reference.as_str()].into_iter().chain(words.iter().copied()).collect();
        self.project.run(&all)
    }

    #[track_caller]
    fn accepted(&self, words: &[&str]) {
        assert_eq!(digest(&self.verify(words)), self.digest);
    }
}

/// A cosign in a project's directory, with a home and a password of its own.
fn peer_in(project: &Project, which: &str) -> Command {
    let mut command = peer(which);
    command.current_dir(project.app()).env("HOME", project.room()).env("COSIGN_PASSWORD", "a password");
    command
}

#[test]
fn signatures_of_both_cosigns_are_accepted_by_their_key_only() {
    for which in COSIGNS {
        let world = World::new();
        refused(&world.verify(&["--key", "mine.pub"]), 4, &["has no signature"]);
        world.sign(which, "mine.key");
        world.accepted(&["--key", "mine.pub"]);
        refused(&world.verify(&["--key", "other.pub"]), 4, &["not by this key"]);
        let keyless = ["--identity", "a@example.com", "--issuer", "https://issuer.test", "--offline"];
        assert!(!world.verify(&keyless).status.success(), "{which}");
        // A second signature beside it, by somebody else.
        world.sign(which, "other.key");
        world.accepted(&["--key", "mine.pub"]);
        world.accepted(&["--key", "other.pub"]);
    }
}

#[test]
fn the_two_formats_stand_beside_each_other() {
    let world = World::new();
    world.sign("cosign-2", "mine.key");
    world.sign("cosign-3", "other.key");
    for key in ["mine.pub", "other.pub"] {
        world.accepted(&["--key", key]);
    }
    // cosign 3 looks at bundles only, once there is one.
    let ignored = "--insecure-ignore-tlog";
    let blind = peer_in(&world.project, "cosign-3")
        .args(["verify", "--key", "mine.pub", ignored, &world.reference()])
        .output()
        .unwrap();
    assert!(!blind.status.success(), "{}", said(&blind));
}

#[test]
fn annotations_of_both_cosigns_are_checked() {
    for which in COSIGNS {
        let world = World::new();
        let mut words = vec!["sign", "-y", "--key", "mine.key", "--tlog-upload=false", "-a", "stage=prod"];
        if which == "cosign-3" {
            words.push("--use-signing-config=false");
        }
        world.cosign(which, &words);
        world.accepted(&["--key", "mine.pub", "--annotation", "stage=prod"]);
        let other = world.verify(&["--key", "mine.pub", "--annotation", "stage=test"]);
        refused(&other, 4, &["is not signed with it"]);
    }
}

#[test]
fn attestations_of_both_cosigns_count_by_their_type_and_are_no_signatures() {
    for which in COSIGNS {
        let world = World::new();
        world.attest(which, "spdxjson");
        world.accepted(&["--key", "mine.pub", "--attestation", "spdx"]);
        for other in [&["--attestation", "cyclonedx"][..], &["--attestation", "spdx", "--annotation", "a=b"]] {
            let words: Vec<&str> = ["--key", "mine.pub"].into_iter().chain(other.iter().copied()).collect();
            refused(&world.verify(&words), 4, &[]);
        }
        refused(&world.verify(&["--key", "other.pub", "--attestation", "spdx"]), 4, &["not by this key"]);
        // cosign 3 takes this for a signature.
        refused(&world.verify(&["--key", "mine.pub"]), 4, &["signature"]);
    }
}

#[test]
fn a_signature_that_is_carried_to_another_image_or_a_moved_tag_is_refused() {
    for which in COSIGNS {
        let world = World::new();
        world.sign(which, "mine.key");
        let (name, old) = (world.name(), world.digest.clone());
        world.project.run(&["tag", &format!("{name}@{old}"), "moving"]);
        let verify = |reference: &str| world.project.run(&["verify", reference, "--key", "mine.pub"]);
        assert_eq!(digest(&verify(&format!("{name}:moving"))), old);
        let other = format!("[image]\nname = \"{name}\"\nbase = \"scratch\"\nworkdir = \"/other\"\n");
        world.project.manifest(&other);
        let new = digest(&world.project.run(&["push"]));
        world.project.run(&["tag", &format!("{name}@{new}"), "moving"]);
        refused(&verify(&format!("{name}:moving")), 4, &["has no signature"]);
        if which == "cosign-2" {
            // The signature's manifest under the tag of the other image.
            let tag = |digest: &str| format!("{}.sig", digest.replace(':', "-"));
            world.project.run(&["tag", &format!("{name}:{}", tag(&old)), &tag(&new)]);
            refused(&verify(&format!("{name}@{new}")), 4, &["about another image"]);
        }
        assert_eq!(digest(&verify(&format!("{name}@{old}"))), old);
    }
}

#[test]
fn a_base_that_cosign_signed_may_be_built_on() {
    for which in COSIGNS {
        let world = World::new();
        let base = world.reference();
        world.project.manifest(&format!("[image]\nbase = \"{base}\"\n[base.verify]\nkey = \"mine.pub\"\n"));
        refused(&world.project.run(&["build"]), 4, &["has no signature"]);
        world.sign(which, "mine.key");
        assert!(world.project.run(&["build"]).status.success());
        assert!(world.project.run(&["build", "--offline"]).status.success(), "it is remembered");
        fs::copy(world.project.app().join("other.pub"), world.project.app().join("mine.pub")).unwrap();
        refused(&world.project.run(&["build"]), 4, &["not by this key"]);
    }
}
