//! Where identity tokens come from, and what is said of those that are no good. No token is ever shown (each holds the word that
//! `support/canary.rs` looks for).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{Keyless, SERVICES, WHO};
use crate::sigstore::Rekor;
use crate::support::project::Run;

/// `sign --keyless` without a token.
fn bare(keyless: &Keyless, words: &[&str]) -> Run {
    let reference = keyless.world.pinned();
    keyless.world.project.run([&["sign", &reference, "-vv"], &SERVICES[..], words].concat())
}

/// A program in a directory of its own, which is the search path.
fn program(keyless: &Keyless, name: &str, script: &str) -> String {
    let place = format!("{name}-bin/{name}");
    keyless.world.project.write(&place, format!("#!/bin/sh\n{script}\n"));
    let path = keyless.world.project.path(&place);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", path.parent().unwrap().display())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_source_gives_a_token() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    let accepted = |identity: &str, run: Run| {
        run.ends().expect(0);
        keyless.verify(identity, &[]).expect(0);
    };
    let token = |identity: &str| keyless.sigstore.token(identity);
    accepted("option@example.com", bare(&keyless, &["--identity-token", &token("option@example.com")]));
    keyless.world.project.write("token", format!("{}\n", token("file@example.com")));
    accepted("file@example.com", bare(&keyless, &["--identity-token", "token"]));
    let variable = bare(&keyless, &["--keyless"]).env("SIGSTORE_ID_TOKEN", token("variable@example.com"));
    accepted("variable@example.com", variable);
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    let github = keyless.sigstore.env(workflow);
    accepted(workflow, github.iter().fold(bare(&keyless, &["--keyless"]), |run, (name, value)| run.env(name, value)));
    for (service, name, words) in [
        ("BUILDKITE", "buildkite-agent", "oidc request-token --audience sigstore"),
        ("CIRCLECI", "circleci", "run oidc get --root-issuer --claims {\"aud\":\"sigstore\"}"),
    ] {
        let identity = format!("{name}@example.com");
        keyless.world.project.write("ambient", token(&identity));
        let path = program(&keyless, name, &format!("[ \"$*\" = '{words}' ] && cat ambient"));
        accepted(&identity, bare(&keyless, &["--keyless"]).env(service, "true").env("PATH", path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nobody_is_asked() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    let none = bare(&keyless, &["--keyless"]).ends().expect(2);
    assert!(none.stderr.contains("nothing says who we are") && none.stderr.contains("id_tokens"), "{}", none.stderr);
    let forbidden = bare(&keyless, &["--keyless"]).env("GITHUB_ACTIONS", "true").ends().expect(2);
    assert!(forbidden.stderr.contains("`id-token: write`"), "{}", forbidden.stderr);
    let missing = bare(&keyless, &["--keyless"]).env("BUILDKITE", "true").env("PATH", "/nowhere").ends().expect(5);
    assert!(missing.stderr.contains("`buildkite-agent`"), "{}", missing.stderr);
    bare(&keyless, &["--identity-token", "not.there"]).ends().expect(2);
    bare(&keyless, &["--key", "cosign.key", "--keyless"]).ends().expect(2);
    assert_eq!(keyless.sigstore.count("POST", ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_no_good_is_said_to_be() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    let refused = |token: String, code: i32, why: &str| {
        let refused = bare(&keyless, &["--keyless"]).env("SIGSTORE_ID_TOKEN", token).ends().expect(code);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    };
    refused(keyless.sigstore.odd_token(WHO, json!({ "exp": 1_000_000_000 })), 2, "the identity token expired at 2001");
    refused("no token".to_string(), 2, "not a JSON web token");
    assert_eq!(keyless.sigstore.count("POST", ""), 0, "nobody was asked so far");
    for claims in [json!({ "aud": "elsewhere" }), json!({ "iss": "https://issuer.test" })] {
        refused(keyless.sigstore.odd_token(WHO, claims), 3, "was answered with 401");
    }
    assert_eq!(keyless.sigstore.count("POST", "/signingCert"), 2, "a refusal is not asked for again");
    let mut github = keyless.sigstore.env(WHO);
    github[2].1 = "CANARY-wrong".to_string();
    let run = github.iter().fold(bare(&keyless, &["--keyless"]), |run, (name, value)| run.env(name, value));
    let refused = run.ends().expect(3);
    assert!(refused.stderr.contains("asking GitHub for an identity token"), "{}", refused.stderr);
    assert_eq!(keyless.beside(), (0, 0));
}
