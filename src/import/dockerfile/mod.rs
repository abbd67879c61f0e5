//! Between stages 1 and 2: a Dockerfile → a manifest. Pure.
//!
//! Each stage is walked through once, in order, so that a later one can stand on it or copy from it; the stage that becomes the image is
//! written down, the others as comments.

mod accounts;
mod advice;
mod config;
mod copy;
mod lines;
mod overlap;
mod packages;
mod run;
mod shell;
mod stage;
mod taken;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use parse_dockerfile::{FromInstruction, Instruction};

use super::context::Context;
use super::draft::Remarks;
use super::value::{Value, quoted};
use super::{Choice, Import};
use crate::error::{Error, Finding, Place, Report, Result, Text, printable};
use lines::{Lines, Masked, mask};
use stage::Stage;
use words::expand;

/// Most stages of one file.
const MOST_STAGES: usize = 200;
/// Most instructions of one file.
const MOST_INSTRUCTIONS: usize = 5_000;

/// A Dockerfile that was read.
struct File<'a> {
    text: &'a Arc<Text>,
    context: Context<'a>,
    /// The character that joins lines and protects others.
    escape: char,
    instructions: Vec<Instruction<'a>>,
    lines: Vec<Lines>,
    /// `ARG`s in front of the first `FROM`.
    globals: BTreeMap<String, Value>,
}

impl File<'_> {
    /// `Dockerfile:7`.
    fn spot(&self, at: usize) -> String {
        let name = self.text.path.rsplit('/').next().unwrap_or_default();
        format!("{}:{}", printable(name), self.lines[at].number)
    }

    /// The lines of an instruction as they stand, the first behind its place.
    fn original(&self, at: usize) -> Remarks {
        let text = &self.text.text[self.lines[at].range.clone()];
        let mut lines = vec![String::new()];
        lines.extend(text.lines().skip(1).map(|line| format!("    {line}")));
        lines[0] = format!("{}: {}", self.spot(at), text.lines().next().unwrap_or_default());
        lines
    }

    /// The words of an instruction as one line, without its keyword and its flags.
    fn arguments(&self, at: usize) -> String {
        let text = lines::joined(&self.text.text[self.lines[at].range.clone()], self.escape);
        let mut rest = text.trim_start_matches(|one: char| !one.is_whitespace()).trim_start();
        while rest.starts_with("--") {
            rest = rest.trim_start_matches(|one: char| !one.is_whitespace()).trim_start();
        }
        rest.to_string()
    }

    fn place(&self, at: usize) -> Place {
        let range = &self.lines[at].range;
        let first = self.text.text[range.clone()].lines().next().unwrap_or_default();
        Place { text: self.text.clone(), span: range.start..range.start + first.trim_end().len() }
    }
}

/// A stage as it stands in the file.
struct Part {
    /// Where its `FROM` is.
    from: usize,
    /// The end of its instructions.
    end: usize,
    name: Option<String>,
}

/// Makes a manifest of a Dockerfile.
pub(super) fn import(text: &Arc<Text>, context: Context<'_>, choice: &Choice) -> Result<Import> {
    let masked = mask(&text.text);
    let file = read(text, context, &masked)?;
    let parts = parts(&file)?;
    let mut stages: Vec<Stage> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let stage = Stage::build(&file, &parts, &stages, index, part);
        stages.push(stage);
    }
    let target = target(&parts, choice)?;
    let mut ancestry = vec![target];
    while let Some(parent) = ancestry.last().and_then(|stage| stages[*stage].parent) {
        ancestry.push(parent);
    }
    let mut chosen = stages.swap_remove(target);
    head(&file, &mut chosen);
    for (index, part) in parts.iter().enumerate().filter(|(index, _)| !ancestry.contains(index)) {
        chosen.draft.stages.push(aside(&file, part, index, chosen.copied.contains(&index)));
    }
    if !chosen.draft.stages.is_empty() {
        let message = "stages that are not the image itself are not built: no command is run";
        let first =
            parts.iter().enumerate().find(|(index, _)| !ancestry.contains(index)).map_or(0, |(_, part)| part.from);
        let help = "build what they make before `stillframe build`, outside of it; the lines stand as comments in the manifest";
        chosen.report.add(Finding::warning("not-carried", message).at(&file.place(first), "").help(help));
    }
    Ok(Import { manifest: chosen.draft.write(), report: chosen.report.sorted() })
}

fn read<'a>(text: &'a Arc<Text>, context: Context<'a>, masked: &'a Masked) -> Result<File<'a>> {
    let failed = |cause: parse_dockerfile::Error| {
        let mut report = Report::default();
        let (line, column) = (cause.line(), cause.column());
        let start = text.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
        let rest = text.text[start..].lines().next().unwrap_or_default();
        let at = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        let place = Place { text: text.clone(), span: start + at..start + rest.len() };
        let message = printable(&cause.to_string());
        report.add(Finding::error("dockerfile", message).at(&place, "").help("`docker build` would refuse it too"));
        Error::findings(report)
    };
    let mut instructions = Vec::new();
    for instruction in parse_dockerfile::parse_iter(&masked.text).map_err(failed)? {
        if instructions.len() >= MOST_INSTRUCTIONS {
            return Err(Error::usage(format!("the Dockerfile has more than {MOST_INSTRUCTIONS} instructions")));
        }
        instructions.push(instruction.map_err(failed)?);
    }
    let starts: Vec<usize> = instructions.iter().map(|instruction| keyword(instruction)).collect();
    let lines = masked.lines(&text.text, &starts);
    let mut file = File { text, context, escape: masked.escape, instructions, lines, globals: BTreeMap::new() };
    let globals = file.instructions.iter().take_while(|one| !matches!(one, Instruction::From(_)));
    for at in 0..globals.count() {
        for (name, default) in words::names(&file.arguments(at), file.escape) {
            let lookup = |name: &str| file.globals.get(name).cloned();
            let value = default.map(|text| expand(&text, file.escape, &lookup).value).unwrap_or_default();
            file.globals.insert(name.clone(), Value::var(&name, value.plain()));
        }
    }
    Ok(file)
}

/// Where an instruction's keyword begins.
fn keyword(instruction: &Instruction<'_>) -> usize {
    match instruction {
        Instruction::Add(one) => one.add.span.start,
        Instruction::Arg(one) => one.arg.span.start,
        Instruction::Cmd(one) => one.cmd.span.start,
        Instruction::Copy(one) => one.copy.span.start,
        Instruction::Entrypoint(one) => one.entrypoint.span.start,
        Instruction::Env(one) => one.env.span.start,
        Instruction::Expose(one) => one.expose.span.start,
        Instruction::From(one) => one.from.span.start,
        Instruction::Healthcheck(one) => one.healthcheck.span.start,
        Instruction::Label(one) => one.label.span.start,
        Instruction::Maintainer(one) => one.maintainer.span.start,
        Instruction::Onbuild(one) => one.onbuild.span.start,
        Instruction::Run(one) => one.run.span.start,
        Instruction::Shell(one) => one.shell.span.start,
        Instruction::Stopsignal(one) => one.stopsignal.span.start,
        Instruction::User(one) => one.user.span.start,
        Instruction::Volume(one) => one.volume.span.start,
        Instruction::Workdir(one) => one.workdir.span.start,
        _ => 0,
    }
}

fn parts(file: &File<'_>) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for (at, instruction) in file.instructions.iter().enumerate() {
        if let Instruction::From(FromInstruction { as_, .. }) = instruction {
            let name = as_.as_ref().map(|(_, name)| name.value.to_ascii_lowercase());
            parts.push(Part { from: at, end: at + 1, name });
        } else if let Some(part) = parts.last_mut() {
            part.end = at + 1;
        }
    }
    if parts.len() > MOST_STAGES {
        return Err(Error::usage(format!("the Dockerfile has more than {MOST_STAGES} stages")));
    }
    Ok(parts)
}

/// The stage that a name or number means.
fn find(parts: &[Part], name: &str) -> Option<usize> {
    let lower = name.to_ascii_lowercase();
    let named = parts.iter().rposition(|part| part.name.as_deref() == Some(lower.as_str()));
    named.or_else(|| name.parse().ok().filter(|index| *index < parts.len()))
}

fn target(parts: &[Part], choice: &Choice) -> Result<usize> {
    let Some(name) = &choice.target else { return Ok(parts.len() - 1) };
    find(parts, name).ok_or_else(|| {
        let known: Vec<&str> = parts.iter().filter_map(|part| part.name.as_deref()).collect();
        Error::usage(format!("the Dockerfile has no stage `{}`", printable(name))).hint(match known.as_slice() {
            [] => "its stages have no names; give a number, from 0".to_string(),
            known => format!("its stages are called: {}", printable(&known.join(", "))),
        })
    })
}

/// What stands above everything, and below it.
fn head(file: &File<'_>, chosen: &mut Stage) {
    let name = printable(file.text.path.rsplit('/').next().unwrap_or_default());
    chosen.draft.head = vec![
        format!(
            "Made from {name} by `stillframe init`. What could not be carried over stands as a comment at its place."
        ),
        "Next: `stillframe update base` pins the base, `stillframe check` shows what is left to do.".to_string(),
    ];
    let end = file.lines.last().map_or(0, |lines| lines.range.end);
    let rest = Masked::rest(&file.text.text, end);
    if !rest.is_empty() {
        chosen.draft.remark(rest);
    }
}

/// A stage that is not the image, as comments.
fn aside(file: &File<'_>, part: &Part, index: usize, copied: bool) -> Remarks {
    let name = part.name.as_ref().map_or_else(|| format!("stage {index}"), |name| format!("stage {}", quoted(name)));
    let mut remarks = vec![match copied {
        true => format!(
            "The {name} is not part of the image. Run this outside, before `stillframe build`; its results are copied below."
        ),
        false => format!("The {name} is not part of the image, and nothing is copied from it."),
    }];
    for at in part.from..part.end {
        remarks.extend(file.lines[at].comments.iter().map(|line| format!("  # {line}")));
        remarks.extend(file.original(at).into_iter().map(|line| format!("  {line}")));
    }
    remarks
}
