//! Stage 5: the bytes of some files of an image. Where they are in its layers in, stretches of blobs of the store out. Each layer that
//! holds one is fetched and read once; what was taken out of it is remembered, so that the next time it is not even fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest};
use crate::source::Base;
use crate::source::blob::{blocking, fetch};
use crate::source::files::{failed, layer_name, open};
use crate::source::index::Bytes;
use crate::source::member::Stretch;
use crate::source::parcel::Parcel;
use crate::source::tar::wrong;
use crate::source::unpack::{Stop, unpack};
use crate::store::Store;

/// The kind under which the store remembers which blob holds some stretches of a layer.
const KIND: &str = "layer-parts-1";

/// Where a file's bytes begin in an uncompressed layer, and how many they are.
type Range = (u64, u64);

/// Makes sure that the bytes of these files of an image are in the store: for each file, where they are in the image and how many, and
/// in the same order where they are in the store.
pub async fn parts(ctx: &Ctx, base: &Base, files: &[(Bytes, u64)]) -> Result<Vec<Stretch>> {
    let mut wanted: BTreeMap<u32, BTreeSet<Range>> = BTreeMap::new();
    for (bytes, size) in files {
        wanted.entry(bytes.layer).or_default().insert((bytes.start, *size));
    }
    let mut found = BTreeMap::new();
    for (layer, ranges) in wanted {
        let Some((descriptor, _)) = base.layers().nth(layer as usize) else {
            return Err(Error::bug(format!("`{}` has no layer {layer}", base.reference)));
        };
        let blob = blob(ctx, base, descriptor, &ranges).await?;
        let mut at = 0;
        for (start, size) in ranges {
            found.insert((layer, start, size), Stretch { blob, start: at, size });
            at += size;
        }
    }
    let stretch = |(bytes, size): &(Bytes, u64)| found.get(&(bytes.layer, bytes.start, *size)).copied();
    files.iter().map(|file| stretch(file).ok_or_else(|| Error::bug("a file of an image was not taken"))).collect()
}

/// A blob of the store that is these stretches of a layer, one behind the other.
async fn blob(ctx: &Ctx, base: &Base, layer: &Descriptor, ranges: &BTreeSet<Range>) -> Result<Digest> {
    let lines: String = ranges.iter().map(|(start, size)| format!("{start} {size}\n")).collect();
    let key = Digest::of(format!("{}\n{lines}", layer.digest).as_bytes());
    let (store, total) = (ctx.store.clone(), ranges.iter().map(|(_, size)| size).sum::<u64>());
    let remembered = blocking(move || {
        let known = store.recall(KIND, &key).and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<Digest>().ok());
        let Some(known) = known else { return Ok(None) };
        Ok(store.open(&known)?.filter(|(_, size)| *size == total).map(|_| known))
    });
    if let Some(known) = remembered.await? {
        return Ok(known);
    }
    fetch(ctx, base, layer).await?;
    let (ctx, layer, name, ranges) = (ctx.clone(), layer.clone(), layer_name(base, layer), ranges.clone());
    blocking(move || {
        let stop = Stop { cancel: ctx.cancel.clone(), ..Stop::default() };
        let made = take(&ctx.store, &layer, &ranges, stop, &name)?;
        ctx.store.remember(KIND, &key, made.to_string().as_bytes());
        Ok(made)
    })
    .await
}

fn take(store: &Store, layer: &Descriptor, ranges: &BTreeSet<Range>, stop: Stop, name: &str) -> Result<Digest> {
    let mut parcel = Parcel::new(store)?;
    let blob = open(store, layer)?;
    let copy = |parcel: &mut Parcel| {
        let (mut stream, _) = unpack(blob, stop)?;
        let mut at = 0;
        for (start, size) in ranges {
            let before = start.checked_sub(at).ok_or_else(|| wrong("two of its files lie over each other"))?;
            let passed = io::copy(&mut (&mut stream).take(before), &mut io::sink())?;
            let taken = parcel.put((&mut stream).take(*size), |_| ())?;
            if (passed, taken) != (before, *size) {
                return Err(wrong("it is cut off"));
            }
            at = start + size;
        }
        Ok(())
    };
    copy(&mut parcel).map_err(|cause| failed(name, cause))?;
    parcel.finish()
}
