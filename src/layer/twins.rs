//! Stage 6: files of one layer that hold the same bytes, for layers in which they are stored once. A tree in; which entries are hard links
//! to which out. Reads the files of equal size whose contents are not known, each exactly as it was listed.

use std::collections::BTreeMap;

use super::known::Known;
use super::look;
use super::pack::{PackError, mode_of};
use super::read;
use super::tree::{Body, Content, Entry, Tree};
use crate::ctx::Ctx;
use crate::facts::Facts;
use crate::oci::Digest;

/// Smallest file that becomes a link. A smaller one takes one block of a file system, and little of a compressed layer: of a real tree's
/// 541 copies the 321 smaller ones had 4 % of the bytes. So nobody pays for them with a link that can be seen.
pub const SMALLEST: u64 = 4096;

/// A tree, and which of its files hold the same bytes.
pub struct Twinned<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// For each entry the number of its content, or [`ALONE`]; empty where nothing is linked.
    numbers: Vec<u32>,
}

/// Says that no other entry holds the same bytes, or that they do not matter.
const ALONE: u32 = u32::MAX;

impl<'a> From<&'a Tree> for Twinned<'a> {
    /// Without any link.
    fn from(tree: &'a Tree) -> Twinned<'a> {
        Twinned { tree, numbers: Vec::new() }
    }
}

/// Finds the files of a tree that hold the same bytes.
pub fn twins<'a>(ctx: &Ctx, tree: &'a Tree, known: &Known) -> Result<Twinned<'a>, PackError> {
    let mut sizes: BTreeMap<u64, u32> = BTreeMap::new();
    tree.values().filter_map(large).for_each(|content| *sizes.entry(content.size()).or_default() += 1);
    sizes.retain(|_, count| *count > 1);
    look::unknown(ctx, tree, known, |content| sizes.contains_key(&content.size()))?;
    let mut all: BTreeMap<Digest, u32> = BTreeMap::new();
    let mut numbers = vec![ALONE; tree.len()];
    for (number, entry) in numbers.iter_mut().zip(tree.values()) {
        let Some(content) = large(entry).filter(|content| sizes.contains_key(&content.size())) else { continue };
        ctx.cancel.check()?;
        let blame = |error| PackError { item: Some(entry.item), error };
        let digest = read::identity(ctx, content, known).map_err(blame)?;
        let next = all.len() as u32;
        *number = *all.entry(digest).or_insert(next);
    }
    Ok(Twinned { tree, numbers })
}

/// A content that is large enough.
fn large(entry: &Entry) -> Option<&Content> {
    let Body::File(content) = &entry.body else { return None };
    Some(content).filter(|content| content.size() >= SMALLEST)
}

impl Twinned<'_> {
    /// The number of the content of an entry, by its place in the tree.
    pub fn number(&self, at: usize) -> Option<u32> {
        self.numbers.get(at).copied().filter(|number| *number != ALONE)
    }
}

/// What was written of contents that several entries may have.
#[derive(Default)]
pub struct Firsts<'a> {
    /// Whether each content is a program, and what it says.
    contents: BTreeMap<u32, (bool, Facts)>,
    /// The first entry of each content, final mode, owner, group and capabilities.
    paths: BTreeMap<(u32, u16, u32, u32, u64), &'a str>,
}

/// An entry that is written as a link.
pub struct Linked<'a> {
    /// The path of the file.
    pub to: &'a str,
    /// The mode of both.
    pub mode: u16,
    /// What their content says.
    pub facts: Facts,
}

impl<'a> Firsts<'a> {
    /// The file that this entry can be a link to, if one was written.
    pub fn find(&self, number: u32, entry: &Entry) -> Option<Linked<'a>> {
        let (program, facts) = self.contents.get(&number)?;
        let mode = mode_of(entry.mode, *program);
        let to = self.paths.get(&(number, mode, entry.uid, entry.gid, entry.capabilities))?;
        Some(Linked { to, mode, facts: facts.clone() })
    }

    /// Takes an entry that was written as a file.
    pub fn add(&mut self, number: u32, path: &'a str, entry: &Entry, mode: u16, (program, facts): (bool, &Facts)) {
        self.contents.entry(number).or_insert_with(|| (program, facts.clone()));
        self.paths.entry((number, mode, entry.uid, entry.gid, entry.capabilities)).or_insert(path);
    }
}
