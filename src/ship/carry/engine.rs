//! Stage 9: an opened image for destinations that take one platform: archives for `docker load` and the engines themselves.

use std::sync::Arc;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::image::{self, Artifact, Layer};
use crate::oci::{self, Document, json};
use crate::ship::{self, Blobs, Cargo, Destination, Goal, Target};
use crate::source::{self, Image};

/// Largest image config in bytes.
const MOST_CONFIG: u64 = 8 << 20;

/// Sends the only platform of an image.
pub async fn send(ctx: &Ctx, image: &Arc<Image>, goal: &Goal) -> Result<()> {
    let image = Arc::new(image.only(None)?);
    let artifact = artifact(ctx, &image).await?;
    let (destination, name) = match goal {
        Goal::DockerArchive(path, name) => (Destination::DockerArchive(path.clone()), name.clone()),
        Goal::Docker => (Destination::Docker, None),
        _ => (Destination::Podman, None),
    };
    let known_as = name.map_or_else(|| image.names.clone(), |name| vec![name]);
    let target = Target { known_as, ..Target::default() };
    let blobs = Blobs::of(&image);
    ship::send(ctx, &Cargo { artifact: &artifact, blobs: &blobs, target: &target, ahead: None }, &destination).await?;
    Ok(())
}

/// The image as if it had been built here.
async fn artifact(ctx: &Ctx, image: &Image) -> Result<Artifact> {
    let paper = image.documents.last().ok_or_else(|| Error::bug("an image without a manifest"))?;
    let Document::Manifest(manifest) = &paper.document else {
        return Err(Error::bug("one platform was asked for, several came"));
    };
    source::fetch_from(ctx, image, &manifest.config).await?;
    let bytes = ctx.store.read(&manifest.config.digest, MOST_CONFIG)?;
    let bytes = bytes.ok_or_else(|| Error::local(format!("the config {} has gone", manifest.config.digest)))?;
    let config: oci::Image = json::read(&bytes, &format!("the config {}", manifest.config.digest))?;
    let (layers, ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers != ids {
        return Err(Error::remote(format!("the image has {layers} layers, but its config names {ids} diff IDs")));
    }
    let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    let layers = layers.map(|(layer, id)| Layer { descriptor: layer.clone(), diff_id: *id, name: None }).collect();
    let document = image::Document { descriptor: paper.descriptor.clone(), bytes: paper.bytes.clone() };
    let image = image::Image {
        platform: config.platform(),
        manifest: document.clone(),
        config: image::Document { descriptor: manifest.config.clone(), bytes },
        layers,
    };
    Ok(Artifact { root: document, images: vec![image] })
}
