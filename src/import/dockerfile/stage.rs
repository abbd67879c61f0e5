//! Between stages 1 and 2: one stage of a Dockerfile, walked through instruction by instruction. Pure.

use std::collections::{BTreeMap, BTreeSet};

use parse_dockerfile::{FromInstruction, Instruction};

use super::words::{self, Word, expand};
use super::{File, Part, find, overlap};
use crate::error::Finding;
use crate::import::draft::{Draft, Remarks};
use crate::import::value::{Value, list, quoted};
use crate::oci::Reference;

/// The search path of an image on nothing.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Directories that nearly every base has.
const USUAL: [&str; 24] = [
    "/",
    "/bin",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
];

/// How a variable that the base may have is changed.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    /// What is put in front of the base's value.
    pub(super) before: String,
    /// What is put behind it.
    pub(super) behind: String,
}

/// What is known of a group or user that was made.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    pub(super) users: BTreeMap<String, u32>,
    pub(super) groups: BTreeMap<String, u32>,
}

/// A stage, as far as it was walked through.
#[derive(Clone, Default)]
pub(super) struct Stage {
    pub(super) draft: Draft,
    pub(super) report: crate::error::Report,
    /// The stage that it stands on.
    pub(super) parent: Option<usize>,
    /// The image below all of it; `scratch`, or its name.
    pub(super) base: String,
    /// Whether anything in it, or below it in this file, would be run.
    pub(super) runs: bool,
    /// The stages that it copies from, or that those copy from.
    pub(super) copied: BTreeSet<usize>,
    pub(super) args: BTreeMap<String, Value>,
    pub(super) env: BTreeMap<String, Value>,
    pub(super) edits: BTreeMap<String, Edit>,
    pub(super) workdir: String,
    /// What the shell form begins with.
    pub(super) shell: Vec<String>,
    /// Directories that are there.
    pub(super) known: BTreeSet<String>,
    pub(super) accounts: Accounts,
    /// Packages that are wished for, by their family.
    pub(super) wishes: Vec<String>,
    /// Whether `USER` says something.
    pub(super) user: Option<String>,
    pub(super) ports: BTreeSet<String>,
    pub(super) volumes: BTreeSet<String>,
}

impl Stage {
    /// Walks through a stage.
    pub(super) fn build(file: &File<'_>, parts: &[Part], earlier: &[Stage], index: usize, part: &Part) -> Stage {
        let mut stage = Stage::default();
        if let Instruction::From(from) = &file.instructions[part.from] {
            stage = Stage::from(file, parts, earlier, index, part.from, from);
        }
        for at in part.from + 1..part.end {
            stage.instruction(file, parts, earlier, at, &file.instructions[at]);
        }
        overlap::settle(&mut stage, file);
        stage.finish();
        stage
    }

    fn from(
        file: &File<'_>,
        parts: &[Part],
        earlier: &[Stage],
        index: usize,
        at: usize,
        from: &FromInstruction<'_>,
    ) -> Stage {
        let lookup = |name: &str| file.globals.get(name).cloned().or_else(|| platform(name));
        let word = expand(&from.image.value, file.escape, &lookup);
        let name = word.value.plain();
        if let Some(parent) = find(&parts[..index], &name).filter(|_| name.parse::<usize>().is_err()) {
            let mut stage = Stage { parent: Some(parent), args: BTreeMap::new(), ..earlier[parent].clone() };
            let mut remarks = file.lines[at].comments.clone();
            remarks.extend(file.original(at));
            stage.draft.remark(remarks);
            return stage;
        }
        let mut stage = Stage { base: name.clone(), workdir: "/".into(), ..Stage::default() };
        stage.shell = ["/bin/sh", "-c"].map(String::from).to_vec();
        stage.known.insert("/".into());
        if name == "scratch" {
            // What builds Dockerfiles sets it where no base does.
            stage.draft.env.set("PATH", quoted(PATH), Vec::new());
            stage.env.insert("PATH".into(), Value::text(PATH));
        } else {
            stage.known.extend(USUAL.map(String::from));
        }
        let mut remarks = file.lines[at].comments.clone();
        stage.base(file, at, &word, &name, &mut remarks);
        let flag = from.options.iter().find(|flag| flag.name.value == "platform");
        if let Some(value) = flag.and_then(|flag| flag.value.as_ref()) {
            let platform = expand(&value.value, file.escape, &lookup).value;
            if platform.vars().next().is_none() && platform.plain().parse::<crate::oci::Platform>().is_ok() {
                stage.draft.image.set("platforms", list(&[platform.path()]), Vec::new());
            }
        }
        stage
    }

    /// `base`, with advice where it is not pinned.
    fn base(&mut self, file: &File<'_>, at: usize, word: &Word, name: &str, remarks: &mut Remarks) {
        if word.value.vars().next().is_some() || file.original(at).len() > 1 {
            remarks.extend(file.original(at));
        }
        let base = match name.parse::<Reference>() {
            _ if name == "scratch" => name.to_string(),
            Ok(reference) => {
                if reference.digest.is_none() {
                    remarks.push(
                        "Not pinned yet: `stillframe update base` writes the digest that the tag leads to.".into(),
                    );
                }
                match (&reference.tag, reference.digest) {
                    (None, None) => format!("{name}:latest"),
                    _ => name.to_string(),
                }
            }
            Err(_) if ["oci:", "oci-archive:"].iter().any(|local| name.starts_with(local)) => name.to_string(),
            Err(error) => {
                let message = format!("the base is not known: {}", error.message());
                let advice = "write the base into `[image] base`, with its tag and digest";
                let left = self.left(file, at, &message, advice);
                remarks.extend(left.into_iter().skip(file.original(at).len()));
                "scratch".to_string()
            }
        };
        let value = crate::import::value::escape(&base, false);
        self.draft.image.set("base", quoted(&value), std::mem::take(remarks));
    }

    fn instruction(
        &mut self,
        file: &File<'_>,
        parts: &[Part],
        earlier: &[Stage],
        at: usize,
        instruction: &Instruction<'_>,
    ) {
        match instruction {
            Instruction::Add(one) => self.add(file, at, one),
            Instruction::Copy(one) => self.copy(file, parts, earlier, at, one),
            Instruction::Run(one) => self.run(file, at, one),
            Instruction::Arg(_) => self.arg(file, at),
            Instruction::Env(_) => self.env(file, at),
            Instruction::Label(_) => self.label(file, at),
            Instruction::Cmd(one) => self.command(file, at, "cmd", &one.arguments),
            Instruction::Entrypoint(one) => self.command(file, at, "entrypoint", &one.arguments),
            Instruction::Expose(one) => self.expose(file, at, one),
            Instruction::Volume(one) => self.volume(file, at, one),
            Instruction::User(one) => self.user(file, at, one),
            Instruction::Workdir(one) => self.workdir(file, at, one),
            Instruction::Stopsignal(one) => self.stop_signal(file, at, one),
            Instruction::Shell(one) => self.shell(file, at, one),
            Instruction::Healthcheck(one) => self.healthcheck(file, at, one),
            Instruction::Maintainer(one) => self.maintainer(file, at, one),
            Instruction::Onbuild(_) => {
                let advice = "put what it does into the manifests of the images that are built on this one";
                self.left_in_image(file, at, "no image tells another one what to do", advice);
            }
            _ => self.left_in_image(file, at, "this instruction is not known", "say what it means in the manifest"),
        }
    }

    /// What is left to say once all instructions are seen.
    fn finish(&mut self) {
        self.draft.vars.retain(|name, _| name != "platform" && name != "git");
        let root = self.user.as_ref().is_none_or(|user| ["0", "root"].contains(&user.split(':').next().unwrap_or("")));
        if root && !self.draft.check.has("root-user") {
            let why = match self.user {
                Some(_) => "The Dockerfile's image runs as root, which is refused unless this allows it.",
                None => "The Dockerfile sets no user; if its base sets none either, the image runs as root.",
            };
            let way = "Better: set `user` in `[image]`, and take this out.";
            self.draft.check.set("root-user", quoted("warn"), vec![why.into(), way.into()]);
        } else if !root {
            self.draft.check.unset("root-user");
        }
    }

    /// A variable's value here: `ENV` wins over `ARG`.
    pub(super) fn lookup(&self, name: &str) -> Option<Value> {
        self.env.get(name).or_else(|| self.args.get(name)).cloned()
    }

    /// A word with its variables replaced; what cannot be is told.
    pub(super) fn word(&mut self, file: &File<'_>, at: usize, text: &str) -> (Value, Remarks) {
        let word = expand(text, file.escape, &|name| self.lookup(name));
        let mut remarks = Vec::new();
        let mut tell = |this: &mut Stage, message: String, advice: &str| {
            remarks.push(format!("{}: {message}; {advice}", file.spot(at)));
            this.report.add(Finding::warning("not-carried", message).at(&file.place(at), "").help(advice));
        };
        let unknown: BTreeSet<&String> = word.unknown.iter().collect();
        let inherits = self.base != "scratch";
        for name in unknown.into_iter().filter(|_| inherits) {
            let message = format!("`${name}` is not set in this file, and counts as empty");
            tell(self, message, "if the base sets it, write its value here");
        }
        for odd in &word.odd {
            tell(self, format!("`{odd}` is not understood, and counts as empty"), "write its value here");
        }
        (word.value, remarks)
    }

    /// Remembers the variables of a value as those of the manifest.
    pub(super) fn declare(&mut self, value: &Value) {
        for (name, default) in value.vars() {
            self.draft.vars.insert(name.into(), Some(default.into()));
        }
    }

    /// The comment for something that is not carried over, which is told too.
    pub(super) fn left(&mut self, file: &File<'_>, at: usize, why: &str, advice: &str) -> Remarks {
        self.report.add(Finding::warning("not-carried", why).at(&file.place(at), "").help(advice));
        let mut remarks = file.original(at);
        remarks.push(format!("  not carried over: {why}"));
        remarks.push(format!("  instead: {advice}"));
        remarks
    }

    /// The same between the keys of `[image]`.
    pub(super) fn left_in_image(&mut self, file: &File<'_>, at: usize, why: &str, advice: &str) {
        let mut remarks = file.lines[at].comments.clone();
        remarks.extend(self.left(file, at, why, advice));
        self.draft.image.remark(remarks);
    }

    /// The same between the entries.
    pub(super) fn left_in_body(&mut self, file: &File<'_>, at: usize, why: &str, advice: &str) {
        let mut remarks = file.lines[at].comments.clone();
        remarks.extend(self.left(file, at, why, advice));
        self.draft.remark(remarks);
    }

    fn arg(&mut self, file: &File<'_>, at: usize) {
        for (name, default) in words::names(&file.arguments(at), file.escape) {
            let known = file.globals.get(&name).cloned().or_else(|| platform(&name));
            let value = match default {
                Some(text) => self.word(file, at, &text).0.plain(),
                None => match known {
                    Some(known) => {
                        self.args.insert(name, known);
                        continue;
                    }
                    None => String::new(),
                },
            };
            let identifier = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
            let var = identifier && !["git", "platform"].contains(&name.as_str());
            let value = if var { Value::var(&name, value) } else { Value::text(value) };
            self.args.insert(name, value);
        }
        // Where a variable is used it stands in `[vars]`; the comments of the others would be lost.
        if !file.lines[at].comments.is_empty() {
            let mut remarks = file.lines[at].comments.clone();
            remarks.extend(file.original(at));
            self.draft.image.remark(remarks);
        }
    }
}

/// What BuildKit tells of the platforms.
fn platform(name: &str) -> Option<Value> {
    Some(match name {
        "TARGETOS" => Value::platform("platform.os", "linux"),
        "TARGETARCH" => Value::platform("platform.arch", "amd64"),
        "TARGETVARIANT" => Value::platform("platform.variant", ""),
        "TARGETPLATFORM" => {
            let mut value = Value::platform("platform.os", "linux");
            value.push('/');
            value.extend(&Value::platform("platform.arch", "amd64"));
            value
        }
        "BUILDPLATFORM" => Value::text("linux/amd64"),
        "BUILDOS" => Value::text("linux"),
        "BUILDARCH" => Value::text("amd64"),
        "BUILDVARIANT" => Value::text(""),
        _ => return None,
    })
}
