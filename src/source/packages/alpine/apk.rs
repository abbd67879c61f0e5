//! Stage 5: an Alpine package. Its file in, its files, its control files and its record out. Nothing of it is run.
//!
//! Source: the page "Apk spec" of Alpine's wiki. Three gzip streams one behind the other: signatures, control files (`.PKGINFO` and
//! scripts), files. An index knows a package by the SHA-1 of its second stream, as it is packed; in there stands the SHA-256 of the third.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::relation::{list, within};
use super::sign::head;
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::source::archive;
use crate::source::member::Member;
use crate::source::packages::foreign;

/// Most bytes that signatures and control files have together, packed.
const MOST_FRONT: u64 = 32 << 20;
const BUFFER: usize = 256 << 10;
/// The bytes of zeros that a tar ends with.
const END: usize = 1024;
/// The control file that describes the package.
pub const PKGINFO: &str = ".PKGINFO";
/// Its keys, and the letters that the database of installed packages has for them, in its order.
const LETTERS: [(&str, &str); 16] = [
    ("pkgname", "P"),
    ("pkgver", "V"),
    ("arch", "A"),
    ("size", "I"),
    ("pkgdesc", "T"),
    ("url", "U"),
    ("license", "L"),
    ("origin", "o"),
    ("maintainer", "m"),
    ("builddate", "t"),
    ("commit", "c"),
    ("provider_priority", "k"),
    ("depend", "D"),
    ("provides", "p"),
    ("install_if", "i"),
    ("replaces", "r"),
];

/// A package, taken apart.
pub struct Apk {
    /// The control files.
    pub control: Vec<Member>,
    /// The files.
    pub data: Vec<Member>,
    /// What an index knows it by: `Q1` and the SHA-1 of its control files, as they are packed, in base64.
    pub checksum: String,
}

/// Where the streams of a package are.
pub struct Parts {
    /// The second stream, as it is packed.
    pub control: Vec<u8>,
    /// Where the third one begins.
    pub data: u64,
    /// The bytes of the whole file.
    pub size: u64,
}

/// Takes a package apart.
pub fn parts(file: &mut File) -> Result<Parts> {
    let failed = |cause: io::Error| Error::io("reading a package", cause);
    let mut front = Vec::new();
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.rewind().and_then(|()| file.take(MOST_FRONT).read_to_end(&mut front)).map_err(failed)?;
    let (_, first) = head(&front)?;
    let rest = front.get(first..).unwrap_or_default();
    let (_, second) = head(rest)?;
    let control = rest.get(..second).unwrap_or_default().to_vec();
    Ok(Parts { control, data: (first + second) as u64, size })
}

/// Reads a package whose digest was verified; `name` is for messages.
pub fn read(ctx: &Ctx, name: &str, digest: &Digest, mut file: File) -> Result<Apk> {
    let shown = printable(name);
    let parts = parts(&mut file).map_err(|error| error.context(format!("the package `{shown}` is refused")))?;
    let checksum = checksum(&parts.control);
    let key = |part: &str| Digest::of(format!("{part} of {digest}").as_bytes());
    // The tar of the control files has no end: it is meant to go on in the next stream.
    let (mut control, _) = head(&parts.control)?;
    control.extend_from_slice(&[0; END]);
    let size = control.len() as u64;
    let control = BufReader::with_capacity(BUFFER, Cursor::new(control));
    let control =
        archive::tar(ctx, &format!("control files of {shown}"), &key("control"), control, size).map_err(foreign)?;
    file.seek(SeekFrom::Start(parts.data)).map_err(|cause| Error::io(format!("reading `{shown}`"), cause))?;
    let data = BufReader::with_capacity(BUFFER, file);
    let data = archive::tar(ctx, &format!("files of {shown}"), &key("data"), data, parts.size - parts.data)
        .map_err(foreign)?;
    Ok(Apk { control, data, checksum })
}

/// Checks that a file is the package that an index knows by this checksum, to its last byte.
pub fn verify(file: &mut File, known: &str) -> Result<()> {
    let parts = parts(file)?;
    let found = checksum(&parts.control);
    if found != known {
        return Err(Error::remote(format!("its control files have the checksum {found}, its index says {known}")));
    }
    let (plain, _) = head(&parts.control)?;
    let mut tar = crate::source::tar::entries(plain.as_slice());
    let damaged = |cause: io::Error| Error::remote("its control files are damaged").because(cause);
    let mut said = None;
    while let Some(entry) = tar.step().map_err(damaged)? {
        if entry.path == PKGINFO.as_bytes() {
            let mut text = String::new();
            tar.read_to_string(&mut text).map_err(damaged)?;
            said = fields(&text).remove("datahash").and_then(|mut all| all.pop());
        }
    }
    let failed = |cause: io::Error| Error::io("reading a package", cause);
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; BUFFER]);
    file.seek(SeekFrom::Start(parts.data)).map_err(failed)?;
    loop {
        let count = match file.read(&mut chunk) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(failed)?,
        };
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
    }
    let found = Digest::finish(hasher).hex();
    match said {
        Some(said) if said == found => Ok(()),
        Some(said) => Err(Error::remote(format!("its files have the digest {found}, its `.PKGINFO` says {said}"))),
        None => Err(Error::remote("its `.PKGINFO` has no `datahash`, so nothing vouches for its files")),
    }
}

fn checksum(control: &[u8]) -> String {
    format!("Q1{}", BASE64_STANDARD.encode(Sha1::digest(control)))
}

/// The values of each key of a `.PKGINFO`.
fn fields(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            fields.entry(key.trim().to_string()).or_default().push(value.trim().to_string());
        }
    }
    fields
}

/// The record of a package in the database of installed ones, without its files.
pub fn record(pkginfo: &str, checksum: &str, size: u64) -> String {
    let fields = fields(pkginfo);
    let mut text = format!("C:{checksum}\n");
    for (key, letter) in LETTERS {
        if let Some(values) = fields.get(key) {
            text += &format!("{letter}:{}\n", values.join(" "));
        }
        if key == "arch" {
            text += &format!("S:{size}\n");
        }
    }
    text
}

/// Whether the package of this `.PKGINFO` may take over files of another one.
pub fn replaces(pkginfo: &str, name: &str, version: &str) -> bool {
    let named = fields(pkginfo).remove("replaces").unwrap_or_default().join(" ");
    let (relations, _) = list(&named).unwrap_or_default();
    relations.iter().any(|relation| {
        let bound = relation.bound.as_ref();
        relation.name == name && bound.is_none_or(|(bound, limit)| within(version, *bound, limit))
    })
}
