//! Stage 8: how signatures are put beside an image. Bytes in; blobs, a referrer or a new layer of a legacy tag out. May ask the registry.
//! (OCI distribution spec 1.1, "Referrers"; cosign's tags `sha256-….sig` and `.att`.)

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::sign::{BUNDLE, Kept, Object};
use super::verify::SIMPLE;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::json::{canonical, read};
use crate::oci::{Descriptor, Digest, Repository, Tag, media};
use crate::registry::{PushedManifest, Which};

/// The ending of the tag that holds legacy signatures.
const SIGNATURES: &str = "sig";
/// The ending of the tag that holds legacy attestations.
const ATTESTATIONS: &str = "att";
/// The media type and the content of a config that says nothing.
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// Most layers of a legacy tag: what verifiers read (cosign).
const MOST_LAYERS: usize = 1000;
/// How often a tag is written again because somebody else wrote it at the same time.
const MOST_ROUNDS: u32 = 10;
/// How often that is done because the registry lacks what it took a moment ago.
const MOST_MISSES: u32 = 3;

/// A layer of a legacy tag.
pub struct Layer {
    /// What it is: a payload, or an envelope.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The signature, and what proves whose it is.
    pub annotations: BTreeMap<String, String>,
}

/// Puts a bundle beside an image, as a manifest that refers to it.
pub async fn bundle(ctx: &Ctx, object: Object<'_>, bytes: &[u8], predicate_type: &str) -> Result<Kept> {
    let config = blob(ctx, object.repository, EMPTY.0, EMPTY.1).await?;
    let layer = blob(ctx, object.repository, BUNDLE, bytes).await?;
    let subject = Descriptor::new(&object.image.media_type, object.image.digest, object.image.size);
    // No `created`: the log says when it was signed, and a clock of ours would say less.
    let manifest = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "artifactType": BUNDLE,
        "config": config,
        "layers": [&layer],
        "subject": subject,
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
        },
    }));
    ctx.registries.add_referrer(object.repository, &subject, media::MANIFEST, &manifest).await?;
    Ok(Kept { blob: layer, manifest: Descriptor::of(media::MANIFEST, &manifest) })
}

/// Adds a layer under a legacy tag. What is there stays; who writes at the same time is written again.
pub async fn legacy(ctx: &Ctx, object: Object<'_>, layer: Layer) -> Result<Kept> {
    let ending = if layer.media_type == SIMPLE { SIGNATURES } else { ATTESTATIONS };
    let tag: Tag = format!("sha256-{}.{ending}", object.image.digest.hex()).parse()?;
    let blob = blob(ctx, object.repository, layer.media_type, &layer.bytes).await?;
    let entry = Descriptor { annotations: layer.annotations, ..blob };
    let mut misses = 0;
    for _ in 0..MOST_ROUNDS {
        let (manifest, mut layers) = layers(ctx, object.repository, &tag).await?;
        // Found again after it was written: nobody has written over it.
        if layers.iter().any(|other| other.digest == entry.digest && other.annotations == entry.annotations) {
            let blob = Descriptor::new(&entry.media_type, entry.digest, entry.size);
            return Ok(Kept { blob, manifest });
        }
        layers.push(entry.clone());
        if layers.len() > MOST_LAYERS {
            return Err(Error::remote(format!(
                "`{}:{tag}` holds {MOST_LAYERS} signatures, which is the limit",
                object.repository
            )));
        }
        if !write(ctx, object.repository, &tag, &layers).await? {
            // Some registries lack for a moment what two clients give them at once; what is ours is given again.
            misses += 1;
            if misses > MOST_MISSES {
                return Err(Error::remote(format!("`{}` lacks what `{tag}` names", object.repository)));
            }
            ctx.registries.push_blob_anew(object.repository, &entry, &Bytes::copy_from_slice(&layer.bytes)).await?;
        }
        ctx.registries.settle().await?;
    }
    Err(Error::remote(format!("others kept changing `{}:{tag}` for {MOST_ROUNDS} rounds", object.repository))
        .hint("run again when fewer are at work"))
}

/// Makes the tag hold these layers; whether the registry has all that it then names.
async fn write(ctx: &Ctx, repository: &Repository, tag: &Tag, layers: &[Descriptor]) -> Result<bool> {
    let epoch = "0001-01-01T00:00:00Z";
    let ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    let history: Vec<Value> = layers.iter().map(|_| json!({ "created": epoch })).collect();
    let config = canonical(&json!({
        "architecture": "",
        "created": epoch,
        "history": history,
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": ids },
        "config": {},
    }));
    let config = blob(ctx, repository, media::CONFIG, &config).await?;
    let manifest = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "config": config,
        "layers": layers,
    }));
    let pushed = ctx.registries.push_manifest(repository, Which::Tag(tag), media::MANIFEST, &manifest).await?;
    Ok(!matches!(pushed, PushedManifest::Missing(_)))
}

/// The manifest under a legacy tag and its layers, as they are now.
async fn layers(ctx: &Ctx, repository: &Repository, tag: &Tag) -> Result<(Descriptor, Vec<Descriptor>)> {
    let Some(found) = ctx.registries.current(repository, tag).await? else {
        return Ok((Descriptor::of(media::MANIFEST, b""), Vec::new()));
    };
    let what = format!("what `{repository}:{tag}` holds");
    let mut document: Value = read(&found.bytes, &what)?;
    let layers = serde_json::from_value(document["layers"].take());
    let layers = layers.map_err(|cause| Error::remote(format!("{what} is not a list of signatures")).because(cause))?;
    Ok((Descriptor::of(media::MANIFEST, &found.bytes), layers))
}

async fn blob(ctx: &Ctx, repository: &Repository, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
    let descriptor = Descriptor::of(media_type, bytes);
    ctx.registries.push_blob(repository, &descriptor, &Bytes::copy_from_slice(bytes), &[]).await?;
    Ok(descriptor)
}
