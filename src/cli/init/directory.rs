//! Stage 10: what `init` sees of a directory: the names of its files, and the texts of those that say what a project is. Reads the
//! directory, and nothing behind its links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// How deep it is looked: `target/release/app.jar` and `cmd/server/main.go` are three parts.
const DEPTH: usize = 3;
/// The most names that are looked at; what a project is stands near its top.
const MOST_NAMES: usize = 20_000;
/// The largest text that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Directories that hold other people's files, or nothing that speaks of the project.
const PASSED_OVER: [&str; 6] = [".git", "node_modules", ".venv", "venv", "vendor", "__pycache__"];
/// Files of the top whose text is read.
const TEXTS: [&str; 9] = [
    "Cargo.toml",
    "go.mod",
    "package.json",
    "pyproject.toml",
    "requirements.txt",
    "pom.xml",
    "settings.gradle",
    "CMakeLists.txt",
    "Makefile",
];

/// A directory, as far as `init` looks.
#[derive(Debug, Default)]
pub struct Directory {
    /// What it is called.
    pub name: String,
    /// Paths of its files below it, with `/`.
    pub files: BTreeSet<String>,
    /// Paths of its directories.
    pub directories: BTreeSet<String>,
    /// What stands in the files of its top that say what a project is.
    pub texts: BTreeMap<String, String>,
}

impl Directory {
    /// Looks at a directory.
    pub fn look(path: &Path) -> Result<Directory> {
        let failed = |cause| Error::io(format!("looking at `{}`", path.display()), cause);
        let whole = fs::canonicalize(path).map_err(failed)?;
        let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut seen = Directory { name, ..Directory::default() };
        seen.walk(path, "", DEPTH).map_err(failed)?;
        for name in TEXTS {
            if seen.files.contains(name) {
                let file = path.join(name);
                let small = fs::metadata(&file).is_ok_and(|data| data.is_file() && data.len() <= MOST_BYTES);
                // What is not text says nothing.
                if let Some(text) = small.then(|| fs::read_to_string(file).ok()).flatten() {
                    seen.texts.insert(name.to_string(), text);
                }
            }
        }
        Ok(seen)
    }

    fn walk(&mut self, directory: &Path, below: &str, depth: usize) -> std::io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.files.len() + self.directories.len() >= MOST_NAMES {
                return Ok(());
            }
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_file() {
                self.files.insert(path);
            } else if kind.is_dir() {
                if depth > 1 && !PASSED_OVER.contains(&name.as_str()) {
                    self.walk(&entry.path(), &path, depth - 1)?;
                }
                self.directories.insert(path);
            }
        }
        Ok(())
    }

    /// The text of a file of the top.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// Whether there is such a directory.
    pub fn holds(&self, path: &str) -> bool {
        self.directories.contains(path)
    }

    /// The file below this directory, or at the top for "", that ends so; the first by name.
    pub fn ending(&self, directory: &str, end: &str) -> Option<&str> {
        let in_it = |path: &&String| match path.rsplit_once('/') {
            Some((above, _)) => above == directory,
            None => directory.is_empty(),
        };
        self.files.iter().filter(in_it).find(|path| path.ends_with(end)).map(String::as_str)
    }
}

impl Directory {
    /// A directory of these files, those of the top with their texts, which nobody looked at.
    pub fn with(name: &str, files: &[(&str, &str)]) -> Directory {
        let mut made = Directory { name: name.to_string(), ..Directory::default() };
        for (path, text) in files {
            made.files.insert((*path).to_string());
            for (at, _) in path.match_indices('/') {
                made.directories.insert(path[..at].to_string());
            }
            if TEXTS.contains(path) {
                made.texts.insert((*path).to_string(), (*text).to_string());
            }
        }
        made
    }
}
