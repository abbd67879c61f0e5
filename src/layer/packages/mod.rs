//! Stage 6: how packages are laid out. Packages taken apart and the base's file index in, files at their places out, and what was not
//! done. Pure: nothing of a package is run. What its scripts would have done and plainly matters is made here, declared in this file's
//! rooms; the rest is told.
//!
//! ```text
//! merge    whose file it is, where `/lib` really is     record   the databases that scanners read
//! made     accounts and certificates                    scripts  what was not run, and what that means
//! ```

mod made;
mod merge;
mod record;
mod scripts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ignore::Globs;
use crate::error::{Finding, Place, Report};
use crate::manifest::Packages;
use crate::source::{FileIndex, Stretch, Unpacked};

/// The packages of an image at their places.
#[derive(Debug, Default)]
pub struct Laid {
    /// All files by path, in the order of their bytes.
    pub files: BTreeMap<String, File>,
    /// `/etc/passwd`, where the packages bring one and the base has none.
    pub passwd: Option<Vec<u8>>,
    /// `/etc/group`, likewise.
    pub group: Option<Vec<u8>>,
}

/// One thing that packages bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub body: Body,
    /// Its permission bits, as packaged.
    pub mode: u16,
    /// Its owner, as packaged.
    pub uid: u32,
    /// Its group, as packaged.
    pub gid: u32,
}

/// What something is that packages bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link(String),
    /// A file of a package.
    Packaged(Stretch),
    /// A file that is made here.
    Made(Arc<[u8]>),
}

impl File {
    /// A plain file that is made here.
    fn made(content: Vec<u8>) -> File {
        File { body: Body::Made(content.into()), mode: 0o644, uid: 0, gid: 0 }
    }

    /// A link that is made here.
    fn link(target: &str) -> File {
        File { body: Body::Link(target.to_string()), mode: 0o777, uid: 0, gid: 0 }
    }
}

/// Lays packages out on a base. What is wrong, and what was not done, goes into the report.
pub fn lay(packages: &[Unpacked], wanted: &Packages, index: &FileIndex, report: &mut Report) -> Laid {
    let place = &wanted.place;
    let Some(exclude) = excluded(&wanted.exclude, report) else { return Laid::default() };
    let mut files = merge::merge(packages, &exclude, index, place, report);
    for (path, file) in record::records(packages, index).into_iter().chain(made::made(packages, &files)) {
        // What a package brings itself is its own affair.
        if !exclude.excludes(&path, false) {
            files.entry(path).or_insert(file);
        }
    }
    scripts::told(packages, place, report);
    let (passwd, group) = made::accounts(packages, index, &mut files);
    Laid { files, passwd, group }
}

fn excluded(globs: &[(String, Place)], report: &mut Report) -> Option<Globs> {
    let words: Vec<String> = globs.iter().map(|(glob, _)| glob.trim_start_matches('/').to_string()).collect();
    match Globs::new(&[], &words) {
        Ok(globs) => Some(globs),
        Err((at, error)) => {
            let finding = Finding::error("glob", error.message());
            let finding = match globs.get(at) {
                Some((_, place)) => finding.at(place, ""),
                None => finding,
            };
            report.add(finding.help("globs follow gitignore, as in `usr/share/doc/**`"));
            None
        }
    }
}
