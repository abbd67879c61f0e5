//! Stage 8: fetches a database of vulnerabilities: one zip archive of OSV records for each world of packages. A URL in, archives in a
//! directory out, each with its state beside it. Asks the URL and writes the directory; the only thing of a scan that uses the network.
//!
//! An archive is fetched into a temporary beside its place, must be what it is said to be and hold records of its world, and only then
//! takes its place: what does not work leaves the old one.

use std::fs;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::database::{self, MOST_ARCHIVE};
use super::osv::Sketch;
use super::state::{self, State};
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::registry::Newer;
use crate::store;

/// The worlds that are fetched where none is named: those whose packages can be in an image.
pub const USUAL: [&str; 4] = ["Alpine", "Debian", "Go", "crates.io"];
/// Where osv.dev offers its archives (its page "Data dumps").
pub const URL: &str = "https://osv-vulnerabilities.storage.googleapis.com/{ecosystem}/all.zip";
/// What stands for the name of a world in a URL.
const NAME: &str = "{ecosystem}";
/// Longest name of a world.
const MOST_NAME: usize = 100;

/// What came of one world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The world.
    pub ecosystem: String,
    /// Its archive.
    pub path: PathBuf,
    /// What the archive is.
    pub state: State,
    /// Whether it is another one than before.
    pub changed: bool,
    /// How many records it has, if it is new.
    pub records: Option<u64>,
}

/// Fetches the archive of one world; `expected` is the digest that it must have.
pub async fn update(ctx: &Ctx, ecosystem: &str, url: &str, to: &Path, expected: Option<Digest>) -> Result<Updated> {
    let context = |error: Error| error.context(format!("updating the vulnerabilities of `{}`", printable(ecosystem)));
    named(ecosystem)?;
    let path = to.join(format!("{ecosystem}.zip"));
    let url = url.replace(NAME, &ecosystem.replace(' ', "%20"));
    let failed = |cause| Error::io(format!("writing the database `{}`", to.display()), cause);
    fs::create_dir_all(to).map_err(failed)?;
    let key = Digest::of(fs::canonicalize(to).map_err(failed)?.join(&path).as_os_str().as_encoded_bytes());
    let (store, what) = (ctx.store.clone(), format!("the vulnerabilities of `{ecosystem}`"));
    let turn = tokio::task::spawn_blocking(move || store.turn(&what, &key));
    let _turn = turn.await.map_err(|cause| Error::bug("a waiting thread broke down").because(cause))?;
    let before = before(&path, &url);
    let mut file = tempfile::Builder::new().prefix(".update-").tempfile_in(to).map_err(failed)?;
    let known = before.as_ref().and_then(|state| state.etag.as_deref());
    let newer = ctx.registries.newer(&url, known, MOST_ARCHIVE, &mut file).await.map_err(context)?;
    let etag = match (newer, before) {
        (Newer::Same, Some(state)) => {
            refuse(expected, &state.digest).map_err(context)?;
            return Ok(Updated { ecosystem: ecosystem.to_string(), path, state, changed: false, records: None });
        }
        (Newer::Same, None) => return Err(Error::bug("nothing was known, and it was unchanged")),
        (Newer::Came(etag), _) => etag,
    };
    let (task, ecosystem) = (ctx.clone(), ecosystem.to_string());
    let done = tokio::task::spawn_blocking(move || {
        take(&task, file, &ecosystem, State { url, etag, digest: key, size: 0 }, path, expected)
    });
    done.await.map_err(|cause| Error::bug("a reading thread broke down").because(cause))?.map_err(context)
}

/// Checks what was fetched and puts it in its place.
fn take(
    ctx: &Ctx,
    mut file: NamedTempFile,
    ecosystem: &str,
    state: State,
    path: PathBuf,
    expected: Option<Digest>,
) -> Result<Updated> {
    let failed = |cause| Error::io(format!("writing the database `{}`", path.display()), cause);
    file.rewind().map_err(failed)?;
    let (digest, size) = store::digest(file.as_file()).map_err(failed)?;
    refuse(expected, &digest)?;
    let records = about(ctx, file.path(), ecosystem)?;
    let state = State { digest, size, ..state };
    let beside = state::beside(&path);
    // Without a state an archive is taken as it is: whenever this ends, the two fit.
    match fs::remove_file(&beside) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
        _ => {}
    }
    publish(file, &path).map_err(failed)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".update-").tempfile_in(directory).map_err(failed)?;
    file.write_all(&state::write(&state)).map_err(failed)?;
    publish(file, &beside).map_err(failed)?;
    let changed = true;
    Ok(Updated { ecosystem: ecosystem.to_string(), path, state, changed, records: Some(records) })
}

fn publish(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// What is known of the archive that is there, if it is whole and came from the same place.
fn before(path: &Path, url: &str) -> Option<State> {
    let state = state::read(path).ok()??;
    let file = fs::File::open(path).ok()?;
    (state.url == url && state::check(path, &file).is_ok()).then_some(state)
}

fn refuse(expected: Option<Digest>, found: &Digest) -> Result<()> {
    match expected {
        Some(expected) if expected != *found => {
            Err(Error::remote(format!("the archive is {found}, but it must be {expected}")))
        }
        _ => Ok(()),
    }
}

/// How many records an archive has; an error where it has none of its world.
fn about(ctx: &Ctx, path: &Path, ecosystem: &str) -> Result<u64> {
    let mut own = false;
    let records = database::each(path, &ctx.cancel, &mut |bytes| {
        let sketch: Sketch = serde_json::from_slice(bytes).map_err(|cause| format!("it is no OSV record: {cause}"))?;
        let mut packages = sketch.affected.iter().filter_map(|about| about.package.as_ref());
        own |= packages
            .any(|package| package.ecosystem == ecosystem || package.ecosystem.starts_with(&format!("{ecosystem}:")));
        Ok(())
    });
    match records {
        Ok(records) if own => Ok(records),
        Ok(_) => Err(Error::remote("the archive that came has no record of it")),
        Err(error) => Err(Error::remote("the archive that came is not one of OSV records").because(error)),
    }
}

fn named(ecosystem: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_: ".contains(&byte);
    let good = !ecosystem.is_empty() && ecosystem.len() <= MOST_NAME && ecosystem.bytes().all(plain);
    if good && !ecosystem.starts_with('.') {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` is no name of a world of packages", printable(ecosystem)))
        .hint("as in `Debian`, `Alpine`, `Go` or `crates.io`"))
}
