//! Stage 4: blobs that are written. Content in, the registry's agreement that it holds these bytes out.
//!
//! One request with the whole body is the rule; a session that broke is resumed, and a registry that does not take large bodies gets
//! pieces. Whatever happens in between, the end is a digest that the registry confirmed.

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, StatusCode};

use super::Client;
use super::body::Body;
use super::failure::{self, header};
use super::hosts::Endpoint;
use super::manifests::{DIGEST, agreed};
use super::origin::{Leg, Via};
use super::retry::{Stop, Turns};
use super::scope::Scopes;
use super::wire::{Call, Payload, Reply, Wire};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::{Descriptor, Digest, Repository};

/// The header in which a registry says how small a piece may be.
const LEAST: &str = "oci-chunk-min-length";
/// The smallest piece that is tried.
const SMALLEST: u64 = 64 << 10;
/// The largest piece that a registry may demand.
const LARGEST: u64 = 1 << 30;
/// Most repositories that a mount is tried from.
const MOST_SOURCES: usize = 3;
/// How often sessions of one upload are begun.
const MOST_SESSIONS: u32 = 12;

/// How a push of a blob ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The repository held it.
    AlreadyThere,
    /// The registry took it over from another repository.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// A session that a registry opened.
struct Session {
    leg: Leg,
    /// How many bytes are in it.
    at: u64,
    /// The smallest piece that the registry takes.
    least: u64,
}

/// How the bytes are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One PUT with all of them.
    Whole,
    /// PATCHes of at most so many bytes, then a PUT with none.
    Pieces(u64),
}

/// One blob on its way to one repository.
struct Upload<'a> {
    wire: &'a Wire,
    endpoint: &'a Endpoint,
    descriptor: &'a Descriptor,
    content: &'a dyn Body,
    scopes: Scopes,
    way: Way,
    /// Whether the registry's count of stored bytes proved wrong, so that ours counts.
    miscounts: bool,
}

impl Client {
    /// Sees to it that a repository holds a blob. `mount_from` are repositories of the same registry that hold it.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: &dyn Body,
        mount_from: &[Repository],
    ) -> Result<Pushed> {
        self.push(repository, descriptor, content, mount_from, true).await
    }

    /// Pushes a blob even though the registry says that it holds it; for [`super::PushedManifest::Missing`].
    pub async fn push_blob_anew(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: &dyn Body,
    ) -> Result<Pushed> {
        self.push(repository, descriptor, content, &[], false).await
    }

    async fn push(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: &dyn Body,
        mount_from: &[Repository],
        trusting: bool,
    ) -> Result<Pushed> {
        let context = |cause: Error| cause.context(format!("pushing the blob {} to `{repository}`", descriptor.digest));
        let endpoint = self.writer(repository);
        let scopes = endpoint.push();
        let (way, miscounts) = (Way::Whole, false);
        let mut upload = Upload { wire: &self.0, endpoint: &endpoint, descriptor, content, scopes, way, miscounts };
        let is_source = |source: &&Repository| source.registry == repository.registry && source.path != repository.path;
        let sources: Vec<&Repository> = mount_from.iter().filter(is_source).take(MOST_SOURCES).collect();
        upload.run(&sources, trusting).await.map_err(context)
    }
}

impl Upload<'_> {
    async fn run(&mut self, sources: &[&Repository], trusting: bool) -> Result<Pushed> {
        if trusting && self.is_there().await? {
            return Ok(Pushed::AlreadyThere);
        }
        let mut session = None;
        for source in sources {
            match self.mount(source).await? {
                Some(None) => return Ok(Pushed::Mounted),
                Some(Some(begun)) => {
                    session = Some(begun);
                    break;
                }
                None => {}
            }
        }
        let mut turns = self.wire.turns(&self.endpoint.home);
        for _ in 0..MOST_SESSIONS {
            let mut current = match session.take() {
                Some(session) => session,
                None => self.begin(None).await?.ok_or_else(|| Error::remote("the registry opened no upload"))?,
            };
            let outcome = self.transmit(&mut current, &mut turns).await;
            match outcome {
                Ok(true) => return Ok(Pushed::Uploaded),
                Ok(false) => self.abandon(&current).await,
                Err(error) => {
                    self.abandon(&current).await;
                    return Err(error);
                }
            }
        }
        Err(Error::remote(format!("the upload did not succeed in {MOST_SESSIONS} sessions")))
    }

    fn call(&self, method: Method, rest: &str) -> Result<Call<'_>> {
        self.endpoint.call(method, rest, &self.scopes)
    }

    fn session_call(&self, method: Method, leg: &Leg) -> Result<Call<'_>> {
        Ok(Call { leg: leg.clone(), ..self.call(method, "blobs/uploads/")? })
    }

    /// Whether HEAD says that the blob is there. Whatever else it says: then it is uploaded.
    async fn is_there(&self) -> Result<bool> {
        let call = self.call(Method::HEAD, &format!("blobs/{}", self.descriptor.digest))?;
        let reply = self.wire.fetch(&call, 0).await?;
        let named = reply.header(DIGEST).and_then(|text| text.parse::<Digest>().ok());
        Ok(reply.status == StatusCode::OK && named.is_none_or(|named| named == self.descriptor.digest))
    }

    /// Tries a mount: mounted (`Some(None)`), a session in its place, or nothing.
    async fn mount(&mut self, source: &Repository) -> Result<Option<Option<Session>>> {
        let scopes = self.scopes.clone();
        self.scopes = scopes.clone().and(&Scopes::repository(&source.path, "pull"));
        let begun = self.begin(Some(source)).await;
        self.scopes = scopes;
        match begun {
            Ok(session) => Ok(Some(session)),
            Err(error) => {
                self.wire.cancel.check()?;
                let text = format!("no mount from `{source}`: {error:?}");
                (self.wire.sink)(Event::Detail { text });
                Ok(None)
            }
        }
    }

    /// Opens a session; `None` if a mount made that needless.
    async fn begin(&self, mount: Option<&Repository>) -> Result<Option<Session>> {
        let rest = match mount {
            Some(source) => format!("blobs/uploads/?mount={}&from={}", self.descriptor.digest, source.path),
            None => "blobs/uploads/".to_string(),
        };
        let reply = self.wire.fetch(&self.call(Method::POST, &rest)?, failure::MOST_BYTES).await?;
        if mount.is_some() && reply.status == StatusCode::CREATED {
            agreed(&reply, &self.descriptor.digest)?;
            return Ok(None);
        }
        if !matches!(reply.status, StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::OK) {
            return Err(reply.refusal());
        }
        let leg = self.located(&reply.leg, &reply.headers).await?.ok_or_else(|| {
            Error::remote("the registry opened an upload without a `Location` header, so nobody knows where it is")
        })?;
        let least = least(&reply.headers);
        Ok(Some(Session { leg, at: 0, least }))
    }

    /// Where the session goes on, if the answer says so.
    async fn located(&self, from: &Leg, headers: &HeaderMap) -> Result<Option<Leg>> {
        let Some(value) = headers.get(LOCATION) else { return Ok(None) };
        let text = value.to_str().map_err(|_| Error::remote("the `Location` header holds no URL"))?;
        let settings = &self.wire.settings;
        let home = &self.endpoint.home;
        home.follow(&from.url, text, Via::Upload, &settings.hosts, &settings.names).await.map(Some)
    }

    /// Sends the bytes into a session. `false` asks for a new session.
    async fn transmit(&mut self, session: &mut Session, turns: &mut Turns<'_>) -> Result<bool> {
        loop {
            let size = self.descriptor.size;
            let step = match self.way {
                Way::Pieces(most) if session.at < size => self.patch(session, most).await,
                Way::Whole if session.at > 0 && session.at < size => self.patch(session, size).await,
                Way::Whole if session.at == 0 => self.put(session, size).await,
                _ => self.put(session, 0).await,
            };
            let stop = match step {
                Ok(Step::Done) => return Ok(true),
                Ok(Step::On(moved)) => {
                    if moved >= SMALLEST {
                        turns.progressed();
                    }
                    continue;
                }
                Ok(Step::Smaller) => match self.smaller(session) {
                    true => return Ok(false),
                    false => return Err(Error::remote("the registry takes no piece of the blob, however small")),
                },
                Ok(Step::Anew(error)) => {
                    turns.after(Stop::broken(error)).await?;
                    return Ok(false);
                }
                Err(stop) => stop,
            };
            let put_off = stop.is_put_off();
            turns.after(stop).await?;
            if put_off {
                continue;
            }
            // The connection broke or the registry stumbled: it may have all, some or nothing.
            if self.is_there().await? {
                return Ok(true);
            }
            if !self.resume(session).await? {
                return Ok(false);
            }
        }
    }

    /// Makes pieces smaller; `false` when there is no smaller one.
    fn smaller(&mut self, session: &Session) -> bool {
        let next = match self.way {
            Way::Whole => self.wire.settings.patience.chunk,
            Way::Pieces(most) => most / 4,
        };
        if next < SMALLEST.min(self.wire.settings.patience.chunk) || next < session.least {
            return false;
        }
        self.way = Way::Pieces(next);
        true
    }

    /// Ends a session with a PUT that carries `length` bytes, and makes sure that the registry has the right ones.
    async fn put(&self, session: &mut Session, length: u64) -> Result<Step, Stop> {
        let digest = &self.descriptor.digest;
        let mut leg = session.leg.clone();
        let query = leg.url.query().unwrap_or_default().to_string();
        let wanted = format!("digest={digest}");
        let escaped = wanted.replacen("sha256:", "sha256%3A", 1);
        if !query.split('&').any(|pair| pair == wanted || pair.eq_ignore_ascii_case(&escaped)) {
            let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
            leg.url.set_query(Some(&[kept.join("&"), wanted].join(if kept.is_empty() { "" } else { "&" })));
        }
        let mut call = self.session_call(Method::PUT, &leg)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if length > 0 {
            call.payload = Payload::Piece { content: self.content, offset: 0, length };
        }
        let reply = self.wire.attempt(&call).await?.reply(failure::MOST_BYTES).await?;
        match reply.status {
            StatusCode::CREATED if reply.header(DIGEST).is_some_and(|text| text.parse::<Digest>().is_ok()) => {
                agreed(&reply, digest)?;
                Ok(Step::Done)
            }
            status if status.is_success() => match self.is_there().await? {
                true => Ok(Step::Done),
                false => Err(Error::remote(format!(
                    "the registry answered the upload with {status}, but does not hold the blob {digest}"
                ))
                .into()),
            },
            StatusCode::PAYLOAD_TOO_LARGE if length > 0 => Ok(Step::Smaller),
            StatusCode::RANGE_NOT_SATISFIABLE if length > 0 => Ok(Step::Smaller),
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => Ok(Step::Anew(reply.refusal())),
            // Pieces that were counted in different ways do not add up to the blob.
            StatusCode::BAD_REQUEST if session.at > 0 && length == 0 && self.miscounts => {
                Ok(Step::Anew(reply.refusal()))
            }
            _ => Err(self.refused(&call, reply).await),
        }
    }

    /// Sends the next piece.
    async fn patch(&mut self, session: &mut Session, most: u64) -> Result<Step, Stop> {
        let (from, size) = (session.at, self.descriptor.size);
        let length = most.max(session.least).min(size - from);
        let mut call = self.session_call(Method::PATCH, &session.leg)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let range = HeaderValue::from_str(&format!("{from}-{}", from + length - 1));
        call.headers.insert(CONTENT_RANGE, range.map_err(|_| Error::bug("a range cannot be sent"))?);
        call.payload = Payload::Piece { content: self.content, offset: from, length };
        let reply = self.wire.attempt(&call).await?.reply(failure::MOST_BYTES).await?;
        match reply.status {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::CREATED => {}
            StatusCode::PAYLOAD_TOO_LARGE => return Ok(Step::Smaller),
            StatusCode::RANGE_NOT_SATISFIABLE => return self.unsatisfied(session, most, reply).await,
            StatusCode::NOT_FOUND => return Ok(Step::Anew(reply.refusal())),
            _ => return Err(self.refused(&call, reply).await),
        }
        if let Some(leg) = self.located(&reply.leg, &reply.headers).await? {
            session.leg = leg;
        }
        session.least = session.least.max(least(&reply.headers));
        let sent = from + length;
        session.at = match stored(&reply.headers) {
            Some(count) if count > from && count <= sent && !self.miscounts => count,
            Some(count) if count > sent => {
                return Ok(Step::Anew(Error::remote(format!(
                    "the registry holds {count} bytes, but {sent} were sent"
                ))));
            }
            // A count that stands still although the piece was accepted: some registries never raise it (ECR).
            Some(count) if count < sent => {
                self.miscounts = true;
                sent
            }
            _ => sent,
        };
        Ok(Step::On(session.at - from))
    }

    /// A 416 to a piece: the registry is elsewhere, or the piece was too large for it.
    async fn unsatisfied(&mut self, session: &mut Session, most: u64, reply: Reply) -> Result<Step, Stop> {
        let before = session.at;
        if self.resume(session).await? && session.at != before && !self.miscounts {
            return Err(Stop::broken(reply.refusal()));
        }
        if self.miscounts || most <= SMALLEST {
            return Ok(Step::Anew(reply.refusal()));
        }
        Ok(Step::Smaller)
    }

    /// Asks where a session stands; `false` if it cannot be gone on with.
    async fn resume(&mut self, session: &mut Session) -> Result<bool> {
        if self.miscounts {
            return Ok(false);
        }
        let call = self.session_call(Method::GET, &session.leg)?;
        let Ok(reply) = self.wire.fetch(&call, failure::MOST_BYTES).await else {
            self.wire.cancel.check()?;
            return Ok(false);
        };
        if !matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::ACCEPTED) {
            return Ok(false);
        }
        if let Some(leg) = self.located(&reply.leg, &reply.headers).await? {
            session.leg = leg;
        }
        // Without a count, or with that of a first byte that may be none, only a new session is sure.
        match stored(&reply.headers) {
            Some(count) if count > 1 && count <= self.descriptor.size => {
                session.at = count;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Tells the registry that a session is not needed any more; nobody minds if that fails.
    async fn abandon(&self, session: &Session) {
        let Ok(call) = self.session_call(Method::DELETE, &session.leg) else { return };
        self.wire.farewell(&call).await;
    }

    async fn refused(&self, call: &Call<'_>, reply: Reply) -> Stop {
        match reply.stop(self.wire) {
            Stop::Fatal(error) if reply.status == StatusCode::UNAUTHORIZED && reply.leg.own => {
                Stop::Fatal(self.wire.hint(call, error).await)
            }
            stop => stop,
        }
    }
}

/// What one request of an upload came to.
enum Step {
    /// The registry has the blob.
    Done,
    /// So many more bytes are stored.
    On(u64),
    /// The body was too large.
    Smaller,
    /// The session is lost.
    Anew(Error),
}

/// How many bytes a `Range` header counts (`0-LAST`).
fn stored(headers: &HeaderMap) -> Option<u64> {
    let text = header(headers, RANGE.as_str())?.trim();
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    if first != "0" {
        return None;
    }
    last.parse::<u64>().ok()?.checked_add(1)
}

fn least(headers: &HeaderMap) -> u64 {
    header(headers, LEAST).and_then(|text| text.trim().parse().ok()).unwrap_or(0).min(LARGEST)
}
