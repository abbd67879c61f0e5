//! Keyless: what both cosigns sign and attest with a certificate of the mock sigstore, `stillframe verify` accepts for that identity
//! and issuer only. Nothing leaves the machine.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::mock::{Files, Flaw, Rekor, Sigstore};
use crate::peers::{Server, done, peer, registry, said};
use crate::project::{Project, digest, refused};

const WHO: &str = "dev@example.com";

/// An image in a registry, and a sigstore.
struct World {
    server: Server,
    project: Project,
    sigstore: Sigstore,
    files: Files,
    digest: String,
}

impl World {
    fn new(rekor: Rekor, stamps: bool) -> World {
        let (server, sigstore) = (registry(None), Sigstore::start());
        let name = format!("{}/team/app", server.host);
        let project = Project::new(&format!("[image]\nname = \"{name}\"\nbase = \"scratch\"\n"));
        let digest = digest(&project.run(&["push"]));
        let files = sigstore.write(&project.app(), rekor, stamps);
        World { server, project, sigstore, files, digest }
    }

    fn reference(&self) -> String {
        format!("{}/team/app@{}", self.server.host, self.digest)
    }

    fn cosign(&self, which: &str, verb: &[&str]) -> Command {
        let mut command = peer(which);
        command.current_dir(self.project.app()).env("HOME", self.project.room()).args(verb).arg("-y");
        self.project.write("token", self.sigstore.token(WHO));
        command.args(["--identity-token", "token"]);
        if which == "cosign-2" {
            command.envs(self.files.env());
            command.args(["--fulcio-url", self.sigstore.url(), "--rekor-url", self.sigstore.url()]);
        } else {
            let path = |path: &PathBuf| path.display().to_string();
            command.args(["--signing-config", &path(&self.files.signing_config)]);
            command.args(["--trusted-root", &path(&self.files.trusted_root)]);
        }
        command.arg(self.reference());
        command
    }

    fn attest(&self, which: &str) {
        self.project.write("predicate.json", "{\"spdxVersion\":\"SPDX-2.3\"}");
        done(&mut self.cosign(which, &["attest", "--type", "spdxjson", "--predicate", "predicate.json"]));
    }

    fn verify(&self, identity: &str, issuer: &str, words: &[&str]) -> Output {
        let (reference, root) = (self.reference(), self.files.trusted_root.display().to_string());
        let all = ["verify", &reference, "--identity", identity, "--issuer", issuer, "--trusted-root", &root];
        let all: Vec<&str> = all.into_iter().chain(words.iter().copied()).collect();
        self.project.run(&all)
    }

    #[track_caller]
    fn accepted(&self, words: &[&str]) {
        assert_eq!(digest(&self.verify(WHO, self.sigstore.url(), words)), self.digest);
    }

    #[track_caller]
    fn refused(&self, identity: &str, issuer: &str, words: &[&str], reason: &str) {
        refused(&self.verify(identity, issuer, words), 4, &[reason]);
    }
}

#[test]
fn bundles_of_cosign_3_are_accepted_for_their_identity_only() {
    for (rekor, stamps) in [(Rekor::V1, false), (Rekor::V1, true), (Rekor::V2, true)] {
        let world = World::new(rekor, stamps);
        done(&mut world.cosign("cosign-3", &["sign"]));
        world.accepted(&[]);
        let url = world.sigstore.url();
        world.refused("dev@example.com.evil.test", url, &[], "it is by `dev@example.com`");
        world.refused("ev@example.com", url, &[], "it is by `dev@example.com`");
        world.refused(WHO, "https://issuer.test", &[], "its identity was issued by");
        world.refused(WHO, url, &["--attestation", "spdx"], "attestation");
        world.attest("cosign-3");
        world.accepted(&["--attestation", "spdx"]);
        world.refused(WHO, url, &["--attestation", "cyclonedx"], "attestation");
    }
}

#[test]
fn legacy_signatures_of_cosign_2_are_accepted_for_their_identity_only() {
    let world = World::new(Rekor::V1, false);
    done(&mut world.cosign("cosign-2", &["sign"]));
    world.accepted(&[]);
    world.refused("other@example.com", world.sigstore.url(), &[], "it is by `dev@example.com`");
    world.refused(WHO, "https://issuer.test", &[], "its identity was issued by");
    world.attest("cosign-2");
    world.accepted(&["--attestation", "spdx"]);
    world.refused("other@example.com", world.sigstore.url(), &["--attestation", "spdx"], "it is by `dev@example.com`");
}

#[test]
fn a_key_in_the_log_meets_the_wish_for_one() {
    for (which, rekor, stamps) in
        [("cosign-2", Rekor::V1, false), ("cosign-3", Rekor::V1, false), ("cosign-3", Rekor::V2, true)]
    {
        let world = World::new(rekor, stamps);
        let cosign = |verb: &[&str]| {
            let mut command = world.cosign(which, verb);
            command.env("COSIGN_PASSWORD", "");
            command
        };
        let mut keys = peer(which);
        keys.current_dir(world.project.app()).env("HOME", world.project.room()).env("COSIGN_PASSWORD", "");
        done(keys.arg("generate-key-pair"));
        let root = world.files.trusted_root.display().to_string();
        let (reference, logged) = (world.reference(), ["--require-log", "--trusted-root", &root]);
        let verify = |words: &[&str]| {
            let all = ["verify", &reference, "--key", "cosign.pub"];
            world.project.run(&[&all[..], words].concat())
        };
        done(&mut cosign(&["sign", "--key", "cosign.key"]));
        assert_eq!(digest(&verify(&logged)), world.digest);
        assert_eq!(digest(&verify(&[])), world.digest);
        world.project.write("predicate.json", "{\"spdxVersion\":\"SPDX-2.3\"}");
        // cosign 2 puts a text of this type there as one string, which cosign 3 refuses to sign.
        let kind = if which == "cosign-2" { "spdx" } else { "spdxjson" };
        done(&mut cosign(&["attest", "--key", "cosign.key", "--type", kind, "--predicate", "predicate.json"]));
        let attested = [&logged[..], &["--attestation", "spdx"]].concat();
        assert_eq!(digest(&verify(&attested)), world.digest);
        // The root of another sigstore does not know the log.
        let (other, room) = (Sigstore::start(), tempfile::tempdir().unwrap());
        std::fs::copy(other.write(room.path(), rekor, stamps).trusted_root, &world.files.trusted_root).unwrap();
        refused(&verify(&logged), 4, &["proofs do not hold"]);
        refused(&verify(&attested), 4, &["proofs do not hold"]);
    }
}

#[test]
fn another_sigstore_is_not_trusted() {
    for which in ["cosign-2", "cosign-3"] {
        let world = World::new(Rekor::V1, false);
        done(&mut world.cosign(which, &["sign"]));
        world.accepted(&[]);
        let (other, room) = (Sigstore::start(), tempfile::tempdir().unwrap());
        let files = other.write(room.path(), Rekor::V1, false);
        std::fs::copy(files.trusted_root, &world.files.trusted_root).unwrap();
        world.refused(WHO, world.sigstore.url(), &[], "proofs do not hold");
    }
}

#[test]
fn a_tuf_mirror_gives_the_root_and_is_remembered() {
    let world = World::new(Rekor::V1, false);
    done(&mut world.cosign("cosign-3", &["sign"]));
    let (reference, url) = (world.reference(), world.sigstore.url().to_string());
    let run = |words: &[&str]| {
        let all = ["verify", &reference, "--identity", WHO, "--issuer", &url];
        let all: Vec<&str> = all.into_iter().chain(words.iter().copied()).collect();
        let mut command = world.project.command(&all);
        command.env("TUF_MIRROR", world.sigstore.tuf_url()).env("TUF_ROOT_JSON", &world.files.tuf);
        command.output().unwrap()
    };
    for flaw in [Flaw::ForgedTuf, Flaw::ExpiredTuf] {
        world.sigstore.fault(flaw);
        refused(&run(&[]), 3, &["gives no root that holds"]);
        world.sigstore.heal();
    }
    assert_eq!(digest(&run(&[])), world.digest);
    assert!(world.sigstore.count("GET", "/tuf") > 0);
    // What it said before has not expired.
    world.sigstore.fault(Flaw::ForgedTuf);
    let kept = run(&[]);
    assert_eq!(digest(&kept), world.digest);
    assert!(said(&kept).contains("what it said before is taken"), "{}", said(&kept));
}
