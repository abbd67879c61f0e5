//! Stage 10: the end of a release in a job of its own, as in `stillframe sign --from RECEIPT`: the sources are not needed, only the key. A
//! receipt in; attestations, signatures, a look at them, and then the tags out.

use std::collections::{BTreeMap, BTreeSet};

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

/// What is left of one image.
struct Rest {
    receipt: Receipt,
    images: Vec<Descriptor>,
    root: Blob,
    target: Target,
    papers: Vec<Paper>,
    signer: BTreeMap<String, String>,
}

/// Does what receipts say is left.
pub async fn run(session: &Session<'_>, options: &Sign, receipts: Vec<Receipt>) -> Result<u8> {
    let ctx = &session.ctx;
    if options.no_recursive {
        return Err(Error::usage(
            "a release is signed with every image of its index; `--no-recursive` has no place here",
        ));
    }
    let mut rests = Vec::new();
    for mut receipt in receipts {
        if let Some(remaining) = receipt.remaining.take() {
            rests.push(rest(ctx, options, receipt, remaining).await?);
        }
    }
    let mut signers = Vec::new();
    for rest in &rests {
        signers.push(Signing { signatory: signatory(session, &options.with).await?, annotations: rest.signer.clone() });
    }
    let blobs = Blobs::default();
    let freight =
        |rest: &Rest| Freight { list: vec![rest.root.clone()], blobs: &blobs, mounts: Vec::new(), ahead: None };
    let freights: Vec<Freight<'_>> = rests.iter().map(freight).collect();
    let objects = |name: &Repository| Pushed { name: name.clone(), objects: Vec::new(), tags: Vec::new() };
    let work = |((rest, freight), signer)| {
        let Rest { images, target, papers, .. }: &Rest = rest;
        let done = Done { pushed: target.names.iter().map(objects).collect(), signed: Vec::new() };
        Work { target, freight, images, papers, signer: Some(signer), done }
    };
    let mut works: Vec<Work<'_>> = rests.iter().zip(&freights).zip(&signers).map(work).collect();
    finish(ctx, &mut works).await?;
    let references = rests.iter().flat_map(|rest| &rest.receipt.references);
    let lines: String = references.map(|reference| format!("{}\n", by_digest(reference))).collect();
    let mut signed: Vec<Value> = Vec::new();
    for work in &mut works {
        for (name, one) in work.target.names.iter().zip(std::mem::take(&mut work.done.signed)) {
            signed.extend(told(session, name, one));
        }
    }
    let more = json!({
        "pushed": works.iter().flat_map(|work| &work.done.pushed).map(Pushed::to_json).collect::<Vec<_>>(),
        "signers": signers.first().and_then(|signer| signer.signatory.to_json()).into_iter().collect::<Vec<_>>(),
    });
    ended(session, &options.with, &signed, &lines, more)
}

/// Looks for the images of a receipt, which every repository has to hold.
async fn rest(ctx: &Ctx, options: &Sign, receipt: Receipt, remaining: Remaining) -> Result<Rest> {
    let mut signer = remaining.annotations;
    signer.extend(options.with.annotation.iter().cloned());
    let (images, root) = images(ctx, &receipt.references).await?;
    about(&images, &remaining.papers)?;
    let names: Vec<Repository> = receipt.references.iter().map(|reference| reference.repository.clone()).collect();
    let target = Target { names, tags: remaining.tags, leave: remaining.leave, ..Target::default() };
    Ok(Rest { receipt, images, root, target, papers: remaining.papers, signer })
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
