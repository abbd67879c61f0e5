//! Stage 3: parts of a blob, for who proves each part that is used. A digest and a place in; bytes that nobody verified out.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{Store, files};
use crate::error::Result;
use crate::oci::Digest;

/// A file that has the name of a blob.
pub struct Parts(File);

impl Parts {
    /// Fills `room` with the bytes from `at` on; whether there were so many.
    pub fn read(&self, at: u64, room: &mut [u8]) -> bool {
        self.0.read_exact_at(room, at).is_ok()
    }
}

impl Store {
    /// Opens what has the name of a blob. Nothing of it was verified, unlike with [`Store::open`].
    pub fn parts(&self, digest: &Digest) -> Result<Option<Parts>> {
        let path = self.blob_path(digest);
        self.mark(digest, &path);
        Ok(files::open(&path)?.map(|(file, _)| Parts(file)))
    }
}
