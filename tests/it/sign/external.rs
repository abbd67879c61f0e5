//! A program that signs for us (`docs/signing.md`): what it is asked and what it may answer, and that nothing it does wrong is taken.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_sign::crypto::KeyPair;
use sigstore_sign::types::Sha256Hash;

use super::World;
use crate::support::project::Run;

/// Hands what it is asked to whoever watches its directory, and prints the answer.
const SCRIPT: &str = "#!/bin/sh
room=ROOM
cat >\"$room/$$.part\"
mv \"$room/$$.part\" \"$room/$$.ask\"
while [ ! -e \"$room/$$.answer\" ]; do sleep 0.02; done
cat \"$room/$$.answer\"
";

/// A signer called `test`, which holds a key in this process.
struct Signer {
    room: PathBuf,
    asked: Option<JoinHandle<Vec<Value>>>,
    over: Arc<AtomicBool>,
}

impl Signer {
    /// Answers with `answer` until the end.
    fn start(world: &World, answer: impl Fn(&Value) -> String + Send + 'static) -> Signer {
        let room = world.project.path("signer");
        fs::create_dir_all(&room).unwrap();
        script(world, &SCRIPT.replace("ROOM", room.to_str().unwrap()));
        let over = Arc::new(AtomicBool::new(false));
        let asked = spawn({
            let (room, over) = (room.clone(), over.clone());
            move || {
                let mut all = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(5));
                    for entry in fs::read_dir(&room).unwrap() {
                        let path = entry.unwrap().path();
                        if path.extension().is_some_and(|ending| ending == "ask") {
                            let asked: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                            fs::remove_file(&path).unwrap();
                            fs::write(path.with_extension("new"), answer(&asked)).unwrap();
                            fs::rename(path.with_extension("new"), path.with_extension("answer")).unwrap();
                            all.push(asked);
                        }
                    }
                }
                all
            }
        });
        Signer { room, asked: Some(asked), over }
    }

    /// `sign` with a key of this signer.
    fn sign(&self, world: &World, words: &[&str]) -> Run {
        let reference = world.pinned();
        let all = [&["sign", &reference, "--key", "signer://test/alias/mine"], words].concat();
        world.project.run(all).env("PATH", format!("{}:/usr/bin:/bin", self.room.display()))
    }

    /// Everything that it was asked.
    fn end(mut self) -> Vec<Value> {
        self.over.store(true, Ordering::Relaxed);
        self.asked.take().unwrap().join().unwrap()
    }
}

fn script(world: &World, text: &str) {
    let place = "signer/stillframe-signer-test";
    world.project.write(place, text);
    fs::set_permissions(world.project.path(place), fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a signer that does its work answers.
fn honest(pair: &KeyPair, asked: &Value) -> Value {
    match asked["operation"].as_str().unwrap() {
        "public-key" => json!({ "publicKey": pair.public_key_der().unwrap().to_pem() }),
        "sign" => {
            let digest = Sha256Hash::from_base64(asked["digest"]["value"].as_str().unwrap()).unwrap();
            let signature = pair.sign_digest(&digest).unwrap();
            json!({ "signature": STANDARD.encode(signature.as_bytes()) })
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_signs_digests_and_sees_nothing_else() {
    let world = World::new().await;
    let pair = KeyPair::generate_ecdsa_p256().unwrap();
    let pem = pair.public_key_der().unwrap().to_pem();
    world.project.write("theirs.pub", pem);
    let signer = Signer::start(&world, move |asked| honest(&pair, asked).to_string());
    signer.sign(&world, &[]).ends().expect(0);
    world.verify(&["--key", "theirs.pub"]).expect(0);
    world.verify(&["--key", "cosign.pub"]).expect(4);
    assert_eq!(world.layers("sig").len(), 1);
    signer.sign(&world, &[]).ends().expect(0);
    assert_eq!(world.layers("sig").len(), 1, "what was said is not said again");
    let asked = signer.end();
    let operations: Vec<&Value> = asked.iter().map(|asked| &asked["operation"]).collect();
    assert_eq!(operations, [&json!("public-key"), &json!("sign"), &json!("sign"), &json!("public-key")]);
    for one in &asked {
        assert_eq!((&one["version"], &one["key"]), (&json!(1), &json!("alias/mine")));
        let names: Vec<&String> = one.as_object().unwrap().keys().collect();
        assert!(names.iter().all(|name| ["digest", "key", "operation", "version"].contains(&name.as_str())));
    }
    assert_eq!(asked[1]["digest"]["algorithm"], "sha256");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_does_wrong_is_not_taken() {
    let world = World::new().await;
    for (wrong, why) in [
        ("another key", "does not fit the public key"),
        ("no base64", "not base64"),
        ("no json", "something that is not its JSON"),
        ("too much", "which is the limit"),
        ("no key", "is not a public key"),
    ] {
        let (pair, other) = (KeyPair::generate_ecdsa_p256().unwrap(), KeyPair::generate_ecdsa_p256().unwrap());
        let signer = Signer::start(&world, move |asked| {
            let signs = asked["operation"] == "sign";
            match wrong {
                "another key" if signs => honest(&other, asked).to_string(),
                "no base64" if signs => json!({ "signature": "!" }).to_string(),
                "no json" if signs => "CANARY-output".to_string(),
                "too much" if signs => "x".repeat(100_000),
                "no key" => json!({ "publicKey": "x" }).to_string(),
                _ => honest(&pair, asked).to_string(),
            }
        });
        let refused = signer.sign(&world, &["-vv"]).ends().expect(2);
        assert!(refused.stderr.contains(why), "{wrong}: {}", refused.stderr);
        signer.end();
        fs::remove_dir_all(world.project.path("signer")).unwrap();
    }
    assert!(world.layers("sig").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_or_fails_says_so() {
    let world = World::new().await;
    let signer = Signer::start(&world, |_| String::new());
    script(&world, "#!/bin/sh\necho CANARY-shown >&2\necho CANARY-said\nexit 1\n");
    let failed = signer.sign(&world, &[]).ends().expect(2);
    assert!(failed.stderr.contains("did not do what it was asked for (\"public-key\")"), "{}", failed.stderr);
    let missing = signer.sign(&world, &[]).env("PATH", "/nowhere:.").ends().expect(2);
    assert!(missing.stderr.contains("`stillframe-signer-test` is not in the `PATH`"), "{}", missing.stderr);
    for wrong in ["signer://../test/k", "signer://-x/k", "signer://test", "awskms:///alias/k"] {
        world.sign(&["--key", wrong]).expect(2);
    }
    signer.end();
}

#[cfg(not(feature = "pkcs11"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_pkcs11_says_so() {
    let world = World::new().await;
    let refused = world.sign(&["--key", "pkcs11:object=k?pin-value=CANARY-pin"]).expect(2);
    assert!(refused.stderr.contains("--features pkcs11"), "{}", refused.stderr);
}
