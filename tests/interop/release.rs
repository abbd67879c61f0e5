//! A release, judged by both cosigns: what it signs and attests they verify, in a registry with and in one without the referrers API.

use std::process::Command;

use serde_json::Value;

use crate::peers::{done, output, peer, said};
use crate::project::Project;
use crate::servers::{Make, Place};

const PASSWORD: (&str, &str) = ("COSIGN_PASSWORD", "a password");

fn git(project: &Project, words: &[&str]) {
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

fn released(make: Make) {
    let place = Place::start(make);
    let project = Project::new(&format!(
        "[image]\nname = \"{}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [[file]]\ndest = \"/x\"\ncontent = \"x\"\n\
         [tags]\nsemver = [\"{{{{ version }}}}\", \"{{{{ major }}}}.{{{{ minor }}}}\"]\n\
         [sign]\nmethod = \"key\"\nkey = \"mine.key\"\n\
         [attest]\nsbom = [\"spdx\"]\nprovenance = true\n",
        place.name("team/app")
    ))
    .file(".gitignore", "*.key\n*.pub\n");
    for key in ["mine", "other"] {
        done(&mut cosign(&place, &project, "cosign-2", &["generate-key-pair", "--output-key-prefix", key]));
    }
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "one"]);
    git(&project, &["tag", "v1.2.3"]);
    let output_of = |words: &[&str]| done(place.ours(&project, words).env(PASSWORD.0, PASSWORD.1));
    let told: Value = serde_json::from_str(&output_of(&["--format", "json", "release"])).unwrap();
    let whole = told["digest"].as_str().unwrap().to_string();
    let images = told["images"].as_array().unwrap().iter().map(|image| image["digest"].as_str().unwrap().to_string());
    let images: Vec<String> = images.collect();
    assert_eq!(images.len(), 2);
    let reference = format!("{}@{whole}", place.name("team/app"));
    let tags = ["1.2.3", "1.2", "latest"];
    for which in ["cosign-2", "cosign-3"] {
        let verify = |key: &str, rest: &[&str], image: &str| {
            let words = [&[rest[0], "--key", key, "--insecure-ignore-tlog"], &rest[1..], &[image]].concat();
            output(&mut cosign(&place, &project, which, &words))
        };
        let fine = |rest: &[&str], image: &str| {
            let output = verify("mine.pub", rest, image);
            assert!(output.status.success(), "{make:?} {which} {rest:?}: {}", said(&output));
        };
        fine(&["verify"], &reference);
        for tag in tags {
            fine(&["verify"], &format!("{}:{tag}", place.name("team/app")));
        }
        fine(&["verify-attestation", "--type", "slsaprovenance1"], &reference);
        let other = verify("other.pub", &["verify"], &reference);
        assert!(!other.status.success(), "{make:?} {which} takes another key");
        let other = verify("mine.pub", &["verify-attestation", "--type", "cyclonedx"], &reference);
        assert!(!other.status.success(), "{make:?} {which} finds what was not attested");
        // The images of the index are signed too, and have the bills of materials.
        for digest in &images {
            let image = format!("{}@{digest}", place.name("team/app"));
            fine(&["verify"], &image);
            fine(&["verify-attestation", "--type", "spdxjson"], &image);
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
