//! Stage 3: how a file looked. What the system says of a file in, and whether a file that looks the same later is the same, out. Knows the
//! time, to tell what is too young for that; never for a byte of an image.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Memory, Store};
use crate::error::Result;
use crate::oci::Digest;

/// The kind under which it is remembered how a file of right bytes looked.
const KIND: &str = "verified-1";
/// Longest time in which a file system gives the same time to two changes: a tick of the kernel, with room.
const TICK: Duration = Duration::from_millis(40);
/// The same where times have no fractions of a second: two seconds, as on FAT.
const COARSE: Duration = Duration::from_secs(2);

/// The facts by which a change of a file is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Bytes.
    pub size: u64,
    /// Device and inode.
    pub inode: (u64, u64),
    /// Modification time, seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Change time, seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// The time before files were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(i128);

impl Moment {
    /// Now.
    pub fn now() -> Moment {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Moment(since.map_or(0, |since| since.as_nanos() as i128))
    }
}

#[cfg(test)]
impl Moment {
    /// So many seconds later.
    pub fn after(self, seconds: u64) -> Moment {
        Moment(self.0 + i128::from(seconds) * 1_000_000_000)
    }
}

impl From<&Metadata> for Seen {
    fn from(facts: &Metadata) -> Seen {
        Seen {
            size: facts.len(),
            inode: (facts.dev(), facts.ino()),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

impl Seen {
    /// How an open file looks.
    pub fn of(file: &File) -> io::Result<Seen> {
        file.metadata().map(|facts| Seen::from(&facts))
    }

    /// Whether its times have fractions of a second: a change is seen then, unless it comes within a tick of the kernel.
    pub fn is_fine(&self) -> bool {
        self.changed.1 != 0
    }

    /// The same as bytes: few enough that their digest takes one block.
    pub fn bytes(&self) -> [u8; 48] {
        let Seen { size, inode, modified, changed } = self;
        let numbers = [*size, inode.0, inode.1, modified.0 as u64, changed.0 as u64];
        let fractions = [modified.1, changed.1].map(|nanoseconds| nanoseconds as u32);
        let mut bytes = [0; 48];
        let (whole, parts) = bytes.split_at_mut(40);
        for (room, number) in whole.chunks_exact_mut(8).zip(numbers) {
            room.copy_from_slice(&number.to_le_bytes());
        }
        for (room, number) in parts.chunks_exact_mut(4).zip(fractions) {
            room.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Whether any later change will be seen. One that comes within the grain of the file's times may not: what was read at `moment` is
    /// then not remembered (git calls such a file racily clean).
    pub fn is_settled(&self, moment: Moment) -> bool {
        let grain = if self.is_fine() { TICK } else { COARSE };
        let at = |(seconds, nanoseconds): (i64, i64)| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        at(self.changed).max(at(self.modified)) + (grain.as_nanos() as i128) < moment.0
    }
}

impl Store {
    /// Whether a blob of this size is here and right. It is hashed for that, unless it was before and looks as it did then. Who reads it
    /// uses [`Store::open`], which trusts no looks.
    pub fn holds(&self, digest: &Digest, size: u64) -> Result<bool> {
        let path = self.blob_path(digest);
        self.mark(digest, &path);
        if fs::symlink_metadata(&path).map_or(true, |facts| facts.len() != size) {
            return Ok(false);
        }
        let mut failed = None;
        let right = self.looks_right(&path, digest, || match self.open(digest) {
            Ok(opened) => opened.is_some(),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(right), Err)
    }

    /// Whether a file holds the bytes of this name: because it looks as it did when that was last found out, or because `verify` finds out.
    pub fn looks_right(&self, path: &Path, digest: &Digest, verify: impl FnOnce() -> bool) -> bool {
        let moment = Moment::now();
        let Some(seen) = fs::symlink_metadata(path).ok().filter(Metadata::is_file).map(|facts| Seen::from(&facts))
        else {
            return false;
        };
        let mut key = path.as_os_str().as_encoded_bytes().to_vec();
        key.extend(digest.hex().bytes());
        let key = Digest::of(&key);
        if self.memory() == Memory::Full && self.recall(KIND, &key).is_some_and(|fact| fact == seen.bytes()) {
            return true;
        }
        let right = verify();
        if right && seen.is_settled(moment) {
            self.remember_if_possible(KIND, &key, &seen.bytes());
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_counts() {
        let plain = Seen { size: 1, inode: (2, 3), modified: (4, 5), changed: (6, 999_999_999) };
        let changes: [fn(&mut Seen); 7] = [
            |seen| seen.size += 1 << 40,
            |seen| seen.inode.0 += 1 << 40,
            |seen| seen.inode.1 += 1 << 40,
            |seen| seen.modified.0 -= 8,
            |seen| seen.modified.1 += 1,
            |seen| seen.changed.0 -= 8,
            |seen| seen.changed.1 -= 1,
        ];
        let changed = changes.map(|change| {
            let mut seen = plain;
            change(&mut seen);
            seen.bytes()
        });
        let all: std::collections::BTreeSet<_> = changed.into_iter().chain([plain.bytes()]).collect();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn what_is_younger_than_the_grain_of_its_times_is_not_settled() {
        let seen = |modified: (i64, i64), changed: (i64, i64)| Seen { size: 1, inode: (1, 1), modified, changed };
        let moment = Moment(100_000_000_000);
        assert!(seen((90, 1), (99, 900_000_000)).is_settled(moment));
        assert!(!seen((90, 1), (99, 970_000_000)).is_settled(moment), "within a tick");
        assert!(!seen((90, 0), (98, 0)).is_settled(moment), "times of whole seconds");
        assert!(seen((90, 0), (97, 0)).is_settled(moment));
        assert!(!seen((200, 0), (90, 5)).is_settled(moment), "a time to come");
        assert!(!seen((90, 0), (200, 5)).is_settled(moment));
    }
}
