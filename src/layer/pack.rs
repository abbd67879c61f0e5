//! Stage 6: one tree → one blob of the store, in one pass and in format 1 (`docs/format-1.md`). Reads the files that the
//! tree names, writes to the store, touches nothing else.

use std::num::NonZeroUsize;

use super::compress::BLOCK;
use super::pipe::{Feed, Pipe, Stop};
use super::read;
use super::tar;
use super::tree::{Body, Content, Entry, Mode, Tree};
use crate::error::{Error, Result};
use crate::event::Cancel;
use crate::oci::media::Compression;
use crate::oci::{Descriptor, DiffId};
use crate::store::Store;

/// How many bytes of a file are read at once.
const CHUNK: usize = 256 << 10;
/// About so many bytes stand around an entry's content, in the estimate of a tar's size.
const AROUND: u64 = 1024;
/// The mode of every symbolic link.
const LINK_MODE: u16 = 0o777;
/// The modes of a file by its content: a program, and anything else.
const PROGRAM_MODE: u16 = 0o755;
const PLAIN_MODE: u16 = 0o644;

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

/// Packs one tree into one blob of the store. `threads` compress; the bytes do not depend on how many they are.
/// `progress` is told how many bytes of the tar are done. Of several failures the first in the tree's order is returned.
pub fn pack(
    tree: &Tree,
    compression: Compression,
    store: &Store,
    threads: NonZeroUsize,
    cancel: &Cancel,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Packed, PackError> {
    let threads = threads.get().min(most_blocks(tree));
    run(
        tree,
        &Pipe {
            compression,
            store,
            threads,
            cancel,
            progress,
            #[cfg(test)]
            damage: None,
        },
    )
}

/// Packs one tree through a pipeline.
pub(super) fn run(tree: &Tree, pipe: &Pipe) -> Result<Packed, PackError> {
    let (poured, modes) = pipe.run(|feed| write(tree, pipe.cancel, feed))?;
    let descriptor = Descriptor::new(pipe.compression.layer(), poured.blob.digest, poured.blob.size);
    Ok(Packed { descriptor, diff_id: poured.diff_id, tar_size: poured.tar_size, modes })
}

/// About how many blocks there can be to compress; more threads than that have nothing to do.
fn most_blocks(tree: &Tree) -> usize {
    let size = |entry: &Entry| match &entry.body {
        Body::File(Content::Inline(bytes)) => bytes.len() as u64,
        Body::File(Content::Disk(disk)) => disk.seen.size,
        Body::Directory | Body::Link(_) | Body::Whiteout => 0,
    };
    let total = tree.values().fold(0u64, |total, entry| total.saturating_add(size(entry)).saturating_add(AROUND));
    usize::try_from(total / BLOCK as u64).unwrap_or(usize::MAX).saturating_add(1)
}

/// Writes the whole tar and returns the entries' modes.
fn write(tree: &Tree, cancel: &Cancel, feed: &mut Feed) -> Result<Vec<u16>, Stop> {
    let mut chunk = vec![0; CHUNK];
    let mut modes = Vec::with_capacity(tree.len());
    for (path, entry) in tree {
        cancel.check()?;
        modes.push(write_entry(path, entry, &mut chunk, feed)?);
    }
    feed.put(&tar::END)?;
    Ok(modes)
}

fn write_entry(path: &str, entry: &Entry, chunk: &mut [u8], feed: &mut Feed) -> Result<u16, Stop> {
    let blame = |error: Error| PackError { item: Some(entry.item), error };
    let mut header = Vec::new();
    let mut begin = |mode: u16, size: u64, feed: &mut Feed| -> Result<u16, Stop> {
        tar::header(path, entry, mode, size, &mut header).map_err(blame)?;
        feed.entry(path, (header.len() as u64).saturating_add(size).saturating_add(tar::padding(size) as u64))?;
        feed.put(&header)?;
        Ok(mode)
    };
    match &entry.body {
        Body::Link(_) => begin(LINK_MODE, 0, feed),
        Body::Directory | Body::Whiteout => match entry.mode {
            Mode::Fixed(mode) => begin(mode, 0, feed),
            Mode::ByContent => {
                Err(blame(Error::bug(format!("packing the entry `{path}`: its mode is not set"))).into())
            }
        },
        Body::File(Content::Inline(bytes)) => {
            let mode = begin(file_mode(entry.mode, bytes), bytes.len() as u64, feed)?;
            feed.put(bytes)?;
            end(bytes.len() as u64, feed)?;
            Ok(mode)
        }
        Body::File(Content::Disk(disk)) => {
            let mut source = read::open(disk.path(), disk.seen).map_err(blame)?;
            let mut count = source.fill(chunk).map_err(blame)?;
            let mode = begin(file_mode(entry.mode, chunk.get(..count).unwrap_or_default()), disk.seen.size, feed)?;
            while let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) {
                feed.put(bytes)?;
                count = source.fill(chunk).map_err(blame)?;
            }
            source.finish().map_err(blame)?;
            end(disk.seen.size, feed)?;
            Ok(mode)
        }
    }
}

/// Fills up the last block of a content.
fn end(size: u64, feed: &mut Feed) -> Result<(), Stop> {
    feed.put(tar::END.get(..tar::padding(size)).unwrap_or_default())
}

/// A file's mode, given its first bytes.
fn file_mode(mode: Mode, first: &[u8]) -> u16 {
    match mode {
        Mode::Fixed(mode) => mode,
        Mode::ByContent if first.starts_with(b"\x7fELF") || first.starts_with(b"#!") => PROGRAM_MODE,
        Mode::ByContent => PLAIN_MODE,
    }
}
