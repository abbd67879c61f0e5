//! Stage 10: what stands in the directory that a manifest is made for. Paths in, texts and kinds out. Reads what is imported and looks
//! at names beside it; follows no link out of the directory.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result, Text, printable};
use crate::import::Beside as Kind;

/// Largest ignore file in bytes.
const MOST_IGNORED: u64 = 1 << 20;
/// Most names of one directory that are looked at.
const MOST_NAMES: usize = 20_000;

/// Whether something is at a path, and be it a link that leads nowhere.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether a directory is at a path.
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// The text of a file that is imported, without a byte order mark.
pub fn text(path: &Path, most: u64) -> Result<Arc<Text>> {
    let name = printable(&path.to_string_lossy());
    let read = || {
        let facts = fs::metadata(path)?;
        if !facts.is_file() {
            return Err(std::io::Error::other("it is not a plain file"));
        }
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::usage(format!("`{name}` does not exist")).hint("name the file that is imported"));
        }
        Err(cause) => return Err(Error::io(format!("reading `{name}`"), cause)),
    };
    if bytes.len() as u64 > most {
        return Err(Error::usage(format!("`{name}` is larger than the limit of {most} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|cause| {
        Error::usage(format!("`{name}` is not UTF-8")).because(cause).hint("save the file as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').map(String::from).unwrap_or(text);
    Ok(Arc::new(Text { path: name.strip_prefix("./").unwrap_or(&name).to_string(), text }))
}

/// What a build with this Dockerfile ignores: the file of its own, else that of the directory. Its name and its text.
pub fn ignored(from: &Path, directory: &Path) -> Result<Option<(String, String)>> {
    let mut own = from.as_os_str().to_os_string();
    own.push(".dockerignore");
    let places = [PathBuf::from(own), directory.join(".dockerignore"), directory.join(".containerignore")];
    let Some(path) = places.iter().find(|path| path.is_file()) else { return Ok(None) };
    let text = text(path, MOST_IGNORED)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Some((printable(&name), text.text.clone())))
}

/// A directory that is looked into.
pub struct Beside {
    root: Option<PathBuf>,
}

impl Beside {
    /// The directory; one that cannot be read holds nothing.
    pub fn new(directory: &Path) -> Beside {
        Beside { root: fs::canonicalize(directory).ok() }
    }

    fn real(&self, path: &str) -> Option<PathBuf> {
        let root = self.root.as_ref()?;
        let real = fs::canonicalize(root.join(path)).ok()?;
        real.starts_with(root).then_some(real)
    }

    /// What stands at a path below it.
    pub fn kind(&self, path: &str) -> Option<Kind> {
        let facts = fs::metadata(self.real(path)?).ok()?;
        if facts.is_dir() { Some(Kind::Directory) } else { facts.is_file().then_some(Kind::File) }
    }

    /// The names in a directory below it, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = self.real(path).and_then(|real| fs::read_dir(real).ok()).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).take(MOST_NAMES).collect();
        names.sort();
        names
    }
}
