//! Stage 5: one image out of what a digest names. A digest and a platform in, a manifest and its config out. Documents come through
//! [`crate::source::blob`].
//!
//! An index's child counts if it is an image or an index. What is `unknown`, an attestation or another artifact is passed over. A child
//! that names a platform is taken by that, one that names none by its config. The first that serves is taken.

use std::collections::BTreeSet;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Document, Image, Index, Manifest, Platform, json, media};
use crate::plan;
use crate::source::blob::{blob, blocking, document};

/// Largest image config in bytes.
const MOST_CONFIG_BYTES: u64 = 8 << 20;
/// How deep an index may stand in an index.
const MOST_DEPTH: usize = 3;
/// Most documents that are opened in search of one platform.
const MOST_OPENED: usize = 64;
/// The annotation by which BuildKit marks attestations.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// The image that was chosen.
pub struct Chosen {
    /// What names its manifest.
    pub descriptor: Descriptor,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub image: Image,
}

struct Candidate {
    digest: Digest,
    child: Option<Descriptor>,
    depth: usize,
}

/// Chooses the image for a platform.
pub async fn choose(ctx: &Ctx, reference: &plan::Base, named: &Digest, wanted: &Platform) -> Result<Chosen> {
    let mut ahead = vec![Candidate { digest: *named, child: None, depth: 0 }];
    let mut there = BTreeSet::new();
    let mut alone = false;
    for _ in 0..MOST_OPENED {
        let Some(Candidate { digest, child, depth }) = ahead.pop() else {
            return Err(missing(reference, wanted, &there, alone));
        };
        let (descriptor, found) = document(ctx, reference, &digest, child.as_ref()).await?;
        match found {
            Document::Index(_) if depth > MOST_DEPTH => {
                return Err(Error::remote(format!(
                    "the indexes of `{reference}` stand more than {MOST_DEPTH} deep in each other"
                )));
            }
            Document::Index(index) => {
                let children = children(&index, wanted, &mut there);
                let next = children.into_iter().rev();
                ahead.extend(next.map(|child| Candidate {
                    digest: child.digest,
                    child: Some(child),
                    depth: depth + 1,
                }));
            }
            Document::Manifest(manifest) if depth > 0 && !is_image(&manifest) => {}
            Document::Manifest(manifest) => {
                let image = config(ctx, reference, &descriptor.digest, &manifest).await?;
                let own = image.platform();
                let listed = child.as_ref().and_then(platform);
                if listed.is_some() && !own.serves(wanted) {
                    ctx.note(format!("`{reference}` lists an image for `{wanted}` whose config says `{own}`"));
                }
                if listed.is_some() || own.serves(wanted) {
                    return Ok(Chosen { descriptor, manifest, image });
                }
                alone = depth == 0;
                there.insert(own.to_string());
            }
        }
    }
    Err(Error::remote(format!("`{reference}` has more than {MOST_OPENED} manifests that may be for `{wanted}`")))
}

/// The children worth a look: those for the platform, then those that name none. The others are noted as what is there.
fn children(index: &Index, wanted: &Platform, there: &mut BTreeSet<String>) -> Vec<Descriptor> {
    let (mut fitting, mut silent) = (Vec::new(), Vec::new());
    for child in index.manifests.iter().filter(|child| counts(child)) {
        match platform(child) {
            Some(platform) if platform.serves(wanted) => fitting.push(child.clone()),
            Some(platform) => drop(there.insert(platform.to_string())),
            None => silent.push(child.clone()),
        }
    }
    fitting.extend(silent);
    fitting
}

fn counts(child: &Descriptor) -> bool {
    let document = [media::MANIFEST, media::DOCKER_MANIFEST, media::INDEX, media::DOCKER_LIST];
    let artifact =
        child.artifact_type.as_deref().is_some_and(|kind| ![media::CONFIG, media::DOCKER_CONFIG].contains(&kind));
    let unknown = platform(child).is_some_and(|platform| platform.os == "unknown" || platform.arch == "unknown");
    document.contains(&child.media_type.as_str())
        && !artifact
        && !unknown
        && !child.annotations.contains_key(ATTESTATION)
}

fn platform(child: &Descriptor) -> Option<Platform> {
    let platform = child.platform.as_ref()?.platform();
    (!platform.os.is_empty() || !platform.arch.is_empty()).then_some(platform)
}

fn is_image(manifest: &Manifest) -> bool {
    [media::CONFIG, media::DOCKER_CONFIG].contains(&manifest.config.media_type.as_str())
}

/// The config of an image, once manifest and config fit each other.
async fn config(ctx: &Ctx, reference: &plan::Base, digest: &Digest, manifest: &Manifest) -> Result<Image> {
    let what = format!("the manifest {digest} of `{reference}`");
    if !is_image(manifest) {
        let kind = manifest.config.media_type.escape_debug();
        return Err(Error::remote(format!("{what} is no image: its config has the media type `{kind}`")));
    }
    if let Some(odd) = manifest.layers.iter().find(|layer| media::layer(&layer.media_type).is_none()) {
        return Err(Error::remote(format!(
            "{what} is refused: its layer {} has the media type `{}`, which is no layer of files",
            odd.digest,
            odd.media_type.escape_debug()
        ))
        .hint("take the digest of an image; attestations and other artifacts cannot be a base"));
    }
    if manifest.config.size > MOST_CONFIG_BYTES {
        let size = manifest.config.size;
        return Err(Error::remote(format!("the config of {what} has {size} bytes, {MOST_CONFIG_BYTES} are allowed")));
    }
    blob(ctx, reference, &manifest.config).await?;
    let (store, wanted) = (ctx.store.clone(), manifest.config.digest);
    let bytes = blocking(move || store.read(&wanted, MOST_CONFIG_BYTES)).await?;
    let bytes = bytes.ok_or_else(|| Error::local(format!("the config {wanted} vanished from the store")))?;
    let image: Image = json::read(&bytes, &format!("the config {wanted} of `{reference}`"))?;
    let (layers, ids) = (manifest.layers.len(), image.rootfs.diff_ids.len());
    if layers != ids {
        return Err(Error::remote(format!(
            "{what} is refused: it has {layers} layers, but its config names {ids} diff IDs"
        )));
    }
    Ok(image)
}

fn missing(reference: &plan::Base, wanted: &Platform, there: &BTreeSet<String>, alone: bool) -> Error {
    let list = there.iter().map(|platform| format!("`{}`", platform.escape_debug())).collect::<Vec<_>>().join(", ");
    if alone {
        return Error::usage(format!("`{reference}` is an image for {list}, not for `{wanted}`"))
            .hint("name the digest of the index that holds the images for all platforms");
    }
    let there = if list.is_empty() { "it holds no image".to_string() } else { format!("there are {list}") };
    Error::usage(format!("`{reference}` has no image for `{wanted}`; {there}"))
        .hint(format!("take `{wanted}` out of `platforms`, or take another base"))
}
