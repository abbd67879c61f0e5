//! Stage 5: files that come from somewhere else than this machine: an archive, another image, a package. Plain values: what each file
//! is, and where in the store its bytes are, so that they can be read in any order.

use crate::oci::Digest;

/// Where the bytes of a file are: a stretch of a blob of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// The blob.
    pub blob: Digest,
    /// Where they begin in it.
    pub start: u64,
    /// How many they are.
    pub size: u64,
}

/// One thing in an archive, an image or a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path: relative, of plain parts, without a `/` at its end.
    pub path: String,
    /// What it is.
    pub body: Body,
    /// The permission bits that it has there, 0 to 0o7777.
    pub mode: u16,
    /// The owner that it has there.
    pub uid: u32,
    /// The group that it has there.
    pub gid: u32,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A file; a hard link is one too, with the same stretch.
    File(Stretch),
    /// A directory.
    Directory,
    /// A symbolic link and its target, as it stands.
    Link(String),
    /// A device or a named pipe; it can only be left out.
    Device,
}
