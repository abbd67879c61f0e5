//! Between stages 0 and 1: secrets in a content. Bytes in, what they seem to be and where out, never the secret itself. Pure.
//!
//! One automaton looks for the beginnings that tokens of known services and private keys have; only where one stands, the form of the
//! rest is looked at. In a binary only private keys count: there the forms of tokens come up by chance.

mod keys;
mod names;
#[cfg(test)]
mod tests;
mod tokens;
mod values;

pub use names::name;
pub use values::value;

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use memchr::{memchr, memchr_iter};

/// Most secrets that are told of one content.
pub const MOST_SECRETS: usize = 8;
/// How far behind its beginning the form of a secret is looked at.
const LOOKED: usize = 1536;
/// So much must have come before a beginning is judged: that, and the beginning itself.
const REACH: usize = 2048;
/// How far before its beginning.
const BEFORE: usize = 128;
/// A NUL among so many first bytes makes a content binary, as it does for git.
const FIRST: usize = 8000;

/// Something that seems to be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// What it seems to be, as in "a private key".
    pub what: &'static str,
    /// The line that it begins on, from 1; a binary has none.
    pub line: Option<u64>,
}

impl Secret {
    /// The secret that was told of by these words; `None` where nothing is called so.
    pub fn told(what: &str, line: Option<u64>) -> Option<Secret> {
        let what = tokens::kinds().chain(keys::KINDS).find(|kind| *kind == what)?;
        Some(Secret { what, line })
    }
}

/// A look at a content whose pieces come one after the other.
#[derive(Default)]
pub struct Scan {
    binary: Option<bool>,
    /// The end of what came so far, and how much of that was judged.
    window: Vec<u8>,
    judged: usize,
    /// Bytes and line feeds before the window.
    at: u64,
    lines: u64,
    /// Where what was found last ends.
    end: u64,
    found: Vec<Secret>,
}

impl Scan {
    /// Takes the next bytes.
    pub fn piece(&mut self, bytes: &[u8], last: bool) {
        if self.found.len() >= MOST_SECRETS {
            return;
        }
        let mut window = std::mem::take(&mut self.window);
        if window.is_empty() {
            return self.look(bytes, 0, last);
        }
        let (held, joint) = (window.len(), BEFORE + REACH);
        match (self.binary, bytes.get(..joint).filter(|joint| joint.len() < bytes.len())) {
            // Only what is held is looked at together with the first of the new bytes; all others stay where they are.
            (Some(binary), Some(first)) => {
                window.extend_from_slice(first);
                self.judge(&window, binary, self.judged, held + BEFORE);
                self.pass(window.get(..held).unwrap_or_default(), binary);
                self.look(bytes, BEFORE, last);
            }
            _ => {
                window.extend_from_slice(bytes);
                self.look(&window, self.judged, last);
            }
        }
    }

    /// Looks at a window as far as its bytes allow, and holds what is needed later. So much of it was judged before.
    fn look(&mut self, window: &[u8], judged: usize, last: bool) {
        let safe = if last { window.len() } else { window.len().saturating_sub(REACH) };
        let mut keep = 0;
        // What a content is, is told by all its first bytes.
        if safe > judged && (last || self.binary.is_some() || window.len() >= FIRST) {
            let binary = *self.binary.get_or_insert_with(|| binary(window));
            self.judge(window, binary, judged, safe);
            keep = safe.saturating_sub(BEFORE);
            self.pass(window.get(..keep).unwrap_or_default(), binary);
            self.judged = safe - keep;
        }
        if !last {
            self.window = window.get(keep..).unwrap_or_default().to_vec();
        }
    }

    /// Leaves bytes behind.
    fn pass(&mut self, bytes: &[u8], binary: bool) {
        self.at += bytes.len() as u64;
        self.lines += if binary { 0 } else { feeds(bytes) };
    }

    /// What was found.
    pub fn end(self) -> Vec<Secret> {
        self.found
    }

    /// Looks at what begins between two places of the window.
    fn judge(&mut self, window: &[u8], binary: bool, from: usize, to: usize) {
        let beginnings = if binary { keys_only() } else { all() };
        let mut next = from;
        while let Some(hit) = beginnings.find(Input::new(window).range(next..)) {
            let (start, stop) = (hit.start(), hit.end());
            if start >= to || self.found.len() >= MOST_SECRETS {
                return;
            }
            next = start + 1;
            if self.at + (start as u64) < self.end {
                continue; // a part of what was found before it
            }
            let kind = if binary { 0 } else { hit.pattern().as_usize() };
            if let Some((what, length)) = secret(kind, window, start, stop) {
                self.end = self.at + (stop + length) as u64;
                let line = || self.lines + feeds(window.get(..start).unwrap_or_default()) + 1;
                let line = (!binary).then(line);
                self.found.push(Secret { what, line });
            }
        }
    }
}

/// What a beginning turns out to be, and how long it is from the end of the beginning on.
fn secret(kind: usize, window: &[u8], start: usize, stop: usize) -> Option<(&'static str, usize)> {
    let before = window.get(start.saturating_sub(BEFORE)..start).unwrap_or_default();
    let rest = window.get(stop..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(LOOKED)).unwrap_or_default();
    match kind.checked_sub(keys::BEGINNINGS.len()) {
        None => keys::key(kind, before, rest),
        Some(token) => tokens::token(token, before, rest),
    }
}

/// Whether a content is binary, by its first bytes.
fn binary(bytes: &[u8]) -> bool {
    memchr(0, bytes.get(..bytes.len().min(FIRST)).unwrap_or_default()).is_some()
}

fn feeds(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// All beginnings: those of keys, then those of tokens. Up to 64 are looked for many bytes at a time, more one byte at a time.
fn all() -> &'static AhoCorasick {
    static ALL: OnceLock<AhoCorasick> = OnceLock::new();
    ALL.get_or_init(|| automaton(keys::BEGINNINGS.into_iter().chain(tokens::beginnings())))
}

fn keys_only() -> &'static AhoCorasick {
    static KEYS: OnceLock<AhoCorasick> = OnceLock::new();
    KEYS.get_or_init(|| automaton(keys::BEGINNINGS.into_iter().take(1)))
}

fn automaton<'a>(beginnings: impl Iterator<Item = &'a str>) -> AhoCorasick {
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::LeftmostFirst).build(beginnings).expect("a few short texts make an automaton")
}

/// Whether a byte may stand in a word; a token does not begin or end within one.
fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a text has so little in it that nobody would take it for random: placeholders and examples.
fn dull(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let holds = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let run = text.chunk_by(|one, two| one == two).map(<[u8]>::len).max().unwrap_or(0);
    holds(b"example") || run >= 5 || entropy(&text) < 2.5
}

/// The entropy of a text in bits for each byte.
fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|byte| counts[*byte as usize] += 1);
    let whole = text.len() as f64;
    let share = |count: u32| f64::from(count) / whole;
    -counts.into_iter().filter(|count| *count > 0).map(|count| share(count) * share(count).log2()).sum::<f64>()
}
