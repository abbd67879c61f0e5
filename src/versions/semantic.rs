//! Stage 0: semantic versions, as crates and Go modules have them. A text in, a version out. Pure.
//!
//! Source: Semantic Versioning 2.0.0; the page "Go Modules Reference", "Versions". Go's `v` in front is left out, missing numbers are
//! zeros (`v1.2`), and what stands behind a `+`, such as `incompatible`, has no order. A pseudo-version is a prerelease like any other.

use semver::Version;

use super::{trimmed, wrong};

/// A semantic version, to be compared by `cmp_precedence`.
pub fn semantic(text: &str) -> Result<Version, String> {
    let text = trimmed(text)?;
    let plain = text.strip_prefix('v').unwrap_or(text);
    let end = plain.find(['-', '+']).unwrap_or(plain.len());
    let (numbers, rest) = plain.split_at(end);
    let missing = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => "",
    };
    Version::parse(&format!("{numbers}{missing}{rest}")).map_err(|_| wrong(text, "is no semantic version"))
}

/// The semantic version of a release of Go itself: `1.21rc2` is `1.21.0-rc.2`. What a vendor adds behind a `-` makes it no older.
pub fn go_release(text: &str) -> Result<Version, String> {
    let plain = text.trim().trim_start_matches("go");
    let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
    let (numbers, rest) = plain.split_at(end);
    let prerelease = ["rc", "beta"].into_iter().find_map(|word| {
        let digits = rest.strip_prefix(word)?.chars().take_while(char::is_ascii_digit).collect::<String>();
        (!digits.is_empty()).then(|| format!("-{word}.{digits}"))
    });
    semantic(&format!("{numbers}{}", prerelease.unwrap_or_default())).map_err(|_| wrong(text, "is no release of Go"))
}
