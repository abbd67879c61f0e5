//! Stage 6: the blocks of a layer that was made, as the unit of what need not be made again. What a layer is now and what it was in; which
//! bytes of the old blob are bytes of the new one out. Reads that blob; what it gives is proved by its digest's states, block by block.
//!
//! A block is known by what decides its bytes ([`keys`](mod@keys)). Blocks at the begin that are what they were need not even be read:
//! the digests go on from the state that they had behind them. Of those that follow only the tar is made and hashed.

mod keys;
mod past;
mod table;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use super::compress::{self, Reader, Trailer};
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::media::Compression;
use crate::store::{Draft, Parts};

pub use keys::keys;
pub use past::Past;
pub use table::Table;

/// How many bytes are copied at once.
const CHUNK: usize = 256 << 10;

/// One block that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the tar.
    pub size: u32,
    /// The same compressed.
    pub packed: u32,
    /// What was summed up of the tar before it, where the compression sums up.
    pub tar: Summed,
    /// The state of the blob's digest before it.
    pub blob: Vec<u8>,
}

/// What was summed up of a tar at the begin of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summed {
    /// The CRC-32.
    pub crc: u32,
    /// The state of the digest; empty where the tar is the blob.
    pub state: Vec<u8>,
}

/// Where the old layer has a block of the new one.
#[derive(Clone, Copy)]
enum Part {
    /// Here.
    Known(usize),
    /// Here, if anywhere: it stands where it should, in a content that is another one now.
    Perhaps(usize),
    Nowhere,
}

/// What an old blob gives to a new one.
pub struct Reuse<'a> {
    table: &'a Table,
    old: Parts,
    compression: Compression,
    /// So many blocks at the begin are what they were.
    from: usize,
    /// Where each block that follows was, if it was there.
    parts: Vec<Part>,
    /// Where each block of the old layer begins: in the tar, in the blob.
    starts: Vec<(u64, u64)>,
    used: AtomicU64,
    spoiled: AtomicBool,
}

impl<'a> Reuse<'a> {
    /// What the blob of a table, open here, gives to a layer of these blocks; nothing where that is no block.
    pub fn find(table: &'a Table, keys: &[Digest], compression: Compression, old: Parts) -> Option<Reuse<'a>> {
        let (_, rows) = table.rows.split_last()?;
        let most = keys.len().saturating_sub(1);
        let from = rows.iter().zip(keys).take(most).take_while(|(row, key)| row.key == **key).count();
        let later = keys.get(from..most).unwrap_or_default();
        // What is not compressed is as soon made as found.
        let parts = if compression == Compression::None { Vec::new() } else { parts(rows, from, later) };
        let mut at = (0, compress::head(compression).len() as u64);
        let starts = table.rows.iter().map(|row| {
            let start = at;
            at = (at.0 + u64::from(row.mark.size), at.1 + u64::from(row.mark.packed));
            start
        });
        let starts = starts.collect();
        let (used, spoiled) = (AtomicU64::new(from as u64), AtomicBool::new(false));
        let useful = from > 0 || parts.iter().any(|part| !matches!(part, Part::Nowhere));
        useful.then_some(Reuse { table, old, compression, from, parts, starts, used, spoiled })
    }

    /// How many blocks at the begin need not be made.
    pub fn from(&self) -> usize {
        self.from
    }

    /// How many bytes of the tar stand in those.
    pub fn passed(&self) -> u64 {
        self.starts.get(self.from).map_or(0, |start| start.0)
    }

    /// How many blocks came out of the old blob.
    pub fn used(&self) -> u64 {
        if self.is_spoiled() { 0 } else { self.used.load(Ordering::Relaxed) }
    }

    /// Whether the old blob turned out not to be what it was at its begin: the new one is to be made without it.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::Relaxed)
    }

    /// What was found out of the blocks that are not made.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.table.rows.iter().take(self.from).map(|row| &row.mark)
    }

    /// What sums up the tar, as if it had taken all that is not made.
    pub fn sums(&self) -> (Sha256, Trailer) {
        let Some(row) = self.table.rows.get(self.from) else { return Default::default() };
        let hasher = Digest::resumed(&row.mark.tar.state).unwrap_or_default();
        (hasher, Trailer::resumed(row.mark.tar.crc, self.passed()))
    }

    /// Writes the begin of the blob, up to the first block that is made. Fails where it is not what it was.
    pub fn begin(&self, draft: &mut Draft) -> Result<()> {
        let (end, state) = match (self.starts.get(self.from), self.table.rows.get(self.from)) {
            (Some(start), Some(row)) => (start.1, &row.mark.blob),
            _ => return Err(self.spoil()),
        };
        let (mut chunk, mut at) = (vec![0; CHUNK], 0);
        while at < end {
            let count = CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK));
            let room = &mut chunk[..count];
            if !self.old.read(at, room) {
                return Err(self.spoil());
            }
            io::Write::write_all(draft, room).map_err(|cause| draft.failed(cause))?;
            at += count as u64;
        }
        if draft.state() == *state { Ok(()) } else { Err(self.spoil()) }
    }

    fn spoil(&self) -> Error {
        self.spoiled.store(true, Ordering::Relaxed);
        Error::local(format!("the blob {} is not what it was", self.table.blob))
    }

    /// Whether the sums on both sides of a block are those that the old tar had there: then it is the same block, behind the same ones.
    pub fn proves(&self, index: u64, before: &Summed, after: &Summed) -> bool {
        let sums = |at: usize| self.table.rows.get(at).map(|row| &row.mark.tar);
        match self.place(index) {
            Part::Known(at) | Part::Perhaps(at) => sums(at) == Some(before) && sums(at + 1) == Some(after),
            Part::Nowhere => false,
        }
    }

    fn place(&self, index: u64) -> Part {
        let at = usize::try_from(index).ok().and_then(|index| index.checked_sub(self.from));
        at.and_then(|at| self.parts.get(at).copied()).unwrap_or(Part::Nowhere)
    }

    /// Puts a block into `packed` as it stands in the old blob, if it does and is what it was. `proved` where [`Reuse::proves`] says so.
    pub fn part(
        &self,
        (index, proved): (u64, bool),
        content: &[u8],
        packed: &mut Vec<u8>,
        reader: &mut Reader,
    ) -> bool {
        let found = match self.place(index) {
            Part::Known(at) => self.read(at, packed).is_some(),
            Part::Perhaps(at) => self.perhaps(at, proved, content, (packed, reader)).is_some(),
            Part::Nowhere => false,
        };
        self.used.fetch_add(found.into(), Ordering::Relaxed);
        found
    }

    fn perhaps(
        &self,
        at: usize,
        proved: bool,
        content: &[u8],
        (packed, reader): (&mut Vec<u8>, &mut Reader),
    ) -> Option<()> {
        if self.table.rows.get(at)?.mark.size as usize != content.len() {
            return None;
        }
        self.read(at, packed)?;
        (proved || compress::gives(self.compression, packed, content, reader)).then_some(())
    }

    /// Reads a row's block; the digest's state behind it proves it.
    fn read(&self, at: usize, packed: &mut Vec<u8>) -> Option<()> {
        let (mark, next) = (&self.table.rows.get(at)?.mark, &self.table.rows.get(at + 1)?.mark);
        packed.resize(mark.packed as usize, 0);
        self.old.read(self.starts.get(at)?.1, packed).then_some(())?;
        let mut hasher = Digest::resumed(&mark.blob)?;
        hasher.update(&*packed);
        (Digest::state(&hasher) == next.blob).then_some(())
    }
}

/// Where the rows of an old layer have the blocks of these keys, of which the first would be the row `from`. Where a block is not there, the one
/// that followed the last one that was found stands for it.
fn parts(rows: &[table::Row], from: usize, keys: &[Digest]) -> Vec<Part> {
    let places: BTreeMap<&Digest, usize> = rows.iter().enumerate().map(|(at, row)| (&row.key, at)).collect();
    let mut next = from;
    let part = |key: &Digest| {
        let found = places.get(key).copied();
        let at = found.unwrap_or(next);
        next = at + 1;
        match found {
            Some(at) => Part::Known(at),
            None if at < rows.len() => Part::Perhaps(at),
            None => Part::Nowhere,
        }
    };
    keys.iter().map(part).collect()
}
