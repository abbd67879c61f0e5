//! Stage 5: the bytes of many files, one behind the other, on their way into one blob of the store. Readers in, ranges of the blob out.

use std::io::{self, BufWriter, Read, Write};

use crate::error::Result;
use crate::oci::Digest;
use crate::store::{Draft, Store};

/// How many bytes are moved at once.
const CHUNK: usize = 128 << 10;

/// A blob in the making.
pub struct Parcel {
    out: BufWriter<Draft>,
    size: u64,
    chunk: Vec<u8>,
}

impl Parcel {
    /// An empty one.
    pub fn new(store: &Store) -> Result<Parcel> {
        Ok(Parcel { out: BufWriter::with_capacity(CHUNK, store.draft()?), size: 0, chunk: vec![0; CHUNK] })
    }

    /// How many bytes were put in, which is where the next ones begin.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Puts all bytes of a reader in, and says how many they were; `look` sees them as they go by.
    pub fn put(&mut self, mut from: impl Read, mut look: impl FnMut(&[u8])) -> io::Result<u64> {
        let before = self.size;
        loop {
            let count = match from.read(&mut self.chunk) {
                Ok(0) => return Ok(self.size - before),
                Ok(count) => count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(cause),
            };
            let bytes = self.chunk.get(..count).unwrap_or_default();
            look(bytes);
            // What the store says is no fault of what is read.
            self.out.write_all(bytes).map_err(|cause| io::Error::other(self.out.get_ref().failed(cause)))?;
            self.size += count as u64;
        }
    }

    /// Publishes the blob.
    pub fn finish(self) -> Result<Digest> {
        match self.out.into_inner() {
            Ok(draft) => Ok(draft.finish(None)?.digest),
            Err(failed) => {
                let (cause, out) = failed.into_parts();
                Err(out.get_ref().failed(cause))
            }
        }
    }
}
