//! Stage 0: versions of dpkg. A text in, a version with dpkg's order out. Pure.
//!
//! Source: deb-version(7), "Sorting algorithm". `[epoch:]upstream[-revision]`: the epoch is a number, the other two are compared in
//! turns, first what stands before the digits, then the digits. Of what stands before digits a `~` comes first, even before the end,
//! then the end, then letters, then everything else. A missing revision is the same as `0`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::{numbers, trimmed, wrong};

/// A version of a Debian package.
#[derive(Clone, Debug)]
pub struct Dpkg {
    epoch: u32,
    upstream: String,
    revision: Option<String>,
}

impl Dpkg {
    /// The version of upstream, without epoch and revision.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }
}

impl FromStr for Dpkg {
    type Err = String;

    fn from_str(text: &str) -> Result<Dpkg, String> {
        let text = trimmed(text)?;
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => {
                let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
                let number = epoch.parse::<i32>().ok().and_then(|epoch| u32::try_from(epoch).ok());
                (number.filter(|_| digits).ok_or_else(|| wrong(text, "has an epoch that is no number"))?, rest)
            }
            None => (0, text),
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (rest, None),
        };
        let plain = |extra: &'static [u8]| move |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
        if upstream.is_empty() || revision == Some("") {
            return Err(wrong(text, "is no version of dpkg: a part of it is empty"));
        }
        if !upstream.bytes().all(plain(b".+-~:")) || !revision.unwrap_or_default().bytes().all(plain(b".+~")) {
            return Err(wrong(text, "is no version of dpkg: it holds a character that none may hold"));
        }
        Ok(Dpkg { epoch, upstream: upstream.to_string(), revision: revision.map(str::to_string) })
    }
}

impl fmt::Display for Dpkg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 || self.upstream.contains(':') {
            write!(f, "{}:", self.epoch)?;
        }
        f.write_str(&self.upstream)?;
        self.revision.iter().try_for_each(|revision| write!(f, "-{revision}"))
    }
}

impl Ord for Dpkg {
    fn cmp(&self, other: &Dpkg) -> Ordering {
        let revision = |version: &Dpkg| version.revision.clone().unwrap_or_default();
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| parts(&self.upstream, &other.upstream))
            .then_with(|| parts(&revision(self), &revision(other)))
    }
}

impl PartialOrd for Dpkg {
    fn partial_cmp(&self, other: &Dpkg) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Dpkg {
    fn eq(&self, other: &Dpkg) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Dpkg {}

/// The order of two upstream versions, or of two revisions.
fn parts(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (words, digits) = (split(one), split(other));
        let order = letters(words.0, digits.0).then_with(|| numbers(words.1, digits.1));
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (words.2, digits.2);
    }
    Ordering::Equal
}

/// What stands before the first digits, those digits, and the rest.
fn split(text: &str) -> (&str, &str, &str) {
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (before, rest) = text.split_at(start);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    (before, digits, rest)
}

/// The order of two runs without digits.
fn letters(one: &str, other: &str) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let at = |at: usize| weight(one.get(at)).cmp(&weight(other.get(at)));
    (0..one.len().max(other.len())).map(at).find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}
