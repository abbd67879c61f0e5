//! Stage 5: what the files of a base are. A base in, its file index out. Each layer is read once in its life: the store remembers
//! what it says, and a remembered layer is not even fetched.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::{Descriptor, DiffId, media};
use crate::source::blob::{blocking, fetch};
use crate::source::list::{self, Listing};
use crate::source::merge::{Total, merge};
use crate::source::unpack::Stop;
use crate::source::{Base, FileIndex, memo, texts};
use crate::store::Store;

/// The files of the base, all layers merged. Fails if a layer's bytes do not have the diff ID that the config names.
pub async fn files(ctx: &Ctx, base: &Base) -> Result<FileIndex> {
    let gone = Gone::default();
    let stop = Stop { cancel: ctx.cancel.clone(), gone: gone.0.clone() };
    let layers: Vec<_> =
        base.layers().map(|(descriptor, diff_id)| listing(ctx, base, descriptor, *diff_id, stop.clone())).collect();
    let mut layers = stream::iter(layers).buffered(ctx.jobs.get());
    let (mut listings, mut total) = (Vec::new(), Total::default());
    while let Some(listing) = layers.next().await {
        let listing = listing?;
        total.add(&listing).map_err(|error| error.context(format!("reading the files of `{}`", base.reference)))?;
        listings.push(listing);
    }
    drop(layers);
    let listings = Arc::new(listings);
    let (shared, reference) = (listings.clone(), base.reference.clone());
    let merging = move || merge(&shared).map_err(|error| error.context(format!("reading the files of `{reference}`")));
    let index = blocking(merging).await?;
    texts::fill(ctx, base, &listings, index, &stop).await
}

/// Tells the threads that nobody waits any more.
#[derive(Default)]
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What one layer of the base says, remembered or read now.
pub(super) async fn listing(
    ctx: &Ctx,
    base: &Base,
    descriptor: &Descriptor,
    diff_id: DiffId,
    stop: Stop,
) -> Result<Listing> {
    let (store, digest) = (ctx.store.clone(), descriptor.digest);
    let remembered =
        blocking(move || Ok(store.recall(memo::KIND, &digest).and_then(|bytes| memo::read(&bytes)))).await?;
    let listing = match remembered {
        Some(listing) => listing,
        None => {
            fetch(ctx, base, descriptor).await?;
            let (ctx, name, descriptor) = (ctx.clone(), layer_name(base, descriptor), descriptor.clone());
            blocking(move || read(&ctx, &descriptor, stop, &name)).await?
        }
    };
    if listing.diff_id != diff_id {
        return Err(Error::remote(format!(
            "{} is not what the config says: that names the diff ID {diff_id}, the bytes have {}",
            layer_name(base, descriptor),
            listing.diff_id
        )));
    }
    Ok(listing)
}

fn read(ctx: &Ctx, descriptor: &Descriptor, stop: Stop, name: &str) -> Result<Listing> {
    let blob = open(&ctx.store, descriptor)?;
    let (listing, found) = list::list(blob, stop).map_err(|cause| failed(name, cause))?;
    if media::layer(&descriptor.media_type) != Some(found) {
        let (media_type, found) = (&descriptor.media_type, found.name());
        ctx.say(Event::Detail { text: format!("{name} calls itself `{media_type}`, its compression is `{found}`") });
    }
    ctx.store.remember(memo::KIND, &descriptor.digest, &memo::write(&listing));
    Ok(listing)
}

/// The blob of a layer that was fetched.
pub(super) fn open(store: &Store, descriptor: &Descriptor) -> Result<std::fs::File> {
    let digest = &descriptor.digest;
    let blob =
        store.open(digest)?.ok_or_else(|| Error::local(format!("the layer {digest} vanished from the store")))?;
    Ok(blob.0)
}

/// A layer in words.
pub(super) fn layer_name(base: &Base, descriptor: &Descriptor) -> String {
    format!("the layer {} of `{}`", descriptor.digest, base.reference)
}

/// The error for a layer that cannot be read: our own as it was, the disk's, or the layer's.
pub(super) fn failed(name: &str, cause: io::Error) -> Error {
    let system = cause.raw_os_error().is_some();
    match cause.downcast::<Error>() {
        Ok(error) => error,
        Err(cause) if system => Error::io(format!("reading {name}"), cause),
        Err(cause) => Error::remote(format!("{name} is refused")).because(cause),
    }
}
