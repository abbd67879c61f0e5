//! Stage 5: what stands in one layer, for those who need more than its listing: bills of materials, and comparing. A layer in, its entries
//! with their bytes out. May ask where the base is and use the store.

use std::io::{self, Read};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Cancel;
use crate::oci::Descriptor;
use crate::source::Base;
use crate::source::blob::{blocking, fetch};
use crate::source::files::{failed, layer_name, open};
use crate::source::tar::{Entries, Entry, entries};
use crate::source::unpack::{Stop, Unpacked, unpack};

/// The entries of a tar that is no layer, plain or packed by gzip or zstd. It is bounded as a layer is.
pub fn tarball(file: impl Read + 'static, cancel: &Cancel) -> io::Result<Layer> {
    unpack(file, Stop { cancel: cancel.clone(), ..Stop::default() }).map(|(unpacked, _)| entries(unpacked))
}

/// The entries of a layer, one after the other; as a reader, the bytes of the one that came last.
pub type Layer = Entries<Unpacked>;

/// The entries of a layer that the store holds.
pub fn layer(ctx: &Ctx, descriptor: &Descriptor) -> Result<Layer> {
    let name = format!("the layer {}", descriptor.digest);
    unpacked(ctx, descriptor).map(entries).map_err(|error| error.context(format!("reading {name}")))
}

/// The bytes of a layer that the store holds, as they were before compression.
pub fn unpacked(ctx: &Ctx, descriptor: &Descriptor) -> Result<Unpacked> {
    let stop = Stop { cancel: ctx.cancel.clone(), ..Stop::default() };
    let unpacked = unpack(open(&ctx.store, descriptor)?, stop);
    unpacked.map(|(unpacked, _)| unpacked).map_err(|cause| failed(&format!("the layer {}", descriptor.digest), cause))
}

/// Shows every entry of a layer of `base` to `look`, together with what it gathers, which is given back.
pub async fn gather<S: Send + 'static>(
    ctx: &Ctx,
    base: &Base,
    descriptor: &Descriptor,
    mut gathered: S,
    mut look: impl FnMut(&mut S, &Entry, &mut Layer) -> io::Result<()> + Send + 'static,
) -> Result<S> {
    fetch(ctx, base, descriptor).await?;
    let (ctx, name, descriptor) = (ctx.clone(), layer_name(base, descriptor), descriptor.clone());
    blocking(move || {
        let mut layer = layer(&ctx, &descriptor)?;
        let mut walk = || {
            while let Some(entry) = layer.step()? {
                look(&mut gathered, &entry, &mut layer)?;
            }
            Ok(())
        };
        walk().map_err(|cause: io::Error| failed(&name, cause))?;
        Ok(gathered)
    })
    .await
}

/// A refusal of a layer's content, to be returned while it is read.
pub fn refused(why: impl Into<String>) -> io::Error {
    io::Error::other(Error::remote(why))
}
