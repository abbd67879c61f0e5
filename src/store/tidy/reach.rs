//! Stage 3: what hangs together. The digest of an image in; its documents and the digests of all that they name out, as far as the store
//! holds them. Reads the store, and marks nothing as used.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::error::{Error, Result};
use crate::oci::document::MOST_BYTES;
use crate::oci::{Descriptor, Digest, Document, Image, media};
use crate::store::{Seen, Store, files};

/// Largest config in bytes that is read.
const MOST_CONFIG: u64 = 8 << 20;
/// Most documents of one image.
const MOST_DOCUMENTS: usize = 10_000;

/// What hangs together below an image.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Every digest that is named, the image's own too, with the size that is named for it.
    pub blobs: BTreeMap<Digest, u64>,
    /// When it was made, as its configs say: the latest of them.
    pub created: Option<String>,
    /// The documents and configs that the store lacks, or that are damaged there.
    pub missing: BTreeSet<Digest>,
}

/// Walks over all documents below a root.
pub fn reach(store: &Store, root: &Digest) -> Result<Reach> {
    let mut reach = Reach::default();
    let mut ahead = vec![*root];
    let mut seen = BTreeSet::from([*root]);
    while let Some(digest) = ahead.pop() {
        let Some(bytes) = peek(store, &digest, MOST_BYTES)? else {
            reach.missing.insert(digest);
            continue;
        };
        reach.blobs.insert(digest, bytes.len() as u64);
        let Ok(document) = Document::read(&bytes, None, "a document of the store") else {
            reach.missing.insert(digest);
            continue;
        };
        match document {
            Document::Index(index) => {
                for child in index.manifests {
                    reach.blobs.insert(child.digest, child.size);
                    if is_document(&child) && seen.len() < MOST_DOCUMENTS && seen.insert(child.digest) {
                        ahead.push(child.digest);
                    }
                }
            }
            Document::Manifest(manifest) => {
                reach.blobs.extend(manifest.layers.iter().map(|layer| (layer.digest, layer.size)));
                reach.blobs.insert(manifest.config.digest, manifest.config.size);
                match peek(store, &manifest.config.digest, MOST_CONFIG)? {
                    Some(bytes) => {
                        let created = serde_json::from_slice::<Image>(&bytes).ok().and_then(|config| config.created);
                        reach.created = reach.created.max(created);
                    }
                    None => drop(reach.missing.insert(manifest.config.digest)),
                }
            }
        }
    }
    Ok(reach)
}

fn is_document(descriptor: &Descriptor) -> bool {
    let known = [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_LIST];
    known.contains(&descriptor.media_type.as_str())
}

/// All bytes of a small blob, verified, without a mark that it was used; `None` where it is not there, damaged, or too large.
fn peek(store: &Store, digest: &Digest, most: u64) -> Result<Option<Vec<u8>>> {
    let path = store.blob_path(digest);
    let Some((file, Seen { size, .. })) = files::open(&path)? else { return Ok(None) };
    if size > most {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|cause| Error::io(format!("reading `{}`", path.display()), cause))?;
    Ok((Digest::of(&bytes) == *digest).then_some(bytes))
}
