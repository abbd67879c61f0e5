//! Stage 7: what is listed, a row for each path: of the merged image, or of one layer with what it removes. Pure.

use std::collections::BTreeMap;

use super::tree::{Node, Tree};
use crate::oci::Digest;
use crate::source::inside::{Attribute, Body, Held, Inside, Name};

/// One path.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Where it is.
    pub path: &'a [u8],
    /// What it is.
    pub what: What<'a>,
    /// Its permission bits, owner and group; whiteouts have none.
    pub held: Option<&'a Held>,
    /// The layer that it comes from, 0 for the lowest.
    pub layer: u32,
    /// How many hard links its file has that are listed; 1 for what is no file.
    pub links: u32,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A regular file.
    File {
        /// Its bytes, holes counted.
        size: u64,
        /// Their digest; of a sparse file it is not known.
        digest: Option<Digest>,
        /// The first path that shares its content, if that is another one.
        twin: Option<&'a [u8]>,
    },
    /// A directory.
    Directory {
        /// Whether the layer empties it of what lower layers hold.
        opaque: bool,
    },
    /// A symbolic link with its target.
    Link(&'a [u8]),
    /// A hard link to something of a lower layer.
    Lower(&'a [u8]),
    /// A character device with its numbers.
    Character(u32, u32),
    /// A block device with its numbers.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// Something of a lower layer that is removed.
    Whiteout,
}

impl What<'_> {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            What::File { .. } => "file",
            What::Directory { .. } => "directory",
            What::Link(_) => "symlink",
            What::Lower(_) => "hardlink",
            What::Character(..) => "character-device",
            What::Block(..) => "block-device",
            What::Fifo => "fifo",
            What::Whiteout => "whiteout",
        }
    }
}

impl Row<'_> {
    /// The bytes that it adds: those of a file, at the first of its names.
    pub fn bytes(&self) -> u64 {
        match self.what {
            What::File { size, twin: None, .. } => size,
            _ => 0,
        }
    }

    /// The size that is shown for it.
    pub fn size(&self) -> Option<u64> {
        match self.what {
            What::File { size, .. } => Some(size),
            _ => None,
        }
    }

    /// Its extended attributes.
    pub fn xattrs(&self) -> impl Iterator<Item = (&[u8], &Attribute)> {
        self.held.into_iter().flat_map(|held| held.xattrs.iter().map(|(name, value)| (&**name, value)))
    }
}

/// The rows of an image, by path.
pub fn of_tree(tree: &Tree) -> Vec<Row<'_>> {
    let first = tree.first_names();
    let row = |(path, node)| of_node(tree, &first, path, node);
    tree.nodes.iter().map(row).collect()
}

fn of_node<'a>(tree: &Tree, first: &[Option<&'a Name>], path: &'a Name, node: &'a Node) -> Row<'a> {
    let name = node.inode.and_then(|inode| *first.get(inode as usize)?);
    let twin = name.filter(|name| *name != path).map(|name| &**name);
    Row {
        path,
        what: what(&node.held.body, twin, false),
        held: Some(&node.held),
        layer: node.layer,
        links: tree.inode(node).map_or(1, |inode| inode.names),
    }
}

/// The rows of one layer, by path: what it adds and what it removes.
pub fn of_layer(inside: &Inside, layer: u32) -> Vec<Row<'_>> {
    let mut links: BTreeMap<(&Name, Digest), (u32, &Name)> = BTreeMap::new();
    for (path, held) in &inside.held {
        if let Body::File(content) = &held.body {
            links.entry((content.twin.as_ref().unwrap_or(path), content.digest)).or_insert((0, path)).0 += 1;
        }
    }
    let mut rows: BTreeMap<&[u8], Row<'_>> = BTreeMap::new();
    for path in &inside.whiteouts {
        rows.insert(path, Row { path, what: What::Whiteout, held: None, layer, links: 1 });
    }
    for path in &inside.opaque {
        rows.insert(path, Row { path, what: What::Directory { opaque: true }, held: None, layer, links: 1 });
    }
    for (path, held) in &inside.held {
        let group = match &held.body {
            Body::File(content) => links.get(&(content.twin.as_ref().unwrap_or(path), content.digest)),
            _ => None,
        };
        let twin = group.map(|(_, first)| &***first).filter(|first| *first != &**path);
        let what = what(&held.body, twin, inside.opaque.contains(path));
        rows.insert(path, Row { path, what, held: Some(held), layer, links: group.map_or(1, |(count, _)| *count) });
    }
    rows.into_values().collect()
}

fn what<'a>(body: &'a Body, twin: Option<&'a [u8]>, opaque: bool) -> What<'a> {
    match body {
        Body::File(content) => {
            What::File { size: content.size, digest: (!content.sparse).then_some(content.digest), twin }
        }
        Body::Directory | Body::Implied => What::Directory { opaque },
        Body::Link(target) => What::Link(target),
        Body::Lower(target) => What::Lower(target),
        Body::Character(major, minor) => What::Character(*major, *minor),
        Body::Block(major, minor) => What::Block(*major, *minor),
        Body::Fifo => What::Fifo,
    }
}
