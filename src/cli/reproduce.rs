//! Stage 10: `stillframe reproduce`.

use serde_json::{Value, json};

use super::args::Reproduce;
use super::prepare::{Again, make, prepare_again};
use super::revision;
use super::session::Session;
use super::sign::told;
use super::signer::signatory;
use super::targets::file;
use crate::error::{Error, Report, Result};
use crate::image::Artifact;
use crate::manifest::values::parse_time;
use crate::oci::json::canonical;
use crate::oci::{self, Descriptor, Digest, Document, Platform, Repository};
use crate::ship;
use crate::source::{self, Image, Place};
use crate::trust::Paper;
use crate::trust::compare::{compare, config};
use crate::trust::provenance::{SUMMARY, summary};
use crate::trust::release::{Signing, manifests, vouch, witness};

/// Builds from the work tree or a commit with the image's own time, and compares; tells and attests what that showed.
pub async fn run(session: &Session<'_>, options: &Reproduce) -> Result<u8> {
    let place = &options.reference;
    ready(options)?;
    let signatory = if options.sign { Some(signatory(session, &options.with).await?) } else { None };
    let theirs = source::open(&session.ctx, place).await?;
    let facts = facts(session, &theirs).await.map_err(|error| error.context(format!("reading `{place}`")))?;
    let tree = match &options.revision {
        Some(asked) => Some(revision::tree(session, &theirs, asked).await?),
        None => None,
    };
    let again = Again { file: tree.as_ref().map(|tree| tree.file.clone()), ..facts };
    let prepared = prepare_again(session, &again).await?;
    session.terminal.report(&prepared.report);
    let made = make(session, prepared).await?;
    made.blobs.make_own(&session.ctx).await?;
    if let Some(found) = compare(&session.ctx, &theirs, &made.artifact).await? {
        let error = Error::policy(format!("`{place}` was not reproduced: {found}"));
        return Err(error.hint("the work tree, its built programs and `--set` must be as they were when it was made"));
    }
    let (name, used) = (theirs.repository(), tree.as_ref().map(|tree| tree.used.clone()).unwrap_or_default());
    let mut document = json!({ "digest": theirs.digest(), "reproduced": true });
    if let Some(tree) = &tree {
        document["revision"] = json!(tree.revision.commit);
    }
    if let Some(path) = &options.vsa {
        ship::receipt(path, &canonical(&summary(name, &theirs.digest(), &used)))?;
    }
    if let (Some(signatory), Some(name)) = (signatory, name) {
        let annotations = options.with.annotation.iter().cloned().collect();
        let signer = Signing { signatory, annotations };
        document["signed"] = json!(attested(session, &signer, name, &made.artifact, &used).await?);
        document["signers"] = signer.signatory.to_json().into_iter().collect();
    }
    if let Some(path) = &options.with.receipt {
        ship::receipt(path, &canonical(&document))?;
    }
    if session.terminal.json() {
        session.terminal.document(document, &Report::default())?;
    } else {
        let name = name.map(|name| format!("{name}@")).unwrap_or_default();
        session.terminal.result(&format!("{name}{}\n", theirs.digest()))?;
    }
    Ok(0)
}

/// Everything that can be told before anything is made.
fn ready(options: &Reproduce) -> Result<()> {
    if options.sign && !matches!(options.reference, Place::Registry(_)) {
        let what = format!("`{}` is in no registry, and attestations are kept there", options.reference);
        return Err(Error::usage(what).hint("`--vsa FILE` writes the summary without signing it"));
    }
    if !options.sign && (options.with.says() || options.with.format.is_some()) {
        return Err(Error::usage("a key is of use only where something is signed").hint("add `--sign`"));
    }
    let mut report = Report::default();
    for path in options.vsa.iter().chain(&options.with.receipt) {
        file(path, &[], &mut report);
    }
    report.pass().map(|_| ())
}

/// Attests of each image, and of the index around several, that it was reproduced; and looks whether that is there.
async fn attested(
    session: &Session<'_>,
    signer: &Signing<'_>,
    name: &Repository,
    artifact: &Artifact,
    used: &[Digest],
) -> Result<Vec<Value>> {
    let ctx = &session.ctx;
    let paper = |subject: Descriptor| Paper {
        predicate: summary(Some(name), &subject.digest, used),
        predicate_type: SUMMARY.to_string(),
        subject,
    };
    let papers: Vec<Paper> = manifests(artifact).into_iter().map(paper).collect();
    let doing = |error: Error| error.context("the image was reproduced, but that could not be attested");
    let signed = vouch(ctx, signer, name, &[], &papers).await.map_err(doing)?;
    witness(ctx, signer, name, &signed).await.map_err(doing)?;
    Ok(told(session, name, signed))
}

/// What an image says of itself that the work tree does not.
async fn facts(session: &Session<'_>, image: &Image) -> Result<Again> {
    let all = image.runnable();
    let Some((_, paper)) = all.first() else {
        return Err(Error::usage("there is no image in it that could run, only artifacts"));
    };
    let Document::Manifest(manifest) = &paper.document else {
        return Err(Error::bug("an index was taken for an image"));
    };
    let bytes = config(&session.ctx, image, manifest).await?;
    let config: oci::Image = oci::json::read(&bytes, "the config of the image")?;
    let alone = paper.descriptor.digest == image.digest();
    let only: Option<Platform> = config.platform().to_string().parse().ok().filter(|_| alone);
    Ok(Again { created: config.created.as_deref().and_then(parse_time), only, file: None })
}
