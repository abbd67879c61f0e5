//! Stage 6: walks one copied directory. Its globs and the ignore file in, sorted-to-be entries out; what cannot be copied goes into
//! the report. Reads directories and file facts, no content.

use std::fs;
use std::path::Path;

use super::{Gather, Kind, special};
use crate::error::{Error, Finding, Result, printable};
use crate::layer::ignore::Globs;
use crate::layer::read::seen;
use crate::manifest::Copy;

/// Deepest directory below a copied one.
const DEEPEST: usize = 256;

/// The walk through one directory.
pub(super) struct Walk<'a> {
    pub(super) copy: &'a Copy,
    pub(super) globs: Globs,
    pub(super) matched: Vec<bool>,
    pub(super) entries: Vec<(String, Kind)>,
}

impl Walk<'_> {
    fn wants(&mut self, path: &str, directory: bool) -> bool {
        let mut wanted = !self.globs.chooses();
        for at in self.globs.includes(path, directory) {
            self.matched[at] = true;
            wanted = true;
        }
        wanted
    }
}

/// Whether a link at `path` with this target stays inside of the copied directory.
fn stays_inside(path: &str, target: &str) -> bool {
    if target.starts_with('/') || target.is_empty() {
        return false;
    }
    let mut depth = path.matches('/').count() as i64;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

impl Gather<'_> {
    /// Adds what is wanted in and below a directory.
    pub(super) fn walk(&mut self, walk: &mut Walk<'_>, directory: &Path, below: &str, depth: usize) -> Result<()> {
        self.ctx.cancel.check()?;
        let failed =
            |cause| Error::io(format!("reading the directory `{}`", printable(&directory.to_string_lossy())), cause);
        if depth > DEEPEST {
            return Err(Error::usage(format!(
                "`{}` is nested deeper than {DEEPEST} directories",
                printable(&directory.to_string_lossy())
            )));
        }
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().map(str::to_string) else {
                let finding = Finding::error("name", format!("the name of {:?} is not UTF-8", entry.path()));
                self.report.add(
                    finding
                        .at(&walk.copy.source.place, "copied from here")
                        .help("rename it, or leave it out with `exclude`"),
                );
                continue;
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type().map_err(failed)?;
            if walk.globs.excludes(&path, kind.is_dir()) {
                continue;
            }
            let ignored = match entry.path().strip_prefix(&self.directory).ok().and_then(Path::to_str) {
                Some(path) => self.ignore.excludes(path),
                None => false,
            };
            if ignored && !(kind.is_dir() && self.ignore.takes_back()) {
                continue;
            }
            if kind.is_dir() {
                self.directory(walk, &entry.path(), &path, ignored, depth)?;
            } else if walk.wants(&path, false) {
                self.leaf(walk, &entry.path(), path)?;
            }
        }
        Ok(())
    }

    /// A directory is copied if it is wanted itself or something in it is.
    fn directory(
        &mut self,
        walk: &mut Walk<'_>,
        directory: &Path,
        path: &str,
        ignored: bool,
        depth: usize,
    ) -> Result<()> {
        let before = walk.entries.len();
        let wanted = !ignored && walk.wants(path, true);
        self.walk(walk, directory, path, depth + 1)?;
        if wanted || walk.entries.len() > before {
            walk.entries.push((path.to_string(), Kind::Directory));
        }
        Ok(())
    }

    fn leaf(&mut self, walk: &mut Walk<'_>, file: &Path, path: String) -> Result<()> {
        let place = &walk.copy.source.place;
        let shown = printable(&format!("{}/{path}", walk.copy.source.written.trim_end_matches('/')));
        let facts = fs::symlink_metadata(file).map_err(|cause| Error::io(format!("reading `{shown}`"), cause))?;
        if path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh.")) {
            let finding = Finding::error(
                "path",
                format!("`{shown}` would delete a file of the base: its name is that of a whiteout"),
            );
            self.report.add(finding.at(place, "copied from here").help("rename it, or leave it out with `exclude`"));
        } else if facts.is_symlink() {
            let target = fs::read_link(file).map_err(|cause| Error::io(format!("reading `{shown}`"), cause))?;
            match target.to_str() {
                Some(target) if stays_inside(&path, target) => {
                    walk.entries.push((path, Kind::Link(target.to_string())))
                }
                _ => self.report.add(
                    Finding::error(
                        "link-outside",
                        format!(
                            "the link `{shown}` leads out of the tree, to `{}`",
                            printable(&target.to_string_lossy())
                        ),
                    )
                    .at(place, "copied from here")
                    .help("leave it out with `exclude`, and declare it with `[[symlink]]` if the image needs it"),
                ),
            }
        } else if let Some(kind) = special(&facts) {
            let finding = Finding::error("source", format!("`{shown}` is {kind}"));
            self.report.add(finding.at(place, "copied from here").help("leave it out with `exclude`"));
        } else {
            let source = walk.copy.source.clone();
            self.bits(&shown, &source, &facts);
            walk.entries.push((path, Kind::File(seen(&facts))));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::stays_inside;

    #[test]
    fn links_that_leave_the_tree() {
        for inside in ["b", "./b", "sub/../b", "../b"] {
            assert!(stays_inside("a/link", inside), "{inside}");
        }
        for outside in ["/etc/passwd", "../../b", "sub/../../../b", ""] {
            assert!(!stays_inside("a/link", outside), "{outside}");
        }
    }
}
