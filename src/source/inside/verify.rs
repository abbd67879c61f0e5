//! Stage 5: whether an image is what its digests say, from where it is and not from what the store remembers. An image in, everything
//! wrong out. Reads every document and blob again; what a registry does not hand out whole ends the work instead.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::oci::{Descriptor, DiffId, Document, Image as Config, Manifest, json, media};
use crate::source::blob::{again, blocking, document_again};
use crate::source::image::{fetch_from, is_document};
use crate::source::unpack::{Stop, unpack};
use crate::source::{Image, Paper};

/// Largest image config in bytes.
const MOST_CONFIG: u64 = 8 << 20;

/// Something that is not what its digest, size or diff ID says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What it is.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
}

/// How many digests and diff IDs were derived again, and all that is wrong.
pub async fn verify(ctx: &Ctx, image: &Image) -> Result<(usize, Vec<Wrong>)> {
    let mut wrong = Vec::new();
    let mut count = 0;
    for paper in &image.documents {
        ctx.cancel.check()?;
        count += 1;
        if let Some(base) = image.base() {
            let what = format!("the manifest {}", paper.descriptor.digest);
            let read = document_again(ctx, base, &paper.descriptor).await;
            wrong.extend(judged(image, what, read)?);
        }
    }
    let blobs = image.blobs.iter().filter(|blob| !is_document(blob)).map(|blob| one(ctx, image, blob));
    let found: Vec<Option<Wrong>> =
        stream::iter(blobs.collect::<Vec<_>>()).buffered(ctx.jobs.get()).try_collect().await?;
    count += found.len();
    let broken = found.iter().any(Option::is_some) || !wrong.is_empty();
    wrong.extend(found.into_iter().flatten());
    // What is inside of a broken blob says nothing.
    if !broken {
        for paper in &image.documents {
            let (derived, more) = layers(ctx, image, paper).await?;
            count += derived;
            wrong.extend(more);
        }
    }
    Ok((count, wrong))
}

async fn one(ctx: &Ctx, image: &Image, blob: &Descriptor) -> Result<Option<Wrong>> {
    let read = match image.base() {
        Some(base) => again(ctx, base, blob).await,
        None => fetch_from(ctx, image, blob).await,
    };
    judged(image, format!("the blob {}", blob.digest), read)
}

/// Bytes of this machine that are wrong are a finding; a registry that does not hand them out is a failure.
fn judged(image: &Image, what: String, read: Result<()>) -> Result<Option<Wrong>> {
    match read {
        Ok(()) => Ok(None),
        Err(error) if image.repository().is_none() && matches!(error.kind(), Kind::Remote | Kind::Usage) => {
            let why: Vec<String> = [error.message().to_string()].into_iter().chain(error.causes()).collect();
            Ok(Some(Wrong { what, why: why.join(": ") }))
        }
        Err(error) => Err(error),
    }
}

/// The diff IDs of one image.
async fn layers(ctx: &Ctx, image: &Image, paper: &Paper) -> Result<(usize, Vec<Wrong>)> {
    let Document::Manifest(manifest) = &paper.document else { return Ok((0, Vec::new())) };
    if ![media::CONFIG, media::DOCKER_CONFIG].contains(&manifest.config.media_type.as_str()) {
        return Ok((0, Vec::new()));
    }
    let (what, config) = (format!("the config {}", manifest.config.digest), config(ctx, image, manifest).await?);
    let ids = match config {
        Ok(config) => config.rootfs.diff_ids,
        Err(why) => return Ok((0, vec![Wrong { what, why }])),
    };
    let files = manifest.layers.iter().filter(|layer| media::layer(&layer.media_type).is_some()).count();
    if files == 0 {
        return Ok((0, Vec::new())); // an attestation in the form of an image
    }
    if ids.len() != manifest.layers.len() {
        let why = format!("it names {} diff IDs, the manifest has {} layers", ids.len(), manifest.layers.len());
        return Ok((0, vec![Wrong { what, why }]));
    }
    let layers = manifest.layers.iter().cloned().zip(ids).map(|(layer, diff_id)| unpacks(ctx, layer, diff_id));
    let found: Vec<Option<Wrong>> =
        stream::iter(layers.collect::<Vec<_>>()).buffered(ctx.jobs.get()).try_collect().await?;
    Ok((found.len(), found.into_iter().flatten().collect()))
}

async fn config(ctx: &Ctx, image: &Image, manifest: &Manifest) -> Result<Result<Config, String>> {
    let descriptor = manifest.config.clone();
    if descriptor.size > MOST_CONFIG {
        return Ok(Err(format!("it has {} bytes, {MOST_CONFIG} are allowed", descriptor.size)));
    }
    fetch_from(ctx, image, &descriptor).await?;
    let store = ctx.store.clone();
    let bytes = blocking(move || store.read(&descriptor.digest, MOST_CONFIG)).await?;
    let bytes = bytes.ok_or_else(|| Error::local("the config vanished from the store"))?;
    Ok(json::read::<Config>(&bytes, "the config").map_err(|error| error.message().to_string()))
}

async fn unpacks(ctx: &Ctx, layer: Descriptor, diff_id: DiffId) -> Result<Option<Wrong>> {
    let (store, stop) = (ctx.store.clone(), Stop { cancel: ctx.cancel.clone(), ..Stop::default() });
    let wanted = ctx.cancel.clone();
    blocking(move || {
        let what = format!("the layer {}", layer.digest);
        let (file, _) = store.open(&layer.digest)?.ok_or_else(|| Error::local(format!("{what} vanished")))?;
        let read = unpack(file, stop).and_then(|(mut unpacked, _)| {
            std::io::copy(&mut unpacked, &mut std::io::sink())?;
            Ok(unpacked.finish().0)
        });
        wanted.check()?;
        Ok(match read {
            Ok(found) if found == diff_id => None,
            Ok(found) => Some(Wrong { what, why: format!("the config says its diff ID is {diff_id}, it is {found}") }),
            Err(cause) if cause.raw_os_error().is_some() => return Err(Error::io(format!("reading {what}"), cause)),
            Err(cause) => Some(Wrong { what, why: format!("it does not unpack: {cause}") }),
        })
    })
    .await
}
