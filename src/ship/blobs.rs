//! Stage 9: the bytes of an artifact. A descriptor in, an open file of the store out, verified or to be verified while it is read; layers of
//! a base, and blobs of an image that is somewhere else, are fetched when they are asked for, and own layers that are only known are made
//! then.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::temporary::Temporary;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::image::{Artifact, Document};
use crate::layer::Recipes;
use crate::oci::{Descriptor, Digest, Repository};
use crate::plan;
use crate::source;
use crate::store::{Seen, Store};

/// Where each blob is: in the store, in the base that it came with, where an image was opened, or in files that it can be made of.
#[derive(Clone, Default)]
pub struct Blobs {
    bases: BTreeMap<Digest, Arc<source::Base>>,
    image: Option<Arc<source::Image>>,
    own: Recipes,
}

/// How many bytes are copied at once; a blob of less is copied by one thread.
const PIECE: usize = 256 << 10;
/// Pieces on their way from who copies to who sums them up.
const PIECES: usize = 4;

/// A blob to send.
#[derive(Clone, Debug)]
pub struct Blob {
    /// As it stands in the document above it.
    pub descriptor: Descriptor,
    /// Its bytes, if they are a small document; else they are in the store or in a base.
    pub bytes: Option<Vec<u8>>,
}

impl Blobs {
    /// The blobs of an artifact whose images stand on these bases, in their order.
    pub fn new(artifact: &Artifact, bases: &[Arc<source::Base>]) -> Blobs {
        let mut known = BTreeMap::new();
        for (image, base) in artifact.images.iter().zip(bases) {
            for layer in image.layers.iter().filter(|layer| layer.name.is_none()) {
                known.insert(layer.descriptor.digest, base.clone());
            }
        }
        Blobs { bases: known, ..Blobs::default() }
    }

    /// The same, with ways to make own layers that the store lacks.
    pub fn with(self, own: Recipes) -> Blobs {
        Blobs { own, ..self }
    }

    /// The blobs of an image that was opened somewhere.
    pub fn of(image: &Arc<source::Image>) -> Blobs {
        Blobs { image: Some(image.clone()), ..Blobs::default() }
    }

    /// Whether a blob may have to be fetched or made first.
    pub fn is_elsewhere(&self, digest: &Digest) -> bool {
        self.bases.contains_key(digest) || self.image.is_some() || self.own.lacks(digest)
    }

    /// Makes every own layer that the store lacks, for who reads them there.
    pub async fn make_own(&self, ctx: &Ctx) -> Result<()> {
        for digest in self.own.lacking() {
            self.own.make(ctx, &digest).await?;
        }
        Ok(())
    }

    /// A repository that holds the blob.
    pub fn holder(&self, digest: &Digest) -> Option<&Repository> {
        match self.bases.get(digest).map(|base| &base.reference) {
            Some(plan::Base::Registry(pinned)) => Some(&pinned.repository),
            Some(_) => None,
            None => self.image.as_ref().and_then(|image| image.holder(digest)),
        }
    }

    /// Whether a blob may be left where its `urls` lead, because the image's own registry does not hold it either.
    pub async fn is_foreign(&self, ctx: &Ctx, descriptor: &Descriptor) -> Result<bool> {
        let urls =
            descriptor.rest.get("urls").and_then(serde_json::Value::as_array).is_some_and(|urls| !urls.is_empty());
        match &self.image {
            Some(image) if urls => Ok(!source::has(ctx, image, descriptor).await?),
            _ => Ok(false),
        }
    }

    /// An open file of the store that is called as the blob is and has its size. Its bytes are not read for that, and nothing is fetched or made.
    pub async fn find(&self, ctx: &Ctx, descriptor: &Descriptor) -> Result<Option<File>> {
        let (store, digest, size) = (ctx.store.clone(), descriptor.digest, descriptor.size);
        let found = tokio::task::spawn_blocking(move || store.find(&digest)).await;
        let found = found.map_err(|cause| Error::bug("a thread broke down").because(cause))??;
        Ok(found.filter(|(_, found)| *found == size).map(|(file, _)| file))
    }

    /// An open file of the store with the blob's bytes, verified.
    pub async fn open(&self, ctx: &Ctx, descriptor: &Descriptor) -> Result<File> {
        if let Some(base) = self.bases.get(&descriptor.digest) {
            source::fetch(ctx, base, descriptor).await?;
        } else if let Some(image) = &self.image {
            source::fetch_from(ctx, image, descriptor).await?;
        }
        let digest = descriptor.digest;
        if let Some(file) = stored(ctx, &digest).await? {
            return Ok(file);
        }
        let made = self.own.make(ctx, &digest).await?;
        match if made { stored(ctx, &digest).await? } else { None } {
            Some(file) => Ok(file),
            None => {
                Err(Error::local(format!("the layer {digest} has gone from the store")).hint("run the build again"))
            }
        }
    }
}

async fn stored(ctx: &Ctx, digest: &Digest) -> Result<Option<File>> {
    let (store, digest) = (ctx.store.clone(), *digest);
    let opened = tokio::task::spawn_blocking(move || store.open(&digest)).await;
    let opened = opened.map_err(|cause| Error::bug("a thread broke down").because(cause))??;
    Ok(opened.map(|(file, _)| file))
}

/// A reader that fails at the end unless it gave exactly the descriptor's bytes: a disk may change them after they were verified.
pub struct Checked<R> {
    inner: R,
    descriptor: Descriptor,
    hasher: Sha256,
    read: u64,
}

/// Wraps a reader of the descriptor's bytes.
pub fn checked<R>(inner: R, descriptor: &Descriptor) -> Checked<R> {
    Checked { inner, descriptor: descriptor.clone(), hasher: Sha256::new(), read: 0 }
}

impl<R> Checked<R> {
    /// How many bytes were taken.
    pub fn taken(&self) -> u64 {
        self.read
    }

    /// Takes the next bytes; none at the end. Fails with [`io::ErrorKind::InvalidData`] if they are not the descriptor's.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.read += bytes.len() as u64;
        let Descriptor { digest, size, .. } = &self.descriptor;
        let whole = || self.read == *size && Digest::finish(self.hasher.clone()) == *digest;
        if self.read > *size || bytes.is_empty() && !whole() {
            let what = format!("the stored blob {digest} is damaged, or changed while it was read");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(())
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if !buffer.is_empty() {
            self.take(&buffer[..count])?;
        }
        Ok(count)
    }
}

/// Copies a blob of the store, and fails with [`io::ErrorKind::InvalidData`] unless its bytes are the descriptor's. The system copies what is
/// known to be right, unless that looks changed afterwards; of any other the digest is taken on the way.
pub fn copy_stored(store: &Store, mut source: File, descriptor: &Descriptor, target: &mut Temporary) -> io::Result<()> {
    let is_right = |source: &File| store.is_unchanged(&descriptor.digest, source);
    if is_right(&source) && io::copy(&mut source, target.start()?)? == descriptor.size && is_right(&source) {
        return Ok(());
    }
    let seen = Seen::of(&source)?;
    source.rewind()?;
    target.start()?;
    copy(&source, descriptor, target)?;
    store.proved(&descriptor.digest, &source, seen);
    Ok(())
}

/// Copies the descriptor's bytes, and fails at the end unless they were these. A large blob is summed up beside the copying.
pub fn copy(mut source: impl Read, descriptor: &Descriptor, target: &mut impl Write) -> io::Result<()> {
    if descriptor.size < PIECE as u64 {
        return io::copy(&mut checked(source, descriptor), target).map(drop);
    }
    let mut check = checked((), descriptor);
    thread::scope(|scope| {
        let (to_sum, pieces) = sync_channel::<Vec<u8>>(PIECES);
        let (to_fill, free) = sync_channel(PIECES);
        let summing = thread::Builder::new().spawn_scoped(scope, move || {
            for piece in pieces {
                check.take(&piece)?;
                // Who copies may have ended already.
                let _ = to_fill.send(piece);
            }
            check.take(&[])
        })?;
        let copied = pass(&mut source, target, &to_sum, &free);
        drop(to_sum);
        let summed = summing.join().unwrap_or_else(|_| Err(io::Error::other("a thread broke down")));
        copied.and(summed)
    })
}

/// Copies piece by piece and hands each on; it ends early where nobody takes them, who then says why.
fn pass(
    source: &mut impl Read,
    target: &mut impl Write,
    next: &SyncSender<Vec<u8>>,
    free: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut fresh = (0..PIECES).map(|_| Vec::with_capacity(PIECE));
    while let Some(mut piece) = fresh.next().or_else(|| free.recv().ok()) {
        piece.clear();
        source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        target.write_all(&piece)?;
        if next.send(piece).is_err() {
            break;
        }
    }
    Ok(())
}

/// Every blob of an artifact once, children before parents: layers, configs, then manifests, then the index.
pub fn all(artifact: &Artifact) -> Vec<Blob> {
    let mut blobs: Vec<Blob> = Vec::new();
    let mut add = |descriptor: &Descriptor, bytes: Option<&Vec<u8>>| {
        if !blobs.iter().any(|known| known.descriptor.digest == descriptor.digest) {
            blobs.push(Blob { descriptor: descriptor.clone(), bytes: bytes.cloned() });
        }
    };
    for image in &artifact.images {
        image.layers.iter().for_each(|layer| add(&layer.descriptor, None));
    }
    let documents = |document: &Document| (document.descriptor.clone(), document.bytes.clone());
    let configs = artifact.images.iter().map(|image| documents(&image.config));
    let manifests = artifact.images.iter().map(|image| documents(&image.manifest));
    for (descriptor, bytes) in configs.chain(manifests).chain([documents(&artifact.root)]) {
        add(&descriptor, Some(&bytes));
    }
    blobs
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::event;
    use crate::ship::temporary;
    use crate::store::Memory;

    #[test]
    fn a_large_blob_is_copied_whole_and_checked() {
        let bytes: Vec<u8> = (0..9 * PIECE as u32 / 2).map(|at| (at / 7) as u8).collect();
        let descriptor = Descriptor::of("x", &bytes);
        let mut target = Vec::new();
        copy(&bytes[..], &descriptor, &mut target).unwrap();
        assert!(target == bytes);
        let mut other = bytes.clone();
        other[PIECE] ^= 1;
        for wrong in [&bytes[1..], &other, &[&bytes[..], b"x"].concat(), b""] {
            assert!(copy(wrong, &descriptor, &mut io::sink()).is_err());
        }
        let mut small = [0; PIECE + 1];
        assert!(copy(&bytes[..], &descriptor, &mut &mut small[..]).is_err(), "a target that is full");
    }

    #[test]
    fn a_stored_blob_is_copied_by_its_looks_or_by_its_bytes() {
        let room = tempfile::tempdir().unwrap();
        let store = Store::new(room.path(), Memory::Full, event::nowhere());
        let bytes: Vec<u8> = (0..9 * PIECE as u32 / 2).map(|at| (at / 7) as u8).collect();
        let descriptor = Descriptor::of("x", &bytes);
        let place = room.path().join("target");
        let copied = |source, descriptor: &Descriptor| {
            let mut target = temporary::file(&place).unwrap();
            // What stood there before is not left behind it.
            target.write_all(&vec![7; bytes.len() + 9]).unwrap();
            copy_stored(&store, source, descriptor, &mut target)?;
            target.publish().unwrap();
            io::Result::Ok(fs::read(&place).unwrap() == bytes)
        };
        let path = || room.path().join("v1/blobs/sha256").join(descriptor.digest.hex());
        store.put(&bytes).unwrap();
        let open = || store.open(&descriptor.digest).unwrap().unwrap().0;
        assert!(copied(open(), &descriptor).unwrap());
        // What is known to be right is not read for that.
        let lie = Descriptor { digest: Digest::of(b"another"), ..descriptor.clone() };
        store.proved(&lie.digest, &open(), Seen::of(&open()).unwrap());
        assert!(copied(open(), &lie).unwrap());
        let careful = Store::new(room.path(), Memory::Careful, event::nowhere());
        careful.proved(&lie.digest, &open(), Seen::of(&open()).unwrap());
        let mut target = temporary::file(&place).unwrap();
        assert!(copy_stored(&careful, open(), &lie, &mut target).is_err(), "`--paranoid` hashes it");
        // By another process, which hashes it on the way, once.
        let other = Store::new(room.path(), Memory::Full, event::nowhere());
        let (source, _) = other.find(&descriptor.digest).unwrap().unwrap();
        assert!(!other.is_unchanged(&descriptor.digest, &source));
        let mut target = temporary::file(&place).unwrap();
        copy_stored(&other, source.try_clone().unwrap(), &descriptor, &mut target).unwrap();
        target.publish().unwrap();
        assert!(fs::read(&place).unwrap() == bytes && other.is_unchanged(&descriptor.digest, &source));
        // The same bytes, which this process does not know by their looks.
        let source = open();
        fs::remove_file(path()).unwrap();
        assert!(!store.is_unchanged(&descriptor.digest, &source));
        assert!(copied(source, &descriptor).unwrap());
        store.put(&bytes).unwrap();
        let source = open();
        let mut other = bytes.clone();
        other[PIECE] ^= 1;
        for wrong in [other.as_slice(), &bytes[1..], b""] {
            fs::write(path(), wrong).unwrap();
            File::open(path()).unwrap().set_times(fs::FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
            assert!(copied(source.try_clone().unwrap(), &descriptor).is_err());
        }
    }

    #[test]
    fn other_bytes_than_named_are_noticed() {
        let descriptor = Descriptor::of("x", b"hello");
        let read = |bytes: &'static [u8]| io::copy(&mut checked(bytes, &descriptor), &mut io::sink());
        assert_eq!(read(b"hello").unwrap(), 5);
        for wrong in [&b"hell"[..], b"hellp", b"hello, world", b""] {
            assert!(read(wrong).is_err());
        }
    }
}
