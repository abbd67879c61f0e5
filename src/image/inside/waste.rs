//! Stage 7: bytes that are shipped for nothing. A tree in; what higher layers hide, and what stands there twice, out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Node, Tree};
use crate::oci::Digest;
use crate::source::inside::{Body, Name};

/// Something that a layer hid, while the layers were laid over each other.
#[derive(Clone, Debug)]
pub struct Gone {
    pub(super) path: Name,
    pub(super) by: u32,
    pub(super) why: Why,
    pub(super) inodes: Vec<u32>,
}

/// Why bytes are not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A whiteout removed them.
    Removed,
    /// Something else stands in their place.
    Replaced,
    /// The same file stands there again, with another mode, owner, time or attribute.
    Facts,
    /// The same file stands there again, and nothing is different.
    Again,
}

/// Bytes of one layer that a higher one hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waste {
    /// What is hidden: a file, or a directory with all below it.
    pub path: Name,
    /// The layer that holds the bytes, 0 for the lowest.
    pub layer: u32,
    /// The layer that hides them.
    pub by: u32,
    /// How.
    pub why: Why,
    /// How many bytes.
    pub size: u64,
    /// In how many files.
    pub files: u64,
}

/// Files with the same content that are not hard links of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twins {
    /// The content.
    pub digest: Digest,
    /// The bytes of each.
    pub size: u64,
    /// One path of each, in the order of their bytes.
    pub paths: Vec<Name>,
}

impl Twins {
    /// The bytes that all but one take.
    pub fn extra(&self) -> u64 {
        self.size * (self.paths.len() as u64).saturating_sub(1)
    }
}

impl Why {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Why::Removed => "removed",
            Why::Replaced => "replaced",
            Why::Facts => "only-facts",
            Why::Again => "again",
        }
    }

    pub(super) fn of(before: &Node, after: &Node, digest: impl Fn(&Node) -> Option<Digest>) -> Why {
        let same = matches!((&before.held.body, &after.held.body), (Body::File(_), Body::File(_)))
            && digest(before) == digest(after);
        let facts = |node: &Node| {
            let held = &node.held;
            (held.mode, held.uid, held.gid, held.modified, held.xattrs.clone())
        };
        match same {
            false => Why::Replaced,
            true if facts(before) == facts(after) => Why::Again,
            true => Why::Facts,
        }
    }
}

/// What is hidden, the most bytes first. A file of which another name is still seen is not.
pub fn waste(tree: &Tree) -> Vec<Waste> {
    let mut counted = BTreeSet::new();
    let mut all: Vec<Waste> = Vec::new();
    for gone in &tree.gone {
        let mut by_layer: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for place in &gone.inodes {
            let inode = tree.inodes.get(*place as usize).filter(|inode| inode.names == 0 && inode.size > 0);
            if let Some(inode) = inode.filter(|_| counted.insert(*place)) {
                let sum = by_layer.entry(inode.layer).or_default();
                *sum = (sum.0 + inode.size, sum.1 + 1);
            }
        }
        let one =
            |(layer, (size, files))| Waste { path: gone.path.clone(), layer, by: gone.by, why: gone.why, size, files };
        all.extend(by_layer.into_iter().map(one));
    }
    all.sort_by(|one, other| {
        let key = |waste: &Waste| (std::cmp::Reverse(waste.size), waste.path.clone(), waste.layer, waste.by);
        key(one).cmp(&key(other))
    });
    all
}

/// What stands in several places, what takes most first. Empty files do not count.
pub fn twins(tree: &Tree) -> Vec<Twins> {
    let mut by_digest: BTreeMap<(Digest, u64), Vec<Name>> = BTreeMap::new();
    for (inode, path) in tree.inodes.iter().zip(tree.first_names()) {
        if let Some(path) = path.filter(|_| inode.size > 0) {
            by_digest.entry((inode.digest, inode.size)).or_default().push(path.clone());
        }
    }
    let several = by_digest.into_iter().filter(|(_, paths)| paths.len() > 1);
    let mut all: Vec<Twins> = several
        .map(|((digest, size), mut paths)| {
            paths.sort();
            Twins { digest, size, paths }
        })
        .collect();
    all.sort_by(|one, other| (other.extra(), &one.paths).cmp(&(one.extra(), &other.paths)));
    all
}
