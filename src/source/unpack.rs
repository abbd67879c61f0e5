//! Stage 5: the bytes of a layer as they were before compression. A blob in, a tar stream out that is counted, bounded and hashed.
//! Reads the file it is given and nothing else.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::event::Cancel;
use crate::oci::media::Compression;
use crate::oci::{DiffId, Digest};
use crate::source::tar::wrong;

/// Most uncompressed bytes of one image.
pub const MOST_BYTES: u64 = 64 << 30;
/// Largest zstd window, as the power of two that zstd's own tools accept without being asked: 128 MiB of memory.
pub const MOST_WINDOW_LOG: u32 = 27;
/// How many bytes are read at once.
pub const BUFFER: usize = 256 << 10;

/// The wish that one reader stops; set when nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// The user's wish.
    pub cancel: Cancel,
    /// The waiter's.
    pub gone: Arc<AtomicBool>,
}

/// The uncompressed bytes of a layer. Finished, it knows what they were.
pub struct Unpacked {
    input: Box<dyn Read>,
    hasher: Sha256,
    size: u64,
    stop: Stop,
}

/// Unpacks a blob by its first bytes: media types of Docker bases do not always tell the truth.
pub fn unpack(blob: impl Read + 'static, stop: Stop) -> io::Result<(Unpacked, Compression)> {
    let mut input = BufReader::with_capacity(BUFFER, blob);
    let found = sniff(input.fill_buf()?);
    Ok((Unpacked { input: decoder(found, input)?, hasher: Sha256::new(), size: 0, stop }, found))
}

/// The bytes as they were before this compression.
pub fn decoder(compression: Compression, input: BufReader<impl Read + 'static>) -> io::Result<Box<dyn Read>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(input))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(MOST_WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    })
}

/// The compression that these first bytes show (RFC 1952, section 2.3.1; RFC 8878, sections 3.1.1 and 3.1.2).
pub fn sniff(bytes: &[u8]) -> Compression {
    match bytes {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

impl Unpacked {
    /// The digest and the count of all bytes read so far.
    pub fn finish(self) -> (DiffId, u64) {
        (DiffId(Digest::finish(self.hasher)), self.size)
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        let block = self.size / BUFFER as u64;
        self.size += count as u64;
        if self.size > MOST_BYTES {
            return Err(wrong(format!("it unpacks to more than {MOST_BYTES} bytes")));
        }
        if self.size / BUFFER as u64 != block {
            self.stop.cancel.check().map_err(io::Error::other)?;
            if self.stop.gone.load(Ordering::Relaxed) {
                return Err(io::Error::other("nobody waits for it any more"));
            }
        }
        Ok(count)
    }
}
