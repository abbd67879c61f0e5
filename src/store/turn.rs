//! Stage 3: taking turns, so that several processes do not fetch one thing twice. A name in, a guard out.

use std::fs::{File, OpenOptions, TryLockError};

use super::Store;
use crate::event::Event;
use crate::oci::Digest;

/// The right to work on something; given back on drop, and by the system when the process dies.
pub struct Turn(#[allow(dead_code, reason = "holds the lock")] Option<File>);

impl Store {
    /// Waits until nobody else works on `key`, saying what for. Where locks do not work it goes on at once:
    /// turns save work, they do not keep anything right.
    pub fn turn(&self, what: &str, key: &Digest) -> Turn {
        let directory = self.root().join("locks");
        let open = || {
            std::fs::create_dir_all(&directory)?;
            OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(key.hex()))
        };
        let Ok(file) = open() else { return Turn(None) };
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                (self.0.sink)(Event::Wait { why: format!("another stillframe is at work on {what}") });
                file.lock()
            }
            Err(TryLockError::Error(cause)) => Err(cause),
            Ok(()) => Ok(()),
        };
        if let Err(cause) = locked {
            self.note_once(
                "locks",
                format!("file locks do not work in `{}` ({cause}); going on without", directory.display()),
            );
            return Turn(None);
        }
        Turn(Some(file))
    }
}
