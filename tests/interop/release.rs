//! A release, judged by both cosigns: what it signs and attests they verify, in a registry with and in one without the referrers API.

use std::process::Command;

use serde_json::Value;

use crate::peers::{done, output, peer, said};
use crate::project::{Project, digest, program, refused};
use crate::servers::{Make, Place};

const PASSWORD: (&str, &str) = ("COSIGN_PASSWORD", "a password");

pub fn git(project: &Project, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]).args(words);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    done(command.current_dir(project.app()));
}

/// cosign with these words, in a project's directory.
fn cosign(place: &Place, project: &Project, which: &str, words: &[&str]) -> Command {
    let mut command = peer(which);
    place.introduce(&mut command);
    command.current_dir(project.app()).env("HOME", project.room()).env(PASSWORD.0, PASSWORD.1).args(words);
    command
}

/// A release that was made: an index of two images, signed by a key and attested.
pub struct Released {
    /// The registry.
    pub place: Place,
    /// The work tree.
    pub project: Project,
    /// The index.
    pub whole: String,
    /// Its images.
    pub images: Vec<String>,
}

/// The tags of the release.
pub const TAGS: [&str; 3] = ["1.2.3", "1.2", "latest"];

impl Released {
    /// Releases to a registry of this make.
    pub fn to(make: Make) -> Released {
        let place = Place::start(make);
        let project = Project::new(&format!(
            "[image]\nname = \"{}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [[file]]\nsrc = \"x\"\ndest = \"/x\"\n\
             [tags]\nsemver = [\"{{{{ version }}}}\", \"{{{{ major }}}}.{{{{ minor }}}}\"]\n\
             [sign]\nmethod = \"key\"\nkey = \"mine.key\"\n\
             [attest]\nsbom = [\"spdx\"]\nprovenance = true\n",
            place.name("team/app")
        ))
        .file("x", "one\ntwo\n")
        .file(".gitignore", "*.key\n*.pub\n");
        for key in ["mine", "other"] {
            done(&mut cosign(&place, &project, "cosign-2", &["generate-key-pair", "--output-key-prefix", key]));
        }
        for words in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "one"], &["tag", "v1.2.3"]] {
            git(&project, words);
        }
        let told = done(place.ours(&project, &["--format", "json", "release"]).env(PASSWORD.0, PASSWORD.1));
        let told: Value = serde_json::from_str(&told).unwrap();
        let digest = |value: &Value| value["digest"].as_str().unwrap().to_string();
        let images: Vec<String> = told["images"].as_array().unwrap().iter().map(digest).collect();
        assert_eq!(images.len(), 2);
        Released { whole: digest(&told), images, place, project }
    }

    /// The index by its digest.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.place.name("team/app"), self.whole)
    }

    /// cosign with these words.
    pub fn cosign(&self, which: &str, words: &[&str]) -> Command {
        cosign(&self.place, &self.project, which, words)
    }

    /// The program with these words.
    pub fn ours(&self, words: &[&str]) -> Command {
        let mut command = self.place.ours(&self.project, words);
        command.env(PASSWORD.0, PASSWORD.1);
        command
    }
}

fn released(make: Make) {
    let released = Released::to(make);
    let (place, reference) = (&released.place, released.reference());
    for which in ["cosign-2", "cosign-3"] {
        let verify = |key: &str, rest: &[&str], image: &str| {
            let words = [&[rest[0], "--key", key, "--insecure-ignore-tlog"], &rest[1..], &[image]].concat();
            output(&mut released.cosign(which, &words))
        };
        let fine = |rest: &[&str], image: &str| {
            let output = verify("mine.pub", rest, image);
            assert!(output.status.success(), "{make:?} {which} {rest:?}: {}", said(&output));
        };
        fine(&["verify"], &reference);
        for tag in TAGS {
            fine(&["verify"], &format!("{}:{tag}", place.name("team/app")));
        }
        fine(&["verify-attestation", "--type", "slsaprovenance1"], &reference);
        let other = verify("other.pub", &["verify"], &reference);
        assert!(!other.status.success(), "{make:?} {which} takes another key");
        let other = verify("mine.pub", &["verify-attestation", "--type", "cyclonedx"], &reference);
        assert!(!other.status.success(), "{make:?} {which} finds what was not attested");
        // The images of the index are signed too, and have the bills of materials.
        for digest in &released.images {
            let image = format!("{}@{digest}", place.name("team/app"));
            fine(&["verify"], &image);
            fine(&["verify-attestation", "--type", "spdxjson"], &image);
        }
    }
    // Somebody else makes it again, and says so.
    let kind = "https://slsa.dev/verification_summary/v1";
    done(&mut released.ours(&["reproduce", &reference, "--revision", "--sign", "--key", "other.key"]));
    for which in ["cosign-2", "cosign-3"] {
        for image in released
            .images
            .iter()
            .map(|digest| format!("{}@{digest}", place.name("team/app")))
            .chain([reference.clone()])
        {
            let words = ["verify-attestation", "--key", "other.pub", "--insecure-ignore-tlog", "--type", kind, &image];
            let output = output(&mut released.cosign(which, &words));
            assert!(output.status.success(), "{make:?} {which}: {}", said(&output));
        }
    }
}

#[test]
fn both_cosigns_verify_a_release_in_a_registry_without_referrers() {
    released(Make::Plain);
}

#[test]
fn both_cosigns_verify_a_release_in_a_registry_with_referrers() {
    released(Make::Ferro);
}

#[test]
fn a_second_clone_in_another_directory_reproduces_a_release_as_another_user() {
    let released = Released::to(Make::Plain);
    let room = tempfile::tempdir().unwrap();
    let clone = room.path().join("elsewhere/clone");
    let path = |name: &str| room.path().join(name).display().to_string();
    done(peer("cp").arg(program()).arg(room.path().join("program")));
    done(peer("chmod").arg("777").arg(room.path()));
    let nobody = |words: &[&str]| {
        let mut command = peer("setpriv");
        released.place.introduce(&mut command);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).args(words);
        command.env("STILLFRAME_HOME", path("store")).env("HOME", "/nonexistent").env("USER", "nobody");
        // No credentials: the registry is open.
        command.env_remove("DOCKER_CONFIG").env_remove("REGISTRY_AUTH_FILE");
        command
    };
    let from = released.project.app().display().to_string();
    // git takes no repository of another user's over a path, so that user's own pack of it is cloned.
    let pack = path("pack");
    done(peer("git").current_dir(&from).args(["bundle", "create", "-q", &pack, "HEAD", "--all"]));
    done(peer("chmod").arg("a+r").arg(&pack));
    done(&mut nobody(&["git", "clone", "-q", &pack, clone.to_str().unwrap()]));
    let reference = released.reference();
    let program = path("program");
    let reproduce = |words: &[&str]| {
        let all = [&[&program, "-f", clone.to_str().unwrap(), "reproduce", &reference][..], words].concat();
        output(&mut nobody(&all))
    };
    assert_eq!(digest(&reproduce(&[])), released.whole);
    done(&mut nobody(&["sh", "-c", "printf 'one\\ntWo\\n' >\"$0\"", clone.join("x").to_str().unwrap()]));
    refused(&reproduce(&[]), 4, &["linux/amd64: layer 1 (`files`), `/x`: byte 5 of its content differs"]);
    // From the commit that the provenance names, whatever lies in the work tree.
    assert_eq!(digest(&reproduce(&["--revision"])), released.whole);
}
