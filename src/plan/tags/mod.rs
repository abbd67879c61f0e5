//! Stage 2: tags. The rules of the manifest and git's facts in, wishes out; wishes and what a registry has in, decisions out. Pure.
//!
//! A tag that belongs to one release is set once. A tag that several releases share (`1.2`, `1`, `latest`) is only ever moved to the
//! highest stable one among git's tags and the registry's, in whatever order they are released (issue 4).

mod carry;
mod decide;
mod release;
#[cfg(test)]
mod tests;
mod wish;

use std::collections::BTreeMap;

use semver::Version;

use self::release::{Reach, Shape};
use crate::error::Kind;
use crate::manifest::Pattern;
use crate::oci::{Digest, Tag};

/// What is wished of the tags of each repository.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    /// The most specific first, `latest` last.
    wishes: Vec<Wish>,
    /// The releases of git's tags, without build metadata.
    releases: Vec<Version>,
    /// How the tags of single releases are written.
    shapes: Vec<Shape>,
    /// Half a sentence on why the work tree is not its commit.
    dirty: Option<String>,
    /// Whether git knows only some of the releases.
    shallow: bool,
    /// Why this commit is no release, where the rules speak of releases.
    pub unreleased: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// One tag that is wished for.
#[derive(Clone, Debug)]
struct Wish {
    /// The tag, or the rule where it gives none.
    name: String,
    want: Want,
    /// Whether it says something of a commit.
    of_commit: bool,
}

/// How a tag is wished for.
#[derive(Clone, Debug)]
enum Want {
    /// It says what was made last.
    Always(Tag),
    /// It belongs to one release.
    Once(Tag),
    /// It belongs to the highest of the releases that share it.
    Highest { tag: Tag, version: Version, sharing: Sharing },
    /// It does not apply to this commit.
    Not(String),
    /// It must not be, and that ends the work.
    Never(Refusal),
}

/// Which releases share a tag.
#[derive(Clone, Debug)]
enum Sharing {
    /// Those for which a pattern gives it.
    Pattern(Pattern),
    /// Those with the same leading numbers.
    Reach(Reach),
}

/// Why a tag must not be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Half a sentence.
    pub why: String,
    /// The way out.
    pub help: String,
    /// Who has to act.
    pub kind: Kind,
}

/// What a registry has, as far as it was asked.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The tags of the repository.
    pub tags: Vec<Tag>,
    /// What the wished tags say now.
    pub now: BTreeMap<Tag, Digest>,
}

/// What a person allowed on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leave {
    /// `--allow-dirty`: tags may speak of a commit although the work tree is not it.
    pub dirty: bool,
    /// `--overwrite`: the tag of a release may move to another digest.
    pub overwrite: bool,
}

/// What happens to one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The tag, or the rule where it gives none.
    pub name: String,
    /// Its fate.
    pub what: Fate,
    /// Half a sentence on why; empty where nothing is to be said.
    pub why: String,
}

/// What can happen to a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Created(Tag),
    /// It said another digest.
    Moved(Tag, Digest),
    /// It says what was made already.
    Same(Tag),
    /// It stays as it is: it belongs to a higher release.
    Kept {
        /// The tag.
        tag: Tag,
        /// The tag of the highest release that shares it, where the registry has that one.
        over: Option<Tag>,
    },
    /// It does not apply to this commit.
    Skipped,
    /// It must not be set, and that ends the work.
    Refused(Refusal),
}

impl Fate {
    /// The tag that it is about.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Fate::Created(tag) | Fate::Moved(tag, _) | Fate::Same(tag) | Fate::Kept { tag, .. } => Some(tag),
            Fate::Skipped | Fate::Refused(_) => None,
        }
    }

    /// The word for people and machines.
    pub fn word(&self) -> &'static str {
        match self {
            Fate::Created(_) => "created",
            Fate::Moved(..) => "moved",
            Fate::Same(_) | Fate::Kept { .. } => "kept",
            Fate::Skipped => "skipped",
            Fate::Refused(_) => "refused",
        }
    }
}

impl Want {
    fn tag(&self) -> Option<&Tag> {
        match self {
            Want::Always(tag) | Want::Once(tag) | Want::Highest { tag, .. } => Some(tag),
            Want::Not(_) | Want::Never(_) => None,
        }
    }
}

impl Tags {
    /// The tags that may be set.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.wishes.iter().filter_map(|wish| wish.want.tag())
    }

    /// The tags of single releases, which must not move.
    pub fn once(&self) -> impl Iterator<Item = &Tag> {
        self.wishes.iter().filter_map(|wish| match &wish.want {
            Want::Once(tag) => Some(tag),
            _ => None,
        })
    }

    /// Whether several releases share a tag.
    pub fn is_shared(&self, tag: &Tag) -> bool {
        self.wishes.iter().any(|wish| matches!(&wish.want, Want::Highest { tag: shared, .. } if shared == tag))
    }

    /// Whether every tag simply says what was made last: none belongs to one release, none is shared by several.
    pub fn is_plain(&self) -> bool {
        self.wishes.iter().all(|wish| !matches!(wish.want, Want::Once(_) | Want::Highest { .. }))
    }

    /// Whether the list of the repository's tags decides something.
    pub fn asks_for_list(&self) -> bool {
        self.wishes.iter().any(|wish| matches!(wish.want, Want::Highest { .. }))
    }
}
