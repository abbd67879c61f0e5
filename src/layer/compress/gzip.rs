//! Stage 6: gzip as format 1 has it: one member (RFC 1952), cut in blocks that are compressed apart and joined bit by bit. Blocks in,
//! bytes out. Pure.

use crc32fast::Hasher;
use libdeflater::{CompressionLvl, Compressor, Crc};

use super::Block;
use super::deflate::read_back;
use crate::error::{Error, Result};

/// The member's header: deflate, no flags, no time, no extra flags, unknown system.
pub const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The length of an empty stored block, and its complement: it ends a block on a byte (RFC 1951, 3.2.4).
const EMPTY: [u8; 4] = [0, 0, 0xff, 0xff];

/// An empty stored block that is the last one.
const ENDED: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// Compresses one block into a deflate stream of its own, which [`seal`] makes a part of the member.
pub fn pack(block: Block, level: u8, out: &mut Vec<u8>) -> Result<()> {
    let failed = |what: String| Error::bug(format!("compressing a block of a layer: {what}"));
    let level = CompressionLvl::new(level.into()).map_err(|cause| failed(format!("{cause:?}")))?;
    let mut compressor = Compressor::new(level);
    out.resize(compressor.deflate_compress_bound(block.content.len()), 0);
    let made = compressor.deflate_compress(block.content, out).map_err(|cause| failed(cause.to_string()))?;
    out.truncate(made);
    Ok(())
}

/// Whether the stream is read back as the block and nothing else; if it is, and more follows, its last block becomes one of many and
/// it ends on a byte, with an empty stored block.
pub fn seal(block: Block, stream: &mut Vec<u8>) -> bool {
    let Some(last) = read_back(stream, block.content) else { return false };
    if stream.len() != last.end.div_ceil(8) {
        return false;
    }
    if block.last {
        return true;
    }
    stream[last.begin / 8] &= !(1 << (last.begin % 8));
    // The three bits of the empty block's head are zeros, as are those that fill its last byte.
    let unused = stream.len() * 8 - last.end;
    if let Some(byte) = stream.last_mut() {
        *byte &= 0xff >> unused;
    }
    if unused < 3 {
        stream.push(0);
    }
    stream.extend(EMPTY);
    true
}

/// Whether a sealed stream is read back as a block that is not the last one.
pub fn gives(block: Block, stream: &mut Vec<u8>) -> bool {
    let length = stream.len();
    stream.extend(ENDED);
    let read = read_back(stream, block.content);
    stream.truncate(length);
    read.is_some_and(|last| last.begin == length * 8)
}

/// What stands after the last block: the CRC-32 and the length of all that was compressed.
#[derive(Default)]
pub struct Trailer {
    /// Of what came before this one was resumed.
    before: (u32, u64),
    crc: Crc,
    length: u64,
}

impl Trailer {
    /// Goes on behind bytes with this CRC-32 and length.
    pub fn resumed(crc: u32, length: u64) -> Trailer {
        Trailer { before: (crc, length), ..Trailer::default() }
    }

    /// Takes the next bytes of the tar.
    pub fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The CRC-32 of all bytes so far.
    pub fn crc(&self) -> u32 {
        let mut all = Hasher::new_with_initial_len(self.before.0, self.before.1);
        all.combine(&Hasher::new_with_initial_len(self.crc.sum(), self.length));
        all.finalize()
    }

    /// The eight bytes; the length is cut to 32 bits (RFC 1952, `ISIZE`).
    pub fn bytes(&self) -> [u8; 8] {
        let [a, b, c, d] = self.crc().to_le_bytes();
        let [e, f, g, h] = ((self.before.1 + self.length) as u32).to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}
