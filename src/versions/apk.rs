//! Stage 0: versions of apk. A text in, a version with apk's order out. Pure.
//!
//! Source: apk-package(5), "pkgver": `NUMBER{.NUMBER}…{LETTER}{_SUFFIX{NUMBER}}…{~HASH}{-rNUMBER}`. Versions are compared piece by
//! piece. A number behind a dot that begins with a zero makes that piece a text for both sides, as in Gentoo's rules. The suffixes
//! `alpha`, `beta`, `pre` and `rc` come before none at all, `cvs`, `svn`, `git`, `hg` and `p` after it. Where one version ends, or goes
//! on with another kind of piece, the kind that comes earlier in the grammar is the newer one.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::{numbers, trimmed, wrong};

/// The suffixes, oldest first.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
/// How many of them come before a version without a suffix.
const BEFORE: usize = 4;

/// A version of an apk package.
#[derive(Clone, Debug)]
pub struct Apk {
    text: String,
    pieces: Vec<Piece>,
}

/// A piece of a version, in the order of the grammar.
#[derive(Clone, Debug)]
enum Piece {
    First(String),
    Number(String),
    Letter(u8),
    Suffix(usize),
    SuffixNumber(String),
    Hash(String),
    Revision(String),
}

impl Piece {
    fn rank(&self) -> u8 {
        match self {
            Piece::First(_) => 0,
            Piece::Number(_) => 1,
            Piece::Letter(_) => 2,
            Piece::Suffix(_) => 3,
            Piece::SuffixNumber(_) => 4,
            Piece::Hash(_) => 5,
            Piece::Revision(_) => 6,
        }
    }
}

impl FromStr for Apk {
    type Err = String;

    fn from_str(text: &str) -> Result<Apk, String> {
        let text = trimmed(text)?;
        let pieces = pieces(text).ok_or_else(|| wrong(text, "is no version of apk"))?;
        Ok(Apk { text: text.to_string(), pieces })
    }
}

fn pieces(text: &str) -> Option<Vec<Piece>> {
    let (first, mut rest) = run(text, |byte| byte.is_ascii_digit())?;
    let mut pieces = vec![Piece::First(first.to_string())];
    while let Some(next) = rest.bytes().next() {
        let last = pieces.last().map_or(0, Piece::rank);
        let (piece, left) = match next {
            b'.' if last <= 1 => {
                let (digits, left) = run(&rest[1..], |byte| byte.is_ascii_digit())?;
                (Piece::Number(digits.to_string()), left)
            }
            b'a'..=b'z' if last <= 1 => (Piece::Letter(next), &rest[1..]),
            b'_' if last <= 4 => {
                let (word, left) = run(&rest[1..], |byte| byte.is_ascii_lowercase())?;
                (Piece::Suffix(SUFFIXES.iter().position(|suffix| *suffix == word)?), left)
            }
            b'0'..=b'9' if last == 3 => {
                let (digits, left) = run(rest, |byte| byte.is_ascii_digit())?;
                (Piece::SuffixNumber(digits.to_string()), left)
            }
            b'~' if last <= 4 => {
                let (hash, left) = run(&rest[1..], |byte| byte.is_ascii_hexdigit())?;
                (Piece::Hash(hash.to_string()), left)
            }
            b'-' if last <= 5 => {
                let (digits, left) = run(rest.strip_prefix("-r")?, |byte| byte.is_ascii_digit())?;
                (Piece::Revision(digits.to_string()), left)
            }
            _ => return None,
        };
        pieces.push(piece);
        rest = left;
    }
    Some(pieces)
}

/// The first bytes of one kind, of which there must be one, and what follows them.
fn run(text: &str, of: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !of(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

impl fmt::Display for Apk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Apk {
    fn cmp(&self, other: &Apk) -> Ordering {
        let same = self.pieces.iter().zip(&other.pieces).take_while(|(one, other)| one.rank() == other.rank());
        let mut count = 0;
        for (one, other) in same {
            match piece(one, other) {
                Ordering::Equal => count += 1,
                order => return order,
            }
        }
        match (self.pieces.get(count), other.pieces.get(count)) {
            (None, None) => Ordering::Equal,
            (Some(Piece::Suffix(suffix)), _) if *suffix < BEFORE => Ordering::Less,
            (_, Some(Piece::Suffix(suffix))) if *suffix < BEFORE => Ordering::Greater,
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (Some(one), Some(other)) => other.rank().cmp(&one.rank()),
        }
    }
}

/// The order of two pieces of one kind.
fn piece(one: &Piece, other: &Piece) -> Ordering {
    match (one, other) {
        (Piece::Number(one), Piece::Number(other)) if one.starts_with('0') || other.starts_with('0') => one.cmp(other),
        (Piece::First(one), Piece::First(other))
        | (Piece::Number(one), Piece::Number(other))
        | (Piece::SuffixNumber(one), Piece::SuffixNumber(other))
        | (Piece::Revision(one), Piece::Revision(other)) => numbers(one, other),
        (Piece::Hash(one), Piece::Hash(other)) => one.cmp(other),
        (Piece::Letter(one), Piece::Letter(other)) => one.cmp(other),
        (Piece::Suffix(one), Piece::Suffix(other)) => one.cmp(other),
        (one, other) => other.rank().cmp(&one.rank()),
    }
}

impl PartialOrd for Apk {
    fn partial_cmp(&self, other: &Apk) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Apk {
    fn eq(&self, other: &Apk) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Apk {}
