//! Stage 3: who is at work with the store. A blob that is about to be used in, its mark as used now out; so that nobody removes it who
//! tidies up. Touches the store's own directory.
//!
//! ```text
//! HOME/v1/locks/gate    shared for the moment in which a blob is marked, exclusive while somebody tidies up
//! HOME/v1/using/NAME    one file for each process at work, locked by it; its time is when the work began
//! HOME/v1/marks/HEX      an empty file; its time is when the blob was last relied on. The blob's own times stay, by which it is known again
//! ```
//!
//! A process marks each blob with the time at which it first relies on it. Whoever tidies up holds the gate alone, and leaves everything
//! that was marked since the oldest process at work began. So a blob is either marked before it is looked at, and stays, or it is gone
//! before the process looks for it, and is made or fetched again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use tempfile::NamedTempFile;

use super::{Store, draft};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::Digest;

/// How long the gate is waited for: a look, and how many of them.
const LOOK: Duration = Duration::from_millis(5);
const MOST_LOOKS: usize = 12_000;

/// What this process said of itself and of blobs.
#[derive(Default)]
pub(super) struct Presence {
    file: Option<NamedTempFile>,
    marked: std::collections::BTreeSet<Digest>,
}

/// How the gate is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By many who mark.
    Shared,
    /// By the one who tidies up.
    Alone,
}

impl Store {
    /// Marks a blob as used from now on, before it is looked at. A store that cannot be written is one that nobody can tidy up either.
    pub(super) fn mark(&self, digest: &Digest, path: &Path) {
        if self.lock(&self.0.presence).marked.contains(digest) || !self.root().is_dir() {
            return;
        }
        let Ok(gate) = self.gate(Way::Shared) else { return };
        self.come();
        if path.symlink_metadata().is_ok() && self.leave_mark(digest).is_ok() {
            self.lock(&self.0.presence).marked.insert(*digest);
        }
        drop(gate);
    }

    /// Where the mark of a blob is.
    pub(super) fn mark_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("marks").join(digest.hex())
    }

    fn leave_mark(&self, digest: &Digest) -> io::Result<()> {
        let path = self.mark_path(digest);
        if touch(&path)? {
            return Ok(());
        }
        std::fs::create_dir_all(self.root().join("marks"))?;
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map(drop)
    }

    /// Marks an image of the store as used, and with it all that it needs.
    pub fn mark_image(&self, name: &Digest) {
        if !self.root().is_dir() {
            return;
        }
        let Ok(gate) = self.gate(Way::Shared) else { return };
        self.come();
        let _ = touch(&self.root().join("images").join(name.hex()));
        drop(gate);
    }

    /// Says that this process is at work, as long as it lives. Held by the gate, or before anything is in use.
    fn come(&self) {
        let mut presence = self.lock(&self.0.presence);
        if presence.file.is_some() {
            return;
        }
        let directory = self.root().join("using");
        let write = || -> io::Result<NamedTempFile> {
            std::fs::create_dir_all(&directory)?;
            let file = draft::temporary(&directory, "at-")?;
            file.as_file().lock()?;
            Ok(file)
        };
        presence.file = write().ok();
    }

    /// Says that this process is about to write.
    pub(super) fn begin(&self) {
        if self.lock(&self.0.presence).file.is_none()
            && let Ok(gate) = self.gate(Way::Shared)
        {
            self.come();
            drop(gate);
        }
    }

    /// Goes through the gate, or stands in it alone. Where locks do not work it fails.
    pub(super) fn gate(&self, way: Way) -> Result<File> {
        let directory = self.root().join("locks");
        let path = directory.join("gate");
        let failed = |cause| Error::io(format!("locking `{}`", path.display()), cause);
        let open = || {
            std::fs::create_dir_all(&directory)?;
            OpenOptions::new().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(failed)?;
        for look in 0..MOST_LOOKS {
            let locked = if way == Way::Alone { file.try_lock() } else { file.try_lock_shared() };
            match locked {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
                // Who marks is through within a blink; that is not worth a word.
                Err(TryLockError::WouldBlock) if look == 40 => {
                    (self.0.sink)(Event::Wait { why: "another stillframe tidies up the store".into() });
                }
                Err(TryLockError::WouldBlock) => {}
            }
            std::thread::sleep(LOOK);
        }
        Err(Error::local(format!("another stillframe has held `{}` for a minute", path.display()))
            .hint("end it, or wait until it is done"))
    }
}

/// Sets a file's time to now; `false` where there is none.
fn touch(path: &Path) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    match utimensat(CWD, path, &Timestamps { last_access: now, last_modification: now }, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(cause) => Err(cause.into()),
    }
}

/// The same for a remembered fact, which nobody relies on: it only tells the order in which facts are forgotten.
pub(super) fn recalled(path: &Path) {
    let _ = touch(path);
}
