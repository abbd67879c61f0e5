//! Stage 8: what is there already. What a key is about to say of an image in; where it said just that before out. Asks the registry.

use super::paper::{By, Paper};
use super::{Saying, Signer};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::event::Event;
use crate::oci::{Descriptor, Digest, Repository};
use crate::trust::attach;
use crate::trust::statement::{simple, statement};
use crate::trust::verify::{Claim, ENVELOPE, Policy, SIMPLE, Want, candidates, check_bundle, check_layer};

/// Most bundles that are looked at to see whether one is already there.
const MOST_LOOKED_AT: usize = 50;
/// How much the size of an envelope differs with its signature.
const SIGNATURE_SLACK: u64 = 16;
/// Bytes of a usual signature.
const SIGNATURE: usize = 71;

/// What is there already.
#[derive(Default)]
pub(super) struct Held {
    /// The manifest of a bundle.
    pub bundle: Option<Digest>,
    /// A legacy layer.
    pub legacy: Option<Digest>,
}

/// What this very key has said of this image before: a second signature would say nothing more. An identity signs anew, because
/// when it did is a part of what it says.
pub(super) async fn held(
    ctx: &Ctx,
    signer: &Signer,
    repository: &Repository,
    image: &Descriptor,
    saying: &Saying<'_>,
) -> Result<Held> {
    let Some(key) = signer.public() else { return Ok(Held::default()) };
    let by = By::Key(key.clone());
    let look = Look { ctx, signer, repository, image, saying, policy: signer.policy(&by)? };
    let held = Held { bundle: look.bundle().await?, legacy: look.legacy(by).await? };
    if held.bundle.is_some() || held.legacy.is_some() {
        ctx.say(Event::Detail { text: format!("{} carries what this key says of it already", image.digest) });
    }
    Ok(held)
}

struct Look<'a> {
    ctx: &'a Ctx,
    signer: &'a Signer,
    repository: &'a Repository,
    image: &'a Descriptor,
    saying: &'a Saying<'a>,
    policy: Policy,
}

impl Look<'_> {
    async fn bundle(&self) -> Result<Option<Digest>> {
        let Look { ctx, repository, image, saying, .. } = self;
        let kind = saying.want.predicate_type();
        let listed = ctx.registries.referrers(repository, &image.digest).await?;
        let ours =
            listed.iter().filter(|other| other.annotations.get(attach::PREDICATE).is_some_and(|other| other == kind));
        for referrer in ours.take(MOST_LOOKED_AT) {
            // One that cannot be read is not ours, or is not whole: then a new one is due.
            let Ok(Some(candidate)) = candidates::bundle(ctx, repository, referrer, &saying.want).await else {
                continue;
            };
            let Ok(bytes) = candidates::fetch(ctx, repository, &candidate).await else { continue };
            let checked = check_bundle(&bytes, &image.digest, &saying.want, &self.policy, self.signer.roots());
            if checked.is_ok_and(|(claim, _)| self.said(&claim)) {
                return Ok(Some(referrer.digest));
            }
        }
        Ok(None)
    }

    async fn legacy(&self, by: By) -> Result<Option<Digest>> {
        let Look { ctx, repository, image, saying, .. } = self;
        let signature = saying.want == Want::Signature;
        let mine = if signature {
            Descriptor::of(SIMPLE, &simple(&saying.subject))
        } else {
            let said = statement(&saying.subject, saying.want.predicate_type(), saying.predicate);
            let like = Paper { signature: vec![0; SIGNATURE].into(), by, entries: Vec::new(), stamps: Vec::new() };
            Descriptor::of(ENVELOPE, &like.envelope(&said))
        };
        for layer in attach::layers(ctx, repository, &image.digest, saying.ending()).await? {
            let like = layer.media_type == mine.media_type && layer.size.abs_diff(mine.size) <= SIGNATURE_SLACK;
            if !like || signature && layer.digest != mine.digest {
                continue;
            }
            let digest = layer.digest;
            let candidate = candidates::Candidate { blob: layer, legacy: true, unlikely: false };
            let Ok(bytes) = candidates::fetch(ctx, repository, &candidate).await else { continue };
            let (blob, roots) = (&candidate.blob, self.signer.roots());
            let checked = check_layer(
                &blob.media_type,
                &bytes,
                &blob.annotations,
                &image.digest,
                &saying.want,
                &self.policy,
                roots,
            );
            if checked.is_ok_and(|(claim, _)| self.said(&claim)) {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    /// Whether a claim is the one that is about to be made.
    fn said(&self, claim: &Claim) -> bool {
        let Saying { subject, want, predicate } = self.saying;
        let same = *want == Want::Signature || claim.predicate == **predicate;
        let name = subject.name.to_string();
        same && claim.annotations == subject.annotations && claim.name.as_ref().is_none_or(|other| *other == name)
    }
}
