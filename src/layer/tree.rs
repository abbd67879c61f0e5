//! Stage 6: the one canonical tree that a layer is packed from. Pure values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source::Stretch;
pub use crate::store::Seen;

/// The entries of one layer by path: relative, without `./` and without a trailing `/`, in the order of their bytes, so that
/// a directory stands before what is in it. A whiteout stands under its `.wh.` name.
pub type Tree = BTreeMap<String, Entry>;

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
    Link(String),
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
    Stored(Stretch),
}

impl Content {
    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        match self {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Disk(disk) => disk.seen.size,
            Content::Stored(stretch) => stretch.size,
        }
    }
}

/// A file of this machine and what it looked like when it was listed; it must look the same before and after it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file, or the directory that is copied.
    pub root: Arc<Path>,
    /// The path below `root`; `None` where `root` is the file itself.
    pub below: Option<Arc<str>>,
    /// What `lstat` said.
    pub seen: Seen,
}

impl Disk {
    /// The file's path on this machine.
    pub fn path(&self) -> PathBuf {
        match &self.below {
            None => self.root.to_path_buf(),
            Some(below) => self.root.join(&**below),
        }
    }
}

/// The permission bits of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These, 0 to 0o7777.
    Fixed(u16),
    /// 0755 where the file begins with `\x7fELF` or `#!`, else 0644; decided while it is read.
    ByContent,
}
