//! Stage 8: the rules on what must and must not be in an image, and on what must hold of single files. Pure.

use super::view::{Thing, View};
use super::{Found, Seen, Subject};
use crate::error::printable;
use crate::layer::tree::{Body, Content, Entry};
use crate::manifest::rules::{FILE, FORBIDDEN_PATHS, REQUIRED_PATHS};
use crate::manifest::{FileCheck, PathGlob};
use crate::source::{Kind, Parent};

/// Paths that must not be there. What is below one that was told is not told again.
pub(super) fn forbidden(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for ruling in subject.plan.checks.of(&FORBIDDEN_PATHS) {
        for (written, place) in &ruling.list {
            let Ok(glob) = PathGlob::new(written) else { continue };
            let mut fits: Vec<(&str, Thing<'_>)> =
                view.all().filter(|(path, thing)| glob.fits(path, thing.directory())).collect();
            fits.sort_by_key(|(path, _)| *path);
            let mut told: Option<&str> = None;
            for (path, thing) in fits {
                if told.is_some_and(|told| path.strip_prefix(told).is_some_and(|rest| rest.starts_with('/'))) {
                    continue;
                }
                told = Some(path);
                let of = if thing.foreign() { ", of the base" } else { "" };
                let message = format!("`/{}` must not be in the image{of}", printable(path));
                let finding = FORBIDDEN_PATHS.finding(message).at(view.place(thing), "").and(place, "forbidden here");
                let help = if thing.foreign() { "hide it with `[[remove]]`" } else { "leave it out with `exclude`" };
                found.push(Found::new(&FORBIDDEN_PATHS, finding.help(help)).said(ruling));
            }
        }
    }
    found
}

/// Paths that must be there.
pub(super) fn required(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for ruling in subject.plan.checks.of(&REQUIRED_PATHS) {
        for (written, place) in &ruling.list {
            let Ok(glob) = PathGlob::new(written) else { continue };
            if !view.all().any(|(path, thing)| glob.fits(path, thing.directory())) {
                let message = format!("nothing in the image fits `{}`", printable(written));
                let finding = REQUIRED_PATHS.finding(message).at(place, "it must be there");
                found.push(Found::new(&REQUIRED_PATHS, finding).said(ruling));
            }
        }
    }
    found
}

/// What must hold of single files.
pub(super) fn files(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for check in &subject.plan.checks.files {
        let real = match view.image.index.resolve_parent(&check.path) {
            Parent::Real { path, .. } => path,
            Parent::Blocked { .. } => check.path.clone(),
        };
        let mut tell = |what: String| {
            let message = format!("`/{}` {what}", printable(&check.path));
            let finding = FILE.finding(message).at(&check.place, "it must be so");
            let own = Some((check.level, check.reason.clone()));
            found.push(Found { own, ..Found::at(&FILE, &real, finding) });
        };
        match view.at(&real) {
            None => tell("is not in the image".into()),
            Some(thing) => {
                facts(check, &real, thing, &view.image).into_iter().for_each(&mut tell);
                content(check, &real, thing, &view.image).into_iter().for_each(&mut tell);
            }
        }
    }
    found
}

/// What of mode and owner does not hold.
fn facts(check: &FileCheck, path: &str, thing: Thing<'_>, image: &Seen<'_>) -> Vec<String> {
    let (mode, owner) = match thing {
        Thing::Own(entry) => (thing.mode().or_else(|| by_content(entry, path, image)), (entry.uid, entry.gid)),
        Thing::Base(node) => (thing.mode(), (node.uid, node.gid)),
    };
    let mut wrong = Vec::new();
    match (check.mode, mode) {
        (Some(wanted), Some(mode)) if wanted != mode => wrong.push(format!("has mode {mode:04o}, not {wanted:04o}")),
        (Some(_), None) => wrong.push("is a link, whose mode says nothing".into()),
        _ => {}
    }
    if let Some(wanted) = check.owner.filter(|wanted| *wanted != owner) {
        wrong.push(format!("belongs to {}:{}, not {}:{}", owner.0, owner.1, wanted.0, wanted.1));
    }
    wrong
}

/// The mode that a file gets by its content.
fn by_content(entry: &Entry, path: &str, image: &Seen<'_>) -> Option<u16> {
    let bytes = match &entry.body {
        Body::File(Content::Inline(bytes)) => bytes,
        Body::File(_) => image.asked?.texts.get(path)?.as_slice(),
        _ => return None,
    };
    Some(crate::layer::pack::file_mode(entry.mode, bytes))
}

/// What of the content does not hold.
fn content(check: &FileCheck, path: &str, thing: Thing<'_>, image: &Seen<'_>) -> Vec<String> {
    if check.contains.is_none() && check.starts_with.is_none() && check.matches.is_none() {
        return Vec::new();
    }
    let bytes = match thing {
        Thing::Own(Entry { body: Body::File(Content::Inline(bytes)), .. }) => &bytes[..],
        Thing::Own(Entry { body: Body::File(_), .. }) => match image.asked.map(|asked| asked.texts.get(path)) {
            Some(Some(text)) => text,
            Some(None) => return vec!["was not read".into()],
            None => return Vec::new(), // it is judged once it was read
        },
        Thing::Base(node) if matches!(node.kind, Kind::File { .. }) => {
            return vec!["is a file of the base, whose content is not read".into()];
        }
        _ => return vec!["is no file".into()],
    };
    let holds = |text: &str| text.is_empty() || bytes.windows(text.len()).any(|part| part == text.as_bytes());
    let mut wrong = Vec::new();
    if let Some(text) = check.contains.as_deref().filter(|text| !holds(text)) {
        wrong.push(format!("does not contain `{}`", printable(text)));
    }
    if let Some(text) = check.starts_with.as_deref().filter(|text| !bytes.starts_with(text.as_bytes())) {
        wrong.push(format!("does not start with `{}`", printable(text)));
    }
    if let Some(pattern) = check.matches.as_ref().filter(|pattern| !pattern.is_match(bytes)) {
        wrong.push(format!("does not match `{}`", printable(pattern.as_str())));
    }
    wrong
}
