//! Stage 5: the few texts of a base that say who and what is in it. Listings in, an index with its texts out. A text that stands behind
//! a link to an unusual place is read from its layer, once.

use std::fs::File;
use std::io::{self, Read};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest};
use crate::source::blob::{blocking, fetch};
use crate::source::files::{failed, layer_name, open};
use crate::source::index::Kind;
use crate::source::list::{Listing, MOST_TEXT_BYTES, What, plain};
use crate::source::tar::{Type, entries};
use crate::source::unpack::{Stop, unpack};
use crate::source::{Base, FileIndex};

/// The kind under which the store remembers a text.
const KIND: &str = "layer-text-1";
/// Most hard links from one to the next.
const MOST_LINKED: usize = 8;

/// Sets the texts of a merged index.
pub async fn fill(
    ctx: &Ctx,
    base: &Base,
    listings: &[Listing],
    mut index: FileIndex,
    stop: &Stop,
) -> Result<FileIndex> {
    index.passwd = text(ctx, base, listings, &index, "etc/passwd", stop).await?.unwrap_or_default();
    index.group = text(ctx, base, listings, &index, "etc/group", stop).await?.unwrap_or_default();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    index.texts = (lossy(&index.passwd), lossy(&index.group));
    let os_release = match text(ctx, base, listings, &index, "etc/os-release", stop).await? {
        None => text(ctx, base, listings, &index, "usr/lib/os-release", stop).await?,
        found => found,
    };
    index.os_release = os_release.map(|bytes| lossy(&bytes));
    Ok(index)
}

async fn text(
    ctx: &Ctx,
    base: &Base,
    listings: &[Listing],
    index: &FileIndex,
    path: &str,
    stop: &Stop,
) -> Result<Option<Vec<u8>>> {
    let Ok(walked) = index.walk(path.as_bytes()) else { return Ok(None) };
    let Some(node) = index.at(&walked.path).filter(|_| walked.solid) else { return Ok(None) };
    let Kind::File { size } = node.kind else { return Ok(None) };
    if size > MOST_TEXT_BYTES {
        let reference = &base.reference;
        return Err(Error::remote(format!(
            "`{path}` of `{reference}` has {size} bytes, {MOST_TEXT_BYTES} are allowed"
        )));
    }
    let (mut layer, mut path) = (node.layer as usize, walked.path);
    for _ in 0..MOST_LINKED {
        let Some(listing) = listings.get(layer) else { break };
        if let Some(text) = listing.texts.get(path.as_slice()) {
            return Ok(Some(text.to_vec()));
        }
        if let Some(What::Lower(target)) = listing.items.get(path.as_slice()).map(|item| &item.what) {
            let holds = |layer: &usize| listings.get(*layer).is_some_and(|lower| lower.items.contains_key(target));
            let Some(lower) = (0..layer).rev().find(holds) else { break };
            (layer, path) = (lower, target.to_vec());
            continue;
        }
        let Some((descriptor, _)) = base.layers().nth(layer) else { break };
        match outside(ctx, base, descriptor, &path, stop).await? {
            Found::Text(text) => return Ok(Some(text)),
            Found::Same(target) => path = target,
            Found::Nothing => break,
        }
    }
    let path = String::from_utf8_lossy(&path).into_owned();
    Err(Error::remote(format!("`{}` of `{}` cannot be read", path.escape_debug(), base.reference)))
}

/// What a layer has at a path.
enum Found {
    Text(Vec<u8>),
    /// Another name of the same file.
    Same(Vec<u8>),
    Nothing,
}

/// Reads one file of a layer, or recalls it.
async fn outside(ctx: &Ctx, base: &Base, layer: &Descriptor, path: &[u8], stop: &Stop) -> Result<Found> {
    let key = Digest::of(&[layer.digest.to_string().as_bytes(), b" ", path].concat());
    let store = ctx.store.clone();
    if let Some(bytes) = blocking(move || Ok(store.recall(KIND, &key))).await?
        && let Some((tag, bytes)) = bytes.split_first()
    {
        return Ok(if *tag == b'=' { Found::Text(bytes.to_vec()) } else { Found::Same(bytes.to_vec()) });
    }
    fetch(ctx, base, layer).await?;
    let (store, layer, name) = (ctx.store.clone(), layer.clone(), layer_name(base, layer));
    let (path, stop) = (path.to_vec(), stop.clone());
    blocking(move || {
        let blob = open(&store, &layer)?;
        let found = find(blob, &path, stop).map_err(|cause| failed(&name, cause))?;
        match &found {
            Found::Text(text) => store.remember(KIND, &key, &[b"=", text.as_slice()].concat()),
            Found::Same(target) => store.remember(KIND, &key, &[b">", target.as_slice()].concat()),
            Found::Nothing => {}
        }
        Ok(found)
    })
    .await
}

fn find(blob: File, path: &[u8], stop: Stop) -> io::Result<Found> {
    let mut entries = entries(unpack(blob, stop)?.0);
    let mut found = Found::Nothing;
    while let Some(entry) = entries.step()? {
        if plain(&entry.path)? != path {
            continue;
        }
        found = match entry.kind {
            Type::HardLink => Found::Same(plain(&entry.target)?),
            Type::File if entry.whole && entry.size <= MOST_TEXT_BYTES => {
                let mut text = Vec::new();
                (&mut entries).take(MOST_TEXT_BYTES).read_to_end(&mut text)?;
                Found::Text(text)
            }
            _ => Found::Nothing,
        };
    }
    Ok(found)
}
