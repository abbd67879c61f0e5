//! Stage 5: what was seen in a layer as bytes, so that the layer is read once. A value in, compact bytes out, and back. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Attribute, Body, Content, Held, Inside};
use crate::oci::{DiffId, Digest};
use crate::source::list::Name;
use crate::source::memo::{In, Out};

/// The kind under which the store remembers it, by the digest of the layer's blob; a new form is a new kind.
pub const KIND: &str = "layer-inside-1";

/// The value as bytes.
pub fn write(inside: &Inside) -> Vec<u8> {
    let mut out = Out::default();
    out.bytes(inside.diff_id.to_string().as_bytes());
    out.number(inside.size);
    out.number(inside.held.len() as u64);
    for (path, held) in &inside.held {
        out.path(path);
        one(&mut out, held);
    }
    for paths in [&inside.whiteouts, &inside.opaque] {
        out.number(paths.len() as u64);
        paths.iter().for_each(|path| out.path(path));
    }
    out.bytes
}

fn one(out: &mut Out, held: &Held) {
    match &held.body {
        Body::File(content) => {
            out.number(u64::from(content.sparse));
            out.number(content.size);
            out.bytes(content.digest.bytes());
            out.bytes(content.twin.as_deref().unwrap_or_default());
        }
        Body::Directory => out.number(2),
        Body::Implied => out.number(3),
        Body::Link(target) => {
            out.number(4);
            out.bytes(target);
        }
        Body::Lower(target) => {
            out.number(5);
            out.bytes(target);
        }
        Body::Character(major, minor) => [6, *major, *minor].iter().for_each(|part| out.number((*part).into())),
        Body::Block(major, minor) => [7, *major, *minor].iter().for_each(|part| out.number((*part).into())),
        Body::Fifo => out.number(8),
    }
    for number in [held.mode.into(), held.uid, held.gid] {
        out.number(number.into());
    }
    out.number(u64::from(held.modified.is_some()));
    if let Some((seconds, nanos)) = held.modified {
        out.number(seconds as u64);
        out.number(nanos.into());
    }
    out.number(held.xattrs.len() as u64);
    for (name, value) in &held.xattrs {
        out.bytes(name);
        match value {
            Attribute::Value(value) => {
                out.number(0);
                out.bytes(value);
            }
            Attribute::Digest(digest) => {
                out.number(1);
                out.bytes(digest.bytes());
            }
        }
    }
}

/// The value that these bytes are, all of them.
pub fn read(bytes: &[u8]) -> Option<Inside> {
    let mut input = In::new(bytes);
    let diff_id: Digest = std::str::from_utf8(input.bytes()?).ok()?.parse().ok()?;
    let size = input.number()?;
    let mut held = BTreeMap::new();
    for _ in 0..input.number()? {
        let path = input.path()?;
        held.insert(path, entry(&mut input)?);
    }
    let mut paths = || -> Option<BTreeSet<Name>> { (0..input.number()?).map(|_| input.path()).collect() };
    let (whiteouts, opaque) = (paths()?, paths()?);
    input.rest.is_empty().then_some(Inside { diff_id: DiffId(diff_id), size, held, whiteouts, opaque })
}

fn entry(input: &mut In<'_>) -> Option<Held> {
    let body = match input.number()? {
        sparse @ (0 | 1) => {
            let (size, digest, twin) = (input.number()?, digest(input)?, input.bytes()?);
            let twin = (!twin.is_empty()).then(|| twin.into());
            Body::File(Content { size, digest, sparse: sparse == 1, twin })
        }
        2 => Body::Directory,
        3 => Body::Implied,
        4 => Body::Link(input.bytes()?.into()),
        5 => Body::Lower(input.bytes()?.into()),
        6 => Body::Character(short(input)?, short(input)?),
        7 => Body::Block(short(input)?, short(input)?),
        8 => Body::Fifo,
        _ => return None,
    };
    let mode = input.number()?.try_into().ok()?;
    let (uid, gid) = (short(input)?, short(input)?);
    let modified = match input.number()? {
        0 => None,
        _ => Some((input.number()? as i64, short(input)?)),
    };
    let mut xattrs = BTreeMap::new();
    for _ in 0..input.number()? {
        let name = input.bytes()?.into();
        let value = match input.number()? {
            0 => Attribute::Value(input.bytes()?.into()),
            _ => Attribute::Digest(digest(input)?),
        };
        xattrs.insert(name, value);
    }
    Some(Held { body, mode, uid, gid, modified, xattrs })
}

fn short(input: &mut In<'_>) -> Option<u32> {
    input.number()?.try_into().ok()
}

fn digest(input: &mut In<'_>) -> Option<Digest> {
    Digest::from_bytes(input.bytes()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let held =
            |body, modified| Held { body, mode: 0o4755, uid: 7, gid: u32::MAX, modified, xattrs: BTreeMap::new() };
        let content = |sparse, twin: Option<&[u8]>| {
            Body::File(Content { size: u64::MAX, digest: Digest::of(b"x"), sparse, twin: twin.map(Into::into) })
        };
        let bodies = [
            content(false, None),
            content(true, Some(b"twin\xff")),
            Body::Directory,
            Body::Implied,
            Body::Link(b"../x"[..].into()),
            Body::Lower(b"low"[..].into()),
            Body::Character(1, 3),
            Body::Block(8, 0),
            Body::Fifo,
        ];
        let times = [None, Some((0, 0)), Some((-5, 999_999_999)), Some((i64::MAX, 1))];
        let mut all: BTreeMap<Name, Held> = BTreeMap::new();
        for (at, body) in bodies.into_iter().enumerate() {
            all.insert(format!("path/{at}").into_bytes().into(), held(body, times[at % times.len()]));
        }
        let attributes = [
            (b"user.a"[..].into(), Attribute::Value(b"\0\x01"[..].into())),
            (b"user.b"[..].into(), Attribute::Digest(Digest::of(b"long"))),
        ];
        all.get_mut(&b"path/0"[..]).unwrap().xattrs = attributes.into();
        let inside = Inside {
            diff_id: DiffId(Digest::of(b"tar")),
            size: 10_240,
            held: all,
            whiteouts: [b"gone"[..].into()].into(),
            opaque: [b""[..].into(), b"dir"[..].into()].into(),
        };
        let bytes = write(&inside);
        assert_eq!(read(&bytes), Some(inside));
        (0..bytes.len()).for_each(|cut| assert_eq!(read(&bytes[..cut]), None, "{cut}"));
        assert_eq!(read(&[&bytes[..], b"\0"].concat()), None);
    }
}
