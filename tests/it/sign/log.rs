//! A key whose signatures are in a log too.

use std::fs;

use super::{Keyless, SERVICES};
use crate::sigstore::Rekor;
use crate::support::project::Done;

const KEY: [&str; 2] = ["--key", "cosign.key"];
const LOGGED: [&str; 5] = ["--key", "cosign.pub", "--require-log", "--trusted-root", "trusted_root.json"];

fn sign(keyless: &Keyless, words: &[&str]) -> Done {
    keyless.world.sign(&[&KEY[..], words].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_log_meets_the_wish_for_one() {
    for (rekor, stamps) in [(Rekor::V1, false), (Rekor::V1, true), (Rekor::V2, true), (Rekor::V2, false)] {
        let keyless = Keyless::new(rekor, stamps).await;
        let legacy = usize::from(rekor == Rekor::V1);
        sign(&keyless, &[]).expect(0);
        assert_eq!(keyless.sigstore.entries(), (0, 0), "without a log nobody is asked");
        keyless.world.verify(&LOGGED).expect(4);
        // The signature that is there says nothing in a log: it is said again, with one.
        sign(&keyless, &SERVICES).expect(0);
        assert_eq!(keyless.beside(), (2, 1 + legacy), "{rekor:?} {stamps}");
        keyless.world.verify(&LOGGED).expect(0);
        keyless.world.verify(&["--key", "cosign.pub"]).expect(0);
        let before = keyless.sigstore.entries();
        assert_eq!(before, if legacy == 1 { (2, 0) } else { (0, 1) });
        sign(&keyless, &SERVICES).expect(0);
        assert_eq!(keyless.sigstore.entries(), before, "once is enough");
        // What stands in a log needs none to be asked for.
        sign(&keyless, &["--signature-format", "bundle"]).expect(0);
        assert_eq!(keyless.beside().0, 2);
        assert_eq!(keyless.sigstore.count("POST", "/signingCert"), 0);
        assert_eq!(keyless.sigstore.count("POST", "/timestamp") > 0, stamps);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_signature_of_a_key_is_in_the_log_too() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    sign(&keyless, &[&SERVICES[..], &["--signature-format", "legacy"]].concat()).expect(0);
    assert_eq!(keyless.beside(), (0, 1));
    keyless.world.verify(&LOGGED).expect(0);
    keyless.serves(Rekor::V2, false);
    sign(&keyless, &[&SERVICES[..], &["--signature-format", "legacy", "-a", "a=b"]].concat()).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_asks_for_a_log() {
    let keyless = Keyless::new(Rekor::V1, true).await;
    let name = keyless.world.name();
    let manifest = |sign: &str| {
        let text = format!(
            "schema = 1\n[image]\nname = \"{name}\"\nbase = \"scratch\"\nuser = \"1\"\n[sign]\nmethod = \"key\"\n\
             key = \"cosign.key\"\n{sign}\n"
        );
        fs::write(keyless.world.project.path("image.toml"), text).unwrap();
    };
    manifest("log = true\ntrusted-root = \"trust_config.json\"");
    keyless.world.sign(&[]).expect(0);
    keyless.world.verify(&LOGGED).expect(0);
    manifest("signing-config = \"signing_config.json\"\ntrusted-root = \"trusted_root.json\"");
    keyless.world.sign(&["-a", "a=b"]).expect(0);
    keyless.world.verify(&[&LOGGED[..], &["--annotation", "a=b"]].concat()).expect(0);
    for (wrong, why) in [
        ("log = false\nsigning-config = \"signing_config.json\"", "`signing-config` has no meaning"),
        ("trusted-root = \"trusted_root.json\"", "without a log"),
        ("log = true\ntrusted-root = \"trusted_root.json\"", "does not say which services sign"),
        ("log = 1", "log"),
    ] {
        manifest(wrong);
        let refused = keyless.world.sign(&[]).expect(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    keyless.serves(Rekor::None, false);
    let refused = sign(&keyless, &[&SERVICES[..], &["--log"]].concat()).expect(2);
    assert!(refused.stderr.contains("a transparency log"), "{}", refused.stderr);
    let refused = sign(&keyless, &["--trusted-root", "trusted_root.json"]).expect(2);
    assert!(refused.stderr.contains("--log"), "{}", refused.stderr);
}
