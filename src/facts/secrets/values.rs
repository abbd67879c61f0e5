//! Between stages 0 and 1: variables, labels and annotations that look like secrets. A name and a value in, what it seems to be out. Pure.
//!
//! Everybody reads these, and they are few: here more counts than in files, examples too.

use regex::bytes::Regex;
use std::sync::OnceLock;

use super::Scan;

/// Parts of names whose values are secrets.
const NAMES: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
    "AUTH_KEY",
    "ENCRYPTION_KEY",
];
/// Ends of names that only speak of a secret.
const ABOUT: [&str; 16] = [
    "_FILE",
    "_PATH",
    "_DIR",
    "_URL",
    "_URI",
    "_NAME",
    "_ID",
    "_TYPE",
    "_HEADER",
    "_TTL",
    "_LENGTH",
    "_ENDPOINT",
    "_ISSUER",
    "_EXPIRY",
    "_FIELD",
    "_ALGORITHM",
];
/// Fewest characters of a password that is told by the name of its variable.
const SHORTEST: usize = 4;

/// What a value seems to be, by itself or by its name.
pub fn value(name: &str, value: &str) -> Option<&'static str> {
    if let Some(what) = known(value.as_bytes()) {
        return Some(what);
    }
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let secret = NAMES.iter().any(|part| name.contains(part)) && !ABOUT.iter().any(|end| name.ends_with(end));
    let plain = value.trim();
    let word = ["true", "false", "none", "null", "yes", "no", "required", "optional", "enabled", "disabled"];
    let harmless = plain.len() < SHORTEST
        || plain.starts_with(['/', '$', '<', '{'])
        || plain.bytes().all(|byte| byte.is_ascii_digit())
        || word.contains(&plain.to_ascii_lowercase().as_str());
    (secret && !harmless).then_some("a password or a key, by its name")
}

/// A secret by its form.
fn known(value: &[u8]) -> Option<&'static str> {
    let mut scan = Scan::default();
    scan.piece(value, true);
    if let Some(secret) = scan.end().first() {
        return Some(secret.what);
    }
    static FORMS: OnceLock<[(&str, Regex); 4]> = OnceLock::new();
    let forms = FORMS.get_or_init(|| {
        [
            ("an AWS access key", r"(?-u:\b(AKIA|ASIA)[0-9A-Z]{16}\b)"),
            ("a private key", r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY"),
            ("a JSON Web Token", r"(?-u:\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{20,})"),
            ("a URL with a password", r"(?-u:\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@]{1,100}:[^/\s:@]{1,100}@)"),
        ]
        .map(|(what, pattern)| (what, Regex::new(pattern).expect("each form is tried by a test")))
    });
    forms.iter().find(|(_, form)| form.is_match(value)).map(|(what, _)| *what)
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_that_look_like_secrets() {
        let key = format!("AKIA{}", "IOSFODNN7EXAMPLE");
        let web = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE";
        for (name, text) in [
            ("KEY", key.as_str()),
            ("note", &format!("the key is {key}.")),
            ("X", web),
            ("X", pem),
            ("DSN", "postgres://app:hunter2@db/app"),
            ("DB_PASSWORD", "hunter2"),
            ("org.example.api-key", "0123456789abcdef"),
        ] {
            assert!(value(name, text).is_some(), "{name}={text}");
        }
        for (name, text) in [
            ("PATH", "/usr/bin:/bin"),
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("DB_PASSWORD", "/run/secrets/db"),
            ("DB_PASSWORD", ""),
            ("TOKEN_TTL", "3600s"),
            ("TOKEN_LIMIT", "4096"),
            ("USE_TOKEN", "true"),
            ("URL", "https://example.com/a:b@c"),
            ("org.opencontainers.image.title", "a token for the rest"),
            ("NAME", "AKIA"),
        ] {
            assert_eq!(value(name, text), None, "{name}={text}");
        }
    }
}
