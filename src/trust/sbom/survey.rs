//! Stage 8: looks at any image whole. An image in, its packages and the modules of every program in it out. Reads all layers, through
//! `source`; a program is held in memory while it is read.
//!
//! A program counts if it is seen through all layers, by its own path or as a hard link to it. This is what vulnerabilities are sought
//! in; a bill of materials ([`super::look`]) lists the files of our own layers too, and of the base no programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::inventory::{How, Inventory, Part, What};
use super::look::{MOST_PROGRAM, packages};
use super::program::{self, Module};
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::oci::{Descriptor, Digest};
use crate::source::{self, Base, Entry, FileIndex, Type};

/// Most modules of all programs of an image, and most programs that have any.
const MOST_MODULES: usize = 1_000_000;
/// What an ELF file begins with.
const MAGIC: &[u8] = b"\x7fELF";

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Its packages and modules.
    pub inventory: Inventory,
    /// The programs that do not tell what they were built from because that cannot be read, and why.
    pub unread: Vec<(String, String)>,
}

/// One program of a layer: its paths, and what it was built from.
struct Program {
    paths: Vec<Vec<u8>>,
    modules: Result<Vec<Module>, String>,
}

/// What is in an image.
pub async fn survey(ctx: &Ctx, whole: &Base, name: &str) -> Result<Survey> {
    let index = source::files(ctx, whole).await?;
    let digest = whole.descriptor.as_ref().map_or_else(|| Digest::of(b""), |descriptor| descriptor.digest);
    let created = whole.image.created.clone().unwrap_or_default();
    let mut inventory = Inventory::new(Part::new(What::Image, name), digest, created);
    packages(ctx, &mut inventory, whole, &index, (0, None)).await?;
    let (mut unread, mut count) = (Vec::new(), 0);
    for (at, layer) in whole.manifest.layers.iter().enumerate() {
        for program in programs(ctx, whole, layer).await? {
            let Some(path) = program.paths.iter().find(|path| stands(&index, path, at)) else { continue };
            let path = format!("/{}", String::from_utf8_lossy(path));
            match program.modules {
                Ok(modules) => {
                    count += modules.len();
                    if count > MOST_MODULES {
                        return Err(Error::remote(format!("its programs were built from over {MOST_MODULES} modules")));
                    }
                    let file = inventory.add(0, How::Contains, Part { program: true, ..Part::new(What::File, path) });
                    inventory.add_modules(file, &modules);
                }
                Err(why) => unread.push((printable(&path), printable(&why))),
            }
        }
    }
    Ok(Survey { inventory, unread })
}

/// The packages that the package databases of an image list: versions by name, several where a name is there more than once.
pub async fn installed(ctx: &Ctx, whole: &Base) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let index = source::files(ctx, whole).await?;
    let mut inventory = Inventory::new(Part::new(What::Image, ""), Digest::of(b""), String::new());
    packages(ctx, &mut inventory, whole, &index, (0, None)).await?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in inventory.parts.into_iter().filter(|part| part.what == What::Package) {
        found.entry(part.name).or_default().extend(part.version);
    }
    Ok(found)
}

/// Whether a file of a layer is seen in the image. What has no name in UTF-8 counts as seen.
fn stands(index: &FileIndex, path: &[u8], layer: usize) -> bool {
    let Ok(path) = std::str::from_utf8(path) else { return true };
    let node = index.resolve(path).and_then(|real| index.get(&real).map(|node| node.layer));
    node == u32::try_from(layer).ok()
}

/// The programs of a layer that tell something, or would if it could be read.
async fn programs(ctx: &Ctx, whole: &Base, layer: &Descriptor) -> Result<Vec<Program>> {
    let look = |found: &mut BTreeMap<Vec<u8>, Program>, entry: &Entry, bytes: &mut source::Layer| {
        let path = source::plain(&entry.path)?;
        match entry.kind {
            Type::File => {
                found.remove(&path);
                if let Some(modules) = modules(entry.size, bytes)? {
                    found.insert(path.clone(), Program { paths: vec![path], modules });
                }
            }
            Type::HardLink => {
                if let Some(program) = found.get_mut(&source::plain(&entry.target)?) {
                    program.paths.push(path);
                }
            }
            _ => {}
        }
        Ok(())
    };
    Ok(source::gather(ctx, whole, layer, BTreeMap::new(), look).await?.into_values().collect())
}

/// What a file was built from; none where it does not tell.
#[allow(clippy::type_complexity, reason = "a failure to read the layer is not one to read the program")]
fn modules(size: u64, bytes: &mut impl Read) -> io::Result<Option<Result<Vec<Module>, String>>> {
    let mut program = Vec::new();
    bytes.take(MAGIC.len() as u64).read_to_end(&mut program)?;
    if program != MAGIC {
        return Ok(None);
    }
    if size > MOST_PROGRAM {
        return Ok(Some(Err(format!("it has more than {MOST_PROGRAM} bytes"))));
    }
    bytes.take(size).read_to_end(&mut program)?;
    let modules = program::modules(&program);
    Ok(Some(modules).filter(|modules| !matches!(modules, Ok(modules) if modules.is_empty())))
}
