//! Stage 6: how packages are laid out. Packages taken apart and the base's file index in, files at their places out, and what was not
//! done. Nothing of a package is run. What its scripts would have done and plainly matters is made here, declared in this file's
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

use super::found::Found;
use super::ignore::Globs;
use super::roots::PLACES;
use super::tree::{Body, Content};
use crate::ctx::Ctx;
use crate::error::{Finding, Place, Report, Result};
use crate::manifest::{Manifest, Packages, What};
use crate::plan::{ImagePlan, Plan};
use crate::source::{self, FileIndex, Unpacked};

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

impl File {
    /// A plain file that is made here.
    fn made(content: Vec<u8>) -> File {
        File { body: Body::File(Content::Inline(content.into())), mode: 0o644, uid: 0, gid: 0 }
    }

    /// A link that is made here.
    fn link(target: &str) -> File {
        File { body: Body::Link(target.into()), mode: 0o777, uid: 0, gid: 0 }
    }
}

impl Laid {
    /// The bundle of certificates, if the packages make one; it is taken out, for a trust store that decides what is trusted.
    pub fn take_bundle(&mut self) -> Option<Vec<u8>> {
        match self.files.get(PLACES[0]).map(|file| &file.body) {
            Some(Body::File(Content::Inline(_))) => {}
            _ => return None,
        }
        match self.files.remove(PLACES[0])?.body {
            Body::File(Content::Inline(bytes)) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

/// Fetches the packages of a plan and takes them apart; `found` are the sources of its items, which they join.
pub async fn unpack(
    ctx: &Ctx,
    plan: &Plan,
    manifest: &Manifest,
    mut found: Vec<Vec<Found>>,
) -> Result<Vec<Vec<Found>>> {
    let Some(wanted) = &manifest.packages else { return Ok(found) };
    let unpacked = source::unpack(ctx, plan).await.map_err(|error| error.placed("packages", &wanted.place))?;
    let wanted = Arc::new(wanted.clone());
    for ((image, packages), found) in plan.images.iter().zip(unpacked).zip(&mut found) {
        let items = image.items.iter().zip(found).filter(|(item, _)| matches!(item.what, What::Packages));
        items.for_each(|(_, found)| *found = Found::Packages(packages.clone(), wanted.clone()));
    }
    Ok(found)
}

/// The same sources of an image's items; packages among them are laid out on its base.
pub fn lay_found(
    image: &ImagePlan,
    found: Vec<Found>,
    index: &FileIndex,
    base: &str,
    report: &mut Report,
) -> Vec<Found> {
    let store = image.items.iter().any(|item| matches!(item.what, What::TrustStore(_)));
    let mut lay_one = |found: Found| match found {
        Found::Packages(packages, wanted) => {
            let mut laid = lay(&packages, &wanted, index, base, report);
            let bundle = if store { laid.take_bundle() } else { None };
            Found::Laid(Arc::new(laid), bundle.map(Into::into))
        }
        other => other,
    };
    found.into_iter().map(&mut lay_one).collect()
}

/// Lays packages out on a base; `base` is the text of its package database. What is wrong, and what was not done, goes into the report.
pub fn lay(packages: &[Unpacked], wanted: &Packages, index: &FileIndex, base: &str, report: &mut Report) -> Laid {
    let place = &wanted.place;
    let Some(exclude) = excluded(&wanted.exclude, report) else { return Laid::default() };
    let mut files = merge::merge(packages, &exclude, index, place, report);
    for (path, file) in
        record::records(packages, wanted, &files, index, base).into_iter().chain(made::made(packages, &files))
    {
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
