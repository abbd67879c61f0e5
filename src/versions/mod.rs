//! Stage 0: which of two versions is the newer one. Texts in, an order out. Pure.
//!
//! Each kind of package has its own rules, and one kind's rules are wrong for another's: `1.0~rc1` is older than `1.0` for dpkg and no
//! version at all for apk. A text that is no version of its kind has no order, and says why.

mod apk;
mod dpkg;
pub(crate) mod fuzzing;
mod semantic;

use std::cmp::Ordering;

pub use apk::Apk;
pub use dpkg::Dpkg;
pub use semantic::{go_release, semantic};

/// Longest version in bytes.
const MOST_BYTES: usize = 1024;

/// By whose rules versions are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// dpkg's: Debian, Ubuntu and what stands on them.
    Dpkg,
    /// apk's: Alpine, Wolfi and what stands on them.
    Apk,
    /// Semantic versioning, for crates and for Go modules.
    Semantic,
}

impl Scheme {
    /// The order of two versions; half a sentence where one of them is none of this scheme.
    pub fn compare(self, one: &str, other: &str) -> Result<Ordering, String> {
        match self {
            Scheme::Dpkg => Ok(one.parse::<Dpkg>()?.cmp(&other.parse()?)),
            Scheme::Apk => Ok(one.parse::<Apk>()?.cmp(&other.parse()?)),
            Scheme::Semantic => Ok(semantic(one)?.cmp_precedence(&semantic(other)?)),
        }
    }
}

/// The order of two runs of digits as numbers, however long they are; no digits count as zero.
fn numbers(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// The text without spaces around it, if it is neither empty nor too long.
fn trimmed(text: &str) -> Result<&str, String> {
    match text.trim() {
        "" => Err("a version is empty".to_string()),
        text if text.len() > MOST_BYTES => Err(format!("a version has more than {MOST_BYTES} bytes")),
        text => Ok(text),
    }
}

/// Half a sentence on a text that is no version.
fn wrong(text: &str, why: &str) -> String {
    format!("`{}` {why}", text.escape_debug())
}

#[cfg(test)]
mod tests;
