//! Stage 3: the images of the store. Descriptions that were written when images were kept in, plain values out; and back.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Store;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, json};

/// An image of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What names it all.
    pub root: Descriptor,
    /// Its names, each with a tag where it has one.
    #[serde(default)]
    pub references: Vec<String>,
    /// Its platforms.
    #[serde(default)]
    pub platforms: Vec<String>,
}

impl Store {
    /// All images of the store, in the order of their digests. What cannot be read is no image.
    pub fn kept(&self) -> Vec<Kept> {
        let mut kept: Vec<Kept> =
            self.images().iter().filter_map(|bytes| serde_json::from_slice::<Kept>(bytes).ok()).collect();
        kept.sort_by_key(|one| one.root.digest);
        kept
    }

    /// Writes an image's description anew, with the names that it has now.
    pub fn rename_image(&self, kept: &Kept) -> Result<()> {
        self.keep_image(&kept.root.digest, &json::canonical(kept))
    }

    /// Forgets an image; its blobs stay until somebody tidies up.
    pub(super) fn forget_image(&self, name: &Digest) -> Result<()> {
        let path = self.root().join("images").join(name.hex());
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("removing `{}`", path.display()), cause))
            }
            _ => Ok(()),
        }
    }

    /// When an image was last used.
    pub(super) fn image_used(&self, name: &Digest) -> Option<SystemTime> {
        let path = self.root().join("images").join(name.hex());
        std::fs::symlink_metadata(path).and_then(|facts| facts.modified()).ok()
    }
}
