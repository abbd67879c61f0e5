//! Stage 8: what something that belongs to an image says that it is. What was found beside an image in, words out: nothing is verified
//! here. Pure.

use crate::oci::{Descriptor, Digest, Document, Manifest, media};
use crate::source::{Attached, Image};

use super::verify::{ENVELOPE, SIGNATURE, SIMPLE};

/// The media types of bundles begin so.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Annotation of a bundle's manifest: what it says of the image.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// The same on a layer of cosign's tags.
const LEGACY_PREDICATE: &str = "predicateType";
/// The same on a layer of BuildKit's.
const BUILDKIT_PREDICATE: &str = "in-toto.io/predicate-type";
/// By these annotations of an index BuildKit says that a child attests another.
const BUILDKIT: [&str; 2] = ["vnd.docker.reference.type", "vnd.docker.reference.digest"];

/// What something says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `signature`, `attestation`, `sbom` or `artifact`.
    pub kind: &'static str,
    /// How it is kept: `bundle`, `legacy`, `index` or `referrer`.
    pub format: &'static str,
    /// What it says of the image: the predicate's type, or the artifact's.
    pub says: Option<String>,
    /// Its manifest, or its blob in a legacy tag.
    pub digest: Digest,
    /// What it is about, if it says so.
    pub subject: Option<Digest>,
    /// The tag by which it was found.
    pub tag: Option<String>,
    /// The bytes of its content.
    pub size: u64,
}

/// Everything that was found beside an image, and in its index.
pub fn about(image: &Image, attached: &[Attached]) -> Vec<About> {
    let mut all = in_index(image);
    for one in attached {
        let Some(Document::Manifest(manifest)) = one.image.documents.last().map(|paper| &paper.document) else {
            all.push(plain(one, "artifact", None, 0));
            continue;
        };
        match &one.tag {
            Some(tag) => {
                let subject = subject(tag.as_str());
                all.extend(manifest.layers.iter().map(|layer| legacy(tag.as_str(), subject, layer)));
            }
            None => all.push(referrer(one, manifest)),
        }
    }
    all
}

/// The digest that one of cosign's tags is about.
fn subject(tag: &str) -> Option<Digest> {
    let hex = tag.strip_prefix("sha256-")?.split('.').next()?;
    format!("sha256:{hex}").parse().ok()
}

fn legacy(tag: &str, subject: Option<Digest>, layer: &Descriptor) -> About {
    let kind = match (layer.media_type.as_str(), tag.rsplit('.').next()) {
        (SIMPLE, _) => "signature",
        (ENVELOPE, _) => "attestation",
        (_, Some("sbom")) => "sbom",
        _ => "artifact",
    };
    let said = layer.annotations.get(LEGACY_PREDICATE).cloned();
    let says = said.or_else(|| ["sbom", "artifact"].contains(&kind).then(|| layer.media_type.clone()));
    About { kind, format: "legacy", says, digest: layer.digest, subject, tag: Some(tag.into()), size: layer.size }
}

fn referrer(one: &Attached, manifest: &Manifest) -> About {
    let size = manifest.layers.iter().map(|layer| layer.size).sum();
    let own = manifest.artifact_type.as_ref().or(Some(&manifest.config.media_type));
    let kind = own.filter(|kind| *kind != media::CONFIG && !kind.is_empty()).cloned();
    let bundle = manifest.layers.iter().any(|layer| layer.media_type.starts_with(BUNDLE));
    let says = manifest.annotations.get(PREDICATE).cloned();
    match (bundle, says) {
        (true, Some(says)) if says == SIGNATURE => {
            About { format: "bundle", ..plain(one, "signature", Some(says), size) }
        }
        (true, Some(says)) => About { format: "bundle", ..plain(one, "attestation", Some(says), size) },
        // A bundle of a bare signature names no predicate.
        (true, None) => About { format: "bundle", ..plain(one, "signature", None, size) },
        (false, _) if kind.as_deref().is_some_and(|kind| kind.contains("spdx") || kind.contains("cyclonedx")) => {
            plain(one, "sbom", kind, size)
        }
        (false, _) => plain(one, "artifact", kind, size),
    }
}

fn plain(one: &Attached, kind: &'static str, says: Option<String>, size: u64) -> About {
    let subject = one.subject.as_ref().map(|subject| subject.digest);
    let tag = one.tag.as_ref().map(|tag| tag.to_string());
    About { kind, format: "referrer", says, digest: one.image.digest(), subject, tag, size }
}

/// The attestations that BuildKit puts into an index, as images for no platform.
fn in_index(image: &Image) -> Vec<About> {
    let mut all = Vec::new();
    for paper in &image.documents {
        let Document::Index(index) = &paper.document else { continue };
        for child in index.manifests.iter().filter(|child| child.annotations.contains_key(BUILDKIT[0])) {
            let subject = child.annotations.get(BUILDKIT[1]).and_then(|digest| digest.parse().ok());
            let known = image.documents.iter().find(|paper| paper.descriptor.digest == child.digest);
            let Some(Document::Manifest(manifest)) = known.map(|paper| &paper.document) else { continue };
            all.extend(manifest.layers.iter().map(|layer| About {
                kind: "attestation",
                format: "index",
                says: layer.annotations.get(BUILDKIT_PREDICATE).cloned(),
                digest: child.digest,
                subject,
                tag: None,
                size: layer.size,
            }));
        }
    }
    all
}
