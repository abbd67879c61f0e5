//! Stage 10: the second half of a release, in the job that built it or in another one. Content that is in every repository in;
//! attestations, signatures, a look at them as a third party, and then the tags out.

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::Descriptor;
use crate::ship::{self, Freight, Pushed, Target};
use crate::trust::Paper;
use crate::trust::release::{Signing, vouch, witness};
use crate::trust::sign::Signed;

/// What is to be done.
pub struct Work<'a> {
    /// The repositories and their tags.
    pub target: &'a Target,
    /// What the tags shall say.
    pub freight: &'a Freight<'a>,
    /// What is signed, the index last.
    pub images: &'a [Descriptor],
    /// What is attested.
    pub papers: &'a [Paper],
    /// By whom; a release may go unsigned.
    pub signer: Option<&'a Signing<'a>>,
}

/// How far it came.
pub struct Done {
    /// What each repository holds, and its tags.
    pub pushed: Vec<Pushed>,
    /// What was put beside the image, for each repository.
    pub signed: Vec<Vec<Signed>>,
}

/// Does it. Before everything of every repository is signed and was seen to be, no tag of any moves.
pub async fn finish(ctx: &Ctx, work: &Work<'_>, done: &mut Done) -> Result<()> {
    let stays = |error: Error, what: &str| error.context(what).hint("no tag was moved; run the same command again");
    if let Some(signer) = work.signer {
        for name in &work.target.names {
            let signed = vouch(ctx, signer, name, work.images, work.papers).await;
            done.signed.push(signed.map_err(|error| stays(error, "the image is pushed, not signed"))?);
        }
        for (name, signed) in work.target.names.iter().zip(&done.signed) {
            let seen = witness(ctx, signer, name, signed).await;
            seen.map_err(|error| stays(error, "the image is pushed and signed, but that could not be verified"))?;
        }
    }
    ship::set_all(ctx, work.freight, work.target, &mut done.pushed, None).await
}
