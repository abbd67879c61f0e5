//! Stage 3, bytes by digest: a local directory, shared between processes. Digests in, verified files out.
//! May touch the store's own directory and nothing else; what fetches from a shared cache is handed in (`elsewhere`).
//!
//! ```text
//! HOME/v1/blobs/sha256/HEX     a blob; hashed whole before it is handed out
//! HOME/v1/memo/KIND/HEX        a remembered fact; its first line is the digest of the rest (`docs/caching.md`)
//! HOME/v1/images/HEX           one file for each image that was built into the store
//! HOME/v1/locks/HEX            whose turn it is
//! HOME/v1/using/NAME           a process at work, locked by it (see `using.rs`)
//! HOME/v1/marks/HEX            when a blob was last relied on
//! HOME/v1/tuf/HEX/             what a TUF mirror said; `trust` has it written and checks it whole at each use
//! HOME/v1/tmp/                 what is being written; each file locked by its writer
//! ```

mod draft;
mod elsewhere;
mod files;
mod kept;
mod memo;
mod parts;
mod seen;
mod tidy;
mod turn;
mod using;

pub use draft::{Draft, Hashed};
pub use elsewhere::Elsewhere;
pub use files::digest;
pub use kept::Kept;
pub use parts::Parts;
pub use seen::{Moment, Seen};
pub use tidy::{Choice, Held, Reach, Thing, Tidy, Wish, choose};
pub use turn::Turn;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::event::{Event, Sink};
use crate::oci::Digest;

/// The local store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

/// What is made of things that were remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// They save work.
    #[default]
    Full,
    /// They save work, but a file is not taken for unchanged because it looks so (`--paranoid`).
    Careful,
    /// They are neither read nor written (`--no-cache`).
    Off,
}

struct Inner {
    root: PathBuf,
    memory: Memory,
    sink: Sink,
    said: Mutex<BTreeSet<&'static str>>,
    /// How the blobs looked that this process made or hashed.
    verified: Mutex<BTreeMap<Digest, Seen>>,
    swept: std::sync::Once,
    presence: Mutex<using::Presence>,
    beside: elsewhere::Beside,
}

impl Store {
    /// The store below `home`. Nothing is created before something is written.
    pub fn new(home: &Path, memory: Memory, sink: Sink) -> Store {
        Store(Arc::new(Inner {
            root: home.join("v1"),
            memory,
            sink,
            said: Mutex::default(),
            verified: Mutex::default(),
            swept: std::sync::Once::new(),
            presence: Mutex::default(),
            beside: elsewhere::Beside::default(),
        }))
    }

    /// What is made of things that were remembered.
    pub fn memory(&self) -> Memory {
        self.0.memory
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.0.root.join("blobs").join("sha256").join(digest.hex())
    }

    /// The size of a blob if the store seems to hold it; not verified.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        let path = self.blob_path(digest);
        self.mark(digest, &path);
        files::open(&path).ok().flatten().map(|(_, seen)| seen.size)
    }

    /// A blob, open at its start, and its size. It was made or hashed whole by this process before it is handed out, and looks as it did then;
    /// one whose bytes are not its name is dropped and counts as absent.
    pub fn open(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        let path = self.blob_path(digest);
        self.mark(digest, &path);
        let Some((file, seen)) = files::open(&path)? else { return Ok(None) };
        if self.lock(&self.0.verified).get(digest) == Some(&seen) {
            return Ok(Some((file, seen.size)));
        }
        let doing = || format!("reading `{}`", path.display());
        let (found, read) = files::digest(&file).map_err(|cause| Error::io(doing(), cause))?;
        if found != *digest || read != seen.size {
            self.note(format!("the cached blob {digest} was damaged and is fetched or made again"));
            let _ = std::fs::remove_file(&path);
            return Ok(None);
        }
        self.proved(digest, &file, seen);
        Ok(Some((file, seen.size)))
    }

    /// A blob as it lies there, open at its start, and its size. Who reads it takes its digest on the way, unless [`Store::is_unchanged`], and
    /// says so by [`Store::proved`]; only then it may be handed out.
    pub fn find(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        let path = self.blob_path(digest);
        self.mark(digest, &path);
        Ok(files::open(&path)?.map(|(file, seen)| (file, seen.size)))
    }

    /// Takes note that the bytes of an open blob are right, if it still looks as it did before they were read.
    pub fn proved(&self, digest: &Digest, file: &File, before: Seen) {
        if Seen::of(file).is_ok_and(|seen| seen == before) {
            self.lock(&self.0.verified).insert(*digest, before);
        }
    }

    /// Whether an open blob still looks as it did when its bytes were known to be right, and would look different if they had changed. It may look
    /// different for other reasons: another process put the same blob in its place. Where looks are not trusted the answer is no.
    pub fn is_unchanged(&self, digest: &Digest, file: &File) -> bool {
        let seen = Seen::of(file).ok().filter(|seen| self.memory() == Memory::Full && seen.is_fine());
        seen.is_some() && self.lock(&self.0.verified).get(digest).copied() == seen
    }

    /// All bytes of a small blob; `limit` bounds what is read.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some((mut file, size)) = self.open(digest)? else { return Ok(None) };
        if size > limit {
            return Err(Error::local(format!("the blob {digest} has {size} bytes, {limit} are allowed here")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        std::io::Read::read_to_end(&mut file, &mut bytes)
            .map_err(|cause| Error::io(format!("reading the blob {digest}"), cause))?;
        Ok(Some(bytes))
    }

    /// Puts bytes into the store.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut draft = self.draft()?;
        std::io::Write::write_all(&mut draft, bytes).map_err(|cause| draft.failed(cause))?;
        Ok(draft.finish(None)?.digest)
    }

    /// A new blob to write to; nothing is visible before [`Draft::finish`].
    pub fn draft(&self) -> Result<Draft> {
        draft::new(self)
    }

    fn note(&self, text: String) {
        (self.0.sink)(Event::Note { text });
    }

    fn note_once(&self, key: &'static str, text: String) {
        if self.lock(&self.0.said).insert(key) {
            self.note(text);
        }
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
