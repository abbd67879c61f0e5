//! Stage 10: `stillframe run`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::sync::Arc;

use crate::cli::args::{Container, Run, RunSubject};
use crate::cli::prepare::{Again, Made, judged, prepare_again};
use crate::cli::session::Session;
use crate::error::{Error, Result};
use crate::oci::{Digest, Document, Platform, Reference};
use crate::ship::{self, Cargo, Destination, Engine, Goal, Starter, starter};
use crate::source::Place;

/// The name under which an engine keeps an image that has none.
const NAMELESS: &str = "localhost/stillframe:run";

/// An image that an engine has loaded.
pub(super) struct Loaded {
    /// The word by which it knows the image.
    pub(super) word: String,
}

/// Builds or fetches an image, hands it to an engine and becomes `docker run`; the exit code is the container's.
pub async fn run(session: &Session<'_>, options: &Run) -> Result<u8> {
    let container = &options.container;
    let starter = starter(container.engine.map(|name| name.engine()))?;
    let loaded = match &options.subject {
        Some(RunSubject::Image(place)) => fetched(session, &starter, place, container.platform.as_ref()).await?,
        Some(RunSubject::Manifest(path)) => {
            let again = Again { file: Some(path.clone()), ..again(container) };
            built(session, &starter, &again).await?.0
        }
        None => built(session, &starter, &again(container)).await?.0,
    };
    let mut flags: Vec<&str> = Vec::new();
    if !options.keep {
        flags.push("--rm");
    }
    match options.detach {
        true => flags.push("--detach"),
        false => flags.push("--interactive"),
    }
    if !options.detach && std::io::stdin().is_terminal() && session.terminal.interactive() {
        flags.push("--tty");
    }
    Err(starter.become_it(&words(container, &flags, None, &loaded)))
}

pub(super) fn again(container: &Container) -> Again {
    Again { only: container.platform.clone(), ..Again::default() }
}

/// The words for an engine's program.
pub(super) fn words(container: &Container, flags: &[&str], name: Option<&str>, loaded: &Loaded) -> Vec<OsString> {
    let mut words: Vec<String> = vec!["run".into()];
    words.extend(flags.iter().map(|flag| flag.to_string()));
    let mut pair = |option: &str, value: &str| words.extend([option.to_string(), value.to_string()]);
    name.or(container.name.as_deref()).into_iter().for_each(|name| pair("--name", name));
    container.publish.iter().for_each(|ports| pair("--publish", ports));
    container.env.iter().for_each(|variable| pair("--env", variable));
    container.volume.iter().for_each(|volume| pair("--volume", volume));
    if container.publish_all {
        words.push("--publish-all".into());
    }
    words.extend(container.engine_arg.iter().cloned());
    words.push(loaded.word.clone());
    words.extend(container.arguments.iter().cloned());
    words.into_iter().map(OsString::from).collect()
}

/// Builds what a manifest says and loads it.
pub(super) async fn built(session: &Session<'_>, starter: &Starter, again: &Again) -> Result<(Loaded, Made)> {
    let mut again = again.clone();
    if again.only.is_none() {
        again.only = fitting(again.file.as_deref().unwrap_or(&session.options.file), session);
    }
    let prepared = prepare_again(session, &again).await?;
    let mut made = judged(session, prepared).await?;
    if made.target.names.is_empty() {
        made.target.known_as = vec![NAMELESS.parse::<Reference>()?];
    }
    let destination = match starter.engine {
        Engine::Docker => Destination::Docker,
        Engine::Podman => Destination::Podman,
    };
    let cargo = Cargo { artifact: &made.artifact, blobs: &made.blobs, target: &made.target, ahead: None };
    ship::send(&session.ctx, &cargo, &destination).await?;
    let image = &made.artifact.images[0];
    let name = match made.target.names.first() {
        Some(name) => format!("{name}:latest"),
        None => NAMELESS.to_string(),
    };
    let (config, manifest) = (image.config.descriptor.digest, image.manifest.descriptor.digest);
    let word = starter.word(&config, &manifest, Some(&name)).await?;
    Ok((Loaded { word }, made))
}

/// Of several platforms of a manifest the one that this machine runs; a run is no build, it may ask what it runs on.
fn fitting(file: &std::path::Path, session: &Session<'_>) -> Option<Platform> {
    let location = crate::manifest::locate::locate(file).ok()?;
    let read = crate::manifest::read(&location, &crate::cli::session::outside(&session.options.set));
    let own = own()?;
    let several = read.manifest.images.len() > 1;
    read.manifest.images.iter().map(|image| &image.platform).find(|one| several && one.serves(&own)).cloned()
}

/// The platform of this machine.
fn own() -> Option<Platform> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{arch}").parse().ok()
}

/// Brings an image from where it is and loads it.
async fn fetched(session: &Session<'_>, starter: &Starter, place: &Place, only: Option<&Platform>) -> Result<Loaded> {
    let ctx = &session.ctx;
    let whole = crate::source::open(ctx, place).await?;
    let wanted = match (only, whole.runnable().len()) {
        (Some(only), _) => Some(only.clone()),
        (None, 1) => None,
        (None, _) => own(),
    };
    let image = whole.only(wanted.as_ref()).map_err(|error| error.context(format!("opening `{place}`")))?;
    let config = config(&image)?;
    let goal = match starter.engine {
        Engine::Docker => Goal::Docker,
        Engine::Podman => Goal::Podman,
    };
    let (manifest, name) = (image.digest(), image.names.first().map(ToString::to_string));
    let carry = ship::Carry { image: Arc::new(image), attached: Vec::new() };
    ship::carry(ctx, &carry, &[goal]).await?;
    Ok(Loaded { word: starter.word(&config, &manifest, name.as_deref()).await? })
}

fn config(image: &crate::source::Image) -> Result<Digest> {
    match image.documents.last().map(|paper| &paper.document) {
        Some(Document::Manifest(manifest)) => Ok(manifest.config.digest),
        _ => Err(Error::bug("one platform was asked for, several came")),
    }
}
