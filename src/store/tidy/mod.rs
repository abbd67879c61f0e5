//! Stage 3: tidying up. What is there and when it was last used in; what nobody needs removed. Never what a process at work may rely
//! on. Touches the store's own directory.

mod choose;
mod reach;

pub use choose::{Choice, Wish, choose};
pub use reach::Reach;

use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::turn::Turn;
use super::using::Way;
use super::{Kept, Store, draft};
use crate::error::{Error, Result};
use crate::oci::Digest;

/// How coarse the times of a file system may be.
const COARSE: Duration = Duration::from_secs(2);

/// Something of the store that takes room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub what: Thing,
    /// Its bytes.
    pub size: u64,
    /// When it was last used.
    pub used: SystemTime,
}

/// What takes room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A blob.
    Blob(Digest),
    /// A remembered fact: its kind and its file.
    Memo(String, String),
}

/// The store, while nobody else marks or removes anything.
pub struct Tidy {
    store: Store,
    since: Option<SystemTime>,
    _gate: File,
    _turn: Turn,
}

impl Store {
    /// Waits until nobody is about to use something that is not marked, and keeps it so. It fails where file locks do not work: then
    /// nobody can tell what is in use.
    pub fn tidy(&self) -> Result<Tidy> {
        let hint = |error: Error| error.hint("without file locks nobody can tell what a running build uses");
        let turn = self.turn("the list of images", &Digest::of(b"images"));
        let gate = self.gate(Way::Alone).map_err(hint)?;
        let since = self.oldest().map_err(hint)?;
        draft::sweep(&self.root().join("tmp"));
        Ok(Tidy { store: self.clone(), since, _gate: gate, _turn: turn })
    }

    /// When the oldest process began that is at work; what killed ones left is removed.
    fn oldest(&self) -> Result<Option<SystemTime>> {
        let directory = self.root().join("using");
        let mut oldest: Option<SystemTime> = None;
        for (path, facts) in files(&directory)? {
            let failed = |cause| Error::io(format!("looking at `{}`", path.display()), cause);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(failed(cause)),
            };
            match file.try_lock() {
                Ok(()) => drop(fs::remove_file(&path)),
                Err(fs::TryLockError::WouldBlock) => {
                    let began = facts.modified().map_err(failed)?;
                    oldest = Some(oldest.map_or(began, |oldest| oldest.min(began)));
                }
                Err(fs::TryLockError::Error(cause)) => return Err(failed(cause)),
            }
        }
        Ok(oldest)
    }
}

impl Tidy {
    /// Everything that takes room, in the order of its last use.
    pub fn held(&self) -> Result<Vec<Held>> {
        let root = self.store.root();
        let mut held = Vec::new();
        for (path, facts) in files(&root.join("blobs").join("sha256"))? {
            let Ok(digest) = format!("sha256:{}", name(&path)).parse::<Digest>() else { continue };
            let mut blob = one(Thing::Blob(digest), &path, &facts)?;
            let marked = fs::symlink_metadata(self.store.mark_path(&digest)).and_then(|facts| facts.modified());
            blob.used = marked.map_or(blob.used, |marked| marked.max(blob.used));
            held.push(blob);
        }
        let kinds = entries(&root.join("memo"))?;
        for kind in kinds.iter().filter(|(_, facts)| facts.is_dir()).map(|(path, _)| path) {
            for (path, facts) in files(kind)? {
                held.push(one(Thing::Memo(name(kind), name(&path)), &path, &facts)?);
            }
        }
        held.sort_by(|one, other| (one.used, &one.what).cmp(&(other.used, &other.what)));
        Ok(held)
    }

    /// All images with their last use; one that a process at work uses counts as used this moment.
    pub fn images(&self) -> Vec<(Kept, SystemTime)> {
        let with_use = |kept: Kept| {
            let used = self.store.image_used(&kept.root.digest)?;
            Some((kept, used))
        };
        self.store.kept().into_iter().filter_map(with_use).collect()
    }

    /// The moment so long ago.
    pub fn ago(&self, length: Duration) -> SystemTime {
        SystemTime::now().checked_sub(length).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether somebody at work may rely on what was last used then.
    pub fn in_use(&self, used: SystemTime) -> bool {
        self.since.is_some_and(|since| used + COARSE >= since)
    }

    /// What hangs together below an image, as far as the store holds it.
    pub fn reach(&self, root: &Digest) -> Result<Reach> {
        reach::reach(&self.store, root)
    }

    /// Removes what takes room; the bytes that are free now.
    pub fn remove(&self, held: &Held) -> Result<u64> {
        let path = match &held.what {
            Thing::Blob(digest) => {
                let _ = fs::remove_file(self.store.mark_path(digest));
                self.store.blob_path(digest)
            }
            Thing::Memo(kind, name) => self.store.root().join("memo").join(kind).join(name),
        };
        match fs::remove_file(&path) {
            Ok(()) => Ok(held.size),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(cause) => Err(Error::io(format!("removing `{}`", path.display()), cause)),
        }
    }

    /// Forgets an image.
    pub fn forget(&self, kept: &Kept) -> Result<()> {
        self.store.forget_image(&kept.root.digest)
    }

    /// Writes down the names that an image has now.
    pub fn rename(&self, kept: &Kept) -> Result<()> {
        self.store.rename_image(kept)
    }
}

fn one(what: Thing, path: &Path, facts: &Metadata) -> Result<Held> {
    let used = facts.modified().map_err(|cause| Error::io(format!("looking at `{}`", path.display()), cause))?;
    Ok(Held { what, size: facts.len(), used })
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The plain files of a directory; none where there is no directory.
fn files(directory: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
    Ok(entries(directory)?.into_iter().filter(|(_, facts)| facts.is_file()).collect())
}

fn entries(directory: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
    let failed = |cause| Error::io(format!("listing `{}`", directory.display()), cause);
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry.map_err(failed)?.path();
        match fs::symlink_metadata(&path) {
            Ok(facts) => found.push((path, facts)),
            // Somebody finished with it meanwhile.
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

#[cfg(test)]
mod tests;
