//! Stage 4: bodies in both directions. Content that can be opened at any place in, a stream out; bounded, timed and counted.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::settings::Patience;

/// How many bytes are read and sent at once.
const PIECE: usize = 64 << 10;

/// Content that can be sent, again if need be.
pub trait Body: Send + Sync {
    /// A reader of all bytes from `offset` on.
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>>;
}

impl Body for Bytes {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        Ok(Box::new(io::Cursor::new(self.slice(at..))))
    }
}

impl Body for std::path::PathBuf {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = std::fs::File::open(self)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

/// What a body that is being sent tells about itself.
#[derive(Clone, Default)]
pub(super) struct Sent {
    /// How many bytes were handed over.
    pub count: Arc<AtomicU64>,
    /// Why reading it failed, if it did: that is no fault of the network.
    pub failed: Arc<Mutex<Option<io::Error>>>,
}

/// A stream of exactly `length` bytes.
pub(super) fn stream(reader: Box<dyn Read + Send>, length: u64, sent: Sent) -> reqwest::Body {
    let mut reader = reader.take(length);
    let mut left = length;
    let pieces = std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let mut buffer = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        let read = loop {
            match reader.read(&mut buffer) {
                Ok(0) => {
                    break Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "there are fewer bytes than its descriptor says",
                    ));
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        Some(match read {
            Ok(count) => {
                buffer.truncate(count);
                left -= count as u64;
                sent.count.fetch_add(count as u64, Ordering::Relaxed);
                Ok(Bytes::from(buffer))
            }
            Err(cause) => {
                left = 0;
                *sent.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
                Err(io::Error::other("reading the body failed"))
            }
        })
    });
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
}

/// Watches the speed of a body.
pub(super) struct Pace {
    since: Instant,
    moved: u64,
    last: Instant,
}

impl Pace {
    /// Begins now.
    pub fn start() -> Pace {
        let now = Instant::now();
        Pace { since: now, moved: 0, last: now }
    }

    /// Takes note of bytes; says which limit is broken, if one is.
    pub fn moved(&mut self, count: u64, patience: &Patience) -> Option<String> {
        let now = Instant::now();
        self.moved += count;
        if count > 0 {
            self.last = now;
        }
        if now - self.since >= patience.window {
            let least = patience.window.as_secs_f64() * patience.slowest as f64;
            if (self.moved as f64) < least && now - self.last < patience.idle {
                return Some(format!(
                    "only {} bytes came by within {}, the limit is {} bytes per second",
                    self.moved,
                    seconds(now - self.since),
                    patience.slowest
                ));
            }
            (self.since, self.moved) = (now, 0);
        }
        None
    }
}

/// A span of time for messages.
pub(super) fn seconds(span: Duration) -> String {
    if span.as_secs() >= 10 { format!("{} s", span.as_secs()) } else { format!("{:.1} s", span.as_secs_f64()) }
}
