//! Stage 10: `stillframe release`, a transaction: content by digest to every repository, then attestations and signatures, then a look
//! at them as a third party, and only then the tags. What fails before that leaves every tag where it was.

use std::path::Path;

use serde_json::Value;

use super::args::{Release, With};
use super::build::{document, lines};
use super::ci;
use super::finish::{Done, Work, finish};
use super::papers::{Asked, named, origin};
use super::prepare::{Made, Prepared, judged, prepare};
use super::receipt::Remaining;
use super::session::Session;
use super::signer::{signatory, signing};
use super::{prompt, targets};
use crate::error::{Error, Finding, Kind, Report, Result};
use crate::manifest::{self, Change};
use crate::oci::json::canonical;
use crate::ship::{self, Cargo, Destination, Freight, Pushed};
use crate::trust::release::{Signing, manifests};
use crate::trust::sign::Signed;
use crate::trust::{self, Paper};

/// Builds, pushes, attests, signs, verifies and then tags.
pub async fn run(session: &Session<'_>, options: &Release) -> Result<u8> {
    let prepared = prepare(session, None).await?;
    targets::check(&prepared.plan, &[Destination::Registry], options.with.receipt.as_deref())?;
    ready(&prepared, options)?;
    // What cannot be carried to another job is told before anything is made.
    let carried = prepared.plan.tags.to_json();
    if options.prepare {
        carried?;
    }
    let unsigned = options.no_sign || options.prepare;
    let signer = if unsigned { None } else { Some(signer(session, &options.with).await?) };
    let asked = Asked::of(&prepared);
    let attest = prepared.manifest.attest.clone();
    let mut made = judged(session, prepared).await?;
    made.target.leave = options.leaves.leave();
    ship::foresee(&session.ctx, &made.target, &made.artifact.digest()).await?;
    let origin = origin(session, &made, &asked, named(options.builder_id.as_deref())).await?;
    let papers = if options.no_sign { Vec::new() } else { papers(session, &made, &attest, &origin).await? };
    made.target.tags.notes.iter().for_each(|note| session.ctx.note(note.clone()));
    confirm(session, options, &made).await?;
    let cargo = Cargo { artifact: &made.artifact, blobs: &made.blobs, target: &made.target, ahead: None };
    let freight = Freight::of(&cargo);
    let pushed = ship::everywhere(&session.ctx, &freight, &made.target.names)
        .await
        .map_err(|error| error.hint("no tag was moved; run the same command again"))?;
    let mut done = Done { pushed, signed: Vec::new() };
    let images = manifests(&made.artifact);
    let (target, signing) = (&made.target, signer.as_ref());
    let work = Work { target, freight: &freight, images: &images, papers: &papers, signer: signing };
    let outcome = if options.prepare { Ok(()) } else { finish(&session.ctx, &work, &mut done).await };
    let mut told = told(&made, &done, signing, &origin);
    if !options.no_sign && (options.prepare || outcome.is_err()) {
        let (tags, leave) = (made.target.tags.clone(), made.target.leave);
        let annotations = options.with.annotation.iter().cloned().collect();
        told["remaining"] = Remaining { papers, tags, leave, annotations }.to_json().unwrap_or_default();
    }
    if let Some(path) = &options.with.receipt {
        let written = ship::receipt(path, &canonical(&told));
        outcome.map_err(|error| resume(error, path, &told["remaining"]))?;
        written?;
    } else {
        outcome?;
    }
    match session.terminal.json() {
        true => session.terminal.document(told, &made.report)?,
        false => session.terminal.result(&lines(&made))?,
    }
    ci::told(session, &[&made]);
    Ok(0)
}

/// All that `[attest]` asks to be said.
async fn papers(session: &Session<'_>, made: &Made, attest: &manifest::Attest, origin: &Value) -> Result<Vec<Paper>> {
    let (bills, name) = (&attest.sbom, made.target.names.first());
    if !bills.is_empty() {
        made.blobs.make_own(&session.ctx).await?;
    }
    let mut papers = trust::bills(&session.ctx, &made.artifact, &made.bases, &made.imports, bills, name).await?;
    papers.extend(attest.provenance.then(|| trust::origins(&made.artifact, origin)).into_iter().flatten());
    Ok(papers)
}

/// On a terminal a person sees what would happen to the tags, and says whether it shall.
async fn confirm(session: &Session<'_>, options: &Release, made: &Made) -> Result<()> {
    if options.with.yes || options.prepare || !prompt::possible() {
        return Ok(());
    }
    let digest = made.artifact.digest();
    let mut text = String::new();
    for name in &made.target.names {
        text += &format!("{name}@{digest}\n");
        for decision in ship::judge(&session.ctx, &made.target, name, &digest).await? {
            let why = if decision.why.is_empty() { String::new() } else { format!(": {}", decision.why) };
            text += &format!("  tag {} {}{why}\n", decision.name, decision.what.word());
        }
    }
    let answer = prompt::ask(session, &format!("{text}release this? [y/N] "), false).await?;
    match ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        true => Ok(()),
        false => Err(Error::usage("it was not confirmed; nothing was sent").hint("`--yes` asks nothing")),
    }
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

/// Who signs, and what with it; a release is signed unless it is said that it is not.
async fn signer<'a>(session: &'a Session<'_>, with: &'a With) -> Result<Signing<'a>> {
    if !with.says() && signing(session)?.is_none() {
        return Err(Error::usage("nothing says with what the release is signed")
            .hint("add to the manifest: `[sign]`, and below it `method = \"key\"` and `key = \"cosign.key\"`; `stillframe keygen` makes one")
            .hint("or `method = \"keyless\"`, in a CI job that has an identity; or say `--no-sign`, to release what nobody vouches for"));
    }
    let annotations = with.annotation.iter().cloned().collect();
    Ok(Signing { signatory: signatory(session, with).await?, annotations })
}

/// The way on from a receipt.
fn resume(error: Error, receipt: &Path, remaining: &Value) -> Error {
    let receipt = receipt.display();
    match remaining {
        Value::Null => error,
        _ => error.hint(format!(
            "`{receipt}` says what is left; `stillframe sign --from {receipt}` does it in another job, without the sources"
        )),
    }
}

fn told(made: &Made, done: &Done, signer: Option<&Signing<'_>>, origin: &Value) -> Value {
    let mut told = document(made, &done.pushed);
    let of_name = |(pushed, signed): (&Pushed, &Vec<Signed>)| {
        signed.iter().map(|one| one.to_json(&pushed.name)).collect::<Vec<Value>>()
    };
    told["signed"] = done.pushed.iter().zip(&done.signed).flat_map(of_name).collect();
    told["signers"] = signer.iter().filter_map(|signer| signer.signatory.to_json()).collect();
    told["inputs"] = origin["buildDefinition"]["resolvedDependencies"].clone();
    told
}
