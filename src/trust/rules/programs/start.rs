//! Stage 8: the program that the image starts: whether it is there, and whether the image's user may start it. Pure.

use std::collections::BTreeSet;

use super::account::{Account, is_file};
use super::{Fault, File, Origin, Room, base_file, directories, file, on_path, own, words};
use crate::error::{Place, printable};
use crate::facts::programs::View;
use crate::layer::tree::Body;
use crate::layer::{Thing, What as Kind};
use crate::manifest::What;
use crate::manifest::grammar::nearest;
use crate::manifest::rules::{ENTRYPOINT, ODD_PROGRAM};

/// What is started.
struct Start<'a> {
    /// The first word.
    word: &'a str,
    /// Where it stands, or where the base is named.
    place: &'a Place,
    /// Whether the manifest says so, not the base.
    declared: bool,
}

/// The real path of what the image starts, and what is wrong with it.
pub(super) fn judge(room: &Room<'_>) -> (Option<String>, Vec<Fault>) {
    let Some(start) = start(room) else { return (None, Vec::new()) };
    let account = Account::new(room.image);
    let fault = |what: String, help: Vec<String>| Fault {
        rule: &ENTRYPOINT,
        path: None,
        what,
        help,
        place: start.place.clone(),
        related: None,
        foreign: !start.declared,
        many: false,
    };
    let path = match start.word.contains('/') {
        true => words::absolute(&room.config.working_dir, start.word),
        false => match on_path(room, start.word, Some(&account)) {
            Some(path) => path,
            None => return (None, vec![not_on_path(room, &start, &fault)]),
        },
    };
    let shown = printable(start.word);
    let real = match room.files.follow(&path) {
        Ok(Some(real)) => real,
        _ => return (None, vec![fault(format!("the image starts `{shown}`, which is not in it"), there(room, &path))]),
    };
    let Some(thing) = room.files.at(&real) else { return (None, Vec::new()) };
    if !is_file(&thing) {
        let what = if thing.what == Kind::Directory { "a directory" } else { "a device or pipe" };
        let help = vec!["name the program in it, as in `/app/server`".to_string()];
        return (None, vec![fault(format!("the image starts `{shown}`, which is {what}"), help)]);
    }
    let mut faults: Vec<Fault> = closed(room, &account, &path).into_iter().map(|(at, directory)| {
        let (mode, owner) = (directory.mode, owner(&directory));
        let what = format!(
            "the image's user {} may not enter `/{}` on the way to `{shown}`: its mode is {mode:04o}, its owner {owner}",
            user(room),
            printable(&at)
        );
        let related = came_from(room, &directory);
        Fault { related, ..fault(what, vec!["give it `mode = \"0755\"` or another owner in a `[[dir]]`".into()]) }
    }).collect();
    if !account.may_execute(&thing) {
        let (mode, owner) = (thing.mode, owner(&thing));
        let what = format!(
            "the image's user {} may not execute `{shown}`: its mode is {mode:04o}, its owner {owner}",
            user(room)
        );
        let related = came_from(room, &thing);
        faults.push(Fault { related, ..fault(what, executable(room, &real, &thing)) });
    }
    faults.extend(itself(room, &start, &real));
    (Some(real), faults)
}

/// What is wrong with the program that the manifest's check of health runs.
pub(super) fn health(room: &Room<'_>) -> Option<Fault> {
    let command = &room.image.plan.config.healthcheck.as_ref()?.command;
    let word = command.words.first()?;
    let path = match word.contains('/') {
        true => words::absolute(&room.config.working_dir, word),
        false => on_path(room, word, Some(&Account::new(room.image))).unwrap_or_default(),
    };
    if room.files.file(&path).is_some() {
        return None;
    }
    let what = format!("the check of health runs `{}`, which is not in the image", printable(word));
    let place = command.place.clone();
    let help = there(room, &words::absolute(&room.config.working_dir, word));
    Some(Fault { rule: &ENTRYPOINT, path: None, what, help, place, related: None, foreign: false, many: false })
}

/// What a container of the image starts with, if with anything.
fn start<'a>(room: &Room<'a>) -> Option<Start<'a>> {
    let written = &room.image.plan.config;
    let (word, command) = match room.config.entrypoint.first() {
        Some(word) => (word, &written.entrypoint),
        None => (room.config.cmd.first()?, &written.cmd),
    };
    let place = command.as_ref().map_or(&room.image.plan.base.1, |command| &command.place);
    Some(Start { word, place, declared: command.is_some() })
}

fn user(room: &Room<'_>) -> String {
    if room.image.user.is_empty() { "root".to_string() } else { room.image.user.to_string() }
}

fn owner(thing: &Thing) -> String {
    format!("{}:{}", thing.uid, thing.gid)
}

fn came_from(room: &Room<'_>, thing: &Thing) -> Option<(Place, String)> {
    let item = room.image.plan.items.get(thing.item? as usize)?;
    Some((item.place.clone(), "it comes from here".to_string()))
}

fn not_on_path(room: &Room<'_>, start: &Start<'_>, fault: &dyn Fn(String, Vec<String>) -> Fault) -> Fault {
    let shown = printable(start.word);
    let path: Vec<&str> = directories(room.config).collect();
    let what =
        format!("the image starts `{shown}`, which is in none of the directories of `PATH` ({})", path.join(":"));
    let beside = words::absolute(&room.config.working_dir, start.word);
    let help = match room.files.file(&beside) {
        Some(real) => {
            vec![format!("write its path, `/{}`: a name alone is only looked for in `PATH`", printable(&real))]
        }
        None => there(room, &beside),
    };
    fault(what, help)
}

/// What may be meant by a path where nothing is.
fn there(room: &Room<'_>, path: &str) -> Vec<String> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let names = room.files.names(directory);
    if let Some(near) = nearest(name, names.iter().map(String::as_str)) {
        return vec![format!("did you mean `{}/{}`?", printable(directory), printable(near))];
    }
    let binaries = room.image.trees.iter().flatten().filter(|(_, entry)| {
        let item = room.image.plan.items.get(entry.item as usize);
        matches!(entry.body, Body::File(_)) && item.is_some_and(|item| matches!(item.what, What::Binary { .. }))
    });
    let paths: BTreeSet<String> = binaries.map(|(path, _)| format!("`/{}`", printable(path))).collect();
    match paths.len() {
        0 => vec!["put it there with `[[binary]]` or `[[file]]`, or name a program that the image has".into()],
        1 => vec![format!("the program that `[[binary]]` puts into the image is {}", Vec::from_iter(paths).join(", "))],
        _ => {
            vec![format!("the programs that `[[binary]]` puts into the image are {}", Vec::from_iter(paths).join(", "))]
        }
    }
}

/// The directories on the way that the user may not enter.
fn closed(room: &Room<'_>, account: &Account, path: &str) -> Vec<(String, Thing)> {
    let mut all: BTreeSet<String> = BTreeSet::from([String::new()]);
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for real in ends.filter_map(|end| room.files.follow(path.get(..end)?).ok()?) {
        all.extend(real.match_indices('/').filter_map(|(at, _)| real.get(..at)).map(str::to_string));
        all.insert(real);
    }
    let things = all.into_iter().filter_map(|path| Some((path.clone(), room.files.at(&path)?)));
    things.filter(|(_, thing)| thing.what == Kind::Directory && !account.may_enter(thing)).collect()
}

/// The way out of a file that may not be executed.
fn executable(room: &Room<'_>, real: &str, thing: &Thing) -> Vec<String> {
    let Some(item) = thing.item.and_then(|item| room.image.plan.items.get(item as usize)) else {
        return vec!["it comes from the base; name another program, or put one in its place".into()];
    };
    let table = item.table;
    let data = item.mode.is_none() && !room.image.natures.files.contains_key(real);
    let why = if data { "; it begins with neither an ELF header nor `#!`, so it got the mode of data" } else { "" };
    vec![format!("say `mode = \"0755\"` in its `[[{table}]]`, or give it another `owner`{why}")]
}

/// What is wrong with the program itself: as if the manifest named it, wherever it comes from.
fn itself(room: &Room<'_>, start: &Start<'_>, real: &str) -> Vec<Fault> {
    let entry = room.image.trees.iter().find_map(|tree| tree.get(real));
    let declared = |fault: Fault| {
        let foreign = !start.declared && entry.is_none();
        Fault { foreign, many: false, ..fault }
    };
    let mut faults = match entry {
        Some(entry) => match &entry.body {
            Body::File(content) => own(room, real, entry, content, true),
            _ => Vec::new(),
        },
        None => {
            let origin = if start.declared { Origin::Program } else { Origin::Foreign };
            let file = File { place: start.place.clone(), ..base_file(room, real, origin) };
            room.files.nature(real).map(|nature| file::faults(room, &file, nature)).unwrap_or_default()
        }
    };
    if room.files.nature(real).is_none() {
        let file = File { place: start.place.clone(), ..base_file(room, real, Origin::Named) };
        let what = format!("the image starts `/{}`, which is neither an ELF program nor a script", printable(real));
        let help =
            "the kernel starts nothing else; a script begins with `#!` and the path of its interpreter".to_string();
        faults.push(Fault::new(&ODD_PROGRAM, &file, what, vec![help]));
    }
    faults.into_iter().map(declared).collect()
}
