//! Stage 10: `stillframe release`, a transaction: content by digest to every repository, then attestations and signatures, then a look
//! at them as a third party, and only then the tags. What fails before that leaves every tag where it was.

use std::path::Path;

use serde_json::Value;

use super::args::{Global, Release, With};
use super::build::{document, lines};
use super::finish::{Done, Work, finish};
use super::papers::{Asked, named, origin};
use super::prepare::{Made, Prepared, judged, prepare};
use super::receipt::Remaining;
use super::session::Session;
use super::signer::{signatory, signing};
use super::{ci, prompt, several, targets};
use crate::error::{Error, Finding, Kind, Report, Result, printable};
use crate::manifest::{self, Change};
use crate::oci::Descriptor;
use crate::oci::json::canonical;
use crate::ship::{self, Cargo, Destination, Freight, Pushed};
use crate::trust::release::{Signing, manifests};
use crate::trust::sign::Signed;
use crate::trust::{self, Paper};

/// One image of a release: the session that names its manifest.
struct Member<'a> {
    session: &'a Session<'a>,
    several: bool,
}

/// What is to be released of it.
struct Job<'a> {
    made: Made,
    signer: Option<Signing<'a>>,
    origin: Value,
    papers: Vec<Paper>,
    file: &'a Path,
}

/// Builds, pushes, attests, signs, verifies and then tags; one image, or several of a workspace together.
pub async fn run(session: &Session<'_>, options: &Release) -> Result<u8> {
    if !options.several.wanted() {
        return released(session, options, &[Member { session, several: false }]).await;
    }
    let files = several::select(session, &options.several).await?;
    let globals: Vec<Global> = files.iter().map(|file| several::at(session, file)).collect();
    let sessions: Vec<Session<'_>> = globals.iter().map(|options| session.at(options, session.terminal)).collect();
    several::warm(session, &files, &sessions, None).await?;
    let members: Vec<Member<'_>> = sessions.iter().map(|session| Member { session, several: true }).collect();
    released(session, options, &members).await
}

/// Nothing is sent before all are made, no tag of any moves before all are signed and seen to be.
async fn released(session: &Session<'_>, options: &Release, members: &[Member<'_>]) -> Result<u8> {
    let jobs = jobs(options, members).await?;
    confirm(session, options, &jobs).await?;
    let freights: Vec<Freight<'_>> = jobs.iter().map(|job| freight(&job.made)).collect();
    let images: Vec<Vec<Descriptor>> = jobs.iter().map(|job| manifests(&job.made.artifact)).collect();
    let mut works = Vec::new();
    for ((job, freight), images) in jobs.iter().zip(&freights).zip(&images) {
        let Job { made, signer, papers, .. } = job;
        let pushed = ship::everywhere(&session.ctx, freight, &made.target.names).await;
        let pushed = pushed.map_err(|error| error.hint("no tag was moved; run the same command again"))?;
        let done = Done { pushed, signed: Vec::new() };
        works.push(Work { target: &made.target, freight, images, papers, signer: signer.as_ref(), done });
    }
    let outcome = if options.prepare { Ok(()) } else { finish(&session.ctx, &mut works).await };
    let remains = !options.no_sign && (options.prepare || outcome.is_err());
    let done: Vec<Done> = works.into_iter().map(|work| work.done).collect();
    let each = |(job, done)| (job, told(job, done, remains.then_some(options)));
    let mut documents = jobs.iter().zip(&done).map(each);
    let told = match options.several.wanted() {
        true => several::joined(documents.map(|(job, told)| (job.file, told))),
        false => documents.next().map(|(_, told)| told).unwrap_or_default(),
    };
    if let Some(path) = &options.with.receipt {
        let written = ship::receipt(path, &canonical(&told));
        outcome.map_err(|error| if remains { resume(error, path) } else { error })?;
        written?;
    } else {
        outcome?;
    }
    let report = if let [job] = &jobs[..] { job.made.report.clone() } else { Report::default() };
    match session.terminal.json() {
        true => session.terminal.document(told, &report)?,
        false => session.terminal.result(&jobs.iter().map(|job| lines(&job.made)).collect::<String>())?,
    }
    ci::told(session, &jobs.iter().map(|job| &job.made).collect::<Vec<_>>());
    Ok(0)
}

fn freight(made: &Made) -> Freight<'_> {
    Freight::of(&Cargo { artifact: &made.artifact, blobs: &made.blobs, target: &made.target, ahead: None })
}

/// Makes and judges every image, and writes what is to be attested of it. What is wrong with any of them ends it here.
async fn jobs<'a>(options: &'a Release, members: &'a [Member<'a>]) -> Result<Vec<Job<'a>>> {
    let mut prepared = Vec::new();
    for member in members {
        member.session.ctx.cancel.check()?;
        let one = prepare(member.session, None).await.map_err(|error| member.of(error))?;
        let receipt = options.with.receipt.as_deref();
        targets::check(&one.plan, &[Destination::Registry], receipt).map_err(|error| member.of(error))?;
        ready(&one, options).map_err(|error| member.of(error))?;
        prepared.push(one);
    }
    let mut jobs = Vec::new();
    for (member, one) in members.iter().zip(prepared) {
        jobs.push(job(member.session, options, one).await.map_err(|error| member.of(error))?);
    }
    Ok(jobs)
}

async fn job<'a>(session: &'a Session<'a>, options: &'a Release, prepared: Prepared) -> Result<Job<'a>> {
    session.ctx.cancel.check()?;
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
    Ok(Job { made, signer, origin, papers, file: &session.options.file })
}

impl Member<'_> {
    /// Says which one of several it is about.
    fn of(&self, error: Error) -> Error {
        let file = printable(&self.session.options.file.to_string_lossy());
        if self.several { error.context(format!("releasing `{file}`")) } else { error }
    }
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
async fn confirm(session: &Session<'_>, options: &Release, jobs: &[Job<'_>]) -> Result<()> {
    if options.with.yes || options.prepare || !prompt::possible() {
        return Ok(());
    }
    let mut text = String::new();
    for Job { made, .. } in jobs {
        let digest = made.artifact.digest();
        for name in &made.target.names {
            text += &format!("{name}@{digest}\n");
            for decision in ship::judge(&session.ctx, &made.target, name, &digest).await? {
                let why = if decision.why.is_empty() { String::new() } else { format!(": {}", decision.why) };
                text += &format!("  tag {} {}{why}\n", decision.name, decision.what.word());
            }
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
fn resume(error: Error, receipt: &Path) -> Error {
    let receipt = receipt.display();
    error.hint(format!(
        "`{receipt}` says what is left; `stillframe sign --from {receipt}` does it in another job, without the sources"
    ))
}

/// What was released of one image; with options what remains to be done.
fn told(job: &Job<'_>, done: &Done, remains: Option<&Release>) -> Value {
    let Job { made, signer, origin, papers, .. } = job;
    let mut told = document(made, &done.pushed);
    let of_name = |(pushed, signed): (&Pushed, &Vec<Signed>)| {
        signed.iter().map(|one| one.to_json(&pushed.name)).collect::<Vec<Value>>()
    };
    told["signed"] = done.pushed.iter().zip(&done.signed).flat_map(of_name).collect();
    told["signers"] = signer.iter().filter_map(|signer| signer.signatory.to_json()).collect();
    told["inputs"] = origin["buildDefinition"]["resolvedDependencies"].clone();
    if let Some(options) = remains {
        let (tags, leave) = (made.target.tags.clone(), made.target.leave);
        let annotations = options.with.annotation.iter().cloned().collect();
        let remaining = Remaining { papers: papers.clone(), tags, leave, annotations };
        told["remaining"] = remaining.to_json().unwrap_or_default();
    }
    told
}
