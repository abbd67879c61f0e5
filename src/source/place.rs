//! Stage 5: where an image is, as a person writes it. A word of the command line in, one checked place out. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result, printable};
use crate::oci::{Digest, Reference};

/// The name of any image, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a registry, by tag or digest.
    Registry(Reference),
    /// In an OCI layout.
    Layout(Spot),
    /// In a tar archive of an OCI layout.
    Archive(Spot),
    /// In an archive that `docker save` wrote; the text chooses one of several images.
    DockerArchive(PathBuf, Option<String>),
    /// In the local store.
    Store(Kept),
}

/// An image of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The layout or archive.
    pub path: PathBuf,
    /// The image's name in it.
    pub name: Option<String>,
    /// The image's digest.
    pub digest: Option<Digest>,
}

/// An image of the local store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// By what it is.
    Digest(Digest),
    /// By the name under which it was built or pulled.
    Name(Reference),
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Place> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("oci", rest) => spot(text, rest).map(Place::Layout),
            ("oci-archive", rest) => spot(text, rest).map(Place::Archive),
            ("docker-archive", rest) => docker(text, rest),
            ("store", rest) if rest.starts_with("sha256:") => Ok(Place::Store(Kept::Digest(rest.parse()?))),
            ("store", rest) if !rest.is_empty() => Ok(Place::Store(Kept::Name(rest.parse()?))),
            ("sha256", _) => Ok(Place::Store(Kept::Digest(text.parse()?))),
            _ => text.parse().map(Place::Registry).map_err(|error: Error| {
                error.hint("an image is named `registry/name:tag`, `registry/name@sha256:…`, `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `sha256:…` or `store:NAME`")
            }),
        }
    }
}

/// `PATH[:NAME][@DIGEST]`; a path that holds a colon itself is written with one more at its end.
fn spot(text: &str, rest: &str) -> Result<Spot> {
    let (rest, digest) = match rest.rsplit_once('@') {
        Some((rest, digest)) if digest.starts_with("sha256:") => (rest, Some(digest.parse()?)),
        _ => (rest, None),
    };
    let (path, name) = match rest.rsplit_once(':') {
        Some((path, name)) if !name.contains('/') => (path, Some(name.to_string()).filter(|name| !name.is_empty())),
        _ => (rest, None),
    };
    if path.is_empty() {
        return Err(lacks_path(text));
    }
    Ok(Spot { path: PathBuf::from(path), name, digest })
}

/// `FILE[:NAME]`; the name, which may hold colons itself, begins at the first one.
fn docker(text: &str, rest: &str) -> Result<Place> {
    let (path, name) = rest.split_once(':').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err(lacks_path(text));
    }
    Ok(Place::DockerArchive(PathBuf::from(path), Some(name.to_string()).filter(|name| !name.is_empty())))
}

fn lacks_path(text: &str) -> Error {
    Error::usage(format!("`{}` lacks a path", printable(text))).hint("as in `oci:DIRECTORY` or `docker-archive:FILE`")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Registry(reference) => reference.fmt(f),
            Place::Layout(spot) => write!(f, "oci:{spot}"),
            Place::Archive(spot) => write!(f, "oci-archive:{spot}"),
            Place::DockerArchive(path, None) => write!(f, "docker-archive:{}", path.display()),
            Place::DockerArchive(path, Some(name)) => write!(f, "docker-archive:{}:{name}", path.display()),
            Place::Store(Kept::Digest(digest)) => digest.fmt(f),
            Place::Store(Kept::Name(name)) => write!(f, "store:{name}"),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(name) = &self.name {
            write!(f, ":{name}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_shown() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, shown) in [
            ("nginx", "docker.io/library/nginx".to_string()),
            ("localhost:5000/x:1", "localhost:5000/x:1".into()),
            ("oci:out", "oci:out".into()),
            ("oci:/a:b/out:v1", "oci:/a:b/out:v1".into()),
            ("oci:a:b:", "oci:a:b".into()),
            (&format!("oci-archive:x.tar:v1@{digest}"), format!("oci-archive:x.tar:v1@{digest}")),
            (&format!("oci:out@{digest}"), format!("oci:out@{digest}")),
            ("docker-archive:x.tar", "docker-archive:x.tar".into()),
            ("docker-archive:x.tar:acme/app:1", "docker-archive:x.tar:acme/app:1".into()),
            (&digest, digest.clone()),
            (&format!("store:{digest}"), digest.clone()),
            ("store:acme/app:1", "store:docker.io/acme/app:1".into()),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn places_that_are_refused() {
        for text in ["", "oci:", "oci::v1", "docker-archive:", "sha256:12", "oci:out@sha256:12", "UPPER/x", "store:"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
