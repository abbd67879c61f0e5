//! Stage 9: pushing to registries. An artifact in; blobs, manifests by digest and at last the tags out.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::Cargo;
use super::blobs::{Blob, all};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::{Descriptor, Repository, Tag, media};
use crate::plan::Base;
use crate::registry::{self, Body, PushedManifest, Which};

/// How many blobs go to one registry at once.
const AT_ONCE: usize = 4;

/// The names an artifact shall have.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Its repositories.
    pub names: Vec<Repository>,
    /// Its tags, in the order in which they are set.
    pub tags: Vec<Tag>,
}

/// What one repository took.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The repository.
    pub name: Repository,
    /// Each object, and how it got there.
    pub objects: Vec<(Descriptor, &'static str)>,
    /// Each tag, and whether it moved.
    pub tags: Vec<(Tag, &'static str)>,
}

impl Pushed {
    /// For receipts and `--format json`.
    pub fn to_json(&self) -> Value {
        let object = |(descriptor, how): &(Descriptor, &str)| json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size, "how": how });
        json!({
            "name": self.name.to_string(),
            "objects": self.objects.iter().map(object).collect::<Vec<_>>(),
            "tags": self.tags.iter().map(|(tag, how)| json!({ "tag": tag.as_str(), "how": how })).collect::<Vec<_>>(),
        })
    }
}

/// Pushes to every repository: all content to all of them first, then the tags.
pub async fn push(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<Vec<Pushed>> {
    let mut pushed = Vec::new();
    for name in &cargo.target.names {
        let objects = content(ctx, cargo, name).await?;
        pushed.push(Pushed { name: name.clone(), objects, tags: Vec::new() });
    }
    for pushed in &mut pushed {
        for tag in &cargo.target.tags {
            ctx.cancel.check()?;
            let how = set(ctx, cargo, &pushed.name, tag).await?;
            ctx.say(Event::Detail { text: format!("tag {}:{tag}: {how}", pushed.name) });
            pushed.tags.push((tag.clone(), how));
        }
    }
    Ok(pushed)
}

/// Blobs, then manifests by digest, children before the index.
async fn content(ctx: &Ctx, cargo: &Cargo<'_>, name: &Repository) -> Result<Vec<(Descriptor, &'static str)>> {
    let root = &cargo.artifact.root.descriptor;
    if ctx.registries.head(name, Which::Digest(&root.digest)).await? == Some(root.digest) {
        return Ok(vec![(root.clone(), "already there")]);
    }
    let (manifests, blobs): (Vec<Blob>, Vec<Blob>) = all(cargo.artifact).into_iter().partition(is_manifest);
    let mut done: Vec<(Descriptor, &'static str)> = stream::iter(blobs)
        .map(|blob| async move {
            let how = one(ctx, cargo, name, &blob).await?;
            Ok::<_, Error>((blob.descriptor, how))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    for manifest in manifests {
        ctx.cancel.check()?;
        let bytes = manifest.bytes.ok_or_else(|| Error::bug("a manifest without bytes"))?;
        manifest_at(
            ctx,
            cargo,
            name,
            Which::Digest(&manifest.descriptor.digest),
            &manifest.descriptor.media_type,
            &bytes,
        )
        .await?;
        done.push((manifest.descriptor, "uploaded"));
    }
    Ok(done)
}

async fn one(ctx: &Ctx, cargo: &Cargo<'_>, name: &Repository, blob: &Blob) -> Result<&'static str> {
    ctx.cancel.check()?;
    let descriptor = &blob.descriptor;
    let how = match &blob.bytes {
        Some(bytes) => ctx.registries.push_blob(name, descriptor, &Bytes::from(bytes.clone()), &[]).await?,
        None => {
            let base = cargo.blobs.base(&descriptor.digest).map(|base| &base.reference);
            let from: Vec<Repository> = match base {
                Some(Base::Registry(pinned)) if pinned.repository.registry == name.registry => {
                    vec![pinned.repository.clone()]
                }
                _ => Vec::new(),
            };
            let lazy = Lazy { ctx, cargo, descriptor, name, from: &from };
            lazy.push().await?
        }
    };
    Ok(match how {
        registry::Pushed::AlreadyThere => "already there",
        registry::Pushed::Mounted => "mounted",
        registry::Pushed::Uploaded => "uploaded",
    })
}

/// A layer that is only opened (and, of a base, only fetched) when the registry lacks it.
struct Lazy<'a> {
    ctx: &'a Ctx,
    cargo: &'a Cargo<'a>,
    descriptor: &'a Descriptor,
    name: &'a Repository,
    from: &'a [Repository],
}

impl Lazy<'_> {
    async fn push(&self) -> Result<registry::Pushed> {
        let Lazy { ctx, cargo, descriptor, name, from } = self;
        if cargo.blobs.base(&descriptor.digest).is_some() && ctx.registries.has_blob(name, &descriptor.digest).await? {
            return Ok(registry::Pushed::AlreadyThere);
        }
        let file = cargo.blobs.open(ctx, descriptor).await?;
        ctx.registries.push_blob(name, descriptor, &Large(Arc::new(file)), from).await
    }
}

async fn set(ctx: &Ctx, cargo: &Cargo<'_>, name: &Repository, tag: &Tag) -> Result<&'static str> {
    let root = &cargo.artifact.root;
    manifest_at(ctx, cargo, name, Which::Tag(tag), &root.descriptor.media_type, &root.bytes).await
}

/// Pushes a manifest; content that the registry says it lacks, though it said before that it holds it, is pushed once more.
async fn manifest_at(
    ctx: &Ctx,
    cargo: &Cargo<'_>,
    name: &Repository,
    which: Which<'_>,
    media_type: &str,
    bytes: &[u8],
) -> Result<&'static str> {
    let missing = match ctx.registries.push_manifest(name, which, media_type, bytes).await? {
        PushedManifest::Unchanged => return Ok("unchanged"),
        PushedManifest::Created { .. } => return Ok("set"),
        PushedManifest::Missing(missing) => missing,
    };
    for blob in all(cargo.artifact) {
        let named = missing.is_empty() || missing.contains(&blob.descriptor.digest);
        match (&blob.bytes, named && !is_manifest(&blob)) {
            (_, false) => {}
            (Some(bytes), true) => {
                ctx.registries.push_blob_anew(name, &blob.descriptor, &Bytes::from(bytes.clone())).await?;
            }
            (None, true) => {
                let file = cargo.blobs.open(ctx, &blob.descriptor).await?;
                ctx.registries.push_blob_anew(name, &blob.descriptor, &Large(Arc::new(file))).await?;
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

fn is_manifest(blob: &Blob) -> bool {
    [media::MANIFEST, media::INDEX].contains(&blob.descriptor.media_type.as_str())
}

/// A body in an open, verified file of the store.
struct Large(Arc<File>);

impl Body for Large {
    fn open(&self, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(At { file: self.0.clone(), offset }))
    }
}

/// A reader with a position of its own in a shared file.
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
