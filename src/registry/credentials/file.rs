//! Stage 4: the credential file of docker and podman. JSON in, entries by registry out. Pure but for [`File::read`].

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::{Credential, HUB, Place, is_hub};
use crate::error::{Error, Result};
use crate::oci::Registry;
use crate::registry::hosts::read_bounded;

/// A credential file; unknown keys are other programs' business.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(in crate::registry) struct File {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

impl File {
    /// Reads a place; `None` where there is no such file.
    pub fn read(place: &Place) -> Result<Option<File>> {
        let bytes = match place {
            Place::File(path) => match read_bounded(path)? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
            Place::Inline(_, text) => text.clone().into_bytes(),
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        // The cause could quote what stands there, and that is secret: only the place is told.
        serde_json::from_slice(&bytes).map(Some).map_err(|cause| {
            Error::usage(format!(
                "the credentials in {} cannot be read: line {}, column {} is not what it should be",
                place.name(),
                cause.line(),
                cause.column()
            ))
        })
    }

    /// What stands there, in words: how many entries and which helpers; no secret.
    pub fn told(&self) -> String {
        let entries = self.auths.iter().flatten().filter(|(_, entry)| !entry.is_empty()).count();
        let plain = if entries == 1 {
            "1 entry with a secret in it".into()
        } else {
            format!("{entries} entries with secrets in them")
        };
        let named = self.cred_helpers.iter().flat_map(BTreeMap::values).chain(&self.creds_store);
        let mut helpers: Vec<String> = named
            .filter(|name| !name.is_empty())
            .map(|name| format!("`docker-credential-{}`", name.escape_debug()))
            .collect();
        helpers.sort();
        helpers.dedup();
        if helpers.is_empty() { plain } else { format!("{plain}, and the helpers {}", helpers.join(", ")) }
    }

    /// The helper that is declared for this very registry, with the server name to ask it for.
    pub fn helper_for(&self, registry: &Registry) -> Option<(String, String)> {
        let helpers = self.cred_helpers.as_ref()?;
        let names: Vec<&str> = if is_hub(registry) { HUB.to_vec() } else { vec![registry.as_str()] };
        let found =
            names.iter().find_map(|name| helpers.get(*name).map(|helper| (name.to_string(), helper.clone())))?;
        // An empty name switches a helper off for one registry.
        (!found.1.is_empty()).then(|| (server(registry), found.1))
    }

    /// The helper for all registries, with the server name to ask it for.
    pub fn store_for(&self, registry: &Registry) -> Option<(String, String)> {
        let store = self.creds_store.as_ref().filter(|store| !store.is_empty())?;
        let switched_off = self.cred_helpers.as_ref().and_then(|helpers| helpers.get(registry.as_str()));
        switched_off.is_none().then(|| (server(registry), store.clone()))
    }

    /// The entry for a repository: the longest path wins, then the host alone.
    pub fn entry_for(&self, registry: &Registry, path: &str) -> Result<Option<(String, Credential)>> {
        let mut best: Option<(usize, &String, &Entry)> = None;
        for (key, entry) in self.auths.iter().flatten() {
            let Some(depth) = fits(key, registry, path) else { continue };
            if best.is_none_or(|(deepest, ..)| depth > deepest) && !entry.is_empty() {
                best = Some((depth, key, entry));
            }
        }
        let Some((_, key, entry)) = best else { return Ok(None) };
        Ok(entry.credential(key)?.map(|credential| (key.clone(), credential)))
    }
}

/// The server name that `docker login` gives to helpers and writes into the file.
pub(super) fn server(registry: &Registry) -> String {
    if is_hub(registry) { HUB[0].to_string() } else { registry.to_string() }
}

/// How many path parts of a key fit, if the key is for this registry and path at all.
pub(super) fn fits(key: &str, registry: &Registry, path: &str) -> Option<usize> {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (host, rest) = bare.split_once('/').unwrap_or((bare, ""));
    let host = host.to_ascii_lowercase();
    if host != registry.as_str() && !(is_hub(registry) && HUB.contains(&host.as_str())) {
        return None;
    }
    let rest = rest.trim_end_matches('/');
    // `docker login` once wrote the API's path into the key.
    if matches!(rest, "" | "v1" | "v2") {
        return Some(0);
    }
    let whole = path == rest || path.strip_prefix(rest).is_some_and(|after| after.starts_with('/'));
    whole.then(|| rest.split('/').count())
}

impl Entry {
    /// Whether nothing stands there; docker leaves such an entry behind for a helper's credential.
    fn is_empty(&self) -> bool {
        [&self.auth, &self.username, &self.password, &self.identitytoken, &self.registrytoken]
            .iter()
            .all(|field| field.as_deref().unwrap_or_default().is_empty())
    }

    fn credential(&self, key: &str) -> Result<Option<Credential>> {
        let given = |field: &Option<String>| field.clone().filter(|value| !value.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Credential::Bearer(token)));
        }
        let (mut user, mut password) = (given(&self.username), given(&self.password));
        if let Some(auth) = given(&self.auth) {
            let wrong =
                || Error::usage(format!("the `auth` of `{}` is not base64 of `user:password`", key.escape_debug()));
            let auth = auth.trim();
            let bytes = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth)).map_err(|_| wrong())?;
            let text = String::from_utf8(bytes).map_err(|_| wrong())?;
            let (name, secret) = text.split_once(':').ok_or_else(wrong)?;
            user = Some(name.to_string());
            password = Some(secret.trim_end_matches('\0').to_string());
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credential::Identity { user: user.unwrap_or_default(), token }));
        }
        Ok(user.map(|user| Credential::Password { user, password: password.unwrap_or_default() }))
    }
}
