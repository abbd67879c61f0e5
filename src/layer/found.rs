//! Stage 6: what the source of an item is, on this machine or in the store. Plain values.

use std::path::Path;
use std::sync::Arc;

use super::listing::Listing;
use super::packages::Laid;
use super::roots::Certificate;
use super::tree::{Body, Mode, Seen};
use crate::manifest::Packages;
use crate::oci::Digest;
use crate::source::Unpacked;

/// What one item's source is.
#[derive(Clone, Debug)]
pub enum Found {
    /// It has none: the item says all itself.
    Nothing,
    /// A file.
    File { path: Arc<Path>, seen: Seen },
    /// A rendered file, and the digest of the file that it was rendered from.
    Text(Arc<[u8]>, Digest),
    /// A directory's contents: sorted by path.
    Tree(Arc<Listing>),
    /// Certificates, and the names and digests of the files that they stand in.
    Certificates(Arc<Vec<Certificate>>, Vec<(String, Digest)>),
    /// The bundle that they make together with those of the base.
    Bundle(Arc<[u8]>),
    /// What is taken of an archive or another image.
    Brought(Brought),
    /// Packages, taken apart, and what is asked of them.
    Packages(Arc<Vec<Unpacked>>, Arc<Packages>),
    /// The same at their places, and the certificates that they would have trusted by themselves.
    Laid(Arc<Laid>, Option<Arc<[u8]>>),
}

/// What is taken of an archive or another image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The digest of the archive, or that by which the image is named.
    pub from: Digest,
    /// Sorted by path. A lone file has an empty one.
    pub pieces: Arc<Vec<Piece>>,
}

/// One thing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its path from the destination.
    pub path: String,
    /// What it is.
    pub body: Body,
    /// Its permission bits.
    pub mode: Mode,
}
