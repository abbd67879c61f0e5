//! Stage 6: what the base has to add to an item's source: its own certificates to a trust store, its links to where packages go. Sources
//! and the base's files in, the same sources, complete, out. May fetch a layer of the base, and use the store.

use super::found::Found;
use super::packages::lay_found;
use super::read;
use super::roots::{PLACES, bundle, loose};
use super::tree::Content;
use crate::ctx::Ctx;
use crate::error::{Error, Report, Result};
use crate::manifest::{Family, What};
use crate::plan::ImagePlan;
use crate::source::{self, Base, FileIndex, Kind};

/// Largest bundle of a base in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// The sources of an image's items, with what they take from the base.
pub async fn with_base(
    ctx: &Ctx,
    image: &ImagePlan,
    base: &Base,
    index: &FileIndex,
    found: &[Found],
    report: &mut Report,
) -> Result<Vec<Found>> {
    // Debian's records stand beside those of the base, Alpine's go into them.
    let alpine =
        found.iter().any(|found| matches!(found, Found::Packages(_, wanted) if wanted.family == Family::Alpine));
    let records = if alpine { source::installed(ctx, base, Family::Alpine).await? } else { String::new() };
    let found = lay_found(image, found.to_vec(), index, &records, report);
    let packaged = found.iter().find_map(|found| match found {
        Found::Laid(_, bundle) => bundle.clone(),
        _ => None,
    });
    let mut complete = Vec::new();
    for (item, found) in image.items.iter().zip(&found) {
        complete.push(match (&item.what, found) {
            (What::TrustStore(store), Found::Certificates(own, _)) => {
                let before = match (store.keep, &packaged) {
                    (false, _) => Vec::new(),
                    (true, None) => trusted(ctx, base, index).await?,
                    (true, Some(packaged)) => joined(vec![trusted(ctx, base, index).await?, packaged.to_vec()]),
                };
                Found::Bundle(bundle(&before, own).into())
            }
            _ => found.clone(),
        });
    }
    Ok(complete)
}

/// What the base trusts: the bundles in its usual places, each once, one behind the other.
async fn trusted(ctx: &Ctx, base: &Base, index: &FileIndex) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for path in PLACES.iter().filter_map(|place| index.resolve(place)) {
        let Some(node) = index.get(&path) else { continue };
        let Kind::File { size } = node.kind else { continue };
        let Some(bytes) = node.bytes.filter(|_| size <= MOST_BYTES) else {
            let message =
                format!("the certificates of the base, `/{path}`, have {size} bytes, {MOST_BYTES} are allowed");
            return Err(Error::remote(message).hint("say `base = \"replace\"` in `[trust-store]`"));
        };
        if !files.contains(&(bytes, size)) {
            files.push((bytes, size));
        }
    }
    let (store, mut all) = (ctx.store.clone(), Vec::new());
    let stretches = source::parts(ctx, base, &files).await?;
    source::blocking(move || {
        for stretch in stretches {
            let size = stretch.size as usize;
            let mut source = read::content(&Content::Stored(Box::new(stretch)), &store)?;
            let mut text = vec![0; size];
            source.fill(&mut text)?;
            all.push(text);
        }
        Ok(joined(all))
    })
    .await
}

/// Several bundles as one; one that another holds already adds nothing.
fn joined(all: Vec<Vec<u8>>) -> Vec<u8> {
    let mut joined: Vec<u8> = Vec::new();
    for text in all {
        joined = if joined.is_empty() { text } else { bundle(&joined, &loose(&text)) };
    }
    joined
}
