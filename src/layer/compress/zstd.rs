//! Stage 6: zstd as format 1 has it: a frame for each block (RFC 8878). Blocks in, bytes out. Pure.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

use super::{Block, equal};
use crate::error::{Error, Result};

/// Compresses one frame, which says its content's size and checksum. The encoder is fresh and has no threads of its own.
pub fn pack(block: Block, level: u8, out: &mut Vec<u8>) -> Result<()> {
    let compress = |out: &mut Vec<u8>| -> io::Result<usize> {
        let mut compressor = Compressor::new(level.into())?;
        compressor.include_checksum(true)?;
        compressor.compress_to_buffer(block.content, out)
    };
    out.clear();
    out.reserve_exact(zstd::zstd_safe::compress_bound(block.content.len()));
    compress(out).map_err(|cause| Error::bug("compressing a frame of a layer").because(cause))?;
    Ok(())
}

/// A decoder, and room for what it makes; of what it did before nothing stays.
#[derive(Default)]
pub struct Reader {
    decoder: Option<Decompressor<'static>>,
    room: Vec<u8>,
}

impl Reader {
    /// Whether the bytes are one frame with the block's content and nothing else.
    pub fn reads_back(&mut self, block: Block, packed: &[u8]) -> bool {
        let Some(decoder) = self.decoder.take().or_else(|| Decompressor::new().ok()) else { return false };
        let decoder = self.decoder.insert(decoder);
        self.room.clear();
        self.room.reserve_exact(block.content.len());
        decoder.decompress_to_buffer(packed, &mut self.room).is_ok() && equal(&self.room, block.content)
    }
}
