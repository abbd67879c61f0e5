//! Stage 4, for fuzzing: doors to what reads a server's or a helper's words (`crate::fuzzing`). Bytes in, a panic where a promise is
//! broken. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RANGE};

use super::blobs::is_rest;
use super::credentials::{Credential, helper};
use super::hosts::Hosts;
use super::origin::{Home, Origin, Range, Via};
use super::settings::Names;
use super::upload::steps::{LARGEST, LEAST, least, stored};
use super::{challenge, tags};
use crate::error::Error;
use crate::oci::{Reference, Registry};

/// A helper's and a server's name that are right.
const HELPER: &str = "docker-credential-x";
const SERVER: &str = "registry.test";

/// Challenges are few, and written in the plainest way they read the same.
pub(crate) fn challenge(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let found = challenge::read(text.split('\n'));
    assert!(found.len() <= challenge::MOST);
    let mut written = Vec::new();
    for one in &found {
        assert!(one.parameters.len() <= challenge::MOST);
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
        let pairs = one.parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        written.push(format!("{} {}", one.scheme, pairs.collect::<Vec<_>>().join(", ")));
    }
    let written = written.join(", ");
    if written.len() <= challenge::MOST_BYTES {
        assert_eq!(challenge::read([written.as_str()].into_iter()), found, "{written}");
    }
}

/// The next page is what stands in brackets, and is at the registry itself.
pub(crate) fn link(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(target) = tags::next(text) {
        assert!(text.contains(&format!("<{target}>")) && !target.contains('>'));
        follow(target, Via::Link);
    }
}

/// No address that a server names gets our credentials, lowers TLS or leads into a private range, unless it is the registry's own.
pub(crate) fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for via in [Via::Redirect, Via::Upload, Via::Realm, Via::Link] {
        follow(text, via);
    }
}

fn follow(text: &str, via: Via) {
    let origin = Origin { tls: true, host: SERVER.to_string(), port: 5000 };
    let home = Home { name: origin.name(), origin, anonymous: false };
    let (hosts, names) = (Hosts::default(), Names::Fixed(Arc::default()));
    let from = home.leg("/v2/a/tags/list").expect("it is a URL").url;
    let followed = home.follow(&from, text, via, &hosts, &names).now_or_never().expect("no name is asked for");
    let Ok(leg) = followed else { return };
    let origin = Origin::of(&leg.url).expect("it is http or https");
    assert!(origin.tls, "{text:?}");
    assert_eq!(leg.own, origin == home.origin, "{text:?}");
    assert!(leg.own || via != Via::Link, "{text:?}");
    assert!(leg.url.username().is_empty() && leg.url.password().is_none(), "{text:?}");
    let literal = origin.host.trim_matches(['[', ']']).parse::<IpAddr>();
    assert!(literal.ok().and_then(Range::of).is_none(), "{text:?}");
}

/// A part of a blob is taken only if its numbers are those of what is missing, and no count of a server overflows.
pub(crate) fn content_range(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<16>() else { return };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let size = number(&numbers[..8]).max(1);
    let written = number(&numbers[8..]) % size;
    let last = size - 1;
    for total in ["*".to_string(), size.to_string()] {
        let text = format!("bytes {written}-{last}/{total}");
        assert!(is_rest(&text, written, size) && !is_rest(&text, written + 1, size), "{text}");
        assert!(!is_rest(&text, written, size.wrapping_add(1)), "{text}");
        assert!(!is_rest(&format!("{text}0"), written, size), "{text}0");
    }
    let Ok(value) = HeaderValue::from_bytes(rest) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, value.clone());
    headers.insert(HeaderName::from_static(LEAST), value.clone());
    assert!(least(&headers) <= LARGEST);
    let text = value.to_str().unwrap_or_default();
    let digits = text.split(|character: char| !character.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let digits: Vec<Option<u64>> = digits.map(|digits| digits.parse().ok()).collect();
    if let Some(count) = stored(&headers) {
        assert_eq!(digits, [Some(0), count.checked_sub(1)], "{text}");
    }
    if is_rest(text, written, size) {
        let meant = [Some(written), Some(last), Some(size)];
        assert!(digits == meant || digits == meant[..2], "{text}");
    }
}

/// What a helper prints is a credential, nothing, or an error in which none of it stands.
pub(crate) fn helper(bytes: &[u8]) {
    let (success, output) = match bytes.split_first() {
        Some((first, output)) => (first % 2 == 0, output),
        None => (true, bytes),
    };
    let told = |error: &Error| format!("{error:?} {:?}", error.hints());
    match helper::judge(HELPER, success, output) {
        Ok(Some(credential)) => {
            assert!(success);
            let (Credential::Password { password: secret, .. } | Credential::Identity { token: secret, .. }) =
                &credential
            else {
                panic!("a helper knows no other")
            };
            assert!(!secret.is_empty() && secret.len() <= output.len());
            assert!(!format!("{credential:?}").contains(secret.as_str()) || secret.len() < 16);
        }
        Ok(None) => {}
        Err(error) => {
            let plain = helper::judge(HELPER, success, b"x").expect_err("it is neither JSON nor the known words");
            assert_eq!(told(&error), told(&plain), "what it says stands in the error");
        }
    }
    let Ok(text) = std::str::from_utf8(output) else { return };
    if helper::check(text, SERVER).is_ok() {
        assert!(!text.contains(['/', '\0']) && text.starts_with(|first: char| first.is_ascii_alphanumeric()), "{text}");
    }
    if helper::check("x", text).is_ok() {
        assert!(!text.is_empty() && text.lines().count() == 1, "{text:?}");
    }
}

/// A name that was read stays itself in a URL: nothing in it is a separator or a way up.
pub(crate) fn names(reference: &Reference) {
    let Reference { repository, tag, .. } = reference;
    let registry: &Registry = &repository.registry;
    let path = format!("/v2/{}/manifests/{}", repository.path, tag.as_ref().map_or("latest", |tag| tag.as_str()));
    let Ok(leg) = Hosts::default().home(registry).leg(&path) else { return };
    assert_eq!(leg.url.path(), path);
    assert!(leg.own && leg.url.query().is_none() && leg.url.fragment().is_none() && leg.url.username().is_empty());
    assert!(registry.port().is_none_or(|port| leg.url.port_or_known_default() == Some(port)));
}
