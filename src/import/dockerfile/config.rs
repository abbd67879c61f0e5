//! Between stages 1 and 2: the instructions that set the config. Pure.

use parse_dockerfile::{
    Command, ExposeInstruction, HealthcheckArguments, HealthcheckInstruction, JsonOrStringArray, MaintainerInstruction,
    ShellInstruction, StopsignalInstruction, UserInstruction, VolumeInstruction, WorkdirInstruction,
};

use super::stage::{Edit, Stage};
use super::{File, words};
use crate::import::context::absolute;
use crate::import::draft::{Entry, Remarks, Section, What};
use crate::import::value::{Value, escape, list, quoted};
use crate::manifest::words as rules;

/// Most ports of one range that are written one by one.
const MOST_PORTS: u32 = 64;

impl Stage {
    pub(super) fn env(&mut self, file: &File<'_>, at: usize) {
        let mut remarks = file.lines[at].comments.clone();
        for (name, text) in words::pairs(&file.arguments(at), file.escape) {
            let text = text.unwrap_or_default();
            if let Some((before, behind)) = self.around(file, &name, &text) {
                self.extend(file, at, &name, before, behind, std::mem::take(&mut remarks));
                continue;
            }
            let (value, told) = self.word(file, at, &text);
            remarks.extend(told);
            self.declare(&value);
            self.edits.remove(&name);
            self.draft.env.set(&name, quoted(&value.template()), std::mem::take(&mut remarks));
            self.env.insert(name, value);
        }
    }

    /// What a value puts around the base's value of the same variable, as in `/app/bin:$PATH`.
    fn around(&self, file: &File<'_>, name: &str, text: &str) -> Option<(Value, Value)> {
        if self.base == "scratch" || self.lookup(name).is_some() {
            return None;
        }
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let (dollar, braces) = (format!("${name}"), format!("${{{name}}}"));
        let (start, length) = bare
            .find(&braces)
            .map(|at| (at, braces.len()))
            .or_else(|| bare.find(&dollar).map(|at| (at, dollar.len())))?;
        let (before, behind) = (&bare[..start], &bare[start + length..]);
        let side = |text: &str| {
            let word = words::expand(text, file.escape, &|name| self.lookup(name));
            (word.unknown.is_empty() && word.odd.is_empty()).then_some(word.value)
        };
        let own =
            behind.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_') && length == dollar.len();
        let joined = (before.is_empty() || before.ends_with(':')) && (behind.is_empty() || behind.starts_with(':'));
        (joined && !own).then_some(())?;
        Some((side(before)?, side(behind)?))
    }

    fn extend(&mut self, file: &File<'_>, at: usize, name: &str, before: Value, behind: Value, mut remarks: Remarks) {
        self.declare(&before);
        self.declare(&behind);
        let old = self.edits.get(name).cloned().unwrap_or(Edit { before: String::new(), behind: String::new() });
        let edit = Edit { before: before.template() + &old.before, behind: old.behind + &behind.template() };
        let (front, back) = (edit.before.trim_end_matches(':'), edit.behind.trim_start_matches(':'));
        let value = match (front.is_empty(), back.is_empty()) {
            (_, true) => format!("{{ prepend = {} }}", quoted(front)),
            (true, false) => format!("{{ append = {} }}", quoted(back)),
            (false, false) => {
                let why = format!("what stands behind the base's `{name}` is left out: {back}");
                remarks.extend(self.left(file, at, &why, "write the whole value, with the base's in it"));
                format!("{{ prepend = {} }}", quoted(front))
            }
        };
        if !(front.is_empty() && back.is_empty()) {
            self.draft.env.set(name, value, remarks);
        }
        self.edits.insert(name.into(), edit);
    }

    pub(super) fn label(&mut self, file: &File<'_>, at: usize) {
        let mut remarks = file.lines[at].comments.clone();
        for (name, text) in words::pairs(&file.arguments(at), file.escape) {
            let (name, _) = self.word(file, at, &name);
            let (value, told) = self.word(file, at, &text.unwrap_or_default());
            remarks.extend(told);
            self.declare(&value);
            let name = name.plain();
            if name.is_empty() {
                let left = self.left(file, at, "a label without a name", "give it one in `[labels]`");
                self.draft.labels.remark(left);
                continue;
            }
            self.draft.labels.set(&name, quoted(&value.template()), std::mem::take(&mut remarks));
        }
    }

    pub(super) fn maintainer(&mut self, file: &File<'_>, at: usize, one: &MaintainerInstruction<'_>) {
        let mut remarks = file.lines[at].comments.clone();
        remarks.extend(file.original(at));
        let name = escape(&one.name.value, false);
        self.draft.labels.set("org.opencontainers.image.authors", quoted(&name), remarks);
    }

    /// `CMD` and `ENTRYPOINT`.
    pub(super) fn command(&mut self, file: &File<'_>, at: usize, key: &str, command: &Command<'_>) {
        let mut remarks = file.lines[at].comments.clone();
        let words: Vec<String> = match command {
            Command::Exec(words) => words.value.iter().map(|word| word.value.to_string()).collect(),
            _ => {
                let text = file.arguments(at);
                if text.starts_with('[') && text.ends_with(']') && text[1..text.len() - 1].trim().is_empty() {
                    return self.no_command(file, at, key);
                }
                remarks.extend(file.original(at));
                remarks.push("The shell form: `docker build` puts a shell in front, which the image must have.".into());
                remarks.push(
                    "Better: write the program and its arguments, as in [\"/app/server\", \"--port\", \"80\"].".into(),
                );
                self.shell.iter().cloned().chain([text]).collect()
            }
        };
        if key == "entrypoint" && self.draft.image.has("cmd") && !self.own_cmd(file, at) {
            self.draft.image.unset("cmd");
        }
        let words: Vec<String> = words.iter().map(|word| escape(word, false)).collect();
        self.draft.image.set(key, list(&words), remarks);
    }

    /// Whether `CMD` stands in the same stage as this instruction; one of a stage below is cleared by an entrypoint.
    fn own_cmd(&self, file: &File<'_>, at: usize) -> bool {
        let mut above = file.instructions[..at].iter().rev();
        let mut own = above.by_ref().take_while(|one| !matches!(one, parse_dockerfile::Instruction::From(_)));
        own.any(|one| matches!(one, parse_dockerfile::Instruction::Cmd(_)))
    }

    /// `CMD []` and `ENTRYPOINT []`: what the base says is dropped.
    fn no_command(&mut self, file: &File<'_>, at: usize, key: &str) {
        self.draft.image.unset(key);
        if self.base == "scratch" {
            return;
        }
        self.unset_of_base(key, file, at);
    }

    /// Drops a field of the base.
    fn unset_of_base(&mut self, field: &str, file: &File<'_>, at: usize) {
        let known = self.draft.image.value("unset").unwrap_or_default();
        let mut fields: Vec<String> = known.split('"').skip(1).step_by(2).map(String::from).collect();
        if !fields.iter().any(|known| known == field) {
            fields.push(field.into());
        }
        self.draft.image.set("unset", list(&fields), file.original(at));
    }

    pub(super) fn expose(&mut self, file: &File<'_>, at: usize, one: &ExposeInstruction<'_>) {
        let mut remarks = file.lines[at].comments.clone();
        for argument in &one.arguments {
            let (value, told) = self.word(file, at, &argument.value);
            remarks.extend(told);
            let text = value.plain();
            let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let protocol = protocol.to_ascii_lowercase();
            let range = number.split_once('-').unwrap_or((number, number));
            let range = (range.0.parse::<u32>(), range.1.parse::<u32>());
            let ports: Vec<String> = match range {
                (Ok(first), Ok(last)) if first <= last && last - first < MOST_PORTS => {
                    (first..=last).map(|port| format!("{port}/{protocol}")).collect()
                }
                _ => Vec::new(),
            };
            let fine = !ports.is_empty() && ports.iter().all(|port| rules::port(port).is_ok());
            if !fine {
                let why = format!("`{text}` is no port, or too long a range of them");
                self.left_in_image(file, at, &why, "write each port into `ports`, as in \"8080/tcp\"");
                continue;
            }
            self.ports.extend(ports);
        }
        if !self.ports.is_empty() {
            let ports: Vec<&String> = self.ports.iter().collect();
            self.draft.image.set("ports", list(&ports), remarks);
        }
    }

    pub(super) fn volume(&mut self, file: &File<'_>, at: usize, one: &VolumeInstruction<'_>) {
        let mut remarks = file.lines[at].comments.clone();
        let texts: Vec<String> = match &one.arguments {
            JsonOrStringArray::Json(words) => words.value.iter().map(|word| word.value.to_string()).collect(),
            JsonOrStringArray::String(words) => words.iter().map(|word| word.value.to_string()).collect(),
        };
        for text in texts {
            let (value, told) = self.word(file, at, &text);
            remarks.extend(told);
            let path = value.path();
            if rules::absolute(&value.plain()).is_err() {
                let why = format!("`{}` is no path of the image", value.plain());
                self.left_in_image(file, at, &why, "write absolute paths into `volumes`");
                continue;
            }
            self.volumes.insert(path);
        }
        if !self.volumes.is_empty() {
            let volumes: Vec<&String> = self.volumes.iter().collect();
            self.draft.image.set("volumes", list(&volumes), remarks);
        }
    }

    pub(super) fn user(&mut self, file: &File<'_>, at: usize, one: &UserInstruction<'_>) {
        let mut remarks = file.lines[at].comments.clone();
        let (value, told) = self.word(file, at, &one.arguments.value);
        remarks.extend(told);
        let text = value.plain();
        if rules::who(&text).is_err() {
            return self.left_in_image(file, at, &format!("`{text}` is no user"), "set `user` in `[image]`");
        }
        if value.vars().next().is_some() {
            remarks.extend(file.original(at));
        }
        // Without accounts in the image nobody is called root; the number means the same everywhere.
        let written = match text.as_str() {
            "root" | "0" | "root:root" => "0:0".to_string(),
            text => text.to_string(),
        };
        self.draft.image.set("user", quoted(&written), remarks);
        self.user = Some(text);
    }

    pub(super) fn workdir(&mut self, file: &File<'_>, at: usize, one: &WorkdirInstruction<'_>) {
        let mut remarks = file.lines[at].comments.clone();
        let (value, told) = self.word(file, at, &one.arguments.value);
        remarks.extend(told);
        let whole = absolute(&self.workdir, &value.plain());
        let path = if whole == "/" { whole } else { whole.trim_end_matches('/').to_string() };
        if rules::destination(&path).is_err() {
            return self.left_in_image(file, at, "this is no path of the image", "set `workdir` in `[image]`");
        }
        if self.known.insert(path.clone()) {
            let entry = Entry { remarks: file.original(at), ..Entry::new(What::Dir, escape(&path, false)) };
            self.draft.entry(entry);
        }
        self.draft.image.set("workdir", quoted(&escape(&path, false)), remarks);
        self.workdir = path;
    }

    pub(super) fn stop_signal(&mut self, file: &File<'_>, at: usize, one: &StopsignalInstruction<'_>) {
        let mut remarks = file.lines[at].comments.clone();
        let (value, told) = self.word(file, at, &one.arguments.value);
        remarks.extend(told);
        let text = value.plain();
        let named = format!("SIG{}", text.trim_start_matches("SIG"));
        let known = [text.clone(), named].into_iter().find(|text| rules::signal(text).is_ok());
        match known {
            Some(signal) => self.draft.image.set("stop-signal", quoted(&signal), remarks),
            None => {
                let advice = "set `stop-signal` in `[image]`, as in \"SIGTERM\"";
                self.left_in_image(file, at, &format!("`{text}` is no signal"), advice);
            }
        }
    }

    pub(super) fn shell(&mut self, file: &File<'_>, at: usize, one: &ShellInstruction<'_>) {
        self.shell = one.arguments.iter().map(|word| word.value.to_string()).collect();
        let why = "the manifest has no shell: nothing is run";
        self.left_in_image(
            file,
            at,
            why,
            "nothing is needed; a later shell form of `CMD` or `ENTRYPOINT` begins with it",
        );
    }

    pub(super) fn healthcheck(&mut self, file: &File<'_>, at: usize, one: &HealthcheckInstruction<'_>) {
        self.draft.healthcheck = Section::default();
        let HealthcheckArguments::Cmd { arguments, .. } = &one.arguments else {
            if self.base != "scratch" {
                self.unset_of_base("healthcheck", file, at);
            }
            return;
        };
        let mut remarks = file.lines[at].comments.clone();
        let words: Vec<String> = match arguments {
            Command::Exec(words) => words.value.iter().map(|word| word.value.to_string()).collect(),
            _ => {
                remarks.extend(file.original(at));
                remarks.push("The shell form: a shell is put in front, which the image must have.".into());
                let text = file.arguments(at);
                let text = text.trim_start_matches(|one: char| !one.is_whitespace()).trim().to_string();
                self.shell.iter().cloned().chain([text]).collect()
            }
        };
        let words: Vec<String> = words.iter().map(|word| escape(word, false)).collect();
        self.draft.healthcheck.set("command", list(&words), remarks);
        for flag in &one.options {
            let (name, value) =
                (flag.name.value.as_ref(), flag.value.as_ref().map_or("", |value| value.value.as_ref()));
            let fine = match name {
                "interval" | "timeout" | "start-period" | "start-interval" => rules::nanoseconds(value).is_ok(),
                "retries" => value.parse::<u32>().is_ok_and(|retries| retries > 0),
                _ => false,
            };
            match (fine, name) {
                (true, "retries") => self.draft.healthcheck.set(name, value.to_string(), Vec::new()),
                (true, _) => self.draft.healthcheck.set(name, quoted(value), Vec::new()),
                (false, _) => {
                    let why = format!("`--{name}={value}` is not known, or no value that it may have");
                    let left = self.left(file, at, &why, "write it into `[healthcheck]`, as in `interval = \"30s\"`");
                    self.draft.healthcheck.remark(left);
                }
            }
        }
    }
}
