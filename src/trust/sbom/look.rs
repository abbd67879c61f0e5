//! Stage 8: looks at an image. A packed image and its base in, its inventory out. Reads layers, through `source`; what is large is
//! read as it goes by.
//!
//! Of our layers every file counts, and of the programs among them what they were built from. Of the base the packages count that
//! its package databases list, as they are seen through all layers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::database::{self, Installed, MOST_PACKAGES};
use super::inventory::{How, Inventory, Part, What};
use super::program::{self, Module};
use super::purl;
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::image::{Image, Layer};
use crate::layer::{Input, Origin};
use crate::oci::{self, Descriptor, Digest, Repository, json};
use crate::plan;
use crate::source::{self, Base, Entry, FileIndex, Kind, Type};

/// Largest package database in bytes.
const MOST_DATABASE: u64 = 64 << 20;
/// Most files of the image's own layers.
const MOST_FILES: usize = 500_000;
/// Largest program whose modules are read, in bytes; it is held in memory.
pub(super) const MOST_PROGRAM: u64 = 512 << 20;
/// How many bytes are read at once.
const CHUNK: usize = 64 << 10;
/// The database of dpkg, and the directory of its twin in distroless images.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_PARTS: &str = "var/lib/dpkg/status.d";
/// Where apk keeps its database, before and after the merge of `/lib` into `/usr`.
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
/// What an image without a name is called.
const NAMELESS: &str = "image";

/// What is in an image that was made here, on this base and with files of these archives and images. `name` is where it goes.
pub async fn look(
    ctx: &Ctx,
    image: &Image,
    base: &Base,
    imports: &[Input],
    name: Option<&Repository>,
) -> Result<Inventory> {
    let whole = whole(image, base)?;
    let created = whole.image.created.clone().unwrap_or_default();
    let mut inventory = Inventory::new(itself(image, name), image.manifest.descriptor.digest, created);
    let below = base.descriptor.as_ref().map(|_| inventory.add(0, How::StandsOn, ancestor(base)));
    let index = source::files(ctx, &whole).await?;
    packages(ctx, &mut inventory, &whole, &index, (base.manifest.layers.len(), below)).await?;
    for input in imports {
        inventory.add(0, How::TakenFrom, import(input, &base.platform.arch));
    }
    for layer in image.layers.iter().filter(|layer| layer.name.is_some()) {
        let place = inventory.add(0, How::Contains, own(layer));
        for (file, modules) in files(ctx, &whole, &layer.descriptor).await? {
            let file = inventory.add(place, How::Contains, file);
            inventory.add_modules(file, &modules);
        }
        if inventory.parts.len() > MOST_FILES {
            return Err(Error::usage(format!("the image has more than {MOST_FILES} files of its own to list")));
        }
    }
    Ok(inventory)
}

/// The image as if it were a base, so that all its layers are merged as those of one.
pub fn whole(image: &Image, base: &Base) -> Result<Base> {
    Ok(Base {
        image: json::read::<oci::Image>(&image.config.bytes, "the config that was made")?,
        manifest: json::read::<oci::Manifest>(&image.manifest.bytes, "the manifest that was made")?,
        descriptor: Some(image.manifest.descriptor.clone()),
        ..base.clone()
    })
}

fn itself(image: &Image, name: Option<&Repository>) -> Part {
    let digest = image.manifest.descriptor.digest;
    let arch = Some(image.platform.arch.as_str());
    Part {
        version: Some(digest.to_string()),
        purl: name.map(|name| purl::image(name, &digest, None, arch)),
        digests: (Some(digest), None),
        ..Part::new(What::Image, name.map_or(NAMELESS.to_string(), Repository::to_string))
    }
}

/// The base by the digest that it was named by.
fn ancestor(base: &Base) -> Part {
    let (name, purl) = match (&base.reference, &base.named) {
        (plan::Base::Registry(pinned), Some(digest)) => {
            let (repository, tag) = (&pinned.repository, pinned.tag.as_ref().map(|tag| tag.as_str()));
            (repository.to_string(), Some(purl::image(repository, digest, tag, Some(&base.platform.arch))))
        }
        _ => ("base".to_string(), None),
    };
    let version = base.named.map(|digest| digest.to_string());
    Part { version, purl, digests: (base.named, None), ..Part::new(What::Base, name) }
}

/// An archive or image that files were taken from.
fn import(input: &Input, arch: &str) -> Part {
    let digest = input.digest.to_string();
    let purl = match &input.origin {
        Origin::Image(plan::Base::Registry(pinned)) => {
            let tag = pinned.tag.as_ref().map(|tag| tag.as_str());
            Some(purl::image(&pinned.repository, &input.digest, tag, Some(arch)))
        }
        Origin::Web => {
            let file = input.name.split(['?', '#']).next().and_then(|url| url.rsplit('/').next());
            let qualifiers = [("checksum", Some(digest.as_str())), ("download_url", Some(input.name.as_str()))];
            file.filter(|file| !file.is_empty()).map(|file| purl::purl("generic", &[file], None, &qualifiers))
        }
        _ => None,
    };
    let download = (input.origin == Origin::Web).then(|| input.name.clone());
    let what = if matches!(input.origin, Origin::Image(_)) { What::Source } else { What::Archive };
    Part { purl, download, digests: (Some(input.digest), None), ..Part::new(what, input.name.clone()) }
}

fn own(layer: &Layer) -> Part {
    let name = layer.name.clone().unwrap_or_default();
    let digest = layer.descriptor.digest;
    Part { version: Some(digest.to_string()), digests: (Some(digest), None), ..Part::new(What::Layer, name) }
}

/// The distribution and its packages; they belong to the base if the layer of their database does.
pub(super) async fn packages(
    ctx: &Ctx,
    inventory: &mut Inventory,
    whole: &Base,
    index: &FileIndex,
    (base_layers, below): (usize, Option<usize>),
) -> Result<()> {
    let system = |key: &str| index.os_release(key).filter(|value| !value.is_empty());
    if let Some(id) = system("ID") {
        let part = Part { version: system("VERSION_ID"), ..Part::new(What::System, id) };
        inventory.add(below.unwrap_or(0), How::Contains, part);
    }
    let mut count = 0;
    for (layer, paths) in databases(index)? {
        let Some(descriptor) = whole.manifest.layers.get(layer) else { continue };
        let owner = below.filter(|_| layer < base_layers).unwrap_or(0);
        for (path, text) in texts(ctx, whole, descriptor, paths).await? {
            let apk = APK.contains(&path.as_str());
            let found = if apk { database::apk(&text) } else { database::dpkg(&text) };
            let found = found.map_err(|error| error.context(format!("reading `/{path}` of the image")))?;
            count += found.len();
            if count > MOST_PACKAGES {
                return Err(Error::remote(format!("the image has more than {MOST_PACKAGES} packages")));
            }
            for package in found {
                inventory.add(owner, How::Contains, part(package, apk, index));
            }
        }
    }
    Ok(())
}

/// The files that are package databases, by the layer that they are in.
fn databases(index: &FileIndex) -> Result<BTreeMap<usize, BTreeSet<String>>> {
    let parts = index.children(DPKG_PARTS).filter(|(name, _)| !name.ends_with(b".md5sums"));
    let parts = parts.map(|(name, _)| format!("{DPKG_PARTS}/{}", String::from_utf8_lossy(name)));
    let all = [DPKG].into_iter().chain(APK).map(str::to_string).chain(parts);
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for path in all {
        let Some(path) = index.resolve(&path) else { continue };
        let Some(node) = index.get(&path) else { continue };
        let Kind::File { size } = node.kind else { continue };
        if size > MOST_DATABASE {
            let message = format!("`/{}` has {size} bytes, {MOST_DATABASE} are allowed", printable(&path));
            return Err(Error::remote(message));
        }
        found.entry(node.layer as usize).or_default().insert(path);
    }
    Ok(found)
}

/// The texts of some files of one layer. One that cannot be read is an error, never an empty list of packages.
async fn texts(
    ctx: &Ctx,
    whole: &Base,
    layer: &Descriptor,
    paths: BTreeSet<String>,
) -> Result<BTreeMap<String, String>> {
    let wanted = paths.clone();
    let read = source::gather(ctx, whole, layer, BTreeMap::new(), move |texts, entry, bytes| {
        let path = String::from_utf8(source::plain(&entry.path)?).unwrap_or_default();
        if entry.kind == Type::File && entry.whole && wanted.contains(&path) {
            let mut text = Vec::new();
            bytes.take(MOST_DATABASE).read_to_end(&mut text)?;
            texts.insert(path, String::from_utf8_lossy(&text).into_owned());
        }
        Ok(())
    });
    let texts = read.await?;
    match paths.iter().find(|path| !texts.contains_key(*path)) {
        None => Ok(texts),
        Some(path) => {
            let what = format!("the package database `/{}` cannot be read from its layer", printable(path));
            Err(Error::remote(what).hint("leave `sbom` out of `[attest]`, or take another base"))
        }
    }
}

fn part(package: Installed, apk: bool, index: &FileIndex) -> Part {
    let (kind, usual) = if apk { ("apk", "alpine") } else { ("deb", "debian") };
    let id = index.os_release("ID").filter(|id| !id.is_empty());
    let distro = id.as_ref().and_then(|id| Some(format!("{id}-{}", index.os_release("VERSION_ID")?)));
    let qualifiers = [("arch", package.arch.as_deref()), ("distro", distro.as_deref())];
    let vendor = id.as_deref().unwrap_or(usual);
    Part {
        purl: Some(purl::purl(kind, &[vendor, &package.name], Some(&package.version), &qualifiers)),
        version: Some(package.version),
        licence: package.licence,
        source: package.source,
        ..Part::new(What::Package, package.name)
    }
}

/// The files of one of our layers, in the order of its tar, with the modules of those that are programs.
async fn files(ctx: &Ctx, whole: &Base, layer: &Descriptor) -> Result<Vec<(Part, Vec<Module>)>> {
    let task = ctx.clone();
    let look = move |files: &mut Vec<(Part, Vec<Module>)>, entry: &Entry, bytes: &mut source::Layer| {
        let path = String::from_utf8_lossy(&source::plain(&entry.path)?).into_owned();
        let whiteout = path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh."));
        if entry.kind == Type::File && !whiteout {
            files.push(file(&task, &path, entry, bytes)?);
        }
        if entry.kind == Type::HardLink {
            let target = format!("/{}", String::from_utf8_lossy(&source::plain(&entry.target)?));
            // Our own entries are sorted by their paths.
            if let Ok(at) = files.binary_search_by(|(part, _)| part.name.cmp(&target)) {
                let (part, modules) = files[at].clone();
                files.push((Part { name: format!("/{path}"), ..part }, modules));
            }
        }
        Ok(())
    };
    source::gather(ctx, whole, layer, Vec::new(), look).await
}

fn file(ctx: &Ctx, path: &str, entry: &Entry, bytes: &mut impl Read) -> io::Result<(Part, Vec<Module>)> {
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    let (mut chunk, mut program, mut begun) = (vec![0; CHUNK], None, false);
    loop {
        let count = match bytes.read(&mut chunk) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let part = chunk.get(..count).filter(|part| !part.is_empty());
        let Some(part) = part else { break };
        if !begun && part.starts_with(b"\x7fELF") {
            program = Some(Vec::new());
        }
        begun = true;
        sha1.update(part);
        sha256.update(part);
        if let Some(program) = program.as_mut().filter(|_| entry.size <= MOST_PROGRAM) {
            program.extend_from_slice(part);
        }
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let part = Part {
        digests: (Some(Digest::finish(sha256)), Some(hex(&sha1.finalize()))),
        program: program.is_some(),
        ..Part::new(What::File, format!("/{path}"))
    };
    let modules = match program {
        None => Ok(Vec::new()),
        Some(_) if entry.size > MOST_PROGRAM => Err(format!("it has more than {MOST_PROGRAM} bytes")),
        Some(program) => program::modules(&program),
    };
    let modules = modules.unwrap_or_else(|why| {
        ctx.note(format!("`/{}` does not say what it was built from: {}", printable(path), printable(&why)));
        Vec::new()
    });
    Ok((part, modules))
}
