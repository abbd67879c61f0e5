//! Stage 10: what all commands share: options, environment, terminal. The environment is read here for everything but variables
//! of the manifest and credentials.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Global;
use super::terminal::Terminal;
use crate::build::Request;
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::event::Cancel;
use crate::manifest::Outside;
use crate::oci::Registry;
use crate::registry::credentials::{Credential, Source};
use crate::registry::{Client, Hosts, Patience, Settings};
use crate::shared;
use crate::store::{Elsewhere, Memory, Store};
use crate::trust::keys;
use crate::trust::provenance::Builder;
use crate::trust::root::RootOptions;

/// One run of the program.
pub struct Session<'a> {
    /// The options of all commands.
    pub options: &'a Global,
    /// The writer.
    pub terminal: &'a Terminal,
    /// The wish to stop.
    pub cancel: Cancel,
    /// The permission to touch the world.
    pub ctx: Ctx,
    /// Where credentials are looked for.
    pub source: Source,
    settings: Settings,
}

impl<'a> Session<'a> {
    /// A session with these options.
    pub fn new(options: &'a Global, terminal: &'a Terminal) -> Result<Session<'a>> {
        let cancel = Cancel::default();
        let sink = terminal.sink();
        let available = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let settings = Settings::from_environment(options.offline)?;
        let (store, registries) = (
            Store::new(&home()?, memory(options), sink.clone()),
            Client::new(settings.clone(), sink.clone(), cancel.clone())?,
        );
        if let Some(elsewhere) = elsewhere(options.offline, &registries)? {
            store.share(elsewhere);
        }
        let ctx = Ctx { store, registries, sink, jobs: options.jobs.unwrap_or(available), cancel: cancel.clone() };
        Ok(Session { options, terminal, cancel, ctx, source: settings.credentials.clone(), settings })
    }

    /// The same session with other options, which tells its results to this terminal.
    pub fn at<'b>(&'b self, options: &'b Global, terminal: &'b Terminal) -> Session<'b> {
        Session {
            options,
            terminal,
            cancel: self.cancel.clone(),
            ctx: self.ctx.clone(),
            source: self.source.clone(),
            settings: self.settings.clone(),
        }
    }

    /// A client that shows this credential to a registry, and no other one to anybody.
    pub fn client_with(&self, registry: &Registry, credential: Credential) -> Result<Client> {
        let fixed = BTreeMap::from([(registry.as_str().to_string(), credential)]);
        let settings = Settings { credentials: Source { fixed, ..Source::default() }, ..self.settings.clone() };
        Client::new(settings, self.ctx.sink.clone(), self.cancel.clone())
    }

    /// What the command line asks of a build.
    pub fn request(&self) -> Request {
        Request {
            manifest: self.options.file.clone(),
            set: self.options.set.clone(),
            variable,
            platform: None,
            created: None,
            roots: self.roots(None),
        }
    }

    /// Whom signatures are trusted by: this file, else what the environment says (`TUF_MIRROR`, `TUF_ROOT_JSON`).
    pub fn roots(&self, trusted: Option<&Path>) -> RootOptions {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        RootOptions {
            trusted: trusted.map(Path::to_path_buf),
            mirror: named("TUF_MIRROR").and_then(|url| url.into_string().ok()),
            mirror_root: named("TUF_ROOT_JSON").map(PathBuf::from),
            offline: self.options.offline,
            ..RootOptions::default()
        }
    }

    /// Where `registries.toml` is looked for, and whether it is there.
    pub fn hosts_file(&self) -> Option<(PathBuf, bool)> {
        Hosts::place().map(|path| {
            let there = path.is_file();
            (path, there)
        })
    }

    /// How long things may take.
    pub fn patience(&self) -> &Patience {
        &self.settings.patience
    }
}

/// What is made of things that were remembered.
fn memory(options: &Global) -> Memory {
    match options {
        Global { no_cache: true, .. } => Memory::Off,
        Global { paranoid: true, .. } => Memory::Careful,
        _ => Memory::Full,
    }
}

/// The cache that is shared with other machines, if `STILLFRAME_SHARED_CACHE` names one.
fn elsewhere(offline: bool, client: &Client) -> Result<Option<Arc<dyn Elsewhere>>> {
    let said = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(address) = said("STILLFRAME_SHARED_CACHE") else { return Ok(None) };
    let reads_only =
        match said("STILLFRAME_SHARED_CACHE_READ_ONLY").as_ref().map(|said| said.to_string_lossy()).as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(other) => {
                let what = format!("STILLFRAME_SHARED_CACHE_READ_ONLY is `{}`", printable(other));
                return Err(Error::usage(what).hint("write `1` or `0`"));
            }
        };
    shared::open(&address.to_string_lossy(), reads_only, offline, client)
}

/// Who builds here, as the CI job says.
pub fn builder() -> Builder {
    Builder::of(&|name| variable(name)?.into_string().ok())
}

/// What the manifest may ask of the world, with these `--set`.
pub fn outside(sets: &[(String, String)]) -> Outside<'_> {
    Outside { sets, env: &variable }
}

/// The password of a private key (`COSIGN_PASSWORD`); set but empty counts.
pub fn password() -> Option<String> {
    std::env::var("COSIGN_PASSWORD").ok()
}

/// What keys may ask of the world.
pub fn keys() -> keys::Outside<'static> {
    keys::Outside { variable: &variable, search: None }
}

/// A variable of the environment.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The store's directory: `$STILLFRAME_HOME`, else the user's cache.
pub fn home() -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let absolute = |path: PathBuf| std::path::absolute(&path).map_err(|cause| Error::io("finding the store", cause));
    if let Some(home) = named("STILLFRAME_HOME") {
        return absolute(home);
    }
    if let Some(cache) = named("XDG_CACHE_HOME").filter(|cache| cache.is_absolute()) {
        return Ok(cache.join("stillframe"));
    }
    match named("HOME") {
        Some(home) => absolute(home.join(".cache").join("stillframe")),
        None => Err(Error::local("there is no place for the store: HOME is not set")
            .hint("set STILLFRAME_HOME to a directory that can be written")),
    }
}
