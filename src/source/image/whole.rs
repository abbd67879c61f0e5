//! Stage 5: an opened image as if it were a base, so that all its layers are merged as those of one. One platform of an image in, a base
//! out. May ask where the image is and use the store, in which every layer is afterwards.

use super::{Image, Origin, fetch_from};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{self, Document, json};
use crate::plan;
use crate::source::Base;

/// Largest image config in bytes.
const MOST_CONFIG: u64 = 8 << 20;

/// The image, which is of one platform ([`Image::only`]), as a base.
pub async fn whole(ctx: &Ctx, image: &Image) -> Result<Base> {
    let Some((paper, Document::Manifest(manifest))) = image.documents.last().map(|paper| (paper, &paper.document))
    else {
        return Err(Error::bug("an index was taken for an image"));
    };
    let config = &manifest.config;
    if config.size > MOST_CONFIG {
        return Err(Error::remote(format!("the config has {} bytes, {MOST_CONFIG} are allowed", config.size)));
    }
    for blob in std::iter::once(config).chain(&manifest.layers) {
        fetch_from(ctx, image, blob).await?;
    }
    let bytes = ctx.store.read(&config.digest, MOST_CONFIG)?;
    let bytes = bytes.ok_or_else(|| Error::local(format!("the config {} vanished from the store", config.digest)))?;
    let read: oci::Image = json::read(&bytes, "the config of the image")?;
    if read.rootfs.diff_ids.len() != manifest.layers.len() {
        let (layers, names) = (manifest.layers.len(), read.rootfs.diff_ids.len());
        return Err(Error::remote(format!("the image has {layers} layers, its config names {names} diff IDs")));
    }
    // All blobs are in the store now, so nobody asks the place that is named for those of an image of the store.
    let reference = match &image.origin {
        Origin::Base(base) => base.clone(),
        Origin::Store => plan::Base::Scratch,
    };
    Ok(Base {
        reference,
        platform: read.platform(),
        image: read,
        manifest: manifest.clone(),
        descriptor: Some(paper.descriptor.clone()),
        named: Some(image.digest()),
    })
}
