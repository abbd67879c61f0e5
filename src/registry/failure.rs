//! Stage 4: what went wrong on the wire, in words. Statuses, error bodies and causes in, errors with a way out out. Pure.

use std::error::Error as StdError;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use super::origin::redacted;
use crate::error::Error;

/// Most bytes of an error body that are read.
pub(super) const MOST_BYTES: u64 = 64 << 10;
/// Most characters of a server's words that are shown.
const MOST_SHOWN: usize = 400;
/// Most errors of one body that are looked at.
const MOST_ERRORS: usize = 20;

/// One error as the distribution API words it (distribution spec, "Error codes").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `NAME_UNKNOWN` …
    pub code: String,
    /// For people.
    pub message: String,
    /// Anything more, as JSON text.
    pub detail: String,
}

/// The errors in a body; none where it is not the JSON of the API.
pub(super) fn said(body: &[u8]) -> Vec<Said> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let one = |value: &Value| Said {
        code: text(value, "code"),
        message: text(value, "message"),
        detail: value.get("detail").map(Value::to_string).unwrap_or_default(),
    };
    match value.get("errors").and_then(Value::as_array) {
        Some(errors) => errors.iter().take(MOST_ERRORS).map(one).collect(),
        // Token servers and some registries put it flat.
        None => ["message", "error_description", "details", "error"]
            .iter()
            .find_map(|key| value.get(key).and_then(Value::as_str))
            .map(|message| Said { code: text(&value, "code"), message: message.to_string(), ..Said::default() })
            .into_iter()
            .collect(),
    }
}

/// Somebody else's words as they may be shown: one line, no control characters, not too long.
pub(super) fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut out = String::new();
    for character in line.chars() {
        if out.len() >= MOST_SHOWN {
            out.push('…');
            break;
        }
        let odd = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if odd { out.extend(character.escape_unicode()) } else { out.push(character) }
    }
    out
}

/// What a server says in an error body, on one line; empty where it says nothing.
pub(super) fn words(body: &[u8]) -> String {
    let errors = said(body);
    if !errors.is_empty() {
        let one = |error: &Said| match (error.code.is_empty(), error.message.is_empty()) {
            (false, false) => format!("{}: {}", error.code, error.message),
            (false, true) => error.code.clone(),
            _ => error.message.clone(),
        };
        return shown(&errors.iter().map(one).collect::<Vec<_>>().join("; "));
    }
    let text = String::from_utf8_lossy(body);
    let mut bare = String::new();
    let mut inside = false;
    for character in text.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                bare.push(' ');
            }
            _ if !inside => bare.push(character),
            _ => {}
        }
    }
    shown(&bare)
}

/// A request in words: method and URL without what may be secret.
pub(super) fn request(method: &Method, url: &Url) -> String {
    format!("`{method} {}`", redacted(url))
}

/// The error for a status that ends the work.
pub(super) fn refusal(method: &Method, url: &Url, status: StatusCode, body: &[u8]) -> Error {
    let words = words(body);
    let told = if words.is_empty() { String::new() } else { format!(": {words}") };
    let error = Error::remote(format!("{} was answered with {status}{told}", request(method, url)));
    let codes = said(body);
    let has = |code: &str| codes.iter().any(|said| said.code == code);
    let writes = !matches!(*method, Method::GET | Method::HEAD);
    let host = url.host_str().unwrap_or_default();
    match status {
        StatusCode::FORBIDDEN => error.hint(if writes {
            "the credential that was used may not write there"
        } else {
            "the credential that was used may not read there, or the repository does not exist"
        }),
        StatusCode::NOT_FOUND if writes && host.contains(".dkr.ecr.") => error.hint(
            "Amazon ECR wants the repository to exist: run `aws ecr create-repository --repository-name NAME` first",
        ),
        StatusCode::NOT_FOUND if writes && has("NAME_UNKNOWN") => {
            error.hint("the repository does not exist; some registries want it to be created first")
        }
        StatusCode::TOO_MANY_REQUESTS => {
            error.hint("the registry limits requests; come back later, or log in for a higher limit")
        }
        StatusCode::METHOD_NOT_ALLOWED if *method == Method::DELETE => {
            error.hint("this registry does not let clients delete")
        }
        _ => error,
    }
}

/// The error for a request that got no answer, and whether another attempt may help, and whether no connection came about.
pub(super) fn transport(method: &Method, url: &Url, cause: reqwest::Error) -> (Error, bool, bool) {
    let (unreachable, timeout, broken_call) = (cause.is_connect(), cause.is_timeout(), cause.is_builder());
    let cause = cause.without_url();
    let chain = chain(&cause);
    let certificate = chain.contains("invalid peer certificate");
    let not_tls = chain.contains("InvalidContentType") || chain.contains("corrupt message");
    let what = request(method, url);
    let error = if unreachable && timeout {
        Error::remote(format!("{what} could not connect within the time limit"))
    } else if unreachable {
        Error::remote(format!("{what} could not connect"))
    } else {
        Error::remote(format!("{what} got no answer"))
    };
    let name = super::origin::Origin::of(url).map(|origin| origin.name()).unwrap_or_default();
    let refused = chain.contains("leads to");
    let error = error.because(cause);
    let error = if certificate {
        error.hint(format!(
            "if the registry has its own certificate authority, name it: `[host.\"{name}\"]` with `ca = \"…\"` in `registries.toml`"
        ))
    } else if not_tls {
        error.hint(format!(
            "the port does not speak TLS; if that is meant, declare `[host.\"{name}\"]` with `http = true` in `registries.toml`"
        ))
    } else {
        error
    };
    (error, !(certificate || not_tls || refused || broken_call), unreachable)
}

/// All causes in one text, to look for words in.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reg_33_words_of_a_server_are_shown_safely() {
        let url = Url::parse("https://r.test/v2/x/blobs/y?token=CANARY").unwrap();
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no\u001b[31m way"}]}"#, ": DENIED: no\\u{1b}[31m way"),
            ("<html><title>Bad\nGateway</title></html>", ": Bad Gateway"),
            ("", ""),
            (r#"{"error":"invalid_scope"}"#, ": invalid_scope"),
            (r#"{"errors":null}"#, ": {\"errors\":null}"),
        ] {
            let error = refusal(&Method::GET, &url, StatusCode::FORBIDDEN, body.as_bytes());
            let message = format!("`GET https://r.test/v2/x/blobs/y?…` was answered with 403 Forbidden{expected}");
            assert_eq!(error.message(), message);
        }
        let long = "x".repeat(100_000);
        assert!(refusal(&Method::GET, &url, StatusCode::FORBIDDEN, long.as_bytes()).message().len() < 600);
    }
}
