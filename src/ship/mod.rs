//! Stage 9, Artifact → the world: layout, archive, daemon, registry. An artifact in; bytes at their destination out, the name last.
//! May write destinations, ask the container engines' sockets, and push through `registry`.
//!
//! Sending is one verb everywhere: skip what is there, children before parents, the name last.

mod ahead;
mod archive;
mod blobs;
mod carry;
mod content;
mod engine;
mod goal;
mod layout;
mod local;
mod push;
mod pushed;
mod start;
mod tags;
mod temporary;
pub mod upkeep;
pub mod yaml;

pub use ahead::{Ahead, ahead};
pub use blobs::{Blob, Blobs, all};
pub use carry::{Carried, Carry, carry, open_all};
pub use engine::sockets;
pub use goal::Goal;
pub use push::{Freight, everywhere, set};
pub use pushed::{Pushed, Tagged, Target};
pub use start::{Engine, Starter, starter};
pub use tags::{foresee, judge, set_all};

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::image::Artifact;

/// Where an artifact can go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// The local store.
    Store,
    /// An OCI layout directory.
    Layout(PathBuf),
    /// A tar archive of an OCI layout.
    Archive(PathBuf),
    /// A tar archive that `docker load` and `podman load` take.
    DockerArchive(PathBuf),
    /// The Docker engine.
    Docker,
    /// Podman.
    Podman,
    /// The registries of the manifest's names.
    Registry,
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Destination> {
        let path = |rest: &str| match rest {
            "" => Err(Error::usage(format!("`{}` lacks a path", printable(text))).hint("as in `oci:DIRECTORY`")),
            "-" => Err(Error::usage(format!(
                "`{}` would write to stdout, which is for the result's name",
                printable(text)
            ))
            .hint("name a file")),
            rest => Ok(PathBuf::from(rest)),
        };
        match text.split_once(':').unwrap_or((text, "")) {
            ("oci", rest) => path(rest).map(Destination::Layout),
            ("oci-archive", rest) => path(rest).map(Destination::Archive),
            ("docker-archive", rest) => path(rest).map(Destination::DockerArchive),
            ("store", "") => Ok(Destination::Store),
            ("docker", "") => Ok(Destination::Docker),
            ("podman", "") => Ok(Destination::Podman),
            ("registry", "") => Ok(Destination::Registry),
            _ => Err(Error::usage(format!("`{}` is not a destination", printable(text))).hint(
                "known are: oci:DIRECTORY, oci-archive:FILE, docker-archive:FILE, docker, podman, registry, store",
            )),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Store => f.write_str("store"),
            Destination::Layout(path) => write!(f, "oci:{}", path.display()),
            Destination::Archive(path) => write!(f, "oci-archive:{}", path.display()),
            Destination::DockerArchive(path) => write!(f, "docker-archive:{}", path.display()),
            Destination::Docker => f.write_str("docker"),
            Destination::Podman => f.write_str("podman"),
            Destination::Registry => f.write_str("registry"),
        }
    }
}

impl Destination {
    /// Whether it takes one platform only.
    pub fn single(&self) -> bool {
        matches!(self, Destination::DockerArchive(_) | Destination::Docker | Destination::Podman)
    }
}

/// What is sent: the artifact, its blobs and the names it shall have.
pub struct Cargo<'a> {
    /// What was made.
    pub artifact: &'a Artifact,
    /// Where its blobs are.
    pub blobs: &'a Blobs,
    /// Its repositories and tags.
    pub target: &'a Target,
    /// What went ahead of it to its repositories.
    pub ahead: Option<&'a Ahead>,
}

/// Sends to one destination. What a registry took is told for the receipt.
pub async fn send(ctx: &Ctx, cargo: &Cargo<'_>, destination: &Destination) -> Result<Vec<Pushed>> {
    if destination.single() && cargo.artifact.images.len() > 1 {
        let platforms: Vec<String> = cargo.artifact.images.iter().map(|image| image.platform.to_string()).collect();
        return Err(Error::usage(format!(
            "`{destination}` takes one platform, the image has {}",
            platforms.join(", ")
        ))
        .hint(format!("choose one, as in `--platform {}`", platforms[0])));
    }
    match destination {
        Destination::Store => local::keep(ctx, cargo).await?,
        Destination::Layout(path) => layout::write(ctx, &[layout::load(cargo)], path).await?,
        Destination::Archive(path) => archive::oci(ctx, &[layout::load(cargo)], path).await?,
        Destination::DockerArchive(path) => archive::docker(ctx, cargo, path).await?,
        Destination::Docker => engine::docker(ctx, cargo).await?,
        Destination::Podman => engine::podman(ctx, cargo).await?,
        Destination::Registry => return push::push(ctx, cargo).await,
    }
    Ok(Vec::new())
}

/// The YAML files of a directory, sorted.
pub fn yaml_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |cause| Error::io(format!("listing `{}`", directory.display()), cause);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(Error::usage(format!("there is no `.yaml` file in `{}`", directory.display()))),
        false => Ok(files),
    }
}

/// Writes a receipt, whole or not at all.
pub fn receipt(path: &Path, bytes: &[u8]) -> Result<()> {
    temporary::write(path, bytes)
}

/// The names under which engines know the image: as it is known, else `NAME:latest` for each repository.
fn local_names(target: &Target) -> Vec<String> {
    let latest = target.names.iter().map(|name| format!("{name}:latest"));
    let known = target.known_as.iter().map(|name| {
        let tag = name.tag.as_ref().map_or("latest", |tag| tag.as_str());
        format!("{}:{tag}", name.repository)
    });
    if target.known_as.is_empty() { latest.collect() } else { known.collect() }
}
