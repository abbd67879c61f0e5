//! Stage 9: OCI layout directories. Images in, blobs and at last `index.json` out (OCI image spec, image-layout.md).
//! A new layout is made beside its place and renamed; an old one keeps its other images and stays whole at every moment.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::blobs::{self, Blob, Blobs, all};
use super::{Cargo, temporary};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::document::MOST_BYTES;
use crate::oci::{Descriptor, Document, Index, json, media};

/// The content of the file `oci-layout`.
pub const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// One image on its way into a layout.
pub struct Load<'a> {
    /// As the layout's index lists it, with the name in its annotations.
    pub entry: Descriptor,
    /// Every blob of it once.
    pub list: Vec<Blob>,
    /// Where their bytes are.
    pub blobs: &'a Blobs,
}
/// An artifact that was built as a layout takes it.
pub fn load<'a>(cargo: &'a Cargo<'a>) -> Load<'a> {
    let mut entry = cargo.artifact.root.descriptor.clone();
    entry.annotations.insert(media::REF_NAME.into(), NAME.into());
    if let [image] = cargo.artifact.images.as_slice() {
        entry.platform = Some((&image.platform).into());
    }
    Load { entry, list: all(cargo.artifact), blobs: cargo.blobs }
}

/// Writes images into the layout at `path`, made if it is not there.
pub async fn write(ctx: &Ctx, loads: &[Load<'_>], path: &Path) -> Result<()> {
    if !path.exists() {
        let new = temporary::directory(path)?;
        fill(ctx, loads, new.path(), None).await?;
        if new.publish(path) {
            return temporary::sync_directory(
                path.parent().filter(|up| !up.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            );
        }
    }
    let _turn = turn(ctx, path).await;
    let index = existing(path)?;
    fill(ctx, loads, path, index).await
}

/// Waits until nobody else changes the layout; where locks do not work it goes on.
async fn turn(ctx: &Ctx, path: &Path) -> Option<File> {
    let handle = File::open(path).ok()?;
    if handle.try_lock().is_ok() {
        return Some(handle);
    }
    ctx.say(Event::Wait { why: format!("another stillframe is writing `{}`", path.display()) });
    let waited = tokio::task::spawn_blocking(move || {
        if handle.lock().is_err() {
            return None;
        }
        Some(handle)
    });
    waited.await.ok().flatten()
}

/// The index of a layout that is there already; an empty directory may become one.
fn existing(path: &Path) -> Result<Option<Index>> {
    let refuse = |why: &str| {
        Err(Error::local(format!("`{}` {why}", path.display())).hint("name a new directory or an OCI layout"))
    };
    if !path.is_dir() {
        return refuse("is not a directory");
    }
    let failed = |cause| Error::io(format!("reading `{}`", path.display()), cause);
    if !path.join("oci-layout").exists() {
        let empty = fs::read_dir(path).map_err(failed)?.next().is_none();
        return if empty { Ok(None) } else { refuse("is a directory, but not an OCI layout") };
    }
    let facts = fs::symlink_metadata(path.join("index.json")).map_err(failed)?;
    if !facts.is_file() || facts.len() > MOST_BYTES {
        return refuse("has no usable `index.json`");
    }
    let bytes = fs::read(path.join("index.json")).map_err(failed)?;
    match Document::read(&bytes, None, &format!("`{}`", path.join("index.json").display())) {
        Ok(Document::Index(index)) => Ok(Some(index)),
        Ok(Document::Manifest(_)) => refuse("holds no index"),
        Err(cause) => Err(Error::local(format!("`{}` is a damaged layout", path.display())).because(cause)),
    }
}

async fn fill(ctx: &Ctx, loads: &[Load<'_>], path: &Path, old: Option<Index>) -> Result<()> {
    let directory = path.join("blobs").join("sha256");
    let failed = |cause| Error::io(format!("writing `{}`", directory.display()), cause);
    fs::create_dir_all(&directory).map_err(failed)?;
    for load in loads {
        for blob in &load.list {
            one(ctx, load.blobs, blob, &directory).await?;
        }
    }
    settle(&path.join("oci-layout"), LAYOUT)?;
    settle(&path.join("index.json"), &json::canonical(&index(loads, old)))
}

/// Writes a small file unless it holds just that.
fn settle(target: &Path, bytes: &[u8]) -> Result<()> {
    let same_size =
        fs::symlink_metadata(target).is_ok_and(|facts| facts.is_file() && facts.len() == bytes.len() as u64);
    if same_size && fs::read(target).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    temporary::write(target, bytes)
}

async fn one(ctx: &Ctx, blobs: &Blobs, blob: &Blob, directory: &Path) -> Result<()> {
    ctx.cancel.check()?;
    let target = directory.join(blob.descriptor.digest.hex());
    let what = format!("{} to the layout", blob.descriptor.digest.short());
    ctx.say(Event::Begin { what: what.clone(), total: blob.descriptor.size });
    let how = if there(ctx, &target, &blob.descriptor) {
        "already there"
    } else if blobs.is_foreign(ctx, &blob.descriptor).await? {
        "left where its `urls` lead"
    } else {
        match &blob.bytes {
            Some(bytes) => temporary::write(&target, bytes)?,
            None => copy(ctx, blobs, &blob.descriptor, &target).await?,
        }
        "written"
    };
    ctx.say(Event::End { what, how });
    Ok(())
}

/// Whether the blob is there with the right bytes.
fn there(ctx: &Ctx, target: &PathBuf, descriptor: &Descriptor) -> bool {
    let is_file = fs::symlink_metadata(target).is_ok_and(|facts| facts.is_file() && facts.len() == descriptor.size);
    let right = |file| blobs::copy(file, descriptor, &mut io::sink()).is_ok();
    // Where it really is: two layouts may be called the same, from two directories.
    let known = fs::canonicalize(target).unwrap_or_else(|_| target.clone());
    is_file && ctx.store.looks_right(&known, &descriptor.digest, || File::open(target).is_ok_and(right))
}

/// Copies a blob as the store has it; one that is damaged or not there is fetched or made first.
async fn copy(ctx: &Ctx, blobs: &Blobs, descriptor: &Descriptor, target: &Path) -> Result<()> {
    if let Some(source) = blobs.find(ctx, descriptor).await?
        && write_from(ctx, source, descriptor, target).await?
    {
        return Ok(());
    }
    ctx.cancel.check()?;
    if write_from(ctx, blobs.open(ctx, descriptor).await?, descriptor, target).await? {
        return Ok(());
    }
    Err(Error::local(format!("the stored blob {} changed while it was read", descriptor.digest)).hint("run again"))
}

/// Writes a blob from a file of the store; `false` if the file holds other bytes.
async fn write_from(ctx: &Ctx, source: File, descriptor: &Descriptor, target: &Path) -> Result<bool> {
    let (store, descriptor, target) = (ctx.store.clone(), descriptor.clone(), target.to_path_buf());
    let copied = tokio::task::spawn_blocking(move || {
        let mut temporary = temporary::file(&target)?;
        match blobs::copy_stored(&store, source, &descriptor, &mut temporary) {
            Err(cause) if cause.kind() == io::ErrorKind::InvalidData => Ok(false),
            Err(cause) => Err(temporary.failed(cause)),
            Ok(()) => temporary.publish().map(|()| true),
        }
    });
    copied.await.map_err(|cause| Error::bug("a thread broke down").because(cause))?
}

/// The name of the image in the layout: tools that know images only by name (umoci, podman) find it.
pub const NAME: &str = "latest";

/// The layout's index: these images, and whatever images of other names are there.
pub fn index(loads: &[Load<'_>], old: Option<Index>) -> Index {
    let mut index = old.unwrap_or(Index {
        schema_version: 2,
        media_type: media::INDEX.into(),
        artifact_type: None,
        manifests: Vec::new(),
        subject: None,
        annotations: Default::default(),
        rest: Default::default(),
    });
    for load in loads {
        let own = load.entry.annotations.get(media::REF_NAME);
        index.manifests.retain(|entry| match entry.annotations.get(media::REF_NAME) {
            Some(name) => Some(name) != own,
            None => entry.digest != load.entry.digest,
        });
        index.manifests.push(load.entry.clone());
    }
    index
}
