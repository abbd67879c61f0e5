//! Stage 6: what each item makes, and where. An item and its source in, entries out. Pure.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use super::{DIR_MODE, LINK_MODE, PLAIN_MODE, Place};
use crate::error::{Finding, printable};
use crate::layer::accounts::{GROUP, PASSWD};
use crate::layer::found::{Brought, Found, Piece};
use crate::layer::listing::{self, Listing};
use crate::layer::tree::{Body, Content, Disk, Entry, Mode};
use crate::manifest::{Item, What};
use crate::source::{FileIndex, Kind};

/// The mode of a program.
const PROGRAM_MODE: u16 = 0o755;

/// A path below an item's destination.
fn below(item: &Item, path: &str) -> String {
    if item.dest.is_empty() { path.to_string() } else { format!("{}/{path}", item.dest) }
}

/// The name of a single file, which it keeps in a directory.
fn name(item: &Item) -> Option<&OsStr> {
    match &item.what {
        What::Binary { source, .. } => source.path.file_name(),
        What::Copy(copy) => copy.source.path.file_name(),
        What::Template(template) => template.source.path.file_name(),
        What::Taken(taken) => Path::new(&taken.path).file_name(),
        _ => None,
    }
}

/// The base's files with the accounts that packages bring, if they bring any.
pub(super) fn accounts(found: &[Found], index: &FileIndex) -> Option<FileIndex> {
    let laid = found.iter().find_map(|found| match found {
        Found::Laid(laid, _) => Some(laid),
        _ => None,
    })?;
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let (passwd, group) = (text(&laid.passwd), text(&laid.group));
    (passwd.is_some() || group.is_some()).then(|| index.with_accounts(passwd.as_deref(), group.as_deref()))
}

impl Place<'_> {
    /// Puts the files of packages at their places.
    pub(super) fn packages(&mut self, found: &[Found]) {
        for (at, found) in (0u32..).zip(found) {
            let Found::Laid(laid, _) = found else { continue };
            for (path, file) in &laid.files {
                let (body, mode) = (file.body.clone(), Mode::Fixed(file.mode));
                self.put(at, path, Entry { body, mode, uid: file.uid, gid: file.gid, capabilities: 0, item: at });
            }
        }
    }

    /// Puts the account files of packages where no declared account has made new ones of them.
    pub(super) fn packaged_accounts(&mut self, found: &[Found]) {
        for (at, found) in (0u32..).zip(found) {
            let Found::Laid(laid, _) = found else { continue };
            for (path, text) in [(PASSWD, &laid.passwd), (GROUP, &laid.group)] {
                let Some(text) = text.as_ref().filter(|_| !self.own.contains_key(path)) else { continue };
                let body = Body::File(Content::Inline(text.as_slice().into()));
                let mode = Mode::Fixed(PLAIN_MODE);
                self.put(at, path, Entry { body, mode, uid: 0, gid: 0, capabilities: 0, item: at });
            }
        }
    }

    /// Puts everything that an item makes at its place.
    pub(super) fn item(&mut self, at: u32, item: &Item, found: &Found) {
        if let Found::Bundle(bundle) = found {
            return self.bundle(at, bundle);
        }
        if item.dest.is_empty() && !item.into {
            return; // an account, or a destination that was wrong and is reported
        }
        let (uid, gid) = match &item.owner {
            Some((owner, place)) => match self.accounts.owner(owner, place, self.report) {
                Some(owner) => owner,
                None => return,
            },
            None => (0, 0),
        };
        let entry = |body: Body, mode: Mode| Entry { body, mode, uid, gid, capabilities: 0, item: at };
        let fixed = |default: u16| Mode::Fixed(item.mode.unwrap_or(default));
        let content = item.mode.map_or(Mode::ByContent, Mode::Fixed);
        match (&item.what, found) {
            (What::Binary { capabilities, .. }, Found::File { path, seen }) => {
                let Some(dest) = self.dest(item) else { return };
                let body = Body::File(Content::Disk(Disk::new(Arc::new(Listing::file(path, *seen)), 0)));
                self.put(at, &dest, Entry { capabilities: *capabilities, ..entry(body, fixed(PROGRAM_MODE)) });
            }
            (What::Copy(_), Found::File { path, seen }) => {
                let Some(dest) = self.dest(item) else { return };
                let body = Body::File(Content::Disk(Disk::new(Arc::new(Listing::file(path, *seen)), 0)));
                self.put(at, &dest, entry(body, content));
            }
            (What::Copy(copy), Found::Tree(listing)) => {
                for (row, (path, kind)) in (0u32..).zip(listing.iter()) {
                    let (body, mode) = match kind {
                        listing::Kind::Directory => (Body::Directory, Mode::Fixed(copy.dir_mode)),
                        listing::Kind::Link(target) => (Body::Link(target.into()), Mode::Fixed(LINK_MODE)),
                        listing::Kind::File(_) => (Body::File(Content::Disk(Disk::new(listing.clone(), row))), content),
                    };
                    self.put(at, &below(item, path), entry(body, mode));
                }
            }
            (_, Found::Brought(Brought { pieces, .. })) => {
                for Piece { path, body, mode } in pieces.iter() {
                    let dest = if path.is_empty() { self.dest(item) } else { Some(below(item, path)) };
                    let Some(dest) = dest else { return };
                    self.put(at, &dest, entry(body.clone(), *mode));
                }
            }
            (What::Inline(bytes), _) | (What::Template(_), Found::Text(bytes, _)) => {
                let Some(dest) = self.dest(item) else { return };
                self.put(at, &dest, entry(Body::File(Content::Inline(bytes.clone())), content));
            }
            (What::Dir, _) => self.put(at, &item.dest, entry(Body::Directory, fixed(DIR_MODE))),
            (What::Symlink { target }, _) => {
                let Some(dest) = self.dest(item) else { return };
                self.put(at, &dest, entry(Body::Link(target.as_str().into()), Mode::Fixed(LINK_MODE)));
            }
            _ => {}
        }
    }

    /// The destination of a single thing: into a directory it keeps its name.
    fn dest(&mut self, item: &Item) -> Option<String> {
        let leads_to_directory = || {
            let real = self.index.resolve(&item.dest)?;
            matches!(self.index.get(&real)?.kind, Kind::Directory).then_some(real)
        };
        match (item.into, name(item).and_then(OsStr::to_str)) {
            (true, Some(name)) => {
                Some(if item.dest.is_empty() { name.into() } else { format!("{}/{name}", item.dest) })
            }
            (true, None) => {
                let finding =
                    Finding::error("path", format!("`/{}/` needs the file's name behind it", printable(&item.dest)));
                self.report.add(finding.at(&item.place, "there is no source whose name could be kept"));
                None
            }
            (false, Some(name)) if !item.replace && leads_to_directory().is_some() => {
                let dest = printable(&item.dest);
                self.report.add(
                    Finding::error("base-conflict", format!("the base has a directory at `/{dest}`"))
                        .at(&item.place, "a file is put over it")
                        .help(format!("write `/{dest}/` to put it into the directory as `{}`", printable(name)))
                        .help("or say `replace = true` to hide the directory"),
                );
                None
            }
            (false, _) => Some(item.dest.clone()),
        }
    }
}
