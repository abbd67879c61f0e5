//! Stage 4: what refers to an image: signatures, SBOMs, provenance. A digest in, descriptors out; a manifest with a subject in, its place in
//! the list out. The referrers API, and where a registry lacks it the tag scheme (distribution spec, "Referrers tag schema").

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Client;
use super::hosts::Endpoint;
use super::manifests::{Fetched, PushedManifest, Which};
use super::retry::unless_cancelled;
use super::tags::{MOST_BYTES, Pages};
use super::wire::Reply;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::document::MOST_ENTRIES;
use crate::oci::{Descriptor, Digest, Document, Index, Repository, Tag, json, media};

/// How often a list under a tag is written again because somebody else wrote it at the same time.
const MOST_ROUNDS: u32 = 10;
/// How often a manifest is pushed again because the registry lacks what it took a moment ago.
const MOST_MISSES: u32 = 3;

/// How a referrer came into its subject's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The registry keeps the list.
    Api,
    /// We keep it, under the fallback tag.
    Tag,
}

impl Client {
    /// All that refers to a digest. A registry that cannot say fails: that is never the same as none.
    pub async fn referrers(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Descriptor>> {
        let context = |cause: Error| cause.context(format!("listing what refers to `{repository}@{digest}`"));
        let endpoint = self.writer(repository);
        if let Some(found) = self.referrers_api(&endpoint, digest).await.map_err(context)? {
            return Ok(found);
        }
        let text = format!("`{}` has no referrers API, the tag scheme is used", endpoint.home.name);
        (self.0.sink)(Event::Detail { text });
        let index = self.referrers_tag(&endpoint, digest).await.map_err(context)?;
        Ok(index.map(|index| index.manifests).unwrap_or_default())
    }

    /// What the API says; `None` where there is none.
    async fn referrers_api(&self, endpoint: &Endpoint, digest: &Digest) -> Result<Option<Vec<Descriptor>>> {
        let scopes = endpoint.pull();
        let mut call = endpoint.call(Method::GET, &format!("referrers/{digest}"), &scopes)?;
        call.headers.insert(ACCEPT, HeaderValue::from_static(media::INDEX));
        let mut pages = Pages::default();
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        loop {
            let reply = self.0.fetch(&call, MOST_BYTES).await?;
            let first = seen.is_empty() && found.is_empty();
            if first && lacks_api(&reply) {
                return Ok(None);
            }
            if reply.status != StatusCode::OK {
                return Err(reply.refusal());
            }
            let Document::Index(index) = Document::read(&reply.body, None, "the list of referrers")? else {
                return Err(Error::remote("the list of referrers is an image, not an index"));
            };
            found.extend(index.manifests.into_iter().filter(|descriptor| seen.insert(descriptor.digest)));
            if found.len() > MOST_ENTRIES {
                return Err(Error::remote(format!("there are over {MOST_ENTRIES} referrers, which is the limit")));
            }
            match pages.next(&self.0, endpoint, &reply).await? {
                Some(leg) => call.leg = leg,
                None => return Ok(Some(found)),
            }
        }
    }

    /// The list under the fallback tag, if there is one.
    async fn referrers_tag(&self, endpoint: &Endpoint, subject: &Digest) -> Result<Option<Index>> {
        let tag = fallback_tag(subject)?;
        let Some(Fetched { bytes, media_type, digest }) = self.manifest_at(endpoint, Which::Tag(&tag)).await? else {
            return Ok(None);
        };
        // Some registries resolve this tag to the subject itself (oras-go #1396).
        if digest == *subject {
            return Ok(None);
        }
        match Document::read(&bytes, media_type.as_deref(), &format!("the list of referrers under `{tag}`"))? {
            Document::Index(index) => Ok(Some(index)),
            Document::Manifest(_) => {
                Err(Error::remote(format!("the tag `{tag}` should hold a list of referrers, but holds an image")))
            }
        }
    }

    /// Pushes a manifest that has a `subject`, and sees to it that it is in the subject's list.
    ///
    /// Without the API the list is ours to keep: it is read, changed and written, then watched for [`super::Patience::settle`],
    /// so that writers at the same time lose nothing.
    pub async fn add_referrer(
        &self,
        repository: &Repository,
        subject: &Descriptor,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Attached> {
        let descriptor = describe(media_type, bytes)?;
        let mut misses = 0;
        loop {
            match self.push_manifest(repository, Which::Digest(&descriptor.digest), media_type, bytes).await? {
                // Some say that they keep the list, and have none that could be read.
                PushedManifest::Created { subject: true } if self.keeps_list(repository, subject).await? => {
                    return Ok(Attached::Api);
                }
                PushedManifest::Created { .. } | PushedManifest::Unchanged => break,
                // Some registries lack for a moment what two clients give them at once.
                PushedManifest::Missing(_) if misses < MOST_MISSES => misses += 1,
                PushedManifest::Missing(digests) => {
                    let digests: Vec<String> = digests.iter().map(Digest::to_string).collect();
                    return Err(Error::remote(format!(
                        "pushing `{repository}@{}`: the registry lacks what it names ({})",
                        descriptor.digest,
                        digests.join(", ")
                    )));
                }
            }
            self.settle().await?;
        }
        let context = |cause: Error| {
            cause.context(format!("adding to the list of what refers to `{repository}@{}`", subject.digest))
        };
        self.list_under_tag(repository, &subject.digest, descriptor).await.map_err(context)?;
        Ok(Attached::Tag)
    }

    /// Whether a registry that says so has the API.
    async fn keeps_list(&self, repository: &Repository, subject: &Descriptor) -> Result<bool> {
        let context = |cause: Error| cause.context(format!("listing what refers to `{repository}@{}`", subject.digest));
        let found = self.referrers_api(&self.writer(repository), &subject.digest).await.map_err(context)?;
        Ok(found.is_some())
    }

    async fn list_under_tag(&self, repository: &Repository, subject: &Digest, descriptor: Descriptor) -> Result<()> {
        let endpoint = self.writer(repository);
        let tag = fallback_tag(subject)?;
        let settle = self.0.settings.patience.settle;
        for round in 0..MOST_ROUNDS {
            let there = self.referrers_tag(&endpoint, subject).await?;
            let mut index = there.unwrap_or_else(empty);
            if index.manifests.iter().any(|other| other.digest == descriptor.digest) {
                return Ok(());
            }
            index.manifests.push(descriptor.clone());
            let bytes = json::canonical(&index);
            self.push_manifest(repository, Which::Tag(&tag), media::INDEX, &bytes).await?;
            // Whoever read the list before we wrote it writes it without us within this time. Later rounds wait differently long.
            let pause = settle + settle.mul_f64(0.3 * f64::from(round));
            self.wait(pause).await?;
        }
        Err(Error::remote(format!("others kept changing the tag `{tag}` for {MOST_ROUNDS} rounds"))
            .hint("run again when fewer are at work"))
    }

    /// Waits until whoever read a tag before we wrote it has written it without us ([`super::Patience::settle`]).
    pub async fn settle(&self) -> Result<()> {
        self.wait(self.0.settings.patience.settle).await
    }

    async fn wait(&self, pause: Duration) -> Result<()> {
        unless_cancelled(&self.0.cancel, (self.0.settings.clock.pause)(pause)).await
    }
}

/// Whether an answer means that the registry does not know the API at all.
pub(super) fn lacks_api(reply: &Reply) -> bool {
    match reply.status.as_u16() {
        303 | 400 | 404 | 405 | 406 | 501 => true,
        200 => {
            let kind = reply.header(CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
            let start = reply.body.iter().find(|byte| !byte.is_ascii_whitespace());
            kind.contains("html") || start != Some(&b'{')
        }
        _ => false,
    }
}

fn fallback_tag(subject: &Digest) -> Result<Tag> {
    format!("sha256-{}", subject.hex()).parse()
}

fn empty() -> Index {
    Index {
        schema_version: 2,
        media_type: media::INDEX.to_string(),
        artifact_type: None,
        manifests: Vec::new(),
        subject: None,
        annotations: Default::default(),
        rest: Default::default(),
    }
}

/// The entry for a manifest in a list: with its artifact type and annotations, as the spec wants.
fn describe(media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
    let value: Value = json::read(bytes, "the referrer")?;
    let mut descriptor = Descriptor::of(media_type, bytes);
    let text =
        |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_string);
    descriptor.artifact_type = text(value.get("artifactType"))
        .or_else(|| text(value.get("config").and_then(|config| config.get("mediaType"))));
    if let Some(annotations) = value.get("annotations").and_then(Value::as_object) {
        let pairs = annotations.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_string())));
        descriptor.annotations = pairs.collect();
    }
    Ok(descriptor)
}
