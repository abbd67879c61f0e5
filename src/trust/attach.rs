//! Stage 8: signatures beside images. A bundle or a legacy layer in, its place in the registry out. Asks registries. Nothing that is
//! there gets lost: lists and tags that others change too are read, changed, written and read again.
//!
//! The manifest of a bundle has no `org.opencontainers.image.created`, which cosign writes: no verifier reads it, the time that
//! counts is the log's, and without it the same bundle is the same manifest.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::document::MOST_LAYERS;
use crate::oci::json::canonical;
use crate::oci::{Descriptor, Digest, Document, Manifest, Repository, Tag, media};
use crate::registry::{Fetched, Which};

/// The media type and artifact type of the bundles that we write.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Annotation of a bundle's manifest: what kind of signature it holds.
const CONTENT: &str = "dev.sigstore.bundle.content";
/// Annotation of a bundle's manifest: what it says of the image.
pub const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// The media type of the config of a manifest that needs none.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The tags of legacy signatures and attestations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `sha256-….sig`
    Signature,
    /// `sha256-….att`
    Attestation,
}

/// One legacy signature or attestation.
pub struct Layer {
    /// Its media type.
    pub media_type: &'static str,
    /// The payload or the envelope.
    pub bytes: Vec<u8>,
    /// The signature, and what proves whose it is.
    pub annotations: BTreeMap<String, String>,
}

impl Ending {
    /// The tag for an image.
    pub fn tag(self, digest: &Digest) -> Result<Tag> {
        let ending = match self {
            Ending::Signature => "sig",
            Ending::Attestation => "att",
        };
        format!("sha256-{}.{ending}", digest.hex()).parse()
    }
}

/// Puts a bundle beside its image; the digest of its manifest.
pub async fn bundle(
    ctx: &Ctx,
    repository: &Repository,
    subject: &Descriptor,
    predicate_type: &str,
    bundle: Vec<u8>,
) -> Result<Digest> {
    let (layer, config) = (Descriptor::of(BUNDLE, &bundle), Descriptor::of(EMPTY, b"{}"));
    let manifest = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "artifactType": BUNDLE,
        "config": config,
        "layers": [layer],
        "annotations": { CONTENT: "dsse-envelope", PREDICATE: predicate_type },
        "subject": Descriptor::new(&subject.media_type, subject.digest, subject.size),
    }));
    ctx.registries.push_blob(repository, &layer, &Bytes::from(bundle), &[]).await?;
    ctx.registries.push_blob(repository, &config, &Bytes::from_static(b"{}"), &[]).await?;
    ctx.registries.add_referrer(repository, subject, media::MANIFEST, &manifest).await?;
    Ok(Digest::of(&manifest))
}

/// Puts a layer under the legacy tag of an image, beside those that are there; the digest of the layer.
pub async fn legacy(
    ctx: &Ctx,
    repository: &Repository,
    digest: &Digest,
    ending: Ending,
    layer: Layer,
) -> Result<Digest> {
    let tag = ending.tag(digest)?;
    let mut entry = Descriptor::of(layer.media_type, &layer.bytes);
    entry.annotations = layer.annotations;
    ctx.registries.push_blob(repository, &entry, &Bytes::from(layer.bytes), &[]).await?;
    let mut edit = ctx.registries.edit_tag(repository, &tag);
    loop {
        let mut manifest = read(edit.read().await?, &tag)?.unwrap_or_else(fresh);
        let same = |other: &Descriptor| other.digest == entry.digest && other.annotations == entry.annotations;
        if manifest.layers.iter().any(same) {
            return Ok(entry.digest);
        }
        if manifest.layers.len() >= MOST_LAYERS {
            return Err(Error::remote(format!("the tag `{tag}` holds {MOST_LAYERS} signatures, which is the limit"))
                .hint("delete the tag and sign again, or sign with `--signature-format bundle`"));
        }
        manifest.layers.push(entry.clone());
        let config = config(&manifest.layers);
        manifest.config = Descriptor::of(&manifest.config.media_type, &config);
        ctx.registries.push_blob(repository, &manifest.config, &Bytes::from(config), &[]).await?;
        edit.write(&manifest.media_type, &canonical(&manifest)).await?;
    }
}

/// The layers under a legacy tag.
pub async fn layers(ctx: &Ctx, repository: &Repository, digest: &Digest, ending: Ending) -> Result<Vec<Descriptor>> {
    let tag = ending.tag(digest)?;
    let there = ctx.registries.manifest(repository, Which::Tag(&tag)).await?;
    Ok(read(there, &tag)?.map(|manifest| manifest.layers).unwrap_or_default())
}

fn read(there: Option<Fetched>, tag: &Tag) -> Result<Option<Manifest>> {
    let Some(there) = there else { return Ok(None) };
    match Document::read(&there.bytes, there.media_type.as_deref(), &format!("the signatures under `{tag}`"))? {
        Document::Manifest(mut manifest) => {
            if manifest.media_type.is_empty() {
                manifest.media_type = there.media_type.unwrap_or_else(|| media::MANIFEST.to_string());
            }
            Ok(Some(manifest))
        }
        Document::Index(_) => Err(Error::remote(format!("the tag `{tag}` should hold signatures, but holds an index"))),
    }
}

fn fresh() -> Manifest {
    Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.to_string(),
        artifact_type: None,
        config: Descriptor::of(media::CONFIG, b""),
        layers: Vec::new(),
        subject: None,
        annotations: BTreeMap::new(),
        rest: BTreeMap::new(),
    }
}

/// The config that cosign writes: an image that was never made, of these layers.
fn config(layers: &[Descriptor]) -> Vec<u8> {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let history: Vec<Value> = layers.iter().map(|_| json!({ "created": NEVER })).collect();
    let layers: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    canonical(&json!({
        "architecture": "",
        "config": {},
        "created": NEVER,
        "history": history,
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": layers },
    }))
}
