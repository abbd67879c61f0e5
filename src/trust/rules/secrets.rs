//! Stage 8: the rules on secrets: what the contents of files said of them, what files are called, and what the manifest sets for all to
//! read. Pure; what was found is never printed.

use std::collections::BTreeSet;

use super::view::View;
use super::{Found, Seen, Subject};
use crate::error::{Place, printable};
use crate::facts;
use crate::layer::tree::{Body, Entry};
use crate::manifest::rules::{SECRET_VALUES, SECRETS};
use crate::manifest::{EnvEdit, What};

/// Files that are secrets by their names, then those that are by their contents. What a distribution gives to everybody is none: its
/// libraries hold keys that they test themselves with.
pub(super) fn files(_: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let image = &view.image;
    let mut found = Vec::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let public = |entry: &Entry| matches!(image.plan.items[entry.item as usize].what, What::Packages);
    for (path, entry) in view.own().filter(|(_, entry)| !public(entry)) {
        let Some((what, part)) = facts::name(path).filter(|_| matches!(entry.body, Body::File(_))) else { continue };
        // A directory is told once, by the first file in it.
        if named.insert(part) {
            let message = format!("by its name, `/{}` holds {what}", printable(part));
            found.push(about(image, part, entry, message));
        }
    }
    let Some(contents) = image.contents else { return found };
    for (path, facts) in contents {
        let Some((_, entry)) = view.own_at(path).filter(|(_, entry)| !public(entry)) else { continue };
        let told = facts::name(path).is_some_and(|(_, part)| named.contains(part));
        for secret in facts.secrets.iter().filter(|_| !told) {
            let line = secret.line.map(|line| format!(", line {line}")).unwrap_or_default();
            let message = format!("`/{}` holds {}{line}", printable(path), secret.what);
            found.push(about(image, path, entry, message));
        }
    }
    found
}

fn about(image: &Seen<'_>, path: &str, entry: &Entry, message: String) -> Found {
    let finding = SECRETS.finding(message).at(&image.plan.items[entry.item as usize].place, "put into the image here");
    let help = "leave it out with `exclude` or an `.imageignore`, and mount it when the program runs";
    Found::at(&SECRETS, path, finding.help(help))
}

/// Variables, labels and annotations of the manifest that look like secrets.
pub(super) fn values(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let image = &view.image;
    let config = &image.plan.config;
    let set = |edit: &EnvEdit| match edit {
        EnvEdit::Set(value) | EnvEdit::Prepend(value) | EnvEdit::Append(value) => value.clone(),
    };
    let env = config.env.iter().map(|(name, edit)| ("variable", name, set(edit)));
    let labels = config.labels.iter().map(|(name, value)| ("label", name, value.clone()));
    let annotations = &subject.plan.annotations;
    let annotations = annotations.index.iter().chain(&annotations.manifest);
    let annotations = annotations.map(|(name, value)| ("annotation", name, value.clone()));
    let judge = |(kind, name, value): (&'static str, &String, String)| {
        let what = facts::value(name, &value)?;
        let place = subject.plan.checks.values.get(&(kind, name.clone())).unwrap_or(&image.plan.base.1);
        Some(value_of(kind, name, what, place))
    };
    env.chain(labels).chain(annotations).filter_map(judge).collect()
}

fn value_of(kind: &str, name: &str, what: &str, place: &Place) -> Found {
    let message = format!("the {kind} `{}` holds {what}", printable(name));
    let finding = SECRET_VALUES.finding(message).at(place, "everybody who can pull the image reads it").hidden();
    Found::new(&SECRET_VALUES, finding.help("give it to the program when it runs"))
}
