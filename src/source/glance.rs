//! Stage 5: what files look like from outside, to see that one of them changed. Paths in; time, size and number of every file at and
//! below them out. Reads no content.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Most files that are looked at.
const MOST_FILES: usize = 200_000;

/// What files look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance(BTreeMap<PathBuf, (i64, i64, u64, u64)>);

impl Glance {
    /// A path that looks other, has come or has gone.
    pub fn change(&self, later: &Glance) -> Option<PathBuf> {
        let differs = |(path, facts): &(&PathBuf, &(i64, i64, u64, u64))| self.0.get(*path) != Some(*facts);
        let come = later.0.iter().find(differs).map(|(path, _)| path.clone());
        come.or_else(|| self.0.keys().find(|path| !later.0.contains_key(*path)).cloned())
    }
}

/// Looks at all files at and below some paths. What is not there is seen once it comes; `.git` is left out below a directory.
pub fn glance(paths: impl IntoIterator<Item = PathBuf>) -> Result<Glance> {
    let mut found = Glance::default();
    let mut ahead: Vec<PathBuf> = paths.into_iter().collect();
    while let Some(path) = ahead.pop() {
        let Ok(facts) = std::fs::symlink_metadata(&path) else { continue };
        if found.0.len() >= MOST_FILES {
            return Err(Error::usage(format!("there are over {MOST_FILES} files to watch, which is the limit"))
                .hint("name smaller directories in the manifest"));
        }
        if facts.is_dir() {
            let inner = std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
            ahead.extend(inner.filter(|path| path.file_name() != Some(".git".as_ref())));
        } else if facts.file_type().is_symlink() && !found.0.contains_key(&path) {
            ahead.extend(target(&path));
        }
        found.0.insert(path, (facts.mtime(), facts.mtime_nsec(), facts.size(), facts.ino()));
    }
    Ok(found)
}

/// The plain file that a link leads to; links to directories are not followed, so that none leads in circles.
fn target(path: &Path) -> Option<PathBuf> {
    let target = std::fs::canonicalize(path).ok()?;
    target.is_file().then_some(target)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_of_any_kind_is_seen_and_which_file_it_was() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        fs::create_dir_all(at("tree/.git")).unwrap();
        fs::write(at("tree/a"), "a").unwrap();
        fs::write(at("alone"), "x").unwrap();
        std::os::unix::fs::symlink(at("alone"), at("tree/link")).unwrap();
        let look = || glance([at("tree"), at("later")]).unwrap();
        let first = look();
        assert_eq!(first.change(&look()), None);
        let changed = |change: &dyn Fn()| {
            let before = look();
            change();
            before.change(&look()).map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        };
        assert_eq!(changed(&|| fs::write(at("tree/.git/index"), "new").unwrap()), None);
        assert_eq!(changed(&|| fs::write(at("tree/a"), "longer").unwrap()).as_deref(), Some("a"));
        assert_eq!(changed(&|| fs::write(at("alone"), "longer").unwrap()).as_deref(), Some("alone"), "through a link");
        assert_eq!(changed(&|| fs::write(at("later"), "").unwrap()).as_deref(), Some("later"));
        assert_eq!(changed(&|| fs::remove_file(at("later")).unwrap()).as_deref(), Some("later"));
        assert!(changed(&|| fs::rename(at("tree/a"), at("tree/b")).unwrap()).is_some());
    }
}
