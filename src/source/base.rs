//! Stage 5: what an image stands on. A pinned name and a platform in, manifest and config out, both checked against each other.
//! Asks the store first, then where the base is.

use std::collections::BTreeMap;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, DiffId, Digest, Document, Image, Manifest, Pinned, Platform, RootFs, json, media};
use crate::plan;
use crate::registry::Which;
use crate::source::choose::{Chosen, choose};

/// A base for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its name.
    pub reference: plan::Base,
    /// The platform it was chosen for; the config may say it less exactly.
    pub platform: Platform,
    /// Its config, with as many diff IDs as the manifest has layers.
    pub image: Image,
    /// Its manifest; each layer has the media type of a layer of files.
    pub manifest: Manifest,
    /// What names the manifest; `None` for scratch.
    pub descriptor: Option<Descriptor>,
    /// The digest that it was named by, of an image or an index; `None` for scratch.
    pub named: Option<Digest>,
}

impl Base {
    /// The layers with their diff IDs, lowest first.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = (&Descriptor, &DiffId)> + DoubleEndedIterator {
        self.manifest.layers.iter().zip(&self.image.rootfs.diff_ids)
    }
}

/// Manifest and config of the base for one platform; `scratch` gives empty ones.
///
/// Layers of a media type that is no layer of files (in-toto statements, wasm, encrypted layers …) make the whole manifest refused.
pub async fn base(ctx: &Ctx, reference: &plan::Base, platform: &Platform) -> Result<Base> {
    let read = read(ctx, reference, platform).await;
    read.map_err(|error: Error| error.context(format!("reading the base `{reference}`")))
}

/// The same for an image that is no base, whose files are wanted.
pub async fn image(ctx: &Ctx, reference: &plan::Base, platform: &Platform) -> Result<Base> {
    let read = read(ctx, reference, platform).await;
    read.map_err(|error: Error| error.context(format!("reading the image `{reference}`")))
}

async fn read(ctx: &Ctx, reference: &plan::Base, platform: &Platform) -> Result<Base> {
    let named = match reference {
        plan::Base::Scratch => return Ok(scratch(platform)),
        plan::Base::Registry(pinned) => pinned.digest,
        plan::Base::Layout(local) | plan::Base::Archive(local) => local.digest,
    };
    let Chosen { descriptor, manifest, image } = choose(ctx, reference, &named, platform).await?;
    Ok(Base {
        reference: reference.clone(),
        platform: platform.clone(),
        image,
        manifest,
        descriptor: Some(descriptor),
        named: Some(named),
    })
}

/// The index that holds the base, where the reference's tag leads to one; for those who pinned one of its images.
pub async fn index_of(ctx: &Ctx, reference: &plan::Base) -> Option<Pinned> {
    let plan::Base::Registry(pinned) = reference else { return None };
    let tag = pinned.tag.as_ref()?;
    let found = ctx.registries.manifest(&pinned.repository, Which::Tag(tag)).await.ok()??;
    match Document::read(&found.bytes, None, "the tag's document") {
        Ok(Document::Index(index)) if index.manifests.iter().any(|child| child.digest == pinned.digest) => {
            Some(Pinned { digest: found.digest, ..pinned.clone() })
        }
        _ => None,
    }
}

fn scratch(platform: &Platform) -> Base {
    let image = Image {
        architecture: platform.arch.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        rootfs: RootFs { kind: "layers".to_string(), diff_ids: Vec::new() },
        ..Image::default()
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.to_string(),
        artifact_type: None,
        config: Descriptor::of(media::CONFIG, &json::canonical(&image)),
        layers: Vec::new(),
        subject: None,
        annotations: BTreeMap::new(),
        rest: BTreeMap::new(),
    };
    Base { reference: plan::Base::Scratch, platform: platform.clone(), image, manifest, descriptor: None, named: None }
}
