//! `reproduce` from a commit, and what it leaves beside the image: a work tree of the commit that the provenance names, whatever lies in
//! the work tree now, and a verification summary that anybody can look for.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::git::git;
use crate::registry::{Registry, on};
use crate::support::Project;
use crate::support::project::Run;

const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// A repository at release 1.0.0, which was released, and whose work has gone on since.
struct World {
    registry: Registry,
    project: Project,
    digest: String,
}

impl World {
    async fn new() -> World {
        let registry = Registry::start().await;
        let manifest = format!(
            "schema = 1\n[image]\nname = \"{}/app\"\nbase = \"scratch\"\nuser = \"1\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [labels]\n\"revision\" = \"{{{{ git.sha }}}}\"\n\"tag\" = \"{{{{ git.tag }}}}\"\n\
             [[file]]\nsrc = \"tree\"\ndest = \"/tree\"\n[tags]\nsemver = [\"{{{{ version }}}}\"]\n\
             [sign]\nmethod = \"key\"\nkey = \"cosign.key\"\nformat = \"bundle\"\n[attest]\nprovenance = true\n",
            registry.name()
        );
        let project = Project::new().file("services/api/image.toml", manifest);
        let project = project.file("services/api/tree/x", "one\ntwo\n").file("services/api/tree/win.txt", "a\nb\n");
        let project = project.file_mode("services/api/tree/run", "#!/bin/sh\n", 0o755);
        let project = project.symlink("services/api/tree/link", "x").file(".gitignore", "cosign.*\n");
        let project = project.file(".gitattributes", "win.txt text eol=crlf\n*.bin filter=evil\n");
        let project = project.file("services/api/tree/a.bin", "a");
        let mut world = World { registry, project, digest: String::new() };
        world.run(&["keygen", "--output-prefix", "services/api/cosign"]).success();
        for words in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "one"], &["tag", "v1.0.0"]] {
            git(&world.project, words);
        }
        // As a clone has it: with the ends of lines that the attributes ask for.
        git(&world.project, &["rm", "-rq", "--cached", "."]);
        git(&world.project, &["reset", "-q", "--hard"]);
        world.digest = world.run(&["release"]).success().digest();
        world.project.write("services/api/tree/x", "three\n");
        git(&world.project, &["commit", "-qam", "two"]);
        git(&world.project, &["tag", "v1.1.0"]);
        world
    }

    fn run(&self, words: &[&str]) -> Run {
        let words: Vec<&str> = ["-f", "services/api"].iter().chain(words).copied().collect();
        self.project.run(words).env("COSIGN_PASSWORD", "secret").cwd(&self.project.path(""))
    }

    fn reference(&self) -> String {
        format!("{}/app@{}", self.registry.name(), self.digest)
    }

    fn reproduce(&self, words: &[&str]) -> Run {
        let reference = self.reference();
        self.run(&[&["reproduce", &reference], words].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commit_of_the_provenance_is_built_whatever_lies_in_the_work_tree() {
    let world = World::new().await;
    world.reproduce(&[]).fails(4);
    world.project.write("services/api/tree/x", "not committed\n");
    fs::remove_file(world.project.path("services/api/tree/run")).unwrap();
    // What the repository's configuration names is not run here either.
    let canary = world.project.path("../canary");
    let evil = format!("touch {}; cat", canary.display());
    for key in ["filter.evil.clean", "filter.evil.smudge", "filter.evil.process"] {
        git(&world.project, &["config", key, &evil]);
    }
    let room = world.project.path("../temporary");
    fs::create_dir(&room).unwrap();
    let done = world.reproduce(&["--revision", "--format", "json"]).env("TMPDIR", &room).success().json();
    assert_eq!(fs::read_dir(&room).unwrap().count(), 0, "nothing is left");
    assert_eq!((&done["digest"], &done["reproduced"]), (&json!(world.digest), &json!(true)));
    let head = Command::new("git").args(["rev-parse", "v1.0.0"]).current_dir(world.project.path("")).output().unwrap();
    assert_eq!(done["revision"].as_str().unwrap(), String::from_utf8(head.stdout).unwrap().trim());
    for name in ["--revision=v1.0.0", "--revision=HEAD~1"] {
        world.reproduce(&[name]).success();
    }
    let done = world.reproduce(&["--revision=v1.1.0"]).fails(4);
    let first = "linux/amd64: layer 1 (`files`), `/tree/x`: byte 0 of its content differs";
    assert!(done.stderr.contains(first), "{}", done.stderr);
    assert!(!canary.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_elsewhere_reproduces_too_and_a_shallow_one_says_what_it_lacks() {
    let world = World::new().await;
    let elsewhere = Project::named("elsewhere");
    let origin = format!("file://{}", world.project.path("").display());
    git(&elsewhere, &["clone", "-q", &origin, "whole"]);
    git(&elsewhere, &["clone", "-q", "--depth", "1", &origin, "shallow"]);
    let reference = world.reference();
    let run =
        |clone: &str| elsewhere.run(["-f", &format!("{clone}/services/api"), "reproduce", &reference, "--revision"]);
    assert_eq!(run("whole").success().digest(), world.digest);
    let done = run("shallow").fails(2);
    assert!(done.stderr.contains("is not in this clone") && done.stderr.contains("--unshallow"), "{}", done.stderr);
    // A linked work tree has its objects elsewhere.
    git(&elsewhere, &["-C", "whole", "worktree", "add", "-q", "../linked"]);
    assert_eq!(run("linked").success().digest(), world.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reproduced_is_attested_of_every_image_and_nothing_else_is() {
    let world = World::new().await;
    let reference = world.reference();
    let verify =
        |image: &str| world.run(&["verify", image, "--key", "services/api/cosign.pub", "--attestation", SUMMARY]);
    world.reproduce(&["--sign", "--vsa", "vsa.json"]).fails(4);
    assert!(!world.project.path("vsa.json").exists());
    verify(&reference).fails(4);
    let done = world.reproduce(&["--revision", "--sign", "--vsa", "vsa.json", "--receipt", "receipt.json"]).success();
    assert_eq!(done.digest(), world.digest);
    let written: Value = serde_json::from_slice(&fs::read(world.project.path("vsa.json")).unwrap()).unwrap();
    assert_eq!(written["verificationResult"], "PASSED");
    assert_eq!(
        written["resourceUri"].as_str().unwrap().split('?').next().unwrap(),
        format!("pkg:oci/app@{}", world.digest)
    );
    let told = verify(&reference).success();
    assert!(told.stderr.contains("attested by the key"), "{}", told.stderr);
    let json = world.run(&[
        "--format",
        "json",
        "verify",
        &reference,
        "--key",
        "services/api/cosign.pub",
        "--attestation",
        SUMMARY,
    ]);
    let accepted = json.success().json()["images"][0]["accepted"][0].clone();
    assert_eq!(accepted["predicate"], written);
    // The provenance that named the commit is named by its blob.
    let shelf = world.registry.shelf("app");
    let used = written["inputAttestations"][0]["digest"]["sha256"].as_str().unwrap();
    assert!(shelf.blobs.contains_key(&format!("sha256:{used}")));
    let receipt: Value = serde_json::from_slice(&fs::read(world.project.path("receipt.json")).unwrap()).unwrap();
    let signed = receipt["signed"].as_array().unwrap();
    assert_eq!(signed.len(), 3, "two images and the index");
    for one in signed {
        verify(&format!("{}/app@{}", world.registry.name(), one["subject"].as_str().unwrap())).success();
    }
    world.registry.forget();
    world.reproduce(&["--revision", "--sign"]).success();
    assert_eq!(world.registry.count("PUT", ""), 0, "it is not said twice");
    // Without a registry it can be written and not be signed.
    world.run(&["copy", &reference, "oci:out"]).success();
    world.run(&["reproduce", "oci:out", "--sign"]).fails(2);
    world.run(&["reproduce", "oci:out", "--revision=v1.0.0", "--vsa", "local.json"]).success();
    let local: Value = serde_json::from_slice(&fs::read(world.project.path("local.json")).unwrap()).unwrap();
    assert_eq!((&local["resourceUri"], &local["inputAttestations"]), (&json!(world.digest), &json!([])));
    world.run(&["reproduce", "oci:out", "--revision"]).fails(2);
    world.reproduce(&["--key", "services/api/cosign.key"]).fails(2);
    world.reproduce(&["--vsa", "nowhere/vsa.json"]).fails(5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_known_is_never_guessed() {
    let world = World::new().await;
    let done = world.reproduce(&["--revision=v9.9.9"]).fails(2);
    assert!(done.stderr.contains("the commit `v9.9.9` is not in this clone"), "{}", done.stderr);
    // A registry that cannot tell is not one without provenance.
    world.registry.fault(on("GET", "/referrers/").status(403));
    world.reproduce(&["--revision"]).fails(3);
    world.registry.heal();
    world.registry.set(|model| {
        model.shelf("app").manifests.retain(|_, (_, bytes)| !String::from_utf8_lossy(bytes).contains("slsa.dev"))
    });
    let done = world.reproduce(&["--revision"]).fails(4);
    assert!(done.stderr.contains("has no provenance that names a commit of git"), "{}", done.stderr);
    assert!(done.stderr.contains("--revision=v1.2.3"), "{}", done.stderr);
    // Provenance by anybody: one that leads out of the repository is none, two that differ are not chosen from.
    let attest = |commit: &str, manifest: &str| {
        let predicate = json!({"buildDefinition": {
            "externalParameters": {"manifest": manifest},
            "resolvedDependencies": [{"digest": {"gitCommit": commit}, "annotations": {"role": "source"}}],
        }});
        world.project.write("predicate.json", predicate.to_string());
        let reference = world.reference();
        let words = ["attest", &reference, "--type", "slsaprovenance1", "--predicate", "predicate.json"];
        world.run(&[&words[..], &["--key", "services/api/cosign.key"]].concat()).success();
    };
    let commits = ["v1.0.0", "v1.1.0"].map(|tag| {
        let told = Command::new("git").args(["rev-parse", tag]).current_dir(world.project.path("")).output().unwrap();
        String::from_utf8(told.stdout).unwrap().trim().to_string()
    });
    attest(&commits[0], "../image.toml");
    world.reproduce(&["--revision"]).fails(4);
    attest(&commits[0], "services/api/image.toml");
    world.reproduce(&["--revision"]).success();
    attest(&commits[1], "services/api/image.toml");
    let done = world.reproduce(&["--revision"]).fails(4);
    assert!(done.stderr.contains("is said to come from several places"), "{}", done.stderr);
    world.reproduce(&["--revision=v1.0.0"]).success();
}
