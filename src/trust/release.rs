//! Stage 8: all that a release says of what was made. An artifact and documents of it in, attestations and signatures in one repository
//! out; these looked for again as a third party does. May ask the registry.

use std::collections::{BTreeMap, BTreeSet};

use super::papers::Paper;
use super::sign::{Object, Signatory, Signed, attest, sign};
use super::verify::{Policy, Want, every};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::image::Artifact;
use crate::oci::{Descriptor, Repository};

/// How a release is signed.
pub struct Signing<'a> {
    /// By whom.
    pub signatory: Signatory<'a>,
    /// What is signed with it.
    pub annotations: BTreeMap<String, String>,
}

/// Attests all documents, then signs all images in their order, the index around them last. What is there already is not said again.
pub async fn vouch(
    ctx: &Ctx,
    signing: &Signing<'_>,
    repository: &Repository,
    images: &[Descriptor],
    papers: &[Paper],
) -> Result<Vec<Signed>> {
    let Signing { signatory, annotations } = signing;
    let object = |image| Object { repository, image, annotations };
    let mut signed = Vec::new();
    for paper in papers {
        ctx.cancel.check()?;
        let doing = format!("attesting `{}` of `{repository}@{}`", paper.predicate_type, paper.subject.digest);
        let done = attest(ctx, signatory, object(&paper.subject), &paper.predicate_type, &paper.predicate).await;
        signed.extend(done.map_err(|error| error.context(doing))?);
    }
    for image in images {
        ctx.cancel.check()?;
        let done = sign(ctx, signatory, object(image)).await;
        signed.extend(done.map_err(|error| error.context(format!("signing `{repository}@{}`", image.digest)))?);
    }
    Ok(signed)
}

/// Every image of an artifact, and the index around several.
pub fn manifests(artifact: &Artifact) -> Vec<Descriptor> {
    let root = Some(&artifact.root.descriptor).filter(|_| artifact.images.len() > 1);
    artifact.images.iter().map(|image| &image.manifest.descriptor).chain(root).cloned().collect()
}

/// Finds in the registry all that was signed, and checks it with nothing but the public key, or the identity and whom we trust.
pub async fn witness(ctx: &Ctx, signing: &Signing<'_>, repository: &Repository, signed: &[Signed]) -> Result<()> {
    let Signing { signatory, annotations } = signing;
    let policy = Policy { annotations: annotations.clone(), ..signatory.policy(ctx).await? };
    let claims: BTreeSet<_> = signed.iter().map(|one| (one.subject, one.predicate_type.as_str())).collect();
    for (subject, predicate_type) in claims {
        ctx.cancel.check()?;
        let want = Want::of(predicate_type);
        let found = every(ctx, repository, &subject, &want, &policy, signatory.roots()).await?;
        let same = |one: &&Signed| one.subject == subject && one.predicate_type == predicate_type;
        for one in signed.iter().filter(same) {
            let there = |other: &super::verify::Accepted| {
                other.blob.digest == one.kept.blob.digest && other.legacy == (one.format == "legacy")
            };
            if !found.iter().any(there) {
                let what = format!("{} as a {} in {}", want.name(), one.format, one.kept.blob.digest);
                return Err(Error::policy(format!(
                    "`{repository}@{subject}` does not have what was just written: {what}"
                ))
                .hint("somebody else may have written at the same time"));
            }
        }
    }
    Ok(())
}
