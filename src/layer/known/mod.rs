//! Stage 6: what is known of contents without reading them. How a file looks, or where in the store it is, in; what its bytes said when
//! they were last read out. May use the store's memory, and knows the time, to tell what is too young to be remembered.
//!
//! A file is known by device, inode, size, modification time and change time, all to the nanosecond. Whoever reads a content whole
//! looks at it through a [`reading::Reading`], so that nothing is hashed or searched twice (`docs/caching.md`).

mod reading;
pub mod table;

pub use reading::{Reading, is_program};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::table::{Joined, Table};
use super::tree::{Content, Seen};
use crate::ctx::Ctx;
use crate::event::Event;
use crate::facts::Facts;
use crate::facts::programs::Nature;
use crate::oci::Digest;
use crate::source::Stretch;
use crate::store::{Memory, Moment};

/// The kind under which the contents of a project are remembered.
const KIND: &str = "contents-1";
/// What is remembered is as good as the program that said it.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// Most contents that are remembered of a project, and most that no build has asked for.
const MOST_ROWS: usize = 4 << 20;
const MOST_IDLE: usize = 4096;

/// What a content said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// Its identity: equal ones are of equal bytes.
    pub id: Option<Digest>,
    /// Whether its first bytes make it a program where no mode is declared.
    pub program: bool,
    /// What it is to the kernel; `None` for data.
    pub nature: Option<Nature>,
    /// All of it, if a loader reads it.
    pub text: Option<Vec<u8>>,
    /// What its bytes say.
    pub facts: Facts,
}

/// The contents of a project that are known. Shared by all threads of a build.
pub struct Known {
    /// Where they are remembered; `None` where nothing is.
    place: Option<Digest>,
    moment: Moment,
    old: Table,
    fresh: Mutex<Fresh>,
    read: AtomicU64,
    bytes: AtomicU64,
}

/// What this build found out.
#[derive(Default)]
struct Fresh {
    table: Table,
    /// How many rows are in order and can be found.
    settled: usize,
    /// The natures and texts of files that were not read whole yet.
    looks: BTreeMap<Key, (Option<Nature>, Option<Vec<u8>>)>,
}

/// What a content is known by: a part of a digest.
type Key = [u8; 16];

impl Known {
    /// What is known of the project in a directory. What is damaged, or was remembered by another program, is nothing.
    pub fn load(ctx: &Ctx, directory: &Path) -> Known {
        let place = Digest::of(&[PROGRAM.as_bytes(), b"\0", directory.as_os_str().as_encoded_bytes()].concat());
        let recalled = match ctx.store.memory() {
            Memory::Full => ctx.store.recall(KIND, &place),
            Memory::Careful | Memory::Off => None,
        };
        let old = recalled.and_then(|bytes| Table::read(&bytes)).unwrap_or_default();
        Known { place: Some(place), old, ..Known::default() }
    }

    /// What stands for the project among things that are remembered; `None` where nothing is.
    pub fn place(&self) -> Option<Digest> {
        self.place
    }

    /// What is known of a content; nothing that was found out since [`Known::settle`].
    pub fn fact(&self, content: &Content) -> Option<Fact> {
        self.fact_of(content, key(content).as_ref())
    }

    /// The same of a content that is known by this key.
    fn fact_of(&self, content: &Content, key: Option<&Key>) -> Option<Fact> {
        if content.size() == 0 {
            return Some(Fact { id: Some(Digest::of(b"")), ..Fact::default() });
        }
        self.find(key?)
    }

    fn find(&self, key: &Key) -> Option<Fact> {
        self.old.find(key).or_else(|| {
            let fresh = self.fresh();
            fresh.table.find_first(fresh.settled, key)
        })
    }

    /// The identity of a content, if that is known.
    pub fn id(&self, content: &Content) -> Option<Digest> {
        match content {
            Content::Inline(bytes) => Some(Digest::of(bytes)),
            Content::Stored(stretch) => Some(place_of(stretch)),
            Content::Disk(_) => self.fact(content)?.id,
        }
    }

    /// The digest of a file that looks like this, if it is known.
    pub fn digest(&self, seen: &Seen) -> Option<Digest> {
        self.find(&of_seen(seen))?.id
    }

    /// Takes what a look at a part of a content showed; [`Known::learn`] comes after it.
    pub(super) fn looked(&self, content: &Content, nature: Option<&Nature>, text: Option<&[u8]>) {
        let Some(key) = key(content).filter(|_| nature.is_some() || text.is_some()) else { return };
        let known = self.fact(content);
        let mut fresh = self.fresh();
        let looks = fresh.looks.entry(key).or_default();
        looks.0 = nature.cloned();
        looks.1 = text.map(<[u8]>::to_vec).or(looks.1.take());
        if let Some(fact) = known {
            let (nature, text) = looks.clone();
            fresh.table.push(key, self.is_young(content), &Fact { nature, text, ..fact });
        }
    }

    /// Whether a content is too young to be remembered.
    fn is_young(&self, content: &Content) -> bool {
        matches!(content, Content::Disk(disk) if !disk.seen().is_settled(self.moment))
    }

    /// Takes what a whole content said.
    fn learn(&self, key: Key, young: bool, mut fact: Fact) {
        let mut fresh = self.fresh();
        if let Some((nature, text)) = fresh.looks.get(&key) {
            (fact.nature, fact.text) = (nature.clone(), text.clone());
        }
        fresh.table.push(key, young, &fact);
    }

    /// Lets all be found that was found out.
    pub fn settle(&self) {
        let mut fresh = self.fresh();
        fresh.table.sort();
        fresh.settled = fresh.table.len();
    }

    /// Remembers what was found out, unless that is nothing new.
    pub fn save(&self, ctx: &Ctx) {
        let (read, bytes) = (self.read.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        ctx.say(Event::Detail { text: format!("{read} contents read, {bytes} bytes") });
        if ctx.store.memory() == Memory::Off {
            return;
        }
        self.settle();
        let fresh = self.fresh();
        let Some(place) = self.place.filter(|_| fresh.table.has_old()) else { return };
        let joined = Joined::new(&self.old, &fresh.table, MOST_IDLE);
        if joined.count <= MOST_ROWS {
            ctx.store.remember_written(KIND, &place, &|out| joined.write(out));
        }
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a content of which so many bytes are read.
    pub(super) fn count(&self, bytes: u64) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Knows nothing, and remembers nothing.
impl Default for Known {
    fn default() -> Known {
        Known {
            place: None,
            moment: Moment::now(),
            old: Table::default(),
            fresh: Mutex::default(),
            read: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }
}

/// What a content is known by; `None` where it is at hand.
fn key(content: &Content) -> Option<Key> {
    match content {
        Content::Inline(_) => None,
        Content::Disk(disk) => Some(of_seen(&disk.seen())),
        Content::Stored(stretch) => Some(short(&place_of(stretch))),
    }
}

fn of_seen(seen: &Seen) -> Key {
    short(&Digest::of(&seen.bytes()))
}

/// The identity of a stretch of a blob: where it is says what it holds.
fn place_of(stretch: &Stretch) -> Digest {
    Digest::of(&[stretch.blob.bytes(), &stretch.start.to_le_bytes(), &stretch.size.to_le_bytes()].concat())
}

fn short(digest: &Digest) -> Key {
    let mut key = Key::default();
    key.iter_mut().zip(digest.bytes()).for_each(|(room, byte)| *room = *byte);
    key
}

#[cfg(test)]
mod tests;
