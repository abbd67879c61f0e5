//! Stage 6: walks one copied directory. Its globs and the ignore file in, sorted-to-be entries out; what cannot be copied goes into
//! the report. Reads directories and file facts, no content.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode as RawMode, OFlags, Stat};

use super::{Gather, special};
use crate::error::{Error, Finding, Result, printable};
use crate::layer::ignore::Globs;
use crate::layer::listing::{Kind, Listing};
use crate::layer::read::seen_at;
use crate::manifest::Copy;

/// Deepest directory below a copied one.
const DEEPEST: usize = 256;

/// The walk through one directory.
pub(super) struct Walk<'a> {
    pub(super) copy: &'a Copy,
    pub(super) globs: Globs,
    pub(super) matched: Vec<bool>,
    pub(super) listing: Listing,
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
pub fn stays_inside(path: &str, target: &str) -> bool {
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

/// A directory of the walk: held open, so that nobody can put another one in its place while it is read.
pub(super) struct Place<'a> {
    /// The open directory.
    pub(super) handle: OwnedFd,
    /// Where it was found, for messages and the ignore file.
    pub(super) path: &'a Path,
    /// Its path below the copied one, empty for that itself.
    pub(super) below: &'a str,
}

/// Opens a directory without following a link.
pub(super) fn open(at: BorrowedFd<'_>, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, RawMode::empty())?)
}

/// The names in a directory, one behind the other, each with its NUL; and where each begins.
struct Names {
    text: Vec<u8>,
    starts: Vec<usize>,
}

impl Names {
    /// All but `.` and `..`, in the order of their bytes.
    fn read(handle: &OwnedFd) -> io::Result<Names> {
        let mut names = Names { text: Vec::new(), starts: Vec::new() };
        for entry in Dir::read_from(handle)? {
            let entry = entry?;
            if ![c".", c".."].contains(&entry.file_name()) {
                names.starts.push(names.text.len());
                names.text.extend(entry.file_name().to_bytes_with_nul());
            }
        }
        // The NUL that ends a name is less than any byte of another one.
        let Names { text, starts } = &mut names;
        starts.sort_unstable_by(|one, two| text[*one..].cmp(&text[*two..]));
        Ok(names)
    }

    fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.starts.iter().filter_map(|start| CStr::from_bytes_until_nul(&self.text[*start..]).ok())
    }
}

impl Gather<'_> {
    /// Adds what is wanted in and below a directory.
    pub(super) fn walk(&mut self, walk: &mut Walk<'_>, place: &Place<'_>, depth: usize) -> Result<()> {
        self.ctx.cancel.check()?;
        let directory = || printable(&place.path.to_string_lossy());
        let failed = |cause| Error::io(format!("reading the directory `{}`", directory()), cause);
        if depth > DEEPEST {
            return Err(Error::usage(format!("`{}` is nested deeper than {DEEPEST} directories", directory())));
        }
        let mut path = String::new();
        for name in Names::read(&place.handle).map_err(failed)?.iter() {
            let Ok(text) = name.to_str() else {
                let message = format!("the name {name:?} in `{}` is not UTF-8", directory());
                let finding = Finding::error("name", message).at(&walk.copy.source.place, "copied from here");
                self.report.add(finding.help("rename it, or leave it out with `exclude`"));
                continue;
            };
            let facts = rustix::fs::statat(&place.handle, name, AtFlags::SYMLINK_NOFOLLOW);
            let facts = facts.map_err(|cause| failed(cause.into()))?;
            let is_directory = FileType::from_raw_mode(facts.st_mode) == FileType::Directory;
            path.clear();
            path.push_str(place.below);
            path.push_str(if place.below.is_empty() { "" } else { "/" });
            path.push_str(text);
            if walk.globs.excludes(&path, is_directory) {
                continue;
            }
            let ignored = self.ignores(place.path, text, &path);
            if ignored && !(is_directory && self.ignore.takes_back()) {
                continue;
            }
            if is_directory {
                let handle = open(place.handle.as_fd(), Path::new(text)).map_err(failed)?;
                let inner = Place { handle, path: &place.path.join(text), below: &path };
                self.directory(walk, &inner, ignored, depth)?;
            } else if walk.wants(&path, false) {
                self.leaf(walk, place, name, &path, &facts)?;
            }
        }
        Ok(())
    }

    /// Whether the ignore file leaves out this name in a directory, at this path below the copied one; its patterns are relative to the
    /// manifest's directory, and for a source outside of that to the source.
    fn ignores(&self, within: &Path, name: &str, path: &str) -> bool {
        if self.ignore.is_empty() {
            return false;
        }
        match within.join(name).strip_prefix(&self.directory).map(Path::to_str) {
            Ok(Some(path)) => self.ignore.excludes(path),
            _ => self.ignore.excludes(path),
        }
    }

    /// A directory is copied if it is wanted itself or something in it is.
    fn directory(&mut self, walk: &mut Walk<'_>, place: &Place<'_>, ignored: bool, depth: usize) -> Result<()> {
        let before = walk.listing.len();
        let wanted = !ignored && walk.wants(place.below, true);
        self.walk(walk, place, depth + 1)?;
        if wanted || walk.listing.len() > before {
            walk.listing.push(place.below, Kind::Directory)?;
        }
        Ok(())
    }

    fn leaf(&mut self, walk: &mut Walk<'_>, within: &Place<'_>, name: &CStr, path: &str, facts: &Stat) -> Result<()> {
        let source = &walk.copy.source;
        let place = &source.place;
        let shown = || printable(&format!("{}/{path}", source.written.trim_end_matches('/')));
        let kind = FileType::from_raw_mode(facts.st_mode);
        if kind == FileType::Symlink {
            let target = rustix::fs::readlinkat(&within.handle, name, Vec::new())
                .map_err(|cause| Error::io(format!("reading `{}`", shown()), cause.into()))?;
            match target.to_str() {
                Ok(target) if stays_inside(path, target) => {
                    walk.listing.push(path, Kind::Link(target))?;
                }
                _ => {
                    let target = printable(&target.to_string_lossy());
                    let message = format!("the link `{}` leads out of the tree, to `{target}`", shown());
                    self.report.add(
                        Finding::error("link-outside", message).at(place, "copied from here").help(
                            "leave it out with `exclude`, and declare it with `[[symlink]]` if the image needs it",
                        ),
                    );
                }
            }
        } else if let Some(kind) = special(kind) {
            let finding = Finding::error("source", format!("`{}` is {kind}", shown()));
            self.report.add(finding.at(place, "copied from here").help("leave it out with `exclude`"));
        } else {
            self.bits(shown, source, facts.st_mode);
            walk.listing.push(path, Kind::File(seen_at(facts)))?;
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
