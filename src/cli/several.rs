//! Stage 10: several images at once. The root of a workspace and a choice in, what is done for each of its images out. Inputs are looked
//! at a few images at a time, layers are packed one after the other on all threads, and nothing is sent before everything is made.

use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::args::{Build, Global, Push, Several};
use super::build::{document, lines, send};
use super::inputs::inputs;
use super::prepare::{Made, aside, judged, prepare};
use super::session::{Session, outside};
use super::{check, ci, plan, targets};
use crate::error::{Error, Result, printable};
use crate::manifest::{self, locate::locate, workspace::workspace};
use crate::oci::Platform;
use crate::oci::json::canonical;
use crate::plan::Leave;
use crate::ship::{self, Destination, Pushed};
use crate::source;

/// How many images are looked at at once.
const AT_ONCE: usize = 4;
/// The exit code of a plan that changes nothing.
const NOTHING_TO_DO: u8 = 10;

/// The manifests that are meant, sorted.
pub async fn select(session: &Session<'_>, several: &Several) -> Result<Vec<PathBuf>> {
    let (file, sets, wish) = (session.options.file.clone(), session.options.set.clone(), several.clone());
    aside(&session.ctx, move || {
        let Some(workspace) = workspace(&file)? else {
            return Err(Error::usage(format!("`{}` is no root of a workspace", printable(&file.to_string_lossy())))
                .hint(
                    "add `[workspace]` with `members = [\"services/*\"]` to a manifest there, or leave out `--all`",
                ));
        };
        let mut members = workspace.members;
        if let Some(since) = &wish.changed_since {
            let around = locate(&file)?.around;
            let changed = source::changed_since(&around, since)?;
            members.retain(|member| touched(member, &sets, &changed).unwrap_or(true));
        }
        let part = |at: usize| wish.shard.is_none_or(|shard| at % shard.of == shard.part - 1);
        Ok(members.into_iter().enumerate().filter(|(at, _)| part(*at)).map(|(_, member)| member).collect())
    })
    .await
}

/// Whether one of these files belongs to an image: lies in its directory or is one of its inputs. Errors are for the build to tell.
fn touched(member: &Path, sets: &[(String, String)], changed: &std::collections::BTreeSet<PathBuf>) -> Result<bool> {
    let location = locate(member)?;
    let read = manifest::read(&location, &outside(sets));
    let mut own = inputs(&read.manifest);
    own.insert(location.directory.clone());
    // An input may be reached through a link.
    let real: Vec<PathBuf> = own.iter().filter_map(|path| path.canonicalize().ok()).collect();
    own.extend(real);
    Ok(changed.iter().any(|path| own.iter().any(|input| path.starts_with(input))))
}

/// The same command line for another manifest.
pub fn at(session: &Session<'_>, file: &Path) -> Global {
    Global { file: file.to_path_buf(), ..session.options.clone() }
}

/// An image that was made, and what registries took.
pub struct Member {
    /// Its manifest.
    pub file: PathBuf,
    /// What was made.
    pub made: Made,
    /// What registries took.
    pub pushed: Vec<Pushed>,
}

/// Makes all images, and then sends all of them.
pub async fn make(
    session: &Session<'_>,
    files: &[PathBuf],
    platform: Option<&Platform>,
    destinations: &[Destination],
    leave: Leave,
) -> Result<Vec<Member>> {
    let globals: Vec<Global> = files.iter().map(|file| at(session, file)).collect();
    let sessions: Vec<Session<'_>> = globals.iter().map(|options| session.at(options, session.terminal)).collect();
    let of = |file: &Path, error: Error| error.context(format!("building `{}`", printable(&file.to_string_lossy())));
    warm(session, files, &sessions, platform).await?;
    let mut prepared =
        std::pin::pin!(stream::iter(sessions.iter().map(|session| prepare(session, platform))).buffered(AT_ONCE));
    let mut members = Vec::new();
    for (file, own) in files.iter().zip(&sessions) {
        session.ctx.cancel.check()?;
        let Some(one) = prepared.next().await else { break };
        let one = one.map_err(|error| of(file, error))?;
        targets::check(&one.plan, destinations, None).map_err(|error| of(file, error))?;
        let mut made = judged(own, one).await.map_err(|error| of(file, error))?;
        made.target.leave = leave;
        members.push(Member { file: file.clone(), made, pushed: Vec::new() });
    }
    for member in &mut members {
        let sent = send(session, &member.made, None, destinations).await;
        member.pushed =
            sent.map_err(|error| error.context(format!("sending what `{}` makes", member.file.display())))?;
    }
    Ok(members)
}

/// Looks at one image of each base first, so that what several share is fetched once and remembered for the others. What is wrong with
/// them is told when it is their turn.
pub async fn warm(
    session: &Session<'_>,
    files: &[PathBuf],
    sessions: &[Session<'_>],
    only: Option<&Platform>,
) -> Result<()> {
    let (list, sets) = (files.to_vec(), session.options.set.clone());
    let bases = aside(&session.ctx, move || {
        let of = |file: &PathBuf| {
            let Ok(location) = locate(file) else { return String::new() };
            let images = manifest::read(&location, &outside(&sets)).manifest.images;
            images.iter().map(|image| format!("{} {} ", image.base.0, image.platform)).collect()
        };
        Ok(list.iter().map(of).collect::<Vec<String>>())
    });
    let mut seen = std::collections::BTreeSet::new();
    let first: Vec<&Session<'_>> = bases
        .await?
        .into_iter()
        .zip(sessions)
        .filter(|(base, _)| seen.insert(base.clone()))
        .map(|(_, one)| one)
        .collect();
    if first.len() < files.len() {
        let looks = stream::iter(first.into_iter().map(|one| prepare(one, only))).buffered(AT_ONCE);
        looks.for_each(|_| std::future::ready(())).await;
    }
    Ok(())
}

/// `build` for several images.
pub async fn build(session: &Session<'_>, options: &Build) -> Result<u8> {
    let destinations = if options.output.is_empty() { vec![Destination::Store] } else { options.output.clone() };
    let single = |one: &&Destination| {
        matches!(one, Destination::Layout(_) | Destination::Archive(_) | Destination::DockerArchive(_))
    };
    if let Some(one) = destinations.iter().find(single) {
        return Err(Error::usage(format!("`{one}` takes one image, a workspace has several"))
            .hint("build into the store, and write each with `stillframe save` or `stillframe copy`"));
    }
    let files = select(session, &options.several).await?;
    let members = make(session, &files, options.platform.as_ref(), &destinations, options.leaves.leave()).await?;
    tell(session, &members, options.receipt.as_deref())
}

/// `push` for several images.
pub async fn push(session: &Session<'_>, options: &Push) -> Result<u8> {
    let files = select(session, &options.several).await?;
    let members = make(session, &files, None, &[Destination::Registry], options.leaves.leave()).await?;
    tell(session, &members, options.receipt.as_deref())
}

/// What is told of several images, from what is told of each with its manifest.
pub fn joined<P: AsRef<Path>>(each: impl Iterator<Item = (P, Value)>) -> Value {
    let one = |(file, mut told): (P, Value)| {
        told["manifest"] = json!(file.as_ref().display().to_string());
        told
    };
    let images: Vec<Value> = each.map(one).collect();
    let references: Vec<Value> =
        images.iter().flat_map(|image| image["references"].as_array().cloned().unwrap_or_default()).collect();
    json!({ "references": references, "images": images })
}

fn tell(session: &Session<'_>, members: &[Member], receipt: Option<&Path>) -> Result<u8> {
    let one = |member: &'_ Member| (member.file.clone(), document(&member.made, &member.pushed));
    let told = joined(members.iter().map(one));
    if let Some(path) = receipt {
        ship::receipt(path, &canonical(&told))?;
    }
    match session.terminal.json() {
        true => session.terminal.document(told, &crate::error::Report::default())?,
        false => session.terminal.result(&members.iter().map(|member| lines(&member.made)).collect::<String>())?,
    }
    ci::told(session, &members.iter().map(|member| &member.made).collect::<Vec<_>>());
    Ok(0)
}

/// `check` for several images: every one is looked at, whatever is wrong with another.
pub async fn check(session: &Session<'_>, several: &Several) -> Result<u8> {
    each(session, several, false).await
}

/// `plan` for several images.
pub async fn plan(session: &Session<'_>, several: &Several) -> Result<u8> {
    each(session, several, true).await
}

async fn each(session: &Session<'_>, several: &Several, planned: bool) -> Result<u8> {
    if session.terminal.sarif() {
        return Err(Error::usage("SARIF is written for one image")
            .hint("run it for each member with `-f`, or say `--format json`"));
    }
    let files = select(session, several).await?;
    let held = session.terminal.holding();
    let (mut codes, mut changed, mut documents) = (Vec::new(), files.is_empty(), Vec::new());
    for file in &files {
        session.ctx.cancel.check()?;
        let options = at(session, file);
        let own = session.at(&options, &held);
        let name = printable(&file.to_string_lossy());
        if planned && !held.json() {
            held.result(&format!("{name}\n"))?;
        }
        let code = match planned {
            true => plan::run(&own).await,
            false => check::run(&own).await,
        };
        let code = match code {
            Ok(code) => code,
            Err(error) => held.error(&error.context(format!("looking at `{name}`"))),
        };
        changed |= planned && code == 0;
        codes.extend((code != 0 && code != NOTHING_TO_DO).then_some(code));
        for mut document in held.held() {
            document["manifest"] = json!(file.display().to_string());
            documents.push(document);
        }
    }
    if session.terminal.json() {
        let told = json!({ "ok": codes.is_empty(), "images": documents });
        session.terminal.document(told, &crate::error::Report::default())?;
    }
    let nothing = if planned && !changed { NOTHING_TO_DO } else { 0 };
    Ok(codes.into_iter().min().unwrap_or(nothing))
}
