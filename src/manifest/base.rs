//! Stage 1: what an image stands on. Text in, a pinned base out. Pure.

use std::fmt;
use std::path::PathBuf;

use crate::oci::{Digest, Pinned};

/// The base of an image, always pinned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image in a registry.
    Registry(Pinned),
    /// An image in an OCI layout directory (`oci:PATH@sha256:…`).
    Layout(Local),
    /// An image in a tar archive of an OCI layout (`oci-archive:PATH@sha256:…`).
    Archive(Local),
}

/// An image in a file or directory of this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// The path as it was written, relative to the manifest.
    pub written: String,
    /// The manifest or index in it.
    pub digest: Digest,
}

impl Base {
    /// What stands for its bytes: `scratch`, or the digest.
    pub fn identity(&self) -> String {
        match self {
            Base::Scratch => "scratch".to_string(),
            Base::Registry(pinned) => pinned.digest.to_string(),
            Base::Layout(local) | Base::Archive(local) => local.digest.to_string(),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base::Scratch => f.write_str("scratch"),
            Base::Registry(pinned) => pinned.fmt(f),
            Base::Layout(local) => write!(f, "oci:{}@{}", local.written, local.digest),
            Base::Archive(local) => write!(f, "oci-archive:{}@{}", local.written, local.digest),
        }
    }
}
