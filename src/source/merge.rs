//! Stage 5: layers laid over each other, as Docker and OCI mean it (image spec, layer.md, "Applying Changesets"). Listings in, one file
//! index out. Pure.
//!
//! Where the spec is silent, what overlayfs shows decides: a directory over a directory keeps what is in it; anything else over a
//! directory, and a directory over anything else, takes its place. So a path below a link of a lower layer turns the link into a directory.

use std::borrow::Borrow;

use crate::error::{Error, Result};
use crate::source::index::{Bytes, FileIndex, Kind, Node};
use crate::source::list::{Listing, MOST_ENTRIES, MOST_NAME_BYTES, Name, What, remove_below};
use crate::source::unpack::MOST_BYTES;

/// What the listings of an image hold together.
#[derive(Default)]
pub struct Total {
    entries: usize,
    name_bytes: usize,
    size: u64,
}

impl Total {
    /// Counts one more listing; fails once an image's limits are passed.
    pub fn add(&mut self, listing: &Listing) -> Result<()> {
        self.entries += listing.items.len() + listing.whiteouts.len() + listing.opaque.len();
        self.name_bytes += listing.items.keys().map(|path| path.len()).sum::<usize>();
        self.size = self.size.saturating_add(listing.size);
        let too = |what, most: u64| Err(Error::remote(format!("its layers have together more than {most} {what}")));
        if self.entries > MOST_ENTRIES {
            return too("entries", MOST_ENTRIES as u64);
        }
        if self.name_bytes > MOST_NAME_BYTES {
            return too("bytes of names", MOST_NAME_BYTES as u64);
        }
        if self.size > MOST_BYTES { too("bytes", MOST_BYTES) } else { Ok(()) }
    }
}

/// Merges the listings of an image's layers, lowest first. The texts are not set.
pub fn merge(listings: &[Listing]) -> Result<FileIndex> {
    merge_from(0, listings)
}

/// As [`merge`], where `first` layers of the image stand below those that are given and are left out.
pub fn merge_from<L: Borrow<Listing>>(first: u32, listings: &[L]) -> Result<FileIndex> {
    let mut index = FileIndex::empty();
    for (layer, listing) in (first..).zip(listings.iter().map(Borrow::borrow)) {
        apply(&mut index, layer, listing).map_err(|error| error.context(format!("merging the layer {}", layer + 1)))?;
    }
    Ok(index)
}

fn apply(index: &mut FileIndex, layer: u32, listing: &Listing) -> Result<()> {
    let linked = linked(index, layer, listing)?; // before anything is hidden: the link's other name may be
    for path in &listing.opaque {
        if index.at(path).is_some_and(|node| node.kind == Kind::Directory) {
            remove_below(&mut index.nodes, path);
        }
    }
    for path in &listing.whiteouts {
        if index.nodes.remove(path).is_some_and(|node| node.kind == Kind::Directory) {
            remove_below(&mut index.nodes, path);
        }
    }
    for (path, item) in &listing.items {
        let bytes = item.start.map(|start| Bytes { layer, start });
        let node = |kind| Node { kind, mode: item.mode, uid: item.uid, gid: item.gid, layer, bytes };
        match &item.what {
            What::Known(kind) => lay(index, path, node(kind.clone())),
            What::Implied if index.at(path).is_some_and(|node| node.kind == Kind::Directory) => {}
            What::Implied => lay(index, path, node(Kind::Directory)),
            What::Lower(_) => {}
        }
    }
    for (path, node) in linked {
        lay(index, &path, node);
    }
    Ok(())
}

/// The hard links of a layer whose other name stands in a lower one.
fn linked(index: &FileIndex, layer: u32, listing: &Listing) -> Result<Vec<(Name, Node)>> {
    let mut linked = Vec::new();
    for (path, item) in &listing.items {
        let What::Lower(target) = &item.what else { continue };
        match index.nodes.get(target).filter(|node| node.kind != Kind::Directory) {
            Some(node) => linked.push((path.clone(), Node { layer, ..node.clone() })),
            None => {
                return Err(Error::remote(format!(
                    "`{}` is a hard link to `{}`, which is no file in this or a lower layer",
                    path.escape_ascii(),
                    target.escape_ascii()
                )));
            }
        }
    }
    Ok(linked)
}

fn lay(index: &mut FileIndex, path: &Name, node: Node) {
    if path.is_empty() {
        index.root = node;
        return;
    }
    let solid = node.kind != Kind::Directory;
    let before = index.nodes.insert(path.clone(), node);
    if solid && before.is_some_and(|before| before.kind == Kind::Directory) {
        remove_below(&mut index.nodes, path);
    }
}
