//! Between stages 1 and 2: `RUN`. What its commands plainly do becomes entries and packages; what is not needed is said, and the rest
//! stays as a comment with advice. Pure.

use parse_dockerfile::{Command as Written, RunInstruction};

use super::advice::advice;
use super::copy::mode;
use super::shell::{Command, commands, options};
use super::stage::Stage;
use super::{File, lines};
use crate::import::context::absolute;
use crate::import::draft::{Block, Entry, What};
use crate::import::value::escape;
use crate::manifest::words as rules;

/// What becomes of a command.
pub(super) enum Fate {
    /// Something of the manifest does the same.
    Carried(String),
    /// It does nothing that an image needs.
    Needless(&'static str),
    /// It is left out, with advice.
    Left(String),
}

/// Directories whose contents no image needs.
const REFUSE: [&str; 9] = [
    "/var/lib/apt/lists",
    "/var/cache",
    "/tmp",
    "/var/tmp",
    "/root/.cache",
    "/root/.npm",
    "/var/log",
    "/usr/share/doc",
    "/usr/share/man",
];

impl Stage {
    pub(super) fn run(&mut self, file: &File<'_>, at: usize, one: &RunInstruction<'_>) {
        let script = self.script(file, at);
        let found = match &one.arguments {
            Written::Exec(words) => {
                let words: Vec<String> = words.value.iter().map(|word| word.value.to_string()).collect();
                Some(vec![Command { text: words.join(" "), words, complex: false }])
            }
            _ => commands(&script, &|name| self.lookup(name)),
        };
        let Some(found) = found else {
            self.runs = true;
            return self.left_in_body(file, at, "no command is run in a build", &advice(&script));
        };
        let here = self.workdir.clone();
        let made = self.draft.body.len();
        let mut remarks = file.lines[at].comments.clone();
        remarks.extend(file.original(at));
        let mut left: Vec<(String, String)> = Vec::new();
        for command in &found {
            match self.fate(command) {
                Fate::Carried(how) => remarks.push(format!("  carried over: `{}` {how}", short(&command.text))),
                Fate::Needless(why) => remarks.push(format!("  needless here: `{}`, {why}", short(&command.text))),
                Fate::Left(advice) => left.push((short(&command.text), advice)),
            }
        }
        self.workdir = here;
        for (text, advice) in &left {
            remarks.push(format!("  not carried over: `{text}`"));
            remarks.push(format!("  instead: {advice}"));
        }
        if let Some((text, advice)) = left.first() {
            self.runs = true;
            let more = if left.len() > 1 {
                format!(", and {} more of this instruction", left.len() - 1)
            } else {
                String::new()
            };
            let why = format!("no command is run in a build: `{text}`{more}");
            drop(self.left(file, at, &why, advice));
        }
        // It stands above what it made, so that it is found at its place.
        self.draft.body.insert(made, Block::Remark(remarks));
    }

    /// The script: the words behind `RUN` and its flags, or its here-document.
    fn script(&self, file: &File<'_>, at: usize) -> String {
        let original = &file.text.text[file.lines[at].range.clone()];
        let first = original.lines().next().unwrap_or_default();
        let mut words = first.split_whitespace().skip(1).skip_while(|word| word.starts_with("--"));
        let documented = words.clone().next().is_some_and(|word| word.starts_with("<<"));
        if documented && words.by_ref().count() == 1 {
            let mut body: Vec<&str> = original.lines().skip(1).collect();
            body.pop();
            return body.join("\n");
        }
        match original.contains("<<") && original.lines().count() > 1 && !first.trim_end().ends_with(file.escape) {
            true => format!("if\n{original}"), // files are written from the script; only a shell knows how
            false => {
                let text = lines::joined(original, file.escape);
                let mut rest = text.trim_start_matches(|one: char| !one.is_whitespace()).trim_start();
                while rest.starts_with("--") {
                    rest = rest.trim_start_matches(|one: char| !one.is_whitespace()).trim_start();
                }
                rest.to_string()
            }
        }
    }

    fn fate(&mut self, command: &Command) -> Fate {
        let words = &command.words;
        let advised = || Fate::Left(advice(&command.text));
        if command.complex {
            return advised();
        }
        let program = words[0].rsplit('/').next().unwrap_or_default();
        match program {
            "set" | "true" | ":" | "echo" | "ls" | "whoami" | "pwd" | "sync" | "env" | "exit" | "export" | "which" => {
                Fate::Needless("it changes no file")
            }
            "cd" => {
                self.workdir =
                    absolute(&self.workdir, words.get(1).map_or("/", String::as_str)).trim_end_matches('/').into();
                Fate::Needless("it only chooses a directory")
            }
            "apt-get" | "apt" | "apk" | "aptitude" => self.packages(words).unwrap_or_else(advised),
            "rm" => self.removed(words).unwrap_or_else(advised),
            "mkdir" => self.made(words).unwrap_or_else(advised),
            "install" if words.iter().any(|word| word == "-d") => self.made(words).unwrap_or_else(advised),
            "ln" => self.linked(words).unwrap_or_else(advised),
            "touch" => self.touched(words).unwrap_or_else(advised),
            "chmod" => self.moded(words).unwrap_or_else(advised),
            "chown" | "chgrp" => self.owned(words).unwrap_or_else(advised),
            "useradd" | "adduser" | "groupadd" | "addgroup" => self.account(words).unwrap_or_else(advised),
            _ => advised(),
        }
    }

    fn paths(&self, words: &[String]) -> Option<Vec<String>> {
        let paths: Vec<String> = words.iter().map(|word| absolute(&self.workdir, word)).collect();
        let fine = !paths.is_empty()
            && words.iter().all(|word| !word.contains(['*', '?', '[', '{', '~']))
            && paths.iter().all(|path| rules::destination(path).is_ok() && path != "/");
        fine.then(|| paths.iter().map(|path| path.trim_end_matches('/').to_string()).collect())
    }

    fn removed(&mut self, words: &[String]) -> Option<Fate> {
        let (_, paths) = options(words, &[]);
        let refuse = |path: &String| {
            let path = path.trim_end_matches(['*', '/']);
            REFUSE.iter().any(|known| path == *known || path.starts_with(&format!("{known}/")))
        };
        (!paths.is_empty() && paths.iter().all(refuse)).then_some(Fate::Needless("nothing leaves such files behind"))
    }

    fn made(&mut self, words: &[String]) -> Option<Fate> {
        let (options, rest) = options(words, &["-m", "--mode", "-o", "--owner", "-g", "--group"]);
        let braces: Vec<String> = rest.iter().flat_map(|word| braced(word)).collect();
        let paths = self.paths(&braces)?;
        let value = |names: [&str; 2]| {
            options.iter().rev().find(|(name, _)| names.contains(&name.as_str())).and_then(|(_, value)| value.clone())
        };
        let wanted = match value(["-m", "--mode"]) {
            Some(text) => Some(mode(&text)?),
            None => None,
        };
        let owner = match (value(["-o", "--owner"]), value(["-g", "--group"])) {
            (Some(user), Some(group)) => Some(format!("{user}:{group}")),
            (user, _) => user,
        };
        if owner.as_ref().is_some_and(|owner| rules::who(owner).is_err()) {
            return None;
        }
        for path in paths {
            if self.known.contains(&path) && wanted.is_none() && owner.is_none() {
                continue;
            }
            self.know(&format!("{path}/"));
            let entry =
                Entry { mode: wanted.clone(), owner: owner.clone(), ..Entry::new(What::Dir, escape(&path, false)) };
            self.draft.entry(entry);
        }
        Some(Fate::Carried("as `[[dir]]`".into()))
    }

    fn linked(&mut self, words: &[String]) -> Option<Fate> {
        let (options, rest) = options(words, &[]);
        let fine = options.iter().any(|(name, _)| name == "-s" || name == "--symbolic")
            && options
                .iter()
                .all(|(name, _)| ["-s", "-f", "-n", "-v", "--symbolic", "--force"].contains(&name.as_str()));
        let [target, link] = rest.as_slice() else { return None };
        let path = self.paths(std::slice::from_ref(link))?.pop()?;
        let name = target.trim_end_matches('/').rsplit('/').next()?;
        let directory = link.ends_with('/') || self.known.contains(&path);
        let path = if directory { format!("{path}/{name}") } else { path };
        if !fine || target.is_empty() {
            return None;
        }
        let what = What::Link { target: escape(target, false) };
        self.draft.entry(Entry { replace: self.base != "scratch", ..Entry::new(what, escape(&path, false)) });
        Some(Fate::Carried("as `[[symlink]]`".into()))
    }

    fn touched(&mut self, words: &[String]) -> Option<Fate> {
        let (options, rest) = options(words, &[]);
        let paths = self.paths(&rest).filter(|_| options.is_empty() && self.base == "scratch")?;
        for path in paths {
            self.draft.entry(Entry::new(What::Inline { content: String::new() }, escape(&path, false)));
        }
        Some(Fate::Carried("as an empty `[[file]]`".into()))
    }

    fn moded(&mut self, words: &[String]) -> Option<Fate> {
        let (wanted, rest) = words.get(1..)?.split_first()?;
        let paths = self.paths(rest)?;
        let executable = ["+x", "a+x", "u+x", "ugo+x", "+rx", "a+rx"].contains(&wanted.as_str());
        let wanted = if executable { "0755".to_string() } else { mode(wanted)? };
        for path in &paths {
            let covered = self.draft.entries().any(|entry| {
                matches!(entry.what, What::Tree { .. } | What::Archive { .. }) && path.starts_with(&entry.dest)
            });
            let entry = self.draft.entries_mut().filter(|entry| entry.path() == *path).last();
            match entry {
                Some(entry) if !matches!(entry.what, What::Tree { .. }) => entry.mode = Some(wanted.clone()),
                _ if covered && executable => {}
                _ => return None,
            }
        }
        Some(Fate::Carried("as `mode`, or because programs and scripts get 0755 anyway".into()))
    }

    fn owned(&mut self, words: &[String]) -> Option<Fate> {
        let (options, rest) = options(words, &[]);
        let deep = options.iter().any(|(name, _)| ["-R", "--recursive"].contains(&name.as_str()));
        let (owner, paths) = rest.split_first()?;
        let owner = owner.trim_end_matches(':').to_string();
        if words[0].ends_with("chgrp") || rules::who(&owner).is_err() {
            return None;
        }
        let paths = self.paths(paths)?;
        for path in &paths {
            let below = format!("{path}/");
            let mut found = false;
            for entry in
                self.draft.entries_mut().filter(|entry| !matches!(entry.what, What::User { .. } | What::Group { .. }))
            {
                if entry.path() == *path || deep && format!("{}/", entry.path()).starts_with(&below) {
                    let shallow = !deep && !matches!(entry.what, What::Dir | What::File { .. } | What::Binary { .. });
                    if shallow {
                        return None;
                    }
                    entry.owner = Some(owner.clone());
                    found = true;
                }
            }
            if !found {
                return None;
            }
        }
        Some(Fate::Carried("as `owner` of the entries above".into()))
    }
}

/// `/a/{b,c}` as two paths.
fn braced(word: &str) -> Vec<String> {
    let cut = word.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match cut {
        Some((before, (inner, behind))) if inner.contains(',') && !behind.contains('{') => {
            inner.split(',').map(|one| format!("{before}{one}{behind}")).collect()
        }
        _ => vec![word.to_string()],
    }
}

/// A command for a comment: one line, not too long.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
