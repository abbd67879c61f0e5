//! Stage 6: what of an image's own files the manifest's rules ask beyond one look at each: the first bytes of some, and the digests of
//! those that have a twin by size. Placed trees in, values by path out. Reads those files, each exactly as it was listed.

use std::collections::{BTreeMap, BTreeSet};

use super::known::Known;
use super::make::explain;
use super::pack::PackError;
use super::place::Placed;
use super::read;
use super::tree::{Body, Content, Entry};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::manifest::rules::MAX_WASTED;
use crate::oci::Digest;
use crate::plan::Plan;
use crate::store::Store;

/// So much of a file is held against what must stand in it.
const MOST_TEXT: usize = 16 << 20;
/// Smallest file that is compared with others.
const SMALLEST: u64 = 4096;

/// What was asked of one image.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The first bytes of the files that the manifest names, by their paths.
    pub texts: BTreeMap<String, Vec<u8>>,
    /// The digests of files that have the size of another one, by their paths.
    pub digests: BTreeMap<String, Digest>,
}

/// Reads what the rules of the plan ask for; nothing where they ask for nothing.
pub fn ask(ctx: &Ctx, plan: &Plan, placed: &[Placed], known: &Known) -> Result<Vec<Asked>> {
    let names: BTreeSet<&str> = plan.checks.files.iter().filter_map(|check| check.path.rsplit('/').next()).collect();
    let twins = plan.checks.sets(&MAX_WASTED);
    let mut all = Vec::new();
    for (image, own) in placed.iter().enumerate() {
        let mut asked = Asked::default();
        let files = || own.trees.iter().flatten().filter_map(|(path, entry)| Some((path, entry, content(entry)?)));
        let mut sizes: BTreeMap<u64, u32> = BTreeMap::new();
        files().filter(|_| twins).for_each(|(_, _, content)| *sizes.entry(content.size()).or_default() += 1);
        for (path, entry, content) in files() {
            ctx.cancel.check()?;
            let blame = |error| explain(plan, image, PackError { item: Some(entry.item), error });
            if path.rsplit('/').next().is_some_and(|name| names.contains(name)) {
                asked.texts.insert(path.to_string(), text(content, &ctx.store).map_err(blame)?);
            }
            let size = content.size();
            if size >= SMALLEST && sizes.get(&size).is_some_and(|count| *count > 1) {
                asked.digests.insert(path.to_string(), read::identity(ctx, content, known).map_err(blame)?);
            }
        }
        all.push(asked);
    }
    Ok(all)
}

fn content(entry: &Entry) -> Option<&Content> {
    if let Body::File(content) = &entry.body { Some(content) } else { None }
}

/// The first bytes of a content.
fn text(content: &Content, store: &Store) -> Result<Vec<u8>> {
    let mut text = vec![0; usize::try_from(content.size()).unwrap_or(MOST_TEXT).min(MOST_TEXT)];
    let count = read::content(content, store)?.fill(&mut text)?;
    text.truncate(count);
    Ok(text)
}
