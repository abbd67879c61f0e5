//! Stage 8, signing: an image's digest and what is said of it in; signatures beside it in its registry out. What was signed is
//! verified before it goes out, and nothing goes out before all of it is signed.
//!
//! ```text
//! signer     who signs          token   who we are         services   whom to ask
//! witness    asking them        paper   what is written    held       what is there already
//! ```

mod held;
mod paper;
mod services;
mod signer;
mod token;
mod witness;

pub use signer::Signer;
pub use token::{Ask, Source};

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::manifest::Form;
use crate::oci::{Descriptor, Digest, Repository};
use crate::trust::attach::{self, Ending, Layer};
use crate::trust::statement::{SIGNATURE, Subject, simple, statement};
use crate::trust::verify::{ENVELOPE, SIMPLE, Want, check_bundle, check_layer};
use paper::By;
use witness::Message;

/// What stands beside an image now.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The image.
    pub digest: Digest,
    /// What was said of it.
    pub predicate_type: String,
    /// Who said so.
    pub by: Value,
    /// The manifest of the bundle, and whether it is new.
    pub bundle: Option<(Digest, bool)>,
    /// The legacy layer, and whether it is new.
    pub legacy: Option<(Digest, bool)>,
}

/// What is said of an image.
struct Saying<'a> {
    subject: Subject,
    want: Want,
    predicate: &'a Value,
}

impl Signed {
    /// The entry of a receipt.
    pub fn to_json(&self) -> Value {
        let place = |place: Option<(Digest, bool)>| place.map(|(digest, new)| json!({ "digest": digest, "new": new }));
        json!({
            "bundle": place(self.bundle),
            "by": self.by,
            "digest": self.digest,
            "legacy": place(self.legacy),
            "predicateType": self.predicate_type,
        })
    }
}

impl Signer {
    /// A bundle around a statement.
    pub async fn bundle(&self, ctx: &Ctx, statement: &[u8]) -> Result<Vec<u8>> {
        self.sign(ctx, Message::Statement(statement), false).await?.bundle(statement)
    }

    /// The annotations of a legacy layer with this payload.
    pub async fn simple(&self, ctx: &Ctx, payload: &[u8]) -> Result<BTreeMap<String, String>> {
        Ok(self.sign(ctx, Message::Payload(payload), true).await?.annotations(None))
    }
}

/// Signs an image.
pub async fn sign_image(
    ctx: &Ctx,
    signer: &Signer,
    repository: &Repository,
    image: &Descriptor,
    form: Form,
    annotations: &BTreeMap<String, String>,
) -> Result<Signed> {
    let subject = Subject { name: repository.clone(), digest: image.digest, annotations: annotations.clone() };
    let nothing = json!({});
    let saying = Saying { subject, want: Want::Signature, predicate: &nothing };
    put(ctx, signer, repository, image, form, &saying)
        .await
        .map_err(|error| remains(error, repository, image, "signed"))
}

/// Signs an attestation of an image.
pub async fn attest_image(
    ctx: &Ctx,
    signer: &Signer,
    repository: &Repository,
    image: &Descriptor,
    form: Form,
    predicate_type: &str,
    predicate: &Value,
) -> Result<Signed> {
    if predicate_type == SIGNATURE {
        return Err(Error::usage(format!("`{SIGNATURE}` is the type of signatures")).hint("use `stillframe sign`"));
    }
    if !predicate.is_object() {
        return Err(Error::usage("the predicate is not a JSON object"));
    }
    let subject = Subject { name: repository.clone(), digest: image.digest, annotations: BTreeMap::new() };
    let saying = Saying { subject, want: Want::Attestation(predicate_type.to_string()), predicate };
    put(ctx, signer, repository, image, form, &saying)
        .await
        .map_err(|error| remains(error, repository, image, "attested"))
}

/// The same error, with what is left to do.
fn remains(error: Error, repository: &Repository, image: &Descriptor, done: &str) -> Error {
    let digest = image.digest;
    let interrupted = matches!(error.kind(), Kind::Interrupted | Kind::Terminated);
    let error = error.context(format!("`{repository}@{digest}` is there, but not {done}"));
    if interrupted { error } else { error.hint("run the same command again; what is there already stays as it is") }
}

async fn put(
    ctx: &Ctx,
    signer: &Signer,
    repository: &Repository,
    image: &Descriptor,
    form: Form,
    saying: &Saying<'_>,
) -> Result<Signed> {
    let form = signer.form(Some(form))?;
    let held = held::held(ctx, signer, repository, image, saying).await?;
    let bundled = form != Form::Legacy && held.bundle.is_none();
    let layered = form != Form::Bundle && held.legacy.is_none();
    let Made { by, bundle, layer } = make(ctx, signer, image, saying, bundled, layered).await?;
    let mut signed = Signed {
        digest: image.digest,
        predicate_type: saying.want.predicate_type().to_string(),
        by: signer::told(&by),
        bundle: held.bundle.map(|digest| (digest, false)),
        legacy: held.legacy.map(|digest| (digest, false)),
    };
    if let Some(bytes) = bundle {
        let digest = attach::bundle(ctx, repository, image, saying.want.predicate_type(), bytes).await?;
        signed.bundle = Some((digest, true));
    }
    if let Some(layer) = layer {
        signed.legacy = Some((attach::legacy(ctx, repository, &image.digest, saying.ending(), layer).await?, true));
    }
    Ok(signed)
}

/// What was signed and goes out next.
struct Made {
    by: By,
    bundle: Option<Vec<u8>>,
    layer: Option<Layer>,
}

/// Signs all that is wanted, and looks at it as whoever verifies it will.
async fn make(
    ctx: &Ctx,
    signer: &Signer,
    image: &Descriptor,
    saying: &Saying<'_>,
    bundled: bool,
    layered: bool,
) -> Result<Made> {
    let mut by = signer.public().cloned().map(By::Key);
    let (mut bundle, mut layer) = (None, None);
    let attested = saying.want != Want::Signature && layered;
    if bundled || attested {
        let said = statement(&saying.subject, saying.want.predicate_type(), saying.predicate);
        // One signature of a statement serves both forms, where the log gives a promise.
        let paper = signer.sign(ctx, Message::Statement(&said), attested).await?;
        if bundled {
            bundle = Some(paper.bundle(&said)?);
        }
        if attested {
            let annotations = paper.annotations(Some(saying.want.predicate_type()));
            layer = Some(Layer { media_type: ENVELOPE, bytes: paper.envelope(&said), annotations });
        }
        by = Some(paper.by);
    }
    if layered && !attested {
        let payload = simple(&saying.subject);
        let paper = signer.sign(ctx, Message::Payload(&payload), true).await?;
        layer = Some(Layer { media_type: SIMPLE, bytes: payload, annotations: paper.annotations(None) });
        by = Some(paper.by);
    }
    let by = by.ok_or_else(|| Error::bug("nobody signed"))?;
    let (policy, roots, digest) = (signer.policy(&by)?, signer.roots(), &image.digest);
    let unsound = |error: Error| {
        error.context(format!(
            "the signature of {digest} that was just made does not hold, so it was not put into the registry"
        ))
    };
    if let Some(bytes) = &bundle {
        check_bundle(bytes, digest, &saying.want, &policy, roots).map_err(unsound)?;
    }
    if let Some(Layer { media_type, bytes, annotations }) = &layer {
        check_layer(media_type, bytes, annotations, digest, &saying.want, &policy, roots).map_err(unsound)?;
    }
    Ok(Made { by, bundle, layer })
}

impl Saying<'_> {
    fn ending(&self) -> Ending {
        match self.want {
            Want::Signature => Ending::Signature,
            Want::Attestation(_) => Ending::Attestation,
        }
    }
}
