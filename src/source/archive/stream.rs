//! Stage 5: the bytes of a tar as they were before compression. A compressed stream in, a plain one out that ends at a limit. Pure.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;

use super::check;
use crate::event::Cancel;
use crate::oci::media::Compression;
use crate::source::tar::wrong;
use crate::source::unpack::{self, MOST_BYTES, MOST_WINDOW_LOG, decoder};

pub use crate::source::unpack::BUFFER;

/// Any archive may unpack to so many bytes, and to so many times its own size more.
const FREE: u64 = 256 << 20;
const MOST_RATIO: u64 = 128;
/// Most memory for an xz window, in KiB: that of zstd, and what its decoder needs beside it.
const MOST_XZ_KIB: u32 = (1 << (MOST_WINDOW_LOG - 10)) + 1024;

/// What an archive is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A tar in a compression that layers have too.
    Layer(Compression),
    /// A tar in xz.
    Xz,
    /// A tar in bzip2.
    Bzip2,
    /// A zip.
    Zip,
}

impl Packing {
    /// What this file is; it is left at its start.
    pub fn of(file: &mut File) -> io::Result<Packing> {
        let mut first = Vec::new();
        file.take(8).read_to_end(&mut first)?;
        file.rewind()?;
        Ok(sniff(&first))
    }
}

/// What these first bytes are (the .xz file format, 2.1.1.1; bzip2's `BZh1` to `BZh9`; APPNOTE.TXT, 4.3.7 and 4.3.16).
fn sniff(first: &[u8]) -> Packing {
    match first {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Bzip2,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Packing::Zip,
        _ => Packing::Layer(unpack::sniff(first)),
    }
}

/// How many bytes an archive of `size` bytes may unpack to.
pub fn most(size: u64) -> u64 {
    size.saturating_mul(MOST_RATIO).saturating_add(FREE).min(MOST_BYTES)
}

/// The plain bytes of a stream of `size` bytes.
pub fn unpack<R: Read + 'static>(mut input: BufReader<R>, size: u64, cancel: Cancel) -> io::Result<Plain> {
    let input: Box<dyn Read> = match sniff(input.fill_buf()?) {
        Packing::Layer(compression) => decoder(compression, input)?,
        Packing::Xz => buffered(XzReader::new_mem_limit(input, true, MOST_XZ_KIB)),
        Packing::Bzip2 => buffered(MultiBzDecoder::new(input)),
        Packing::Zip => return Err(wrong("it is a zip in something else")),
    };
    Ok(Plain { input, left: most(size), most: most(size), cancel })
}

fn buffered(input: impl Read + 'static) -> Box<dyn Read> {
    Box::new(BufReader::with_capacity(BUFFER, input))
}

/// A plain stream that ends at a limit.
pub struct Plain {
    input: Box<dyn Read>,
    left: u64,
    most: u64,
    cancel: Cancel,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(&self.cancel)?;
        let count = self.input.read(buffer)?;
        let Some(left) = self.left.checked_sub(count as u64) else { return Err(bomb(self.most)) };
        self.left = left;
        Ok(count)
    }
}

/// The refusal of an archive that unpacks to too much.
pub fn bomb(most: u64) -> io::Error {
    wrong(format!(
        "it unpacks to more than {most} bytes, which is {MOST_RATIO} times its own size and {FREE} more; what is meant to be so large \
         has to be compressed less"
    ))
}
