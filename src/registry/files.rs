//! Stage 4: files of a mirror, whose digests something signed tells. URLs in, bytes out, bounded, over plain http too: what comes is
//! worth what its signature or digest is worth, which the caller checks. No credential is shown to a mirror.

use std::io::Write;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

use super::Client;
use super::origin::redacted;
use super::scope::Scopes;
use super::wire::{Call, Payload};
use crate::error::{Error, Result};

impl Client {
    /// The bytes behind a URL, at most `limit`; `None` where the server says that there is nothing.
    pub async fn file(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let (home, leg) = self.place(url, true)?;
        let shown = redacted(&leg.url);
        let context = |cause: Error| cause.context(format!("reading `{shown}`"));
        let (scopes, headers, payload) = (Scopes::default(), HeaderMap::new(), Payload::None);
        let call = Call { method: Method::GET, leg, home: &home, path: "", scopes: &scopes, headers, payload };
        let reply = self.0.fetch(&call, limit).await.map_err(context)?;
        match reply.status {
            status if status.is_success() => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            _ => Err(context(reply.refusal())),
        }
    }

    /// Streams the file behind a URL into `sink`, at most `size` bytes; a broken connection is resumed. Its bytes are to be verified.
    pub async fn signed_file(&self, url: &str, size: u64, sink: &mut (dyn Write + Send)) -> Result<()> {
        self.stream_file(url, size, sink, true).await.map(drop)
    }
}
