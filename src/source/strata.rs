//! Stage 5: the layers of an image, read from the top only as far as it takes to know what stands at a path. A base in, what it has at a
//! path out; lower layers are neither fetched nor listed once the answer is certain.
//!
//! The answers are those of the whole index ([`crate::source::files`]): links are followed as the image means them, a whiteout or a file
//! hides what lies below it, an opaque directory what lies in it.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::source::Base;
use crate::source::files::listing;
use crate::source::index::{Bytes, FileIndex, Kind, Node};
use crate::source::list::{Listing, Name, What, below};
use crate::source::merge::{Total, merge_from};
use crate::source::unpack::Stop;
use crate::source::walk::{Stands, Walked, parent, walk};

/// The layers of one image, of which the upper ones were read.
pub struct Strata<'a> {
    ctx: &'a Ctx,
    base: &'a Base,
    /// From the top down.
    read: Vec<Listing>,
    total: Total,
}

/// What an image has at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The real path, with all links followed, the last one too; empty for the root.
    pub path: String,
    /// What stands there: never a link.
    pub node: Node,
}

impl<'a> Strata<'a> {
    /// The layers of an image; none is read yet.
    pub fn new(ctx: &'a Ctx, base: &'a Base) -> Strata<'a> {
        Strata { ctx, base, read: Vec::new(), total: Total::default() }
    }

    /// What stands at a path, links followed; `None` where there is nothing, a loop or a name that is no UTF-8.
    pub async fn at(&mut self, path: &str) -> Result<Option<Seat>> {
        let walked = loop {
            let open = Cell::new(false);
            let walked = walk(path.as_bytes(), |path| {
                self.known(path).unwrap_or_else(|| {
                    open.set(true);
                    Stands::Nothing
                })
            });
            if !open.get() {
                break walked;
            }
            if !self.deepen().await? {
                // A hard link to something of a lower layer: only all layers together say what.
                return self.index(|index| seat(index, path)).await;
            }
        };
        let Ok(Walked { path, known, .. }) = walked else { return Ok(None) };
        let Some(path) = String::from_utf8(path).ok().filter(|path| known == path.len()) else { return Ok(None) };
        let node = self.own(&path).ok_or_else(|| Error::bug(format!("`{}` got lost", printable(&path))))?;
        Ok(Some(Seat { path, node }))
    }

    /// What stands at a real path, where the uppermost layer that has it says it all.
    fn own(&self, path: &str) -> Option<Node> {
        let count = self.base.layers().len() as u32;
        let found =
            (0u32..).zip(&self.read).find_map(|(depth, listing)| Some((depth, listing.items.get(path.as_bytes())?)));
        let Some((depth, item)) = found else { return path.is_empty().then(|| FileIndex::empty().root) };
        let kind = match &item.what {
            What::Known(kind) => kind.clone(),
            What::Implied => Kind::Directory,
            What::Lower(_) => return None,
        };
        let layer = count.saturating_sub(1 + depth);
        let bytes = item.start.map(|start| Bytes { layer, start });
        Some(Node { kind, mode: item.mode, uid: item.uid, gid: item.gid, layer, bytes })
    }

    /// All that stands below the directory at this real path, by path from there, in the order of their bytes.
    pub async fn below(&mut self, directory: &str) -> Result<BTreeMap<Name, Node>> {
        while !self.read.iter().any(|listing| hides(listing, directory.as_bytes())) && self.deepen().await? {}
        let inside = if directory.is_empty() { Vec::new() } else { below(directory.as_bytes()).0 };
        self.index(|index| {
            let found = index.iter().filter_map(|(path, node)| Some((path.strip_prefix(&*inside)?, node)));
            found.map(|(path, node)| (path.into(), node.clone())).collect()
        })
        .await
    }

    /// Looks into the index of the layers that were read; where one of them needs a lower layer, of all layers.
    async fn index<T>(&mut self, look: impl Fn(&FileIndex) -> T) -> Result<T> {
        let count = self.base.layers().len();
        loop {
            let first = count.saturating_sub(self.read.len()) as u32;
            let upwards: Vec<&Listing> = self.read.iter().rev().collect();
            match merge_from(first, &upwards) {
                Ok(index) => return Ok(look(&index)),
                Err(error) => {
                    if !self.deepen().await? {
                        return Err(error.context(format!("reading the files of `{}`", self.base.reference)));
                    }
                }
            }
        }
    }

    /// Reads one more layer; `false` where there is none.
    async fn deepen(&mut self) -> Result<bool> {
        let next = self.base.layers().rev().nth(self.read.len());
        let Some((descriptor, diff_id)) = next else { return Ok(false) };
        let stop = Stop { cancel: self.ctx.cancel.clone(), ..Stop::default() };
        let listing = listing(self.ctx, self.base, descriptor, *diff_id, stop).await?;
        let within = |error: Error| error.context(format!("reading the files of `{}`", self.base.reference));
        self.total.add(&listing).map_err(within)?;
        self.read.push(listing);
        Ok(true)
    }

    /// What stands at a path; `None` where the layers that were read do not tell.
    fn known(&self, path: &[u8]) -> Option<Stands<'_>> {
        for listing in &self.read {
            if let Some(item) = listing.items.get(path) {
                return match &item.what {
                    What::Known(Kind::Directory) | What::Implied => Some(Stands::Directory),
                    What::Known(Kind::Link(target)) => Some(Stands::Link(target)),
                    What::Known(Kind::File { .. } | Kind::Other) => Some(Stands::Solid),
                    What::Lower(_) => None,
                };
            }
            if listing.whiteouts.contains(path) || hides(listing, parent(path)) {
                return Some(Stands::Nothing);
            }
        }
        (self.read.len() == self.base.layers().len()).then_some(Stands::Nothing)
    }
}

/// What a whole index has at a path.
fn seat(index: &FileIndex, path: &str) -> Option<Seat> {
    let path = index.resolve(path)?;
    Some(Seat { node: index.get(&path)?.clone(), path })
}

/// Whether nothing of a lower layer can be seen in this directory.
fn hides(listing: &Listing, directory: &[u8]) -> bool {
    let mut at = directory;
    loop {
        let solid = |what: &What| !matches!(what, What::Known(Kind::Directory) | What::Implied);
        let item = listing.items.get(at).map(|item| &item.what);
        if listing.opaque.contains(at) || listing.whiteouts.contains(at) || item.is_some_and(solid) {
            return true;
        }
        if at.is_empty() {
            return false;
        }
        at = parent(at);
    }
}
