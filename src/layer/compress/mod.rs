//! Stage 6: compression, block by block, and the proof that it can be undone. Blocks of a tar in, the bytes of a blob out. Pure.
//!
//! The bytes of a compressed block depend on nothing but its content, the bytes before it and whether it is the last one:
//! not on threads, not on buffers, not on what was compressed before. That is why every block has a fresh encoder and is
//! given to it whole.

mod gzip;
#[cfg(test)]
mod tests;
mod zstd;

use crate::error::{Error, Result};
use crate::oci::media::Compression;

pub use gzip::Trailer;

/// One block of a tar.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// The end of what stands before it, [`window`] bytes at most.
    pub before: &'a [u8],
    /// Its content.
    pub content: &'a [u8],
    /// Whether nothing follows.
    pub last: bool,
}

/// How many bytes of a tar are compressed at once.
pub fn block_size(compression: Compression) -> usize {
    match compression {
        Compression::None | Compression::Gzip => gzip::BLOCK,
        Compression::Zstd => zstd::FRAME,
    }
}

/// How many bytes before a block its compression may refer to.
pub fn window(compression: Compression) -> usize {
    match compression {
        Compression::Gzip => gzip::WINDOW,
        Compression::None | Compression::Zstd => 0,
    }
}

/// The bytes before the first block.
pub fn head(compression: Compression) -> &'static [u8] {
    match compression {
        Compression::Gzip => &gzip::HEAD,
        Compression::None | Compression::Zstd => &[],
    }
}

/// Compresses a block into `out`, whose old content goes.
pub fn pack(compression: Compression, block: Block, out: &mut Vec<u8>) -> Result<()> {
    match compression {
        Compression::None => {
            out.clear();
            out.extend_from_slice(block.content);
            Ok(())
        }
        Compression::Gzip => gzip::pack(block, out),
        Compression::Zstd => zstd::pack(block, out),
    }
}

/// Fails unless `packed` is read back as the block; `scratch` is room to work in.
pub fn prove(compression: Compression, block: Block, packed: &[u8], scratch: &mut Vec<u8>) -> Result<()> {
    let whole = match compression {
        Compression::None => packed == block.content,
        Compression::Gzip => gzip::reads_back(block, packed, scratch),
        Compression::Zstd => zstd::reads_back(block, packed, scratch),
    };
    if whole {
        return Ok(());
    }
    Err(Error::bug(format!("the {} compression of a layer is not read back as what went in", compression.name()))
        .hint("run again; if it happens only now and then, this machine's memory may be faulty")
        .hint("nothing was published"))
}
