//! Stage 6: the shape of the trees together: nothing stands below a file, parents are there, whiteouts hide what is not written
//! again. Entries with layers in, the same and their parents out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{DIR_MODE, Own};
use crate::error::{Finding, Report, printable};
use crate::layer::tree::{Body, Entry, Mode};
use crate::manifest::Item;
use crate::source::{FileIndex, Kind};

/// Adds parents and whiteouts and refuses what cannot be.
pub fn shape(
    mut own: Own,
    index: &FileIndex,
    items: &[Item],
    whiteouts: BTreeMap<String, (u32, Entry)>,
    report: &mut Report,
) -> Own {
    below_files(&own, items, report);
    parents(&mut own, index);
    hide(&mut own, items, whiteouts, report);
    own
}

/// Refuses entries below something that is no directory.
fn below_files(own: &Own, items: &[Item], report: &mut Report) {
    let mut told = BTreeSet::new();
    for (path, (_, entry)) in own.iter() {
        let Some((above, (_, blocking))) = above(path).find_map(|above| Some((above, own.get(above)?))) else {
            continue;
        };
        let help = match &blocking.body {
            Body::Directory | Body::Whiteout => continue,
            Body::Link(target) => {
                format!("`/{}` is a link to `{}`; write to where it leads", printable(above), printable(target))
            }
            Body::File(_) => format!("`/{}` is a file", printable(above)),
        };
        // Of the many files of a copied directory, the first says it for all.
        if !told.insert((entry.item, blocking.item)) {
            continue;
        }
        report.add(
            Finding::error("conflict", format!("`/{}` lies below something that is no directory", printable(path)))
                .at(&items[entry.item as usize].place, "here")
                .and(&items[blocking.item as usize].place, format!("`/{}` comes from here", printable(above)))
                .help(help),
        );
    }
}

/// The directories above a path, the nearest first, without the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once('/'), |(above, _)| above.rsplit_once('/')).map(|(above, _)| above)
}

/// Writes parents that neither the base nor another entry has, in the first layer that needs them.
fn parents(own: &mut Own, index: &FileIndex) {
    let mut needed: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (path, (layer, entry)) in own.iter() {
        for above in above(path) {
            let base = matches!(index.get(above).map(|node| &node.kind), Some(Kind::Directory));
            if base && !own.contains_key(above) {
                break;
            }
            match needed.get_mut(above) {
                Some((first, _)) if *first <= *layer => break,
                Some((first, item)) => (*first, *item) = (*layer, entry.item),
                None => drop(needed.insert(above.to_string(), (*layer, entry.item))),
            }
        }
    }
    for (path, (layer, item)) in needed {
        match own.get_mut(&path) {
            Some((known, _)) => *known = layer.min(*known),
            None => {
                let mode = Mode::Fixed(DIR_MODE);
                let entry = Entry { body: Body::Directory, mode, uid: 0, gid: 0, capabilities: 0, item };
                own.insert(&path, (layer, entry));
            }
        }
    }
}

/// Adds the whiteouts; one below another is needless, one over an own entry is refused.
fn hide(own: &mut Own, items: &[Item], whiteouts: BTreeMap<String, (u32, Entry)>, report: &mut Report) {
    for (path, (layer, entry)) in &whiteouts {
        if above(path).any(|above| whiteouts.contains_key(above)) {
            continue;
        }
        let below = format!("{path}/");
        let written = own
            .get(path)
            .into_iter()
            .chain(own.starting(&below).take_while(|(at, _)| at.starts_with(&below)).map(|(_, it)| it));
        if let Some((_, other)) = written.into_iter().next() {
            let help = if own.contains_key(path) {
                "leave `[[remove]]` out: a file that is written replaces the base's, and `[[dir]]` with `replace = true` a file or link"
            } else {
                "remove single paths in the directory instead"
            };
            report.add(
                Finding::error("conflict", format!("`/{}` is removed and written at once", printable(path)))
                    .at(&items[entry.item as usize].place, "removed here")
                    .and(&items[other.item as usize].place, "written here")
                    .help(help),
            );
            continue;
        }
        let (directory, name) =
            path.rsplit_once('/').map_or(("", path.as_str()), |(directory, name)| (directory, name));
        let slash = if directory.is_empty() { "" } else { "/" };
        own.insert(&format!("{directory}{slash}.wh.{name}"), (*layer, entry.clone()));
    }
}
