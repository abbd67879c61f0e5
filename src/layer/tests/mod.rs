//! Stage 6: what packing promises, on trees in temporary directories.

mod headers;
mod pipeline;
mod reuse;
mod sources;
mod twins;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::known::Known;
use super::listing::Listing;
use super::pack::{PackError, Packed, pack, run};
use super::pipe::Pipe;
use super::read;
use super::tree::{Body, Content, Disk, Entry, Mode, Tree};
use super::twins::Twinned;
use crate::ctx::Ctx;
use crate::event::{self, Cancel};
use crate::oci::media::{Compression, Encoding};
use crate::registry::{Client, Settings};
use crate::store::{Memory, Store};

pub const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

/// A store of its own.
pub struct Home(#[allow(dead_code, reason = "removes the directory")] tempfile::TempDir, pub Store);

pub fn home() -> Home {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path(), Memory::Full, event::nowhere());
    Home(directory, store)
}

impl Home {
    /// Whether nothing was published and nothing was left.
    pub fn is_empty(&self) -> bool {
        let count = |below: &str| fs::read_dir(self.1.root().join(below)).map_or(0, |entries| entries.count());
        count("blobs/sha256") == 0 && count("tmp") == 0
    }
}

pub fn entry(body: Body, mode: u16) -> Entry {
    Entry { body, mode: Mode::Fixed(mode), uid: 0, gid: 0, capabilities: 0, item: 0 }
}

pub fn inline(bytes: &[u8]) -> Entry {
    entry(Body::File(Content::Inline(bytes.into())), 0o644)
}

pub fn directory() -> Entry {
    entry(Body::Directory, 0o755)
}

pub fn link(target: &str) -> Entry {
    entry(Body::Link(target.into()), 0o777)
}

/// A file of this machine, as a listing would name it.
pub fn disk(path: &Path) -> Entry {
    let seen = read::seen(&path.symlink_metadata().unwrap());
    entry(Body::File(Content::Disk(Disk::new(Arc::new(Listing::file(path, seen)), 0))), 0o644)
}

pub fn tree<const N: usize>(entries: [(&str, Entry); N]) -> Tree {
    entries.into_iter().map(|(path, entry)| (path.to_string(), entry)).collect()
}

/// Bytes that do not compress, and the same ones for one seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// Bytes that compress as text does, and the same ones for one seed.
pub fn prose(seed: u64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["layer ", "digest ", "of ", "the ", "manifest ", "index\n", "a ", "config, "];
    let words = noise(seed, length / 2).into_iter().flat_map(|byte| WORDS[usize::from(byte) % 8].bytes());
    words.take(length).collect()
}

pub fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

pub fn try_pack<'a>(
    tree: impl Into<Twinned<'a>>,
    compression: impl Into<Encoding>,
    home: &Home,
) -> Result<Packed, PackError> {
    pack(tree, compression.into(), &home.1, threads(2), &Cancel::default(), &|_| (), &Known::default())
}

/// Packs and returns the blob's bytes too.
pub fn blob<'a>(tree: impl Into<Twinned<'a>>, compression: impl Into<Encoding>) -> (Packed, Vec<u8>) {
    let home = home();
    let packed = try_pack(tree, compression, &home).unwrap();
    let bytes = home.1.read(&packed.descriptor.digest, 1 << 30).unwrap().unwrap();
    assert_eq!(bytes.len() as u64, packed.descriptor.size);
    (packed, bytes)
}

/// What a function of the stage needs that may touch the world.
pub fn ctx(home: &Path) -> Ctx {
    let client = Client::new(Settings::default(), event::nowhere(), Cancel::default());
    Ctx::test(home, client.unwrap())
}

/// The plain tar of a tree.
pub fn plain(tree: &Tree) -> Vec<u8> {
    blob(tree, Compression::None).1
}

/// Packs with a pipeline of the test's own making.
pub fn run_with<'a>(tree: &Tree, home: &'a Home, change: impl FnOnce(&mut Pipe<'a>)) -> Result<Packed, PackError> {
    let cancel: &'static Cancel = Box::leak(Box::default());
    let known: &'static Known = Box::leak(Box::default());
    let (compression, store) = (Compression::Gzip.into(), &home.1);
    let mut pipe = Pipe { compression, store, threads: 2, cancel, progress: &|_| (), known, reuse: None, damage: None };
    change(&mut pipe);
    Ok(run(&tree.into(), &pipe)?.0)
}
