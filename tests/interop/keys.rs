//! Keys that are not in files: in a token of SoftHSM, and behind a program that `docs/signing.md` shows, with openssl. Both cosigns
//! verify what they sign. And two signers at once in a real registry (check SIG-14).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::peers::{checkout, done, output, peer, run, said, shell};
use crate::project::{Project, digest, refused};
use crate::servers::{Make, Place};

const PIN: &str = "pin-4711";
const MODULES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"];

/// An image in a registry without referrers.
struct World {
    place: Place,
    project: Project,
    reference: String,
}

impl World {
    fn new() -> World {
        let place = Place::start(Make::Plain);
        let name = place.name("team/app");
        let project = Project::new(&format!("[image]\nname = \"{name}\"\nbase = \"scratch\"\n"));
        let digest = digest(&output(&mut place.ours(&project, &["push"])));
        World { place, project, reference: format!("{name}@{digest}") }
    }

    fn sign(&self, words: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.place.ours(&self.project, &[&["sign", &self.reference], words].concat());
        output(command.envs(environment.iter().copied()))
    }

    /// Whether we and both cosigns take the signature for one by this key.
    #[track_caller]
    fn taken(&self, key: &str) {
        let ours = output(&mut self.place.ours(&self.project, &["verify", &self.reference, "--key", key]));
        assert!(ours.status.success(), "{}", said(&ours));
        for which in ["cosign-2", "cosign-3"] {
            let mut command = peer(which);
            self.place.introduce(&mut command);
            command.current_dir(self.project.app()).env("HOME", self.project.room());
            done(command.args(["verify", "--key", key, "--insecure-ignore-tlog", &self.reference]));
        }
    }
}

/// A token with an ECDSA key called `curve` and an RSA key called `prime`; SoftHSM's configuration.
fn token(room: &Path) -> String {
    let config = room.join("softhsm.conf");
    std::fs::create_dir_all(room.join("tokens")).unwrap();
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", room.join("tokens").display());
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let util = |words: &[&str]| done(peer("softhsm2-util").env("SOFTHSM2_CONF", &config).args(words));
    util(&["--init-token", "--free", "--label", "my token", "--pin", PIN, "--so-pin", "so-pin"]);
    for (name, id, kind) in [
        ("curve", "a1", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("prime", "b2", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("wide", "c3", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
    ] {
        shell(
            room,
            &format!("openssl genpkey {kind} -out {name}.pem; openssl pkey -in {name}.pem -pubout -out app/{name}.pub"),
        );
        let file = room.join(format!("{name}.pem")).display().to_string();
        util(&["--import", &file, "--token", "my token", "--label", name, "--id", id, "--pin", PIN]);
    }
    config
}

fn module() -> &'static str {
    MODULES.into_iter().find(|path| Path::new(path).is_file()).expect("SoftHSM is missing; run `bash .ci/peers`")
}

#[test]
fn keys_in_a_token_sign_what_both_cosigns_verify() {
    let world = World::new();
    let config = token(world.project.room());
    let softhsm = ("SOFTHSM2_CONF", config.as_str());
    let pin_file = world.project.room().join("pin");
    std::fs::write(&pin_file, format!("{PIN}\n")).unwrap();
    let by_name = format!("pkcs11:token=my%20token;object=curve?module-path={}", module());
    let signed = world.sign(&["--key", &by_name], &[softhsm, ("COSIGN_PKCS11_PIN", PIN)]);
    assert!(signed.status.success(), "{}", said(&signed));
    world.taken("curve.pub");
    let by_id = format!("pkcs11:id=%b2?pin-source=file:{}", pin_file.display());
    let signed = world.sign(&["--key", &by_id], &[softhsm, ("COSIGN_PKCS11_MODULE_PATH", module())]);
    assert!(signed.status.success(), "{}", said(&signed));
    world.taken("prime.pub");
    // The same again, with the PIN in the URI: nothing is said twice.
    let again = world.sign(&["--key", &format!("{by_name}&pin-value={PIN}"), "--format", "json"], &[softhsm]);
    assert!(
        said(&again).contains("already there") && !said(&again).contains("\"signed\",\"subject"),
        "{}",
        said(&again)
    );
}

#[test]
fn a_token_that_does_not_open_signs_nothing_and_no_pin_is_shown() {
    let world = World::new();
    let config = token(world.project.room());
    let softhsm = ("SOFTHSM2_CONF", config.as_str());
    let uri = |object: &str| format!("pkcs11:token=my%20token;object={object}?module-path={}", module());
    let right = ("COSIGN_PKCS11_PIN", PIN);
    for (uri, environment, code, why) in [
        (uri("curve"), &[softhsm, ("COSIGN_PKCS11_PIN", "pin-0815")][..], 2, "does not take the PIN"),
        (uri("curve"), &[softhsm], 2, "nothing says the PIN"),
        (uri("none"), &[softhsm, right], 2, "holds no private key `none of my token`"),
        (uri("wide"), &[softhsm, right], 2, "is on another curve"),
        (uri("curve").replace("my%20token", "other"), &[softhsm, right], 2, "no token is there"),
        ("pkcs11:object=curve".to_string(), &[softhsm, right], 2, "nothing names the PKCS#11 module"),
        ("pkcs11:object=curve?module-path=/etc/hostname".to_string(), &[right], 5, "loading the PKCS#11 module"),
    ] {
        let failed = world.sign(&["--key", &uri, "-vv"], environment);
        refused(&failed, code, &[why]);
        assert!(!said(&failed).contains(PIN) && !said(&failed).contains("pin-0815"), "{}", said(&failed));
    }
}

/// The program that the documentation shows.
fn documented() -> String {
    let text = std::fs::read_to_string(checkout().join("docs/signing.md")).unwrap();
    let (_, rest) = text.split_once("```bash\n#!/bin/sh\n# stillframe-signer-pem").expect("the example is gone");
    let (script, _) = rest.split_once("```").unwrap();
    format!("#!/bin/sh\n# stillframe-signer-pem{script}")
}

#[test]
fn the_documented_program_signs_what_both_cosigns_verify() {
    let world = World::new();
    let bin = world.project.room().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join("stillframe-signer-pem"), documented()).unwrap();
    run("chmod", ["755", &bin.join("stillframe-signer-pem").display().to_string()]);
    let path = format!("{}:{}", bin.display(), crate::peers::path());
    for (name, kind) in [("curve", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"), ("prime", "-algorithm RSA")] {
        let make =
            format!("openssl genpkey {kind} -out {name}.pem; openssl pkey -in {name}.pem -pubout -out {name}.pub");
        shell(&world.project.app(), &make);
        let key = format!("signer://pem/{}", world.project.app().join(format!("{name}.pem")).display());
        let signed = world.sign(&["--key", &key], &[("PATH", &path)]);
        assert!(signed.status.success(), "{}", said(&signed));
        world.taken(&format!("{name}.pub"));
    }
}

/// How often two signers meet.
const ROUNDS: usize = 20;

#[test]
fn sig_14_two_signers_at_once_lose_nothing_in_a_registry_without_referrers() {
    let world = World::new();
    for key in ["one", "two"] {
        done(world.place.ours(&world.project, &["keygen", "--output-prefix", key]).env("COSIGN_PASSWORD", ""));
    }
    for round in 0..ROUNDS {
        let note = format!("round={round}");
        let start = |key: &str, format: &str| {
            let key = format!("{key}.key");
            let words = ["sign", &world.reference, "--key", &key, "-a", &note, "--signature-format", format];
            let mut command = world.place.ours(&world.project, &words);
            command.env("COSIGN_PASSWORD", "").stdout(Stdio::null()).spawn().unwrap()
        };
        let children = [("one", "bundle"), ("two", "bundle"), ("one", "legacy"), ("two", "legacy")];
        for mut child in children.map(|(key, format)| start(key, format)) {
            assert!(child.wait().unwrap().success(), "{note}");
        }
    }
    for key in ["one.pub", "two.pub"] {
        let words = ["verify", &world.reference, "--key", key, "--format", "json"];
        let told: Value = serde_json::from_str(&done(&mut world.place.ours(&world.project, &words))).unwrap();
        let accepted = told["images"][0]["accepted"].as_array().unwrap();
        let rounds: BTreeSet<&str> = accepted.iter().filter_map(|one| one["annotations"]["round"].as_str()).collect();
        assert_eq!(rounds.len(), ROUNDS, "{key}: {rounds:?}");
    }
    let (_, digest) = world.reference.split_once('@').unwrap();
    let count = |tag: String, list: &str| {
        let answer = world.place.ask("GET", &format!("/v2/team/app/manifests/{tag}"), None);
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        for entry in document[list].as_array().unwrap() {
            let kind = &entry["annotations"]["dev.sigstore.bundle.predicateType"];
            assert!(list == "layers" || *kind == "https://sigstore.dev/cosign/sign/v1", "{entry}");
        }
        document[list].as_array().unwrap().len()
    };
    let tag = digest.replace(':', "-");
    assert_eq!(count(format!("{tag}.sig"), "layers"), 2 * ROUNDS);
    assert_eq!(count(tag, "manifests"), 2 * ROUNDS);
}
