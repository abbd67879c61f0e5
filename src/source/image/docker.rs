//! Stage 5: archives that `docker save` and `podman save` wrote. A file in; its config and layers in the store, checked against each
//! other, and the manifest that they make, out. Reads the archive and writes the store; nothing is unpacked by its path.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use crate::error::{Error, Result, printable};
use crate::event::Cancel;
use crate::oci::media::Compression;
use crate::oci::{self, Descriptor, DiffId, Reference, json, media};
use crate::source::local::{self, Files, Found};
use crate::source::unpack::{self, Stop, unpack};
use crate::store::Store;

/// Largest `manifest.json` and largest config, in bytes.
const MOST_JSON: u64 = 8 << 20;
/// Most images of one archive.
const MOST_IMAGES: usize = 1000;
/// How many bytes are copied between two looks at the wish to stop.
const PIECE: u64 = 4 << 20;

/// One image as `manifest.json` lists it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// What was taken into the store.
pub struct Taken {
    /// Its manifest.
    pub root: Descriptor,
    /// The names that the archive gives it.
    pub names: Vec<Reference>,
}

/// An archive with the places of its files.
struct Archive<'a> {
    file: File,
    files: Files,
    name: String,
    store: &'a Store,
    cancel: &'a Cancel,
}

/// What chooses an image by its place in `manifest.json`, from 0; no name can begin so.
pub const AT: &str = "@";

/// What kind of archive a file is.
pub enum Names {
    /// That of an OCI layout.
    Layout,
    /// One of `docker save`, with so many images.
    Images(usize),
}

/// Looks what kind of archive a file is. One that is both counts as a layout, which keeps digests.
pub fn names(store: &Store, path: &Path, cancel: &Cancel) -> Result<Names> {
    let archive = open(store, path, cancel)?;
    if archive.files.contains_key(b"oci-layout".as_slice()) && archive.files.contains_key(b"index.json".as_slice()) {
        return Ok(Names::Layout);
    }
    archive.list(path).map(|all| Names::Images(all.len()))
}

/// Takes one image of an archive into the store.
pub fn take(store: &Store, path: &Path, name: Option<&str>, cancel: &Cancel) -> Result<Taken> {
    let archive = open(store, path, cancel)?;
    let all = archive.list(path)?;
    archive.image(choose(&all, name, &archive.name)?)
}

fn open<'a>(store: &'a Store, path: &Path, cancel: &'a Cancel) -> Result<Archive<'a>> {
    let shown = format!("docker-archive:{}", path.display());
    let failed = |cause| Error::io(format!("reading `{shown}`"), cause);
    let file = File::open(path).map_err(failed)?;
    let mut file = plain(store, file, &shown, cancel)?;
    let files = local::headers(&mut file).map_err(failed)?;
    Ok(Archive { file, files, name: shown, store, cancel })
}

/// The archive as a plain tar; a compressed one is unpacked into a nameless file of the store.
fn plain(store: &Store, mut file: File, shown: &str, cancel: &Cancel) -> Result<File> {
    let failed = |cause| Error::io(format!("reading `{shown}`"), cause);
    let mut first = Vec::new();
    (&mut file).take(4).read_to_end(&mut first).and_then(|_| file.rewind()).map_err(failed)?;
    let input: Box<dyn Read> = match first.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(file).map_err(failed)?),
        _ => return Ok(file),
    };
    let directory = store.root().join("tmp");
    let doing = |cause| Error::io(format!("writing to the store `{}`", store.root().display()), cause);
    std::fs::create_dir_all(&directory).map_err(doing)?;
    let mut target = tempfile::tempfile_in(&directory).map_err(doing)?;
    let count = pour(&mut input.take(unpack::MOST_BYTES + 1), &mut target, cancel)
        .map_err(|cause| Error::io(format!("decompressing `{shown}`"), cause))?;
    cancel.check()?;
    if count > unpack::MOST_BYTES {
        return Err(Error::usage(format!("`{shown}` has over {} bytes, which is the limit", unpack::MOST_BYTES)));
    }
    target.rewind().map_err(doing)?;
    Ok(target)
}

/// Copies until the end or until a stop is asked for.
fn pour(input: &mut dyn Read, target: &mut dyn Write, cancel: &Cancel) -> io::Result<u64> {
    let mut total = 0;
    loop {
        let count = io::copy(&mut (&mut *input).take(PIECE), target)?;
        total += count;
        if count == 0 || cancel.check().is_err() {
            return Ok(total);
        }
    }
}

fn choose<'a>(all: &'a [Listed], name: Option<&str>, shown: &str) -> Result<&'a Listed> {
    let at = name.and_then(|name| name.strip_prefix(AT)).and_then(|at| at.parse::<usize>().ok());
    if let Some(one) = at.and_then(|at| all.get(at)) {
        return Ok(one);
    }
    let names = |one: &Listed| one.repo_tags.clone().unwrap_or_default();
    let same = |text: &String| {
        let read = |text: &str| text.parse::<Reference>().ok();
        name.is_some_and(|name| text == name || read(text).is_some() && read(text) == read(name))
    };
    let found: Vec<&Listed> = all.iter().filter(|one| name.is_none() || names(one).iter().any(same)).collect();
    match found.as_slice() {
        [only] => Ok(only),
        _ => {
            let list: Vec<String> = all.iter().flat_map(names).take(20).map(|name| printable(&name)).collect();
            let what = if found.is_empty() { "holds no image of that name" } else { "holds several images" };
            Err(Error::usage(format!("`{shown}` {what}"))
                .hint(format!("name one, as in `docker-archive:FILE:NAME`; it holds {}", list.join(", "))))
        }
    }
}

impl Archive<'_> {
    fn list(&self, path: &Path) -> Result<Vec<Listed>> {
        let shown = &self.name;
        let Some(bytes) = self.small("manifest.json")? else {
            return Err(Error::usage(format!("`{shown}` has no `manifest.json`, so `docker save` did not write it"))
                .hint(format!("if it is an OCI layout, name it `oci-archive:{}`", path.display())));
        };
        let all: Vec<Listed> = serde_json::from_slice(&bytes).map_err(|cause| {
            Error::usage(format!("the `manifest.json` of `{shown}` is not what it should be")).because(cause)
        })?;
        if all.len() > MOST_IMAGES {
            return Err(Error::usage(format!("`{shown}` has {} images, the limit is {MOST_IMAGES}", all.len())));
        }
        Ok(all)
    }

    fn image(&self, listed: &Listed) -> Result<Taken> {
        let config = self.small(&listed.config)?.ok_or_else(|| self.lacks(&listed.config))?;
        let image: oci::Image = json::read(&config, &format!("the config of `{}`", self.name))?;
        let layers = listed.layers.clone().unwrap_or_default();
        if layers.len() != image.rootfs.diff_ids.len() || layers.len() > oci::document::MOST_LAYERS {
            return Err(Error::usage(format!(
                "`{}` is refused: it lists {} layers, its config names {} diff IDs",
                self.name,
                layers.len(),
                image.rootfs.diff_ids.len()
            )));
        }
        let mut descriptors = Vec::new();
        for (path, diff_id) in layers.iter().zip(&image.rootfs.diff_ids) {
            self.cancel.check()?;
            descriptors.push(self.layer(path, diff_id)?);
        }
        self.store.put(&config)?;
        let manifest = oci::Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.into(),
            artifact_type: None,
            config: Descriptor::of(media::CONFIG, &config),
            layers: descriptors,
            subject: None,
            annotations: Default::default(),
            rest: Default::default(),
        };
        let bytes = json::canonical(&manifest);
        self.store.put(&bytes)?;
        let names = listed.repo_tags.iter().flatten().filter_map(|name| name.parse().ok()).collect();
        Ok(Taken { root: Descriptor::of(media::MANIFEST, &bytes), names })
    }

    fn layer(&self, path: &str, diff_id: &DiffId) -> Result<Descriptor> {
        let failed = |cause| Error::io(format!("reading `{path}` of `{}`", self.name), cause);
        let (mut bytes, size) = self.open(path)?.ok_or_else(|| self.lacks(path))?;
        let mut draft = self.store.draft()?;
        let count = pour(&mut bytes, &mut draft, self.cancel).map_err(failed)?;
        self.cancel.check()?;
        if count != size {
            return Err(Error::usage(format!("`{path}` of `{}` is cut off", self.name)));
        }
        let hashed = draft.finish(None)?;
        let (blob, _) = self
            .store
            .open(&hashed.digest)?
            .ok_or_else(|| Error::local(format!("the layer {} has gone from the store", hashed.digest)))?;
        let stop = Stop { cancel: self.cancel.clone(), gone: Arc::new(AtomicBool::new(false)) };
        let (mut unpacked, compression) = unpack(blob, stop).map_err(failed)?;
        io::copy(&mut unpacked, &mut io::sink()).map_err(failed)?;
        let (found, _) = unpacked.finish();
        if found != *diff_id {
            return Err(Error::usage(format!(
                "`{}` is refused: its config names the layer {diff_id}, but `{}` is {found}",
                self.name,
                printable(path)
            )));
        }
        let media_type = match compression {
            Compression::None => media::LAYER,
            other => other.layer(),
        };
        Ok(Descriptor::new(media_type, hashed.digest, hashed.size))
    }

    fn lacks(&self, path: &str) -> Error {
        Error::usage(format!("`{}` lacks the file `{}` that its `manifest.json` names", self.name, printable(path)))
    }

    /// A file of the archive; a link leads on once, as older engines wrote them for layers that repeat.
    fn open(&self, path: &str) -> Result<Option<(io::Take<File>, u64)>> {
        let failed = |cause| Error::io(format!("reading `{}`", self.name), cause);
        let mut found = self.files.get(path.as_bytes());
        if let Some(Found::Link(target)) = found {
            let beside = resolve(path, &String::from_utf8_lossy(target));
            found = self.files.get(beside.as_bytes()).or_else(|| self.files.get(target.as_slice()));
        }
        match found {
            None => Ok(None),
            Some(Found::Plain { start, size }) => {
                let mut file = self.file.try_clone().map_err(failed)?;
                file.seek(SeekFrom::Start(*start)).map_err(failed)?;
                Ok(Some((file.take(*size), *size)))
            }
            Some(Found::Odd | Found::Link(_)) => {
                Err(Error::usage(format!("`{}` of `{}` is refused: it is no plain file", printable(path), self.name)))
            }
        }
    }

    fn small(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some((mut file, size)) = self.open(path)? else { return Ok(None) };
        if size > MOST_JSON {
            return Err(Error::usage(format!(
                "`{}` of `{}` has {size} bytes, the limit is {MOST_JSON}",
                printable(path),
                self.name
            )));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|cause| Error::io(format!("reading `{}`", self.name), cause))?;
        Ok(Some(bytes))
    }
}

/// A link's target, seen from the file's directory; names of the archive only, never of the disk.
fn resolve(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
