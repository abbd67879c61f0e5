//! Between stages 1 and 2: `COPY` and `ADD` → entries. Pure.

use parse_dockerfile::{AddInstruction, CopyInstruction, Flag, HereDoc, Source};

use super::stage::Stage;
use super::{File, Part, find};
use crate::import::context::{Kind, absolute, is_glob, relative};
use crate::import::draft::{Entry, Remarks, What};
use crate::import::value::{Value, escape};
use crate::manifest::words as rules;

/// Endings of the archives that `ADD` takes apart.
const ARCHIVES: [&str; 10] =
    [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.zstd", ".tbz"];

/// What the flags of an instruction say.
#[derive(Default)]
pub(super) struct Flags {
    from: Option<String>,
    owner: Option<String>,
    mode: Option<String>,
    exclude: Vec<String>,
    sha256: Option<String>,
    unpack: Option<bool>,
    /// Flags that have no meaning here, and why.
    told: Vec<(String, &'static str)>,
}

/// A destination: where, and whether things are put into it.
pub(super) struct Goal {
    /// For looking things up.
    pub(super) plain: String,
    /// As it is written.
    pub(super) path: String,
}

/// A source in its two forms.
pub(super) struct Origin {
    pub(super) plain: String,
    pub(super) path: String,
}

impl Stage {
    pub(super) fn copy(
        &mut self,
        file: &File<'_>,
        parts: &[Part],
        earlier: &[Stage],
        at: usize,
        one: &CopyInstruction<'_>,
    ) {
        let mut remarks = self.above(file, at);
        let flags = self.flags(file, at, &one.options, &mut remarks);
        let Some(goal) = self.goal(file, at, &one.dest.value, one.src.len(), &mut remarks) else { return };
        let Some(from) = flags.from.clone() else {
            return self.sources(file, at, &one.src, &goal, &flags, remarks, false);
        };
        for source in &one.src {
            let Source::Path(source) = source else { continue };
            let (value, told) = self.word(file, at, &source.value);
            remarks.extend(told);
            let path = absolute("/", &value.path());
            match find(&parts[..earlier.len()], &from) {
                Some(stage) => {
                    self.copied.insert(stage);
                    self.copied.extend(earlier[stage].copied.iter().copied());
                    self.take_from_stage(file, &earlier[stage], &path, &goal, &flags, std::mem::take(&mut remarks));
                }
                None => self.take_from_image(file, at, &from, &path, &goal, &flags, std::mem::take(&mut remarks)),
            }
        }
    }

    pub(super) fn add(&mut self, file: &File<'_>, at: usize, one: &AddInstruction<'_>) {
        let mut remarks = self.above(file, at);
        let flags = self.flags(file, at, &one.options, &mut remarks);
        let Some(goal) = self.goal(file, at, &one.dest.value, one.src.len(), &mut remarks) else { return };
        let is_remote = |source: &Source<'_>| match source {
            Source::Path(path) => {
                ["http://", "https://", "git@", "git://", "ssh://"].iter().any(|start| path.value.starts_with(start))
                    || path.value.starts_with('$') && path.value.contains("://")
            }
            _ => false,
        };
        if !one.src.iter().any(is_remote) {
            return self.sources(file, at, &one.src, &goal, &flags, remarks, flags.unpack != Some(false));
        }
        for source in one.src.iter() {
            let Source::Path(source) = source else { continue };
            let (value, told) = self.word(file, at, &source.value);
            remarks.extend(told);
            self.remote(file, at, &value, &goal, &flags, std::mem::take(&mut remarks));
        }
    }

    /// The instruction and the comments above it.
    fn above(&self, file: &File<'_>, at: usize) -> Remarks {
        let mut remarks = file.lines[at].comments.clone();
        remarks.extend(file.original(at));
        remarks
    }

    fn flags(&mut self, file: &File<'_>, at: usize, written: &[Flag<'_>], remarks: &mut Remarks) -> Flags {
        let mut flags = Flags::default();
        for flag in written {
            let value = flag.value.as_ref().map(|value| value.value.to_string()).unwrap_or_default();
            let (value, told) = self.word(file, at, &value);
            remarks.extend(told);
            let text = value.plain();
            match flag.name.value.as_ref() {
                "from" => flags.from = Some(text),
                "chown" if rules::who(&owner(&text)).is_ok() => flags.owner = Some(owner(&text)),
                "chmod" if mode(&text).is_some() => flags.mode = mode(&text),
                "checksum" => flags.sha256 = text.strip_prefix("sha256:").map(String::from),
                "unpack" => flags.unpack = Some(text != "false"),
                "exclude" => flags.exclude.push(format!("/{}", escape(&relative(&text), false))),
                "link" | "keep-git-dir" => {}
                "chown" => {
                    flags.told.push((format!("--chown={text}"), "say `owner` in the entry, as in \"1000:1000\""))
                }
                "chmod" => flags.told.push((format!("--chmod={text}"), "say `mode` in the entry, in octal digits")),
                "parents" => flags.told.push((
                    "--parents".into(),
                    "give each entry the whole path in `dest`, or copy the directory above with `include`",
                )),
                name => flags.told.push((format!("--{name}"), "say what it means in the entry")),
            }
        }
        for (flag, advice) in &flags.told {
            let left = self.left(file, at, &format!("`{flag}` is not carried over"), advice);
            remarks.extend(left.into_iter().rev().take(2).rev());
        }
        flags
    }

    fn goal(&mut self, file: &File<'_>, at: usize, dest: &str, sources: usize, remarks: &mut Remarks) -> Option<Goal> {
        let (value, told) = self.word(file, at, dest);
        remarks.extend(told);
        let mut plain = absolute(&self.workdir, &value.plain());
        let mut path = absolute(&escape(&self.workdir, false), &value.path());
        let into = sources > 1 || self.known.contains(trimmed(&plain));
        if into && !plain.ends_with('/') {
            plain.push('/');
            path.push('/');
        }
        if rules::destination(&plain).is_err() {
            self.left_in_body(file, at, "its destination is no path of the image", "write an absolute path as `dest`");
            return None;
        }
        Some(Goal { plain, path })
    }

    /// Sources of the context.
    #[allow(clippy::too_many_arguments, reason = "two instructions share it")]
    fn sources(
        &mut self,
        file: &File<'_>,
        at: usize,
        sources: &[Source<'_>],
        goal: &Goal,
        flags: &Flags,
        mut remarks: Remarks,
        unpacks: bool,
    ) {
        for source in sources {
            let source = match source {
                Source::Path(source) => &source.value,
                Source::HereDoc(text) => {
                    self.inline(file, at, text, goal, flags, std::mem::take(&mut remarks));
                    continue;
                }
                _ => continue,
            };
            let (value, told) = self.word(file, at, source);
            remarks.extend(told);
            let origin = Origin { plain: relative(&value.plain()), path: relative(&value.path()) };
            let remarks = std::mem::take(&mut remarks);
            if is_glob(&origin.plain) {
                self.glob(file, at, &origin, goal, flags, remarks);
            } else if unpacks && ARCHIVES.iter().any(|ending| origin.plain.to_ascii_lowercase().ends_with(ending)) {
                let dest = format!("{}/", trimmed(&goal.path));
                let what = What::Archive { src: origin.path, sha256: None };
                self.know(&format!("{}/", trimmed(&goal.plain)));
                self.put(Entry { remarks, ..Entry::new(what, dest) }, flags);
            } else {
                let directory = match file.context.kind(&origin.plain) {
                    Some(kind) => kind == Kind::Directory,
                    None => origin.plain.is_empty() || value.plain().ends_with('/'),
                };
                self.plain(&origin, directory, goal, flags, remarks);
            }
        }
    }

    /// One file, or the contents of one directory.
    pub(super) fn plain(&mut self, origin: &Origin, directory: bool, goal: &Goal, flags: &Flags, remarks: Remarks) {
        if directory {
            let mut exclude = flags.exclude.clone();
            if origin.plain.is_empty() {
                exclude.extend(["/image.toml", "/image.lock", "/.imageignore"].map(String::from));
            }
            let what = What::Tree { src: origin.path.clone(), include: Vec::new(), exclude };
            let dest = format!("{}/", trimmed(&goal.path));
            self.owned_above(&goal.plain, flags);
            self.know(&format!("{}/", trimmed(&goal.plain)));
            return self.put(Entry { remarks, ..Entry::new(what, dest) }, flags);
        }
        if goal.plain.ends_with('/') {
            self.owned_above(&goal.plain, flags);
        } else if let Some((above, _)) = goal.plain.rsplit_once('/') {
            self.owned_above(above, flags);
        }
        self.know(&goal.plain);
        self.put(Entry { remarks, ..Entry::new(What::File { src: origin.path.clone() }, &goal.path) }, flags);
    }

    /// A text that stands in the Dockerfile.
    fn inline(
        &mut self,
        file: &File<'_>,
        at: usize,
        text: &HereDoc<'_>,
        goal: &Goal,
        flags: &Flags,
        mut remarks: Remarks,
    ) {
        let mut content = Value::text(text.value.to_string());
        if text.expand {
            // Quotes mean nothing in a here-document.
            let protected = text.value.replace('"', "\\\"").replace('\'', "\u{1}");
            let (value, told) = self.word(file, at, &protected);
            remarks.extend(told);
            self.declare(&value);
            content = value;
        }
        let content = content.template().replace('\u{1}', "'");
        let original = &file.text.text[file.lines[at].range.clone()];
        let name = original.split("<<").nth(1).map(|rest| {
            let rest = rest.trim_start_matches('-').trim_start_matches(['"', '\'']);
            rest.chars().take_while(|one| one.is_ascii_alphanumeric() || "_-.".contains(*one)).collect::<String>()
        });
        let name = if goal.path.ends_with('/') { name.unwrap_or_default() } else { String::new() };
        let dest = format!("{}{name}", goal.path);
        remarks.truncate(file.lines[at].comments.len() + 1);
        self.know(&goal.plain);
        self.put(Entry { remarks, ..Entry::new(What::Inline { content }, dest) }, flags);
    }

    /// A glob: with one place for its `*`, an `include`; else what it matches now.
    fn glob(&mut self, file: &File<'_>, at: usize, origin: &Origin, goal: &Goal, flags: &Flags, mut remarks: Remarks) {
        let found = file.context.matching(&origin.plain);
        let directories = found.iter().any(|path| file.context.kind(path) == Some(Kind::Directory));
        let (directory, pattern) = origin.path.rsplit_once('/').unwrap_or(("", &origin.path));
        if !goal.plain.ends_with('/') && found.len() == 1 {
            remarks.push(format!("The glob matches `{}` now; a later name of it must be written here.", found[0]));
            let origin = Origin { plain: found[0].clone(), path: escape(&found[0], false) };
            let directory = file.context.kind(&found[0]) == Some(Kind::Directory);
            return self.plain(&origin, directory, goal, flags, remarks);
        }
        if !goal.plain.ends_with('/') && found.is_empty() {
            let why = "a glob is copied to one file, and nothing matches it here";
            let left = self.left(file, at, why, "name the one file in `src`; `src` takes no globs");
            remarks.extend(left.into_iter().rev().take(2).rev());
            return self.plain(origin, false, goal, flags, remarks);
        }
        if is_glob(directory) || directories {
            if found.is_empty() {
                let why = "it matches nothing here, and its globs in directories would flatten them";
                return self.left_in_body(file, at, why, "write a `[[file]]` for each file or directory");
            }
            remarks.push("The glob is written out as what it matches now: it flattens directories.".into());
            for path in found {
                let origin = Origin { plain: path.clone(), path: escape(&path, false) };
                let directory = file.context.kind(&path) == Some(Kind::Directory);
                let goal = Goal { plain: into(&goal.plain), path: into(&goal.path) };
                self.plain(&origin, directory, &goal, flags, std::mem::take(&mut remarks));
            }
            return;
        }
        let include = vec![format!("/{}", pattern.replace("**", "*").replace("[^", "[!"))];
        let what = What::Tree { src: directory.to_string(), include, exclude: flags.exclude.clone() };
        self.owned_above(&goal.plain, flags);
        self.know(&into(&goal.plain));
        self.put(Entry { remarks, ..Entry::new(what, into(&goal.path)) }, flags);
    }

    /// `ADD URL`.
    fn remote(&mut self, file: &File<'_>, at: usize, value: &Value, goal: &Goal, flags: &Flags, mut remarks: Remarks) {
        let url = value.plain();
        let archive = ARCHIVES.iter().any(|ending| url.to_ascii_lowercase().ends_with(ending));
        match &flags.sha256 {
            Some(sum) if archive && flags.unpack == Some(true) && url.starts_with("http") => {
                self.declare(value);
                let what = What::Archive { src: value.template(), sha256: Some(sum.clone()) };
                remarks.retain(|line| !line.is_empty());
                self.put(Entry { remarks, ..Entry::new(what, into(&goal.path)) }, flags);
            }
            _ if !url.starts_with("http") || url.ends_with(".git") => {
                let advice = "check the repository out before `stillframe build`, and copy it with `[[file]]`";
                self.left_in_body(file, at, "a git repository is no source of an image", advice);
            }
            _ if archive => {
                let advice = "`[[archive]]` with `url` and `sha256` takes the files in it; the archive itself is fetched outside";
                self.left_in_body(file, at, "`ADD` keeps an archive from the web as it is, packed", advice);
            }
            _ => {
                let advice = "fetch it before `stillframe build`, check its sum there, and copy it with `[[file]]`";
                self.left_in_body(file, at, "a single file is not fetched from the web", advice);
            }
        }
    }

    /// Adds an entry with what the flags say.
    pub(super) fn put(&mut self, entry: Entry, flags: &Flags) {
        let mut entry = entry;
        let tree = matches!(entry.what, What::Tree { .. } | What::Archive { .. } | What::Taken { .. });
        entry.owner = flags.owner.clone().or(entry.owner);
        if let Some(mode) = &flags.mode {
            entry.mode = Some(mode.clone());
            entry.dir_mode = tree.then(|| mode.clone());
        }
        self.draft.entry(entry);
    }

    /// Directories that are made for an entry with an owner belong to that owner too.
    fn owned_above(&mut self, directory: &str, flags: &Flags) {
        let Some(owner) = &flags.owner else { return };
        let directory = trimmed(directory).to_string();
        let above =
            std::iter::successors(Some(directory.as_str()), |path| path.rsplit_once('/').map(|(above, _)| above));
        let mut fresh: Vec<&str> =
            above.filter(|path| !path.is_empty()).take_while(|path| !self.known.contains(*path)).collect();
        fresh.reverse();
        for path in fresh.into_iter().map(String::from).collect::<Vec<_>>() {
            let entry = Entry { owner: Some(owner.clone()), ..Entry::new(What::Dir, escape(&path, false)) };
            self.draft.entry(entry);
            self.known.insert(path);
        }
    }

    /// Remembers the directories that a destination makes.
    pub(super) fn know(&mut self, dest: &str) {
        let mut path = match dest.strip_suffix('/') {
            Some(path) => path,
            None => dest.rsplit_once('/').map_or("", |(above, _)| above),
        };
        while !path.is_empty() {
            self.known.insert(path.to_string());
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }
}

pub(super) fn trimmed(path: &str) -> &str {
    if path == "/" { path } else { path.trim_end_matches('/') }
}

/// As a directory that things go into.
pub(super) fn into(path: &str) -> String {
    if path.ends_with('/') { path.to_string() } else { format!("{path}/") }
}

/// `user` for `user:`; the group of a number is the same number.
fn owner(text: &str) -> String {
    let text = text.trim_end_matches(':');
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{text}:{text}")
    } else {
        text.into()
    }
}

/// Octal digits, with a zero in front.
pub(super) fn mode(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('0');
    let octal = digits.len() <= 4 && !digits.is_empty() && digits.bytes().all(|byte| (b'0'..b'8').contains(&byte));
    octal.then(|| if digits.len() == 4 { digits.to_string() } else { format!("{digits:0>4}") })
}
