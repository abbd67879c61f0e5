//! Stage 5: `Release` of a suite. The signed text in, what the suite holds and how old it is out. Pure.
//!
//! Source: the page "DebianRepository/Format" of Debian's wiki, and apt-secure(8).

use std::collections::BTreeMap;

use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::source::packages::stanza::stanzas;

/// Most files that a `Release` may list.
const MOST_FILES: usize = 200_000;

/// What a `Release` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its suite and its code name; either may be asked for.
    pub names: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub date: i64,
    /// Until when it may be used.
    pub valid_until: Option<i64>,
    /// Whether files can be fetched by their digest.
    pub by_hash: bool,
    /// Whether packages for all architectures stand in an index of their own.
    pub own_all: bool,
    /// The files below the suite: size and digest.
    pub files: BTreeMap<String, (u64, Digest)>,
}

/// Reads the text; half of it is never taken for the whole.
pub fn read(text: &str) -> Result<Release> {
    let wrong = |why: &str| Error::remote(format!("its `Release` {why}"));
    let mut all = stanzas(text);
    let stanza = match (all.next(), all.next()) {
        (Some((_, stanza)), None) => stanza,
        _ => return Err(wrong("is not one stanza")),
    };
    let field = |name: &str| stanza.field(name).filter(|value| !value.is_empty());
    let names = ["Suite", "Codename"].into_iter().filter_map(field).map(str::to_string).collect();
    let date = field("Date").ok_or_else(|| wrong("has no date"))?;
    let date = seconds(date).ok_or_else(|| wrong(&format!("has the date `{}`, which is none", printable(date))))?;
    let valid_until = match field("Valid-Until") {
        Some(text) => Some(seconds(text).ok_or_else(|| wrong("has a `Valid-Until` that is no date"))?),
        None => None,
    };
    let mut files = BTreeMap::new();
    for line in field("SHA256").ok_or_else(|| wrong("lists no file with its SHA-256"))?.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(path), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            if line.trim_ascii().is_empty() {
                continue;
            }
            return Err(wrong("has a malformed list of files"));
        };
        let digest: Digest = format!("sha256:{digest}").parse().map_err(|_| wrong("has a digest that is none"))?;
        let size: u64 = size.parse().map_err(|_| wrong("has a size that is none"))?;
        files.insert(path.to_string(), (size, digest));
        if files.len() > MOST_FILES {
            return Err(wrong(&format!("lists more than {MOST_FILES} files")));
        }
    }
    let all = field("Architectures").unwrap_or_default().split_ascii_whitespace().any(|word| word == "all");
    let within = field("No-Support-for-Architecture-all").is_some_and(|value| value.contains("Packages"));
    let by_hash = field("Acquire-By-Hash").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    Ok(Release { names, date, valid_until, by_hash, own_all: all && !within, files })
}

/// A date as RFC 2822 has it; Debian writes `UTC`, which that does not know.
fn seconds(text: &str) -> Option<i64> {
    let text = match text.strip_suffix(" UTC") {
        Some(rest) => format!("{rest} +0000"),
        None => text.to_string(),
    };
    jiff::fmt::rfc2822::parse(&text).ok().map(|time| time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 17 May 2025 08:59:31 UTC\n\
        Valid-Until: Sat, 24 May 2025 08:59:31 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n\
        No-Support-for-Architecture-all: Packages\nMD5Sum:\n 0 1 x\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages\n";

    #[test]
    fn a_release_tells_its_names_its_age_and_its_files() {
        let release = read(TEXT).unwrap();
        assert_eq!(release.names, ["oldstable", "bookworm"]);
        assert_eq!(release.date, 1_747_472_371);
        assert_eq!(release.valid_until, Some(1_747_472_371 + 7 * 86_400));
        assert!(release.by_hash && !release.own_all);
        assert_eq!(release.files["main/binary-amd64/Packages"], (0, Digest::of(b"")));
        assert!(read(&TEXT.replace("No-Support", "Support")).unwrap().own_all);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (from, to) in [
            ("Date: Sat", "Date: Someday"),
            ("Date: Sat, 17 May", "Dare: Sat, 17 May"),
            ("SHA256:", "SHA1:"),
            ("        0 main", " main"),
            ("e3b0c4", "e3b0c"),
            ("MD5Sum:", "\nMD5Sum:"),
        ] {
            assert!(read(&TEXT.replacen(from, to, 1)).is_err(), "{from} → {to}");
        }
    }
}
