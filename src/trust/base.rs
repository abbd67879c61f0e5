//! Stage 8: who vouches for a base. What `[base.verify]` asks and a base in, nothing out, or why the base is refused. Asks the base's
//! registry; what was proven once is remembered in the store, for builds without the network.
//!
//! A signature of the digest that the manifest names is enough, and so is one of the platform's own manifest (signing.md §5.4).

use serde_json::json;

use super::root::{self, RootOptions, Roots};
use super::verify::{Accepted, Policy, PublicKey, Want, verify as verify_image};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::manifest::{Vouched, Voucher};
use crate::oci::json::canonical;
use crate::oci::{Digest, Repository};
use crate::plan;
use crate::source;

/// The kind of the remembered facts.
const MEMO: &str = "vouched";

/// Refuses a base that is not signed as it is asked for.
pub async fn verify(ctx: &Ctx, asked: &Vouched, options: &RootOptions, base: &source::Base) -> Result<()> {
    let plan::Base::Registry(pinned) = &base.reference else { return Ok(()) };
    let policy = policy(asked)?;
    let mut digests = vec![pinned.digest];
    digests.extend(base.descriptor.as_ref().map(|own| own.digest).filter(|own| *own != pinned.digest));
    let root = asked.trusted_root.as_deref().map(root::read).transpose()?.map(|text| Digest::of(text.as_bytes()));
    let key = |digest: &Digest| {
        // Who trusts another sigstore asks anew.
        let (policy, mirror) = (policy.to_json(), &options.mirror);
        Digest::of(&canonical(&json!({ "digest": digest, "policy": policy, "root": root, "mirror": mirror })))
    };
    if digests.iter().any(|digest| ctx.store.recall(MEMO, &key(digest)).is_some()) {
        return Ok(());
    }
    let roots = if policy.needs_roots() { Some(root::load(ctx, options).await?) } else { None };
    let doing = |error: Error| error.context(format!("looking for who vouches for the base `{}`", base.reference));
    let (digest, accepted) = first(ctx, &pinned.repository, &digests, &policy, roots.as_ref()).await.map_err(doing)?;
    let text = format!("the base `{}` is {}, as {digest}", base.reference, accepted.told());
    ctx.say(Event::Detail { text });
    ctx.store.remember(MEMO, &key(&digest), &canonical(&accepted.to_json()));
    Ok(())
}

fn policy(asked: &Vouched) -> Result<Policy> {
    Ok(match &asked.who {
        Voucher::Key(path) => Policy { require_log: asked.require_log, ..Policy::key(PublicKey::read(path)?) },
        Voucher::Identity { identity, issuer } => Policy::identity(identity.clone(), issuer.clone()),
    })
}

/// The first of the digests that is signed as it is asked for; else what could not be asked, else why the first is refused.
async fn first(
    ctx: &Ctx,
    repository: &Repository,
    digests: &[Digest],
    policy: &Policy,
    roots: Option<&Roots>,
) -> Result<(Digest, Accepted)> {
    let mut refused: Option<Error> = None;
    for digest in digests {
        match verify_image(ctx, repository, digest, &Want::Signature, policy, roots).await {
            Ok(accepted) => match accepted.into_iter().next() {
                Some(accepted) => return Ok((*digest, accepted)),
                None => return Err(Error::bug("nothing was accepted without a reason")),
            },
            Err(error) if error.kind() == Kind::Policy => drop(refused.get_or_insert(error)),
            Err(error) if error.kind() == Kind::Remote => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::bug("a base has no digest")))
}
