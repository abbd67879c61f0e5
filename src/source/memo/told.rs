//! Stage 5: what the programs of a layer are as bytes. Nature in, compact bytes out, and back. Pure.

use std::collections::BTreeMap;

use super::{In, Out};
use crate::facts::programs::{Machine, Nature, Program, Script, Wanted};
use crate::source::list::Told;

pub(super) fn write(out: &mut Out, told: &Told) {
    out.number(told.natures.len() as u64);
    for (start, one) in &told.natures {
        out.number(*start);
        nature(out, one);
    }
    out.number(told.texts.len() as u64);
    for (start, text) in &told.texts {
        out.number(*start);
        out.bytes(text);
    }
}

/// What one file is.
pub fn nature(out: &mut Out, nature: &Nature) {
    match nature {
        Nature::Program(program) => {
            out.number(0);
            write_program(out, program);
        }
        Nature::Object => out.number(1),
        Nature::Script(script) => {
            out.number(2);
            out.bytes(script.interpreter.as_bytes());
            optional(out, script.argument.as_deref());
        }
        Nature::Broken(why) => {
            out.number(3);
            out.bytes(why.as_bytes());
        }
        Nature::Unread => out.number(4),
        Nature::Foreign(system) => {
            out.number(5);
            out.bytes(system.as_bytes());
        }
    }
}

/// The same on its way back.
pub fn read_nature(input: &mut In<'_>) -> Option<Nature> {
    Some(match input.number()? {
        0 => Nature::Program(Box::new(read_program(input)?)),
        1 => Nature::Object,
        2 => Nature::Script(Script { interpreter: text(input)?, argument: maybe(input)? }),
        3 => Nature::Broken(text(input)?),
        4 => Nature::Unread,
        5 => Nature::foreign(&text(input)?)?,
        _ => return None,
    })
}

fn write_program(out: &mut Out, program: &Program) {
    let machine = &program.machine;
    let flags = [machine.wide, machine.big, program.started, program.without_defaults];
    let flags = flags.iter().enumerate().fold(0, |sum, (at, flag)| sum | u64::from(*flag) << at);
    for number in [machine.number.into(), machine.flags.into(), machine.system.into(), flags] {
        out.number(number);
    }
    for text in [&program.loader, &program.rpath, &program.runpath, &program.soname] {
        optional(out, text.as_deref());
    }
    texts(out, &program.needed);
    texts(out, &program.defines);
    out.number(program.wants.len() as u64);
    for wanted in &program.wants {
        out.bytes(wanted.library.as_bytes());
        texts(out, &wanted.versions);
    }
}

fn optional(out: &mut Out, text: Option<&str>) {
    out.number(text.is_some().into());
    text.iter().for_each(|text| out.bytes(text.as_bytes()));
}

fn texts(out: &mut Out, texts: &[String]) {
    out.number(texts.len() as u64);
    texts.iter().for_each(|text| out.bytes(text.as_bytes()));
}

pub(super) fn read(input: &mut In<'_>) -> Option<Told> {
    let (mut natures, mut kept) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..input.number()? {
        let start = input.number()?;
        let one = read_nature(input)?;
        natures.insert(start, one);
    }
    for _ in 0..input.number()? {
        kept.insert(input.number()?, input.bytes()?.to_vec());
    }
    Some(Told { natures, texts: kept })
}

fn read_program(input: &mut In<'_>) -> Option<Program> {
    let (number, flags) = (input.number()?.try_into().ok()?, input.number()?.try_into().ok()?);
    let (system, bits) = (input.number()?.try_into().ok()?, input.number()?);
    let bit = |at: u32| bits >> at & 1 == 1;
    let machine = Machine { number, wide: bit(0), big: bit(1), flags, system };
    let (started, without_defaults) = (bit(2), bit(3));
    let (loader, rpath, runpath, soname) = (maybe(input)?, maybe(input)?, maybe(input)?, maybe(input)?);
    let (needed, defines) = (list(input)?, list(input)?);
    let mut wants = Vec::new();
    for _ in 0..input.number()? {
        wants.push(Wanted { library: text(input)?, versions: list(input)? });
    }
    Some(Program { machine, started, loader, needed, rpath, runpath, soname, without_defaults, wants, defines })
}

fn text(input: &mut In<'_>) -> Option<String> {
    String::from_utf8(input.bytes()?.to_vec()).ok()
}

fn maybe(input: &mut In<'_>) -> Option<Option<String>> {
    match input.number()? {
        0 => Some(None),
        1 => Some(Some(text(input)?)),
        _ => None,
    }
}

fn list(input: &mut In<'_>) -> Option<Vec<String>> {
    (0..input.number()?).map(|_| text(input)).collect()
}
