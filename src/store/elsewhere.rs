//! Stage 3: a cache that several machines share, behind the store's door. A digest in, the verified blob in the store out, or the word that it
//! is to be fetched from where it comes from. What does the fetching is handed in; nothing here touches a network.
//!
//! It is never trusted: what comes is a blob only once its bytes have the digest that was asked for. And it is never needed: whatever goes
//! wrong there is told once, and it is not asked again.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;

use super::{Draft, Store};
use crate::error::{Error, Result};
use crate::oci::Digest;

/// Largest blob that is taken from a shared cache where nobody knows its size, in bytes.
const MOST_BYTES: u64 = 16 << 30;

/// Where blobs of several machines lie.
pub trait Elsewhere: Send + Sync {
    /// How it is shown in messages, without credentials.
    fn name(&self) -> &str;

    /// Whether this machine adds to it.
    fn takes(&self) -> bool;

    /// Writes a blob into `sink`; `false` where it is not there. Nothing is said of the bytes.
    fn get<'a>(
        &'a self,
        digest: &'a Digest,
        size: Option<u64>,
        sink: &'a mut (dyn Write + Send),
    ) -> BoxFuture<'a, Result<bool>>;

    /// Adds a blob, unless it is there.
    fn put<'a>(&'a self, digest: &'a Digest, size: u64, file: File) -> BoxFuture<'a, Result<()>>;
}

/// The shared cache of a store, if it has one.
#[derive(Default)]
pub(super) struct Beside {
    elsewhere: std::sync::OnceLock<Arc<dyn Elsewhere>>,
    failed: AtomicBool,
}

/// A draft that takes so many bytes and not one more.
struct Limited {
    draft: Draft,
    left: u64,
}

impl Store {
    /// Puts a shared cache beside the store; the first one stays.
    pub fn share(&self, elsewhere: Arc<dyn Elsewhere>) {
        let _ = self.0.beside.elsewhere.set(elsewhere);
    }

    /// Fetches a blob from the shared cache; whether it is in the store now.
    pub async fn bring(&self, digest: &Digest, size: Option<u64>) -> Result<bool> {
        let Some(elsewhere) = self.elsewhere() else { return Ok(false) };
        let mut sink = Limited { draft: self.draft()?, left: size.unwrap_or(MOST_BYTES) };
        match elsewhere.get(digest, size, &mut sink).await {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(error) => {
                self.without(elsewhere, &error);
                return Ok(false);
            }
        }
        if sink.draft.finish(Some(digest)).is_err() {
            self.note(format!(
                "the shared cache `{}` has other bytes as {digest}; they are not used",
                elsewhere.name()
            ));
            return Ok(false);
        }
        Ok(true)
    }

    /// Adds a blob of the store to the shared cache.
    pub async fn offer(&self, digest: &Digest) {
        let Some(elsewhere) = self.elsewhere().filter(|elsewhere| elsewhere.takes()) else { return };
        let Ok(Some((file, size))) = self.open(digest) else { return };
        if let Err(error) = elsewhere.put(digest, size, file).await {
            self.without(elsewhere, &error);
        }
    }

    fn elsewhere(&self) -> Option<&Arc<dyn Elsewhere>> {
        self.0.beside.elsewhere.get().filter(|_| !self.0.beside.failed.load(Ordering::Relaxed))
    }

    /// Goes on without it.
    fn without(&self, elsewhere: &Arc<dyn Elsewhere>, error: &Error) {
        if !self.0.beside.failed.swap(true, Ordering::Relaxed) {
            let why: Vec<String> = std::iter::once(error.message().to_string()).chain(error.causes()).collect();
            self.note(format!("going on without the shared cache `{}`: {}", elsewhere.name(), why.join(": ")));
        }
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::other("it has more bytes than it may have"));
        }
        let count = self.draft.write(bytes)?;
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}
