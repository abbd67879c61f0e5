//! Stage 4: how the credential for a registry is looked for, step by step, for `doctor`. A registry and a repository in, what each
//! place holds out; account names, never a secret. Reads the credential files and runs helpers.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::{File, Place, Source, helper};
use crate::error::{Error, Result};
use crate::oci::Registry;

/// What one place holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The place, in words.
    pub place: String,
    /// What was found there, in words.
    pub told: String,
    /// Whether it is what is used.
    pub used: bool,
    /// What to do, if something is wrong with it.
    pub next: Option<String>,
}

impl Source {
    /// All places in the order in which they are looked at, with what they hold for a repository. What stands after the place that is used
    /// is looked at too, but no helper is asked for it.
    pub async fn trail(&self, registry: &Registry, path: &str, patience: Duration) -> Vec<Look> {
        let mut looks = Vec::new();
        let mut used = false;
        for place in &self.places {
            let mut look = match self.look(place, registry, path, patience, used).await {
                Ok(look) => look,
                Err(error) => broken(place, &error),
            };
            look.used &= !used;
            used |= look.used || look.next.is_some();
            if look.next.is_none() {
                look.next = open_to_others(place);
            }
            looks.push(look);
        }
        looks
    }

    /// All places, whether they can be read and which helpers they name; no helper is asked.
    pub fn files(&self) -> Vec<Look> {
        let one = |place: &Place| {
            let look = |told: String, next| Look { place: place.name(), told, used: false, next };
            match File::read(place) {
                Ok(Some(file)) => look(file.told(), open_to_others(place)),
                Ok(None) => look("not there".into(), None),
                Err(error) => broken(place, &error),
            }
        };
        self.places.iter().map(one).collect()
    }

    async fn look(
        &self,
        place: &Place,
        registry: &Registry,
        path: &str,
        patience: Duration,
        used: bool,
    ) -> Result<Look> {
        let look = |told: String, used: bool| Look { place: place.name(), told, used, next: None };
        let Some(file) = File::read(place)? else { return Ok(look("not there".into(), false)) };
        let mut silent = Vec::new();
        let mut helpers: Vec<(String, String)> = file.helper_for(registry).into_iter().collect();
        for round in 0..2 {
            for (server, name) in std::mem::take(&mut helpers) {
                let shown = format!("the helper `docker-credential-{name}`");
                if used {
                    return Ok(look(format!("names {shown}"), false));
                }
                match helper::get(&name, &server, self.search.as_ref(), patience).await? {
                    Some(credential) => {
                        let account = credential.account().unwrap_or("no account name").to_string();
                        return Ok(look(format!("{shown} has a {credential:?} for `{server}` ({account})"), true));
                    }
                    None => silent.push(format!("{shown} has nothing for `{server}`")),
                }
            }
            if round == 0 {
                if let Some((key, credential)) = file.entry_for(registry, path)? {
                    let account = credential.account().unwrap_or("no account name").to_string();
                    return Ok(look(format!("the entry `{key}` has a {credential:?} ({account})"), true));
                }
                helpers.extend(file.store_for(registry));
            }
        }
        Ok(look(if silent.is_empty() { "no entry for it".into() } else { silent.join("; ") }, false))
    }
}

/// A place that cannot be used.
fn broken(place: &Place, error: &Error) -> Look {
    let told: Vec<String> = std::iter::once(error.message().to_string()).chain(error.causes()).collect();
    let next = match error.hints() {
        [] => format!("repair {}, or take it away", place.name()),
        hints => hints.join("; "),
    };
    Look { place: place.name(), told: told.join(": "), used: false, next: Some(next) }
}

/// What to do about a file that others may read.
fn open_to_others(place: &Place) -> Option<String> {
    let Place::File(path) = place else { return None };
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o077;
    (mode != 0).then(|| format!("others may read it: run `chmod 600 {}`", path.display()))
}
