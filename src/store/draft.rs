//! Stage 3: a blob in the making. Bytes in, a digest and a published file out, or nothing at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{Seen, Store};
use crate::error::{Error, Result};
use crate::oci::Digest;

/// Temporaries of dead processes are swept once they are this old; live ones hold a lock.
const STALE: Duration = Duration::from_secs(600);

/// A blob that is being written; dropped unfinished it leaves nothing.
pub struct Draft {
    store: Store,
    target: Target,
    hasher: Sha256,
    size: u64,
}

enum Target {
    File(NamedTempFile),
    /// The store cannot be written: only hash, and hope that the blob is there already.
    Nowhere(Error),
}

/// What a finished draft is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The digest of all bytes.
    pub digest: Digest,
    /// How many they were.
    pub size: u64,
}

pub(super) fn new(store: &Store) -> Result<Draft> {
    let directory = store.root().join("tmp");
    store.begin();
    store.0.swept.call_once(|| sweep(&directory));
    let target = match create(store, &directory) {
        Ok(file) => Target::File(file),
        Err(cause) if matches!(cause.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            Target::Nowhere(
                Error::io(format!("writing to the store `{}`", store.root().display()), cause)
                    .hint("make it writable, or set STILLFRAME_HOME to a directory that is"),
            )
        }
        Err(cause) => return Err(Error::io(format!("writing to the store `{}`", store.root().display()), cause)),
    };
    Ok(Draft { store: store.clone(), target, hasher: Sha256::new(), size: 0 })
}

impl Store {
    /// A nameless file for bytes that are read again in another order; it is gone with its handle.
    pub fn aside(&self) -> io::Result<File> {
        let directory = self.root().join("tmp");
        fs::create_dir_all(&directory)?;
        tempfile::tempfile_in(directory)
    }
}

fn create(store: &Store, directory: &Path) -> io::Result<NamedTempFile> {
    fs::create_dir_all(directory)?;
    let file = temporary(directory, "blob-")?;
    if let Err(cause) = file.as_file().lock() {
        store.note_once(
            "locks",
            format!("file locks do not work in `{}` ({cause}); going on without", directory.display()),
        );
    }
    Ok(file)
}

/// A temporary that others may read as far as the umask lets them: a store can be shared.
pub(super) fn temporary(directory: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o666)).tempfile_in(directory)
}

/// Removes what killed processes left: old, and locked by nobody.
pub(super) fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|facts| facts.modified()).map(|at| SystemTime::now().duration_since(at));
        let old = matches!(age, Ok(Ok(age)) if age > STALE);
        let free = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if old && free() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Draft {
    /// How many bytes were written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The state of the digest of what was written so far.
    pub fn state(&self) -> Vec<u8> {
        Digest::state(&self.hasher)
    }

    /// The error for a failed write to this draft.
    pub fn failed(&self, cause: io::Error) -> Error {
        Error::io(format!("writing to the store `{}`", self.store.root().display()), cause)
    }

    /// Publishes the blob. With `expected`, other bytes are refused and nothing is kept.
    pub fn finish(self, expected: Option<&Digest>) -> Result<Hashed> {
        let hashed = Hashed { digest: Digest::finish(self.hasher), size: self.size };
        if let Some(expected) = expected.filter(|expected| **expected != hashed.digest) {
            return Err(Error::remote(format!(
                "the blob {expected} has other bytes: their digest is {}",
                hashed.digest
            )));
        }
        let path = self.store.blob_path(&hashed.digest);
        match self.target {
            Target::File(file) => {
                let file = publish(file, &path)?;
                if let Ok(seen) = Seen::of(&file) {
                    self.store.proved(&hashed.digest, &file, seen);
                }
            }
            Target::Nowhere(error) => {
                if self.store.open(&hashed.digest)?.is_none() {
                    return Err(error);
                }
            }
        }
        Ok(hashed)
    }
}

/// Moves a finished temporary to its name, open as it is; an empty directory that squats there gives way.
pub(super) fn publish(file: NamedTempFile, path: &PathBuf) -> Result<File> {
    let doing = || format!("publishing `{}`", path.display());
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|cause| Error::io(doing(), cause))?;
    let (file, temporary) = file.into_parts();
    let renamed = match fs::rename(&temporary, path) {
        Err(cause) if cause.kind() == io::ErrorKind::IsADirectory => {
            fs::remove_dir(path).map_err(|_| {
                Error::io(doing(), cause).hint(format!("a directory stands in its place; remove `{}`", path.display()))
            })?;
            fs::rename(&temporary, path).map_err(|cause| Error::io(doing(), cause))
        }
        done => done.map_err(|cause| Error::io(doing(), cause)),
    };
    renamed.map(|()| file)
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.target {
            Target::File(file) => file.as_file_mut().write(bytes)?,
            Target::Nowhere(_) => bytes.len(),
        };
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file) => file.as_file_mut().flush(),
            Target::Nowhere(_) => Ok(()),
        }
    }
}
