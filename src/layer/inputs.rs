//! Stage 6: what the sources of a plan hold, for provenance. Items and their files in, one digest for each source out. Reads the files
//! whose contents are not known, each exactly as it was listed.

use std::collections::BTreeSet;
use std::path::Path;

use super::bring::digest;
use super::found::Found;
use super::known::Known;
use super::listing::Kind;
use super::read::seen;
use super::tree::Seen;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::{Base, Item, Manifest, Source, What, Whence};
use crate::oci::Digest;

/// A source of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// The path or URL as the manifest has it, with its templates rendered; of an image its name.
    pub name: String,
    /// Its digest; of a directory that of its list, as of `directory`.
    pub digest: Digest,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a source comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file of the context.
    File,
    /// A directory of the context.
    Directory,
    /// An archive of the context, whose contents were taken.
    Archive,
    /// An archive from the web, whose contents were taken.
    Web,
    /// Another image.
    Image(Base),
}

/// The archives and images that the files of one image were taken from, each once, by name; `found` are the sources of its items.
pub fn imports(items: &[Item], found: &[Found]) -> Vec<Input> {
    let all = items.iter().zip(found).filter_map(|(item, found)| {
        let Found::Brought(brought) = found else { return None };
        imported(&item.what, brought.from)
    });
    all.collect::<BTreeSet<Input>>().into_iter().collect()
}

fn imported(what: &What, digest: Digest) -> Option<Input> {
    let (name, origin) = match what {
        What::Archive(archive) => {
            let web = matches!(archive.location, Whence::Web { .. });
            (archive.location.written().to_string(), if web { Origin::Web } else { Origin::Archive })
        }
        What::Taken(taken) => (name(&taken.from), Origin::Image(taken.from.clone())),
        What::Libraries(wanted) => (name(&wanted.from), Origin::Image(wanted.from.clone())),
        _ => return None,
    };
    Some(Input { name, digest, origin })
}

/// The sources of all items of all platforms, each once, by name; `found` are their files.
pub fn inputs(ctx: &Ctx, manifest: &Manifest, found: &[Vec<Found>], known: &Known) -> Result<Vec<Input>> {
    let digest = |path: &Path, seen: Seen| known.digest(&seen).map_or_else(|| digest(ctx, path, seen), Ok);
    let mut inputs = BTreeSet::new();
    for (image, found) in manifest.images.iter().zip(found) {
        for (item, found) in image.items.iter().zip(found) {
            add(&digest, manifest, &item.what, found, &mut inputs)?;
        }
    }
    Ok(inputs.into_iter().collect())
}

fn add(
    digest: &dyn Fn(&Path, Seen) -> Result<Digest>,
    manifest: &Manifest,
    what: &What,
    found: &Found,
    inputs: &mut BTreeSet<Input>,
) -> Result<()> {
    let mut add = |name: &str, digest: Digest, origin: Origin| {
        inputs.insert(Input { name: name.to_string(), digest, origin });
    };
    match (what, found) {
        (_, Found::Certificates(_, files)) => files.iter().for_each(|(name, digest)| add(name, *digest, Origin::File)),
        (_, Found::Text(_, digest)) => {
            source(what).into_iter().for_each(|source| add(&source.written, *digest, Origin::File))
        }
        (_, Found::File { path, seen }) => {
            let digest = digest(path, *seen)?;
            source(what).into_iter().for_each(|source| add(&source.written, digest, Origin::File));
        }
        (_, Found::Tree(listing)) => {
            let mut list = Vec::new();
            for (below, kind) in listing.iter() {
                if let Kind::File(seen) = kind {
                    list.push((below.to_string(), digest(&listing.root().join(below), seen)?));
                }
            }
            let digest = directory(&list);
            source(what).into_iter().for_each(|source| add(&source.written, digest, Origin::Directory));
        }
        (_, Found::Packages(packages, _)) => {
            let lock = Path::new(&manifest.text.path).with_extension("lock");
            let name = lock.file_name().unwrap_or_default();
            let path = manifest.directory.join(name);
            let facts = path.metadata().map_err(|cause| Error::io(format!("reading `{}`", lock.display()), cause))?;
            let file = digest(&path, seen(&facts))?;
            add(&name.to_string_lossy(), file, Origin::File);
            packages.iter().for_each(|one| add(&one.package.url, one.package.digest, Origin::Web));
        }
        (_, Found::Brought(brought)) => inputs.extend(imported(what, brought.from)),
        (_, Found::Nothing | Found::Bundle(_) | Found::Laid(..)) => {}
    }
    Ok(())
}

/// An image's name without its digest.
fn name(image: &Base) -> String {
    match image {
        Base::Registry(pinned) => pinned.repository.to_string(),
        Base::Layout(local) => format!("oci:{}", local.written),
        Base::Archive(local) => format!("oci-archive:{}", local.written),
        Base::Scratch => "scratch".to_string(),
    }
}

fn source(what: &What) -> Option<&Source> {
    match what {
        What::Binary { source, .. } => Some(source),
        What::Copy(copy) => Some(&copy.source),
        What::Template(template) => Some(&template.source),
        _ => None,
    }
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
