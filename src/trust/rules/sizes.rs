//! Stage 8: the rules on sizes: of the image, its layers, its files, and of what is stored for nothing. Pure.
//!
//! Before an image is packed its own layers have no size yet; what cannot be told then is said, and judged by a build.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{Thing, View};
use super::{Found, Seen, Subject};
use crate::error::{Place, Severity, printable};
use crate::layer::tree::{Body, Entry, Mode, Tree};
use crate::manifest::rules::{MAX_FILE_SIZE, MAX_LAYER_SIZE, MAX_LAYERS, MAX_SIZE, MAX_WASTED, Rule};
use crate::manifest::shown_size as shown;
use crate::source::Kind;

/// Most layers that a Docker engine stacks.
const ENGINE_LAYERS: u64 = 125;
/// How many of several things are named.
const NAMED: usize = 5;
/// About what a tar and its compression can add to the bytes of an entry.
const AROUND: u64 = 2048;
/// Smallest file of which a copy counts.
const SMALLEST_COPY: u64 = 4096;

/// A layer and its size as it is stored, or the most that it can become.
struct Sized {
    name: String,
    size: u64,
    /// Whether it was made.
    known: bool,
}

/// All layers, lowest first.
fn layers(image: &Seen<'_>) -> Vec<Sized> {
    let base = image.base.manifest.layers.iter().enumerate();
    let base =
        base.map(|(at, layer)| Sized { name: format!("layer {} of the base", at + 1), size: layer.size, known: true });
    let own: Vec<Sized> = match image.made {
        Some(made) => {
            let own = made.layers.iter().filter_map(|layer| Some((layer.name.as_ref()?, layer.descriptor.size)));
            own.map(|(name, size)| Sized { name: format!("layer `{name}`"), size, known: true }).collect()
        }
        None => {
            let own = image.plan.layers.iter().zip(image.trees).filter(|(_, tree)| !tree.is_empty());
            own.map(|(plan, tree)| Sized { name: format!("layer `{}`", plan.name), size: most(tree), known: false })
                .collect()
        }
    };
    base.chain(own).collect()
}

fn most(tree: &Tree) -> u64 {
    let content = |body: &Body| if let Body::File(content) = body { content.size() } else { 0 };
    let entry = |(path, entry): (&str, &_)| {
        let entry: &crate::layer::tree::Entry = entry;
        content(&entry.body).saturating_add(AROUND).saturating_add(path.len() as u64)
    };
    tree.iter().map(entry).fold(0, u64::saturating_add)
}

/// What is larger than a limit, or may be and only a build can tell.
fn over(rule: &'static Rule, what: String, size: (u64, bool), limit: (u64, &Place), help: String) -> Option<Found> {
    let ((size, known), (limit, place)) = (size, limit);
    if size <= limit {
        return None;
    }
    if known {
        let message = format!("{what} has {} as it is stored, {} are allowed", shown(size), shown(limit));
        return Some(Found::new(rule, rule.finding(message).at(place, "").help(help)));
    }
    let message =
        format!("{what} has at most {}: whether that is stored in {} is told by a build", shown(size), shown(limit));
    Some(Found::untold(rule, Severity::Note, rule.finding(message).at(place, "")))
}

/// The image, its layers, and how many they are.
pub(super) fn stored(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let image = &view.image;
    let checks = &subject.plan.checks;
    let layers = layers(image);
    let mut found = Vec::new();
    if let Some(limit) = checks.limit(&MAX_SIZE) {
        let total =
            |known: bool| layers.iter().filter(|layer| layer.known || !known).map(|layer| layer.size).sum::<u64>();
        let all = layers.iter().all(|layer| layer.known);
        let mut largest: Vec<&Sized> = layers.iter().collect();
        largest.sort_by_key(|layer| std::cmp::Reverse(layer.size));
        let largest: Vec<String> =
            largest.iter().take(NAMED).map(|layer| format!("{} {}", layer.name, shown(layer.size))).collect();
        let help = format!("the largest are: {}", largest.join(", "));
        let platform = &image.plan.platform;
        let (what, size) = match all || total(true) > limit.0 {
            true if all => (format!("the image for {platform}"), (total(true), true)),
            true => (format!("the base for {platform} alone"), (total(true), true)),
            false => (format!("the image for {platform}"), (total(false), false)),
        };
        found.extend(over(&MAX_SIZE, what, size, limit, help));
    }
    if let Some(limit) = checks.limit(&MAX_LAYER_SIZE) {
        let help = "put what changes at another pace into a layer of its own with `layer = \"…\"`";
        let judge =
            |layer: &Sized| over(&MAX_LAYER_SIZE, layer.name.clone(), (layer.size, layer.known), limit, help.into());
        found.extend(layers.iter().filter_map(judge));
    }
    let (most, place) = checks.limit(&MAX_LAYERS).unwrap_or((ENGINE_LAYERS, &image.plan.base.1));
    if layers.len() as u64 > most {
        let message = format!("the image has {} layers, {most} are allowed", layers.len());
        let finding = MAX_LAYERS.finding(message).at(place, "");
        let base = format!("the base has {} of them", image.base.manifest.layers.len());
        found.push(Found::new(&MAX_LAYERS, finding.help(base)));
    }
    found
}

/// Files that are too large.
pub(super) fn files(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let Some((limit, place)) = subject.plan.checks.limit(&MAX_FILE_SIZE) else { return Vec::new() };
    let large = view.all().filter_map(|(path, thing)| Some((path, thing, thing.size().filter(|size| *size > limit)?)));
    let found = large.map(|(path, thing, size)| {
        let of = if thing.foreign() { " of the base" } else { "" };
        let message = format!("`/{}`{of} has {}, {} are allowed", printable(path), shown(size), shown(limit));
        let finding = MAX_FILE_SIZE.finding(message).at(view.place(thing), "").and(place, "allowed here");
        Found::at(&MAX_FILE_SIZE, path, finding)
    });
    found.collect()
}

/// What makes equal contents of one layer one file, if hard links are asked for.
fn file(entry: &Entry) -> (Option<u16>, u32, u32, u64) {
    let mode = if let Mode::Fixed(mode) = entry.mode { Some(mode) } else { None };
    (mode, entry.uid, entry.gid, entry.capabilities)
}

/// The place of the own layer that has a path.
fn layer(image: &Seen<'_>, path: &str) -> Option<usize> {
    image.trees.iter().position(|tree| tree.get(path).is_some())
}

/// Bytes that are stored for nothing.
pub(super) fn wasted(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let image = &view.image;
    let Some((limit, place)) = subject.plan.checks.limit(&MAX_WASTED) else { return Vec::new() };
    let Some(asked) = image.asked else { return Vec::new() };
    let mut waste: Vec<(u64, String)> = Vec::new();
    for (path, node) in image.index.iter() {
        let (Ok(path), Kind::File { size }) = (std::str::from_utf8(path), &node.kind) else { continue };
        if view.hides(path).is_some() && *size > 0 {
            waste.push((*size, format!("`/{}` of the base is hidden ({})", printable(path), shown(*size))));
        }
    }
    let mut alike: BTreeMap<_, Vec<(&str, u64)>> = BTreeMap::new();
    let mut files = BTreeSet::new();
    for (path, entry) in view.own() {
        let size = Thing::Own(entry).size().filter(|size| *size >= SMALLEST_COPY);
        if let (Some(digest), Some(size)) = (asked.digests.get(path), size) {
            if image.plan.hard_links && !files.insert((digest, file(entry), layer(image, path))) {
                continue;
            }
            alike.entry(digest).or_default().push((path, size));
        }
    }
    for copies in alike.values() {
        let Some(((first, _), rest)) = copies.split_first() else { continue };
        for (path, size) in rest {
            let (path, first) = (printable(path), printable(first));
            waste.push((*size, format!("`/{path}` is the same as `/{first}` ({})", shown(*size))));
        }
    }
    let total = waste.iter().map(|(size, _)| *size).sum::<u64>();
    if total <= limit {
        return Vec::new();
    }
    waste.sort_by(|one, two| two.0.cmp(&one.0).then_with(|| one.1.cmp(&two.1)));
    let message = format!("{} are stored for nothing, {} are allowed", shown(total), shown(limit));
    let mut finding = MAX_WASTED.finding(message).at(place, "");
    finding.help.extend(waste.iter().take(NAMED).map(|(_, what)| what.clone()));
    vec![Found::new(&MAX_WASTED, finding)]
}
