//! Stage 3: remembered facts. A kind and a key in, the bytes that were remembered out, or nothing. Never the truth, only a saving.

use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{Memory, Seen, Store, draft, files, using};
use crate::error::Result;
use crate::oci::Digest;

/// Largest remembered fact; a bigger file is not ours.
const MOST_BYTES: u64 = 1 << 30;

/// Whether a fact could be kept.
type Tried = std::result::Result<(), Box<dyn std::error::Error>>;

/// Sums up what is written to it.
struct Sum(Sha256);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    pub(super) fn memo_path(&self, kind: &str, key: &Digest) -> PathBuf {
        self.root().join("memo").join(kind).join(key.hex())
    }

    /// What was remembered under this kind and key, if it is whole.
    pub fn recall(&self, kind: &str, key: &Digest) -> Option<Vec<u8>> {
        if self.0.memory == Memory::Off {
            return None;
        }
        let path = self.memo_path(kind, key);
        let (mut file, Seen { size, .. }) = files::open(&path).ok().flatten()?;
        let mut bytes = Vec::new();
        if size > MOST_BYTES || file.read_to_end(&mut bytes).is_err() || bytes.len() < 65 {
            return None;
        }
        let fact = bytes.split_off(65);
        let sum = Digest::of(&fact).hex() + "\n";
        if bytes != sum.as_bytes() {
            return None;
        }
        using::recalled(&path);
        Some(fact)
    }

    /// Remembers a fact; a store that cannot be written forgets it.
    pub fn remember(&self, kind: &str, key: &Digest, fact: &[u8]) {
        if self.0.memory == Memory::Off {
            return;
        }
        if let Err(cause) = self.keep_fact(kind, key, &|out| out.write_all(fact)) {
            self.note_once(
                "memo",
                format!("`{}` cannot be written, so nothing is remembered ({cause})", self.root().display()),
            );
        }
    }

    /// The same, without a word where the store cannot be written: it is found out as well in the next run.
    pub fn remember_if_possible(&self, kind: &str, key: &Digest, fact: &[u8]) {
        self.remember_written(kind, key, &|out| out.write_all(fact));
    }

    /// The same for a fact that is too large to be held: it is written twice, first to be summed up, and must be the same both times.
    pub fn remember_written(&self, kind: &str, key: &Digest, write: &dyn Fn(&mut dyn Write) -> io::Result<()>) {
        if self.0.memory != Memory::Off {
            let _ = self.keep_fact(kind, key, write);
        }
    }

    fn keep_fact(&self, kind: &str, key: &Digest, write: &dyn Fn(&mut dyn Write) -> io::Result<()>) -> Tried {
        let directory = self.root().join("tmp");
        std::fs::create_dir_all(&directory)?;
        let mut sum = BufWriter::new(Sum(Sha256::new()));
        write(&mut sum)?;
        let Sum(sum) = sum.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut file = BufWriter::new(draft::temporary(&directory, "memo-")?);
        writeln!(file, "{}", Digest::finish(sum).hex())?;
        write(&mut file)?;
        draft::publish(file.into_inner().map_err(io::IntoInnerError::into_error)?, &self.memo_path(kind, key))?;
        Ok(())
    }

    /// Forgets a fact that turned out to be wrong.
    pub fn forget(&self, kind: &str, key: &Digest) {
        let _ = std::fs::remove_file(self.memo_path(kind, key));
    }

    /// Keeps the description of an image that was built into the store; see [`Store::images`].
    pub fn keep_image(&self, name: &Digest, description: &[u8]) -> Result<()> {
        let path = self.root().join("images").join(name.hex());
        if files::open(&path)?.is_some_and(|(file, _)| same(file, description)) {
            return Ok(());
        }
        let directory = self.root().join("tmp");
        let doing = || format!("writing to the store `{}`", self.root().display());
        let failed = |cause| crate::error::Error::io(doing(), cause);
        std::fs::create_dir_all(&directory).map_err(failed)?;
        let mut file = draft::temporary(&directory, "image-").map_err(failed)?;
        file.write_all(description).map_err(failed)?;
        draft::publish(file, &path).map(drop)
    }

    /// Whether an image of this name was built into the store.
    pub fn has_image(&self, name: &Digest) -> bool {
        files::open(&self.root().join("images").join(name.hex())).is_ok_and(|found| found.is_some())
    }

    /// The descriptions of all images that were built into the store, in the order of their file names.
    pub fn images(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.root().join("images")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: &PathBuf| {
            let (file, _) = files::open(path).ok().flatten()?;
            let mut bytes = Vec::new();
            file.take(4 << 20).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        };
        paths.iter().filter_map(read).collect()
    }
}

/// Whether a file holds exactly these bytes.
fn same(file: std::fs::File, bytes: &[u8]) -> bool {
    let mut held = Vec::new();
    file.take(bytes.len() as u64 + 1).read_to_end(&mut held).is_ok() && held == bytes
}
