//! Stage 9: a blob of the store on its way to a registry. An open file in, a body that can be read from any place out. Its digest is taken while it
//! is sent, and its last bytes are held back from a registry unless they are the right ones; what was made or hashed before is only sent.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::blobs::{Checked, checked};
use crate::event::{Event, Sink};
use crate::oci::Descriptor;
use crate::registry::Body;
use crate::store::{Seen, Store};

/// How many bytes are taken at once that nobody asked for.
const PIECE: usize = 64 << 10;

/// A body in an open file of the store, which tells how far it is.
#[derive(Clone)]
pub struct Content {
    file: Arc<File>,
    what: String,
    sink: Sink,
    /// What is known of the bytes so far; `None` if they are known to be right.
    proof: Option<Arc<Mutex<Proof>>>,
}

impl Content {
    /// The body of a blob whose file this is, and what it is called where it is told how much of it is sent.
    pub fn new(store: &Store, file: File, descriptor: &Descriptor, (what, sink): (&str, &Sink)) -> io::Result<Content> {
        let proof = match store.is_unchanged(&descriptor.digest, &file) {
            true => None,
            false => Some(Arc::new(Mutex::new(Proof {
                store: store.clone(),
                descriptor: descriptor.clone(),
                seen: Seen::of(&file)?,
                check: checked((), descriptor),
                spoiled: false,
            }))),
        };
        Ok(Content { file: Arc::new(file), what: what.to_string(), sink: sink.clone(), proof })
    }

    /// Whether the file turned out to hold other bytes.
    pub fn is_spoiled(&self) -> bool {
        self.proof.as_ref().is_some_and(|proof| lock(proof).spoiled)
    }
}

impl Body for Content {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        if let Some(proof) = &self.proof {
            lock(proof).go_on(Seen::of(&self.file)?);
        }
        Ok(Box::new(At { content: self.clone(), offset }))
    }
}

/// A reader with a position of its own in a shared file.
struct At {
    content: Content,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Content { file, what, sink, proof } = &self.content;
        let count = file.read_at(buffer, self.offset)?;
        if let Some(proof) = proof {
            lock(proof).take(file, self.offset, buffer.get(..count).unwrap_or_default())?;
        }
        let before = self.offset;
        self.offset += count as u64;
        if before >> 20 != self.offset >> 20 {
            sink(Event::Step { what: what.clone(), done: self.offset });
        }
        Ok(count)
    }
}

fn lock(proof: &Mutex<Proof>) -> std::sync::MutexGuard<'_, Proof> {
    proof.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A check of what is read. What is read twice counts once.
struct Proof {
    store: Store,
    descriptor: Descriptor,
    seen: Seen,
    check: Checked<()>,
    spoiled: bool,
}

impl Proof {
    /// Goes on with what was read, or begins anew if the file changed since.
    fn go_on(&mut self, seen: Seen) {
        if self.seen != seen {
            (self.seen, self.check) = (seen, checked((), &self.descriptor));
        }
    }

    /// Takes bytes that were read at a place, none at the end of the file; fails if they are the last ones, and all together are not what the blob
    /// is called.
    fn take(&mut self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        let taken = self.judge(file, at, bytes);
        self.spoiled |= taken.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::InvalidData);
        taken
    }

    fn judge(&mut self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        // What stands before the place and was not read.
        while self.check.taken() < at {
            let mut piece = vec![0; usize::try_from(at - self.check.taken()).unwrap_or(PIECE).min(PIECE)];
            let count = file.read_at(&mut piece, self.check.taken())?;
            self.check.take(piece.get(..count).unwrap_or_default())?;
        }
        let old = usize::try_from(self.check.taken() - at).unwrap_or(usize::MAX);
        if let Some(new) = bytes.get(old..).filter(|new| !new.is_empty()) {
            self.check.take(new)?;
        }
        if bytes.is_empty() || self.check.taken() == self.descriptor.size {
            self.check.take(&[])?;
            self.store.proved(&self.descriptor.digest, file, self.seen);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, FileTimes};
    use std::path::Path;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::event::nowhere;
    use crate::store::Memory;

    /// A blob in a store that does not know it, with these bytes in its place.
    fn content(room: &Path, bytes: &[u8], found: &[u8]) -> (Store, Descriptor, Content) {
        let (store, descriptor) = (Store::new(room, Memory::Full, nowhere()), Descriptor::of("x", bytes));
        let path = store.root().join("blobs/sha256").join(descriptor.digest.hex());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
        File::open(&path).unwrap().set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
        let (file, _) = store.find(&descriptor.digest).unwrap().unwrap();
        let content = Content::new(&store, file, &descriptor, ("a blob", &nowhere())).unwrap();
        (store, descriptor, content)
    }

    fn text() -> Vec<u8> {
        (0..5 * PIECE as u32).map(|at| (at / 7) as u8).collect()
    }

    /// What is read from a place on, so many bytes at most, and how it ended.
    fn read(content: &Content, from: u64, most: usize) -> (Vec<u8>, io::Result<()>) {
        let mut reader = content.open(from).unwrap().take(most as u64);
        let mut bytes = Vec::new();
        let ended = reader.read_to_end(&mut bytes).map(drop);
        (bytes, ended)
    }

    #[test]
    fn right_bytes_are_known_to_be_right_once_they_were_sent() {
        let (room, text) = (tempfile::tempdir().unwrap(), text());
        let (store, descriptor, content) = content(room.path(), &text, &text);
        assert!(!store.is_unchanged(&descriptor.digest, &content.file));
        let (bytes, ended) = read(&content, 0, text.len());
        assert!(bytes == text && ended.is_ok() && !content.is_spoiled());
        assert!(store.is_unchanged(&descriptor.digest, &content.file));
        let again = Content::new(&store, content.file.try_clone().unwrap(), &descriptor, ("it", &nowhere())).unwrap();
        assert!(again.proof.is_none() && read(&again, 0, text.len()).0 == text);
    }

    #[test]
    fn the_last_bytes_of_a_spoiled_blob_are_held_back() {
        let (room, text) = (tempfile::tempdir().unwrap(), text());
        for at in [0, PIECE, text.len() - 1] {
            let mut other = text.clone();
            other[at] ^= 1;
            let (_, _, content) = content(room.path(), &text, &other);
            let (bytes, ended) = read(&content, 0, text.len());
            assert!(bytes.len() < text.len() && ended.is_err() && content.is_spoiled(), "{at}");
            assert!(read(&content, 0, 1).1.is_err(), "nor is it sent again");
        }
        let (_, _, content) = content(room.path(), &text, &text[..text.len() - 1]);
        assert!(read(&content, 0, text.len()).1.is_err() && content.is_spoiled());
    }

    #[test]
    fn bytes_that_are_sent_again_or_from_within_count_once() {
        let (room, text) = (tempfile::tempdir().unwrap(), text());
        for (first, then) in [(PIECE + 9, 0), (PIECE + 9, PIECE as u64 + 9), (PIECE, 7), (9, 3 * PIECE as u64 + 1)] {
            let (store, descriptor, content) = content(room.path(), &text, &text);
            assert!(read(&content, 0, first).0 == text[..first]);
            let (bytes, ended) = read(&content, then, text.len());
            assert!(bytes == text[then as usize..] && ended.is_ok(), "{first} {then}");
            assert!(store.is_unchanged(&descriptor.digest, &content.file), "{first} {then}");
        }
        // Unless they changed in between.
        let (store, descriptor, content) = content(room.path(), &text, &text);
        assert!(read(&content, 0, text.len()).1.is_ok());
        let path = store.root().join("blobs/sha256").join(descriptor.digest.hex());
        fs::write(&path, [&text[..text.len() - 1], b"x"].concat()).unwrap();
        File::open(&path).unwrap().set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
        assert!(read(&content, 0, text.len()).1.is_err() && content.is_spoiled());
    }
}
