//! Stage 8, signing: an image in a registry and a signatory in; signatures and attestations beside the image out. What was signed is
//! verified before it goes out, and nothing goes out before all of it is signed. May ask the registry and the services of sigstore.
//!
//! ```text
//! signer      who signs, the contract        keyless    an identity that signs: a certificate of minutes
//! token       who we are                     person     a person who signs in
//! services    whom to ask                    signatory  a signer, and all that speaks for it
//! fulcio, rekor, stamp   asking them         signature  what is written down
//! held        what is there already
//! ```

mod fulcio;
mod held;
mod keyless;
mod person;
mod rekor;
mod services;
mod signatory;
mod signature;
mod signer;
mod stamp;
mod token;

pub use crate::manifest::SignatureFormat as Format;
pub use keyless::Keyless;
pub use services::Services;
pub use signatory::Signatory;
pub use signature::BUNDLE;
pub use signer::{By, Signer};
pub use token::{FILE, Person, Source};

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::attach::{self, Layer};
use super::root;
use super::statement::{Subject, simple, statement};
use super::verify::{ENVELOPE, SIGNATURE, SIMPLE, Want, check_bundle, check_layer};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::oci::{Descriptor, Digest, Repository};
use held::held;
use signature::Message;

/// Where something that was signed is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// A bundle, or a layer of a legacy tag.
    pub blob: Descriptor,
    /// The manifest that names the blob.
    pub manifest: Descriptor,
}

/// What was put beside an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What is vouched for.
    pub subject: Digest,
    /// What kind of claim it is.
    pub predicate_type: String,
    /// Where it is.
    pub kept: Kept,
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
            "blob": object(&self.kept.blob),
            "manifest": object(&self.kept.manifest),
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

/// Signs an image. What the same signer has already said of it is not said again.
pub async fn sign(ctx: &Ctx, signatory: &Signatory<'_>, object: Object<'_>) -> Result<Vec<Signed>> {
    put(ctx, signatory, object, SIGNATURE, &json!({})).await
}

/// Attests something of an image.
pub async fn attest(
    ctx: &Ctx,
    signatory: &Signatory<'_>,
    object: Object<'_>,
    predicate_type: &str,
    predicate: &Value,
) -> Result<Vec<Signed>> {
    put(ctx, signatory, object, predicate_type, predicate).await
}

async fn put(
    ctx: &Ctx,
    signatory: &Signatory<'_>,
    object: Object<'_>,
    kind: &str,
    predicate: &Value,
) -> Result<Vec<Signed>> {
    let done = |kept, format, how| Signed {
        subject: object.image.digest,
        predicate_type: kind.to_string(),
        kept,
        format,
        how,
    };
    let (format, held) = (signatory.format(), held(ctx, signatory, object, kind, predicate).await?);
    let (bundled, layered) = (format.bundle() && held.bundle.is_none(), format.legacy() && held.legacy.is_none());
    let made = make(ctx, signatory, object, kind, predicate, bundled, layered).await?;
    let mut signed = Vec::new();
    match (made.bundle, held.bundle) {
        (Some(bytes), _) => {
            signed.push(done(attach::bundle(ctx, object, &bytes, kind).await?, "bundle", "signed"));
        }
        (None, Some(kept)) if format.bundle() => signed.push(done(kept, "bundle", "already there")),
        (None, _) => {}
    }
    match (made.layer, held.legacy) {
        (Some(layer), _) => {
            signed.push(done(attach::legacy(ctx, object, layer).await?, "legacy", "signed"));
        }
        (None, Some(kept)) if format.legacy() => signed.push(done(kept, "legacy", "already there")),
        (None, _) => {}
    }
    Ok(signed)
}

/// What was signed and goes out next.
#[derive(Default)]
struct Made {
    bundle: Option<Vec<u8>>,
    layer: Option<Layer>,
}

/// Signs all that is wanted, and looks at it as a third party would see it, before anybody else can.
async fn make(
    ctx: &Ctx,
    signatory: &Signatory<'_>,
    object: Object<'_>,
    kind: &str,
    predicate: &Value,
    bundled: bool,
    layered: bool,
) -> Result<Made> {
    let mut made = Made::default();
    let attested = kind != SIGNATURE && layered;
    if bundled || attested {
        let said = statement(&object.subject(), kind, predicate);
        let message = Message::Statement(&said);
        let mut signature = signatory.sign(ctx, message, attested && !bundled).await?;
        made.bundle = bundled.then(|| signature.bundle(&said)).transpose()?;
        if attested {
            if bundled && !signatory.shares() {
                signature = signatory.sign(ctx, message, true).await?;
            }
            let annotations = signature.annotations(Some(kind));
            made.layer = Some(Layer { media_type: ENVELOPE, bytes: signature.envelope(&said), annotations });
        }
    }
    if layered && !attested {
        let payload = simple(&object.subject());
        let signature = signatory.sign(ctx, Message::Payload(&payload), true).await?;
        made.layer = Some(Layer { media_type: SIMPLE, bytes: payload, annotations: signature.annotations(None) });
    }
    let (policy, roots) = (signatory.policy(ctx).await?, signatory.roots());
    let (digest, want) = (&object.image.digest, Want::of(kind));
    let unsound = |error: Error| match error.kind() {
        Kind::Policy => error.context("what was just signed does not hold, so it was not put into the registry"),
        _ => error,
    };
    if let Some(bytes) = &made.bundle {
        check_bundle(bytes, digest, &want, &policy, roots).map_err(unsound)?;
    }
    if let Some(Layer { media_type, bytes, annotations }) = &made.layer {
        check_layer(media_type, bytes, annotations, digest, &want, &policy, roots).map_err(unsound)?;
    }
    Ok(made)
}

/// The JSON document in a file.
pub fn document(path: &Path) -> Result<Value> {
    let text = root::read(path)?;
    serde_json::from_str(&text)
        .map_err(|cause| Error::usage(format!("`{}` is not a JSON document", path.display())).because(cause))
}
