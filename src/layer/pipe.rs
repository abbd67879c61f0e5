//! Stage 6: the pipeline of a layer: fill → hash → compress and prove → write, all at the same time, in blocks. Bytes of a
//! tar in, one blob of the store out, or nothing. Touches the store; memory is bounded by the number of slots.

use std::collections::BTreeMap;
use std::io::Write;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use libdeflater::crc32;
use sha2::{Digest as _, Sha256};

use super::blocks::{Mark, Reuse, Summed};
use super::compress::{self, BLOCK, Block, Reader, Trailer};
use super::known::Known;
use super::pack::PackError;
use crate::error::{Error, Result};
use crate::event::Cancel;
use crate::oci::media::{Compression, Encoding};
use crate::oci::{DiffId, Digest};
use crate::store::{Draft, Hashed, Store};

/// Slots beyond those that are being compressed: one is filled, one summed up, one written, one waits for its turn.
const SPARE_SLOTS: usize = 4;
/// From so many bytes on, a block ends before one entry in so many, by the entry's path.
const LEAST: usize = BLOCK / 8 * 5;
const ONE_IN: u32 = 8;

/// What a pipeline needs.
pub struct Pipe<'a> {
    /// How the blob is compressed.
    pub compression: Encoding,
    /// Where the blob goes.
    pub store: &'a Store,
    /// How many threads compress.
    pub threads: usize,
    /// The wish to stop.
    pub cancel: &'a Cancel,
    /// Told how many bytes of the tar are done, after each block.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Told what the contents say.
    pub known: &'a Known,
    /// What an old blob gives.
    pub reuse: Option<&'a Reuse<'a>>,
    /// Spoils a compressed block (its index, its bytes) before it is proved.
    #[cfg(test)]
    pub damage: Option<fn(u64, &mut Vec<u8>)>,
}

/// What came out of a pipeline.
pub struct Poured {
    /// The blob.
    pub blob: Hashed,
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The bytes of the tar.
    pub tar_size: u64,
    /// What was found out of all blocks.
    pub marks: Vec<Mark>,
}

/// Why filling ended early.
pub enum Stop {
    /// It failed.
    Failed(PackError),
    /// Another thread failed, and says why.
    Elsewhere,
}

impl<E: Into<PackError>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Failed(error.into())
    }
}

/// One block on its way through the pipeline, with room for what it becomes.
#[derive(Default)]
struct Slot {
    index: u64,
    last: bool,
    /// Whether it is the block that an old layer had there, whose contents may have changed elsewhere.
    proved: bool,
    bytes: Vec<u8>,
    packed: Vec<u8>,
}

impl Slot {
    fn block(&self) -> Block<'_> {
        Block { content: &self.bytes, last: self.last }
    }
}

/// The open end of the pipeline.
pub struct Feed<'a> {
    cancel: &'a Cancel,
    free: Receiver<Slot>,
    next: SyncSender<Slot>,
    slot: Slot,
    /// Which block is open, and how many bytes are in it.
    at: u64,
    full: usize,
    /// Blocks before this one are counted and not made.
    from: u64,
}

/// Whether a block with so many bytes in it ends before an entry of this path, which takes so many bytes of the tar. It does if the entry
/// has no room in it, so that the blocks of a large file begin with the file; and now and then by the path alone, so that blocks
/// far behind an entry that came or went are cut where they were before (`docs/format-1.md`).
pub fn ends_before(full: usize, path: &str, extent: u64) -> bool {
    let overflows = (full as u64).saturating_add(extent) > BLOCK as u64;
    full > 0 && (overflows || full >= LEAST && crc32(path.as_bytes()).is_multiple_of(ONE_IN))
}

impl Feed<'_> {
    /// Whether the open block is one that is not made.
    pub fn is_passing(&self) -> bool {
        self.at < self.from
    }

    /// Takes the next bytes of the tar, however they are cut.
    pub fn put(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            if self.full == BLOCK {
                self.turn()?;
            }
            let room = BLOCK - self.full;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if !self.is_passing() {
                self.slot.bytes.extend_from_slice(now);
            }
            self.full += now.len();
            bytes = later;
        }
        Ok(())
    }

    /// Passes over those of the next bytes that stand in blocks that are not made; how many of `most` that are.
    pub fn pass(&mut self, most: u64) -> Result<u64, Stop> {
        let mut passed = 0;
        while passed < most {
            if self.full == BLOCK {
                self.turn()?;
            }
            if !self.is_passing() {
                break;
            }
            let now = (BLOCK - self.full).min(usize::try_from(most - passed).unwrap_or(BLOCK));
            self.full += now;
            passed += now as u64;
        }
        Ok(passed)
    }

    /// Says that an entry of this path begins, and how many bytes of the tar it takes.
    pub fn entry(&mut self, path: &str, extent: u64) -> Result<(), Stop> {
        if ends_before(self.full, path, extent) {
            self.turn()?;
        }
        Ok(())
    }

    /// Hands a full slot on and begins the next one.
    fn turn(&mut self) -> Result<(), Stop> {
        self.cancel.check()?;
        let made = !self.is_passing();
        self.at += 1;
        self.full = 0;
        if !made {
            return Ok(());
        }
        let mut fresh = self.free.recv().map_err(|_| Stop::Elsewhere)?;
        fresh.index = self.at;
        fresh.bytes.clear();
        fresh.bytes.reserve_exact(BLOCK);
        let full = mem::replace(&mut self.slot, fresh);
        self.next.send(full).map_err(|_| Stop::Elsewhere)
    }

    fn finish(mut self) -> Result<(), Stop> {
        self.cancel.check()?;
        if self.is_passing() {
            return Err(Error::bug("packing a layer: it ends before the first block that is to be made").into());
        }
        self.slot.last = true;
        self.next.send(self.slot).map_err(|_| Stop::Elsewhere)
    }
}

impl Pipe<'_> {
    /// Runs `fill`, and everything behind it at the same time. Of several failures the one that stands first in the tar counts.
    pub fn run<T: Send>(
        &self,
        fill: impl FnOnce(&mut Feed) -> Result<T, Stop> + Send,
    ) -> Result<(Poured, T), PackError> {
        let depth = self.threads + SPARE_SLOTS;
        let mut draft = self.store.draft()?;
        scope(|scope| {
            let (to_fill, free) = sync_channel(depth);
            let (to_hash, filled) = sync_channel(depth);
            let (to_pack, hashed) = sync_channel(depth);
            let (to_write, packed) = sync_channel(depth);
            let hashed = Arc::new(Mutex::new(hashed));
            for _ in 0..self.threads {
                let (hashed, to_write) = (hashed.clone(), to_write.clone());
                spawn(scope, move || self.work(&hashed, &to_write))?;
            }
            drop((hashed, to_write));
            let hasher = spawn(scope, move || self.hash(filled, to_pack))?;
            let (cancel, from) = (self.cancel, self.first());
            let filler = spawn(scope, move || {
                let slot = Slot { index: from, ..Slot::default() };
                let mut feed = Feed { cancel, free, next: to_hash, slot, at: 0, full: 0, from };
                let value = fill(&mut feed)?;
                feed.finish()?;
                Ok(value)
            })?;
            // One slot is the filler's own from the start.
            (1..depth).for_each(|_| drop(to_fill.send(Slot::default())));
            let written = self.write(packed, to_fill, &mut draft);
            let (filled, summed) = (join(filler)?, join(hasher)?);
            let written = written?;
            let value = filled.map_err(|stop| match stop {
                Stop::Failed(error) => error,
                Stop::Elsewhere => Error::bug("packing a layer: a thread ended too early").into(),
            })?;
            Ok((self.publish(draft, summed, written)?, value))
        })
    }

    /// The first block that is made.
    fn first(&self) -> u64 {
        self.reuse.map_or(0, |reuse| reuse.from() as u64)
    }

    /// Compresses slots until no more come. A panic is an outcome too: without one, the others would wait for its slot.
    fn work(&self, hashed: &Mutex<Receiver<Slot>>, to_write: &SyncSender<(Slot, Result<()>)>) {
        let mut reader = Reader::default();
        loop {
            let received = hashed.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut slot) = received else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| self.compress(&mut slot, &mut reader)))
                .unwrap_or_else(|_| Err(Error::bug("packing a layer: a thread panicked")));
            if to_write.send((slot, outcome)).is_err() {
                return;
            }
        }
    }

    /// Compresses one slot and proves that it can be read back, unless it was done before.
    fn compress(&self, slot: &mut Slot, reader: &mut Reader) -> Result<()> {
        let mut packed = mem::take(&mut slot.packed);
        let (at, content) = ((slot.index, slot.proved), &slot.bytes);
        if !slot.last && self.reuse.is_some_and(|reuse| reuse.part(at, content, &mut packed, reader)) {
            slot.packed = packed;
            return Ok(());
        }
        compress::pack(self.compression, slot.block(), &mut packed)?;
        #[cfg(test)]
        if let Some(damage) = self.damage {
            damage(slot.index, &mut packed);
        }
        compress::seal(self.compression.kind, slot.block(), &mut packed, reader)?;
        slot.packed = packed;
        Ok(())
    }

    /// Sums up the tar on its way; a tar that is not compressed gets its digest where it is written. Beside that, the sums before each block.
    fn hash(&self, filled: Receiver<Slot>, to_pack: SyncSender<Slot>) -> (Option<Digest>, Trailer, Vec<Summed>) {
        let (mut hasher, mut trailer) = self.reuse.map(Reuse::sums).unwrap_or_default();
        let (compression, mut sums) = (self.compression.kind, Vec::new());
        let summed = |hasher: &Sha256, trailer: &Trailer| match compression {
            Compression::None => Summed::default(),
            _ => Summed { crc: trailer.crc(), state: Digest::state(hasher) },
        };
        let mut before = summed(&hasher, &trailer);
        for mut slot in filled {
            if compression != Compression::None {
                hasher.update(slot.block().content);
            }
            if compression == Compression::Gzip {
                trailer.update(slot.block().content);
            }
            let after = summed(&hasher, &trailer);
            slot.proved = self.reuse.is_some_and(|reuse| reuse.proves(slot.index, &before, &after));
            sums.push(mem::replace(&mut before, after));
            if to_pack.send(slot).is_err() {
                break;
            }
        }
        ((compression != Compression::None).then(|| Digest::finish(hasher)), trailer, sums)
    }

    /// Writes what comes in the order of the tar and gives the slots back. The bytes of the tar, and what was found out of each block.
    fn write(
        &self,
        packed: Receiver<(Slot, Result<()>)>,
        to_fill: SyncSender<Slot>,
        draft: &mut Draft,
    ) -> Result<(u64, Vec<Mark>)> {
        match self.reuse {
            Some(reuse) => reuse.begin(draft)?,
            None => put(draft, compress::head(self.compression.kind))?,
        }
        let mut size = self.reuse.map_or(0, Reuse::passed);
        let (mut early, mut next, mut marks) = (BTreeMap::new(), self.first(), Vec::new());
        for (slot, outcome) in packed {
            early.insert(slot.index, (slot, outcome));
            while let Some((slot, outcome)) = early.remove(&next) {
                outcome?;
                let blob = draft.state();
                put(draft, &slot.packed)?;
                let (length, packed) = (slot.bytes.len(), slot.packed.len());
                marks.push(Mark { size: length as u32, packed: packed as u32, tar: Summed::default(), blob });
                size += length as u64;
                (self.progress)(size);
                next += 1;
                // The filler may have ended already; then nobody needs the slot.
                let _ = to_fill.send(slot);
            }
        }
        Ok((size, marks))
    }

    fn publish(
        &self,
        mut draft: Draft,
        (tar, trailer, sums): (Option<Digest>, Trailer, Vec<Summed>),
        (tar_size, mut marks): (u64, Vec<Mark>),
    ) -> Result<Poured> {
        if self.compression.kind == Compression::Gzip {
            put(&mut draft, &trailer.bytes())?;
        }
        let blob = draft.finish(None)?;
        marks.iter_mut().zip(sums).for_each(|(mark, sum)| mark.tar = sum);
        let marks = self.reuse.iter().flat_map(|reuse| reuse.marks()).cloned().chain(marks).collect();
        Ok(Poured { blob, diff_id: DiffId(tar.unwrap_or(blob.digest)), tar_size, marks })
    }
}

fn put(draft: &mut Draft, bytes: &[u8]) -> Result<()> {
    draft.write_all(bytes).map_err(|cause| draft.failed(cause))
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new()
        .name("pack".to_string())
        .spawn_scoped(scope, work)
        .map_err(|cause| Error::io("starting a thread", cause).hint("run with fewer `--jobs`"))
}

fn join<T>(thread: ScopedJoinHandle<T>) -> Result<T> {
    thread.join().map_err(|_| Error::bug("packing a layer: a thread panicked"))
}
