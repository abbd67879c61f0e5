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

use super::compress::{self, BLOCK, Block, Trailer};
use super::known::Known;
use super::pack::PackError;
use crate::error::{Error, Result};
use crate::event::Cancel;
use crate::oci::media::{Compression, Encoding};
use crate::oci::{DiffId, Digest};
use crate::store::{Draft, Hashed, Store};

/// Slots beyond those that are being compressed: one is filled, one waits for its turn to be written.
const SPARE_SLOTS: usize = 2;
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
}

impl Feed<'_> {
    /// Takes the next bytes of the tar, however they are cut.
    pub fn put(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            if self.slot.bytes.len() == BLOCK {
                self.turn()?;
            }
            let room = BLOCK - self.slot.bytes.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.slot.bytes.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Says that an entry of this path begins, and how many bytes of the tar it takes. A block ends here if the entry has no room in
    /// it, so that the blocks of a large file begin with the file; and now and then by the path alone, so that blocks
    /// far behind an entry that came or went are cut where they were before (`docs/format-1.md`).
    pub fn entry(&mut self, path: &str, extent: u64) -> Result<(), Stop> {
        let full = self.slot.bytes.len();
        let overflows = (full as u64).saturating_add(extent) > BLOCK as u64;
        if full > 0 && (overflows || full >= LEAST && crc32(path.as_bytes()).is_multiple_of(ONE_IN)) {
            self.turn()?;
        }
        Ok(())
    }

    /// Hands a full slot on and begins the next one.
    fn turn(&mut self) -> Result<(), Stop> {
        self.cancel.check()?;
        let mut fresh = self.free.recv().map_err(|_| Stop::Elsewhere)?;
        fresh.index = self.slot.index + 1;
        fresh.bytes.clear();
        fresh.bytes.reserve_exact(BLOCK);
        let full = mem::replace(&mut self.slot, fresh);
        self.next.send(full).map_err(|_| Stop::Elsewhere)
    }

    fn finish(mut self) -> Result<(), Stop> {
        self.cancel.check()?;
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
            let hasher = spawn(scope, move || hash(self.compression.kind, filled, to_pack))?;
            let cancel = self.cancel;
            let filler = spawn(scope, move || {
                let mut feed = Feed { cancel, free, next: to_hash, slot: Slot::default() };
                let value = fill(&mut feed)?;
                feed.finish()?;
                Ok(value)
            })?;
            // One slot is the filler's own from the start.
            (1..depth).for_each(|_| drop(to_fill.send(Slot::default())));
            let written = self.write(packed, to_fill, &mut draft);
            let (filled, summed) = (join(filler)?, join(hasher)?);
            let tar_size = written?;
            let value = filled.map_err(|stop| match stop {
                Stop::Failed(error) => error,
                Stop::Elsewhere => Error::bug("packing a layer: a thread ended too early").into(),
            })?;
            Ok((self.publish(draft, summed, tar_size)?, value))
        })
    }

    /// Compresses slots until no more come. A panic is an outcome too: without one, the others would wait for its slot.
    fn work(&self, hashed: &Mutex<Receiver<Slot>>, to_write: &SyncSender<(Slot, Result<()>)>) {
        let mut scratch = Vec::new();
        loop {
            let received = hashed.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut slot) = received else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| self.compress(&mut slot, &mut scratch)))
                .unwrap_or_else(|_| Err(Error::bug("packing a layer: a thread panicked")));
            if to_write.send((slot, outcome)).is_err() {
                return;
            }
        }
    }

    /// Compresses one slot and proves that it can be read back.
    fn compress(&self, slot: &mut Slot, scratch: &mut Vec<u8>) -> Result<()> {
        let mut packed = mem::take(&mut slot.packed);
        compress::pack(self.compression, slot.block(), &mut packed)?;
        #[cfg(test)]
        if let Some(damage) = self.damage {
            damage(slot.index, &mut packed);
        }
        compress::seal(self.compression.kind, slot.block(), &mut packed, scratch)?;
        slot.packed = packed;
        Ok(())
    }

    /// Writes what comes in the order of the tar and gives the slots back; the bytes of the tar.
    fn write(&self, packed: Receiver<(Slot, Result<()>)>, to_fill: SyncSender<Slot>, draft: &mut Draft) -> Result<u64> {
        put(draft, compress::head(self.compression.kind))?;
        let (mut early, mut next, mut size) = (BTreeMap::new(), 0, 0);
        for (slot, outcome) in packed {
            early.insert(slot.index, (slot, outcome));
            while let Some((slot, outcome)) = early.remove(&next) {
                outcome?;
                put(draft, &slot.packed)?;
                size += slot.block().content.len() as u64;
                (self.progress)(size);
                next += 1;
                // The filler may have ended already; then nobody needs the slot.
                let _ = to_fill.send(slot);
            }
        }
        Ok(size)
    }

    fn publish(&self, mut draft: Draft, (tar, trailer): (Option<Digest>, Trailer), tar_size: u64) -> Result<Poured> {
        if self.compression.kind == Compression::Gzip {
            put(&mut draft, &trailer.bytes())?;
        }
        let blob = draft.finish(None)?;
        Ok(Poured { blob, diff_id: DiffId(tar.unwrap_or(blob.digest)), tar_size })
    }
}

/// Sums up the tar on its way; a tar that is not compressed gets its digest where it is written.
fn hash(compression: Compression, filled: Receiver<Slot>, to_pack: SyncSender<Slot>) -> (Option<Digest>, Trailer) {
    let (mut hasher, mut trailer) = (Sha256::new(), Trailer::default());
    for slot in filled {
        if compression != Compression::None {
            hasher.update(slot.block().content);
        }
        if compression == Compression::Gzip {
            trailer.update(slot.block().content);
        }
        if to_pack.send(slot).is_err() {
            break;
        }
    }
    ((compression != Compression::None).then(|| Digest::finish(hasher)), trailer)
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
