//! Stage 6: the bytes of one entry, exactly as it was listed. Where they are in, the bytes out, or the refusal of a file that changed.
//! May read that file, or the store, and nothing else.

use std::fs::{File, Metadata};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::known::Known;
use super::tree::{Content, Seen};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::source::Stretch;
use crate::store::Store;

/// How many bytes are hashed at once.
const CHUNK: usize = 256 << 10;

/// A content that is being read.
pub struct Source {
    from: From,
    left: u64,
    /// Whether a file was seen to end after what was read.
    ended: bool,
}

/// Where a content comes from.
enum From {
    /// The manifest.
    Memory(Cursor<Arc<[u8]>>),
    /// A file of this machine, which must stay what was seen.
    Disk { file: File, path: PathBuf, seen: Seen },
    /// A blob of the store.
    Store(File, Digest),
}

/// Opens any content of an entry. Every byte of every layer comes through here.
pub fn content(content: &Content, store: &Store) -> Result<Source> {
    match content {
        Content::Inline(bytes) => {
            Ok(Source { from: From::Memory(Cursor::new(bytes.clone())), left: bytes.len() as u64, ended: true })
        }
        Content::Disk(disk) => open(disk.path(), disk.seen()),
        Content::Stored(stretch) => stored(stretch, store),
    }
}

fn stored(stretch: &Stretch, store: &Store) -> Result<Source> {
    let blob = stretch.blob;
    let (mut file, _) = store.open(&blob)?.ok_or_else(|| vanished(&blob))?;
    let sought = file.seek(SeekFrom::Start(stretch.start));
    sought.map_err(|cause| Error::io(format!("reading the blob {blob}"), cause))?;
    Ok(Source { from: From::Store(file, blob), left: stretch.size, ended: true })
}

/// The digest of what is left of a content.
pub fn digest(ctx: &Ctx, mut source: Source) -> Result<Digest> {
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        ctx.cancel.check()?;
        let count = source.fill(&mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
    }
    source.finish()?;
    Ok(Digest::finish(hasher))
}

/// The digest of a content, which is read unless that is known.
pub fn identity(ctx: &Ctx, content: &Content, known: &Known) -> Result<Digest> {
    // A stretch of a blob is known by its place.
    let known = if let Content::Disk(_) = content { known.id(content) } else { None };
    known.map_or_else(|| digest(ctx, self::content(content, &ctx.store)?), Ok)
}

fn vanished(blob: &Digest) -> Error {
    Error::local(format!("the blob {blob} vanished from the store, or was cut short"))
        .hint("run again; it is made anew")
}

/// Opens a file without following a link and without waiting; it must be what was seen.
pub fn open(path: PathBuf, seen: Seen) -> Result<Source> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // musl's own way to open a file takes two system calls.
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(errno) if gone(errno) => return Err(changed(&path).because(io::Error::from(errno))),
        Err(errno) => return Err(Error::io(format!("reading `{}`", path.display()), errno.into())),
    };
    let source = Source { from: From::Disk { file, path, seen }, left: seen.size, ended: false };
    source.verify()?;
    Ok(source)
}

/// Whether an open failed because something else, or nothing, stands there now.
fn gone(errno: Errno) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NXIO].contains(&errno)
}

fn changed(path: &Path) -> Error {
    Error::local(format!("`{}` changed while it was read", path.display()))
        .hint("wait until nothing writes to it, then run again; nothing was published")
}

impl Source {
    /// The open file of this machine, for who reads parts of it.
    pub fn file(&self) -> Option<&File> {
        match &self.from {
            From::Disk { file, .. } => Some(file),
            From::Memory(_) | From::Store(..) => None,
        }
    }

    /// Fills the buffer with the next bytes and says how many they are: fewer than it holds only at the end of what was listed.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        // A file is asked for one byte more: where it gives less than it was asked for, it has ended.
        let asked = if self.ended { most } else { most.saturating_add(1).min(buffer.len()) };
        let mut done = 0;
        while done < most {
            let count = self.next(buffer.get_mut(done..asked).unwrap_or_default())?;
            done += count;
            if count == 0 || done > most {
                return Err(self.short());
            }
            self.ended |= done < asked && done == most;
        }
        self.left -= done as u64;
        Ok(done)
    }

    /// Passes over the next bytes, which nobody wants.
    pub fn skip(&mut self, count: u64) -> Result<()> {
        let Some(left) = self.left.checked_sub(count) else { return Err(self.short()) };
        let by = SeekFrom::Current(i64::try_from(count).unwrap_or(i64::MAX));
        let sought = match &mut self.from {
            From::Memory(bytes) => bytes.seek(by),
            From::Disk { file, .. } | From::Store(file, _) => file.seek(by),
        };
        sought.map_err(|cause| self.failed(cause))?;
        self.left = left;
        Ok(())
    }

    /// Ends the reading: of a file nothing may follow, and it must still be what was seen.
    pub fn finish(mut self) -> Result<()> {
        let more = !self.ended && self.next(&mut [0])? != 0;
        if self.left != 0 || more {
            return Err(self.short());
        }
        self.verify()
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let read = match &mut self.from {
                From::Memory(bytes) => bytes.read(buffer),
                From::Disk { file, .. } | From::Store(file, _) => file.read(buffer),
            };
            match read {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(|cause| self.failed(cause)),
            }
        }
    }

    /// Fails unless a file is still what was seen.
    pub fn verify(&self) -> Result<()> {
        let From::Disk { file, path, seen } = &self.from else { return Ok(()) };
        let facts = file.metadata().map_err(|cause| self.failed(cause))?;
        if facts.is_file() && self::seen(&facts) == *seen { Ok(()) } else { Err(changed(path)) }
    }

    /// The error for a content that is shorter or longer than was listed.
    fn short(&self) -> Error {
        match &self.from {
            From::Disk { path, .. } => changed(path),
            From::Store(_, blob) => vanished(blob),
            From::Memory(_) => Error::bug("a content of the manifest changed"),
        }
    }

    fn failed(&self, cause: io::Error) -> Error {
        match &self.from {
            From::Disk { path, .. } => Error::io(format!("reading `{}`", path.display()), cause),
            From::Store(_, blob) => Error::io(format!("reading the blob {blob}"), cause),
            From::Memory(_) => Error::bug("a content of the manifest cannot be read").because(cause),
        }
    }
}

/// The facts by which a change is noticed.
pub fn seen(facts: &Metadata) -> Seen {
    Seen::from(facts)
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
