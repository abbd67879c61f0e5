//! Stage 4: manifests and indexes. A tag or digest in, bytes with their own hash out; bytes in, the registry's agreement out.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Client;
use super::failure::{self, Said, said};
use super::hosts::Endpoint;
use super::wire::{Payload, Reply};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::document::MOST_BYTES;
use crate::oci::{Digest, Repository, Tag, media};

/// The header in which a registry names a digest.
pub(super) const DIGEST: &str = "docker-content-digest";
/// The header by which a registry says that it keeps a manifest's `subject`.
const SUBJECT: &str = "oci-subject";

/// How a manifest is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// By what the tag says now.
    Tag(&'a Tag),
    /// By what it is.
    Digest(&'a Digest),
}

impl std::fmt::Display for Which<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Which::Tag(tag) => tag.fmt(f),
            Which::Digest(digest) => digest.fmt(f),
        }
    }
}

impl Which<'_> {
    fn of(&self, repository: &Repository) -> String {
        match self {
            Which::Tag(tag) => format!("`{repository}:{tag}`"),
            Which::Digest(digest) => format!("`{repository}@{digest}`"),
        }
    }
}

/// A manifest as it came, with our own hash of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The `Content-Type` without parameters; `None` where it says nothing about the content.
    pub media_type: Option<String>,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// How a push of a manifest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushedManifest {
    /// It is there; `subject` says whether the registry keeps its `subject` in the referrers API.
    Created {
        /// Whether `OCI-Subject` was answered.
        subject: bool,
    },
    /// The tag cannot be written, but holds this very manifest already.
    Unchanged,
    /// The registry lacks content that the manifest names (these digests, as far as it says which): push it again with
    /// [`Client::push_blob_anew`], then this manifest once more.
    Missing(Vec<Digest>),
}

impl Client {
    /// A manifest or index, verified by our own hash; `None` where the registry says that there is none.
    pub async fn manifest(&self, repository: &Repository, which: Which<'_>) -> Result<Option<Fetched>> {
        let context = |cause: Error| cause.context(format!("reading {}", which.of(repository)));
        let readers = self.readers(repository);
        for endpoint in &readers {
            match self.manifest_at(endpoint, which).await {
                Ok(None) if endpoint.mirror => {}
                Err(error) if endpoint.mirror => self.past_mirror(endpoint, &error)?,
                other => return other.map_err(context),
            }
        }
        Ok(None)
    }

    /// What a tag says now, by the word of the registry itself: its mirrors may be behind.
    pub async fn current(&self, repository: &Repository, tag: &Tag) -> Result<Option<Fetched>> {
        let which = Which::Tag(tag);
        let context = |cause: Error| cause.context(format!("reading {}", which.of(repository)));
        self.manifest_at(&self.writer(repository), which).await.map_err(context)
    }

    /// Remembers that a mirror was of no use, unless a stop was asked for.
    pub(super) fn past_mirror(&self, endpoint: &Endpoint, error: &Error) -> Result<()> {
        self.0.cancel.check()?;
        let text = format!("the mirror `{}` is passed over: {error:?}", endpoint.home.name);
        (self.0.sink)(Event::Detail { text });
        Ok(())
    }

    pub(super) async fn manifest_at(&self, endpoint: &Endpoint, which: Which<'_>) -> Result<Option<Fetched>> {
        let scopes = endpoint.pull();
        let mut call = endpoint.call(Method::GET, &format!("manifests/{which}"), &scopes)?;
        call.headers.insert(ACCEPT, accept());
        let reply = self.0.fetch(&call, MOST_BYTES).await?;
        match reply.status {
            StatusCode::OK => fetched(reply, which).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(reply.refusal()),
        }
    }

    /// The digest that a tag (or digest) leads to; `None` where the registry says that there is none.
    ///
    /// It is the registry's word; where it gives none, the manifest is fetched and hashed.
    pub async fn head(&self, repository: &Repository, which: Which<'_>) -> Result<Option<Digest>> {
        let endpoint = self.writer(repository);
        let context = |cause: Error| cause.context(format!("looking for {}", which.of(repository)));
        if let Some(answer) = self.head_at(&endpoint, which).await.map_err(context)? {
            return Ok(answer);
        }
        let found = self.manifest_at(&endpoint, which).await.map_err(context)?;
        Ok(found.map(|fetched| fetched.digest))
    }

    /// What HEAD says: there, not there, or nothing of use.
    pub(super) async fn head_at(&self, endpoint: &Endpoint, which: Which<'_>) -> Result<Option<Option<Digest>>> {
        let scopes = endpoint.pull();
        let mut call = endpoint.call(Method::HEAD, &format!("manifests/{which}"), &scopes)?;
        call.headers.insert(ACCEPT, accept());
        let reply = self.0.fetch(&call, 0).await?;
        let named = reply.header(DIGEST).and_then(|text| text.parse::<Digest>().ok());
        match (reply.status, named) {
            (StatusCode::OK, Some(digest)) => Ok(Some(Some(digest))),
            (StatusCode::NOT_FOUND, _) => Ok(Some(None)),
            _ => Ok(None),
        }
    }

    /// Pushes a manifest or index under a tag or its digest. All that it names has to be there already.
    pub async fn push_manifest(
        &self,
        repository: &Repository,
        which: Which<'_>,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<PushedManifest> {
        let context = |cause: Error| cause.context(format!("pushing {}", which.of(repository)));
        self.put_manifest(repository, which, media_type, bytes).await.map_err(context)
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        which: Which<'_>,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<PushedManifest> {
        if bytes.len() as u64 > MOST_BYTES {
            return Err(too_large(bytes));
        }
        let ours = Digest::of(bytes);
        let endpoint = self.writer(repository);
        let scopes = endpoint.push();
        let mut call = endpoint.call(Method::PUT, &format!("manifests/{which}"), &scopes)?;
        let kind = HeaderValue::from_str(media_type).map_err(|_| Error::bug("a media type cannot be sent"))?;
        call.headers.insert(CONTENT_TYPE, kind);
        call.payload = Payload::Bytes(Bytes::copy_from_slice(bytes));
        let reply = self.0.fetch(&call, failure::MOST_BYTES).await?;
        if reply.status.is_success() {
            agreed(&reply, &ours)?;
            return Ok(PushedManifest::Created { subject: reply.header(SUBJECT).is_some() });
        }
        let errors = said(&reply.body);
        if let Some(missing) = missing(&errors) {
            return Ok(PushedManifest::Missing(missing));
        }
        match which {
            Which::Tag(tag) if is_immutable(&reply, &errors) => self.unchanged(&endpoint, tag, &ours, reply).await,
            _ => Err(reply.refusal()),
        }
    }

    /// A tag that may not be written is fine if it says what we wanted it to say.
    async fn unchanged(&self, endpoint: &Endpoint, tag: &Tag, ours: &Digest, reply: Reply) -> Result<PushedManifest> {
        let there = match self.head_at(endpoint, Which::Tag(tag)).await? {
            Some(there) => there,
            None => self.manifest_at(endpoint, Which::Tag(tag)).await?.map(|fetched| fetched.digest),
        };
        match there {
            Some(there) if there == *ours => Ok(PushedManifest::Unchanged),
            Some(there) => Err(Error::remote(format!(
                "the tag `{tag}` is immutable: it says {there} and cannot be made to say {ours}"
            ))
            .because(reply.refusal())
            .hint("push under another tag")),
            None => Err(reply.refusal()),
        }
    }

    /// Deletes a manifest; `false` where it was not there.
    pub async fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        self.delete(repository, Which::Digest(digest)).await
    }

    /// Deletes a tag, not what it leads to; `false` where it was not there.
    pub async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<bool> {
        self.delete(repository, Which::Tag(tag)).await
    }

    async fn delete(&self, repository: &Repository, which: Which<'_>) -> Result<bool> {
        let context = |cause: Error| cause.context(format!("deleting {}", which.of(repository)));
        let endpoint = self.writer(repository);
        let scopes = super::Scopes::repository(&endpoint.path, "pull,push,delete");
        let call = endpoint.call(Method::DELETE, &format!("manifests/{which}"), &scopes)?;
        let reply = self.0.fetch(&call, failure::MOST_BYTES).await.map_err(context)?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(context(reply.refusal())),
        }
    }
}

/// The media types that we read, best first.
fn accept() -> HeaderValue {
    let all = [media::INDEX, media::MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST].join(", ");
    HeaderValue::from_str(&all).unwrap_or(HeaderValue::from_static("*/*"))
}

fn fetched(reply: Reply, which: Which<'_>) -> Result<Fetched> {
    let digest = Digest::of(&reply.body);
    if let Which::Digest(expected) = which
        && digest != *expected
    {
        return Err(Error::remote(format!(
            "the registry sent other content than asked for: {expected} was asked for, {digest} came"
        )));
    }
    agreed(&reply, &digest)?;
    let kind = reply.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let tells_nothing = matches!(
        kind.as_str(),
        "" | "application/json" | "text/plain" | "text/json" | "application/octet-stream" | "binary/octet-stream"
    );
    Ok(Fetched { bytes: reply.body, media_type: (!tells_nothing).then_some(kind), digest })
}

/// Fails if the registry names another digest than we computed. A header that is no SHA-256 digest tells nothing.
pub(super) fn agreed(reply: &Reply, ours: &Digest) -> Result<()> {
    match reply.header(DIGEST).and_then(|text| text.parse::<Digest>().ok()) {
        Some(theirs) if theirs != *ours => Err(Error::remote(format!(
            "the registry names the content {theirs}, but its digest is {ours}: it was changed on the way"
        ))),
        _ => Ok(()),
    }
}

/// The digests that a registry misses, if that is what it says.
fn missing(errors: &[Said]) -> Option<Vec<Digest>> {
    let unknown =
        |said: &&Said| matches!(said.code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN");
    let about: Vec<&Said> = errors.iter().filter(unknown).collect();
    if about.is_empty() {
        return None;
    }
    let mut digests = Vec::new();
    for said in about {
        for text in [&said.detail, &said.message] {
            for (at, _) in text.match_indices("sha256:") {
                let found = text.get(at..at + 71).and_then(|text| text.parse::<Digest>().ok());
                digests.extend(found.filter(|digest| !digests.contains(digest)));
            }
        }
    }
    Some(digests)
}

/// Whether a refusal means that the tag exists and may not be moved; registries word it in many ways.
fn is_immutable(reply: &Reply, errors: &[Said]) -> bool {
    let text: String = errors.iter().map(|said| format!("{} {} {} ", said.code, said.message, said.detail)).collect();
    let text = if errors.is_empty() { String::from_utf8_lossy(&reply.body).into_owned() } else { text };
    let text = text.to_ascii_lowercase();
    let worded = ["immutable", "already exist", "alreadyexists", "already_exist", "overwrit"];
    let fits = matches!(reply.status.as_u16(), 400 | 403 | 405 | 409 | 412);
    fits && (matches!(reply.status.as_u16(), 409 | 412) || worded.iter().any(|word| text.contains(word)))
}

/// The error for a manifest that no registry need take; names what is largest in it.
fn too_large(bytes: &[u8]) -> Error {
    let error = Error::usage(format!("the manifest has {} bytes, registries take {MOST_BYTES}", bytes.len()));
    let Ok(Value::Object(map)) = serde_json::from_slice::<Value>(bytes) else { return error };
    let mut largest = (0, String::new());
    for (key, value) in &map {
        let parts: Vec<(String, &Value)> = match value {
            Value::Object(inner) => inner.iter().map(|(name, value)| (format!("{key}.{name}"), value)).collect(),
            other => vec![(key.clone(), other)],
        };
        for (name, value) in parts {
            let size = value.to_string().len();
            largest = largest.max((size, name));
        }
    }
    error.hint(format!("its largest part is `{}` with {} bytes", failure::shown(&largest.1), largest.0))
}
