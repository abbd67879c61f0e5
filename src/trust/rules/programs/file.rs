//! Stage 8: what is wrong with one program, library or script. Its nature and the image around it in, faults out. Pure.

use super::words::{self, Family};
use super::{Fault, File, Origin, Room, on_path};
use crate::error::printable;
use crate::facts::programs::{Load, Missing, Nature, Program, Script, Starts, View, Way, load};
use crate::manifest::rules::{
    LIBRARY_VERSION, MISSING_INTERPRETER, MISSING_LIBRARY, MISSING_LOADER, ODD_PROGRAM, WRONG_MACHINE,
};

/// The faults of a file.
pub(super) fn faults(room: &Room<'_>, file: &File, nature: &Nature) -> Vec<Fault> {
    let platform = &room.image.plan.platform;
    let shown = &file.shown;
    match nature {
        Nature::Program(program) if program.machine.suits(platform) == Some(false) => {
            let kind = if program.is_program() { "program" } else { "library" };
            let what = format!("`{shown}` is a {kind} for {}", program.machine.words());
            // What is only copied along may be there for others to choose from.
            let lenient = file.origin == Origin::Within && !program.is_program();
            let fault = Fault::new(&WRONG_MACHINE, file, what, words::machine(platform, file.origin));
            vec![Fault { foreign: fault.foreign || lenient, ..fault }]
        }
        Nature::Program(program) => loads(room, file, program),
        Nature::Script(script) => interpreted(room, file, script),
        Nature::Foreign(system) if file.origin == Origin::Program => {
            let what = format!("`{shown}` is a program for {system}");
            vec![Fault::new(&WRONG_MACHINE, file, what, words::machine(platform, file.origin))]
        }
        Nature::Broken(why) if file.origin != Origin::Foreign => {
            let what = format!("`{shown}` begins as an ELF file, but {why}");
            let help = "look whether it was copied whole, and is what your compiler wrote".to_string();
            vec![Fault::new(&ODD_PROGRAM, file, what, vec![help])]
        }
        Nature::Object if file.origin == Origin::Program => {
            let what = format!("`{shown}` is an object file, which nobody can start");
            vec![Fault::new(&ODD_PROGRAM, file, what, vec!["name the program that was linked from it".into()])]
        }
        Nature::Foreign(_) | Nature::Broken(_) | Nature::Object | Nature::Unread => Vec::new(),
    }
}

/// What a program would miss of its loader and libraries.
fn loads(room: &Room<'_>, file: &File, program: &Program) -> Vec<Fault> {
    let path = format!("/{}", file.path);
    let (loaded, missing) = load(room.search, Load { path: &path, program });
    // What a library lacks, the program that loads it may have.
    let lenient = !program.is_program();
    let mut faults: Vec<Fault> = missing.iter().map(|missing| lacks(room, file, &path, missing)).collect();
    let configured =
        loaded.iter().find(|found| found.way == Way::Configured).filter(|_| file.origin != Origin::Foreign);
    faults.extend(configured.map(|found| {
        let what = format!("`{}` finds `{}` only through `/etc/ld.so.conf`", file.shown, printable(&found.path));
        let help = "loaders read `/etc/ld.so.cache`, which the image does not have, and nothing here runs `ldconfig`; put the \
                    library where the loader looks by itself, or set `LD_LIBRARY_PATH` in `[env]`";
        Fault::new(&ODD_PROGRAM, file, what, vec![help.to_string()])
    }));
    faults.into_iter().map(|fault| Fault { foreign: fault.foreign || lenient, ..fault }).collect()
}

fn lacks(room: &Room<'_>, file: &File, path: &str, missing: &Missing) -> Fault {
    let shown = &file.shown;
    // The program as it is known; its libraries by their paths.
    let who = |by: &str| {
        if by == path { format!("`{shown}`") } else { format!("`{}`, which `{shown}` needs,", printable(by)) }
    };
    let family = Family::of(room.files);
    match missing {
        Missing::Loader(loader) => {
            let what = format!("`{shown}` needs the loader `{}`, which is not in the image", printable(loader));
            Fault::new(&MISSING_LOADER, file, what, words::loader(family, loader, file))
        }
        Missing::OddLoader(loader, odd) => {
            let what = format!("`{shown}` needs the loader `{}`, which is {odd}", printable(loader));
            Fault::new(&MISSING_LOADER, file, what, words::loader(Family::None, loader, file))
        }
        Missing::Library { name, by, odd, uncached } => {
            let name = printable(name);
            let what = match odd {
                None => format!("{} needs `{name}`, which its loader does not find in the image", who(by)),
                Some((at, odd)) => format!("{} needs `{name}`, and `{}` is {odd}", who(by), printable(at)),
            };
            Fault::new(&MISSING_LIBRARY, file, what, words::library(uncached.as_deref(), file))
        }
        Missing::Version { library, by, wants, has } => {
            let (who, library, wants) = (who(by), printable(library), printable(wants));
            let what = match has {
                Some(has) => {
                    // Of two versions of one kind the numbers are enough.
                    let number = has.rsplit_once('_').map_or(has.as_str(), |(_, number)| number);
                    format!("{who} wants {wants}, the image has {} (`{library}`)", printable(number))
                }
                None => format!("{who} wants {wants}, which `{library}` does not have"),
            };
            Fault::new(&LIBRARY_VERSION, file, what, words::version(file.origin))
        }
    }
}

/// What a script would miss.
fn interpreted(room: &Room<'_>, file: &File, script: &Script) -> Vec<Fault> {
    let shown = &file.shown;
    // A copied directory holds scripts of other people for other systems.
    let fault = |what: String, help: Vec<String>| {
        let fault = Fault::new(&MISSING_INTERPRETER, file, what, help);
        vec![Fault { foreign: fault.foreign || file.origin == Origin::Within, ..fault }]
    };
    if script.interpreter.is_empty() {
        let what = format!("`{shown}` names no interpreter in its first line, or one with too long a path");
        return fault(what, vec!["write its path behind `#!`, as in `#!/bin/sh`".into()]);
    }
    let interpreter = printable(&script.interpreter);
    let help = || words::interpreter(&script.interpreter);
    let absolute = words::absolute(&room.config.working_dir, &script.interpreter);
    let Some(real) = room.files.file(&absolute) else {
        return fault(format!("`{shown}` is run by `{interpreter}`, which is not in the image"), help());
    };
    if let Some(thing) = room.files.at(&real).filter(|thing| thing.mode & 0o111 == 0) {
        let mode = thing.mode;
        let what = format!("`{shown}` is run by `{interpreter}`, which nobody may execute: its mode is {mode:04o}");
        return fault(what, vec!["give it a mode with `x`, as in \"0755\"".into()]);
    }
    match script.starts() {
        Starts::Interpreter | Starts::Unknown => Vec::new(),
        Starts::ByEnv(name) => {
            let there = match name.contains('/') {
                true => room.files.file(&words::absolute(&room.config.working_dir, &name)).is_some(),
                false => on_path(room, &name, None).is_some(),
            };
            let what = format!("`{shown}` is run by `{}`, which `env` does not find in the image", printable(&name));
            if there { Vec::new() } else { fault(what, words::interpreter(&name)) }
        }
        Starts::Words(all) => {
            let all = printable(&all);
            let what = format!("`{shown}` is run by `{all}`, which `env` takes for the name of one program");
            fault(what, vec![format!("write `#!{interpreter} -S {all}`; the kernel hands over all words as one")])
        }
    }
}
