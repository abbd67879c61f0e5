//! Stage 6: what the sources of a plan hold, for provenance. Items and their files in, one digest for each source out. Reads the files,
//! each exactly as it was listed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::gather::{Found, Kind};
use super::read;
use super::tree::Seen;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::manifest::{Manifest, Source, What};
use crate::oci::Digest;

/// How many bytes are read at once.
const CHUNK: usize = 256 << 10;

/// A source of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// The path as the manifest has it, with its templates rendered.
    pub name: String,
    /// The digest of a file; of a directory that of its list, as of [`directory`].
    pub digest: Digest,
    /// Whether it is a directory.
    pub directory: bool,
}

/// The sources of all items of all platforms, each once, by name; `found` are their files.
pub fn inputs(ctx: &Ctx, manifest: &Manifest, found: &[Vec<Found>]) -> Result<Vec<Input>> {
    let mut inputs = BTreeSet::new();
    for (image, found) in manifest.images.iter().zip(found) {
        for (item, found) in image.items.iter().zip(found) {
            let Some(source) = source(&item.what) else { continue };
            let name = source.written.clone();
            inputs.extend(match found {
                Found::Nothing => None,
                Found::Text(_, digest) => Some(Input { name, digest: *digest, directory: false }),
                Found::File { path, seen } => {
                    Some(Input { name, digest: digest(ctx, path.to_path_buf(), *seen)?, directory: false })
                }
                Found::Tree { root, entries } => {
                    let mut list = Vec::new();
                    for (below, kind) in entries.iter() {
                        if let Kind::File(seen) = kind {
                            list.push((below.to_string(), digest(ctx, root.join(&**below), *seen)?));
                        }
                    }
                    Some(Input { name, digest: directory(&list), directory: true })
                }
            });
        }
    }
    Ok(inputs.into_iter().collect())
}

fn source(what: &What) -> Option<&Source> {
    match what {
        What::Binary { source, .. } => Some(source),
        What::Copy(copy) => Some(&copy.source),
        What::Template(template) => Some(&template.source),
        _ => None,
    }
}

fn digest(ctx: &Ctx, path: PathBuf, seen: Seen) -> Result<Digest> {
    let (mut source, mut hasher, mut chunk) = (read::open(path, seen)?, Sha256::new(), vec![0; CHUNK]);
    loop {
        ctx.cancel.check()?;
        let count = source.fill(&mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
    }
    source.finish()?;
    Ok(Digest::finish(hasher))
}

/// The digest of a directory: that of a line for each file, its digest in hex, two spaces and its path, in the order of the paths
/// (`dirHash` of in-toto's digest sets, which is Go's `Hash1` in hex).
fn directory(files: &[(String, Digest)]) -> Digest {
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    let lines: String = files.iter().map(|(path, digest)| format!("{}  {path}\n", digest.hex())).collect();
    Digest::of(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectation is what `find . -type f | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum` says.
    #[test]
    fn a_directory_has_the_digest_that_coreutils_give_it() {
        let files = [("b".to_string(), Digest::of(b"2\n")), ("a/x".to_string(), Digest::of(b"1\n"))];
        assert_eq!(directory(&files).hex(), "15d5ffca764fa426bd57c1f2cb7f26c5a4434fd3dc9f9d674cde507b0ad5bd96");
    }
}
