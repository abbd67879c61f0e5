//! Between stages 0 and 1: contents that are secrets, each beside one that only looks like it. Tokens are put together here, so that
//! this file holds none.

use super::{MOST_SECRETS, Secret, tokens};
use crate::facts::Facts;

/// The i-th token of each form: random characters from a fixed seed.
fn filled(alphabet: &str, length: usize) -> String {
    let (letters, mut state) = (alphabet.as_bytes(), 0x2545_f491_4f6c_dd1du64);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(letters[(state % letters.len() as u64) as usize])
    };
    (0..length).map(next).collect()
}

const ALL: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &str = "0123456789abcdef";

fn found(content: &str) -> Vec<&'static str> {
    Facts::of(content.as_bytes()).secrets.iter().map(|secret| secret.what).collect()
}

#[test]
fn tokens_of_services() {
    let all = |length| filled(ALL, length);
    let upper = |length| filled("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", length);
    let hex = |length| filled(HEX, length);
    let cases = [
        ("an AWS access key", format!("AKIA{}", upper(16))),
        ("an AWS secret key", format!("aws_secret_access_key = {}", all(40))),
        ("a GitHub token", format!("ghp_{}", all(36))),
        ("a GitHub token", format!("github_pat_{}_{}", all(22), all(59))),
        ("a GitLab token", format!("glpat-{}", all(20))),
        ("a Slack token", format!("xoxb-123456789012-123456789012-{}", all(24))),
        ("a Slack token", format!("xapp-1-A{}-123456789012-{}", upper(10), hex(64))),
        ("a Slack webhook", format!("https://hooks.slack.com/services/T{}/B{}/{}", upper(9), upper(9), all(24))),
        ("an npm token", format!("npm_{}", all(36))),
        ("an npm token", format!("//registry.example.com/:_authToken={}", all(36))),
        ("a PyPI token", format!("pypi-AgEIcHlwaS5vcmc{}", all(60))),
        ("a Stripe key", format!("sk_live_{}", all(24))),
        ("a Google API key", format!("AIza{}", all(35))),
        ("a Google OAuth secret", format!("GOCSPX-{}", all(28))),
        ("a Google OAuth token", format!("ya29.{}", all(80))),
        ("an Azure storage key", format!("AccountKey={}==", all(86))),
        ("a SendGrid key", format!("SG.{}.{}", all(22), all(43))),
        ("a DigitalOcean token", format!("dop_v1_{}", hex(64))),
        ("a Docker Hub token", format!("dckr_pat_{}", all(27))),
        ("a Hugging Face token", format!("hf_{}", filled(&ALL[10..], 34))),
        ("an OpenAI key", format!("sk-{}T3BlbkFJ{}", all(20), all(20))),
        ("an Anthropic key", format!("sk-ant-api03-{}", all(93))),
        ("a Grafana token", format!("glsa_{}_{}", all(32), hex(8))),
        ("a Shopify token", format!("shpat_{}", hex(32))),
        ("a Vault token", format!("hvs.{}", all(95))),
        ("a Terraform token", format!("{}.atlasv1.{}", all(14), all(67))),
        ("a Databricks token", format!("dapi{}", hex(32))),
        ("a Linear key", format!("lin_api_{}", all(40))),
        ("a Postman key", format!("PMAK-{}-{}", hex(24), hex(34))),
        ("a New Relic key", format!("NRAK-{}", upper(27))),
        ("a Sentry token", format!("sntrys_{}", all(100))),
        ("a Pulumi token", format!("pul-{}", hex(40))),
        ("a RubyGems key", format!("rubygems_{}", hex(48))),
        ("an age key", format!("AGE-SECRET-KEY-1{}", upper(58))),
        ("an Atlassian token", format!("ATATT3xFfGF0{}", all(180))),
        ("a Tailscale key", format!("tskey-auth-{}-{}", all(12), all(32))),
        ("a Doppler token", format!("dp.pt.{}", all(43))),
    ];
    for (what, token) in &cases {
        for content in [token.clone(), format!("x = \"{token}\"\n"), format!("{token}\r\n"), format!("a:{token}:b")] {
            assert_eq!(found(&content), [*what], "{content}");
        }
        let tail = &token[token.len() - 14..];
        for harmless in [
            token[..token.len() / 2].to_string(),
            token.replace(tail, "EXAMPLEEXAMPLE"),
            format!("{token}{}", "q".repeat(1200)),
        ] {
            assert!(found(&harmless).is_empty(), "{what}: {harmless}");
        }
        assert!(found(&format!("\0{token}")).is_empty(), "a binary with {token}");
    }
    let known: std::collections::BTreeSet<&str> = cases.iter().map(|(what, _)| *what).collect();
    assert_eq!(known, tokens::kinds().collect(), "each kind is tried");
}

fn pem(kind: &str, head: &str, first: &str) -> String {
    let line = filled(ALL, 64);
    let body = format!("{first}{}\n{line}\n{line}", &line[first.len()..]);
    format!("-----BEGIN {kind}PRIVATE KEY-----\n{head}{body}\n-----END {kind}PRIVATE KEY-----\n")
}

#[test]
fn private_keys() {
    let openssh = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
    let plain = pem("RSA ", "", "MIIEpAIBAAKCAQEA");
    for content in [
        plain.clone(),
        pem("", "", "MIIEvgIBADANBgkq"),
        pem("EC ", "", "MHcCAQEEIK"),
        pem("OPENSSH ", "", openssh),
        format!("{{\"private_key\": \"{}\"}}", plain.replace('\n', "\\n")),
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\n    "),
        format!("key = \"{}\"", plain.replace('\n', "\\n\" +\n  \"")),
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----".into(),
    ] {
        assert_eq!(found(&content), ["a private key"], "{content}");
        assert_eq!(found(&format!("\0\u{1}{content}\0")), ["a private key"], "a binary");
    }
    let locked = "a private key behind a password";
    assert_eq!(found(&pem("ENCRYPTED ", "", "MIIFHDBOBgkq")), [locked]);
    assert_eq!(found(&pem("ENCRYPTED SIGSTORE ", "", "eyJrZGYiOnsi")), [locked]);
    let head = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\n";
    assert_eq!(found(&pem("RSA ", head, "q8Zb")), [locked]);
    let block = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n";
    assert_eq!(found(&format!("{block}{}\n{}\n", filled(ALL, 64), filled(ALL, 64))), ["a private key"]);
    let putty = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 2\nAAAA\nPrivate-Lines: 1\nAAAA\n";
    assert_eq!(found(putty), ["a private key"]);
    use base64::Engine;
    let inner = base64::engine::general_purpose::STANDARD.encode(&plain);
    assert_eq!(found(&format!("client-key-data: {inner}\n")), ["a private key"]);
}

#[test]
fn what_only_speaks_of_private_keys() {
    let line = filled(ALL, 64);
    let certificate = format!("-----BEGIN CERTIFICATE-----\nMIID{line}\n-----END CERTIFICATE-----\n");
    use base64::Engine;
    for content in [
        "-----BEGIN RSA PRIVATE KEY-----".to_string(),
        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----".into(),
        "if text.starts_with(\"-----BEGIN PRIVATE KEY-----\") { read_a_key_of_the_other_kind_from_the_text() }".into(),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA...\n-----END RSA PRIVATE KEY-----".into(),
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{line}\n"),
        format!("-----BEGIN RSA PRIVATE KEY-----\nQ{line}\n"),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n", "MIIZZZZZZZZZZZZZ".repeat(4)),
        format!("PRIVATE KEY-----\nMII{line}"),
        certificate.clone(),
        base64::engine::general_purpose::STANDARD.encode(certificate.repeat(2)),
        "PuTTY-User-Key-File-2 is the first line".into(),
    ] {
        assert!(found(&content).is_empty(), "{content}");
        assert!(found(&format!("\0{content}")).is_empty(), "{content}");
    }
}

#[test]
fn beginnings_are_few_enough_to_be_looked_for_fast() {
    assert!(tokens::beginnings().count() + super::keys::BEGINNINGS.len() <= 64);
}

#[test]
fn a_finding_says_where_and_there_are_not_too_many() {
    let key = pem("RSA ", "", "MIIEpAIBAAKCAQEA");
    let facts = Facts::of(format!("one\ntwo\n{key}").as_bytes());
    assert_eq!(facts.secrets, [Secret { what: "a private key", line: Some(3) }]);
    assert_eq!(Facts::of(key.repeat(50).as_bytes()).secrets.len(), MOST_SECRETS);
    assert_eq!(Facts::of(format!("\0{key}").as_bytes()).secrets[0].line, None);
    assert!(Facts::of(b"").is_empty());
}
