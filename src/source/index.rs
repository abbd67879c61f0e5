//! Stage 5: what the files of a base are, all layers merged. A plain value; nothing in it is read again.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::source::list::{Name, below};
use crate::source::users::{self, User};
use crate::source::walk::{Obstacle, Parent, Stands, Walked, ends, walk};

/// The files whose contents are kept: users, groups, and what system it is.
pub const TEXTS: [&str; 4] = ["etc/passwd", "etc/group", "etc/os-release", "usr/lib/os-release"];

/// What something in an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link with this target, as it stands.
    Link(Box<[u8]>),
    /// A device or a named pipe.
    Other,
}

/// One thing in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its permission bits, 0 to 0o7777.
    pub mode: u16,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The layer that it comes from, 0 for the lowest.
    pub layer: u32,
    /// Where the bytes of a file are; none for a sparse file, and for what is no file.
    pub bytes: Option<Bytes>,
}

/// Where the bytes of a file are in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes {
    /// The layer that holds them, 0 for the lowest; for a hard link it may be a lower one than the link's own.
    pub layer: u32,
    /// Where they begin in the uncompressed layer.
    pub start: u64,
}

/// The files of an image, by path: relative and without a trailing `/`. Each parent of a path is a directory in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIndex {
    pub(super) root: Node,
    pub(super) nodes: BTreeMap<Name, Node>,
    pub(super) passwd: Vec<u8>,
    pub(super) group: Vec<u8>,
    /// The same two as text, with stand-ins for what is no UTF-8.
    pub(super) texts: (String, String),
    pub(super) os_release: Option<String>,
}

impl FileIndex {
    /// The files of `scratch`: a root and nothing in it.
    pub fn empty() -> FileIndex {
        FileIndex {
            root: Node { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, layer: 0, bytes: None },
            nodes: BTreeMap::new(),
            passwd: Vec::new(),
            group: Vec::new(),
            texts: (String::new(), String::new()),
            os_release: None,
        }
    }

    /// How many paths there are, without the root.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The same files without these paths and all below them.
    pub fn without(&self, paths: &[String]) -> FileIndex {
        let mut rest = self.clone();
        for path in paths {
            rest.nodes.remove(path.as_bytes());
            let (from, to) = below(path.as_bytes());
            let range = (Bound::Included(&*from), Bound::Excluded(&*to));
            let gone: Vec<Name> = rest.nodes.range::<[u8], _>(range).map(|(name, _)| name.clone()).collect();
            gone.iter().for_each(|name| drop(rest.nodes.remove(name)));
        }
        rest
    }

    /// The same files with these texts as account files, where they are given.
    pub fn with_accounts(&self, passwd: Option<&str>, group: Option<&str>) -> FileIndex {
        let mut peopled = self.clone();
        if let Some(text) = passwd {
            (peopled.passwd, peopled.texts.0) = (text.as_bytes().to_vec(), text.to_string());
        }
        if let Some(text) = group {
            (peopled.group, peopled.texts.1) = (text.as_bytes().to_vec(), text.to_string());
        }
        peopled
    }

    /// What stands at exactly this path; no link is followed. A `/` at either end is ignored, so `/` is the root.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.at(path.trim_matches('/').as_bytes())
    }

    pub(super) fn at(&self, path: &[u8]) -> Option<&Node> {
        if path.is_empty() { Some(&self.root) } else { self.nodes.get(path) }
    }

    /// All paths but the root, in the order of their bytes. They need not be UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|(path, node)| (&**path, node))
    }

    /// The names in a directory, in the order of their bytes, with what they are; none where there is no directory at exactly
    /// this path.
    pub fn children(&self, path: &str) -> impl Iterator<Item = (&[u8], &Node)> {
        let (from, to) = match path.trim_matches('/') {
            "" => (Vec::new(), None),
            path => {
                let (from, to) = below(path.as_bytes());
                (from, Some(to))
            }
        };
        let start = from.len();
        let mut next = Some(Bound::Excluded(from));
        std::iter::from_fn(move || {
            loop {
                let to = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let from = next.take()?;
                let (path, node) = self.nodes.range::<[u8], _>((from.as_ref().map(Vec::as_slice), to)).next()?;
                let name = path.get(start..)?;
                match name.iter().position(|byte| *byte == b'/') {
                    None => {
                        next = Some(Bound::Excluded(path.to_vec()));
                        return Some((name, node));
                    }
                    Some(slash) => next = Some(Bound::Included(below(path.get(..start + slash)?).1)), // a child's own
                }
            }
        })
    }

    /// The real path of what stands at `path`, with all links followed inside of the image, the last one too (at most 40;
    /// `..` ends at the root). `None` where there is nothing, a loop, or a name that is no UTF-8. The root is the empty path.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let walked = self.walk(path.as_bytes()).ok().filter(|walked| walked.known == walked.path.len())?;
        String::from_utf8(walked.path).ok()
    }

    /// Where something with this path would really stand: all links in its parents are followed, the last name is kept.
    pub fn resolve_parent(&self, path: &str) -> Parent {
        let path = path.trim_matches('/');
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let blocked = |at: Vec<u8>, why| Parent::Blocked { at: String::from_utf8_lossy(&at).into_owned(), why };
        let walked = match self.walk(directory.as_bytes()) {
            Ok(walked) if walked.solid => return blocked(walked.path, Obstacle::NoDirectory),
            Ok(walked) => walked,
            Err((at, why)) => return blocked(at, why),
        };
        let Ok(real) = String::from_utf8(walked.path) else {
            return blocked(directory.into(), Obstacle::NotText);
        };
        let missing = ends(real.as_bytes(), walked.known);
        let missing = missing.filter_map(|end| real.get(..end)).map(str::to_string).collect();
        let path = if real.is_empty() { name.to_string() } else { format!("{real}/{name}") };
        Parent::Real { path, missing }
    }

    pub(super) fn walk(&self, path: &[u8]) -> Result<Walked, (Vec<u8>, Obstacle)> {
        walk(path, |path| match self.at(path).map(|node| &node.kind) {
            None => Stands::Nothing,
            Some(Kind::Directory) => Stands::Directory,
            Some(Kind::Link(target)) => Stands::Link(target),
            Some(Kind::File { .. } | Kind::Other) => Stands::Solid,
        })
    }

    /// The bytes of `etc/passwd`.
    pub fn passwd(&self) -> &[u8] {
        &self.passwd
    }

    /// The bytes of `etc/group`.
    pub fn group_file(&self) -> &[u8] {
        &self.group
    }

    /// The users of `etc/passwd`.
    pub fn users(&self) -> impl Iterator<Item = User<'_>> {
        users::users(&self.texts.0)
    }

    /// The groups of `etc/group` with their numbers.
    pub fn groups(&self) -> impl Iterator<Item = (&str, u32)> {
        users::groups(&self.texts.1)
    }

    /// A user's number and group by name, as `etc/passwd` has it.
    pub fn user(&self, name: &str) -> Option<(u32, u32)> {
        users::users(&self.texts.0).find(|user| user.name == name).map(|user| (user.uid, user.gid))
    }

    /// A user's name and group by number, as `etc/passwd` has it.
    pub fn user_by_id(&self, uid: u32) -> Option<(&str, u32)> {
        users::users(&self.texts.0).find(|user| user.uid == uid).map(|user| (user.name, user.gid))
    }

    /// A group's number by name, as `etc/group` has it.
    pub fn group(&self, name: &str) -> Option<u32> {
        users::groups(&self.texts.1).find(|group| group.0 == name).map(|group| group.1)
    }

    /// A group's name by number, as `etc/group` has it.
    pub fn group_by_id(&self, gid: u32) -> Option<&str> {
        users::groups(&self.texts.1).find(|group| group.1 == gid).map(|group| group.0)
    }

    /// The value of a key of `os-release`, such as `ID` or `VERSION_ID`, without its quotes.
    pub fn os_release(&self, key: &str) -> Option<String> {
        users::value(self.os_release.as_deref()?, key)
    }
}
