//! Stage 7: efficiency and waste by the definition of dive, for those who have budgets in its terms. Layers in, two numbers out. Pure.
//!
//! A path counts in each layer where it is a leaf: with its size, a whiteout of a directory with all bytes that it hides, anything else with
//! none. The efficiency is the sum of each path's smallest size by the sum of all its sizes; the waste is all sizes of the paths that
//! count twice or more. So what is seen counts as waste too, and a directory that is removed as none.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::below;
use crate::source::inside::{Body, Held, Inside, Name};

/// What dive would say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// From 0 to 1, on four digits.
    pub efficiency: f64,
    /// In bytes.
    pub wasted: u64,
}

/// How often a path counts, and with what.
#[derive(Default)]
struct Path {
    count: u64,
    sum: u64,
    least: u64,
}

/// The score of an image.
pub fn score(layers: &[Inside]) -> Score {
    let mut paths: BTreeMap<&Name, Path> = BTreeMap::new();
    let mut stack: BTreeMap<&Name, &Held> = BTreeMap::new();
    for inside in layers {
        let all: BTreeSet<&Name> = inside.held.keys().chain(&inside.whiteouts).collect();
        for path in &all {
            if next_below(&all, path) {
                continue;
            }
            let bytes = match inside.held.get(*path) {
                Some(held) => size(held),
                None => hidden(&stack, path),
            };
            let known = paths.entry(path).or_default();
            known.least = if known.count == 0 { bytes } else { known.least.min(bytes) };
            (known.count, known.sum) = (known.count + 1, known.sum + bytes);
        }
        for path in &inside.opaque {
            remove_below(&mut stack, path);
        }
        for path in &inside.whiteouts {
            stack.remove(path);
            remove_below(&mut stack, path);
        }
        stack.extend(&inside.held);
    }
    let (least, sum) = paths
        .values()
        .fold((0u128, 0u128), |(least, sum), path| (least + u128::from(path.least), sum + u128::from(path.sum)));
    let efficiency = (least * 10_000).checked_div(sum).unwrap_or(10_000) as f64 / 10_000.0;
    Score { efficiency, wasted: paths.values().filter(|path| path.count > 1).map(|path| path.sum).sum() }
}

/// Whether something of the layer stands below a path.
fn next_below(all: &BTreeSet<&Name>, path: &Name) -> bool {
    let from = above(path);
    all.range::<Name, _>(&from..).next().is_some_and(|next| next.starts_with(&from))
}

/// What all paths below a path begin with.
fn above(path: &Name) -> Name {
    below(path).0.into()
}

fn size(held: &Held) -> u64 {
    match &held.body {
        Body::File(content) if content.twin.is_none() => content.size,
        _ => 0,
    }
}

/// The bytes below a directory that a whiteout hides.
fn hidden(stack: &BTreeMap<&Name, &Held>, path: &Name) -> u64 {
    let directory = stack.get(path).is_some_and(|held| matches!(held.body, Body::Directory | Body::Implied));
    let from = above(path);
    let inner = stack.range::<Name, _>(&from..).take_while(|(name, _)| name.starts_with(&from));
    if directory { inner.map(|(_, held)| size(held)).sum() } else { 0 }
}

fn remove_below(stack: &mut BTreeMap<&Name, &Held>, path: &Name) {
    let from = above(path);
    let inner = stack.range::<Name, _>(&from..).take_while(|(name, _)| name.starts_with(&from));
    let names: Vec<&Name> = inner.map(|(name, _)| *name).collect();
    for name in names {
        stack.remove(name);
    }
}
