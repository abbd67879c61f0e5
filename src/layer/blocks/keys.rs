//! Stage 6: what each block of a layer is known by: a digest over the headers in it and, for contents, over their identities and which part
//! of them it holds. A tree in, a key for each block out, without a look at any file. Pure.

use sha2::{Digest as _, Sha256};

use crate::event::Cancel;
use crate::facts::Facts;
use crate::layer::compress::BLOCK;
use crate::layer::known::{Known, is_program};
use crate::layer::pack::PackError;
use crate::layer::pipe::{Stop, ends_before};
use crate::layer::tree::{Content, Entry};
use crate::layer::twins::Twinned;
use crate::layer::write::{Sink, write};
use crate::oci::Digest;

/// What kind of part follows, in what is hashed.
const BYTES: u8 = 0;
const CONTENT: u8 = 1;
const END: u8 = 2;

/// The keys of all blocks of a tree; `None` where a content is not known. Blocks of one key, made in one form, have the same bytes.
pub fn keys(tree: &Twinned, known: &Known, cancel: &Cancel) -> Result<Option<Vec<Digest>>, PackError> {
    let mut keys = Keys { known, hasher: Sha256::new(), full: 0, done: Vec::new(), all_known: true };
    match write(tree, cancel, &mut keys) {
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Elsewhere) => return Ok(None),
        Ok(_) => {}
    }
    keys.hasher.update([END]);
    keys.turn();
    Ok(keys.all_known.then_some(keys.done))
}

/// The keys so far, and the block that is open.
struct Keys<'a> {
    known: &'a Known,
    hasher: Sha256,
    /// Bytes in the open block.
    full: usize,
    done: Vec<Digest>,
    all_known: bool,
}

impl Keys<'_> {
    fn turn(&mut self) {
        self.done.push(Digest::finish(std::mem::take(&mut self.hasher)));
        self.full = 0;
    }

    /// Takes the next bytes of the tar, however many blocks they fill; `part` is told where a piece begins and how long it is.
    fn take(&mut self, size: u64, mut part: impl FnMut(&mut Sha256, u64, usize)) {
        let mut at = 0;
        while at < size {
            if self.full == BLOCK {
                self.turn();
            }
            let count = (BLOCK - self.full).min(usize::try_from(size - at).unwrap_or(BLOCK));
            part(&mut self.hasher, at, count);
            self.full += count;
            at += count as u64;
        }
    }
}

impl Sink for Keys<'_> {
    type Open = Digest;

    fn open(&mut self, _: &Entry, content: &Content) -> Result<(bool, Digest), Stop> {
        let (program, id) = match content {
            Content::Inline(bytes) => (Some(is_program(bytes)), Some(self.known.id(content))),
            Content::Stored(_) => (self.known.fact(content).map(|fact| fact.program), Some(self.known.id(content))),
            Content::Disk(_) => self.known.fact(content).map(|fact| (fact.program, fact.id)).unzip(),
        };
        let id = id.flatten();
        self.all_known &= program.is_some() && id.is_some();
        Ok((program.unwrap_or_default(), id.unwrap_or_else(|| Digest::of(b""))))
    }

    fn entry(&mut self, path: &str, extent: u64) -> Result<(), Stop> {
        if ends_before(self.full, path, extent) {
            self.turn();
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.take(bytes.len() as u64, |hasher, at, count| {
            hasher.update([BYTES]);
            hasher.update((count as u64).to_le_bytes());
            hasher.update(&bytes[at as usize..at as usize + count]);
        });
        Ok(())
    }

    fn pour(&mut self, _: &Entry, content: &Content, id: Digest) -> Result<Facts, Stop> {
        self.take(content.size(), |hasher, at, count| {
            hasher.update([CONTENT]);
            [count as u64, at].into_iter().for_each(|number| hasher.update(number.to_le_bytes()));
            hasher.update(id.bytes());
        });
        Ok(Facts::default())
    }
}
