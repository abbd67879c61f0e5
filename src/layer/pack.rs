//! Stage 6: one tree → one blob of the store, in one pass and in format 1 (`docs/format-1.md`). Reads the files that the
//! tree names, writes to the store, touches nothing else.

use std::num::NonZeroUsize;

use super::compress::BLOCK;
use super::known::{Known, is_program};
use super::look::Contents;
use super::pipe::{Feed, Pipe, Stop};
use super::read;
use super::tar;
use super::tree::{Body, Entry, Mode};
use super::twins::{Firsts, Twinned};
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
    let threads = threads.get().min(most_blocks(&tree));
    run(
        &tree,
        &Pipe {
            compression,
            store,
            threads,
            cancel,
            progress,
            known,
            #[cfg(test)]
            damage: None,
        },
    )
}

/// Packs one tree through a pipeline.
pub(super) fn run(tree: &Twinned, pipe: &Pipe) -> Result<Packed, PackError> {
    let (poured, (modes, facts)) = pipe.run(|feed| write(tree, pipe, feed))?;
    let descriptor = Descriptor::new(pipe.compression.kind.layer(), poured.blob.digest, poured.blob.size);
    Ok(Packed { descriptor, diff_id: poured.diff_id, tar_size: poured.tar_size, modes, facts })
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

/// Writes the whole tar and returns the entries' modes and what their contents say.
fn write(tree: &Twinned, pipe: &Pipe, feed: &mut Feed) -> Result<(Vec<u16>, Contents), Stop> {
    let (mut chunk, mut firsts) = (vec![0; CHUNK], Firsts::default());
    let (mut modes, mut contents) = (Vec::with_capacity(tree.tree.len()), Contents::new());
    for (at, (path, entry)) in tree.tree.iter().enumerate() {
        pipe.cancel.check()?;
        let number = tree.number(at);
        let (mode, facts) = match number.and_then(|number| firsts.find(number, entry)) {
            Some(first) => (begin(path, entry, first.mode, (0, Some(first.to)), feed)?, first.facts),
            None => {
                let (mode, program, facts) = write_entry(path, entry, pipe, &mut chunk, feed)?;
                number.into_iter().for_each(|number| firsts.add(number, path, entry, mode, (program, &facts)));
                (mode, facts)
            }
        };
        modes.push(mode);
        if !facts.is_empty() {
            contents.insert(path.to_string(), facts);
        }
    }
    feed.put(&tar::END)?;
    Ok((modes, contents))
}

/// Writes what stands before the content of an entry, or a link in its place; its mode.
fn begin(
    path: &str,
    entry: &Entry,
    mode: u16,
    (size, twin): (u64, Option<&str>),
    feed: &mut Feed,
) -> Result<u16, Stop> {
    let mut header = Vec::new();
    let blame = |error: Error| PackError { item: Some(entry.item), error };
    tar::header(path, entry, mode, (size, twin), &mut header).map_err(blame)?;
    feed.entry(path, (header.len() as u64).saturating_add(size).saturating_add(tar::padding(size) as u64))?;
    feed.put(&header)?;
    Ok(mode)
}

/// Writes a whole entry; its mode, whether its content is a program, and what it says.
fn write_entry(
    path: &str,
    entry: &Entry,
    pipe: &Pipe,
    chunk: &mut [u8],
    feed: &mut Feed,
) -> Result<(u16, bool, Facts), Stop> {
    let blame = |error: Error| PackError { item: Some(entry.item), error };
    match &entry.body {
        Body::Link(_) => Ok((begin(path, entry, LINK_MODE, (0, None), feed)?, false, Facts::default())),
        Body::Directory | Body::Whiteout => match entry.mode {
            Mode::Fixed(mode) => Ok((begin(path, entry, mode, (0, None), feed)?, false, Facts::default())),
            Mode::ByContent => {
                Err(blame(Error::bug(format!("packing the entry `{path}`: its mode is not set"))).into())
            }
        },
        Body::File(content) => {
            let mut source = read::content(content, pipe.store).map_err(blame)?;
            let mut count = source.fill(chunk).map_err(blame)?;
            let first = chunk.get(..count).unwrap_or_default();
            let (mode, program) = (file_mode(entry.mode, first), is_program(first));
            begin(path, entry, mode, (content.size(), None), feed)?;
            let mut reading = pipe.known.reading(content);
            while let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) {
                reading.piece(bytes);
                feed.put(bytes)?;
                count = source.fill(chunk).map_err(blame)?;
            }
            source.finish().map_err(blame)?;
            end(content.size(), feed)?;
            Ok((mode, program, reading.end()))
        }
    }
}

/// Fills up the last block of a content.
fn end(size: u64, feed: &mut Feed) -> Result<(), Stop> {
    feed.put(tar::END.get(..tar::padding(size)).unwrap_or_default())
}

/// A file's mode, given its first bytes.
pub fn file_mode(mode: Mode, first: &[u8]) -> u16 {
    match mode {
        Mode::Fixed(mode) => mode,
        Mode::ByContent if is_program(first) => PROGRAM_MODE,
        Mode::ByContent => PLAIN_MODE,
    }
}
