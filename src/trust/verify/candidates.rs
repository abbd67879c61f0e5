//! Stage 8: what may be a signature of a digest. A repository and a digest in; bundles that refer to it and the layers of its legacy
//! tags out, one at a time. Asks the registry; all that it says is bounded and believed by nobody.
//!
//! A list under a fallback tag may name wrong types (signing.md §2.2), so nothing is left out by them: they only say what is looked
//! at first.

use super::legacy;
use super::policy::Want;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::document::MOST_BYTES as MOST_MANIFEST_BYTES;
use crate::oci::{Descriptor, Digest, Document, Repository, Tag, media};
use crate::registry::{Fetched, Which};

/// Most manifests that refer to one digest.
const MOST_REFERRERS: usize = 1000;
/// Largest bundle or envelope in bytes; an SBOM may stand in it.
const MOST_BYTES: u64 = 64 << 20;
/// Largest payload of a legacy signature in bytes.
const MOST_PAYLOAD_BYTES: u64 = 1 << 20;
/// The media types of bundles begin so.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Annotation of a bundle's manifest: what it says of the image.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// The same on a legacy layer.
const LEGACY_PREDICATE: &str = "predicateType";

/// Something that may be what is looked for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The bundle's or layer's blob.
    pub blob: Descriptor,
    /// The manifest that names it.
    pub manifest: Descriptor,
    /// Whether it stands under a legacy tag.
    pub legacy: bool,
    /// Whether its own word is that it is something else: it is looked at last.
    pub unlikely: bool,
}

impl Candidate {
    /// How it is named in messages.
    pub fn name(&self) -> String {
        let kind = if self.legacy { "the legacy signature" } else { "the bundle" };
        format!("{kind} {}", self.blob.digest)
    }
}

/// The manifests that refer to the digest, in the order in which they are worth a look.
pub async fn referrers(ctx: &Ctx, repository: &Repository, digest: &Digest, want: &Want) -> Result<Vec<Descriptor>> {
    let mut found = ctx.registries.referrers(repository, digest).await?;
    if found.len() > MOST_REFERRERS {
        return Err(Error::remote(format!(
            "{} manifests refer to `{repository}@{digest}`, {MOST_REFERRERS} are allowed",
            found.len()
        )));
    }
    found.sort_by_key(|descriptor| match descriptor.annotations.get(PREDICATE) {
        Some(kind) if kind == want.predicate_type() => 0,
        None if descriptor.artifact_type.as_deref().is_some_and(|kind| kind.starts_with(BUNDLE)) => 1,
        None => 2,
        Some(_) => 3,
    });
    Ok(found)
}

/// The bundle of a manifest, if it has one.
pub async fn bundle(
    ctx: &Ctx,
    repository: &Repository,
    referrer: &Descriptor,
    want: &Want,
) -> Result<Option<Candidate>> {
    if referrer.size > MOST_MANIFEST_BYTES {
        return Err(Error::remote(format!(
            "the manifest {} is larger than {MOST_MANIFEST_BYTES} bytes",
            referrer.digest
        )));
    }
    let found = ctx.registries.manifest(repository, Which::Digest(&referrer.digest)).await?;
    let found = found.ok_or_else(|| {
        Error::remote(format!("the registry lists {}, which refers to the image, but lacks it", referrer.digest))
    })?;
    let what = format!("the manifest {}", referrer.digest);
    let Ok(Document::Manifest(manifest)) = Document::read(&found.bytes, found.media_type.as_deref(), &what) else {
        return Ok(None);
    };
    let [layer] = manifest.layers.as_slice() else { return Ok(None) };
    if !layer.media_type.starts_with(BUNDLE) {
        return Ok(None);
    }
    let unlikely = manifest.annotations.get(PREDICATE).is_some_and(|kind| kind != want.predicate_type());
    let manifest = object(&found);
    Ok(Some(Candidate { blob: layer.clone(), manifest, legacy: false, unlikely }))
}

/// The layers under a legacy tag.
pub async fn legacy(ctx: &Ctx, repository: &Repository, digest: &Digest, want: &Want) -> Result<Vec<Candidate>> {
    let ending = if *want == Want::Signature { "sig" } else { "att" };
    let tag: Tag = format!("sha256-{}.{ending}", digest.hex()).parse()?;
    let Some(found) = ctx.registries.current(repository, &tag).await? else { return Ok(Vec::new()) };
    let what = format!("the manifest of the signatures under `{tag}`");
    let Document::Manifest(manifest) = Document::read(&found.bytes, found.media_type.as_deref(), &what)? else {
        return Err(Error::remote(format!("{what} is an index")));
    };
    let holder = object(&found);
    let candidate = |blob: Descriptor| {
        let unlikely = blob.annotations.get(LEGACY_PREDICATE).is_some_and(|kind| kind != want.predicate_type());
        Candidate { blob, manifest: holder.clone(), legacy: true, unlikely }
    };
    Ok(manifest.layers.into_iter().map(candidate).collect())
}

/// A manifest as receipts name it.
fn object(found: &Fetched) -> Descriptor {
    Descriptor::of(found.media_type.as_deref().unwrap_or(media::MANIFEST), &found.bytes)
}

/// The bytes of a candidate.
pub async fn fetch(ctx: &Ctx, repository: &Repository, candidate: &Candidate) -> Result<Vec<u8>> {
    let simple = candidate.legacy && candidate.blob.media_type == legacy::SIMPLE;
    let most = if simple { MOST_PAYLOAD_BYTES } else { MOST_BYTES };
    let size = candidate.blob.size;
    if size > most {
        return Err(Error::policy(format!("it has {size} bytes, {most} are allowed")));
    }
    let mut bytes = Vec::new();
    ctx.registries.blob(repository, &candidate.blob, &mut bytes).await?;
    Ok(bytes)
}
