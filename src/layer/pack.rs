//! Stage 6: one tree → one blob of the store, in one pass and in format 1 (`docs/format-1.md`). Reads the files that the
//! tree names, writes to the store, touches nothing else.

use std::num::NonZeroUsize;

use super::blocks::{Mark, Reuse};
use super::compress::BLOCK;
use super::known::{Known, Reading, is_program};
use super::look::Contents;
use super::pipe::{Feed, Pipe, Stop};
use super::read::{self, Source};
use super::tree::{Body, Content, Entry, Mode};
use super::twins::Twinned;
use super::write::{Sink, write};
use crate::error::{Error, Result};
use crate::event::Cancel;
use crate::facts::Facts;
use crate::oci::media::Encoding;
use crate::oci::{Descriptor, DiffId};
use crate::store::Store;

/// How many bytes of a file are read at once.
const CHUNK: usize = 256 << 10;
/// About so many bytes stand around an entry's content, in the estimate of a tar's size.
const AROUND: u64 = 1024;
/// The mode of every symbolic link.
pub const LINK_MODE: u16 = 0o777;
/// The mode of a file whose content makes it a program.
pub const PROGRAM_MODE: u16 = 0o755;
/// The mode of anything else.
pub const PLAIN_MODE: u16 = 0o644;

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The blob, with the OCI media type of its compression.
    pub descriptor: Descriptor,
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The bytes of the tar.
    pub tar_size: u64,
    /// The mode that each entry got, in the order of the tree.
    pub modes: Vec<u16>,
    /// What the contents say that say something, by their paths.
    pub facts: Contents,
}

/// Why a tree was not packed; nothing was published.
#[derive(Debug)]
pub struct PackError {
    /// The manifest's item whose entry is to blame, if one is.
    pub item: Option<u32>,
    /// What happened.
    pub error: Error,
}

impl From<Error> for PackError {
    fn from(error: Error) -> PackError {
        PackError { item: None, error }
    }
}

/// Packs one tree, with the links that were found in it, into one blob of the store. `threads` compress; the bytes do not depend on how many they are.
/// `progress` is told how many bytes of the tar are done, `known` what the contents say. Of several failures the first in the tree's order is returned.
pub fn pack<'a>(
    tree: impl Into<Twinned<'a>>,
    compression: Encoding,
    store: &Store,
    threads: NonZeroUsize,
    cancel: &Cancel,
    progress: &(dyn Fn(u64) + Sync),
    known: &Known,
) -> Result<Packed, PackError> {
    let tree = tree.into();
    let threads = most_threads(&tree, threads);
    let pipe = Pipe {
        compression,
        store,
        threads,
        cancel,
        progress,
        known,
        reuse: None,
        #[cfg(test)]
        damage: None,
    };
    Ok(run(&tree, &pipe)?.0)
}

/// Packs one tree through a pipeline. Beside the layer, what was found out of its blocks: those from the first one on that was made.
pub(super) fn run(tree: &Twinned, pipe: &Pipe) -> Result<(Packed, Vec<Mark>), PackError> {
    match through(tree, pipe) {
        Err(_) if pipe.reuse.is_some_and(Reuse::is_spoiled) => through(tree, &Pipe { reuse: None, ..*pipe }),
        done => done,
    }
}

fn through(tree: &Twinned, pipe: &Pipe) -> Result<(Packed, Vec<Mark>), PackError> {
    let (poured, (modes, facts)) = pipe.run(|feed| {
        let mut files = Files { pipe, feed, chunk: vec![0; CHUNK] };
        write(tree, pipe.cancel, &mut files)
    })?;
    let descriptor = Descriptor::new(pipe.compression.kind.layer(), poured.blob.digest, poured.blob.size);
    let packed = Packed { descriptor, diff_id: poured.diff_id, tar_size: poured.tar_size, modes, facts };
    Ok((packed, poured.marks))
}

/// How many threads there is something to do for.
pub(super) fn most_threads(tree: &Twinned, threads: NonZeroUsize) -> usize {
    threads.get().min(most_blocks(tree))
}

/// About how many blocks there can be to compress; more threads than that have nothing to do.
fn most_blocks(tree: &Twinned) -> usize {
    let size = |entry: &Entry| match &entry.body {
        Body::File(content) => content.size(),
        Body::Directory | Body::Link(_) | Body::Whiteout => 0,
    };
    let total = tree.tree.values().fold(0u64, |total, entry| total.saturating_add(size(entry)).saturating_add(AROUND));
    usize::try_from(total / BLOCK as u64).unwrap_or(usize::MAX).saturating_add(1)
}

/// The contents of files on their way into a pipeline.
struct Files<'p, 'f, 'c> {
    pipe: &'p Pipe<'p>,
    feed: &'f mut Feed<'c>,
    chunk: Vec<u8>,
}

/// A content on its way.
enum Open {
    /// It is read, and so many bytes of it are at hand.
    Read(Source, usize),
    /// It may stand where nobody wants it; that is what it says.
    Perhaps(Facts),
}

impl Sink for Files<'_, '_, '_> {
    type Open = Open;

    fn open(&mut self, entry: &Entry, content: &Content) -> Result<(bool, Open), Stop> {
        let passing = self.feed.is_passing() && !matches!(content, Content::Inline(_));
        let known = if passing { self.pipe.known.fact(content) } else { None };
        if let Some(fact) = known {
            return Ok((fact.program, Open::Perhaps(fact.facts)));
        }
        let blame = |error: Error| PackError { item: Some(entry.item), error };
        let mut source = read::content(content, self.pipe.store).map_err(blame)?;
        let count = source.fill(&mut self.chunk).map_err(blame)?;
        Ok((is_program(self.chunk.get(..count).unwrap_or_default()), Open::Read(source, count)))
    }

    fn entry(&mut self, path: &str, extent: u64) -> Result<(), Stop> {
        self.feed.entry(path, extent)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.feed.put(bytes)
    }

    fn pour(&mut self, entry: &Entry, content: &Content, open: Open) -> Result<Facts, Stop> {
        let blame = |error: Error| PackError { item: Some(entry.item), error };
        let (known, chunk) = (self.pipe.known, &mut self.chunk);
        let (mut source, mut count, mut reading, told) = match open {
            Open::Read(source, count) => (source, count, Some(known.reading(content)), Facts::default()),
            Open::Perhaps(facts) => {
                let passed = self.feed.pass(content.size())?;
                if passed == content.size() {
                    return Ok(facts);
                }
                let mut source = read::content(content, self.pipe.store).map_err(blame)?;
                source.skip(passed).map_err(blame)?;
                known.count(content.size() - passed);
                let count = source.fill(chunk).map_err(blame)?;
                (source, count, None, facts)
            }
        };
        while let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) {
            reading.iter_mut().for_each(|reading| reading.piece(bytes));
            self.feed.put(bytes)?;
            count = source.fill(chunk).map_err(blame)?;
        }
        source.finish().map_err(blame)?;
        Ok(reading.map_or(told, Reading::end))
    }
}

/// A file's mode, given its first bytes.
pub fn file_mode(mode: Mode, first: &[u8]) -> u16 {
    mode_of(mode, is_program(first))
}

/// A file's mode, given whether its first bytes make it a program.
pub(super) fn mode_of(mode: Mode, program: bool) -> u16 {
    match mode {
        Mode::Fixed(mode) => mode,
        Mode::ByContent if program => PROGRAM_MODE,
        Mode::ByContent => PLAIN_MODE,
    }
}
