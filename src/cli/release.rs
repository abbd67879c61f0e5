//! Stage 10: `stillframe release`, a transaction: content by digest to every repository, then attestations and signatures, then a look
//! at them as a third party, and only then the tags. What fails before that leaves every tag where it was.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{Release, With};
use super::build::{document, lines};
use super::papers::{Asked, origin};
use super::prepare::{Made, Prepared, make, prepare};
use super::session::{Session, builder};
use super::sign::{self, signing};
use super::targets;
use crate::error::{Error, Finding, Kind, Report, Result};
use crate::manifest::Change;
use crate::oci::json::canonical;
use crate::ship::{self, Cargo, Destination, Freight, Pushed};
use crate::trust::keys::Key;
use crate::trust::release::{Signer, vouch, witness};
use crate::trust::sign::{Format, Signed};
use crate::trust::{self, Paper};

/// How far a release came.
struct Done {
    pushed: Vec<Pushed>,
    /// What was put beside the image, for each repository.
    signed: Vec<Vec<Signed>>,
}

/// Builds, pushes, attests, signs, verifies and then tags.
pub async fn run(session: &Session<'_>, options: &Release) -> Result<u8> {
    let prepared = prepare(session, None).await?;
    targets::check(&prepared.plan, &[Destination::Registry], options.with.receipt.as_deref())?;
    ready(&prepared, options)?;
    let key = if options.no_sign { None } else { Some(signer(session, &options.with).await?) };
    let signer = key.as_ref().map(|(key, format)| Signer {
        key,
        format: *format,
        annotations: options.with.annotation.iter().cloned().collect(),
    });
    session.terminal.report(&prepared.report);
    let asked = Asked::of(&prepared);
    let attest = prepared.manifest.attest.clone();
    let mut made = make(session, prepared).await?;
    made.target.leave = options.leaves.leave();
    ship::foresee(&session.ctx, &made.target, &made.artifact.digest()).await?;
    let origin = origin(session, &made, &asked, builder()).await?;
    let mut papers = Vec::new();
    if signer.is_some() {
        let (bills, name) = (&attest.sbom, made.target.names.first());
        papers = trust::bills(&session.ctx, &made.artifact, &made.bases, &made.imports, bills, name).await?;
        papers.extend(attest.provenance.then(|| trust::origins(&made.artifact, &origin)).into_iter().flatten());
    }
    made.target.tags.notes.iter().for_each(|note| session.ctx.note(note.clone()));
    let cargo = Cargo { artifact: &made.artifact, blobs: &made.blobs, target: &made.target };
    let freight = Freight::of(&cargo);
    let pushed = ship::everywhere(&session.ctx, &freight, &made.target.names)
        .await
        .map_err(|error| error.hint("no tag was moved; run the same command again"))?;
    let mut done = Done { pushed, signed: Vec::new() };
    let outcome = finish(session, &cargo, &freight, signer.as_ref(), &papers, &mut done).await;
    let told = told(&made, &done, signer.as_ref(), &origin);
    if let Some(path) = &options.with.receipt {
        let written = ship::receipt(path, &canonical(&told));
        outcome.map_err(|error| resume(error, path))?;
        written?;
    } else {
        outcome?;
    }
    match session.terminal.json() {
        true => session.terminal.document(told, &made.report)?,
        false => session.terminal.result(&lines(&made))?,
    }
    Ok(0)
}

/// All that comes after the content: it is in every repository.
async fn finish(
    session: &Session<'_>,
    cargo: &Cargo<'_>,
    freight: &Freight<'_>,
    signer: Option<&Signer<'_>>,
    papers: &[Paper],
    done: &mut Done,
) -> Result<()> {
    let ctx = &session.ctx;
    let stays = |error: Error, what: &str| error.context(what).hint("no tag was moved; run the same command again");
    if let Some(signer) = signer {
        for name in &cargo.target.names {
            let signed = vouch(ctx, signer, name, cargo.artifact, papers).await;
            done.signed.push(signed.map_err(|error| stays(error, "the image is pushed, not signed"))?);
        }
        for (name, signed) in cargo.target.names.iter().zip(&done.signed) {
            let seen = witness(ctx, signer, name, signed).await;
            seen.map_err(|error| stays(error, "the image is pushed and signed, but that could not be verified"))?;
        }
    }
    ship::set_all(ctx, freight, cargo.target, &mut done.pushed).await
}

/// Whether this work tree may be released: it is a commit, and a release where the rules for tags speak of releases.
fn ready(prepared: &Prepared, options: &Release) -> Result<()> {
    let mut report = Report::default();
    let git = prepared.manifest.values.git();
    if let Some(why) = git.and_then(|git| git.dirty.as_ref()).map(Change::why) {
        let finding = Finding::error("release", format!("the work tree is no commit: {why}")).kind(Kind::Policy);
        report.add(finding.help("commit first, or say `--allow-dirty`"));
    }
    if let Some(why) = &prepared.plan.tags.unreleased {
        let finding = Finding::error("release", format!("this commit is no release: {why}")).kind(Kind::Policy);
        report.add(
            finding.help("give it a tag, as in `git tag v1.2.3`; or say `--allow-dirty`, or use `stillframe push`"),
        );
    }
    if options.leaves.allow_dirty { Ok(()) } else { report.pass().map(|_| ()) }
}

/// The key and the format; a release is signed unless it is said that it is not.
async fn signer(session: &Session<'_>, with: &With) -> Result<(Key, Format)> {
    if with.key.is_none() && signing(session)?.is_none() {
        return Err(Error::usage("nothing says with what the release is signed")
            .hint("add to the manifest: `[sign]`, and below it `method = \"key\"` and `key = \"cosign.key\"`; `stillframe keygen` makes one")
            .hint("or say `--no-sign`, to release what nobody vouches for"));
    }
    sign::signer(session, with).await
}

/// The way on from a receipt.
fn resume(error: Error, receipt: &Path) -> Error {
    let receipt = receipt.display();
    error.hint(format!("`{receipt}` says what is there; `stillframe sign --from {receipt}` signs it in another job"))
}

fn told(made: &Made, done: &Done, signer: Option<&Signer<'_>>, origin: &Value) -> Value {
    let mut told = document(made, &done.pushed);
    let of_name = |(pushed, signed): (&Pushed, &Vec<Signed>)| {
        signed.iter().map(|one| one.to_json(&pushed.name)).collect::<Vec<Value>>()
    };
    told["signed"] = done.pushed.iter().zip(&done.signed).flat_map(of_name).collect();
    told["signers"] = signer.iter().map(|signer| json!({ "key": signer.key.public().id() })).collect();
    told["inputs"] = origin["buildDefinition"]["resolvedDependencies"].clone();
    told
}
