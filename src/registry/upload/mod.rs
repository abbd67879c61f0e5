//! Stage 4: blobs that are written. Content in, the registry's agreement that it holds these bytes out.
//!
//! One request with the whole body is the rule; a session that broke is resumed, and a registry that does not take large bodies gets
//! pieces. Whatever happens in between, the end is a digest that the registry confirmed.
//!
//! No other process goes on with a session: the spec has no way to find one again, and its address (`_state`, signatures) is as good as a
//! credential, so it is never written down. What a killed run finished is not sent again (STA-02); what it began is.

pub(super) mod steps;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::{Descriptor, Digest, Repository};
use crate::registry::Client;
use crate::registry::body::Body;
use crate::registry::failure;
use crate::registry::hosts::Endpoint;
use crate::registry::manifests::{DIGEST, agreed};
use crate::registry::mount::Doubt;
use crate::registry::origin::{Leg, Via};
use crate::registry::retry::{Stop, Turns};
use crate::registry::scope::Scopes;
use crate::registry::wire::{Call, Wire};
use steps::{SMALLEST, Step, least};

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

/// What a registry says of a blob before any byte of it is sent.
pub enum Begun {
    /// The repository holds it.
    AlreadyThere,
    /// The registry took it over from another repository.
    Mounted,
    /// It lacks it: the bytes are to be sent, or the upload given up.
    Lacks(Opened),
}

/// The upload that a registry opened in place of a mount, if it did. By default it opened none.
#[derive(Default)]
pub struct Opened(Option<Session>);

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
        match self.begin_blob(repository, descriptor, mount_from).await? {
            Begun::AlreadyThere => Ok(Pushed::AlreadyThere),
            Begun::Mounted => Ok(Pushed::Mounted),
            Begun::Lacks(opened) => self.send_blob(repository, descriptor, content, opened).await,
        }
    }

    /// Asks for a blob, and has it taken over from one of `mount_from` where that works; so its bytes need not be at hand yet.
    ///
    /// Where it can be mounted, the mount is the only request: a registry that holds the blob already answers it in the same way.
    pub async fn begin_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        mount_from: &[Repository],
    ) -> Result<Begun> {
        let endpoint = self.writer(repository);
        let is_source = |source: &&Repository| source.registry == repository.registry && source.path != repository.path;
        let sources: Vec<&Repository> = mount_from.iter().filter(is_source).take(MOST_SOURCES).collect();
        let begun = Upload::new(&self.0, &endpoint, descriptor, &bytes::Bytes::new()).ask(&sources).await;
        begun.map_err(|cause| pushing(cause, repository, descriptor))
    }

    /// Sends the bytes of a blob that the registry lacks.
    pub async fn send_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: &dyn Body,
        Opened(session): Opened,
    ) -> Result<Pushed> {
        let endpoint = self.writer(repository);
        let sent = Upload::new(&self.0, &endpoint, descriptor, content).run(session).await;
        sent.map_err(|cause| pushing(cause, repository, descriptor))
    }

    /// Gives up an upload that was opened and is not needed.
    pub async fn leave_blob(&self, repository: &Repository, descriptor: &Descriptor, Opened(session): Opened) {
        let endpoint = self.writer(repository);
        if let Some(session) = session {
            Upload::new(&self.0, &endpoint, descriptor, &bytes::Bytes::new()).abandon(&session).await;
        }
    }

    /// Pushes a blob even though the registry says that it holds it; for [`crate::registry::PushedManifest::Missing`].
    pub async fn push_blob_anew(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: &dyn Body,
    ) -> Result<Pushed> {
        self.send_blob(repository, descriptor, content, Opened::default()).await
    }
}

fn pushing(cause: Error, repository: &Repository, descriptor: &Descriptor) -> Error {
    cause.context(format!("pushing the blob {} to `{repository}`", descriptor.digest))
}

impl<'a> Upload<'a> {
    fn new(wire: &'a Wire, endpoint: &'a Endpoint, descriptor: &'a Descriptor, content: &'a dyn Body) -> Upload<'a> {
        let scopes = endpoint.push();
        Upload { wire, endpoint, descriptor, content, scopes, way: Way::Whole, miscounts: false }
    }

    /// A mount first, because it alone is enough; where mounts from there did not work before, the blob is asked for first.
    async fn ask(&mut self, sources: &[&Repository]) -> Result<Begun> {
        let origin = &self.endpoint.home.origin;
        let doubted = sources.iter().any(|source| self.wire.doubts.of(origin, &source.path).is_some());
        if (sources.is_empty() || doubted) && self.is_there().await? {
            return Ok(Begun::AlreadyThere);
        }
        let mut session = None;
        for source in sources {
            if self.wire.doubts.of(origin, &source.path) == Some(Doubt::Refused) {
                continue;
            }
            match self.mount(source).await? {
                Some(None) => return Ok(Begun::Mounted),
                Some(Some(begun)) => {
                    self.wire.doubts.add(origin, &source.path, Doubt::Opened);
                    session = Some(begun);
                    break;
                }
                None => self.wire.doubts.add(origin, &source.path, Doubt::Refused),
            }
        }
        if !sources.is_empty() && !doubted && self.is_there().await? {
            if let Some(session) = session {
                self.abandon(&session).await;
            }
            return Ok(Begun::AlreadyThere);
        }
        Ok(Begun::Lacks(Opened(session)))
    }

    async fn run(&mut self, mut session: Option<Session>) -> Result<Pushed> {
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

    /// Tells the registry that a session is not needed any more; nobody minds if that fails.
    async fn abandon(&self, session: &Session) {
        let Ok(call) = self.session_call(Method::DELETE, &session.leg) else { return };
        self.wire.farewell(&call).await;
    }
}
