//! Stage 6: gzip as format 1 has it: one member (RFC 1952), cut in blocks that are compressed apart. Blocks in, bytes out. Pure.

use zlib_rs::crc32::crc32;
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::Block;
use crate::error::{Error, Result};

/// Bytes in a block.
pub const BLOCK: usize = 512 << 10;
/// Deflate refers to at most this many bytes before.
pub const WINDOW: usize = 32 << 10;
/// The member's header: deflate, no flags, no time, no extra flags, unknown system.
pub const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The deflate level.
const LEVEL: i32 = 6;
/// The deflate window as a power of two.
const WINDOW_BITS: u8 = 15;
/// A last block without content: it is understood only where a block can begin.
const NOTHING_MORE: [u8; 2] = [3, 0];
/// Room for a block that cannot be made smaller, with the mark that ends it: an eighth and this.
const ROOM: usize = 1 << 10;

/// Compresses one block; all but the last end on a byte, with an empty stored block.
///
/// A `Deflate` that is reset and given a dictionary does not make the same bytes as a fresh one (zlib-rs 0.6.8), and its
/// bytes depend on how input and output are cut. So each block has a fresh one, and one call with room enough.
pub fn pack(block: Block, out: &mut Vec<u8>) -> Result<()> {
    let failed = |what: &str| Error::bug(format!("compressing a block of a layer: {what}"));
    out.resize(block.content.len() + block.content.len() / 8 + ROOM, 0);
    let mut deflate = Deflate::new(LEVEL, false, WINDOW_BITS);
    if !block.before.is_empty() {
        deflate.set_dictionary(block.before).map_err(|cause| failed(cause.as_str()))?;
    }
    let (flush, wanted) =
        if block.last { (DeflateFlush::Finish, Status::StreamEnd) } else { (DeflateFlush::SyncFlush, Status::Ok) };
    let status = deflate.compress(block.content, out, flush).map_err(|cause| failed(cause.as_str()))?;
    let made = deflate.total_out() as usize;
    if status != wanted || deflate.total_in() != block.content.len() as u64 || made >= out.len() {
        return Err(failed("it took more than one step"));
    }
    out.truncate(made);
    Ok(())
}

/// Whether the bytes, after what stands before, are inflated to the block's content and nothing else, and end where the
/// next block can begin.
pub fn reads_back(block: Block, packed: &[u8], scratch: &mut Vec<u8>) -> bool {
    // One byte more than needed, else the mark at the end of the block would not be read.
    scratch.resize(block.content.len() + 1, 0);
    let mut inflate = Inflate::new(false, WINDOW_BITS);
    if !block.before.is_empty() && inflate.set_dictionary(block.before).is_err() {
        return false;
    }
    let mut ended = inflate.decompress(packed, scratch, InflateFlush::NoFlush) == Ok(Status::StreamEnd);
    let read = inflate.total_in() == packed.len() as u64 && inflate.total_out() == block.content.len() as u64;
    let whole = ended == block.last && read && scratch.get(..block.content.len()) == Some(block.content);
    if whole && !block.last {
        ended = inflate.decompress(&NOTHING_MORE, &mut [0], InflateFlush::NoFlush) == Ok(Status::StreamEnd);
        let exact = inflate.total_in() == (packed.len() + NOTHING_MORE.len()) as u64;
        return ended && exact && inflate.total_out() == block.content.len() as u64;
    }
    whole
}

/// What stands after the last block: the CRC-32 and the length of all that was compressed.
#[derive(Clone, Copy, Default)]
pub struct Trailer {
    crc: u32,
    length: u64,
}

impl Trailer {
    /// Takes the next bytes of the tar.
    pub fn update(&mut self, bytes: &[u8]) {
        self.crc = crc32(self.crc, bytes);
        self.length += bytes.len() as u64;
    }

    /// The eight bytes; the length is cut to 32 bits (RFC 1952, `ISIZE`).
    pub fn bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.crc.to_le_bytes();
        let [e, f, g, h] = (self.length as u32).to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}
