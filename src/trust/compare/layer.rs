//! Stage 8: the first difference of two layers in the store: a path, and its header field or its byte. Descriptors in, half a sentence out.
//!
//! Entries are compared in their order, by all that they mean. What means nothing to a runtime (times, names of owners, padding …) is
//! looked for afterwards, byte by byte.

use std::io::{self, Read};

use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::oci::Descriptor;
use crate::source::{self, Entry, Layer, Type};

/// How many bytes are compared at once.
const CHUNK: usize = 64 << 10;
/// A header block of a tar.
const BLOCK: u64 = 512;
/// The fields of a header and where each ends (POSIX ustar).
const FIELDS: [(&str, u64); 17] = [
    ("name", 100),
    ("mode", 108),
    ("uid", 116),
    ("gid", 124),
    ("size", 136),
    ("mtime", 148),
    ("checksum", 156),
    ("typeflag", 157),
    ("linkname", 257),
    ("magic", 263),
    ("version", 265),
    ("uname", 297),
    ("gname", 329),
    ("devmajor", 337),
    ("devminor", 345),
    ("prefix", 500),
    ("padding", 512),
];

/// Where two layers begin to differ; `None` if their tars are the same.
pub fn first(ctx: &Ctx, theirs: &Descriptor, ours: &Descriptor) -> Result<Option<String>> {
    let found = entries(&mut source::layer(ctx, theirs)?, &mut source::layer(ctx, ours)?).map_err(failed)?;
    if found.is_some() {
        return Ok(found);
    }
    let offset = offset(&mut source::unpacked(ctx, theirs)?, &mut source::unpacked(ctx, ours)?).map_err(failed)?;
    let Some(offset) = offset else { return Ok(None) };
    located(source::unpacked(ctx, ours)?, offset).map(Some).map_err(failed)
}

/// Where two blobs of one tar begin to differ.
pub fn packed(ctx: &Ctx, theirs: &Descriptor, ours: &Descriptor) -> Result<Option<String>> {
    let open = |blob: &Descriptor| {
        let opened = ctx.store.open(&blob.digest)?;
        opened.ok_or_else(|| Error::local(format!("the layer {} vanished from the store", blob.digest)))
    };
    let offset = offset(&mut open(theirs)?.0, &mut open(ours)?.0).map_err(failed)?;
    Ok(offset
        .map(|offset| format!("the same tar, compressed otherwise: byte {offset} of the blob is the first to differ")))
}

fn failed(cause: io::Error) -> Error {
    match cause.downcast::<Error>() {
        Ok(error) => error,
        Err(cause) => Error::remote("comparing two layers").because(cause),
    }
}

fn entries(theirs: &mut Layer, ours: &mut Layer) -> io::Result<Option<String>> {
    let shown = |entry: &Entry| format!("`/{}`", printable(String::from_utf8_lossy(&entry.path).trim_matches('/')));
    loop {
        let (their, our) = match (theirs.step()?, ours.step()?) {
            (None, None) => return Ok(None),
            (Some(their), None) => return Ok(Some(format!("{}: it is in the image, and not here", shown(&their)))),
            (None, Some(our)) => return Ok(Some(format!("{}: it is here, and not in the image", shown(&our)))),
            (Some(their), Some(our)) => (their, our),
        };
        if their.path != our.path {
            let (in_image, first) = if their.path < our.path { (true, &their) } else { (false, &our) };
            let place = if in_image { "it is in the image, and not here" } else { "it is here, and not in the image" };
            return Ok(Some(format!("{}: {place}", shown(first))));
        }
        if let Some(field) = field(&their, &our) {
            return Ok(Some(format!("{}: {field}", shown(&our))));
        }
        let offset = offset(theirs, ours)?;
        let sizes =
            (their.size != our.size).then(|| format!(" (it has {} bytes in the image, {} here)", their.size, our.size));
        if let Some(offset) = offset {
            let sizes = sizes.unwrap_or_default();
            return Ok(Some(format!("{}: byte {offset} of its content differs{sizes}", shown(&our))));
        }
    }
}

/// The first field that differs, but for the size, which the content shows.
fn field(their: &Entry, our: &Entry) -> Option<String> {
    let kind = |entry: &Entry| match entry.kind {
        Type::File => "a file",
        Type::Directory => "a directory",
        Type::Link => "a link",
        Type::HardLink => "a hard link",
        Type::Other => "something else",
    };
    let text = |bytes: &[u8]| printable(&String::from_utf8_lossy(bytes));
    let pairs = [
        ("type", kind(their).to_string(), kind(our).to_string()),
        ("mode", format!("{:04o}", their.mode), format!("{:04o}", our.mode)),
        ("uid", their.uid.to_string(), our.uid.to_string()),
        ("gid", their.gid.to_string(), our.gid.to_string()),
        ("linkname", text(&their.target), text(&our.target)),
    ];
    let (name, their, our) = pairs.into_iter().find(|(_, their, our)| their != our)?;
    Some(format!("`{name}` is {their} in the image, {our} here"))
}

/// Where two streams begin to differ, counted from 0.
fn offset(theirs: &mut impl Read, ours: &mut impl Read) -> io::Result<Option<u64>> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let mut done = 0;
    loop {
        one.clear();
        two.clear();
        theirs.take(CHUNK as u64).read_to_end(&mut one)?;
        ours.take(CHUNK as u64).read_to_end(&mut two)?;
        if let Some(at) = one.iter().zip(&two).position(|(their, our)| their != our) {
            return Ok(Some(done + at as u64));
        }
        if one.len() != two.len() {
            return Ok(Some(done + one.len().min(two.len()) as u64));
        }
        if one.is_empty() {
            return Ok(None);
        }
        done += one.len() as u64;
    }
}

/// What stands at a place of our own tar.
fn located(tar: impl Read, offset: u64) -> io::Result<String> {
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        let path = format!("`/{}`", printable(String::from_utf8_lossy(&entry.path_bytes()).trim_matches('/')));
        let (header, content) = (entry.raw_header_position(), entry.raw_file_position());
        let part = if offset < header {
            "its extended header".to_string()
        } else if offset < header + BLOCK {
            let at = offset - header;
            let field = FIELDS.iter().find(|(_, end)| at < *end).map_or("padding", |(name, _)| name);
            format!("the header field `{field}`")
        } else if offset < content + entry.size().next_multiple_of(BLOCK) {
            format!("byte {} behind its header", offset - content)
        } else {
            continue;
        };
        return Ok(format!("{path}: {part} differs, at byte {offset} of the tar"));
    }
    Ok(format!("the end of the tar differs, at byte {offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_where_the_first_byte_does() {
        let check =
            |theirs: &[u8], ours: &[u8], expect| assert_eq!(offset(&mut &*theirs, &mut &*ours).unwrap(), expect);
        check(b"", b"", None);
        check(b"abc", b"abd", Some(2));
        check(b"abc", b"ab", Some(2));
        let long = vec![7; 3 * CHUNK];
        check(&long, &long, None);
        let mut other = long.clone();
        other[2 * CHUNK + 5] = 8;
        check(&long, &other, Some(2 * CHUNK as u64 + 5));
    }

    #[test]
    fn a_place_of_a_tar_is_named_by_entry_and_field() {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in [("a", "12345"), ("b", "")] {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let check = |offset: u64, expect: &str| {
            let found = located(tar.as_slice(), offset).unwrap();
            assert!(found.starts_with(expect), "{found}");
        };
        check(0, "`/a`: the header field `name`");
        check(136, "`/a`: the header field `mtime`");
        check(265, "`/a`: the header field `uname`");
        check(512 + 4, "`/a`: byte 4 behind its header");
        check(1024 + 100, "`/b`: the header field `mode`");
        check(3 * 512 + 3, "the end of the tar");
    }
}
