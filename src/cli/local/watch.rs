//! Stage 10: `stillframe watch`. Builds once, then again whenever an input has changed and come to rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cli::args::Watch;
use crate::cli::build::lines;
use crate::cli::inputs::inputs;
use crate::cli::local::run::{again, built, words};
use crate::cli::prepare::{Made, judged, prepare_again};
use crate::cli::session::{Session, outside};
use crate::cli::targets;
use crate::error::{Error, Kind, Result, printable};
use crate::manifest;
use crate::manifest::locate::{NAMES, locate};
use crate::oci::Digest;
use crate::ship::{self, Cargo, Destination, Starter, starter};
use crate::source::{Glance, blocking, glance};

/// What was seen when it was built last, and what was seen last of all.
#[derive(Clone, Debug, Default)]
struct Seen {
    built: Glance,
    last: Glance,
}

impl Seen {
    /// One more look. A change counts once it has come to rest: two looks in a row are the same.
    fn look(self, now: Glance) -> (Seen, Option<PathBuf>) {
        if now != self.last {
            return (Seen { last: now, ..self }, None);
        }
        let change = self.built.change(&now);
        let built = if change.is_some() { now.clone() } else { self.built };
        (Seen { built, last: now }, change)
    }
}

/// A container that runs, and what it runs.
struct Running {
    child: tokio::process::Child,
    name: String,
    digest: Digest,
}

/// Builds again and again until it is stopped.
pub async fn watch(session: &Session<'_>, options: &Watch) -> Result<u8> {
    if session.terminal.json() {
        return Err(Error::usage("`watch` has no one document as its result").hint("leave out `--format`"));
    }
    let starter = match options.run {
        true => Some(starter(options.container.engine.map(|name| name.engine()))?),
        false => None,
    };
    let mut running = None;
    let outcome = rounds(session, options, starter.as_ref(), &mut running).await;
    if let (Some(starter), Some(running)) = (&starter, running) {
        stop(starter, running).await?;
    }
    outcome
}

async fn rounds(
    session: &Session<'_>,
    options: &Watch,
    starter: Option<&Starter>,
    running: &mut Option<Running>,
) -> Result<u8> {
    let mut listed = Listed::default();
    let first = look(session, &mut listed).await?;
    let mut seen = Seen { built: first.clone(), last: first };
    loop {
        match round(session, options, starter, running).await {
            Ok(()) => {}
            Err(error) if [Kind::Interrupted, Kind::Terminated, Kind::Bug].contains(&error.kind()) => {
                return Err(error);
            }
            Err(error) => drop(session.terminal.error(&error)),
        }
        session.ctx.note("watching; an input that changes is built in");
        let changed = loop {
            session.ctx.cancel.check()?;
            tokio::time::sleep(options.interval).await;
            let (next, change) = seen.look(look(session, &mut listed).await?);
            seen = next;
            if let Some(change) = change {
                break change;
            }
        };
        session.ctx.note(format!("`{}` has changed", printable(&short(session, &changed))));
    }
}

/// Builds once.
async fn round(
    session: &Session<'_>,
    options: &Watch,
    starter: Option<&Starter>,
    running: &mut Option<Running>,
) -> Result<()> {
    let Some(starter) = starter else {
        let made = send(session, options).await?;
        return session.terminal.result(&lines(&made));
    };
    let (loaded, made) = built(session, starter, &again(&options.container)).await?;
    deliver(session, options, &made).await?;
    session.terminal.result(&lines(&made))?;
    let digest = made.artifact.digest();
    if let Some(old) = running {
        let ended = old.child.try_wait().is_ok_and(|status| status.is_some());
        if old.digest == digest && !ended {
            session.ctx.note("it is the same image as before, so its container goes on");
            return Ok(());
        }
    }
    if let Some(old) = running.take() {
        stop(starter, old).await?;
    }
    let name = options.container.name.clone().unwrap_or_else(|| format!("stillframe-watch-{}", std::process::id()));
    starter.remove(&name).await?;
    let child = starter.start(&words(&options.container, &["--rm"], Some(&name), &loaded))?;
    *running = Some(Running { child, name, digest });
    Ok(())
}

async fn send(session: &Session<'_>, options: &Watch) -> Result<Made> {
    let prepared = prepare_again(session, &again(&options.container)).await?;
    targets::check(&prepared.plan, &destinations(options), None)?;
    let made = judged(session, prepared).await?;
    deliver(session, options, &made).await?;
    Ok(made)
}

fn destinations(options: &Watch) -> Vec<Destination> {
    match (options.output.is_empty(), options.run) {
        (true, false) => vec![Destination::Store],
        _ => options.output.clone(),
    }
}

async fn deliver(session: &Session<'_>, options: &Watch, made: &Made) -> Result<()> {
    let cargo = Cargo { artifact: &made.artifact, blobs: &made.blobs, target: &made.target, ahead: None };
    for destination in &destinations(options) {
        session.ctx.cancel.check()?;
        let sent = ship::send(&session.ctx, &cargo, destination).await;
        sent.map_err(|error| error.context(format!("sending the image to `{destination}`")))?;
    }
    Ok(())
}

async fn stop(starter: &Starter, mut running: Running) -> Result<()> {
    starter.remove(&running.name).await?;
    let _ = tokio::time::timeout(std::time::Duration::from_secs(10), running.child.wait()).await;
    Ok(())
}

fn short(session: &Session<'_>, path: &Path) -> String {
    let directory = match session.options.file.is_dir() {
        true => session.options.file.clone(),
        false => session.options.file.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    let directory = std::path::absolute(&directory).unwrap_or(directory);
    path.strip_prefix(&directory).unwrap_or(path).display().to_string()
}

/// What the manifest looked like when its inputs were listed, and those.
#[derive(Clone, Default)]
struct Listed {
    manifest: Glance,
    paths: BTreeSet<PathBuf>,
}

/// What all inputs look like now. They are listed again only where the manifest has changed.
async fn look(session: &Session<'_>, listed: &mut Listed) -> Result<Glance> {
    let (file, sets, mut known) = (session.options.file.clone(), session.options.set.clone(), listed.clone());
    let (known, found) = blocking(move || {
        let own: Vec<PathBuf> = NAMES.iter().map(|name| file.join(name)).chain([file.clone()]).collect();
        let manifest = glance(own.iter().filter(|path| !path.is_dir()).cloned())?;
        if known.paths.is_empty() || known.manifest != manifest {
            known.paths = own.iter().filter(|path| !path.is_dir()).cloned().collect();
            if let Ok(location) = locate(&file) {
                let read = manifest::read(&location, &outside(&sets));
                known.paths.extend(inputs(&read.manifest));
                known.paths.extend([location.file.clone(), location.lock(), location.directory.join(".imageignore")]);
                known.paths.insert(location.around.join(".git/logs/HEAD"));
            }
            known.manifest = manifest;
        }
        let found = glance(known.paths.clone())?;
        Ok((known, found))
    })
    .await?;
    *listed = known;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_is_built_in_once_it_has_come_to_rest() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        let now = || glance([file.clone()]).unwrap();
        let first = now();
        let mut seen = Seen { built: first.clone(), last: first };
        let mut look = || {
            let (next, change) = seen.clone().look(now());
            seen = next;
            change.is_some()
        };
        assert!(!look());
        // Written in pieces: nothing is built before two looks in a row are the same.
        for text in ["a", "ab", "abc"] {
            fs::write(&file, text).unwrap();
            assert!(!look(), "{text}");
        }
        assert!(look());
        assert!(!look(), "once is enough");
        fs::write(&file, "abcd").unwrap();
        assert!(!look());
        fs::remove_file(&file).unwrap();
        assert!(!look() && look() && !look(), "a file that has gone is a change too");
    }
}
