//! Stage 5: the bytes of one entry of a layer, hashed as they are read. Whoever looks at some of them first takes nothing away from the
//! digest of them all. Touches nothing.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::oci::Digest;
use crate::source::tar::Entries;
use crate::source::unpack::Unpacked;

/// How many bytes are read at once.
const CHUNK: usize = 256 << 10;

/// The bytes of the entry that came last.
pub struct Hashed<'a> {
    entries: &'a mut Entries<Unpacked>,
    hasher: Option<Sha256>,
    chunk: &'a mut Vec<u8>,
}

impl<'a> Hashed<'a> {
    /// Of which nothing is read yet; without `wanted` nothing is hashed. `chunk` is room to work in.
    pub fn new(entries: &'a mut Entries<Unpacked>, wanted: bool, chunk: &'a mut Vec<u8>) -> Hashed<'a> {
        Hashed { entries, hasher: wanted.then(Sha256::new), chunk }
    }

    /// Reads the rest; the digest of all bytes.
    pub fn digest(&mut self) -> io::Result<Digest> {
        self.chunk.resize(CHUNK, 0);
        let mut hasher = self.hasher.take().unwrap_or_default();
        loop {
            match self.entries.read(self.chunk) {
                Ok(0) => return Ok(Digest::finish(hasher)),
                Ok(count) => hasher.update(self.chunk.get(..count).unwrap_or_default()),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.entries.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}
