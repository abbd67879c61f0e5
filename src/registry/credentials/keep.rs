//! Stage 4: credentials that are kept and forgotten, for `login` and `logout`. A registry and a credential in, a helper that holds it or
//! a changed credential file out. Writes docker's `config.json` (or the file that stands in its place) and runs its helpers.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::file::{fits, server};
use super::{File, Place, Source, helper};
use crate::error::{Error, Result};
use crate::oci::Registry;
use crate::registry::hosts::read_bounded;

/// Where a credential was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// With this helper's program.
    Helper(String),
    /// As plain text in this file.
    Plain(PathBuf),
}

impl Source {
    /// Keeps a user and a password where [`Source`] will find them again: with the helper that the first credential file names, else in
    /// that file. An older entry for the registry goes.
    pub async fn keep(&self, registry: &Registry, user: &str, password: &str, patience: Duration) -> Result<Kept> {
        let path = self.file()?;
        let place = Place::File(path.clone());
        let file = File::read(&place)?.unwrap_or_default();
        if let Some((server, name)) = file.helper_for(registry).or_else(|| file.store_for(registry)) {
            helper::store(&name, &server, user, password, self.search.as_ref(), patience).await?;
            // An entry in the file would be found before the helper is asked.
            change(&path, registry, None)?;
            return Ok(Kept::Helper(format!("docker-credential-{name}")));
        }
        let entry = json!({ "auth": STANDARD.encode(format!("{user}:{password}")) });
        change(&path, registry, Some(entry))?;
        Ok(Kept::Plain(path))
    }

    /// Forgets what is kept for a registry: with the helper, and in every credential file. Tells where something was.
    pub async fn forget(&self, registry: &Registry, patience: Duration) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for place in &self.places {
            let Place::File(path) = place else { continue };
            let Some(file) = File::read(place)? else { continue };
            for (server, name) in file.helper_for(registry).into_iter().chain(file.store_for(registry)) {
                if helper::get(&name, &server, self.search.as_ref(), patience).await?.is_some() {
                    helper::erase(&name, &server, self.search.as_ref(), patience).await?;
                    told.push(format!("the helper `docker-credential-{name}`"));
                }
            }
            if change(path, registry, None)? {
                told.push(place.name());
            }
        }
        Ok(told)
    }

    /// The file that is written: the first one that is looked at.
    fn file(&self) -> Result<PathBuf> {
        let file = self.places.iter().find_map(|place| match place {
            Place::File(path) => Some(path.clone()),
            Place::Inline(..) => None,
        });
        file.ok_or_else(|| {
            Error::local("there is no place for credentials: HOME is not set")
                .hint("set DOCKER_CONFIG to a directory that can be written")
        })
    }
}

/// Replaces the entry for a registry, or takes it out; everything else in the file stays. Tells whether something was changed.
fn change(path: &Path, registry: &Registry, entry: Option<Value>) -> Result<bool> {
    let doing = || format!("writing the credentials in `{}`", path.display());
    // A file that is linked to stays where it is.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut document = read(&path)?;
    let auths = document.entry("auths").or_insert_with(|| json!({}));
    if auths.is_null() {
        *auths = json!({});
    }
    let Some(auths) = auths.as_object_mut() else {
        return Err(Error::usage(format!("`auths` in `{}` is not an object", path.display())));
    };
    let before = auths.len();
    auths.retain(|key, _| fits(key, registry, "") != Some(0));
    let changed = auths.len() != before || entry.is_some();
    if let Some(entry) = entry {
        auths.insert(server(registry), entry);
    }
    if !changed {
        return Ok(false);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|cause| Error::io(doing(), cause))?;
    let text = serde_json::to_string_pretty(&Value::Object(document))
        .map_err(|_| Error::bug("the credential file could not be written as JSON"))?;
    let mut file = tempfile::Builder::new()
        .prefix(".stillframe-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(parent)
        .map_err(|cause| Error::io(doing(), cause))?;
    let written = writeln!(file, "{text}").and_then(|()| file.as_file().sync_all());
    written.map_err(|cause| Error::io(doing(), cause))?;
    file.persist(&path).map_err(|cause| Error::io(doing(), cause.error))?;
    Ok(true)
}

/// The file as a JSON object; an absent or empty one is an empty object.
fn read(path: &Path) -> Result<Map<String, Value>> {
    let bytes = read_bounded(path)?.unwrap_or_default();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    // The cause could quote what stands there, and that is secret.
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Error::usage(format!("`{}` is not a JSON object; it is left as it is", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn source(path: &Path) -> Source {
        Source { places: vec![Place::File(path.to_path_buf())], ..Source::default() }
    }

    fn host(text: &str) -> Registry {
        text.parse().unwrap()
    }

    async fn user(source: &Source, registry: &str) -> Option<String> {
        let found = source.find(&host(registry), "", PATIENCE).await.unwrap();
        found.credential.and_then(|credential| credential.account().map(str::to_string))
    }

    #[tokio::test]
    async fn what_is_kept_is_found_and_the_rest_of_the_file_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/config.json");
        let source = source(&path);
        source.keep(&host("a.test:5000"), "ann", "secret", PATIENCE).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(user(&source, "a.test:5000").await.as_deref(), Some("ann"));
        let text =
            r#"{"psFormat": "x", "auths": {"https://a.test:5000/v2/": {"auth": "eDp5"}, "b.test": {"auth": "eDp5"}}}"#;
        fs::write(&path, text).unwrap();
        source.keep(&host("a.test:5000"), "bob", "secret", PATIENCE).await.unwrap();
        assert_eq!(user(&source, "a.test:5000").await.as_deref(), Some("bob"));
        assert_eq!(user(&source, "b.test").await.as_deref(), Some("x"));
        let told = source.forget(&host("a.test:5000"), PATIENCE).await.unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!(user(&source, "a.test:5000").await, None);
        let left: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(left, json!({"psFormat": "x", "auths": {"b.test": {"auth": "eDp5"}}}));
        assert!(source.forget(&host("a.test:5000"), PATIENCE).await.unwrap().is_empty(), "nothing is left to forget");
    }

    #[tokio::test]
    async fn docker_hub_has_one_entry_whatever_it_is_called() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.json");
        let source = source(&path);
        source.keep(&host("docker.io"), "ann", "secret", PATIENCE).await.unwrap();
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(file["auths"]["https://index.docker.io/v1/"]["auth"].is_string());
        assert_eq!(source.forget(&host("index.docker.io"), PATIENCE).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_no_object_is_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.json");
        for text in ["[]", "{", r#"{"auths": 7}"#] {
            fs::write(&path, text).unwrap();
            assert!(source(&path).keep(&host("a.test"), "ann", "secret", PATIENCE).await.is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_helper_keeps_and_forgets() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("kept");
        let program = home.path().join("docker-credential-fake");
        let script = format!(
            "#!/bin/sh\ncase $1 in\nstore) cat > {0};;\nget) if [ -e {0} ]; then cat {0}; else echo 'credentials not found in native keychain'; exit 1; fi;;\nerase) rm {0};;\nesac\n",
            kept.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let path = home.path().join("config.json");
        fs::write(&path, r#"{"credsStore": "fake", "auths": {"a.test": {"auth": "eDp5"}}}"#).unwrap();
        let mut source = source(&path);
        let search = std::env::join_paths([home.path().as_os_str(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
        source.search = Some(search);
        let how = source.keep(&host("a.test"), "ann", "secret", PATIENCE).await.unwrap();
        assert_eq!(how, Kept::Helper("docker-credential-fake".into()));
        assert!(!fs::read_to_string(&path).unwrap().contains("eDp5"), "the older entry would be found first");
        assert_eq!(user(&source, "a.test").await.as_deref(), Some("ann"));
        assert_eq!(source.forget(&host("a.test"), PATIENCE).await.unwrap(), ["the helper `docker-credential-fake`"]);
        assert_eq!(user(&source, "a.test").await, None);
    }
}
