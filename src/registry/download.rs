//! Stage 4: a file from the web. A URL that the user wrote in, its bytes into a writer out: streamed, resumed, bounded, by the rules that
//! registries have to keep (TLS, redirects, private ranges), and without any credential.

use std::io::Write;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::Client;
use super::blobs::is_rest;
use super::failure::{self, header, shown};
use super::origin::{Home, Leg, Origin, is_loopback, redacted};
use super::retry::Stop;
use super::scope::Scopes;
use super::wire::{Answer, Call, Payload};
use crate::error::{Error, Result};

/// So many new bytes make an attempt count as a success, so that a long download may break often.
const PROGRESS: u64 = 1 << 20;

/// What came of asking for a newer file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Newer {
    /// The server still has the one that is known.
    Same,
    /// Another one came; what the server calls it, where that is exact.
    Came(Option<String>),
}

/// A file on its way.
struct Flow<'a> {
    sink: &'a mut (dyn Write + Send),
    most: u64,
    written: u64,
    total: Option<u64>,
    /// What the server calls this version of the file, if it says so.
    version: Option<HeaderValue>,
    /// What it called the version that is known, which need not come again.
    known: Option<HeaderValue>,
    /// Whether it still has that one.
    same: bool,
}

impl Client {
    /// Streams what is at a URL into `sink`, at most `most` bytes, and says how many they were. What was written is never written twice.
    /// Nothing is known about the bytes then: who asks for them has to verify them.
    pub async fn download(&self, url: &str, most: u64, sink: &mut (dyn Write + Send)) -> Result<u64> {
        self.stream_file(url, most, sink, false).await
    }

    /// As [`Client::download`]; with `plain` also over plain http from anywhere, for what somebody has signed.
    pub(super) async fn stream_file(
        &self,
        url: &str,
        most: u64,
        sink: &mut (dyn Write + Send),
        plain: bool,
    ) -> Result<u64> {
        self.flow(url, None, most, sink, plain).await.map(|flow| flow.written)
    }

    /// The same, unless the server still calls the file by the name that is known (its `ETag`): then nothing is written. The bytes are
    /// of one version, unless it has no exact name and changes on the way.
    pub async fn newer(
        &self,
        url: &str,
        known: Option<&str>,
        most: u64,
        sink: &mut (dyn Write + Send),
    ) -> Result<Newer> {
        let known = known.and_then(|known| HeaderValue::from_str(known).ok());
        let flow = self.flow(url, known, most, sink, false).await?;
        let name = flow.version.as_ref().and_then(|version| version.to_str().ok()).map(str::to_string);
        Ok(if flow.same { Newer::Same } else { Newer::Came(name) })
    }

    async fn flow<'a>(
        &self,
        url: &str,
        known: Option<HeaderValue>,
        most: u64,
        sink: &'a mut (dyn Write + Send),
        plain: bool,
    ) -> Result<Flow<'a>> {
        let (home, leg) = self.place(url, plain)?;
        let context = format!("fetching `{}`", redacted(&leg.url));
        let mut flow = Flow { sink, most, written: 0, total: None, version: None, known, same: false };
        self.fetch_file(&home, leg, &mut flow).await.map_err(|cause| cause.context(context))?;
        Ok(flow)
    }

    /// Where a URL leads. Plain http leads to this machine and to declared hosts only, unless it is `plain` that is asked for.
    pub(super) fn place(&self, text: &str, plain: bool) -> Result<(Home, Leg)> {
        // What stands before an `@` may be a password.
        let safe = text.rsplit('@').next().unwrap_or_default();
        let wrong = |why: &str| Error::usage(format!("`{}` cannot be fetched: {why}", shown(safe)));
        let url = Url::parse(text).map_err(|cause| wrong("it is no URL").because(cause))?;
        let origin = Origin::of(&url).ok_or_else(|| wrong("it is neither http nor https"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds credentials"));
        }
        let name = origin.name();
        let declared = self.0.settings.hosts.host(&name).and_then(|host| host.http);
        if !origin.tls && !plain && !declared.unwrap_or(is_loopback(&origin.host)) {
            return Err(wrong("plain http is spoken to this machine only").hint(format!(
                "write `https://`, or declare `[host.\"{name}\"]` with `http = true` in `registries.toml`"
            )));
        }
        Ok((Home { name, origin, anonymous: true }, Leg { url, own: false, guard: None }))
    }

    async fn fetch_file(&self, home: &Home, leg: Leg, flow: &mut Flow<'_>) -> Result<()> {
        let scopes = Scopes::default();
        let (headers, payload) = (HeaderMap::new(), Payload::None);
        let mut call = Call { method: Method::GET, leg, home, path: "", scopes: &scopes, headers, payload };
        let mut turns = self.0.turns(home);
        loop {
            let before = flow.written;
            call.headers = flow.headers()?;
            let stop = match self.0.attempt(&call).await {
                Ok(answer) if matches!(answer.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) => {
                    match flow.take(answer).await {
                        Ok(()) => return Ok(()),
                        Err(stop) => stop,
                    }
                }
                Ok(answer) if answer.status == StatusCode::NOT_MODIFIED && flow.known.is_some() && before == 0 => {
                    flow.same = true;
                    return Ok(());
                }
                Ok(answer) => return Err(refused(answer).await),
                Err(stop) => stop,
            };
            if before < flow.written && flow.total == Some(flow.written) && matches!(stop, Stop::Again { .. }) {
                return Ok(());
            }
            if flow.written - before >= PROGRESS {
                turns.progressed();
            }
            turns.after(stop).await?;
        }
    }
}

async fn refused(answer: Answer) -> Error {
    let reply = match answer.reply(failure::MOST_BYTES).await {
        Ok(reply) => reply,
        Err(stop) => return stop.into_error(),
    };
    match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => reply
            .refusal()
            .hint("files are fetched without credentials; put it where anybody can read it, or into the context"),
        _ => reply.refusal(),
    }
}

impl Flow<'_> {
    /// Asks for the rest of what came already, as long as it is still the same file.
    fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if self.written > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.written));
            headers.insert(RANGE, range.map_err(|_| Error::bug("a range cannot be sent"))?);
            self.version.iter().for_each(|version| drop(headers.insert(IF_RANGE, version.clone())));
        } else {
            self.known.iter().for_each(|known| drop(headers.insert(IF_NONE_MATCH, known.clone())));
        }
        Ok(headers)
    }

    /// Takes an answer's body to its end.
    async fn take(&mut self, mut answer: Answer) -> Result<(), Stop> {
        let length = header(&answer.headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<u64>().ok());
        let mut skip = self.written;
        if answer.status == StatusCode::PARTIAL_CONTENT {
            let text = header(&answer.headers, CONTENT_RANGE.as_str()).unwrap_or_default();
            let total = text.rsplit_once('/').and_then(|(_, total)| total.trim().parse().ok()).or(self.total);
            if !total.is_some_and(|total| is_rest(text, self.written, total)) {
                let (written, text) = (self.written, shown(text));
                return Err(
                    Error::remote(format!("the rest from byte {written} on was asked for, `{text}` came")).into()
                );
            }
            self.known(total)?;
            skip = 0;
        } else {
            self.known(length)?;
            let strong = |version: &&HeaderValue| !version.as_bytes().starts_with(b"W/");
            let version = answer.headers.get(ETAG).filter(strong).cloned();
            if self.written > 0 && self.version.is_some() && version != self.version {
                return Err(Error::remote("it is another file now: it changed while it was fetched").into());
            }
            self.version = version;
        }
        while let Some(piece) = answer.piece().await? {
            self.write(&piece, &mut skip)?;
        }
        match self.total {
            Some(total) if self.written < total => {
                let error = Error::remote(format!("it ended after {} of {total} bytes", self.written));
                Err(Stop::broken(error))
            }
            _ => Ok(()),
        }
    }

    /// Takes note of how large the file is.
    fn known(&mut self, total: Option<u64>) -> Result<()> {
        match (self.total, total) {
            (Some(before), Some(now)) if before != now => {
                return Err(Error::remote(format!(
                    "it had {before} bytes, and then {now}: it changed while it was fetched"
                )));
            }
            (_, None) => {}
            (_, total) => self.total = total,
        }
        if self.total.is_some_and(|total| total > self.most) { Err(self.too_large()) } else { Ok(()) }
    }

    fn write(&mut self, piece: &[u8], skip: &mut u64) -> Result<()> {
        let passed = usize::try_from(*skip).unwrap_or(usize::MAX).min(piece.len());
        *skip -= passed as u64;
        let fresh = piece.get(passed..).unwrap_or_default();
        let most = self.total.unwrap_or(self.most);
        if fresh.len() as u64 > most - self.written.min(most) {
            return Err(match self.total {
                Some(total) => Error::remote(format!("more than the {total} bytes came that were announced")),
                None => self.too_large(),
            });
        }
        self.sink.write_all(fresh).map_err(|cause| Error::io("writing it", cause))?;
        self.written += fresh.len() as u64;
        Ok(())
    }

    fn too_large(&self) -> Error {
        Error::remote(format!("it has more than {} bytes, which is the limit", self.most))
    }
}
