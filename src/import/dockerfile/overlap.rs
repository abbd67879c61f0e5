//! Between stages 1 and 2: entries that write the same paths. In a Dockerfile the later one wins silently; a manifest says so. Pure.

use std::collections::BTreeSet;

use super::File;
use super::stage::Stage;
use crate::import::context::{Kind, is_glob, join};
use crate::import::draft::{Block, Entry, What};
use crate::import::value::escape;

/// Most paths that are left out of an entry one by one.
const MOST_EXCLUDED: usize = 20;

/// The paths that an entry writes, as far as they are known.
fn paths(entry: &Entry, file: &File<'_>) -> BTreeSet<String> {
    match &entry.what {
        What::File { .. } | What::Binary { .. } | What::Inline { .. } | What::Link { .. } => [entry.path()].into(),
        What::Tree { src, include, .. } => {
            let dest = entry.dest.trim_end_matches('/');
            let chosen = |path: &str| match include.first() {
                Some(glob) => {
                    let glob = join(src, glob.trim_start_matches('/'));
                    file.context.matching(&glob).iter().any(|found| *found == join(src, path))
                }
                None => true,
            };
            let below = match include.is_empty() {
                true => file.context.below(src),
                false => (file.context.names)(src).into_iter().map(|name| (name, Kind::File)).collect(),
            };
            let files = below.into_iter().filter(|(path, kind)| *kind == Kind::File && chosen(path));
            files.map(|(path, _)| format!("{dest}/{}", escape(&path, false))).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Whether the later entry copies a directory that holds what the earlier one copies, to the same place.
fn covered(earlier: &Entry, later: &Entry) -> bool {
    let (What::File { src: inner } | What::Tree { src: inner, .. }, What::Tree { src, include, .. }) =
        (&earlier.what, &later.what)
    else {
        return false;
    };
    let below = if src.is_empty() { Some(inner.as_str()) } else { inner.strip_prefix(&format!("{src}/")) };
    let dest = later.dest.trim_end_matches('/');
    let narrow = matches!(&earlier.what, What::Tree { include, .. } if !include.is_empty());
    let same = |below: &str| match narrow {
        true => earlier.path() == format!("{dest}/{below}").trim_end_matches('/'),
        false => earlier.path() == format!("{dest}/{below}"),
    };
    include.is_empty() && !is_glob(inner) && below.is_some_and(same)
}

/// Lets later entries win over earlier ones.
pub(super) fn settle(stage: &mut Stage, file: &File<'_>) {
    let written: Vec<Option<BTreeSet<String>>> = stage
        .draft
        .body
        .iter()
        .map(|block| match block {
            Block::Entry(entry) => Some(paths(entry, file)),
            Block::Remark(_) => None,
        })
        .collect();
    let mut gone: BTreeSet<usize> = BTreeSet::new();
    for later in 0..written.len() {
        let Some(mine) = &written[later] else { continue };
        for earlier in (0..later).rev().filter(|at| !gone.contains(at)).collect::<Vec<_>>() {
            let Some(theirs) = &written[earlier] else { continue };
            let (Block::Entry(first), Block::Entry(second)) = (&stage.draft.body[earlier], &stage.draft.body[later])
            else {
                continue;
            };
            let both: Vec<String> = mine.intersection(theirs).cloned().collect();
            if covered(first, second) && (theirs.is_empty() || both.len() == theirs.len())
                || !both.is_empty() && both.len() == theirs.len()
            {
                gone.insert(earlier);
            } else if !both.is_empty() {
                give_way(&mut stage.draft.body, earlier, later, &both);
            }
        }
    }
    for at in gone {
        let Block::Entry(entry) = &stage.draft.body[at] else { continue };
        let mut remarks = entry.remarks.clone();
        remarks.push(format!("  `{}`: a later entry brings the same", entry.path()));
        stage.draft.body[at] = Block::Remark(remarks);
    }
}

/// The later of two entries wins for these paths.
fn give_way(body: &mut [Block], earlier: usize, later: usize, both: &[String]) {
    let replaces = |block: &Block| matches!(block, Block::Entry(entry) if entry.replace);
    if !replaces(&body[earlier]) {
        if let Block::Entry(entry) = &mut body[later] {
            entry.replace = true;
        }
        return;
    }
    let Block::Entry(entry) = &mut body[earlier] else { return };
    let dest = entry.dest.trim_end_matches('/').to_string();
    if let What::Tree { exclude, .. } = &mut entry.what {
        exclude.extend(both.iter().take(MOST_EXCLUDED).filter_map(|path| path.strip_prefix(&dest)).map(String::from));
        exclude.dedup();
    }
}
