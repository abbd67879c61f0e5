//! Keys: made, read, refused; and the program that signs for us.

use std::os::unix::fs::PermissionsExt;

use super::{PASSWORD, World};
use crate::support::Project;

#[test]
fn a_pair_is_written_once_and_for_its_owner_only() {
    let project = Project::new();
    let run = |words: &[&str]| project.run(words).env("COSIGN_PASSWORD", PASSWORD).ends();
    let done = run(&["keygen"]).expect(0);
    assert_eq!(done.stdout, "cosign.key\ncosign.pub\n");
    let mode = |name: &str| std::fs::metadata(project.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("cosign.key"), 0o600);
    let key = std::fs::read(project.path("cosign.key")).unwrap();
    assert!(run(&["keygen"]).expect(5).stderr.contains("is there already"));
    std::fs::remove_file(project.path("cosign.key")).unwrap();
    run(&["keygen"]).expect(5);
    assert_eq!(project.names("."), ["cosign.pub"], "neither half may be there");
    run(&["keygen", "--output-prefix", "new"]).expect(0);
    assert_ne!(std::fs::read(project.path("new.key")).unwrap(), key);
    // A password that is set but empty counts.
    let empty = project.run(["keygen", "--output-prefix", "open"]).env("COSIGN_PASSWORD", "").ends().expect(0);
    assert!(empty.stderr.contains("password is empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_passwords_are_refused_without_a_word_of_them() {
    let world = World::new().await;
    let reference = format!("{}:1", world.name());
    world.project.write("plain.key", "-----BEGIN PRIVATE KEY-----\ncanary-key\n-----END PRIVATE KEY-----\n");
    let sign = |key: &str, password: &str| {
        let run =
            world.project.run(["sign", &reference, "--key", key]).env("COSIGN_PASSWORD", password).env("EMPTY", "");
        run.ends()
    };
    for (key, password, words) in [
        ("cosign.key", "canary-wrong", "the password does not open"),
        ("cosign.key", "", "the password does not open"),
        ("plain.key", PASSWORD, "cosign import-key-pair"),
        ("cosign.pub", PASSWORD, "signing takes the private key"),
        ("none.key", PASSWORD, "there is no file"),
        ("env://MISSING", PASSWORD, "is not set"),
        ("env://EMPTY", PASSWORD, "it is no PEM text"),
        ("awskms:///alias/a", PASSWORD, "stillframe-signer-awskms"),
        ("pkcs11:token=a;object=b", PASSWORD, ""),
    ] {
        let done = sign(key, password).expect(2);
        assert!(done.stderr.contains(words), "{key}: {}", done.stderr);
        assert!(!done.stderr.contains("canary"), "{}", done.stderr);
    }
    assert!(world.bundles(&world.digest).is_empty());
    sign("cosign.key", PASSWORD).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_lies_fails_or_is_missing_is_refused() {
    let world = World::new().await;
    let reference = format!("{}:1", world.name());
    let public = std::fs::read_to_string(world.project.path("cosign.pub")).unwrap().replace('\n', "\\\\n");
    let pem = format!("printf '%s' '{{\"publicKey\":\"{}\"}}'", public.replace("\\\\", "\\"));
    for (name, script, words) in [
        (
            "a-liar",
            format!("read line; case $line in *public-key*) {pem};; *) printf '{{\"signature\":\"AAAA\"}}';; esac"),
            "does not fit the public key",
        ),
        ("noise", "echo canary-noise".to_string(), "something that is not its JSON"),
        ("failing", "echo canary-noise >&2; exit 3".to_string(), "failed to answer `public-key`"),
        (
            "flood",
            "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done".to_string(),
            "which is the limit",
        ),
    ] {
        let path = format!("bin/stillframe-signer-{name}");
        world.project.write(&path, format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(world.project.path(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
        let search = format!("{}:/usr/bin:/bin", world.project.path("bin").display());
        let key = format!("signer://{name}/a/key");
        let done = world.project.run(["sign", &reference, "--key", &key]).env("PATH", search).ends();
        assert!(done.code == Some(2) || done.code == Some(4), "{}", done.stderr);
        assert!(done.stderr.contains(words) && !done.stderr.contains("canary"), "{name}: {}", done.stderr);
    }
    let missing =
        world.project.run(["sign", &reference, "--key", "signer://missing/a"]).env("PATH", "/bin").ends().expect(2);
    assert!(missing.stderr.contains("stillframe-signer-missing"), "{}", missing.stderr);
    world.project.run(["sign", &reference, "--key", "signer://../x/a"]).ends().expect(2);
    assert!(world.bundles(&world.digest).is_empty());
}
