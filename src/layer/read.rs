//! Stage 6: the bytes of one source file, exactly as it was listed. A path and what was seen in, its bytes out, or the
//! refusal of a file that changed. May read that file and nothing else.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;

use super::tree::Seen;
use crate::error::{Error, Result};

/// A source file that is being read.
pub struct Source {
    file: File,
    path: PathBuf,
    seen: Seen,
    left: u64,
}

/// Opens a file without following a link and without waiting; it must be what was seen.
pub fn open(path: PathBuf, seen: Seen) -> Result<Source> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&path) {
        Ok(file) => file,
        Err(cause) if gone(&cause) => return Err(changed(&path).because(cause)),
        Err(cause) => return Err(Error::io(format!("reading `{}`", path.display()), cause)),
    };
    let source = Source { file, path, seen, left: seen.size };
    source.verify()?;
    Ok(source)
}

/// Whether an open failed because something else, or nothing, stands there now.
fn gone(cause: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NXIO]
        .iter()
        .any(|errno| cause.raw_os_error() == Some(errno.raw_os_error()))
}

fn changed(path: &Path) -> Error {
    Error::local(format!("`{}` changed while it was read", path.display()))
        .hint("wait until nothing writes to it, then run again; nothing was published")
}

impl Source {
    /// The open file, for who reads parts of it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Fills the buffer with the next bytes and says how many they are: fewer than it holds only at the end of what was listed.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut done = 0;
        while let Some(room) = buffer.get_mut(done..most).filter(|room| !room.is_empty()) {
            match self.next(room)? {
                0 => return Err(changed(&self.path)),
                count => done += count,
            }
        }
        self.left -= done as u64;
        Ok(done)
    }

    /// Ends the reading: nothing may follow, and the file must still be what was seen.
    pub fn finish(mut self) -> Result<()> {
        if self.left != 0 || self.next(&mut [0])? != 0 {
            return Err(changed(&self.path));
        }
        self.verify()
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(|cause| self.failed(cause)),
            }
        }
    }

    fn verify(&self) -> Result<()> {
        let facts = self.file.metadata().map_err(|cause| self.failed(cause))?;
        if facts.is_file() && seen(&facts) == self.seen { Ok(()) } else { Err(changed(&self.path)) }
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::io(format!("reading `{}`", self.path.display()), cause)
    }
}

/// The facts by which a change is noticed.
pub fn seen(facts: &Metadata) -> Seen {
    Seen {
        size: facts.len(),
        inode: (facts.dev(), facts.ino()),
        modified: (facts.mtime(), facts.mtime_nsec()),
        changed: (facts.ctime(), facts.ctime_nsec()),
    }
}

/// The same facts from a `statat`.
#[allow(clippy::unnecessary_cast, reason = "the fields have other types on other systems")]
pub fn seen_at(facts: &Stat) -> Seen {
    Seen {
        size: facts.st_size as u64,
        inode: (facts.st_dev as u64, facts.st_ino as u64),
        modified: (facts.st_mtime as i64, facts.st_mtime_nsec as i64),
        changed: (facts.st_ctime as i64, facts.st_ctime_nsec as i64),
    }
}
