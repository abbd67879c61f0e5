//! Stage 5: OCI layouts on this machine, as directories and as tar archives. A place and a digest in, an open blob out.
//! Reads the layout or archive that the manifest names. Nothing is unpacked to disk, no link in a layout is followed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::oci::{Digest, Document, Index, document, json};
use crate::plan;
use crate::source::list::plain;
use crate::source::tar::{Entries, Type, entries};

/// Most entries of an archive that are looked at.
const MOST_ENTRIES: usize = 100_000;
/// Most digests that an error lists.
const MOST_LISTED: usize = 20;

/// An open blob: its bytes, not verified, and how many they are.
pub struct Blob {
    /// The bytes.
    pub bytes: Box<dyn Read + Send>,
    /// How many they are.
    pub size: u64,
}

/// Opens a blob of a layout directory.
pub fn layout(place: &plan::Local, digest: &Digest) -> Result<Blob> {
    let name = format!("oci:{}", place.written);
    match in_layout(place, &["blobs", "sha256", &digest.hex()]) {
        Ok((file, size)) => Ok(Blob { bytes: Box::new(file), size }),
        Err(Errno::NOENT) => Err(absent(&name, digest, in_layout(place, &["index.json"]).ok())),
        Err(Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO) => Err(Error::usage(format!(
            "the blob {digest} in `{name}` is refused: it is no plain file"
        ))
        .hint("links in a layout are not followed; make a copy without them, for example with `cp -rL`".to_string())),
        Err(cause) => Err(Error::io(format!("reading the blob {digest} in `{name}`"), cause.into())),
    }
}

/// Opens a plain file below the layout; only the path to the layout itself may lead through links.
fn in_layout(place: &plan::Local, path: &[&str]) -> Result<(File, u64), Errno> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, &place.path, directory, Mode::empty())?;
    let (name, parents) = path.split_last().ok_or(Errno::INVAL)?;
    for parent in parents {
        at = openat(&at, *parent, directory | OFlags::NOFOLLOW, Mode::empty())?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(openat(&at, *name, flags, Mode::empty())?);
    let facts = file.metadata().map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO))?;
    if facts.is_file() { Ok((file, facts.len())) } else { Err(Errno::ISDIR) }
}

/// Opens a blob of a layout in a tar archive: one pass over the headers, then its bytes where they stand.
pub fn archive(place: &plan::Local, digest: &Digest) -> Result<Blob> {
    let name = format!("oci-archive:{}", place.written);
    let failed = |cause| Error::io(format!("reading `{name}`"), cause);
    let mut file = match File::open(&place.path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(absent(&name, digest, None)),
        Err(cause) => return Err(failed(cause)),
    };
    refuse_compressed(&mut file, &name)?;
    let found = headers(&mut file).map_err(failed)?;
    let mut open = |path: &str| match found.get(path.as_bytes()) {
        Some(Found::Plain { start, size }) => {
            file.seek(SeekFrom::Start(*start))?;
            Ok(Some(Ok((file.try_clone()?, *size))))
        }
        Some(Found::Odd | Found::Link(_)) => Ok(Some(Err(()))),
        None => Ok(None),
    };
    match open(&format!("blobs/sha256/{}", digest.hex())).map_err(failed)? {
        Some(Ok((file, size))) => Ok(Blob { bytes: Box::new(file.take(size)), size }),
        Some(Err(())) => {
            Err(Error::usage(format!("the blob {digest} in `{name}` is refused: it is no plain file in the archive")))
        }
        None => Err(absent(&name, digest, open("index.json").map_err(failed)?.and_then(Result::ok))),
    }
}

fn refuse_compressed(file: &mut File, name: &str) -> Result<()> {
    let mut first = Vec::new();
    let read = (&mut *file).take(4).read_to_end(&mut first).and_then(|_| file.rewind());
    read.map_err(|cause| Error::io(format!("reading `{name}`"), cause))?;
    let tool = match first.as_slice() {
        [0x1f, 0x8b, ..] => "gunzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "unzstd",
        _ => return Ok(()),
    };
    Err(Error::usage(format!("`{name}` is compressed; blobs can only be found in a plain tar"))
        .hint(format!("unpack it with `{tool}` and name the tar; the digest stays the same")))
}

/// The `index.json` of a layout directory.
pub fn layout_index(place: &plan::Local) -> Result<Index> {
    let name = format!("oci:{}", place.written);
    match in_layout(place, &["index.json"]) {
        Ok((file, _)) => index(file, &name),
        Err(cause) => Err(no_index(&name, cause.into())),
    }
}

/// The `index.json` of a layout in a tar archive.
pub fn archive_index(place: &plan::Local) -> Result<Index> {
    let name = format!("oci-archive:{}", place.written);
    let failed = |cause| Error::io(format!("reading `{name}`"), cause);
    let mut file = File::open(&place.path).map_err(|cause| no_index(&name, cause))?;
    refuse_compressed(&mut file, &name)?;
    match headers(&mut file).map_err(failed)?.get(b"index.json".as_slice()) {
        Some(Found::Plain { start, size }) => {
            file.seek(SeekFrom::Start(*start)).map_err(failed)?;
            index(file.take(*size), &name)
        }
        _ => Err(no_index(&name, io::ErrorKind::NotFound.into())),
    }
}

fn no_index(name: &str, cause: io::Error) -> Error {
    Error::usage(format!("`{name}` is no OCI layout: its `index.json` cannot be read"))
        .because(cause)
        .hint("check the path; an archive of `docker save` is named `docker-archive:FILE`")
}

fn index(file: impl Read, name: &str) -> Result<Index> {
    let mut bytes = Vec::new();
    let read = file.take(document::MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|cause| Error::io(format!("reading `{name}`"), cause))?;
    match Document::read(&bytes, None, &format!("the `index.json` of `{name}`"))? {
        Document::Index(index) => Ok(index),
        Document::Manifest(_) => Err(Error::usage(format!("the `index.json` of `{name}` is no index"))),
    }
}

/// A file of an archive.
pub enum Found {
    /// A plain file, and where its bytes stand.
    Plain {
        /// Where they begin.
        start: u64,
        /// How many they are.
        size: u64,
    },
    /// A link, and where it leads.
    Link(Vec<u8>),
    /// Anything else.
    Odd,
}

/// The files of an archive by their paths.
pub type Files = BTreeMap<Vec<u8>, Found>;

/// Finds all files of an archive in one pass over its headers.
pub fn headers(file: &mut File) -> io::Result<Files> {
    let length = file.metadata()?.len();
    let mut found = BTreeMap::new();
    let mut entries: Entries<&mut File> = entries(file);
    while let Some(entry) = entries.step()? {
        let start = entries.input().stream_position()?;
        entries.jump()?;
        let whole = start.checked_add(entry.size).is_some_and(|end| end <= length);
        let place = match entry.kind {
            Type::Directory => continue,
            Type::File if entry.whole && whole => Found::Plain { start, size: entry.size },
            Type::Link | Type::HardLink => Found::Link(entry.target),
            _ => Found::Odd,
        };
        found.insert(plain(&entry.path)?, place);
        if found.len() > MOST_ENTRIES {
            return Err(crate::source::tar::wrong(format!("it has more than {MOST_ENTRIES} entries")));
        }
    }
    Ok(found)
}

/// The error for a blob that is not there, with what is.
fn absent(name: &str, digest: &Digest, index: Option<(File, u64)>) -> Error {
    let mut bytes = Vec::new();
    let read = |(file, size): (File, u64)| file.take(size.min(document::MOST_BYTES)).read_to_end(&mut bytes).ok();
    let index = index.and_then(read).and_then(|_| json::read::<Index>(&bytes, "index.json").ok());
    let error = Error::usage(format!("`{name}` holds no blob {digest}"));
    let Some(index) = index else {
        return error.hint(format!("`{name}` has no `index.json` either; check the path"));
    };
    let mut digests: Vec<String> = index.manifests.iter().map(|child| child.digest.to_string()).collect();
    let more = digests.len().saturating_sub(MOST_LISTED);
    digests.truncate(MOST_LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match digests.is_empty() {
        true => error.hint("its `index.json` is empty"),
        false => error.hint(format!("its `index.json` holds {}{more}", digests.join(", "))),
    }
}
