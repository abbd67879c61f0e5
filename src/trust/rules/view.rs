//! Stage 8: all paths of an image, its own and the base's that nothing hides. Trees and the base's files in, one list out. Pure.

use std::collections::BTreeMap;
use std::iter;

use super::Seen;
use crate::error::Place;
use crate::layer::tree::{Body, Entry, Mode};
use crate::source::{Kind, Node};

/// What hides a path that begins a name in a layer.
const WHITEOUT: &str = ".wh.";

/// The paths of one image.
pub(super) struct View<'a> {
    /// Paths that are hidden with all below them.
    gone: BTreeMap<String, &'a Entry>,
    /// The image itself.
    pub(super) image: Seen<'a>,
}

/// Something at a path.
#[derive(Clone, Copy)]
pub(super) enum Thing<'a> {
    /// The manifest put it there.
    Own(&'a Entry),
    /// It is the base's.
    Base(&'a Node),
}

impl<'a> View<'a> {
    /// The paths of this image.
    pub(super) fn new(image: &Seen<'a>) -> View<'a> {
        let mut gone = BTreeMap::new();
        for (path, entry) in image.trees.iter().flatten() {
            if entry.body == Body::Whiteout {
                let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
                let name = name.strip_prefix(WHITEOUT).unwrap_or(name);
                let slash = if directory.is_empty() { "" } else { "/" };
                gone.insert(format!("{directory}{slash}{name}"), entry);
            }
        }
        View { gone, image: *image }
    }

    /// What the manifest put into the image, in the order of the paths.
    pub(super) fn own(&self) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let mut trees: Vec<_> = self.image.trees.iter().map(|tree| tree.iter().peekable()).collect();
        let merged = iter::from_fn(move || {
            let peeked =
                trees.iter_mut().filter_map(|tree| tree.peek().map(|(path, _)| *path).map(|path| (path, tree)));
            peeked.min_by_key(|(path, _)| *path)?.1.next()
        });
        merged.filter(|(_, entry)| entry.body != Body::Whiteout)
    }

    /// What the manifest put at exactly this path, and the path itself.
    pub(super) fn own_at(&self, path: &str) -> Option<(&'a str, &'a Entry)> {
        let found = self.image.trees.iter().find_map(|tree| tree.get_key_value(path));
        found.filter(|(_, entry)| entry.body != Body::Whiteout)
    }

    /// What the base has that can still be seen. Names that are no UTF-8 are left out.
    pub(super) fn base(&self) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let text = self.image.index.iter().filter_map(|(path, node)| Some((std::str::from_utf8(path).ok()?, node)));
        text.filter(|(path, _)| self.hides(path).is_none())
    }

    /// All that can be seen.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, Thing<'a>)> {
        let own = self.own().map(|(path, entry)| (path, Thing::Own(entry)));
        own.chain(self.base().map(|(path, node)| (path, Thing::Base(node))))
    }

    /// What stands at exactly this path.
    pub(super) fn at(&self, path: &str) -> Option<Thing<'a>> {
        match self.own_at(path) {
            Some((_, entry)) => Some(Thing::Own(entry)),
            None if self.hides(path).is_some() => None,
            None => self.image.index.get(path).map(Thing::Base),
        }
    }

    /// The own entry that hides what the base has at a path.
    pub(super) fn hides(&self, path: &str) -> Option<&'a Entry> {
        if let Some((_, entry)) = self.own_at(path) {
            return Some(entry);
        }
        let mut next = Some(path);
        while let Some(path) = next {
            let solid = |(_, entry): &(&str, &'a Entry)| !matches!(entry.body, Body::Directory);
            let own = || self.own_at(path).filter(solid).map(|(_, entry)| entry);
            if let Some(entry) = self.gone.get(path).copied().or_else(own) {
                return Some(entry);
            }
            next = path.rsplit_once('/').map(|(above, _)| above);
        }
        None
    }

    /// Where the manifest says something of a thing.
    pub(super) fn place(&self, thing: Thing<'_>) -> &'a Place {
        match thing {
            Thing::Own(entry) => &self.image.plan.items[entry.item as usize].place,
            Thing::Base(_) => &self.image.plan.base.1,
        }
    }
}

impl Thing<'_> {
    /// Whether it is a directory.
    pub(super) fn directory(&self) -> bool {
        match self {
            Thing::Own(entry) => matches!(entry.body, Body::Directory),
            Thing::Base(node) => matches!(node.kind, Kind::Directory),
        }
    }

    /// The bytes of a file.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Thing::Own(Entry { body: Body::File(content), .. }) => Some(content.size()),
            Thing::Base(Node { kind: Kind::File { size }, .. }) => Some(*size),
            _ => None,
        }
    }

    /// Its permission bits, if they mean something: those of links do not, and those that follow from a file's content are plain.
    pub(super) fn mode(&self) -> Option<u16> {
        match self {
            Thing::Own(Entry { body: Body::Link(_) | Body::Whiteout, .. })
            | Thing::Base(Node { kind: Kind::Link(_), .. }) => None,
            Thing::Own(Entry { mode: Mode::Fixed(mode), .. }) => Some(*mode),
            Thing::Own(_) => None,
            Thing::Base(node) => Some(node.mode),
        }
    }

    /// Whether the base has it.
    pub(super) fn foreign(&self) -> bool {
        matches!(self, Thing::Base(_))
    }
}
