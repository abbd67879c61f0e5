//! Stage 10: the end of a release in a job of its own, as in `stillframe sign --from RECEIPT`: the sources are not needed, only the key. A
//! receipt in; attestations, signatures, a look at them, and then the tags out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::args::Sign;
use super::finish::{Done, Work, finish};
use super::receipt::{Receipt, Remaining};
use super::session::Session;
use super::sign::{ended, told};
use super::signer::signatory;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Reference, Repository};
use crate::registry::Which;
use crate::ship::{Blob, Blobs, Freight, Pushed, Target};
use crate::source::{self, Place};
use crate::trust::Paper;
use crate::trust::release::Signing;

/// Does what a receipt says is left.
pub async fn run(session: &Session<'_>, options: &Sign, receipt: Receipt, remaining: Remaining) -> Result<u8> {
    let ctx = &session.ctx;
    if options.no_recursive {
        return Err(Error::usage(
            "a release is signed with every image of its index; `--no-recursive` has no place here",
        ));
    }
    let signatory = signatory(session, &options.with).await?;
    let mut annotations = remaining.annotations;
    annotations.extend(options.with.annotation.iter().cloned());
    let signer = Signing { signatory, annotations };
    let (images, root) = images(ctx, &receipt.references).await?;
    about(&images, &remaining.papers)?;
    let names: Vec<Repository> = receipt.references.iter().map(|reference| reference.repository.clone()).collect();
    let objects = |name: &Repository| Pushed { name: name.clone(), objects: Vec::new(), tags: Vec::new() };
    let mut done = Done { pushed: names.iter().map(objects).collect(), signed: Vec::new() };
    let target = Target { names, tags: remaining.tags, leave: remaining.leave, ..Target::default() };
    let freight = Freight { list: vec![root], blobs: &Blobs::default(), mounts: Vec::new(), ahead: None };
    let (papers, signing) = (&remaining.papers, Some(&signer));
    let work = Work { target: &target, freight: &freight, images: &images, papers, signer: signing };
    finish(ctx, &work, &mut done).await?;
    let lines: String = receipt.references.iter().map(|reference| format!("{}\n", by_digest(reference))).collect();
    let of_name = |(name, signed)| told(session, name, signed);
    let signed: Vec<Value> = target.names.iter().zip(done.signed).flat_map(of_name).collect();
    let more = json!({
        "pushed": done.pushed.iter().map(Pushed::to_json).collect::<Vec<_>>(),
        "signers": signer.signatory.to_json().into_iter().collect::<Vec<_>>(),
    });
    ended(session, &options.with, &signed, &lines, more)
}

/// A reference without its tag.
fn by_digest(reference: &Reference) -> String {
    Reference { tag: None, ..reference.clone() }.to_string()
}

/// All images of what the references lead to, children before their index, and the root. Each repository has to hold all of them: what the
/// store holds says nothing of that.
async fn images(ctx: &Ctx, references: &[Reference]) -> Result<(Vec<Descriptor>, Blob)> {
    let digests: BTreeSet<Option<Digest>> = references.iter().map(|reference| reference.digest).collect();
    if digests.len() > 1 {
        return Err(Error::usage("the receipt names images with several digests, but a release has one"));
    }
    let mut documents = Vec::new();
    for reference in references {
        let name = &reference.repository;
        documents = source::open(ctx, &Place::Registry(reference.clone())).await?.documents;
        for paper in &documents {
            let digest = &paper.descriptor.digest;
            if ctx.registries.head(name, Which::Digest(digest)).await?.is_none() {
                return Err(Error::remote(format!("`{name}` lacks {digest}, which the receipt names"))
                    .hint("push it once more: run the job that builds again"));
            }
        }
    }
    let root = documents.last().ok_or_else(|| Error::bug("an image without documents"))?;
    let root = Blob { descriptor: root.descriptor.clone(), bytes: Some(root.bytes.clone()) };
    let bare = |descriptor: &Descriptor| Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size);
    Ok((documents.iter().map(|paper| bare(&paper.descriptor)).collect(), root))
}

/// Refuses to attest something of what is not in this release.
fn about(images: &[Descriptor], papers: &[Paper]) -> Result<()> {
    let other = |paper: &&Paper| !images.contains(&paper.subject);
    match papers.iter().find(other) {
        None => Ok(()),
        Some(paper) => Err(Error::usage(format!(
            "the receipt asks to attest something of {}, which is not in the release that it names",
            paper.subject.digest
        ))),
    }
}
