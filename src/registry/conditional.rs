//! Stage 4: files of the web. A URL that a person named in, its bytes into a target out: bounded, timed, resumed, without credentials.
//! The same choke point, proxies, certificates and patience as for registries.

use std::io::{self, Write};

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::Client;
use super::blobs::is_rest;
use super::failure::{self, header};
use super::origin::{Home, Leg, Origin, is_loopback, redacted};
use super::retry::Stop;
use super::scope::Scopes;
use super::wire::{Answer, Call, Payload};
use crate::error::{Error, Result};
use crate::event::Event;

/// So many new bytes make an attempt count as a success, so that a long download may break often.
const PROGRESS: u64 = 1 << 20;
/// Longest `ETag` that is kept.
const MOST_ETAG: usize = 1024;

/// Where a download goes.
pub trait Target: Write + Send {
    /// Forgets what was written so far: the file at the URL is another one now.
    fn restart(&mut self) -> io::Result<()>;
}

/// What was asked of a URL.
pub struct Wanted<'a> {
    /// The URL.
    pub url: &'a str,
    /// What the server called the version that is here already; it is not sent again.
    pub known: Option<&'a str>,
    /// The most bytes.
    pub limit: u64,
    /// Whether something else says that the bytes are right, so that they may come by `http`.
    pub checked: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Downloaded {
    /// The server still has the version that is known.
    Same,
    /// All bytes are in the target; what the server calls this version.
    New(Option<String>),
}

/// A download on its way.
struct Flow<'a> {
    target: &'a mut dyn Target,
    limit: u64,
    written: u64,
    /// What the server calls what was written so far; only a strong name will do.
    etag: Option<String>,
    /// How long all of it is, if the server said so.
    length: Option<u64>,
    what: String,
}

impl Client {
    /// Streams the file at a URL into `target`. A broken connection is resumed where the server can tell that it still has the same
    /// file, and begun again where it cannot.
    pub async fn download(&self, wanted: &Wanted<'_>, target: &mut dyn Target) -> Result<Downloaded> {
        let (home, leg) = self.address(wanted)?;
        let what = redacted(&leg.url);
        let (scopes, context) = (Scopes::default(), |cause: Error| cause.context(format!("fetching `{what}`")));
        let mut flow = Flow { target, limit: wanted.limit, written: 0, etag: None, length: None, what: what.clone() };
        let mut turns = self.0.turns(&home);
        let mut call = Call {
            method: Method::GET,
            leg,
            home: &home,
            path: "",
            scopes: &scopes,
            headers: HeaderMap::new(),
            payload: Payload::None,
        };
        (self.0.sink)(Event::Begin { what: what.clone(), total: 0 });
        loop {
            let before = flow.written;
            call.headers = flow.headers(wanted.known).map_err(context)?;
            let stop = match self.0.attempt(&call).await {
                Ok(answer) if answer.status == StatusCode::NOT_MODIFIED && wanted.known.is_some() && before == 0 => {
                    (self.0.sink)(Event::End { what, how: "unchanged" });
                    return Ok(Downloaded::Same);
                }
                Ok(answer) if answer.status.is_success() => match flow.take(answer, &self.0.sink).await {
                    Ok(()) => {
                        (self.0.sink)(Event::End { what, how: "fetched" });
                        return Ok(Downloaded::New(flow.etag));
                    }
                    Err(stop) => stop,
                },
                Ok(answer) => match answer.reply(failure::MOST_BYTES).await {
                    Ok(reply) => return Err(context(reply.refusal())),
                    Err(stop) => stop,
                },
                Err(stop) => stop,
            };
            if flow.written.saturating_sub(before) >= PROGRESS {
                turns.progressed();
            }
            turns.after(stop).await.map_err(context)?;
        }
    }

    /// Where a URL leads. It has no password, and is `https` unless its bytes are checked, or it is declared, or on this machine.
    fn address(&self, wanted: &Wanted<'_>) -> Result<(Home, Leg)> {
        let wrong = || Error::usage(format!("`{}` is not a URL of the web", wanted.url.escape_debug()));
        let url = Url::parse(wanted.url).map_err(|cause| wrong().because(cause))?;
        let origin = Origin::of(&url).ok_or_else(wrong)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::usage(format!("the URL `{}` holds a user or a password", redacted(&url))));
        }
        let declared = self.0.settings.hosts.host(&origin.name()).and_then(|host| host.http) == Some(true);
        if !origin.tls && !is_loopback(&origin.host) && !declared && !wanted.checked {
            return Err(Error::usage(format!(
                "`{}` is plain http, and nothing says what its bytes must be",
                redacted(&url)
            ))
            .hint("take `https`, or say which digest it must have"));
        }
        let home = Home { name: origin.name(), origin };
        // Not our own: no credential of a registry goes to it.
        Ok((home, Leg { url, own: false, guard: None }))
    }
}

impl Flow<'_> {
    /// What is asked: the rest, where something is there and has a name; else all, unless it is known.
    fn headers(&self, known: Option<&str>) -> Result<HeaderMap> {
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|cause| Error::remote("an `ETag` cannot be sent back").because(cause))
        };
        let mut headers = HeaderMap::new();
        match (&self.etag, known) {
            (Some(etag), _) if self.written > 0 => {
                headers.insert(RANGE, value(&format!("bytes={}-", self.written))?);
                headers.insert(IF_RANGE, value(etag)?);
            }
            (_, Some(known)) if self.written == 0 => drop(headers.insert(IF_NONE_MATCH, value(known)?)),
            _ => {}
        }
        Ok(headers)
    }

    /// Takes an answer's body to its end.
    async fn take(&mut self, mut answer: Answer, sink: &crate::event::Sink) -> Result<(), Stop> {
        let number = |name: &str| header(&answer.headers, name).and_then(|text| text.trim().parse::<u64>().ok());
        let etag = header(&answer.headers, ETAG.as_str()).filter(|etag| etag.len() <= MOST_ETAG).map(str::to_string);
        if answer.status == StatusCode::PARTIAL_CONTENT {
            let range = header(&answer.headers, CONTENT_RANGE.as_str()).unwrap_or_default();
            if self.written == 0 || !self.length.is_some_and(|length| is_rest(range, self.written, length)) {
                return Err(Error::remote(format!(
                    "another part came than was asked for: `{}`",
                    failure::shown(range)
                ))
                .into());
            }
        } else {
            if self.written > 0 {
                let failed = |cause| Error::io(format!("writing what came from `{}`", self.what), cause);
                self.target.restart().map_err(failed)?;
            }
            (self.written, self.length) = (0, number(CONTENT_LENGTH.as_str()));
            self.etag = etag.filter(|etag| !etag.starts_with("W/"));
        }
        if self.length.is_some_and(|length| length > self.limit) {
            return Err(self.too_long().into());
        }
        while let Some(piece) = answer.piece().await? {
            if self.limit - self.written.min(self.limit) < piece.len() as u64 {
                return Err(self.too_long().into());
            }
            let failed = |cause| Error::io(format!("writing what came from `{}`", self.what), cause);
            self.target.write_all(&piece).map_err(failed)?;
            self.written += piece.len() as u64;
            sink(Event::Step { what: self.what.clone(), done: self.written });
        }
        match self.length {
            Some(length) if self.written < length => {
                let written = self.written;
                Err(Stop::broken(Error::remote(format!("it ended after {written} of {length} bytes"))))
            }
            Some(length) if self.written > length => {
                Err(Error::remote(format!("more came than the {length} bytes that were announced")).into())
            }
            _ => Ok(()),
        }
    }

    fn too_long(&self) -> Error {
        Error::remote(format!("it has over {} bytes, which is the limit", self.limit))
    }
}
