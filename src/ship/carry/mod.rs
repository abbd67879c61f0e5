//! Stage 9: images that exist already, carried from where they are to somewhere else. An opened image and goals in; the same bytes
//! there out, with what belongs to them, the names last.

mod engine;

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::blobs::{Blob, Blobs};
use super::layout::{self, Load};
use super::push::{Freight, bring, set};
use super::pushed::{Pushed, Tagged};
use super::{Goal, archive, local};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::{Descriptor, Digest, Platform, Repository, Tag, media};
use crate::registry::Which;
use crate::source::{self, Attached, Image, Place};

/// How many blobs are fetched at once.
const AT_ONCE: usize = 4;
/// The annotation by which engines find an image's full name in an archive.
const FULL_NAME: &str = "io.containerd.image.name";

/// An image that is to be carried, with what belongs to it.
pub struct Carry {
    /// The image.
    pub image: Arc<Image>,
    /// What belongs to it.
    pub attached: Vec<(Arc<Image>, Option<Descriptor>, Option<Tag>)>,
}

/// How one goal was reached.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Where it went.
    pub goal: Goal,
    /// What names it there.
    pub digest: Digest,
    /// What a registry took.
    pub pushed: Option<Pushed>,
}

/// Opens an image and, if wanted, everything that belongs to it; with a platform only the part for that one.
pub async fn open_all(ctx: &Ctx, place: &Place, platform: Option<&Platform>, referrers: bool) -> Result<Carry> {
    let whole = source::open(ctx, place).await?;
    let image = match platform {
        Some(platform) => whole.only(Some(platform)).map_err(|error| error.context(format!("opening `{place}`")))?,
        None => whole,
    };
    let found = if referrers { source::attached(ctx, place, &image).await? } else { Vec::new() };
    let one = |Attached { image, subject, tag }: Attached| (Arc::new(image), subject, tag);
    Ok(Carry { image: Arc::new(image), attached: found.into_iter().map(one).collect() })
}

/// Carries to all goals: all content to all of them first, then the tags.
pub async fn carry(ctx: &Ctx, carry: &Carry, goals: &[Goal]) -> Result<Vec<Carried>> {
    let mut all = Vec::new();
    let mut mounts = Vec::new();
    for goal in goals {
        ctx.cancel.check()?;
        let context = |error: Error| error.context(format!("carrying the image to the destination `{goal}`"));
        let pushed = one(ctx, carry, goal, &mounts).await.map_err(context)?;
        mounts.extend(pushed.iter().map(|pushed| pushed.name.clone()));
        all.push(Carried { goal: goal.clone(), digest: carry.image.digest(), pushed });
    }
    let blobs = Blobs::of(&carry.image);
    for carried in &mut all {
        let (Goal::Registry(reference), Some(pushed)) = (&carried.goal, &mut carried.pushed) else { continue };
        let Some(tag) = &reference.tag else { continue };
        ctx.cancel.check()?;
        let freight = Freight { list: list(&carry.image), blobs: &blobs, mounts: Vec::new(), ahead: None };
        let how = set(ctx, &freight, &reference.repository, tag).await?;
        pushed.tags.push(Tagged::plain(tag, how));
    }
    Ok(all)
}

async fn one(ctx: &Ctx, carry: &Carry, goal: &Goal, mounts: &[Repository]) -> Result<Option<Pushed>> {
    match goal {
        Goal::Registry(reference) => {
            if let Some(digest) = reference.digest.filter(|digest| *digest != carry.image.digest()) {
                return Err(Error::usage(format!(
                    "the destination names {digest}, but the image is {}",
                    carry.image.digest()
                ))
                .hint("leave the digest out of the destination"));
            }
            return registry(ctx, carry, &reference.repository, mounts).await.map(Some);
        }
        Goal::Store => store(ctx, &carry.image).await?,
        Goal::Layout(path, name) => {
            let blobs = carry.blobs();
            let loads = carry.loads(&blobs, name.as_deref());
            layout::write(ctx, &loads, path).await?;
        }
        Goal::Archive(path, name) => {
            let blobs = carry.blobs();
            archive::oci(ctx, &carry.loads(&blobs, name.as_deref()), path).await?;
        }
        Goal::DockerArchive(..) | Goal::Docker | Goal::Podman => engine::send(ctx, &carry.image, goal).await?,
    }
    Ok(None)
}

/// Every blob of an image once, children before parents, the root last.
fn list(image: &Image) -> Vec<Blob> {
    let blobs = image.blobs.iter().map(|descriptor| Blob { descriptor: descriptor.clone(), bytes: None });
    let papers = image.documents.iter();
    let documents = papers.map(|it| Blob { descriptor: it.descriptor.clone(), bytes: Some(it.bytes.clone()) });
    blobs.chain(documents).collect()
}

impl Carry {
    /// Where the bytes are: of the image, then of each that belongs to it.
    fn blobs(&self) -> Vec<Blobs> {
        let attached = self.attached.iter().map(|(image, ..)| image);
        std::iter::once(&self.image).chain(attached).map(Blobs::of).collect()
    }

    /// The entries of a layout: the image under its name, what belongs to it by cosign's tags or without a name.
    fn loads<'a>(&self, blobs: &'a [Blobs], name: Option<&str>) -> Vec<Load<'a>> {
        let mut root = Descriptor::new(&self.image.root.media_type, self.image.root.digest, self.image.root.size);
        root.annotations.insert(media::REF_NAME.into(), name.unwrap_or(layout::NAME).into());
        if let Some(known) = self.image.names.first() {
            root.annotations.insert(FULL_NAME.into(), known.to_string());
        }
        let attached = self.attached.iter().map(|(image, _, tag)| {
            let mut entry = Descriptor::new(&image.root.media_type, image.root.digest, image.root.size);
            entry.annotations.extend(tag.iter().map(|tag| (media::REF_NAME.to_string(), tag.to_string())));
            (entry, list(image))
        });
        // The image comes last, so that readers which take the last entry find it.
        let entries = attached.chain([(root, list(&self.image))]);
        let places = blobs.iter().skip(1).chain(blobs.first());
        entries.zip(places).map(|((entry, list), blobs)| Load { entry, list, blobs }).collect()
    }
}

async fn registry(ctx: &Ctx, carry: &Carry, name: &Repository, mounts: &[Repository]) -> Result<Pushed> {
    let blobs = Blobs::of(&carry.image);
    let freight = Freight { list: list(&carry.image), blobs: &blobs, mounts: mounts.to_vec(), ahead: None };
    let mut pushed = Pushed { name: name.clone(), objects: bring(ctx, &freight, name, &[]).await?, tags: Vec::new() };
    for (image, subject, tag) in &carry.attached {
        ctx.cancel.check()?;
        let blobs = Blobs::of(image);
        let freight = Freight { list: list(image), blobs: &blobs, mounts: mounts.to_vec(), ahead: None };
        let root = freight.root()?;
        pushed.objects.extend(bring(ctx, &freight, name, &[]).await?);
        if let (Some(subject), Some(bytes)) = (subject, &root.bytes) {
            let how = ctx.registries.add_referrer(name, subject, &root.descriptor.media_type, bytes).await?;
            let text = format!("{} refers to {} in {name}: {how:?}", root.descriptor.digest, subject.digest);
            ctx.say(Event::Detail { text });
        }
        if let Some(tag) = tag {
            let there = ctx.registries.head(name, Which::Tag(tag)).await?;
            let same = there == Some(root.descriptor.digest);
            let how = if same { "unchanged" } else { set(ctx, &freight, name, tag).await? };
            pushed.tags.push(Tagged::plain(tag, how));
        }
    }
    Ok(pushed)
}

/// Brings all of an image into the store.
async fn store(ctx: &Ctx, image: &Arc<Image>) -> Result<()> {
    let fetch = |descriptor: &Descriptor| {
        let (image, descriptor) = (image.clone(), descriptor.clone());
        async move {
            ctx.cancel.check()?;
            if Blobs::of(&image).is_foreign(ctx, &descriptor).await? {
                return Ok(());
            }
            let known = ctx.store.size(&descriptor.digest).is_some();
            let what = format!("{} to the store", descriptor.digest.short());
            ctx.say(Event::Begin { what: what.clone(), total: descriptor.size });
            source::fetch_from(ctx, &image, &descriptor).await?;
            ctx.say(Event::End { what, how: if known { "already there" } else { "fetched" } });
            Ok::<_, Error>(())
        }
    };
    let all: Vec<()> = stream::iter(image.blobs.iter().map(fetch)).buffered(AT_ONCE).try_collect().await?;
    debug_assert_eq!(all.len(), image.blobs.len());
    for paper in &image.documents {
        ctx.store.put(&paper.bytes)?;
    }
    let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
    let platforms =
        image.runnable().into_iter().filter_map(|(platform, _)| platform).map(|it| it.to_string()).collect();
    local::describe(ctx, &image.root, &names, platforms).await
}
