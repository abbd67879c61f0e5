//! `[base.verify]`: a base that is not signed as it is asked for is refused.

use crate::registry::{Registry, on};
use crate::sigstore::{Flaw, Rekor, Sigstore};
use crate::support::{Base, Project, dir, file, rooted};

use super::fixture::{SIGN, Signer, attach};
use super::keyless::{WHO, signed};

/// A base in a registry, and a project on it.
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
        let project = Project::new().file("cosign.pub", signer.public()).file("other.pub", Signer::new().public());
        Base::of([dir("etc"), file("etc/motd", "below\n")]).write(&project, "base");
        let name = format!("{}/base", registry.name());
        let digest = project.run(["copy", "oci:base", &format!("{name}:1")]).success().digest();
        let world = World { registry, signer, project, digest };
        world.asks("key = \"cosign.pub\"");
        world
    }

    /// Writes the manifest with these lines below `[base.verify]`.
    fn asks(&self, lines: &str) {
        let base = format!("{}/base:1@{}", self.registry.name(), self.digest);
        self.on(&base, lines);
    }

    fn on(&self, base: &str, lines: &str) {
        let manifest = format!("schema = 1\n[image]\nbase = \"{base}\"\n[base.verify]\n{lines}\n");
        self.project.write("image.toml", rooted(&manifest));
    }

    #[track_caller]
    fn ends(&self, words: &[&str], code: i32) -> String {
        self.project.run(words).ends().expect(code).stderr
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_without_the_signature_is_refused_by_check_plan_and_build() {
    let world = World::new().await;
    for command in ["check", "plan", "build"] {
        let said = world.ends(&[command], 4);
        assert!(said.contains("has no signature") && said.contains("image.toml:4"), "{said}");
    }
    attach(&world.registry, "base", &world.digest, &Signer::new().signature(&world.digest));
    assert!(world.ends(&["check"], 4).contains("not by this key"));
    attach(&world.registry, "base", &world.digest, &world.signer.signature(&world.digest));
    for command in ["check", "plan", "build"] {
        world.ends(&[command], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_proven_is_remembered_for_this_policy_only() {
    let world = World::new().await;
    attach(&world.registry, "base", &world.digest, &world.signer.signature(&world.digest));
    world.registry.fault(on("GET", "/referrers/").status(403));
    assert!(world.ends(&["check"], 3).contains("looking for who vouches"));
    world.registry.heal();
    world.ends(&["build"], 0);
    world.registry.forget();
    world.ends(&["build", "--offline"], 0);
    world.ends(&["build"], 0);
    assert_eq!(world.registry.count("GET", "/referrers/"), 0);
    world.ends(&["build", "--no-cache"], 0);
    assert_eq!(world.registry.count("GET", "/referrers/"), 1, "nothing that was remembered is used");
    world.ends(&["build", "--no-cache", "--offline"], 3);
    world.asks("key = \"other.pub\"");
    world.ends(&["build", "--offline"], 3);
    world.ends(&["build"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_proven_by_one_sigstore_is_not_remembered_for_another() {
    let world = World::new().await;
    let (one, two) = (Sigstore::start(), Sigstore::start());
    let bundle = signed(&one, Rekor::V1, false, SIGN, &world.digest).await;
    attach(&world.registry, "base", &world.digest, &bundle);
    world.asks(&format!("identity = \"{WHO}\"\nissuer = \"{}\"", one.url()));
    let check = |sigstore: &Sigstore| {
        world.project.write("tuf.json", sigstore.tuf_root());
        world.project.run(["check"]).env("TUF_MIRROR", sigstore.tuf_url()).env("TUF_ROOT_JSON", "tuf.json")
    };
    check(&one).success();
    check(&one).success();
    assert!(check(&two).fails(4).stderr.contains("proofs do not hold"));
    one.fault(Flaw::ForgedTuf);
    world.registry.forget();
    check(&one).success();
    assert_eq!(world.registry.count("GET", "/referrers/"), 0, "it is remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_of_the_index_or_of_the_platform_is_enough() {
    for whole in [true, false] {
        let world = World::new().await;
        let size = world.registry.shelf("base").manifests[&world.digest].1.len();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": world.digest, "size": size,
            "platform": {"os": "linux", "architecture": "amd64"},
        }]});
        let index = world.registry.manifest("base", "all", media_type, index.to_string().as_bytes()).to_string();
        world.on(&format!("{}/base:all@{index}", world.registry.name()), "key = \"cosign.pub\"");
        world.ends(&["check"], 4);
        let signed = if whole { &index } else { &world.digest };
        attach(&world.registry, "base", signed, &world.signer.signature(signed));
        let said = world.ends(&["-v", "check"], 0);
        assert!(said.contains(&format!("as {signed}")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_table_are_told_with_their_place() {
    let world = World::new().await;
    let found = |lines: &str| {
        world.asks(lines);
        world.project.run(["--format", "json", "check"]).fails(2).findings()
    };
    assert_eq!(found(""), ["base-verify 4:1"]);
    assert_eq!(found("identity = \"a@example.com\""), ["base-verify 4:1"]);
    assert_eq!(found("issuer-regexp = \".*\""), ["base-verify 4:1"]);
    assert_eq!(found("key = \"cosign.pub\"\nidentity = \"a@example.com\""), ["base-verify 4:1"]);
    assert_eq!(found("identity = \"a\"\nissuer-regexp = \"(\""), ["base-verify 6:17"]);
    assert_eq!(found("identity = \"a\"\nissuer = \"b\"\nissuer-regexp = \"c\""), ["base-verify 7:17"]);
    assert_eq!(found("key = \"none.pub\""), ["base 4:1"]);
    assert_eq!(found("keys = \"cosign.pub\""), ["base-verify 4:1", "unknown-key 5:1"]);
    world.on("scratch", "key = \"cosign.pub\"");
    world.ends(&["check"], 2);
    world
        .on("oci:base@sha256:0000000000000000000000000000000000000000000000000000000000000000", "key = \"cosign.pub\"");
    assert!(world.ends(&["check"], 2).contains("is in no registry"));
}
