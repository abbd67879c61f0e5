//! Stage 8: whether an image is what was made here, and if not, the first difference. An opened image and an artifact in, half a sentence
//! out. Reads the layers of both that differ, through `source`; layers of a base are compared by their digests.
//!
//! Layers come before the config and the config before the manifest, because each names the one before.

mod json;
mod layer;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::image::{self, Artifact};
use crate::oci::{Descriptor, DiffId, Document, Image as Config, Manifest, Platform, json as text};
use crate::source::{self, Image, Paper};

/// Largest image config in bytes.
const MOST_CONFIG: u64 = 8 << 20;

/// The config of one image, checked against what names it.
pub async fn config(ctx: &Ctx, image: &Image, manifest: &Manifest) -> Result<Vec<u8>> {
    let descriptor = &manifest.config;
    if descriptor.size > MOST_CONFIG {
        let size = descriptor.size;
        return Err(Error::remote(format!("the config has {size} bytes, {MOST_CONFIG} are allowed")));
    }
    source::fetch_from(ctx, image, descriptor).await?;
    let bytes = ctx.store.read(&descriptor.digest, MOST_CONFIG)?;
    bytes.ok_or_else(|| Error::local(format!("the config {} vanished from the store", descriptor.digest)))
}

/// The first difference between an image and what was made here; `None` if they are the same, byte for byte.
pub async fn compare(ctx: &Ctx, theirs: &Image, ours: &Artifact) -> Result<Option<String>> {
    if theirs.digest() == ours.digest() {
        return Ok(None);
    }
    let mut left = theirs.runnable();
    for image in &ours.images {
        let fits = |(on, _): &(Option<Platform>, &Paper)| on.as_ref().is_none_or(|on| on.serves(&image.platform));
        let Some(at) = left.iter().position(fits) else {
            return Ok(Some(format!("the image has none for {}, which is made here", image.platform)));
        };
        let (_, paper) = left.remove(at);
        if paper.descriptor.digest == image.manifest.descriptor.digest {
            continue;
        }
        let found = one(ctx, theirs, paper, image).await?;
        let several = ours.images.len() > 1;
        return Ok(Some(if several { format!("{}: {found}", image.platform) } else { found }));
    }
    if let Some((on, paper)) = left.first() {
        let on = on.as_ref().map_or_else(|| paper.descriptor.digest.to_string(), Platform::to_string);
        return Ok(Some(format!("the image has one for {on}, which is not made here")));
    }
    let root = theirs.documents.last().map(|paper| paper.bytes.as_slice()).unwrap_or_default();
    Ok(Some(json::first("the index", root, &ours.root.bytes)))
}

async fn one(ctx: &Ctx, theirs: &Image, paper: &Paper, ours: &image::Image) -> Result<String> {
    let Document::Manifest(manifest) = &paper.document else {
        return Err(Error::bug("an index was taken for an image"));
    };
    let bytes = config(ctx, theirs, manifest).await?;
    let config: Config = text::read(&bytes, "the config of the image")?;
    let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    for (at, ((their, diff_id), our)) in layers.zip(&ours.layers).enumerate() {
        if (their.digest, *diff_id) != (our.descriptor.digest, our.diff_id) {
            return layers_differ(ctx, theirs, (at, their, *diff_id), our).await;
        }
    }
    let (there, here) = (manifest.layers.len(), ours.layers.len());
    if there != here {
        return Ok(format!("the image has {there} layers, {here} are made here"));
    }
    if manifest.config.digest != ours.config.descriptor.digest {
        return Ok(json::first("the config", &bytes, &ours.config.bytes));
    }
    Ok(json::first("the manifest", &paper.bytes, &ours.manifest.bytes))
}

async fn layers_differ(
    ctx: &Ctx,
    image: &Image,
    (at, their, diff_id): (usize, &Descriptor, DiffId),
    our: &image::Layer,
) -> Result<String> {
    let number = at + 1;
    let Some(name) = &our.name else {
        return Ok(format!(
            "layer {number}, of the base: it is {} in the image, {} here",
            their.digest, our.descriptor.digest
        ));
    };
    source::fetch_from(ctx, image, their).await?;
    let (task, there, here) = (ctx.clone(), their.clone(), our.descriptor.clone());
    let same_tar = diff_id == our.diff_id;
    let compared = tokio::task::spawn_blocking(move || match same_tar {
        true => layer::packed(&task, &there, &here),
        false => layer::first(&task, &there, &here),
    });
    let found = compared.await.map_err(|cause| Error::bug("a comparing thread broke down").because(cause))??;
    let found = found.unwrap_or_else(|| format!("its config says {diff_id}, here it is {}", our.diff_id));
    Ok(format!("layer {number} (`{name}`), {found}"))
}
