//! Stage 5: everything that one layer says, for those who show it: each entry with its content's digest, time and attributes. A layer
//! in, a plain value out. Contents are hashed as they go by and never kept; the store remembers what was seen.

pub(super) mod memo;
mod read;
mod verify;

pub(super) use read::seen;
pub use read::{Holder, all_inside, recall};
pub use verify::{Wrong, verify};

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::{DiffId, Digest};

pub use crate::source::list::Name;

/// Longest value of an extended attribute that is kept as it is; of a longer one the digest is.
pub const MOST_ATTRIBUTE: usize = 256;

/// What one layer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The digest of the uncompressed layer.
    pub diff_id: DiffId,
    /// The size of the uncompressed layer.
    pub size: u64,
    /// What it adds, by path; the root is empty.
    pub held: BTreeMap<Name, Held>,
    /// What it removes from lower layers.
    pub whiteouts: BTreeSet<Name>,
    /// The directories that it empties of what lower layers hold.
    pub opaque: BTreeSet<Name>,
}

/// One thing in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub body: Body,
    /// Its permission bits.
    pub mode: u16,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When it was changed: seconds since 1970 and nanoseconds, if that is said.
    pub modified: Option<(i64, u32)>,
    /// Its extended attributes by name.
    pub xattrs: BTreeMap<Box<[u8]>, Attribute>,
}

/// What something in a layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A directory that only other entries' paths name.
    Implied,
    /// A symbolic link with this target, as it stands.
    Link(Box<[u8]>),
    /// A second name of something in a lower layer.
    Lower(Name),
    /// A character device with its numbers.
    Character(u32, u32),
    /// A block device with its numbers.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// The bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// How many they are, holes counted.
    pub size: u64,
    /// Their digest; of a sparse file that of the bytes in the archive, which depends on where its holes are.
    pub digest: Digest,
    /// Whether the archive leaves its holes out.
    pub sparse: bool,
    /// The path of this layer that has the same bytes: this one is a hard link to it.
    pub twin: Option<Name>,
}

/// The value of an extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// As it is.
    Value(Box<[u8]>),
    /// The digest of a long one.
    Digest(Digest),
}

impl Inside {
    /// How much it takes on a disk, as engines count it: the bytes of all files, each once, and of the targets of links.
    pub fn bytes(&self) -> u64 {
        let content = |held: &Held| match &held.body {
            Body::File(content) if content.twin.is_none() => content.size,
            Body::Link(target) => target.len() as u64,
            _ => 0,
        };
        self.held.values().map(content).sum()
    }
}
