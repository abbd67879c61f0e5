//! Stage 5: looks into layers. Descriptors in, what each layer holds out, in their order. Asks the store for what it remembers, then for
//! the blob, then where the image is.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{Attribute, Body, Content, Held, Inside, MOST_ATTRIBUTE, memo};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, DiffId, Digest, media};
use crate::source::blob::{blocking, fetch};
use crate::source::files::{failed, open};
use crate::source::hashed::Hashed;
use crate::source::image::fetch_from;
use crate::source::list::{Item, Listing, MOST_ENTRIES, MOST_NAME_BYTES, Name, Sight, What, sights};
use crate::source::look::Aside;
use crate::source::tar::{Entry, Special, Type, wrong};
use crate::source::unpack::{MOST_BYTES, Stop};
use crate::source::{Base, Image, Kind, memo as listing};

/// Where the layers of an image are.
#[derive(Clone, Debug)]
pub enum Holder {
    /// Where it was opened.
    Image(Box<Image>),
    /// In the store, or where this base is.
    Made(Arc<Base>),
}

/// What each of these layers holds, lowest first. Fails if a layer's bytes do not have the diff ID that is named with it.
pub async fn all_inside(ctx: &Ctx, holder: &Holder, layers: &[(Descriptor, DiffId)]) -> Result<Vec<Inside>> {
    let reading = layers.iter().map(|(descriptor, diff_id)| inside(ctx, holder, descriptor, *diff_id));
    let mut reading = stream::iter(reading.collect::<Vec<_>>()).buffered(ctx.jobs.get());
    let (mut all, mut total) = (Vec::new(), Total::default());
    while let Some(inside) = reading.next().await {
        let inside = inside?;
        total.add(&inside)?;
        all.push(inside);
    }
    Ok(all)
}

/// What was seen in a layer before, if that is remembered.
pub async fn recall(ctx: &Ctx, descriptor: &Descriptor) -> Result<Option<Inside>> {
    let (store, digest) = (ctx.store.clone(), descriptor.digest);
    blocking(move || Ok(store.recall(memo::KIND, &digest).and_then(|bytes| memo::read(&bytes)))).await
}

async fn inside(ctx: &Ctx, holder: &Holder, descriptor: &Descriptor, diff_id: DiffId) -> Result<Inside> {
    let name = format!("the layer {}", descriptor.digest);
    if media::layer(&descriptor.media_type).is_none() {
        let media_type = descriptor.media_type.escape_debug();
        return Err(Error::usage(format!("{name} is of the type `{media_type}`, which is no layer of files")));
    }
    let inside = match recall(ctx, descriptor).await? {
        Some(inside) => inside,
        None => {
            match holder {
                Holder::Image(image) => fetch_from(ctx, image, descriptor).await?,
                Holder::Made(base) => fetch(ctx, base, descriptor).await?,
            }
            let (ctx, descriptor, name) = (ctx.clone(), descriptor.clone(), name.clone());
            blocking(move || read(&ctx, &descriptor, &name)).await?
        }
    };
    if inside.diff_id != diff_id {
        return Err(Error::remote(format!(
            "{name} is not what the config says: that names the diff ID {diff_id}, the bytes have {}",
            inside.diff_id
        )));
    }
    Ok(inside)
}

/// Reads a layer that the store holds; what it says is remembered for builds too.
fn read(ctx: &Ctx, descriptor: &Descriptor, name: &str) -> Result<Inside> {
    let stop = Stop { cancel: ctx.cancel.clone(), ..Stop::default() };
    let (listing, inside) =
        seen(open(&ctx.store, descriptor)?, stop, &|| ctx.store.aside()).map_err(|cause| failed(name, cause))?;
    ctx.store.remember(listing::KIND, &descriptor.digest, &listing::write(&listing));
    ctx.store.remember(memo::KIND, &descriptor.digest, &memo::write(&inside));
    Ok(inside)
}

/// What one layer says, for builds and for those who show it.
pub(crate) fn seen(blob: impl io::Read + 'static, stop: Stop, aside: Aside<'_>) -> io::Result<(Listing, Inside)> {
    let mut facts = Facts::default();
    let (listing, _) = sights(blob, stop, aside, |sight| facts.add(sight))?;
    let inside = facts.join(&listing);
    Ok((listing, inside))
}

/// What the entries of a layer say beside its listing.
#[derive(Default)]
struct Facts {
    by_path: BTreeMap<Name, Fact>,
    attribute_bytes: usize,
}

#[derive(Clone)]
struct Fact {
    content: Option<Content>,
    special: Option<Special>,
    modified: Option<(i64, u32)>,
    xattrs: BTreeMap<Box<[u8]>, Attribute>,
}

impl Facts {
    fn add(&mut self, sight: Sight<'_, '_>) -> io::Result<()> {
        let Sight { path, entry, twin, bytes } = sight;
        let fact = match (entry.kind, twin) {
            (Type::HardLink, Some(twin)) => match self.by_path.get(twin) {
                Some(fact) => second(fact, twin),
                None => return Ok(()), // of a lower layer, which says all of it
            },
            _ => self.fact(entry, bytes)?,
        };
        self.by_path.insert(path.into(), fact);
        Ok(())
    }

    fn fact(&mut self, entry: &Entry, bytes: &mut Hashed<'_>) -> io::Result<Fact> {
        let content = match entry.kind {
            Type::File => Some(Content { size: entry.size, digest: bytes.digest()?, sparse: !entry.whole, twin: None }),
            _ => None,
        };
        let mut xattrs = BTreeMap::new();
        for (name, value) in &entry.xattrs {
            self.attribute_bytes += name.len() + value.len().min(MOST_ATTRIBUTE);
            if self.attribute_bytes > MOST_NAME_BYTES {
                return Err(wrong(format!("its extended attributes have more than {MOST_NAME_BYTES} bytes")));
            }
            let kept = match value.len() {
                0..=MOST_ATTRIBUTE => Attribute::Value(value.as_slice().into()),
                _ => Attribute::Digest(Digest::of(value)),
            };
            xattrs.insert(name.as_slice().into(), kept);
        }
        Ok(Fact { content, special: entry.special, modified: entry.modified, xattrs })
    }

    fn join(mut self, listing: &Listing) -> Inside {
        let items = listing.items.iter();
        let held = items.map(|(path, item)| (path.clone(), held(item, self.by_path.remove(path)))).collect();
        let (whiteouts, opaque) = (listing.whiteouts.clone(), listing.opaque.clone());
        Inside { diff_id: listing.diff_id, size: listing.size, held, whiteouts, opaque }
    }
}

/// A second name of something of the same layer.
fn second(fact: &Fact, twin: &[u8]) -> Fact {
    let mut fact = fact.clone();
    if let Some(content) = &mut fact.content {
        content.twin.get_or_insert_with(|| twin.into());
    }
    fact
}

fn held(item: &Item, fact: Option<Fact>) -> Held {
    let fact = fact.unwrap_or(Fact { content: None, special: None, modified: None, xattrs: BTreeMap::new() });
    let body = match (&item.what, fact.content) {
        (What::Known(Kind::File { .. }), Some(content)) => Body::File(content),
        // The listing and the facts come from the same entries; a file without its fact cannot be.
        (What::Known(Kind::File { size }), None) => {
            Body::File(Content { size: *size, digest: Digest::of(b""), sparse: true, twin: None })
        }
        (What::Known(Kind::Directory), _) => Body::Directory,
        (What::Known(Kind::Link(target)), _) => Body::Link(target.clone()),
        (What::Known(Kind::Other), _) => match fact.special {
            Some(Special::Character(major, minor)) => Body::Character(major, minor),
            Some(Special::Block(major, minor)) => Body::Block(major, minor),
            Some(Special::Fifo) | None => Body::Fifo,
        },
        (What::Implied, _) => Body::Implied,
        (What::Lower(target), _) => Body::Lower(target.clone()),
    };
    Held { body, mode: item.mode, uid: item.uid, gid: item.gid, modified: fact.modified, xattrs: fact.xattrs }
}

/// What the layers of an image hold together.
#[derive(Default)]
struct Total {
    entries: usize,
    name_bytes: usize,
    size: u64,
}

impl Total {
    fn add(&mut self, inside: &Inside) -> Result<()> {
        self.entries += inside.held.len() + inside.whiteouts.len() + inside.opaque.len();
        self.name_bytes += inside.held.keys().map(|path| path.len()).sum::<usize>();
        self.size = self.size.saturating_add(inside.size);
        let too = |what, most: u64| Err(Error::remote(format!("the layers have together more than {most} {what}")));
        if self.entries > MOST_ENTRIES {
            return too("entries", MOST_ENTRIES as u64);
        }
        if self.name_bytes > MOST_NAME_BYTES {
            return too("bytes of names", MOST_NAME_BYTES as u64);
        }
        if self.size > MOST_BYTES { too("bytes", MOST_BYTES) } else { Ok(()) }
    }
}
