//! Stage 6: the loader and the libraries that a program brings along. A program and the image that has them in, the files that go with it
//! out, each where its loader finds it. Reads the program; may fetch, and use the store.
//!
//! A library that the image lacks is not told here: the image that is made may have it from elsewhere, and is judged as a whole.

use std::collections::BTreeMap;

use object::read::ReadCache;

use super::found::{Brought, Found, Piece};
use super::merged::Merged;
use super::natures::Natures;
use super::read;
use super::tree::{Body, Content, Mode};
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::facts::programs::{self, Linked, Load, Loaded, Missing, Nature, Program, Search, View, Way, load};
use crate::manifest::{Item, Libraries};
use crate::oci::Digest;
use crate::source::{self, Base, Bytes, FileIndex, Kind};

/// The list of libraries that glibc's loader reads.
const CACHE: &str = "etc/ld.so.cache";

/// Takes what a program needs out of another image; `found` is the program.
pub async fn bring(ctx: &Ctx, item: &Item, wanted: &Libraries, found: &Found) -> Result<Found> {
    let Found::File { path, seen } = found else { return Ok(Found::Nothing) };
    let (path, seen) = (path.clone(), *seen);
    let shown = printable(&wanted.program.written);
    let nature = source::blocking(move || {
        let source = read::open(path.to_path_buf(), seen)?;
        Ok(source.file().and_then(|file| programs::read(&ReadCache::new(file))))
    })
    .await?;
    let program = match nature {
        Some(Nature::Program(program)) if program.linked() != Linked::Static => program,
        Some(Nature::Program(_)) => {
            return Err(Error::usage(format!("`{shown}` is linked statically, it has no libraries to copy"))
                .hint("leave `libs` and `libs-from` out"));
        }
        _ => {
            return Err(Error::usage(format!("`{shown}` is no ELF program, it has no libraries to copy"))
                .hint("name the program itself, or leave `libs` and `libs-from` out"));
        }
    };
    let image = source::image(ctx, &wanted.from, &wanted.platform).await?;
    let index = source::files(ctx, &image).await?;
    let files = needed(item, wanted, &program, &index)?;
    let pieces = pieces(ctx, &image, &index, files).await?;
    let from = image.named.unwrap_or_else(|| Digest::of(b""));
    Ok(Found::Brought(Brought { from, pieces: pieces.into() }))
}

/// Where the files go, with their real paths in the image.
fn needed(item: &Item, wanted: &Libraries, program: &Program, index: &FileIndex) -> Result<BTreeMap<String, String>> {
    let natures = Natures::default();
    let files = Merged::new(&[], index, &natures);
    let search = Search::new(&files, &[], "/");
    let path = format!("/{}", item.dest);
    let (loaded, missing) = load(&search, Load { path: &path, program });
    let (shown, from) = (printable(&wanted.program.written), &wanted.from);
    for missing in &missing {
        let (loader, what) = match missing {
            Missing::Loader(loader) => (loader, format!("which `{from}` does not have")),
            Missing::OddLoader(loader, odd) => (loader, format!("which in `{from}` is {odd}")),
            Missing::Library { .. } | Missing::Version { .. } => continue,
        };
        let what = format!("`{shown}` needs the loader `{}`, {what}", printable(loader));
        return Err(Error::policy(what).hint("take an image with the C library that it was linked with"));
    }
    let listed = loaded.iter().any(|found| found.way == Way::Listed).then_some(CACHE);
    let cache = listed.and_then(|path| Some((path.to_string(), files.file(path)?)));
    let place = |found: Loaded| (plain(&found.path), found.real);
    Ok(loaded.into_iter().map(place).chain(cache).collect())
}

/// A path without a leading `/`, `.` and `..`, as it is written, whatever links it leads over.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Brings the bytes into the store. Each file is one of its own where its loader finds it, with no links on the way.
async fn pieces(ctx: &Ctx, image: &Base, index: &FileIndex, files: BTreeMap<String, String>) -> Result<Vec<Piece>> {
    let mut places: BTreeMap<(Bytes, u64), Vec<String>> = BTreeMap::new();
    for (path, real) in files {
        let node = index.get(&real);
        let Some((Kind::File { size }, Some(bytes))) = node.map(|node| (&node.kind, node.bytes)) else {
            let what = format!("`/{}` of `{}` cannot be copied", printable(&real), image.reference);
            return Err(Error::remote(what).hint("it is a sparse file; take another image"));
        };
        places.entry((bytes, *size)).or_default().push(path);
    }
    let wanted: Vec<(Bytes, u64)> = places.keys().copied().collect();
    let stretches = source::parts(ctx, image, &wanted).await?;
    let mut pieces = Vec::new();
    for (stretch, paths) in stretches.into_iter().zip(places.into_values()) {
        let piece = |path| Piece { path, body: Body::File(Content::Stored(Box::new(stretch))), mode: Mode::ByContent };
        pieces.extend(paths.into_iter().map(piece));
    }
    pieces.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(pieces)
}
