//! Stage 5, for fuzzing: doors to what reads Debian's archives (`crate::fuzzing`). Bytes in, a panic where a promise is broken. Pure,
//! but for the members of a package, which are read by way of a temporary store.

use std::io::Cursor;
use std::sync::OnceLock;

use super::deb::parts;
use super::suite::ARCHIVE_KEYS;
use super::universe::{Packages, Text};
use super::{release, replaces};
use crate::source::fuzzing::members;
use crate::source::packages::fuzzing::{chosen, told};
use crate::source::packages::pgp::{Keys, When};
use crate::source::packages::solve::Universe;

/// When the texts are looked at: the middle of 2025.
const WHEN: When = When { now: 1_750_000_000, past: false };
/// What stands between what the base has and an index, and between a text and its signature.
const BETWEEN: &str = "\n%%\n";

fn archive() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut keys = Keys::default();
        keys.add(ARCHIVE_KEYS).expect("the keyring that comes along");
        keys
    })
}

/// Nobody who has no key of the archive signs for it, inline or apart; what a release lists has a digest and a size; a keyring is read
/// or refused.
pub(crate) fn release(bytes: &[u8]) {
    let _ = Keys::default().add(bytes).inspect_err(told);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return assert!(archive().apart(b"text", bytes, WHEN).inspect_err(told).is_err(), "it is signed");
    };
    assert!(archive().inline(text, WHEN).inspect_err(told).is_err(), "it is signed");
    if let Some((text, signature)) = text.split_once(BETWEEN) {
        assert!(archive().apart(text.as_bytes(), signature.as_bytes(), WHEN).is_err(), "it is signed");
    }
    if let Ok(read) = release::read(text).inspect_err(told) {
        assert!(read.files.len() <= text.lines().count() && read.names.len() <= 2);
        assert!(
            read.files
                .keys()
                .all(|path| !path.is_empty() && !path.contains(|character: char| character.is_ascii_whitespace()))
        );
    }
}

/// What an index says of a package leads to a file below the mirror; whatever set is chosen is consistent.
pub(crate) fn packages(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (base, index) = text.split_once(BETWEEN).unwrap_or(("", text));
    let index = Text { source: 1, name: "the index".into(), text: index.to_string() };
    let Ok(read) = Packages::new(vec![index], base, "amd64").inspect_err(told) else { return };
    let count = read.len() as u32;
    for package in 0..count {
        let _ = read.needs(package);
        let Ok(found) = read.found(package).inspect_err(told) else { continue };
        assert!(found.path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{:?}", found.path);
        assert!(found.path.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", found.path);
    }
    chosen(&read, count);
    replaces(text, "a", "1");
}

/// The parts of a package lie in it, one behind the other, and are archives as all others are.
pub(crate) fn deb(bytes: &[u8]) {
    let Ok(parts) = parts(&mut Cursor::new(bytes)) else { return };
    let mut last = 0;
    for (start, size) in parts {
        assert!(start >= last && start + size <= bytes.len() as u64);
        last = start + size;
        members(&bytes[start as usize..last as usize]);
    }
}
