//! Stage 8: signing. An image in a registry and a signer in; signatures and attestations beside the image out. May ask the registry.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_verify::types::pae;

use super::attach;
use super::keys::Key;
use super::root;
use super::statement::{Subject, simple, statement};
use super::verify::{Accepted, PAYLOAD_TYPE, Policy, SIGNATURE, Want, check_bundle, every, verify};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::oci::json::canonical;
use crate::oci::{Descriptor, Digest, Repository};

pub use crate::manifest::SignatureFormat as Format;

/// The media type of bundles.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What was put beside an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What is vouched for.
    pub subject: Digest,
    /// What kind of claim it is.
    pub predicate_type: String,
    /// The blob that holds it: a bundle, or a layer of a legacy tag.
    pub blob: Descriptor,
    /// The manifest that names the blob.
    pub manifest: Descriptor,
    /// `bundle` or `legacy`.
    pub format: &'static str,
    /// `signed`, or `already there`.
    pub how: &'static str,
}

impl Signed {
    /// For receipts and `--format json`; it is in this repository.
    pub fn to_json(&self, name: &Repository) -> Value {
        json!({
            "name": name.to_string(),
            "subject": self.subject,
            "predicateType": self.predicate_type,
            "blob": object(&self.blob),
            "manifest": object(&self.manifest),
            "format": self.format,
            "how": self.how,
        })
    }
}

fn object(descriptor: &Descriptor) -> Value {
    json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size })
}

/// What is signed: an image in a repository, and what the signer says with it.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    /// Its repository.
    pub repository: &'a Repository,
    /// The manifest or index.
    pub image: &'a Descriptor,
    /// The annotations that are signed with it.
    pub annotations: &'a BTreeMap<String, String>,
}

impl Object<'_> {
    fn subject(&self) -> Subject<'_> {
        Subject { name: self.repository, digest: &self.image.digest, annotations: self.annotations }
    }
}

/// Signs an image with a key. What this key has already said of it is not said again.
pub async fn sign(ctx: &Ctx, key: &Key, object: Object<'_>, format: Format) -> Result<Vec<Signed>> {
    let mut signed = Vec::new();
    if format.bundle() {
        signed.push(bundle(ctx, key, object, SIGNATURE, &json!({})).await?);
    }
    if format.legacy() {
        let payload = simple(&object.subject());
        let layer = attach::Layer::simple(payload, key)?;
        signed.push(attach::legacy(ctx, key, object, attach::SIGNATURES, layer).await?);
    }
    Ok(signed)
}

/// Attests something of an image with a key.
pub async fn attest(
    ctx: &Ctx,
    key: &Key,
    object: Object<'_>,
    predicate_type: &str,
    predicate: &Value,
    format: Format,
) -> Result<Vec<Signed>> {
    let mut signed = Vec::new();
    if format.bundle() {
        signed.push(bundle(ctx, key, object, predicate_type, predicate).await?);
    }
    if format.legacy() {
        // The same statement has another signature each time: without a look a second run would add a second layer.
        if let Some(Accepted { blob, manifest, .. }) = said(ctx, key, object, predicate_type, predicate, true).await? {
            let (subject, predicate_type) = (object.image.digest, predicate_type.to_string());
            signed.push(Signed { subject, predicate_type, blob, manifest, format: "legacy", how: "already there" });
            return Ok(signed);
        }
        let statement = statement(&object.subject(), predicate_type, predicate);
        let layer = attach::Layer::envelope(canonical(&envelope(key, &statement)?), predicate_type);
        signed.push(attach::legacy(ctx, key, object, attach::ATTESTATIONS, layer).await?);
    }
    Ok(signed)
}

async fn bundle(ctx: &Ctx, key: &Key, object: Object<'_>, kind: &str, predicate: &Value) -> Result<Signed> {
    let done = |blob, manifest, how| Signed {
        subject: object.image.digest,
        predicate_type: kind.to_string(),
        blob,
        manifest,
        format: "bundle",
        how,
    };
    if let Some(Accepted { blob, manifest, .. }) = said(ctx, key, object, kind, predicate, false).await? {
        return Ok(done(blob, manifest, "already there"));
    }
    let statement = statement(&object.subject(), kind, predicate);
    let bytes = canonical(&json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": key.hint() } },
        "dsseEnvelope": envelope(key, &statement)?,
    }));
    // As a third party would see it, before anybody else can.
    check_bundle(&bytes, &object.image.digest, &Want::of(kind), &Policy::key(key.public().clone()), None)?;
    let manifest = attach::bundle(ctx, object, &bytes, kind).await?;
    Ok(done(Descriptor::of(BUNDLE, &bytes), manifest, "signed"))
}

/// The bundle or legacy layer by which this key has already said the same. A registry that cannot tell is an error.
async fn said(
    ctx: &Ctx,
    key: &Key,
    object: Object<'_>,
    kind: &str,
    predicate: &Value,
    legacy: bool,
) -> Result<Option<Accepted>> {
    let (policy, want) = (Policy::key(key.public().clone()), Want::of(kind));
    let (name, digest) = (object.repository, &object.image.digest);
    let found = match legacy {
        true => every(ctx, name, digest, &want, &policy, None).await,
        false => verify(ctx, name, digest, &want, &policy, None).await,
    };
    let found = match found {
        Ok(found) => found,
        Err(error) if error.kind() == Kind::Policy => return Ok(None),
        Err(error) => return Err(error),
    };
    let same = found.into_iter().find(|one| {
        let claim = &one.claim;
        let said = kind == SIGNATURE || claim.predicate == *predicate;
        one.legacy == legacy && said && claim.annotations == *object.annotations
    });
    Ok(same)
}

/// The JSON document in a file.
pub fn document(path: &Path) -> Result<Value> {
    let text = root::read(path)?;
    serde_json::from_str(&text)
        .map_err(|cause| Error::usage(format!("`{}` is not a JSON document", path.display())).because(cause))
}

/// A statement in its signed envelope (DSSE v1).
fn envelope(key: &Key, statement: &[u8]) -> Result<Value> {
    let signature = key.sign(&pae(PAYLOAD_TYPE, statement))?;
    Ok(json!({
        "payload": STANDARD.encode(statement),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{ "sig": STANDARD.encode(signature) }],
    }))
}
