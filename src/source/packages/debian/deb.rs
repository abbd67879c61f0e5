//! Stage 5: a Debian package. Its file in, its files, its control files and what it replaces out. Nothing of it is run.
//!
//! Source: deb(5). An `ar` archive of three members, in this order: `debian-binary`, `control.tar` and `data.tar`, the last two in some
//! compression. Names that begin with `_` are passed over, as dpkg does; anything else is refused.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::source::archive;
use crate::source::member::Member;
use crate::source::packages::foreign;

/// What an `ar` archive begins with, and what each header of it ends with.
const MAGIC: &[u8] = b"!<arch>\n";
const END: &[u8] = b"`\n";
/// The bytes of a header.
const HEADER: usize = 60;
/// Most members of the `ar` archive.
const MOST_MEMBERS: usize = 16;
const BUFFER: usize = 256 << 10;

/// The two tars of a package.
pub struct Deb {
    /// The control files.
    pub control: Vec<Member>,
    /// The files.
    pub data: Vec<Member>,
}

/// Reads a package whose digest was verified; `name` is for messages.
pub fn read(ctx: &Ctx, name: &str, digest: &Digest, mut file: File) -> Result<Deb> {
    let refused = |cause: io::Error| Error::remote(format!("the package `{}` is refused: {cause}", printable(name)));
    let parts = parts(&mut file).map_err(refused)?;
    let [control, data] = parts;
    let tar = |(start, size): (u64, u64), part: &str| {
        let mut file = file.try_clone().map_err(|cause| Error::io(format!("reading `{name}`"), cause))?;
        file.seek(SeekFrom::Start(start)).map_err(|cause| Error::io(format!("reading `{name}`"), cause))?;
        let input = BufReader::with_capacity(BUFFER, file.take(size));
        let key = Digest::of(format!("{part} of {digest}").as_bytes());
        archive::tar(ctx, &format!("{part} of {name}"), &key, input, size).map_err(foreign)
    };
    Ok(Deb { control: tar(control, "control.tar")?, data: tar(data, "data.tar")? })
}

/// Where `control.tar` and `data.tar` are, and how many bytes they have.
pub fn parts(file: &mut (impl Read + Seek)) -> io::Result<[(u64, u64); 2]> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("it is no Debian package: {why}"));
    let mut magic = [0; 8];
    file.rewind()?;
    file.read_exact(&mut magic).map_err(|_| wrong("it is too short"))?;
    if magic != MAGIC {
        return Err(wrong("it is no `ar` archive"));
    }
    let (mut found, mut at) = (Vec::new(), MAGIC.len() as u64);
    for _ in 0..MOST_MEMBERS {
        file.seek(SeekFrom::Start(at))?;
        let mut header = Vec::new();
        file.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        if header.is_empty() {
            break;
        }
        let (Some(name), Some(size), Some(END)) = (header.get(..16), header.get(48..58), header.get(58..60)) else {
            return Err(wrong("a header is malformed"));
        };
        let name = String::from_utf8_lossy(name).trim_end().trim_end_matches('/').to_string();
        let size = std::str::from_utf8(size).ok().and_then(|size| size.trim_end().parse::<u64>().ok());
        let size = size.ok_or_else(|| wrong("a size is none"))?;
        let start = at + HEADER as u64;
        let next = start
            .checked_add(size)
            .and_then(|end| end.checked_add(size % 2))
            .ok_or_else(|| wrong("a size is too large"))?;
        if file.seek(SeekFrom::End(0))? < start + size {
            return Err(wrong("it is cut off"));
        }
        match (found.len(), name.as_str()) {
            (_, name) if name.starts_with('_') => {}
            (0, "debian-binary") => {
                file.seek(SeekFrom::Start(start))?;
                let mut format = String::new();
                file.by_ref().take(size.min(64)).read_to_string(&mut format)?;
                if !format.starts_with("2.") {
                    return Err(wrong("its format is not 2"));
                }
                found.push((start, size));
            }
            (1, name) if name == "control.tar" || name.starts_with("control.tar.") => found.push((start, size)),
            (2, name) if name == "data.tar" || name.starts_with("data.tar.") => found.push((start, size)),
            (_, name) => return Err(wrong(&format!("`{}` stands in it where it should not", printable(name)))),
        }
        at = next;
    }
    match found.as_slice() {
        [_, control, data] => Ok([*control, *data]),
        _ => Err(wrong("one of its three parts is missing")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes());
            bytes.extend(*content);
            bytes.extend(vec![b'\n'; content.len() % 2]);
        }
        bytes
    }

    #[test]
    fn a_package_has_three_parts_in_their_order() {
        let version: (&str, &[u8]) = ("debian-binary", b"2.0\n");
        let whole = ar(&[version, ("control.tar.xz", b"abc"), ("_more", b"x"), ("data.tar.zst/", b"data")]);
        let [control, data] = parts(&mut Cursor::new(&whole)).unwrap();
        assert_eq!(&whole[control.0 as usize..][..control.1 as usize], b"abc");
        assert_eq!(&whole[data.0 as usize..][..data.1 as usize], b"data");
        let control: (&str, &[u8]) = ("control.tar", b"c");
        let data: (&str, &[u8]) = ("data.tar", b"d");
        for wrong in [
            ar(&[version, data, control]),
            ar(&[version, control]),
            ar(&[control, data]),
            ar(&[("debian-binary", b"3.0\n"), control, data]),
            ar(&[version, control, ("evil", b""), data]),
            ar(&[version, control, data, data]),
            whole[..whole.len() - 1].to_vec(),
            whole[1..].to_vec(),
            Vec::new(),
        ] {
            assert!(parts(&mut Cursor::new(wrong)).is_err());
        }
    }
}
