//! Stage 2: releases and the names they have. Git tags and image tags in, versions out; patterns in, which versions share a tag out. Pure.

use semver::{BuildMetadata, Prerelease, Version};

use crate::manifest::{Pattern, Release};
use crate::oci::Tag;

/// The version that a git tag names, behind this prefix; a prefix of only `v` may be missing.
pub fn of_git(tag: &str, prefix: &str) -> Option<Version> {
    let text = tag.strip_prefix(prefix).or((prefix == "v").then_some(tag))?;
    Version::parse(text).ok()
}

/// A version as patterns see it; the suffix of a prerelease goes with the last number.
pub fn open(version: &Version) -> Release {
    let suffix = if version.pre.is_empty() { String::new() } else { format!("-{}", version.pre) };
    Release { major: version.major, minor: version.minor, patch: format!("{}{suffix}", version.patch) }
}

/// Whether a version is stable.
pub fn stable(version: &Version) -> bool {
    version.pre.is_empty()
}

/// A version without its build metadata, which orders nothing.
pub fn plain(version: &Version) -> Version {
    Version { build: BuildMetadata::EMPTY, ..version.clone() }
}

/// What of a version decides a pattern's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// All of it: the tag belongs to one release.
    One,
    /// Less than that, but the minor number: `1.2`.
    Minor,
    /// The major number: `1`.
    Major,
    /// Nothing of it: `stable`.
    All,
}

/// Three numbers that no release has and no pattern holds.
const MARKS: [u64; 3] = [1_000_000_001, 1_000_000_002, 1_000_000_003];
/// Another number of that kind.
const OTHER: u64 = 1_000_000_004;

/// What of a version decides this pattern's tag, found by changing one number after the other.
pub fn reach(pattern: &Pattern) -> Reach {
    let tag = |[major, minor, patch]: [u64; 3]| pattern.tag(open(&Version::new(major, minor, patch))).ok();
    let [major, minor, patch] = MARKS;
    let whole = tag(MARKS);
    let decides = |changed: [u64; 3]| tag(changed) != whole;
    match (decides([OTHER, minor, patch]), decides([major, OTHER, patch]), decides([major, minor, OTHER])) {
        (true, true, true) => Reach::One,
        (_, true, _) | (_, _, true) => Reach::Minor,
        (true, false, false) => Reach::Major,
        (false, false, false) => Reach::All,
    }
}

/// How a tag that belongs to one release is written: what stands before, between and behind its three numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub(super) [String; 4]);

impl Shape {
    /// The shape of a pattern that has each number once and in their order.
    pub fn of(pattern: &Pattern) -> Option<Shape> {
        let [major, minor, patch] = MARKS;
        let tag = pattern.tag(open(&Version::new(major, minor, patch))).ok()?;
        let (before, rest) = tag.as_str().split_once(&major.to_string())?;
        let (first, rest) = rest.split_once(&minor.to_string())?;
        let (second, behind) = rest.split_once(&patch.to_string())?;
        Some(Shape([before, first, second, behind].map(str::to_string)))
    }

    /// `1.2.3` and `v1.2.3`, as everybody writes releases.
    pub fn usual() -> [Shape; 2] {
        ["", "v"].map(|before| Shape([before, ".", ".", ""].map(str::to_string)))
    }

    /// The stable release whose tag this is.
    pub fn read(&self, tag: &Tag) -> Option<Version> {
        let [before, first, second, behind] = &self.0;
        let rest = tag.as_str().strip_prefix(before.as_str())?.strip_suffix(behind.as_str())?;
        let (major, rest) = number(rest, first)?;
        let (minor, rest) = number(rest, second)?;
        let (patch, rest) = number(rest, "")?;
        let version = Version { major, minor, patch, pre: Prerelease::EMPTY, build: BuildMetadata::EMPTY };
        rest.is_empty().then_some(version)
    }
}

/// A number without zeros in front, and what comes behind the separator that follows it.
fn number<'a>(text: &'a str, separator: &str) -> Option<(u64, &'a str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let rest = rest.strip_prefix(separator)?;
    let fine = digits == "0" || !digits.starts_with('0');
    Some((digits.parse().ok().filter(|_| fine)?, rest))
}
