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
    /// How far it came.
    pub done: Done,
}

/// How far it came.
#[derive(Default)]
pub struct Done {
    /// What each repository holds, and its tags.
    pub pushed: Vec<Pushed>,
    /// What was put beside the image, for each repository.
    pub signed: Vec<Vec<Signed>>,
}

/// Does it, for one image or for several that are released together. Before everything of every one is signed in every repository and was seen
/// to be, no tag of any moves.
pub async fn finish(ctx: &Ctx, works: &mut [Work<'_>]) -> Result<()> {
    let stays = |error: Error, what: &str| error.context(what).hint("no tag was moved; run the same command again");
    for Work { target, images, papers, signer, done, .. } in &mut *works {
        let Some(signer) = signer else { continue };
        for name in &target.names {
            let signed = vouch(ctx, signer, name, images, papers).await;
            done.signed.push(signed.map_err(|error| stays(error, "the image is pushed, not signed"))?);
        }
    }
    for Work { target, signer, done, .. } in &*works {
        let Some(signer) = signer else { continue };
        for (name, signed) in target.names.iter().zip(&done.signed) {
            let seen = witness(ctx, signer, name, signed).await;
            seen.map_err(|error| stays(error, "the image is pushed and signed, but that could not be verified"))?;
        }
    }
    for Work { target, freight, done, .. } in works {
        ship::set_all(ctx, freight, target, &mut done.pushed, None).await?;
    }
    Ok(())
}
