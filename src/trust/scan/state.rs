//! Stage 8: what is known about an archive that `update-db` fetched: `NAME.state` beside it. Reads and writes that file.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::json::canonical;
use crate::store;
use crate::trust::root;

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// From where.
    pub url: String,
    /// What the server calls this version of it (`ETag`).
    #[serde(default)]
    pub etag: Option<String>,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
}

/// Where the state of an archive is kept.
pub fn beside(archive: &Path) -> PathBuf {
    let mut name = archive.file_name().unwrap_or_default().to_os_string();
    name.push(".state");
    archive.with_file_name(name)
}

/// What is known about an archive, if anything is.
pub fn read(archive: &Path) -> Result<Option<State>> {
    let path = beside(archive);
    if !path.is_file() {
        return Ok(None);
    }
    let text = root::read(&path)?;
    let wrong = |cause| Error::local(format!("`{}` is not what `update-db` writes", path.display())).because(cause);
    serde_json::from_str(&text).map(Some).map_err(wrong)
}

/// The bytes of the file that says this.
pub fn write(state: &State) -> Vec<u8> {
    canonical(state)
}

/// Refuses an archive whose bytes are not those that were fetched. One that came otherwise is taken as it is.
pub fn check(archive: &Path, file: &File) -> Result<()> {
    let Some(state) = read(archive)? else { return Ok(()) };
    let failed = |cause| Error::io(format!("reading the database `{}`", archive.display()), cause);
    if store::digest(file).map_err(failed)? != (state.digest, state.size) {
        return Err(Error::local(format!(
            "`{}` is not what was fetched: it was damaged or changed",
            archive.display()
        ))
        .hint(format!("run `stillframe update-db`; where you changed it, remove `{}`", beside(archive).display())));
    }
    Ok(())
}
