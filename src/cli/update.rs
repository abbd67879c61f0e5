//! Stage 10: `stillframe update` and `stillframe outdated`: what the pins of the manifest and its lock would be today, and how they differ.

mod inside;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use inside::Inside;

use super::args::Update;
use super::prepare::{aside, bases};
use super::session::{Session, outside};
use crate::error::{Error, Finding, Place, Report, Result, Text};
use crate::manifest::pins::{self, Pin};
use crate::manifest::workspace::by_default;
use crate::manifest::{self, Location, Manifest};
use crate::oci::Digest;
use crate::plan::lock::{self, PackageChange};
use crate::plan::{Lock, Plan};
use crate::registry::Which;
use crate::ship;
use crate::source;

/// What is on its way from the manifest and the lock that are there.
struct Moves {
    /// The pins of the manifest, with what they lead to now.
    pins: Vec<(Pin, Digest)>,
    /// What is another in the bases among them, in the same order.
    inside: Vec<Vec<Inside>>,
    /// The packages.
    packages: Vec<PackageChange>,
    /// The files that become something else, with their new text.
    files: Vec<(PathBuf, String)>,
}

/// Moves the pins, unless that is only to be shown.
pub async fn update(session: &Session<'_>, options: &Update) -> Result<u8> {
    if session.options.locked && !options.dry_run {
        return Err(Error::usage("`update` moves pins, which `--locked` forbids")
            .hint("leave one of them out; `stillframe outdated` shows what would move"));
    }
    let moves = look(session, &options.names, options.allow_older).await?;
    show(session, &moves)?;
    if !options.dry_run {
        write(session, moves).await?;
    }
    Ok(0)
}

/// Pins all that the manifest names, and says nothing of it.
pub async fn pin(session: &Session<'_>) -> Result<()> {
    let moves = look(session, &[], false).await?;
    write(session, moves).await
}

async fn write(session: &Session<'_>, moves: Moves) -> Result<()> {
    let files = moves.files;
    aside(&session.ctx, move || files.iter().try_for_each(|(path, text)| ship::receipt(path, text.as_bytes()))).await
}

/// Shows what has moved since it was pinned; writes nothing.
pub async fn outdated(session: &Session<'_>) -> Result<u8> {
    let moves = look(session, &[], false).await?;
    show(session, &moves)?;
    Ok(0)
}

async fn look(session: &Session<'_>, names: &[String], allow_older: bool) -> Result<Moves> {
    let location = locate(session).await?;
    let manifest = read(session, location.clone()).await?;
    let chosen = choose(&manifest, names)?;
    let mut moves = Moves { pins: Vec::new(), inside: Vec::new(), packages: Vec::new(), files: Vec::new() };
    let mut report = Report::default();
    for pin in chosen {
        match today(session, &pin).await {
            Ok(Some(digest)) if pin.digest != Some(digest) => moves.pins.push((pin, digest)),
            Ok(_) => {}
            Err(error) => report.add(found(error, &pin.place)),
        }
    }
    report.pass()?;
    let edits: Vec<(Place, Digest)> = moves.pins.iter().map(|(pin, digest)| (pin.place.clone(), *digest)).collect();
    let before = manifest.clone();
    let (location, manifest) = if edits.is_empty() {
        (location, manifest)
    } else {
        let location = edited(location, &edits, &mut moves.files)?;
        (location.clone(), read(session, location).await?)
    };
    for (pin, _) in &moves.pins {
        let known = pin.what == "base" && pin.digest.is_some();
        moves.inside.push(match known {
            true => inside::look(session, &before, &manifest, &pin.place).await?,
            false => Vec::new(),
        });
    }
    let of_packages = |name: &String| name == "packages";
    let base_moved = moves.pins.iter().any(|(pin, _)| pin.what == "base");
    if names.is_empty() || names.iter().any(of_packages) || base_moved {
        packages(session, &location, &manifest, allow_older, &mut moves).await?;
    }
    Ok(moves)
}

/// The manifest and the root of its workspace with new digests in these strings, each in the file that it stands in.
fn edited(mut location: Location, edits: &[(Place, Digest)], files: &mut Vec<(PathBuf, String)>) -> Result<Location> {
    let mut edit = |text: &mut Arc<Text>, file: &PathBuf| -> Result<()> {
        let own: Vec<_> = edits.iter().filter(|(place, _)| Arc::ptr_eq(&place.text, text)).cloned().collect();
        if !own.is_empty() {
            let new = pins::moved(&text.text, &own)?;
            files.push((file.clone(), new.clone()));
            *text = Arc::new(Text { path: text.path.clone(), text: new });
        }
        Ok(())
    };
    edit(&mut location.text, &location.file)?;
    if let Some(root) = &mut location.root {
        edit(&mut root.text, &root.file)?;
    }
    Ok(location)
}

async fn locate(session: &Session<'_>) -> Result<Location> {
    let file = session.options.file.clone();
    aside(&session.ctx, move || {
        let location = manifest::locate::locate(&file)?;
        // At the root of a workspace it is the pins of all members that are meant.
        Ok(by_default(&location).unwrap_or(location))
    })
    .await
}

async fn read(session: &Session<'_>, location: Location) -> Result<Arc<Manifest>> {
    let sets = session.options.set.clone();
    aside(&session.ctx, move || {
        let manifest::Read { manifest, report } = manifest::read(&location, &outside(&sets));
        report.pass().map(|_| Arc::new(manifest))
    })
    .await
}

/// The pins that are asked for by these names.
fn choose(manifest: &Manifest, names: &[String]) -> Result<Vec<Pin>> {
    let all = pins::pins(manifest);
    let named = |pin: &Pin, name: &String| {
        let repository = pin.repository.to_string();
        name == pin.what || *name == repository || repository.rsplit('/').next() == Some(name)
    };
    for name in names.iter().filter(|name| *name != "packages") {
        if !all.iter().any(|pin| named(pin, name)) {
            let known: Vec<String> = all.iter().map(|pin| pin.repository.to_string()).collect();
            let error = Error::usage(format!("nothing in the manifest is called `{}`", name.escape_debug()));
            return Err(error.hint(match known.as_slice() {
                [] => "it pins no image of a registry".to_string(),
                known => format!("write `base`, `packages` or the name of an image: {}", known.join(", ")),
            }));
        }
    }
    if names.iter().any(|name| name == "packages") && manifest.packages.is_none() {
        return Err(Error::usage("the manifest has no `[packages]`"));
    }
    Ok(all.into_iter().filter(|pin| names.is_empty() || names.iter().any(|name| named(pin, name))).collect())
}

/// The digest that a pin's tag leads to now; `None` where it has no tag to follow.
async fn today(session: &Session<'_>, pin: &Pin) -> Result<Option<Digest>> {
    let tag = match (&pin.tag, pin.digest) {
        (Some(tag), _) => tag.clone(),
        (None, Some(_)) => return Ok(None),
        (None, None) => "latest".parse()?,
    };
    let found = session.ctx.registries.head(&pin.repository, Which::Tag(&tag)).await?;
    let missing = || Error::usage(format!("the registry has no tag `{tag}` in `{}`", pin.repository));
    found.map(Some).ok_or_else(missing)
}

fn found(error: Error, place: &Place) -> Finding {
    let message: Vec<String> = [error.message().to_string()].into_iter().chain(error.causes()).collect();
    let mut finding = Finding::error("update", message.join(": ")).kind(error.kind()).at(place, "");
    finding.help.extend(error.hints().iter().cloned());
    finding
}

/// Resolves the packages anew, where the manifest has any.
async fn packages(
    session: &Session<'_>,
    location: &Location,
    manifest: &Arc<Manifest>,
    allow_older: bool,
    moves: &mut Moves,
) -> Result<()> {
    if manifest.packages.is_none() {
        return Ok(());
    }
    let plan = Plan::new(manifest, &Lock::default());
    let bases = bases(session, &plan).await?;
    let place = location.clone();
    let text = aside(&session.ctx, move || manifest::locate::lock(&place)).await?;
    let old = text.as_ref().map(lock::read).transpose()?.unwrap_or_default();
    let known = old.packages.as_ref().filter(|_| !allow_older);
    let new = Lock { packages: source::resolve(&session.ctx, manifest, &bases, known).await? };
    moves.packages = old.changes(&new);
    let written = lock::write(&new);
    if text.is_none_or(|text| text.text != written) {
        moves.files.push((location.lock(), written));
    }
    Ok(())
}

fn show(session: &Session<'_>, moves: &Moves) -> Result<()> {
    if session.terminal.json() {
        let pin = |((pin, digest), all): (&(Pin, Digest), &Vec<Inside>)| {
            let tag = pin.tag.as_ref().map(|tag| tag.as_str());
            let name = pin.repository.to_string();
            json!({ "what": pin.what, "name": name, "tag": tag, "old": pin.digest, "new": digest, "platforms": inside::value(all) })
        };
        let document = json!({
            "pins": moves.pins.iter().zip(&moves.inside).map(pin).collect::<Vec<_>>(),
            "packages": moves.packages.iter().map(package).collect::<Vec<Value>>(),
        });
        return session.terminal.document(document, &Report::default());
    }
    let mut text = String::new();
    for ((pin, digest), all) in moves.pins.iter().zip(&moves.inside) {
        let tag = pin.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let old = pin.digest.map_or_else(|| "not pinned".to_string(), |digest| digest.to_string());
        text += &format!("{} {}{tag} {old} -> {digest}\n", pin.what, pin.repository);
        text += &inside::lines(all);
    }
    moves.packages.iter().for_each(|change| text += &line(change));
    if text.is_empty() {
        text += match moves.files.is_empty() {
            true => "nothing has moved\n",
            false => "no package has moved, but what they were resolved from\n",
        };
    }
    session.terminal.result(&text)
}

fn package(change: &PackageChange) -> Value {
    let side =
        |side: &Option<(String, u64)>| side.as_ref().map(|(version, size)| json!({ "version": version, "size": size }));
    json!({ "name": change.name, "old": side(&change.old), "new": side(&change.new), "platforms": change.platforms })
}

/// `package NAME OLD -> NEW (+SIZE bytes; PLATFORMS)`.
fn line(change: &PackageChange) -> String {
    let platforms: Vec<&str> = change.platforms.iter().map(String::as_str).collect();
    let (what, size) = match (&change.old, &change.new) {
        (None, Some((version, size))) => (format!("new {version}"), i128::from(*size)),
        (Some((version, size)), None) => (format!("{version} is gone"), -i128::from(*size)),
        (Some((old, before)), Some((new, after))) => {
            (format!("{old} -> {new}"), i128::from(*after) - i128::from(*before))
        }
        (None, None) => (String::new(), 0),
    };
    format!("package {} {what} ({size:+} bytes; {})\n", change.name, platforms.join(", "))
}
