//! Stage 6: gzip as format 1 has it: one member (RFC 1952), cut in blocks that are compressed apart and joined bit by bit. Blocks in,
//! bytes out. Pure.

use libdeflater::{CompressionLvl, Compressor, Crc};

use super::Block;
use super::deflate::read_back;
use crate::error::{Error, Result};

/// The member's header: deflate, no flags, no time, no extra flags, unknown system.
pub const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The length of an empty stored block, and its complement: it ends a block on a byte (RFC 1951, 3.2.4).
const EMPTY: [u8; 4] = [0, 0, 0xff, 0xff];

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

/// What stands after the last block: the CRC-32 and the length of all that was compressed.
#[derive(Default)]
pub struct Trailer {
    crc: Crc,
    length: u64,
}

impl Trailer {
    /// Takes the next bytes of the tar.
    pub fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The eight bytes; the length is cut to 32 bits (RFC 1952, `ISIZE`).
    pub fn bytes(&self) -> [u8; 8] {
        let [a, b, c, d] = self.crc.sum().to_le_bytes();
        let [e, f, g, h] = (self.length as u32).to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}
