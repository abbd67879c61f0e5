//! Stage 9: where an image that exists can be carried to, as a person writes it. A word in, a checked goal out. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::source::{Place, Spot};

/// Where an image can be carried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The local store.
    Store,
    /// An OCI layout, and the image's name in it.
    Layout(PathBuf, Option<String>),
    /// A tar archive of an OCI layout, and the image's name in it.
    Archive(PathBuf, Option<String>),
    /// An archive for `docker load`, and the name that it gives the image.
    DockerArchive(PathBuf, Option<Reference>),
    /// The Docker engine.
    Docker,
    /// Podman.
    Podman,
    /// A registry; without a tag by digest only.
    Registry(Reference),
}

impl FromStr for Goal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Goal> {
        let undigested = |spot: Spot, goal: fn(PathBuf, Option<String>) -> Goal| match spot.digest {
            None => Ok(goal(spot.path, spot.name)),
            Some(_) => Err(Error::usage(format!("`{text}` names a digest, but the image brings its own"))
                .hint("leave the digest out of the destination")),
        };
        match text {
            "store" => return Ok(Goal::Store),
            "docker" => return Ok(Goal::Docker),
            "podman" => return Ok(Goal::Podman),
            _ => {}
        }
        match text.parse()? {
            Place::Registry(reference) => Ok(Goal::Registry(reference)),
            Place::Layout(spot) => undigested(spot, Goal::Layout),
            Place::Archive(spot) => undigested(spot, Goal::Archive),
            Place::DockerArchive(path, name) => {
                Ok(Goal::DockerArchive(path, name.map(|name| name.parse()).transpose()?))
            }
            Place::Store(_) => Err(Error::usage(format!("`{text}` cannot be written to by name"))
                .hint("write `store`; the image keeps the name that it has at its source")),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spot =
            |path: &PathBuf, name: &Option<String>| Spot { path: path.clone(), name: name.clone(), digest: None };
        match self {
            Goal::Store => f.write_str("store"),
            Goal::Layout(path, name) => write!(f, "oci:{}", spot(path, name)),
            Goal::Archive(path, name) => write!(f, "oci-archive:{}", spot(path, name)),
            Goal::DockerArchive(path, None) => write!(f, "docker-archive:{}", path.display()),
            Goal::DockerArchive(path, Some(name)) => write!(f, "docker-archive:{}:{name}", path.display()),
            Goal::Docker => f.write_str("docker"),
            Goal::Podman => f.write_str("podman"),
            Goal::Registry(reference) => reference.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_read_as_they_are_shown() {
        for text in ["store", "docker", "podman", "oci:out", "oci:out:v1", "oci-archive:x.tar", "localhost:5000/x:1"] {
            assert_eq!(text.parse::<Goal>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_digest_is_no_goal() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for text in [digest.clone(), format!("oci:out@{digest}"), "store:acme/app".into(), "oci:".into()] {
            assert!(text.parse::<Goal>().is_err(), "{text}");
        }
        assert!(format!("localhost:5000/x@{digest}").parse::<Goal>().is_ok());
    }
}
