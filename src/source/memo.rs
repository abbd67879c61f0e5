//! Stage 5: a layer's listing as bytes, so that the layer is read once. A listing in, compact bytes out, and back. Pure.
//!
//! Numbers are LEB128; each path begins with how much it shares with the one before it. Bytes that are no listing give `None`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::oci::{DiffId, Digest};
use crate::source::index::Kind;
use crate::source::list::{Item, Listing, Name, Told, What};

pub mod told;

/// The kind under which the store remembers a listing, by the digest of the layer's blob; a new form is a new kind.
pub const KIND: &str = "layer-files-3";

/// A listing as bytes.
pub fn write(listing: &Listing) -> Vec<u8> {
    let mut out = Out::default();
    out.bytes(listing.diff_id.to_string().as_bytes());
    out.number(listing.size);
    out.number(listing.items.len() as u64);
    for (path, item) in &listing.items {
        out.path(path);
        match &item.what {
            What::Known(Kind::File { size }) => {
                out.number(0);
                out.number(*size);
            }
            What::Known(Kind::Directory) => out.number(1),
            What::Known(Kind::Link(target)) => {
                out.number(2);
                out.bytes(target);
            }
            What::Known(Kind::Other) => out.number(3),
            What::Implied => out.number(4),
            What::Lower(target) => {
                out.number(5);
                out.bytes(target);
            }
        }
        for number in [item.mode.into(), item.uid, item.gid] {
            out.number(number.into());
        }
        out.number(item.start.map_or(0, |start| start + 1));
    }
    for paths in [&listing.whiteouts, &listing.opaque] {
        out.number(paths.len() as u64);
        paths.iter().for_each(|path| out.path(path));
    }
    out.number(listing.texts.len() as u64);
    for (path, text) in &listing.texts {
        out.path(path);
        out.bytes(text);
    }
    told::write(&mut out, &listing.told);
    out.bytes
}

/// The listing that these bytes are, all of them.
pub fn read(bytes: &[u8]) -> Option<Listing> {
    let mut input = In::new(bytes);
    let diff_id: Digest = std::str::from_utf8(input.bytes()?).ok()?.parse().ok()?;
    let size = input.number()?;
    let mut items = BTreeMap::new();
    for _ in 0..input.number()? {
        let path = input.path()?;
        let what = match input.number()? {
            0 => What::Known(Kind::File { size: input.number()? }),
            1 => What::Known(Kind::Directory),
            2 => What::Known(Kind::Link(input.bytes()?.into())),
            3 => What::Known(Kind::Other),
            4 => What::Implied,
            5 => What::Lower(input.bytes()?.into()),
            _ => return None,
        };
        let mode = input.number()?.try_into().ok()?;
        let (uid, gid) = (input.number()?.try_into().ok()?, input.number()?.try_into().ok()?);
        let start = input.number()?.checked_sub(1);
        items.insert(path, Item { what, mode, uid, gid, start });
    }
    let mut paths = || -> Option<BTreeSet<Name>> { (0..input.number()?).map(|_| input.path()).collect() };
    let (whiteouts, opaque) = (paths()?, paths()?);
    let mut texts = BTreeMap::new();
    for _ in 0..input.number()? {
        texts.insert(input.path()?, input.bytes()?.to_vec());
    }
    let told: Arc<Told> = Arc::new(told::read(&mut input)?);
    let listing = Listing { diff_id: DiffId(diff_id), size, items, whiteouts, opaque, texts, told };
    input.rest.is_empty().then_some(listing)
}

/// Numbers, texts and paths on their way into bytes.
#[derive(Default)]
pub struct Out {
    /// What was written so far.
    pub bytes: Vec<u8>,
    last: Vec<u8>,
}

impl Out {
    /// Appends a number.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Appends bytes, behind their count.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a path, which may begin as the last one did.
    pub fn path(&mut self, path: &[u8]) {
        let shared = path.iter().zip(&self.last).take_while(|(one, other)| one == other).count();
        self.number(shared as u64);
        self.bytes(path.get(shared..).unwrap_or_default());
        path.clone_into(&mut self.last);
    }
}

/// The same on their way back; each call gives `None` where the bytes do not fit.
pub struct In<'a> {
    /// What is still to be read.
    pub rest: &'a [u8],
    last: Vec<u8>,
}

impl<'a> In<'a> {
    /// The bytes, none of them read yet.
    pub fn new(bytes: &'a [u8]) -> In<'a> {
        In { rest: bytes, last: Vec::new() }
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The next bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// The next path.
    pub fn path(&mut self) -> Option<Name> {
        let shared = usize::try_from(self.number()?).ok()?;
        let tail = self.bytes()?;
        let path = [self.last.get(..shared)?, tail].concat();
        self.last.clone_from(&path);
        Some(path.into())
    }
}
