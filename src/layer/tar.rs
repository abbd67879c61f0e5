//! Stage 6: the header blocks of format 1 (`docs/format-1.md`). One entry in, the bytes that stand before its content out. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::tree::{Body, Entry};
use crate::error::{Error, Result};

/// A tar is made of blocks of this many bytes.
const BLOCK: usize = 512;
/// What ends a tar: two blocks of zeros.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// The one modification time: 1980-01-01T00:00:00Z.
const MODIFIED: u64 = 315_532_800;
/// Most bytes in the field `name`, and in `linkname`.
const NAME: usize = 100;
/// Bytes in the field `chksum`.
const CHECKSUM: usize = 8;
/// Most bytes in the field `prefix`.
const PREFIX: usize = 155;
/// Largest number in a field of seven octal digits.
const MOST_ID: u32 = 0o7777777;
/// Largest number in a field of eleven octal digits.
const MOST_SIZE: u64 = 0o77777777777;
/// The name of every PAX header.
const PAX_NAME: &[u8] = b"PaxHeader";
/// The mode of every PAX header.
const PAX_MODE: u16 = 0o644;
/// The PAX key of file capabilities.
const CAPABILITY: &str = "SCHILY.xattr.security.capability";
/// `VFS_CAP_REVISION_2` with the effective flag (linux/capability.h).
const CAPABILITY_MAGIC: u32 = 0x0200_0001;

/// Appends what stands before an entry's content: its header, after a PAX header where the plain one does not suffice.
/// A file that has a `twin` is a hard link to it. An entry that no tree should hold is a bug.
pub fn header(
    path: &str,
    entry: &Entry,
    mode: u16,
    (size, twin): (u64, Option<&str>),
    out: &mut Vec<u8>,
) -> Result<()> {
    check(path, entry, mode)?;
    let (kind, target) = match &entry.body {
        Body::Directory => (b'5', ""),
        Body::Link(target) => (b'2', &**target),
        Body::File(_) => twin.map_or((b'0', ""), |twin| (b'1', twin)),
        Body::Whiteout => (b'0', ""),
    };
    let name = if kind == b'5' { Cow::Owned(format!("{path}/")) } else { Cow::Borrowed(path) };
    let mut records: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let (prefix, short) = split(&name).map_or_else(
        || {
            records.insert("path", name.as_bytes().to_vec());
            (&[][..], stand_in(&name))
        },
        |(prefix, short)| (prefix, Cow::Borrowed(short)),
    );
    let target = if target.is_ascii() && target.len() <= NAME {
        Cow::Borrowed(target.as_bytes())
    } else {
        records.insert("linkpath", target.as_bytes().to_vec());
        stand_in(target)
    };
    let mut number = |key: &'static str, value: u64, most: u64| {
        if value <= most {
            return value;
        }
        records.insert(key, value.to_string().into_bytes());
        0
    };
    let uid = number("uid", entry.uid.into(), MOST_ID.into());
    let gid = number("gid", entry.gid.into(), MOST_ID.into());
    let size = number("size", size, MOST_SIZE);
    if entry.capabilities != 0 {
        records.insert(CAPABILITY, capabilities(entry.capabilities));
    }
    if !records.is_empty() {
        extended(&records, out);
    }
    out.extend_from_slice(&block(&Fields { prefix, name: &short, mode, uid, gid, size, kind, target: &target }));
    Ok(())
}

/// How many zero bytes follow a content of `size` bytes.
pub fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// Refuses what an earlier stage must have refused: a layer is unpacked with the rights of root.
fn check(path: &str, entry: &Entry, mode: u16) -> Result<()> {
    let wrong = |why: &str| Err(Error::bug(format!("packing the entry `{}`: {why}", path.escape_debug())));
    if path.contains('\0') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return wrong("its path is not in the canonical form");
    }
    if matches!(&entry.body, Body::Link(target) if target.is_empty() || target.contains('\0')) {
        return wrong("its target is empty or holds a NUL byte");
    }
    if entry.capabilities != 0 && !matches!(entry.body, Body::File(_)) {
        return wrong("only a file can have capabilities");
    }
    if mode > 0o7777 {
        return wrong("its mode has more than twelve bits");
    }
    Ok(())
}

/// The fields `prefix` and `name` of a path that needs no PAX record: all in `name`, or split at the last `/` that leaves
/// a prefix of at most 155 bytes and a name that is not empty.
fn split(path: &str) -> Option<(&[u8], &[u8])> {
    let bytes = path.as_bytes();
    if !path.is_ascii() {
        return None;
    }
    if bytes.len() <= NAME {
        return Some((&[], bytes));
    }
    let at = bytes.iter().take(PREFIX + 1).take(bytes.len() - 1).rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (bytes.get(..at)?, bytes.get(at + 1..)?);
    (name.len() <= NAME).then_some((prefix, name))
}

/// What a field holds when a PAX record says the truth: each byte over 0x7f as `_`, at most 100 bytes.
fn stand_in(text: &str) -> Cow<'static, [u8]> {
    text.bytes().map(|byte| if byte.is_ascii() { byte } else { b'_' }).take(NAME).collect()
}

/// The xattr's value: magic, permitted (low), inheritable (low), permitted (high), inheritable (high), all little-endian.
fn capabilities(permitted: u64) -> Vec<u8> {
    let words = [CAPABILITY_MAGIC, permitted as u32, 0, (permitted >> 32) as u32, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Appends a PAX header with its records, padded to whole blocks.
fn extended(records: &BTreeMap<&str, Vec<u8>>, out: &mut Vec<u8>) {
    let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    let size = body.len() as u64;
    out.extend_from_slice(&block(&Fields {
        prefix: &[],
        name: PAX_NAME,
        mode: PAX_MODE,
        uid: 0,
        gid: 0,
        size,
        kind: b'x',
        target: &[],
    }));
    out.extend(body);
    out.resize(out.len() + padding(size), 0);
}

/// One record, `LENGTH KEY=VALUE\n`, whose length counts its own digits (POSIX pax, "Extended Header").
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend(value);
    record.push(b'\n');
    record
}

struct Fields<'a> {
    prefix: &'a [u8],
    name: &'a [u8],
    mode: u16,
    uid: u64,
    gid: u64,
    size: u64,
    kind: u8,
    target: &'a [u8],
}

/// One header block (POSIX ustar, "ustar Interchange Format"), its fields one after the other.
fn block(fields: &Fields) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    let mut rest = Rest(&mut bytes);
    rest.text(fields.name, NAME);
    rest.octal(fields.mode.into(), 7);
    rest.octal(fields.uid, 7);
    rest.octal(fields.gid, 7);
    rest.octal(fields.size, 11);
    rest.octal(MODIFIED, 11);
    let checksum = BLOCK - rest.0.len();
    rest.text(b"        ", CHECKSUM);
    rest.text(&[fields.kind], 1);
    rest.text(fields.target, NAME);
    rest.text(b"ustar\x0000", 8);
    rest.text(b"", 64);
    rest.octal(0, 7);
    rest.octal(0, 7);
    rest.text(fields.prefix, PREFIX);
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    // Six digits and a NUL; the space behind them is there.
    Rest(&mut bytes[checksum..]).octal(sum, CHECKSUM - 2);
    bytes
}

/// The part of a header block that is not written yet: zeros.
struct Rest<'a>(&'a mut [u8]);

impl<'a> Rest<'a> {
    /// The next field.
    fn field(&mut self, width: usize) -> &'a mut [u8] {
        let (field, rest) = std::mem::take(&mut self.0).split_at_mut(width);
        self.0 = rest;
        field
    }

    /// Writes a text of at most `width` bytes, filled up with zeros.
    fn text(&mut self, text: &[u8], width: usize) {
        self.field(width)[..text.len()].copy_from_slice(text);
    }

    /// Writes a number, which must fit, in `digits` octal digits and a NUL.
    fn octal(&mut self, number: u64, digits: usize) {
        for (at, byte) in self.field(digits + 1).iter_mut().rev().enumerate() {
            *byte = at.checked_sub(1).map_or(0, |at| b'0' + (number >> (3 * at) & 7) as u8);
        }
    }
}
