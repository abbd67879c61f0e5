//! Stage 7, Layers → Image → [`Artifact`]. Pure: JSON and hashing; the bytes are those of `docs/format-1.md`.

mod config;
pub mod inside;

pub use config::settings;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::layer::Packed;
use crate::manifest::Annotations;
use crate::manifest::values::rfc3339;
use crate::oci::document::MOST_BYTES;
use crate::oci::platform::Described;
use crate::oci::{self, Descriptor, DiffId, Digest, Index, Platform, json, media};
use crate::plan::{Base, ImagePlan, Plan};
use crate::source;

/// Everything that was made: what is sent, signed and compared.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The manifest of the only platform, or the index of all.
    pub root: Document,
    /// One for each platform, in the order of the plan.
    pub images: Vec<Image>,
}

/// A JSON document with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

/// One platform's image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it is for.
    pub platform: Platform,
    /// The manifest.
    pub manifest: Document,
    /// The config.
    pub config: Document,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// As it stands in the manifest.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// Its name if it was made here; layers of the base have none.
    pub name: Option<String>,
}

/// What one platform's image is made from.
pub struct Parts<'a> {
    /// What it stands on.
    pub base: &'a source::Base,
    /// The user in numbers, as it stands in the config; empty for none.
    pub user: String,
    /// Its own layers with their names, lowest first.
    pub layers: Vec<(String, Packed)>,
}

impl Document {
    fn new(media_type: &str, value: &impl serde::Serialize) -> Document {
        let bytes = json::canonical(value);
        Document { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}

/// What of the config an image gets from its base and the plan; its user and environment are put in later.
pub fn configured(base: &oci::Image, plan: &ImagePlan) -> oci::Config {
    config::edited(base, plan)
}

/// Puts all platforms together. Fails only where a registry would refuse the result: a manifest over 4 MiB.
pub fn assemble(plan: &Plan, parts: Vec<Parts<'_>>) -> Result<Artifact> {
    let images: Vec<Image> = plan.images.iter().zip(parts).map(|(image, parts)| one(plan, image, parts)).collect();
    let root = match images.as_slice() {
        [only] => only.manifest.clone(),
        several => index(several, &plan.annotations),
    };
    for document in images.iter().map(|image| &image.manifest).chain([&root]) {
        if document.descriptor.size > MOST_BYTES {
            let layers = images.iter().map(|image| image.layers.len()).max().unwrap_or(0);
            let notes: usize =
                plan.annotations.manifest.iter().chain(&plan.annotations.index).map(|(k, v)| k.len() + v.len()).sum();
            let part = if notes as u64 > MOST_BYTES / 2 {
                format!("annotations of {notes} bytes")
            } else {
                format!("{layers} layers")
            };
            return Err(Error::usage(format!(
                "the manifest has {} bytes, registries take {MOST_BYTES}: most of it are {part}",
                document.descriptor.size
            )));
        }
    }
    Ok(Artifact { root, images })
}

fn one(plan: &Plan, image: &ImagePlan, parts: Parts<'_>) -> Image {
    let own = parts.layers.into_iter().map(|(name, packed)| Layer {
        descriptor: packed.descriptor,
        diff_id: packed.diff_id,
        name: Some(name),
    });
    let below =
        parts.base.manifest.layers.iter().zip(&parts.base.image.rootfs.diff_ids).map(|(descriptor, diff_id)| {
            let media_type = media::oci_twin(&descriptor.media_type).to_string();
            Layer { descriptor: Descriptor { media_type, ..descriptor.clone() }, diff_id: *diff_id, name: None }
        });
    let layers: Vec<Layer> = below.chain(own).collect();
    let config = config::config(&parts.base.image, image, &parts.user, &layers, &rfc3339(plan.created));
    let config = Document::new(media::CONFIG, &config);
    let manifest = oci::Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.into(),
        artifact_type: None,
        config: config.descriptor.clone(),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        subject: None,
        annotations: annotations(&plan.annotations.manifest, &image.base.0),
        rest: BTreeMap::new(),
    };
    let manifest = Document::new(media::MANIFEST, &manifest);
    Image { platform: config_platform(parts.base, &image.platform), manifest, config, layers }
}

/// The platform as the config names it: that of the base where there is one (`arm64` may be `arm64/v8` there).
fn config_platform(base: &source::Base, wanted: &Platform) -> Platform {
    if base.image.architecture.is_empty() { wanted.clone() } else { base.image.platform() }
}

fn annotations(written: &BTreeMap<String, String>, base: &Base) -> BTreeMap<String, String> {
    let mut annotations = written.clone();
    let (name, digest) = match base {
        Base::Scratch => (None, None),
        Base::Registry(pinned) => {
            let tag = pinned.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
            (Some(format!("{}{tag}", pinned.repository)), Some(pinned.digest))
        }
        Base::Layout(local) | Base::Archive(local) => (None, Some(local.digest)),
    };
    let known = [(media::BASE_NAME, name), (media::BASE_DIGEST, digest.map(|digest| digest.to_string()))];
    for (key, value) in known {
        if let Some(value) = value {
            annotations.entry(key.to_string()).or_insert(value);
        }
    }
    annotations
}

fn index(images: &[Image], annotations: &Annotations) -> Document {
    let manifests = images.iter().map(|image| Descriptor {
        platform: Some(Described::from(&image.platform)),
        ..image.manifest.descriptor.clone()
    });
    let index = Index {
        schema_version: 2,
        media_type: media::INDEX.into(),
        artifact_type: None,
        manifests: manifests.collect(),
        subject: None,
        annotations: annotations.index.clone(),
        rest: BTreeMap::new(),
    };
    Document::new(media::INDEX, &index)
}

impl Artifact {
    /// The digest that names it all.
    pub fn digest(&self) -> Digest {
        self.root.descriptor.digest
    }

    /// Only the image of this platform, if there is one.
    pub fn only(&self, platform: &Platform) -> Option<Artifact> {
        let image = self.images.iter().find(|image| image.platform.serves(platform))?;
        Some(Artifact { root: image.manifest.clone(), images: vec![image.clone()] })
    }
}
