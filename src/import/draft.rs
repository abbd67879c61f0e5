//! Between stages 1 and 2: an `image.toml` in the making. Sections and entries in, the text out. Pure.

use std::collections::BTreeMap;

use super::value::{key, list, quoted};
use crate::error::printable;

/// Lines of a comment, without their `#`.
pub type Remarks = Vec<String>;

/// A line of a section.
#[derive(Clone, Debug)]
pub enum Line {
    /// A comment that belongs to no key.
    Remark(Remarks),
    /// A key with its value in TOML, and the comment above it.
    Key(Remarks, String, String),
}

/// A section with keys.
#[derive(Clone, Debug, Default)]
pub struct Section(Vec<Line>);

impl Section {
    /// Sets a key, anew where it is set already.
    pub fn set(&mut self, name: &str, value: String, remarks: Remarks) {
        let written = key(name);
        match self.0.iter_mut().find(|line| matches!(line, Line::Key(_, known, _) if *known == written)) {
            Some(line) => *line = Line::Key(remarks, written, value),
            None => self.0.push(Line::Key(remarks, written, value)),
        }
    }

    /// Forgets a key.
    pub fn unset(&mut self, name: &str) {
        self.0.retain(|line| !matches!(line, Line::Key(_, known, _) if *known == key(name)));
    }

    /// Adds a comment at this place.
    pub fn remark(&mut self, remarks: Remarks) {
        self.0.push(Line::Remark(remarks));
    }

    /// Whether a key is set.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a key, in TOML.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|line| match line {
            Line::Key(_, known, value) if *known == key(name) => Some(value.as_str()),
            _ => None,
        })
    }

    fn write(&self, header: &str, out: &mut String) {
        if self.0.is_empty() {
            return;
        }
        *out += &format!("\n{header}\n");
        for line in &self.0 {
            match line {
                Line::Remark(remarks) => comment(remarks, out),
                Line::Key(remarks, key, value) => {
                    comment(remarks, out);
                    *out += &format!("{key} = {value}\n");
                }
            }
        }
    }
}

/// What an entry makes. Paths of sources are relative to the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file.
    File { src: String },
    /// A directory's contents.
    Tree { src: String, include: Vec<String>, exclude: Vec<String> },
    /// A program.
    Binary { src: String },
    /// A text.
    Inline { content: String },
    /// What is in an archive: a file, or a URL with its SHA-256.
    Archive { src: String, sha256: Option<String> },
    /// Files out of an image.
    Taken { from: String, src: String },
    /// A directory.
    Dir,
    /// A symbolic link.
    Link { target: String },
    /// An account.
    User { name: String, uid: u32, gid: Option<u32>, home: Option<String>, shell: Option<String> },
    /// A group.
    Group { name: String, gid: u32, members: Vec<String> },
}

/// An entry: `[[file]]`, `[[dir]]` …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The comment above it.
    pub remarks: Remarks,
    /// What it makes.
    pub what: What,
    /// Where: absolute, with a slash at the end for a directory that it goes into.
    pub dest: String,
    /// The mode of files, or of the directory.
    pub mode: Option<String>,
    /// The mode of directories.
    pub dir_mode: Option<String>,
    /// Who owns it.
    pub owner: Option<String>,
    /// The layer of its own that it goes into.
    pub layer: Option<String>,
    /// File capabilities of a program.
    pub capabilities: Vec<String>,
    /// Whether it wins over another entry.
    pub replace: bool,
}

impl Entry {
    /// An entry without anything special.
    pub fn new(what: What, dest: impl Into<String>) -> Entry {
        let dest = dest.into();
        let (remarks, capabilities) = (Vec::new(), Vec::new());
        Entry {
            remarks,
            what,
            dest,
            mode: None,
            dir_mode: None,
            owner: None,
            layer: None,
            capabilities,
            replace: false,
        }
    }

    /// The path that it writes, without a slash at the end: a file in a directory keeps its name.
    pub fn path(&self) -> String {
        let name = match &self.what {
            What::File { src } | What::Binary { src } if self.dest.ends_with('/') => src.rsplit('/').next(),
            _ => None,
        };
        match name {
            Some(name) => format!("{}{name}", self.dest),
            None => self.dest.trim_end_matches('/').to_string(),
        }
    }

    fn keys(&self) -> (&'static str, Vec<(&'static str, String)>) {
        let some = |key, words: &[String]| (!words.is_empty()).then(|| (key, list(words)));
        match &self.what {
            What::File { src } => ("file", vec![("src", quoted(src))]),
            What::Tree { src, include, exclude } => {
                let mut keys = vec![("src", quoted(if src.is_empty() { "." } else { src }))];
                keys.extend(some("include", include));
                keys.extend(some("exclude", exclude));
                ("file", keys)
            }
            What::Binary { src } => ("binary", vec![("src", quoted(src))]),
            What::Inline { content } => ("file", vec![("content", quoted(content))]),
            What::Archive { src, sha256: None } => ("archive", vec![("src", quoted(src))]),
            What::Archive { src, sha256: Some(sum) } => {
                ("archive", vec![("url", quoted(src)), ("sha256", quoted(sum))])
            }
            What::Taken { from, src } => ("copy", vec![("from", quoted(from)), ("src", quoted(src))]),
            What::Dir => ("dir", Vec::new()),
            What::Link { target } => ("symlink", vec![("target", quoted(target))]),
            What::User { name, uid, gid, home, shell } => {
                let mut keys = vec![("name", quoted(name)), ("uid", uid.to_string())];
                keys.extend(gid.map(|gid| ("gid", gid.to_string())));
                keys.extend(home.as_ref().map(|home| ("home", quoted(home))));
                keys.extend(shell.as_ref().map(|shell| ("shell", quoted(shell))));
                ("user", keys)
            }
            What::Group { name, gid, members } => {
                let mut keys = vec![("name", quoted(name)), ("gid", gid.to_string())];
                keys.extend(some("members", members));
                ("group", keys)
            }
        }
    }

    fn write(&self, out: &mut String) {
        out.push('\n');
        comment(&self.remarks, out);
        let (table, mut keys) = self.keys();
        if !matches!(self.what, What::User { .. } | What::Group { .. }) {
            let dest = if self.what == What::Dir { self.path() } else { self.dest.clone() };
            let at = keys.iter().take_while(|(key, _)| ["src", "url", "sha256", "from"].contains(key)).count();
            keys.insert(at, ("dest", quoted(&dest)));
            keys.extend(self.mode.as_ref().map(|mode| ("mode", quoted(mode))));
            keys.extend(self.dir_mode.as_ref().map(|mode| ("dir-mode", quoted(mode))));
            keys.extend(self.owner.as_ref().map(|owner| ("owner", quoted(owner))));
            keys.extend(self.layer.as_ref().map(|layer| ("layer", quoted(layer))));
            keys.extend((!self.capabilities.is_empty()).then(|| ("capabilities", list(&self.capabilities))));
            keys.extend(self.replace.then(|| ("replace", "true".to_string())));
        }
        *out += &format!("[[{table}]]\n");
        keys.iter().for_each(|(key, value)| *out += &format!("{key} = {value}\n"));
    }
}

/// A part of the manifest's body.
#[derive(Clone, Debug)]
pub enum Block {
    /// A comment.
    Remark(Remarks),
    /// An entry.
    Entry(Box<Entry>),
}

/// An `image.toml` in the making.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// What stands above everything.
    pub head: Remarks,
    /// Variables with their defaults; one without must be set.
    pub vars: BTreeMap<String, Option<String>>,
    /// What stands above `[image]`, one block a stage.
    pub stages: Vec<Remarks>,
    /// `[image]`.
    pub image: Section,
    /// `[healthcheck]`.
    pub healthcheck: Section,
    /// `[env]`.
    pub env: Section,
    /// `[labels]`.
    pub labels: Section,
    /// `[annotations]`.
    pub annotations: Section,
    /// `[packages.debian]` or `[packages.alpine]`, by its header.
    pub packages: Option<(String, Section)>,
    /// `[check]`.
    pub check: Section,
    /// `[attest]`.
    pub attest: Section,
    /// The entries, and what stands between them.
    pub body: Vec<Block>,
}

impl Draft {
    /// Adds an entry.
    pub fn entry(&mut self, entry: Entry) {
        self.body.push(Block::Entry(Box::new(entry)));
    }

    /// Adds a comment between the entries.
    pub fn remark(&mut self, remarks: Remarks) {
        self.body.push(Block::Remark(remarks));
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.body.iter().filter_map(|block| match block {
            Block::Entry(entry) => Some(&**entry),
            Block::Remark(_) => None,
        })
    }

    /// The entries, to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.body.iter_mut().filter_map(|block| match block {
            Block::Entry(entry) => Some(&mut **entry),
            Block::Remark(_) => None,
        })
    }

    /// The text of the manifest.
    pub fn write(&self) -> String {
        let mut out = String::new();
        comment(&self.head, &mut out);
        out += "\nschema = 1\n";
        if !self.vars.is_empty() {
            out += "\n[vars]\n";
        }
        for (name, default) in &self.vars {
            let inner = match default {
                Some(default) => format!("{{ default = {} }}", quoted(default)),
                None => format!("{{ from = {} }}", quoted(&format!("env:{}", name.to_ascii_uppercase()))),
            };
            out += &format!("{} = {inner}\n", key(name));
        }
        for stage in &self.stages {
            out.push('\n');
            comment(stage, &mut out);
        }
        self.image.write("[image]", &mut out);
        self.healthcheck.write("[healthcheck]", &mut out);
        self.env.write("[env]", &mut out);
        self.labels.write("[labels]", &mut out);
        self.annotations.write("[annotations]", &mut out);
        for block in &self.body {
            match block {
                Block::Remark(remarks) => {
                    out.push('\n');
                    comment(remarks, &mut out);
                }
                Block::Entry(entry) => entry.write(&mut out),
            }
        }
        if let Some((header, section)) = &self.packages {
            section.write(header, &mut out);
        }
        self.attest.write("[attest]", &mut out);
        self.check.write("[check]", &mut out);
        out
    }
}

fn comment(remarks: &[String], out: &mut String) {
    for line in remarks.iter().flat_map(|remark| remark.lines()) {
        // A comment of TOML holds no control characters.
        let line = line.trim_end().split('\t').map(printable).collect::<Vec<_>>().join("\t");
        *out += &if line.is_empty() { "#\n".to_string() } else { format!("# {line}\n") };
    }
}
