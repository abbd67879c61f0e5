//! Stage 9: pushing to registries. An artifact in; blobs, manifests by digest and at last the tags out.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::Cargo;
use super::blobs::{Blob, Blobs, all};
use super::tags;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::{Event, Sink};
use crate::oci::{Descriptor, Digest, Reference, Repository, Tag, media};
use crate::plan::{Leave, Tags};
use crate::registry::{self, Body, PushedManifest, Which};

/// How many blobs go to one registry at once.
const AT_ONCE: usize = 4;

/// The names an artifact shall have.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Its repositories.
    pub names: Vec<Repository>,
    /// Its tags.
    pub tags: Tags,
    /// What was allowed for them.
    pub leave: Leave,
    /// The names that engines and the local store show, where these are not made of the repositories.
    pub known_as: Vec<Reference>,
}

/// What one repository took.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The repository.
    pub name: Repository,
    /// Each object, and how it got there.
    pub objects: Vec<(Descriptor, &'static str)>,
    /// Its tags, as far as something is wished of them.
    pub tags: Vec<Tagged>,
}

/// What became of a tag.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: Tag,
    /// `set`, `unchanged`, `kept` or `given away`.
    pub how: &'static str,
    /// What it said before, if that was something else.
    pub from: Option<Digest>,
    /// What it says now, as far as we set it.
    pub to: Option<Digest>,
    /// Half a sentence on why; may be empty.
    pub why: String,
}

impl Tagged {
    /// A tag that was set by name, not by a rule.
    pub fn plain(tag: &Tag, how: &'static str) -> Tagged {
        Tagged { tag: tag.clone(), how, from: None, to: None, why: String::new() }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({ "tag": self.tag.as_str(), "how": self.how });
        if let Some(from) = &self.from {
            value["from"] = json!(from);
        }
        if let Some(to) = &self.to {
            value["to"] = json!(to);
        }
        if !self.why.is_empty() {
            value["why"] = json!(self.why);
        }
        value
    }
}

impl Pushed {
    /// For receipts and `--format json`.
    pub fn to_json(&self) -> Value {
        let object = |(descriptor, how): &(Descriptor, &str)| json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size, "how": how });
        json!({
            "name": self.name.to_string(),
            "objects": self.objects.iter().map(object).collect::<Vec<_>>(),
            "tags": self.tags.iter().map(Tagged::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Content on its way to registries: every blob once, children before parents, the root last.
pub struct Freight<'a> {
    /// What is sent.
    pub list: Vec<Blob>,
    /// Where its bytes are.
    pub blobs: &'a Blobs,
    /// More repositories that hold all of it.
    pub mounts: Vec<Repository>,
}

/// Pushes to every repository: all content to all of them first, then the tags.
pub async fn push(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<Vec<Pushed>> {
    tags::foresee(ctx, cargo.target, &cargo.artifact.digest()).await?;
    let freight = Freight::of(cargo);
    let mut pushed = everywhere(ctx, &freight, &cargo.target.names).await?;
    tags::set_all(ctx, &freight, cargo.target, &mut pushed).await?;
    Ok(pushed)
}

/// Brings all content to every repository; no tag moves.
pub async fn everywhere(ctx: &Ctx, freight: &Freight<'_>, names: &[Repository]) -> Result<Vec<Pushed>> {
    let mut pushed = Vec::new();
    for name in names {
        let objects = content(ctx, freight, name).await?;
        pushed.push(Pushed { name: name.clone(), objects, tags: Vec::new() });
    }
    Ok(pushed)
}

/// Blobs, then manifests by digest, children before the index.
pub async fn content(ctx: &Ctx, freight: &Freight<'_>, name: &Repository) -> Result<Vec<(Descriptor, &'static str)>> {
    let root = freight.root()?;
    if there(ctx, freight, name).await? {
        return Ok(vec![(root.descriptor.clone(), "already there")]);
    }
    let (manifests, blobs): (Vec<&Blob>, Vec<&Blob>) = freight.list.iter().partition(|blob| is_manifest(blob));
    let sent = stream::iter(blobs).map(|blob| async move {
        let how = one(ctx, freight, name, blob).await?;
        Ok::<_, Error>((blob.descriptor.clone(), how))
    });
    let mut sent = pin!(sent.buffered(AT_ONCE));
    let (mut done, mut failed) = (Vec::new(), None);
    while let Some(next) = sent.next().await {
        match next {
            Ok(object) => done.push(object),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
        // After a stop each one ends by itself, once it has given its upload back; after any other failure nobody waits.
        if failed.is_some() && ctx.cancel.check().is_ok() {
            break;
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    for manifest in manifests {
        ctx.cancel.check()?;
        manifest_at(ctx, freight, name, Which::Digest(&manifest.descriptor.digest), manifest).await?;
        done.push((manifest.descriptor.clone(), "uploaded"));
    }
    Ok(done)
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
        Freight { list: all(cargo.artifact), blobs: cargo.blobs, mounts: Vec::new() }
    }
}

impl Freight<'_> {
    /// What names all of it.
    pub fn root(&self) -> Result<&Blob> {
        self.list.last().ok_or_else(|| Error::bug("nothing was to be sent"))
    }

    /// Where a registry can take a blob over from.
    fn sources(&self, name: &Repository, digest: &Digest) -> Vec<Repository> {
        let near = |other: &&Repository| other.registry == name.registry && other.path != name.path;
        let mut sources: Vec<Repository> = Vec::new();
        for source in self.blobs.holder(digest).into_iter().chain(&self.mounts).filter(near) {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
        sources
    }
}

/// One blob, with what happened to it for whoever watches.
async fn one(ctx: &Ctx, freight: &Freight<'_>, name: &Repository, blob: &Blob) -> Result<&'static str> {
    ctx.cancel.check()?;
    let descriptor = &blob.descriptor;
    let kind = if blob.bytes.is_some() { "config" } else { "blob" };
    let what = format!("{kind} {} to {}", descriptor.digest.short(), name.path);
    ctx.say(Event::Begin { what: what.clone(), total: descriptor.size });
    let how = match &blob.bytes {
        Some(bytes) => ctx.registries.push_blob(name, descriptor, &Bytes::from(bytes.clone()), &[]).await.map(word),
        None => lazily(ctx, freight, name, descriptor, &what).await,
    };
    ctx.say(Event::End { what, how: how.as_ref().unwrap_or(&"failed") });
    how
}

fn word(how: registry::Pushed) -> &'static str {
    match how {
        registry::Pushed::AlreadyThere => "already there",
        registry::Pushed::Mounted => "mounted",
        registry::Pushed::Uploaded => "uploaded",
    }
}

/// Opens a blob (and fetches one that is elsewhere) only when the registry lacks it.
async fn lazily(
    ctx: &Ctx,
    freight: &Freight<'_>,
    name: &Repository,
    descriptor: &Descriptor,
    what: &str,
) -> Result<&'static str> {
    let digest = &descriptor.digest;
    if freight.blobs.is_elsewhere(digest) {
        if ctx.registries.has_blob(name, digest).await? {
            return Ok("already there");
        }
        for source in freight.sources(name, digest) {
            if ctx.registries.mount_blob(name, digest, &source).await? {
                return Ok("mounted");
            }
        }
        if freight.blobs.is_foreign(ctx, descriptor).await? {
            return Ok("left where its `urls` lead");
        }
    }
    let file =
        Large { file: Arc::new(freight.blobs.open(ctx, descriptor).await?), what: what.into(), sink: ctx.sink.clone() };
    ctx.registries.push_blob(name, descriptor, &file, &[]).await.map(word)
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
        let named = missing.is_empty() || missing.contains(&descriptor.digest);
        match &blob.bytes {
            _ if !named || freight.blobs.is_foreign(ctx, descriptor).await? => {}
            Some(bytes) => {
                ctx.registries.push_blob_anew(name, descriptor, &Bytes::from(bytes.clone())).await?;
            }
            None => {
                let (what, sink) = (descriptor.digest.short(), ctx.sink.clone());
                let file = Large { file: Arc::new(freight.blobs.open(ctx, descriptor).await?), what, sink };
                ctx.registries.push_blob_anew(name, descriptor, &file).await?;
            }
        }
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

/// A body in an open, verified file of the store, which tells how far it is.
struct Large {
    file: Arc<File>,
    what: String,
    sink: Sink,
}

impl Body for Large {
    fn open(&self, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
        let Large { file, what, sink } = self;
        Ok(Box::new(At { file: file.clone(), what: what.clone(), sink: sink.clone(), offset }))
    }
}

/// A reader with a position of its own in a shared file.
struct At {
    file: Arc<File>,
    what: String,
    sink: Sink,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        let before = self.offset;
        self.offset += count as u64;
        if before >> 20 != self.offset >> 20 {
            (self.sink)(Event::Step { what: self.what.clone(), done: self.offset });
        }
        Ok(count)
    }
}
