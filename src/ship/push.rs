//! Stage 9: pushing to registries. An artifact in; blobs, manifests by digest and at last the tags out.

use std::fs::File;
use std::pin::pin;

use super::Cargo;
use super::ahead::Ahead;
use super::blobs::{Blob, Blobs, all};
use super::content::Content;
use super::pushed::Pushed;
use super::tags;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::{Descriptor, Digest, Repository, Tag, media};
use crate::registry::{self, Begun, Opened, PushedManifest, Which};
use crate::store::Memory;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};

/// How many blobs go to one registry at once.
pub(super) const AT_ONCE: usize = 4;
/// What is said of a blob that a repository holds.
const THERE: &str = "already there";

/// Content on its way to registries: every blob once, children before parents, the root last.
pub struct Freight<'a> {
    /// What is sent.
    pub list: Vec<Blob>,
    /// Where its bytes are.
    pub blobs: &'a Blobs,
    /// More repositories that hold all of it.
    pub mounts: Vec<Repository>,
    /// What went ahead of it.
    pub ahead: Option<&'a Ahead>,
}

/// Pushes to every repository: all content to all of them first, then the tags.
///
/// One HEAD for each tag comes first. A tag that says the root is enough to send nothing there: a registry takes a manifest only when it
/// holds all that it names, and keeps that as long as the manifest is there. What somebody deletes behind a tag's back (an image of an
/// index, by its digest) a tag cannot tell; `release`, and `push --no-cache`, ask for each manifest.
pub async fn push(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<Vec<Pushed>> {
    let digest = cargo.artifact.digest();
    let known = match cargo.ahead {
        Some(ahead) => ahead.known.clone(),
        None => tags::look(ctx, cargo.target).await?,
    };
    tags::foresee_from(&known, cargo.target, &digest)?;
    let freight = Freight::of(cargo);
    let root = freight.root()?.descriptor.clone();
    let mut pushed: Vec<Pushed> = Vec::new();
    for (name, known) in cargo.target.names.iter().zip(&known) {
        let tagged = known.now.values().any(|now| *now == digest);
        let objects = match tagged && (ctx.store.memory() != Memory::Off) {
            true => vec![(root.clone(), THERE)],
            false => bring(ctx, &freight, name, &pushed).await?,
        };
        pushed.push(Pushed { name: name.clone(), objects, tags: Vec::new() });
    }
    tags::set_all(ctx, &freight, cargo.target, &mut pushed, Some(&known)).await?;
    Ok(pushed)
}

/// Brings all content to every repository; no tag moves.
pub async fn everywhere(ctx: &Ctx, freight: &Freight<'_>, names: &[Repository]) -> Result<Vec<Pushed>> {
    let mut pushed: Vec<Pushed> = Vec::new();
    for name in names {
        let objects = bring(ctx, freight, name, &pushed).await?;
        pushed.push(Pushed { name: name.clone(), objects, tags: Vec::new() });
    }
    Ok(pushed)
}

/// Blobs, then manifests by digest, children before the index. What `before` took can be mounted from there.
pub async fn bring(
    ctx: &Ctx,
    freight: &Freight<'_>,
    name: &Repository,
    before: &[Pushed],
) -> Result<Vec<(Descriptor, &'static str)>> {
    let root = freight.root()?;
    if there(ctx, freight, name).await? {
        return Ok(vec![(root.descriptor.clone(), THERE)]);
    }
    let before: Vec<&Repository> = before.iter().map(|pushed| &pushed.name).collect();
    // By value: the compiler cannot tell that a stream over borrowed ones may go to another thread.
    let (manifests, blobs): (Vec<Blob>, Vec<Blob>) = freight.list.iter().cloned().partition(is_manifest);
    let before = &before;
    let sent = stream::iter(blobs).map(|blob: Blob| async move {
        let how = match freight.ahead.and_then(|ahead| ahead.how(name, &blob.descriptor.digest)) {
            Some(how) => how,
            None => one(ctx, freight, name, &blob, before).await?,
        };
        Ok::<_, Error>((blob.descriptor, how))
    });
    let mut done = all_of(ctx, sent.buffered(AT_ONCE)).await?;
    // Images name blobs only, so they go at once; an index comes after what it names.
    let (indexes, images): (Vec<Blob>, Vec<Blob>) = manifests.into_iter().partition(is_index);
    let put = |manifest: Blob| async move {
        ctx.cancel.check()?;
        manifest_at(ctx, freight, name, Which::Digest(&manifest.descriptor.digest), &manifest).await?;
        Ok::<_, Error>((manifest.descriptor, "uploaded"))
    };
    done.extend(all_of(ctx, stream::iter(images).map(put).buffered(AT_ONCE)).await?);
    done.extend(all_of(ctx, stream::iter(indexes).map(put).buffered(1)).await?);
    Ok(done)
}

/// All results, or the first error in their order. After a stop each one ends by itself, once it has given its upload back; after any other
/// failure nobody waits.
pub(super) async fn all_of<T>(ctx: &Ctx, results: impl Stream<Item = Result<T>>) -> Result<Vec<T>> {
    let mut results = pin!(results);
    let (mut done, mut failed) = (Vec::new(), None);
    while let Some(next) = results.next().await {
        match next {
            Ok(one) => done.push(one),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
        if failed.is_some() && ctx.cancel.check().is_ok() {
            break;
        }
    }
    failed.map_or(Ok(done), Err)
}

/// Whether a repository holds every manifest already. The root alone says nothing of its children: somebody may have deleted one.
async fn there(ctx: &Ctx, freight: &Freight<'_>, name: &Repository) -> Result<bool> {
    for manifest in freight.list.iter().rev().filter(|blob| is_manifest(blob)) {
        let digest = manifest.descriptor.digest;
        if ctx.registries.head(name, Which::Digest(&digest)).await? != Some(digest) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<'a> Freight<'a> {
    /// All of an artifact.
    pub fn of(cargo: &Cargo<'a>) -> Freight<'a> {
        Freight { list: all(cargo.artifact), blobs: cargo.blobs, mounts: Vec::new(), ahead: cargo.ahead }
    }
}

impl Freight<'_> {
    /// What names all of it.
    pub fn root(&self) -> Result<&Blob> {
        self.list.last().ok_or_else(|| Error::bug("nothing was to be sent"))
    }

    /// Where a registry can take a blob over from.
    fn sources(&self, name: &Repository, digest: &Digest, before: &[&Repository]) -> Vec<Repository> {
        let near = |other: &&Repository| other.registry == name.registry && other.path != name.path;
        let mut sources: Vec<Repository> = Vec::new();
        for source in
            self.blobs.holder(digest).into_iter().chain(&self.mounts).chain(before.iter().copied()).filter(near)
        {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
        sources
    }
}

/// One blob, with what happened to it for whoever watches.
async fn one(
    ctx: &Ctx,
    freight: &Freight<'_>,
    name: &Repository,
    blob: &Blob,
    before: &[&Repository],
) -> Result<&'static str> {
    ctx.cancel.check()?;
    let descriptor = &blob.descriptor;
    let kind = if blob.bytes.is_some() { "config" } else { "blob" };
    let what = format!("{kind} {} to {}", descriptor.digest.short(), name.path);
    ctx.say(Event::Begin { what: what.clone(), total: descriptor.size });
    let sources = freight.sources(name, &descriptor.digest, before);
    let how = lazily(ctx, freight.blobs, name, blob, &sources, &what).await;
    ctx.say(Event::End { what, how: how.as_ref().unwrap_or(&"failed") });
    how
}

fn word(how: registry::Pushed) -> &'static str {
    match how {
        registry::Pushed::AlreadyThere => THERE,
        registry::Pushed::Mounted => "mounted",
        registry::Pushed::Uploaded => "uploaded",
    }
}

/// Opens a blob (and fetches one that is elsewhere) only when the registry lacks it.
pub(super) async fn lazily(
    ctx: &Ctx,
    blobs: &Blobs,
    name: &Repository,
    blob: &Blob,
    sources: &[Repository],
    what: &str,
) -> Result<&'static str> {
    let descriptor = &blob.descriptor;
    let opened = match ctx.registries.begin_blob(name, descriptor, sources).await? {
        Begun::AlreadyThere => return Ok(THERE),
        Begun::Mounted => return Ok("mounted"),
        Begun::Lacks(opened) => opened,
    };
    send(ctx, blobs, name, blob, what, opened).await
}

/// Sends a blob, unless it may be left where its `urls` lead. One of the store that turns out to be damaged is fetched or made again.
async fn send(
    ctx: &Ctx,
    blobs: &Blobs,
    name: &Repository,
    blob: &Blob,
    what: &str,
    opened: Opened,
) -> Result<&'static str> {
    let descriptor = &blob.descriptor;
    if let Some(bytes) = &blob.bytes {
        return ctx.registries.send_blob(name, descriptor, &Bytes::from(bytes.clone()), opened).await.map(word);
    }
    let content = match content(ctx, blobs, descriptor, what).await {
        Ok(Some(content)) => content,
        other => {
            ctx.registries.leave_blob(name, descriptor, opened).await;
            return other.map(|_| "left where its `urls` lead");
        }
    };
    let sent = ctx.registries.send_blob(name, descriptor, &content, opened).await;
    if sent.is_ok() || !content.is_spoiled() {
        return sent.map(word);
    }
    ctx.cancel.check()?;
    let content = body(ctx, blobs.open(ctx, descriptor).await?, descriptor, what)?;
    ctx.registries.push_blob_anew(name, descriptor, &content).await.map(word)
}

/// A blob as the store has it, which reads it while it is sent; fetched or made if it is not there. Nothing if it may be left where its `urls`
/// lead.
async fn content(ctx: &Ctx, blobs: &Blobs, descriptor: &Descriptor, what: &str) -> Result<Option<Content>> {
    if blobs.is_foreign(ctx, descriptor).await? {
        return Ok(None);
    }
    let file = match blobs.find(ctx, descriptor).await? {
        Some(file) => file,
        None => blobs.open(ctx, descriptor).await?,
    };
    body(ctx, file, descriptor, what).map(Some)
}

fn body(ctx: &Ctx, file: File, descriptor: &Descriptor, what: &str) -> Result<Content> {
    let body = Content::new(&ctx.store, file, descriptor, (what, &ctx.sink));
    body.map_err(|cause| Error::io(format!("reading the blob {}", descriptor.digest), cause))
}

/// Makes a tag say the root, which is there.
pub async fn set(ctx: &Ctx, freight: &Freight<'_>, name: &Repository, tag: &Tag) -> Result<&'static str> {
    manifest_at(ctx, freight, name, Which::Tag(tag), freight.root()?).await
}

/// Pushes a manifest; content that the registry says it lacks, though it said before that it holds it, is pushed once more.
async fn manifest_at(
    ctx: &Ctx,
    freight: &Freight<'_>,
    name: &Repository,
    which: Which<'_>,
    manifest: &Blob,
) -> Result<&'static str> {
    let bytes = manifest.bytes.as_ref().ok_or_else(|| Error::bug("a manifest without bytes"))?;
    let media_type = &manifest.descriptor.media_type;
    let missing = match ctx.registries.push_manifest(name, which, media_type, bytes).await? {
        PushedManifest::Unchanged => return Ok("unchanged"),
        PushedManifest::Created { .. } => return Ok("set"),
        PushedManifest::Missing(missing) => missing,
    };
    for blob in freight.list.iter().filter(|blob| !is_manifest(blob)) {
        let descriptor = &blob.descriptor;
        if !missing.is_empty() && !missing.contains(&descriptor.digest) {
            continue;
        }
        send(ctx, freight.blobs, name, blob, &descriptor.digest.short(), Opened::default()).await?;
    }
    match ctx.registries.push_manifest(name, which, media_type, bytes).await? {
        PushedManifest::Unchanged => Ok("unchanged"),
        PushedManifest::Created { .. } => Ok("set"),
        PushedManifest::Missing(_) => Err(Error::remote(format!(
            "`{name}` still says that it lacks content of {which}, after everything was pushed twice"
        ))),
    }
}

/// Whether a blob is pushed as a manifest: a document that was read, not just something of that media type.
pub fn is_manifest(blob: &Blob) -> bool {
    let known = [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_LIST];
    blob.bytes.is_some() && known.contains(&blob.descriptor.media_type.as_str())
}

/// Whether a manifest names other manifests.
fn is_index(blob: &Blob) -> bool {
    [media::INDEX, media::DOCKER_LIST].contains(&blob.descriptor.media_type.as_str())
}
