//! Stage 7: layers laid over each other, each file with its bytes. What each layer holds in, lowest first; one tree out, and what was
//! hidden on the way. Pure. (OCI image spec, layer.md, "Applying Changesets"; overlayfs where it is silent, as in `source::merge`.)

use std::collections::BTreeMap;
use std::ops::Bound;

use super::waste::{Gone, Why};
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::source::inside::{Body, Content, Held, Inside, Name};

/// The files of an image.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// By path: relative, without a trailing `/`; the root is the empty path, if a layer names it.
    pub nodes: BTreeMap<Name, Node>,
    /// The contents of all files of all layers, seen or not.
    pub inodes: Vec<Inode>,
    pub(super) gone: Vec<Gone>,
}

/// One thing in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is and what is said of it.
    pub held: Held,
    /// The layer that it comes from, 0 for the lowest.
    pub layer: u32,
    /// Of a file: its content, as a place in [`Tree::inodes`]; hard links share one.
    pub inode: Option<u32>,
}

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// The layer whose tar holds the bytes.
    pub layer: u32,
    /// How many they are.
    pub size: u64,
    /// Their digest.
    pub digest: Digest,
    /// How many names of it are seen.
    pub names: u32,
}

/// Lays the layers of an image over each other.
pub fn merge(layers: &[Inside]) -> Result<Tree> {
    let mut tree = Tree::default();
    for (layer, inside) in (0u32..).zip(layers) {
        tree.apply(layer, inside).map_err(|error| error.context(format!("merging the layer {}", layer + 1)))?;
    }
    for node in tree.nodes.values() {
        if let Some(inode) = node.inode.and_then(|inode| tree.inodes.get_mut(inode as usize)) {
            inode.names += 1;
        }
    }
    Ok(tree)
}

impl Tree {
    /// The content of a node.
    pub fn inode(&self, node: &Node) -> Option<&Inode> {
        self.inodes.get(node.inode? as usize)
    }

    /// The bytes of all files that are seen, each once.
    pub fn seen_bytes(&self) -> u64 {
        self.inodes.iter().filter(|inode| inode.names > 0).map(|inode| inode.size).sum()
    }

    /// The bytes of all files of all layers.
    pub fn stored_bytes(&self) -> u64 {
        self.inodes.iter().map(|inode| inode.size).sum()
    }

    /// The part of the stored bytes that is seen, from 0 to 1, on four digits.
    pub fn efficiency(&self) -> f64 {
        let (seen, stored) = (u128::from(self.seen_bytes()), u128::from(self.stored_bytes()));
        let parts = (seen * 10_000).checked_div(stored).unwrap_or(10_000);
        parts as f64 / 10_000.0
    }

    /// For each content that is seen the first of its names, in the order of their bytes.
    pub fn first_names(&self) -> Vec<Option<&Name>> {
        let mut first = vec![None; self.inodes.len()];
        for (path, node) in &self.nodes {
            if let Some(place) = node.inode.and_then(|inode| first.get_mut(inode as usize)) {
                place.get_or_insert(path);
            }
        }
        first
    }

    fn apply(&mut self, layer: u32, inside: &Inside) -> Result<()> {
        let linked = self.linked(layer, inside)?; // before anything is hidden: the link's other name may be
        for path in &inside.opaque {
            if self.is_directory(path) {
                let below = take_below(&mut self.nodes, path);
                self.hide(path, layer, Why::Removed, below);
            }
        }
        for path in &inside.whiteouts {
            if let Some(node) = self.nodes.remove(path) {
                let mut gone = vec![node];
                gone.extend(take_below(&mut self.nodes, path));
                self.hide(path, layer, Why::Removed, gone);
            }
        }
        let mut known = BTreeMap::new();
        for (path, held) in &inside.held {
            let inode = match &held.body {
                Body::Lower(_) => continue,
                Body::Implied if self.is_directory(path) => continue,
                Body::File(content) => Some(self.content(layer, path, content, &mut known)),
                _ => None,
            };
            let mut held = held.clone();
            if held.body == Body::Implied {
                held.body = Body::Directory;
            }
            self.lay(path, Node { held, layer, inode });
        }
        for (path, node) in linked {
            self.lay(&path, node);
        }
        Ok(())
    }

    /// The place of a content of this layer; hard links have one together.
    fn content<'a>(
        &mut self,
        layer: u32,
        path: &'a Name,
        content: &'a Content,
        known: &mut BTreeMap<(&'a Name, Digest), u32>,
    ) -> u32 {
        let first = content.twin.as_ref().unwrap_or(path);
        // A name that was written again after it was linked has another digest.
        *known.entry((first, content.digest)).or_insert_with(|| {
            self.inodes.push(Inode { layer, size: content.size, digest: content.digest, names: 0 });
            (self.inodes.len() - 1) as u32
        })
    }

    /// The hard links of a layer whose other name stands in a lower one.
    fn linked(&self, layer: u32, inside: &Inside) -> Result<Vec<(Name, Node)>> {
        let mut linked = Vec::new();
        for (path, held) in &inside.held {
            let Body::Lower(target) = &held.body else { continue };
            match self.nodes.get(target).filter(|node| node.held.body != Body::Directory) {
                Some(node) => linked.push((path.clone(), Node { layer, ..node.clone() })),
                None => {
                    let (path, target) = (path.escape_ascii(), target.escape_ascii());
                    return Err(Error::remote(format!(
                        "`{path}` is a hard link to `{target}`, which is no file in this or a lower layer"
                    )));
                }
            }
        }
        Ok(linked)
    }

    fn lay(&mut self, path: &Name, node: Node) {
        let (layer, directory) = (node.layer, node.held.body == Body::Directory);
        let Some(before) = self.nodes.insert(path.clone(), node) else { return };
        if before.held.body != Body::Directory {
            let digest = |node: &Node| self.inode(node).map(|inode| inode.digest);
            let why = self.nodes.get(path).map_or(Why::Replaced, |after| Why::of(&before, after, digest));
            self.hide(path, layer, why, vec![before]);
        } else if !directory {
            let below = take_below(&mut self.nodes, path);
            self.hide(path, layer, Why::Replaced, below);
        }
    }

    fn hide(&mut self, path: &Name, by: u32, why: Why, nodes: Vec<Node>) {
        let inodes: Vec<u32> = nodes.iter().filter_map(|node| node.inode).collect();
        if !inodes.is_empty() {
            self.gone.push(Gone { path: path.clone(), by, why, inodes });
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        // A root that no layer names is a directory too.
        self.nodes.get(path).map_or(path.is_empty(), |node| node.held.body == Body::Directory)
    }
}

/// Takes everything strictly below a path out.
fn take_below(nodes: &mut BTreeMap<Name, Node>, path: &[u8]) -> Vec<Node> {
    let (from, to) = below(path);
    let to = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let names: Vec<Name> =
        nodes.range::<[u8], _>((Bound::Excluded(&*from), to)).map(|(name, _)| name.clone()).collect();
    names.iter().filter_map(|name| nodes.remove(name)).collect()
}

/// The bounds, both outside, of all paths below a path.
pub(super) fn below(path: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    match path {
        [] => (Vec::new(), None),
        path => ([path, b"/"].concat(), Some([path, b"0"].concat())), // `0` follows `/`
    }
}
