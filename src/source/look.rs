//! Stage 5: what the files of a layer are, seen as they go by. One file's bytes in, its nature out. A large program is put aside into a
//! nameless file, because what tells of it may stand at its end.

use std::fs::File;
use std::io::{self, Cursor, Read};

use object::read::ReadCache;

use crate::facts::programs::{self, HEAD, Nature, Promise};
use crate::source::unpack::MOST_BYTES;

/// Largest program that is held in memory, in bytes.
const MOST_HELD: u64 = 4 << 20;
/// Largest program that is looked at, in bytes.
const MOST_SEEN: u64 = 8 << 30;

/// Where large programs are put aside.
pub type Aside<'a> = &'a dyn Fn() -> io::Result<File>;

/// The natures of a file of this many bytes. A script counts only if it may be started as one.
pub fn look(bytes: &mut impl Read, size: u64, startable: bool, aside: Aside<'_>) -> io::Result<Option<Nature>> {
    if size > MOST_BYTES {
        return Ok(None); // the layer is refused for it
    }
    let mut head = Vec::new();
    bytes.by_ref().take(HEAD.min(size)).read_to_end(&mut head)?;
    match programs::promise(&head) {
        Promise::Elf => {}
        Promise::Script if startable => return Ok(programs::read(head.as_slice())),
        Promise::Script | Promise::Other => return Ok(None),
    }
    let mut rest = bytes.take(size.saturating_sub(head.len() as u64));
    if size > MOST_SEEN {
        return Ok(Some(Nature::Unread));
    }
    if size <= MOST_HELD {
        rest.read_to_end(&mut head)?;
        return Ok(programs::read(&ReadCache::new(Cursor::new(head))));
    }
    let mut file = aside()?;
    io::copy(&mut head.as_slice(), &mut file)?;
    io::copy(&mut rest, &mut file)?;
    Ok(programs::read(&ReadCache::new(file)))
}
