//! Stage 6: what the files of an image's own layers are, before anything is packed. Trees in, natures out. Reads the first bytes of each file,
//! and of a program the few parts that tell of it, each exactly as it was listed, unless that is known; may use the store.

use std::collections::BTreeMap;

use object::read::ReadCache;

use super::known::Known;
use super::pack::PackError;
use super::place::Placed;
use super::read;
use super::tree::{Body, Content, Seen, Tree};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::facts::programs::{self, Nature};
use crate::plan::Plan;
use crate::source::Stretch;
use crate::store::Store;

/// Largest text that a loader reads, in bytes.
const MOST_TEXT: u64 = 1 << 20;

/// What the files of one image's own layers are, by path; data has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Natures {
    /// Programs, libraries and scripts.
    pub files: BTreeMap<String, Nature>,
    /// The texts that loaders read.
    pub texts: BTreeMap<String, Vec<u8>>,
}

/// Looks at the own files of all images; a file that several of them have is looked at once.
pub fn natures(ctx: &Ctx, plan: &Plan, placed: &[Placed], known: &Known) -> Result<Vec<Natures>> {
    // Of one image nothing is looked at twice.
    let mut looked = Looked { known, keeps: placed.len() > 1, disk: BTreeMap::new(), stored: BTreeMap::new() };
    let mut all = Vec::new();
    for (at, image) in placed.iter().enumerate() {
        let natures = trees(ctx, &image.trees, &mut looked);
        all.push(natures.map_err(|error| super::make::explain(plan, at, error))?);
    }
    Ok(all)
}

/// The natures of files by where they are: a file of this machine, or a stretch of a blob.
struct Looked<'a> {
    known: &'a Known,
    keeps: bool,
    disk: BTreeMap<Seen, Option<Nature>>,
    stored: BTreeMap<Stretch, Option<Nature>>,
}

impl Looked<'_> {
    fn nature(&mut self, content: &Content, store: &Store) -> Result<Option<Nature>> {
        let known = match content {
            Content::Inline(_) => None,
            Content::Disk(disk) => self.disk.get(&disk.seen()),
            Content::Stored(stretch) => self.stored.get(&**stretch),
        };
        if let Some(known) = known {
            return Ok(known.clone());
        }
        if let Some(fact) = self.known.fact(content) {
            return Ok(fact.nature);
        }
        let nature = match content {
            Content::Inline(bytes) => programs::read(&**bytes),
            Content::Disk(_) => {
                read::content(content, store)?.file().and_then(|file| programs::read(&ReadCache::new(file)))
            }
            Content::Stored(stretch) => stored(stretch, store)?,
        };
        match content {
            _ if !self.keeps => None,
            Content::Inline(_) => None,
            Content::Disk(disk) => self.disk.insert(disk.seen(), nature.clone()),
            Content::Stored(stretch) => self.stored.insert(**stretch, nature.clone()),
        };
        self.known.looked(content, nature.as_ref(), None);
        Ok(nature)
    }

    /// A text that a loader reads.
    fn text(&mut self, content: &Content, store: &Store) -> Result<Vec<u8>> {
        let fact = self.known.fact(content);
        if let Some(text) = fact.as_ref().and_then(|fact| fact.text.clone()) {
            return Ok(text);
        }
        let text = text(content, store)?;
        self.known.looked(content, fact.and_then(|fact| fact.nature).as_ref(), Some(&text));
        Ok(text)
    }
}

fn stored(stretch: &Stretch, store: &Store) -> Result<Option<Nature>> {
    let blob = stretch.blob;
    let opened = store.open(&blob)?.ok_or_else(|| Error::local(format!("the blob {blob} vanished from the store")))?;
    Ok(programs::read(ReadCache::new(opened.0).range(stretch.start, stretch.size)))
}

fn trees(ctx: &Ctx, trees: &[Tree], looked: &mut Looked<'_>) -> Result<Natures, PackError> {
    let mut natures = Natures::default();
    for (path, entry) in trees.iter().flatten() {
        let Body::File(content) = &entry.body else { continue };
        ctx.cancel.check()?;
        let blame = |error: Error| PackError { item: Some(entry.item), error };
        if programs::is_text(path.as_bytes()) && content.size() <= MOST_TEXT {
            natures.texts.insert(path.to_string(), looked.text(content, &ctx.store).map_err(blame)?);
        }
        let nature = looked.nature(content, &ctx.store).map_err(blame)?;
        natures.files.extend(nature.map(|nature| (path.to_string(), nature)));
    }
    Ok(natures)
}

fn text(content: &Content, store: &Store) -> Result<Vec<u8>> {
    let mut source = read::content(content, store)?;
    let mut text = vec![0; usize::try_from(content.size().min(MOST_TEXT)).unwrap_or_default()];
    let count = source.fill(&mut text)?;
    text.truncate(count);
    source.finish()?;
    Ok(text)
}
