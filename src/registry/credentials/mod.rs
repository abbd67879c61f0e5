//! Stage 4: whose word to give to which registry. A registry and a repository in, at most one credential out and where it was found.
//! May read the credential files of docker and podman, the environment variables that name them, and run credential helpers.

mod file;
pub(super) mod helper;
mod keep;
mod trail;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::oci::Registry;

pub(super) use file::File;
pub use keep::Kept;
pub use trail::Look;

/// A credential for one registry. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password (or an access token in its place).
    Password {
        /// The user.
        user: String,
        /// The secret.
        password: String,
    },
    /// An OAuth2 refresh token, with the user where one is known.
    Identity {
        /// The user; may be empty.
        user: String,
        /// The secret.
        token: String,
    },
    /// A bearer token for the registry itself.
    Bearer(String),
}

impl Credential {
    /// The account, where it is known; never a secret.
    pub fn account(&self) -> Option<&str> {
        match self {
            Credential::Password { user, .. } | Credential::Identity { user, .. } => {
                Some(user.as_str()).filter(|user| !user.is_empty())
            }
            Credential::Bearer(_) => None,
        }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Password { .. } => "password",
            Credential::Identity { .. } => "identity token",
            Credential::Bearer(_) => "bearer token",
        })
    }
}

/// What a look-up gave: the credential, and the place in words for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The credential; `None` means anonymous.
    pub credential: Option<Credential>,
    /// Where it was found, or where it was looked for.
    pub told: String,
}

/// Where credentials are looked for, in this order.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Credentials that are set by hand, by registry; for tests and for `login` before it saves.
    pub fixed: BTreeMap<String, Credential>,
    /// Files that must be readable, in order: a path that may be absent, or an inline text.
    pub places: Vec<Place>,
    /// Where helper programs are found; `None` is the `PATH` of the process.
    pub search: Option<OsString>,
}

/// One place of credentials.
#[derive(Clone)]
pub enum Place {
    /// A JSON file as docker and podman write it.
    File(PathBuf),
    /// The same, inline, from the named environment variable.
    Inline(&'static str, String),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Place {
    /// The place in words.
    pub fn name(&self) -> String {
        match self {
            Place::File(path) => format!("`{}`", path.display()),
            Place::Inline(variable, _) => format!("`{variable}`"),
        }
    }
}

impl Source {
    /// What the environment says: `DOCKER_AUTH_CONFIG` (inline), `REGISTRY_AUTH_FILE` alone if it is set, else docker's
    /// `config.json` (`DOCKER_CONFIG`, `~/.docker`) and podman's `auth.json` (`$XDG_RUNTIME_DIR/containers`, `~/.config/containers`).
    pub fn from_environment() -> Source {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let mut places = Vec::new();
        if let Some(text) = set("DOCKER_AUTH_CONFIG").and_then(|text| text.into_string().ok()) {
            places.push(Place::Inline("DOCKER_AUTH_CONFIG", text));
        }
        if let Some(file) = path("REGISTRY_AUTH_FILE") {
            places.push(Place::File(file));
            return Source { places, ..Source::default() };
        }
        let home = path("HOME");
        let docker = path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let runtime = path("XDG_RUNTIME_DIR").map(|base| base.join("containers/auth.json"));
        let config = path("XDG_CONFIG_HOME").or_else(|| home.map(|home| home.join(".config")));
        places.extend(docker.map(|base| Place::File(base.join("config.json"))));
        places.extend(runtime.map(Place::File));
        places.extend(config.map(|base| Place::File(base.join("containers/auth.json"))));
        Source { places, ..Source::default() }
    }

    /// What a helper that a place names has for a server.
    async fn ask(&self, place: &Place, server: &str, helper: &str, patience: Duration) -> Result<Option<Found>> {
        let told = format!("the helper `docker-credential-{helper}` ({})", place.name());
        let asked = helper::get(helper, server, self.search.as_ref(), patience).await;
        let found = asked.map_err(|cause| context(cause, place))?;
        Ok(found.map(|credential| Found { credential: Some(credential), told }))
    }

    /// The credential for a repository. A place that cannot be read, or a helper that fails, is an error: going on without
    /// would ask as somebody else (CVE-2021-41092).
    pub(super) async fn find(&self, registry: &Registry, path: &str, patience: Duration) -> Result<Found> {
        if let Some(credential) = self.fixed.get(registry.as_str()) {
            return Ok(Found { credential: Some(credential.clone()), told: "the given credential".into() });
        }
        for place in &self.places {
            let Some(file) = File::read(place)? else { continue };
            if let Some((server, helper)) = file.helper_for(registry)
                && let Some(found) = self.ask(place, &server, &helper, patience).await?
            {
                return Ok(found);
            }
            if let Some((key, credential)) = file.entry_for(registry, path).map_err(|cause| context(cause, place))? {
                let told = format!("the entry `{}` of {}", key.escape_debug(), place.name());
                return Ok(Found { credential: Some(credential), told });
            }
            if let Some((server, helper)) = file.store_for(registry)
                && let Some(found) = self.ask(place, &server, &helper, patience).await?
            {
                return Ok(found);
            }
        }
        let looked: Vec<String> = self.places.iter().map(Place::name).collect();
        let told =
            if looked.is_empty() { "nowhere to look".into() } else { format!("looked in {}", looked.join(", ")) };
        Ok(Found { credential: None, told })
    }
}

fn context(cause: Error, place: &Place) -> Error {
    cause.context(format!("looking for credentials in {}", place.name()))
}

/// The names under which Docker Hub's credentials may stand.
pub(super) const HUB: [&str; 4] =
    ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"];

/// Whether this is Docker Hub.
pub(super) fn is_hub(registry: &Registry) -> bool {
    HUB.contains(&registry.as_str())
}

#[cfg(test)]
mod tests;
