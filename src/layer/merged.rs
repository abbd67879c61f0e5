//! Stage 6: the files of an image as a container will see them: own layers over the base's. Trees, the base's files and facts in, a view
//! out. Pure.

use std::collections::BTreeSet;

use super::natures::Natures;
use super::tree::{Body, Entry, Mode, Tree};
use crate::facts::programs::{Nature, View};
use crate::source::{FileIndex, Kind, Node, Obstacle, Stands, walk};

/// The mode of a file by its content: a program, and anything else.
const PROGRAM_MODE: u16 = 0o755;
const PLAIN_MODE: u16 = 0o644;

/// The files of one image, its own and the base's.
pub struct Merged<'a> {
    trees: &'a [Tree],
    base: &'a FileIndex,
    natures: &'a Natures,
    /// The paths of the base that whiteouts hide.
    hidden: BTreeSet<String>,
}

/// What a thing in an image is; links are always followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link; only where the last one is not followed.
    Link,
    /// A device or a named pipe.
    Other,
}

/// One thing in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thing {
    /// What it is.
    pub what: What,
    /// Its permission bits.
    pub mode: u16,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The item that puts it there; `None` for the base.
    pub item: Option<u32>,
}

impl<'a> Merged<'a> {
    /// The files of an image: the trees of its own layers, the files of its base, and what was seen in its own.
    pub fn new(trees: &'a [Tree], base: &'a FileIndex, natures: &'a Natures) -> Merged<'a> {
        let whiteouts = trees.iter().flatten().filter(|(_, entry)| entry.body == Body::Whiteout);
        let hidden = whiteouts.map(|(path, _)| {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            let name = name.strip_prefix(".wh.").unwrap_or(name);
            if directory.is_empty() { name.to_string() } else { format!("{directory}/{name}") }
        });
        Merged { trees, base, natures, hidden: hidden.collect() }
    }

    /// What stands at a real path; a link is not followed.
    pub fn at(&self, path: &str) -> Option<Thing> {
        match self.own(path) {
            Some(entry) => self.thing(path, entry),
            None => self.below(path).map(|node| Thing {
                what: match node.kind {
                    Kind::File { .. } => What::File,
                    Kind::Directory => What::Directory,
                    Kind::Link(_) => What::Link,
                    Kind::Other => What::Other,
                },
                mode: node.mode,
                uid: node.uid,
                gid: node.gid,
                item: None,
            }),
        }
    }

    /// The real path of what a path leads to, all links followed, or what stands in the way; `None` where there is nothing.
    pub fn follow(&self, path: &str) -> Result<Option<String>, (String, Obstacle)> {
        match walk(path.as_bytes(), |path| self.stands(path)) {
            Ok(walked) if walked.known < walked.path.len() => Ok(None),
            Ok(walked) => Ok(String::from_utf8(walked.path).ok()),
            Err((at, why)) => Err((String::from_utf8_lossy(&at).into_owned(), why)),
        }
    }

    /// The nature of a file that the base has and nothing hides.
    fn base_nature(&self, path: &str) -> Option<&'a Nature> {
        self.base.nature(self.below(path)?)
    }

    fn own(&self, path: &str) -> Option<&'a Entry> {
        self.trees.iter().find_map(|tree| tree.get(path)).filter(|entry| entry.body != Body::Whiteout)
    }

    /// What the base has at a path, if that path itself is not hidden; who walks there meets what hides the ones above.
    fn below(&self, path: &str) -> Option<&'a Node> {
        if self.hidden.contains(path) { None } else { self.base.get(path) }
    }

    fn thing(&self, path: &str, entry: &Entry) -> Option<Thing> {
        let what = match entry.body {
            Body::File(_) => What::File,
            Body::Directory => What::Directory,
            Body::Link(_) => What::Link,
            Body::Whiteout => return None,
        };
        let mode = match entry.mode {
            Mode::Fixed(mode) => mode,
            Mode::ByContent if self.natures.files.get(path).is_some_and(Nature::is_executable) => PROGRAM_MODE,
            Mode::ByContent => PLAIN_MODE,
        };
        Some(Thing { what, mode, uid: entry.uid, gid: entry.gid, item: Some(entry.item) })
    }

    fn stands(&self, path: &[u8]) -> Stands<'a> {
        let Ok(path) = std::str::from_utf8(path) else { return Stands::Nothing };
        match self.own(path).map(|entry| &entry.body) {
            Some(Body::Directory) => return Stands::Directory,
            Some(Body::Link(target)) => return Stands::Link(target.as_bytes()),
            Some(_) => return Stands::Solid,
            None => {}
        }
        match self.below(path).map(|node| &node.kind) {
            None => Stands::Nothing,
            Some(Kind::Directory) => Stands::Directory,
            Some(Kind::Link(target)) => Stands::Link(target),
            Some(Kind::File { .. } | Kind::Other) => Stands::Solid,
        }
    }
}

impl View for Merged<'_> {
    fn file(&self, path: &str) -> Option<String> {
        let real = self.follow(path).ok()??;
        self.at(&real).filter(|thing| thing.what == What::File).map(|_| real)
    }

    fn nature(&self, real: &str) -> Option<&Nature> {
        match self.own(real) {
            Some(_) => self.natures.files.get(real),
            None => self.base_nature(real),
        }
    }

    fn text(&self, path: &str) -> Option<Vec<u8>> {
        let real = self.file(path)?;
        match self.own(&real) {
            Some(_) => self.natures.texts.get(&real).cloned(),
            None => self.base.loader_text(self.below(&real)?).map(<[u8]>::to_vec),
        }
    }

    fn names(&self, path: &str) -> Vec<String> {
        let Ok(Some(real)) = self.follow(path) else { return Vec::new() };
        let start = if real.is_empty() { String::new() } else { format!("{real}/") };
        let inside =
            |path: &str| path.strip_prefix(&start).filter(|name| !name.is_empty() && !name.contains('/')).is_some();
        let own = self.trees.iter().flat_map(|tree| {
            let from = tree.starting(&start).take_while(|(path, _)| path.starts_with(&start));
            from.filter(|(path, entry)| inside(path) && entry.body != Body::Whiteout)
        });
        let own = own.map(|(path, _)| path[start.len()..].to_string());
        let base = self.base.children(&real).filter_map(|(name, _)| String::from_utf8(name.to_vec()).ok());
        let base = base.filter(|name| !self.hidden.contains(&format!("{start}{name}")));
        own.chain(base).collect::<BTreeSet<String>>().into_iter().collect()
    }
}
