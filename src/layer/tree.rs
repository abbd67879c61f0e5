//! Stage 6: the one canonical tree that a layer is packed from. Pure values.

use std::path::PathBuf;
use std::sync::Arc;

use super::listing::Listing;
use super::paths::Paths;
use crate::source::Stretch;
pub use crate::store::Seen;

/// The entries of one layer by path: relative, without `./` and without a trailing `/`, in the order of their bytes, so that
/// a directory stands before what is in it. A whiteout stands under its `.wh.` name.
pub type Tree = Paths<Entry>;

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub body: Body,
    /// Its permission bits.
    pub mode: Mode,
    /// The numeric owner.
    pub uid: u32,
    /// The numeric group.
    pub gid: u32,
    /// Permitted file capabilities as a bit set (bit n is capability n); 0 for none. Only files have them.
    pub capabilities: u64,
    /// The manifest's item that declared it, as an index into the plan's items; for messages.
    pub item: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A directory.
    Directory,
    /// A symbolic link and its target, as it stands.
    Link(Box<str>),
    /// An empty file whose `.wh.` name hides a path of the base.
    Whiteout,
    /// A regular file.
    File(Content),
}

/// Where a file's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The manifest.
    Inline(Arc<[u8]>),
    /// A file of this machine.
    Disk(Disk),
    /// A blob of the store: an archive, another image or a package that was read into it.
    Stored(Box<Stretch>),
}

impl Content {
    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        match self {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Disk(disk) => disk.seen().size,
            Content::Stored(stretch) => stretch.size,
        }
    }
}

/// A file of this machine and what it looked like when it was listed; it must look the same before and after it is read.
#[derive(Clone, Debug)]
pub struct Disk {
    listing: Arc<Listing>,
    at: u32,
}

impl Seen {
    /// What is said of a thing that is no file.
    pub(super) const NOTHING: Seen = Seen { size: 0, inode: (0, 0), modified: (0, 0), changed: (0, 0) };
}

impl Disk {
    /// The file in one row of a listing.
    pub fn new(listing: Arc<Listing>, at: u32) -> Disk {
        Disk { listing, at }
    }

    /// What `lstat` said.
    pub fn seen(&self) -> Seen {
        self.listing.row(self.at).1
    }

    /// The path below the directory that is copied; `None` where the file itself is.
    pub fn below(&self) -> Option<&str> {
        Some(self.listing.row(self.at).0).filter(|below| !below.is_empty())
    }

    /// The file's path on this machine.
    pub fn path(&self) -> PathBuf {
        let (root, below) = (self.listing.root(), self.below().unwrap_or_default());
        let mut path = PathBuf::with_capacity(root.as_os_str().len() + 1 + below.len());
        path.push(root);
        if !below.is_empty() {
            path.push(below);
        }
        path
    }
}

impl PartialEq for Disk {
    fn eq(&self, other: &Disk) -> bool {
        let same = Arc::ptr_eq(&self.listing, &other.listing) && self.at == other.at;
        same || self.seen() == other.seen() && self.path() == other.path()
    }
}

impl Eq for Disk {}

/// The permission bits of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These, 0 to 0o7777.
    Fixed(u16),
    /// 0755 where the file begins with `\x7fELF` or `#!`, else 0644; decided while it is read.
    ByContent,
}
