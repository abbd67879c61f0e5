//! Stage 8: the rules on what kinds of files there are, on their permission bits and on their names. Pure.

use std::collections::BTreeMap;

use super::view::{Thing, View};
use super::{Found, Subject};
use crate::error::printable;
use crate::manifest::rules::{CASE, DEVICES, Rule, SETUID, WORLD_WRITABLE};
use crate::source::Kind;

const SET_ID: u16 = 0o6000;
const STICKY: u16 = 0o1000;
const OTHERS_WRITE: u16 = 0o002;

/// Files with more rights than they need. Those of the base are looked at where the manifest sets the rule.
pub(super) fn bits(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let checks = &subject.plan.checks;
    let mut found = Vec::new();
    let mut judge = |rule: &'static Rule, path: &str, thing: Thing<'_>, what: String, help: &str| {
        let of = if thing.foreign() { " of the base" } else { "" };
        let finding = rule.finding(format!("`/{}`{of} {what}", printable(path))).at(view.place(thing), "");
        found.push(Found { foreign: thing.foreign(), ..Found::at(rule, path, finding.help(help)) });
    };
    let wanted = |rule: &Rule, thing: Thing<'_>| !thing.foreign() || checks.sets(rule);
    let base = [&SETUID, &WORLD_WRITABLE].into_iter().any(|rule| checks.sets(rule));
    for (path, thing) in view.all().take_while(|(_, thing)| base || !thing.foreign()) {
        let Some(mode) = thing.mode() else { continue };
        if mode & SET_ID != 0 && !thing.directory() && wanted(&SETUID, thing) {
            let what = if mode & 0o4000 != 0 { "setuid" } else { "setgid" };
            let help = "say `mode = \"0755\"`, and where one right is needed `capabilities`";
            judge(&SETUID, path, thing, format!("is {what}, mode {mode:04o}"), help);
        }
        let shared = thing.directory() && mode & STICKY != 0;
        if mode & OTHERS_WRITE != 0 && !shared && wanted(&WORLD_WRITABLE, thing) {
            let help = match thing.directory() {
                true => "give it an `owner`, or the sticky bit: `mode = \"1777\"`",
                false => "give it an `owner` and take the right to write from the others",
            };
            judge(&WORLD_WRITABLE, path, thing, format!("can be written by everybody, mode {mode:04o}"), help);
        }
    }
    found
}

/// Devices and pipes of the base.
pub(super) fn devices(_: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let devices = view.base().filter(|(_, node)| node.kind == Kind::Other).map(|(path, node)| {
        let what = format!("the base has a device or a named pipe at `/{}`", printable(path));
        let finding = DEVICES.finding(what).at(view.place(Thing::Base(node)), "").help("hide it with `[[remove]]`");
        Found { foreign: true, ..Found::at(&DEVICES, path, finding) }
    });
    devices.collect()
}

/// Own names that differ only in case.
pub(super) fn names(_: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let mut folded: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    // Only a name that folding changes can be like another one; the other may be what folding makes of it.
    let changes = |path: &str| match path.is_ascii() {
        true => path.bytes().any(|byte| byte.is_ascii_uppercase()),
        false => path.chars().any(|character| !character.to_lowercase().eq([character])),
    };
    for (path, entry) in view.own().filter(|(path, _)| changes(path)) {
        let lower = path.to_lowercase();
        let own = view.own_at(&lower).map(|(path, _)| path);
        let Some(other) = folded.insert(lower, path).or(own) else { continue };
        let message = format!("`/{}` and `/{}` differ only in case", printable(other), printable(path));
        let finding = CASE.finding(message).at(view.place(Thing::Own(entry)), "");
        found.push(Found::at(&CASE, path, finding.help("rename one: a file system that folds case cannot hold both")));
    }
    found
}
