//! Stage 6: what the files of an image's own layers are, before anything is packed. Trees in, natures out. Reads the first bytes of each file,
//! and of a program the few parts that tell of it, each exactly as it was listed.

use std::collections::BTreeMap;

use object::read::ReadCache;

use super::pack::PackError;
use super::place::Placed;
use super::read;
use super::tree::{Body, Content, Disk, Seen, Tree};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::facts::programs::{self, Nature};
use crate::plan::Plan;

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
pub fn natures(ctx: &Ctx, plan: &Plan, placed: &[Placed]) -> Result<Vec<Natures>> {
    let mut known = BTreeMap::new();
    let mut all = Vec::new();
    for (at, image) in placed.iter().enumerate() {
        let natures = trees(ctx, &image.trees, &mut known);
        all.push(natures.map_err(|error| super::make::explain(plan, at, error))?);
    }
    Ok(all)
}

/// The natures of files of this machine by what was seen of them.
type Known = BTreeMap<Seen, Option<Nature>>;

fn trees(ctx: &Ctx, trees: &[Tree], known: &mut Known) -> Result<Natures, PackError> {
    let mut natures = Natures::default();
    for (path, entry) in trees.iter().flatten() {
        let Body::File(content) = &entry.body else { continue };
        ctx.cancel.check()?;
        let blame = |error: Error| PackError { item: Some(entry.item), error };
        if programs::is_text(path.as_bytes()) && content.size() <= MOST_TEXT {
            natures.texts.insert(path.clone(), text(content).map_err(blame)?);
        }
        let nature = match content {
            Content::Inline(bytes) => programs::read(&**bytes),
            Content::Disk(disk) => match known.get(&disk.seen) {
                Some(nature) => nature.clone(),
                None => {
                    let nature = on_disk(disk).map_err(blame)?;
                    known.insert(disk.seen, nature.clone());
                    nature
                }
            },
        };
        natures.files.extend(nature.map(|nature| (path.clone(), nature)));
    }
    Ok(natures)
}

fn on_disk(disk: &Disk) -> Result<Option<Nature>> {
    let source = read::open(disk.path(), disk.seen)?;
    Ok(programs::read(&ReadCache::new(source.file())))
}

fn text(content: &Content) -> Result<Vec<u8>> {
    match content {
        Content::Inline(bytes) => Ok(bytes.to_vec()),
        Content::Disk(disk) => {
            let mut source = read::open(disk.path(), disk.seen)?;
            let mut text = vec![0; usize::try_from(disk.seen.size.min(MOST_TEXT)).unwrap_or_default()];
            let count = source.fill(&mut text)?;
            text.truncate(count);
            source.finish()?;
            Ok(text)
        }
    }
}
