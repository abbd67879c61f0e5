//! Stage 5: what belongs to an image without being part of it: signatures, attestations, SBOMs. An image in, the images that refer
//! to it out: by the referrers API or its tag, by cosign's tags, and by the index of a layout. May ask registries and read layouts.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::find::index;
use super::{Image, Origin, is_document, open, paper};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Document, Reference, Tag, media};
use crate::plan;
use crate::registry::Which;
use crate::source::place::{Place, Spot};

/// The endings of the tags under which cosign keeps what belongs to a digest.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];
/// Most things that may belong to one image.
const MOST: usize = 2_000;
/// How long a chain of referrers may be: an SBOM, its signature, …
const MOST_DEPTH: usize = 4;
/// How many questions are asked at once.
const AT_ONCE: usize = 8;

/// Something that belongs to an image.
#[derive(Clone, Debug)]
pub struct Attached {
    /// What it is.
    pub image: Image,
    /// What it refers to, by its own words.
    pub subject: Option<Descriptor>,
    /// The tag that makes it found, where there is one.
    pub tag: Option<Tag>,
}

/// Everything that belongs to an image or to a child of it, what it refers to before what refers.
pub async fn attached(ctx: &Ctx, place: &Place, image: &Image) -> Result<Vec<Attached>> {
    let mut all: Vec<Attached> = Vec::new();
    let mut seen: BTreeSet<Digest> = image.documents.iter().map(|paper| paper.descriptor.digest).collect();
    let mut ahead: Vec<Digest> = image.documents.iter().map(|paper| paper.descriptor.digest).collect();
    for _ in 0..MOST_DEPTH {
        let found = of(ctx, place, &ahead).await.map_err(|error| {
            error.hint("if signatures and attestations are not wanted, leave them with `--no-referrers`")
        })?;
        ahead.clear();
        for (digest, tag) in found {
            // One thing may have several tags; each of them is carried.
            if !seen.insert(digest) && tag.is_none() {
                continue;
            }
            if all.len() >= MOST {
                return Err(Error::remote(format!("over {MOST} things refer to the image, which is the limit")));
            }
            let one = one(ctx, place, digest, tag).await?;
            ahead.extend(one.image.documents.iter().map(|paper| paper.descriptor.digest));
            all.push(one);
        }
        if ahead.is_empty() {
            break;
        }
    }
    Ok(all)
}

async fn of(ctx: &Ctx, place: &Place, digests: &[Digest]) -> Result<Vec<(Digest, Option<Tag>)>> {
    match place {
        Place::Registry(reference) => {
            let asked = digests.iter().map(|digest| in_registry(ctx, reference, *digest));
            let found: Vec<Vec<_>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
            Ok(found.into_iter().flatten().collect())
        }
        Place::Layout(spot) => in_layout(ctx, spot, plan::Base::Layout, digests).await,
        Place::Archive(spot) => in_layout(ctx, spot, plan::Base::Archive, digests).await,
        Place::DockerArchive(..) | Place::Store(_) => Ok(Vec::new()),
    }
}

async fn in_registry(ctx: &Ctx, reference: &Reference, digest: Digest) -> Result<Vec<(Digest, Option<Tag>)>> {
    let repository = &reference.repository;
    let referrers = ctx.registries.referrers(repository, &digest).await?;
    let mut found: Vec<_> = referrers.into_iter().map(|descriptor| (descriptor.digest, None)).collect();
    for tag in cosign(&digest) {
        if let Some(there) = ctx.registries.head(repository, Which::Tag(&tag)).await? {
            found.push((there, Some(tag)));
        }
    }
    Ok(found)
}

fn cosign(digest: &Digest) -> impl Iterator<Item = Tag> {
    let hex = digest.hex();
    COSIGN.iter().filter_map(move |ending| format!("sha256-{hex}.{ending}").parse().ok())
}

/// What a layout's index lists beside the image: by a tag of cosign's as its name, or by its own subject.
async fn in_layout(
    ctx: &Ctx,
    spot: &Spot,
    base: fn(plan::Local) -> plan::Base,
    digests: &[Digest],
) -> Result<Vec<(Digest, Option<Tag>)>> {
    let tags: BTreeSet<String> = digests.iter().flat_map(cosign).map(|tag| tag.to_string()).collect();
    let mut found = Vec::new();
    for entry in index(spot, base).await?.manifests.iter().filter(|entry| is_document(entry)).take(MOST) {
        let name = entry.annotations.get(media::REF_NAME);
        if let Some(name) = name.filter(|name| tags.contains(*name)) {
            found.push((entry.digest, Some(name.parse()?)));
            continue;
        }
        let local =
            plan::Local { path: spot.path.clone(), written: spot.path.display().to_string(), digest: entry.digest };
        let bare = Descriptor::new(&entry.media_type, entry.digest, entry.size);
        let paper = paper(ctx, &Origin::Base(base(local)), &entry.digest, Some(&bare)).await?;
        if subject(&paper.document).is_some_and(|subject| digests.contains(&subject.digest)) {
            found.push((entry.digest, None));
        }
    }
    Ok(found)
}

fn subject(document: &Document) -> Option<&Descriptor> {
    match document {
        Document::Manifest(manifest) => manifest.subject.as_ref(),
        Document::Index(index) => index.subject.as_ref(),
    }
}

async fn one(ctx: &Ctx, place: &Place, digest: Digest, tag: Option<Tag>) -> Result<Attached> {
    let at = match place {
        Place::Registry(reference) => {
            Place::Registry(Reference { repository: reference.repository.clone(), tag: None, digest: Some(digest) })
        }
        Place::Layout(spot) => Place::Layout(Spot { name: None, digest: Some(digest), ..spot.clone() }),
        Place::Archive(spot) => Place::Archive(Spot { name: None, digest: Some(digest), ..spot.clone() }),
        other => other.clone(),
    };
    let image = Box::pin(open(ctx, &at)).await?;
    let subject = image.documents.last().and_then(|paper| subject(&paper.document)).cloned();
    Ok(Attached { image, subject, tag })
}
