//! Stage 8: what is there already. What somebody is about to say of an image in; where the same signer said just that before out. Asks
//! the registry; one that cannot tell is an error.

use serde_json::Value;

use super::{Kept, Object, Signatory};
use crate::ctx::Ctx;
use crate::error::{Kind, Result};
use crate::trust::verify::{SIGNATURE, Want, every, verify};

/// What is there already.
#[derive(Default)]
pub(super) struct Held {
    /// A bundle.
    pub bundle: Option<Kept>,
    /// A legacy layer.
    pub legacy: Option<Kept>,
}

/// The bundle and the legacy layer by which this signer has already said the same.
pub(super) async fn held(
    ctx: &Ctx,
    signatory: &Signatory<'_>,
    object: Object<'_>,
    kind: &str,
    predicate: &Value,
) -> Result<Held> {
    let (policy, want, roots) = (signatory.policy(ctx).await?, Want::of(kind), signatory.roots());
    let (name, digest) = (object.repository, &object.image.digest);
    let found = match signatory.format().legacy() {
        true => every(ctx, name, digest, &want, &policy, roots).await,
        false => verify(ctx, name, digest, &want, &policy, roots).await,
    };
    let found = match found {
        Ok(found) => found,
        Err(error) if error.kind() == Kind::Policy => return Ok(Held::default()),
        Err(error) => return Err(error),
    };
    let same = |legacy: bool| {
        let same = found.iter().find(|one| {
            let said = kind == SIGNATURE || one.claim.predicate == *predicate;
            one.legacy == legacy && said && one.claim.annotations == *object.annotations
        });
        same.map(|one| Kept { blob: one.blob.clone(), manifest: one.manifest.clone() })
    };
    Ok(Held { bundle: same(false), legacy: same(true) })
}
