//! Stage 4: plain files of a server that is no registry, as a mirror of packages. URLs in, bytes out: bounded, and where their digest is
//! known, streamed, resumed and verified. No credential is shown to such a server.

use std::io::Write;
use std::time::UNIX_EPOCH;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};

use super::Client;
use super::blobs::Flow;
use super::failure;
use super::origin::{Home, Leg, Origin, redacted};
use super::retry::Stop;
use super::scope::Scopes;
use super::wire::{Call, Payload};
use crate::error::{Error, Result};
use crate::oci::Descriptor;

impl Client {
    /// The bytes behind a URL, at most `limit`; `None` where the server says that there is nothing.
    pub async fn file(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let (home, leg) = address(url)?;
        let shown = redacted(&leg.url);
        let context = |cause: Error| cause.context(format!("reading `{shown}`"));
        let scopes = Scopes::default();
        let call = call(&home, leg, &scopes);
        let reply = self.0.fetch(&call, limit).await.map_err(context)?;
        match reply.status {
            status if status.is_success() => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            _ => Err(context(reply.refusal())),
        }
    }

    /// Streams the file behind a URL into `sink`. Only when this returns is anything about the bytes known: they are then exactly those
    /// of the descriptor. A broken connection is resumed.
    pub async fn known_file(&self, url: &str, expected: &Descriptor, sink: &mut (dyn Write + Send)) -> Result<()> {
        let (home, leg) = address(url)?;
        let shown = redacted(&leg.url);
        let context = |cause: Error| cause.context(format!("reading `{shown}`"));
        let scopes = Scopes::default();
        let mut call = call(&home, leg, &scopes);
        let mut flow = Flow::new(expected, sink, "the server");
        match self.stream(&mut call, &mut flow).await.map_err(context)? {
            None => Ok(()),
            Some(answer) => Err(context(answer.reply(failure::MOST_BYTES).await.map_err(Stop::into_error)?.refusal())),
        }
    }

    /// The time of day in seconds since 1970, by which the age of an index is judged.
    pub fn now(&self) -> i64 {
        let now = (self.0.settings.clock.now)();
        now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

fn address(url: &str) -> Result<(Home, Leg)> {
    let wrong = || Error::usage(format!("`{}` is not the URL of a file", url.escape_debug()));
    let url = Url::parse(url).map_err(|_| wrong())?;
    let origin = Origin::of(&url).ok_or_else(wrong)?;
    Ok((Home { name: origin.name(), origin }, Leg { url, own: false, guard: None }))
}

fn call<'a>(home: &'a Home, leg: Leg, scopes: &'a Scopes) -> Call<'a> {
    Call { method: Method::GET, leg, home, path: "", scopes, headers: HeaderMap::new(), payload: Payload::None }
}
