//! Stage 5: the blobs of a base. A descriptor in, a verified blob in the store afterwards. The store is asked first, so that what is
//! there needs no network; then the registry, the layout or the archive that the base is in.

use std::io::{self, Read, Write};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Document, document};
use crate::plan;
use crate::registry::Which;
use crate::source::Base;
use crate::source::local::{self, Blob};
use crate::store::{Draft, Store};

/// Makes sure that a blob of the base is in the store, whole and of the descriptor's size.
pub async fn fetch(ctx: &Ctx, base: &Base, descriptor: &Descriptor) -> Result<()> {
    blob(ctx, &base.reference, descriptor).await
}

/// As [`fetch`], for a base that is not known yet.
pub(super) async fn blob(ctx: &Ctx, reference: &plan::Base, descriptor: &Descriptor) -> Result<()> {
    if stored(ctx, descriptor).await? {
        return Ok(());
    }
    let what = format!("the blob {} of `{reference}`", descriptor.digest.short());
    let (store, digest, name) = (ctx.store.clone(), descriptor.digest, what.clone());
    let _turn = blocking(move || Ok(store.turn(&name, &digest))).await?;
    if stored(ctx, descriptor).await? {
        return Ok(());
    }
    if !matches!(reference, plan::Base::Registry(_)) {
        return bring(ctx, reference, descriptor, what).await;
    }
    if !ctx.store.bring(&descriptor.digest, Some(descriptor.size)).await? {
        bring(ctx, reference, descriptor, what).await?;
        ctx.store.offer(&descriptor.digest).await;
    }
    Ok(())
}

/// Reads a blob from where the base is, whatever the store holds, and puts it there if its bytes are right.
pub(super) async fn again(ctx: &Ctx, reference: &plan::Base, descriptor: &Descriptor) -> Result<()> {
    let what = format!("the blob {} of `{reference}`", descriptor.digest.short());
    bring(ctx, reference, descriptor, what).await
}

/// The same for a document.
pub(super) async fn document_again(ctx: &Ctx, reference: &plan::Base, descriptor: &Descriptor) -> Result<()> {
    let what = format!("the manifest {} of `{reference}`", descriptor.digest);
    let (bytes, _) = outside(ctx, reference, &descriptor.digest, &what).await?;
    match Digest::of(&bytes) {
        found if found != descriptor.digest => {
            Err(Error::remote(format!("{what} has other bytes: their digest is {found}")))
        }
        _ if bytes.len() as u64 != descriptor.size => Err(sizes(&what, descriptor.size, bytes.len() as u64)),
        _ => Ok(()),
    }
}

async fn bring(ctx: &Ctx, reference: &plan::Base, descriptor: &Descriptor, what: String) -> Result<()> {
    ctx.cancel.check()?;
    match reference {
        plan::Base::Scratch => Err(Error::bug("`scratch` was asked for a blob")),
        plan::Base::Registry(pinned) => {
            let store = ctx.store.clone();
            let mut sink = Bounded { draft: blocking(move || store.draft()).await?, left: descriptor.size };
            ctx.registries.blob(&pinned.repository, descriptor, &mut sink).await?;
            let descriptor = descriptor.clone();
            blocking(move || finish(sink, &descriptor, &what)).await
        }
        plan::Base::Layout(_) | plan::Base::Archive(_) => {
            let (store, reference, descriptor) = (ctx.store.clone(), reference.clone(), descriptor.clone());
            blocking(move || copy(&store, &reference, &descriptor, &what)).await
        }
    }
}

/// Whether the store holds a blob, whole and of the descriptor's size.
pub(super) async fn stored(ctx: &Ctx, descriptor: &Descriptor) -> Result<bool> {
    let (store, digest, size) = (ctx.store.clone(), descriptor.digest, descriptor.size);
    blocking(move || match store.open(&digest)? {
        None => Ok(false),
        Some((_, found)) if found == size => Ok(true),
        Some((_, found)) => Err(sizes(&format!("the blob {digest}"), size, found)),
    })
    .await
}

/// Copies a blob of a layout or an archive into the store.
fn copy(store: &Store, reference: &plan::Base, descriptor: &Descriptor, what: &str) -> Result<()> {
    let mut blob = open(reference, &descriptor.digest)?;
    if blob.size != descriptor.size {
        return Err(sizes(what, descriptor.size, blob.size));
    }
    let mut sink = Bounded { draft: store.draft()?, left: descriptor.size };
    io::copy(&mut blob.bytes, &mut sink).map_err(|cause| Error::io(format!("copying {what} into the store"), cause))?;
    finish(sink, descriptor, what)
}

fn open(reference: &plan::Base, digest: &Digest) -> Result<Blob> {
    match reference {
        plan::Base::Layout(place) => local::layout(place, digest),
        plan::Base::Archive(place) => local::archive(place, digest),
        plan::Base::Scratch | plan::Base::Registry(_) => {
            Err(Error::bug(format!("`{reference}` is not on this machine")))
        }
    }
}

/// Publishes a blob that must be exactly the descriptor's.
pub(super) fn finish(sink: Bounded, descriptor: &Descriptor, what: &str) -> Result<()> {
    if sink.left > 0 {
        return Err(sizes(what, descriptor.size, sink.draft.size()));
    }
    sink.draft.finish(Some(&descriptor.digest)).map_err(|error| error.context(format!("fetching {what}")))?;
    Ok(())
}

fn sizes(what: &str, described: u64, found: u64) -> Error {
    Error::remote(format!("{what} has {found} bytes, its descriptor says {described}"))
}

/// A draft that takes as many bytes as the descriptor names and not one more.
pub(super) struct Bounded {
    pub draft: Draft,
    pub left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "there are more bytes than its descriptor says"));
        }
        let count = self.draft.write(bytes)?;
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

/// A manifest or index of the base by digest, and what a descriptor would say of it. `child` is what the index above it said.
pub(super) async fn document(
    ctx: &Ctx,
    reference: &plan::Base,
    digest: &Digest,
    child: Option<&Descriptor>,
) -> Result<(Descriptor, Document)> {
    let what = format!("the manifest {digest} of `{reference}`");
    let (store, wanted) = (ctx.store.clone(), *digest);
    let (bytes, handed) = match blocking(move || store.read(&wanted, document::MOST_BYTES)).await? {
        Some(bytes) => (bytes, None),
        None => {
            let (bytes, handed) = outside(ctx, reference, digest, &what).await?;
            if Digest::of(&bytes) != *digest {
                let found = Digest::of(&bytes);
                return Err(Error::remote(format!("{what} has other bytes: their digest is {found}")));
            }
            let (store, copy) = (ctx.store.clone(), bytes.clone());
            blocking(move || store.put(&copy)).await?;
            (bytes, handed)
        }
    };
    if let Some(child) = child.filter(|child| child.size != bytes.len() as u64) {
        return Err(sizes(&what, child.size, bytes.len() as u64));
    }
    let declared = child.map(|child| child.media_type.as_str()).or(handed.as_deref());
    let read = Document::read(&bytes, declared, &what)?;
    let own = match &read {
        Document::Manifest(manifest) => manifest.media_type.as_str(),
        Document::Index(index) => index.media_type.as_str(),
    };
    let media_type = if own.is_empty() { declared.unwrap_or_default() } else { own };
    Ok((Descriptor::of(media_type, &bytes), read))
}

/// A document's bytes from where the base is, with the media type that they were handed out as.
async fn outside(ctx: &Ctx, reference: &plan::Base, digest: &Digest, what: &str) -> Result<(Vec<u8>, Option<String>)> {
    ctx.cancel.check()?;
    if let plan::Base::Registry(pinned) = reference {
        let fetched = ctx.registries.manifest(&pinned.repository, Which::Digest(digest)).await?;
        let fetched = fetched.ok_or_else(|| {
            Error::remote(format!("{what} does not exist in the registry"))
                .hint("it may have been deleted there; `stillframe update` pins the tag anew")
        })?;
        return Ok((fetched.bytes, fetched.media_type));
    }
    let (reference, digest, what) = (reference.clone(), *digest, what.to_string());
    blocking(move || {
        let blob = open(&reference, &digest)?;
        if blob.size > document::MOST_BYTES {
            let most = document::MOST_BYTES;
            return Err(Error::remote(format!("{what} has {} bytes, the limit is {most}", blob.size)));
        }
        let mut bytes = Vec::new();
        let read = blob.bytes.take(document::MOST_BYTES).read_to_end(&mut bytes);
        read.map_err(|cause| Error::io(format!("reading {what}"), cause))?;
        Ok((bytes, None))
    })
    .await
}

/// Does file work or computation on a thread that may wait.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::bug("a thread that reads ended early").because(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event;

    #[test]
    fn not_one_byte_more_than_described_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(home.path(), crate::store::Memory::Full, event::nowhere());
        for (described, taken) in [(4, false), (5, true), (6, false)] {
            let descriptor = Descriptor::new("x", Digest::of(b"hello"), described);
            let mut sink = Bounded { draft: store.draft().unwrap(), left: described };
            let written = sink.write_all(b"hel").and_then(|()| sink.write_all(b"lo"));
            let finished = written.is_ok() && finish(sink, &descriptor, "the blob").is_ok();
            assert_eq!(finished, taken, "{described}");
        }
    }
}
