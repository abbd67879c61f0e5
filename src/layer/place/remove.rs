//! Stage 6: what of the base is taken away: whiteouts, and what a directory replaces. Items and the base's files in, entries out;
//! what cannot be removed goes into the report. Pure.

use std::collections::BTreeMap;

use super::{PLAIN_MODE, Place};
use crate::error::{Finding, printable};
use crate::layer::tree::{Body, Entry, Mode};
use crate::manifest::grammar::nearest;
use crate::manifest::{Item, What};
use crate::source::{FileIndex, Kind, Parent};

/// The paths of the base that the items take away: what is removed, and what a directory replaces. Nothing goes through them.
pub(super) fn gone(items: &[Item], index: &FileIndex) -> Vec<String> {
    let taken = items.iter().filter_map(|item| {
        let Parent::Real { path, .. } = index.resolve_parent(&item.dest) else { return None };
        let node = index.get(&path)?;
        let replaced = item.replace && matches!(item.what, What::Dir) && node.kind != Kind::Directory;
        (replaced || matches!(item.what, What::Remove) && !item.dest.is_empty()).then_some(path)
    });
    taken.collect()
}

impl Place<'_> {
    /// The whiteouts: the hidden path → its layer and entry.
    pub(super) fn whiteouts(&mut self) -> BTreeMap<String, (u32, Entry)> {
        let mut whiteouts = BTreeMap::new();
        for (at, item) in self.items.iter().enumerate().filter(|(_, item)| matches!(item.what, What::Remove)) {
            let Some(real) = self.really(at as u32, &item.dest) else { continue };
            if self.base.get(&real).is_none() {
                self.nothing_to_remove(item, &real);
                continue;
            }
            let entry = Entry {
                body: Body::Whiteout,
                mode: Mode::Fixed(PLAIN_MODE),
                uid: 0,
                gid: 0,
                capabilities: 0,
                item: at as u32,
            };
            whiteouts.insert(real, (self.layers[at], entry));
        }
        whiteouts
    }

    /// Where the base itself has a destination.
    fn really(&mut self, at: u32, dest: &str) -> Option<String> {
        match self.base.resolve_parent(dest) {
            Parent::Real { path, .. } => Some(path),
            Parent::Blocked { at: obstacle, why } => {
                self.blocked(at, dest, &obstacle, why);
                None
            }
        }
    }

    fn nothing_to_remove(&mut self, item: &Item, real: &str) {
        let (directory, name) = real.rsplit_once('/').unwrap_or(("", real));
        let names: Vec<&str> =
            self.base.children(directory).filter_map(|(name, _)| std::str::from_utf8(name).ok()).collect();
        let mut finding =
            Finding::error("nothing-to-remove", format!("the base has nothing at `/{}`", printable(real)))
                .at(&item.place, "");
        finding = match nearest(name, names.into_iter()) {
            Some(near) => {
                let near = if directory.is_empty() { near.to_string() } else { format!("{directory}/{near}") };
                finding.at(&item.place, format!("did you mean `/{}`?", printable(&near)))
            }
            None => finding.help("`[[remove]]` hides what the base has; leave this entry out"),
        };
        self.report.add(finding);
    }
}
