//! Stage 5: from a place to the document that it names. May ask registries, read layouts and archives, and use the store.

use std::path::Path;

use serde::Deserialize;

use super::{Image, Origin, Paper, docker, gone, own_type, paper, usual_type, walk};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Document, Index, Reference, Tag, media};
use crate::plan;
use crate::registry::Which;
use crate::source::blob::blocking;
use crate::source::local;
use crate::source::place::{Kept, Place, Spot};

/// The tag that is meant where none is written.
const USUAL_TAG: &str = "latest";
/// The annotation by which archives of engines name an image in full.
const FULL_NAME: &str = "io.containerd.image.name";

/// An image of the store, as it was described when it was kept.
#[derive(Deserialize)]
struct Description {
    root: Descriptor,
    #[serde(default)]
    references: Vec<String>,
}

/// Opens an image: every document of it is read and verified; its blobs are fetched when they are asked for.
pub async fn open(ctx: &Ctx, place: &Place) -> Result<Image> {
    let opened = match place {
        Place::Registry(reference) => registry(ctx, reference).await,
        Place::Layout(spot) => layout(ctx, spot, plan::Base::Layout).await,
        Place::Archive(spot) => layout(ctx, spot, plan::Base::Archive).await,
        Place::DockerArchive(path, name) => archive(ctx, path, name.as_deref()).await,
        Place::Store(kept) => store(ctx, kept).await,
    };
    opened.map_err(|error| error.context(format!("opening `{place}`")))
}

async fn registry(ctx: &Ctx, reference: &Reference) -> Result<Image> {
    let Reference { repository, tag, digest } = reference.clone();
    if let Some(digest) = digest {
        let base = plan::Base::Registry(crate::oci::Pinned { repository, tag, digest });
        let origin = Origin::Base(base);
        let root = paper(ctx, &origin, &digest, None).await?;
        return walk(ctx, origin, root, Vec::new()).await;
    }
    let tag: Tag = tag.map_or_else(|| USUAL_TAG.parse(), Ok)?;
    let found = ctx.registries.manifest(&repository, Which::Tag(&tag)).await?.ok_or_else(|| {
        Error::remote(format!("the registry has no tag `{tag}` in `{repository}`"))
            .hint("check the name and the tag, and whether you may read there (`stillframe doctor` tells)")
    })?;
    let document = Document::read(&found.bytes, found.media_type.as_deref(), &format!("`{repository}:{tag}`"))?;
    let own = own_type(&document);
    let named = if own.is_empty() { found.media_type.as_deref().unwrap_or(usual_type(&document)) } else { own };
    let descriptor = Descriptor::of(named, &found.bytes);
    let (kept, bytes) = (ctx.store.clone(), found.bytes.clone());
    blocking(move || kept.put(&bytes)).await?;
    let name = Reference { repository: repository.clone(), tag: Some(tag.clone()), digest: None };
    let pinned = crate::oci::Pinned { repository, tag: Some(tag), digest: found.digest };
    let root = Paper { descriptor, bytes: found.bytes, document };
    walk(ctx, Origin::Base(plan::Base::Registry(pinned)), root, vec![name]).await
}

async fn layout(ctx: &Ctx, spot: &Spot, base: fn(plan::Local) -> plan::Base) -> Result<Image> {
    let index = index(spot, base).await?;
    let entry = choose(&index, spot)?;
    let digest = match (&entry, spot.digest) {
        (Some(entry), _) => entry.digest,
        (None, Some(digest)) => digest,
        (None, None) => return Err(Error::bug("an image of a layout was chosen without a digest")),
    };
    let same = index.manifests.iter().filter(|entry| entry.digest == digest);
    let names = same.filter_map(|entry| entry.annotations.get(FULL_NAME)?.parse().ok()).collect();
    let origin = Origin::Base(base(at(spot, digest)));
    // The entry of a layout's index describes the root; a digest alone does not.
    let entry = entry.map(|entry| Descriptor::new(&entry.media_type, entry.digest, entry.size));
    let root = paper(ctx, &origin, &digest, entry.as_ref()).await?;
    walk(ctx, origin, root, names).await
}

fn at(spot: &Spot, digest: Digest) -> plan::Local {
    plan::Local { path: spot.path.clone(), written: spot.path.display().to_string(), digest }
}

/// The `index.json` of a layout or an archive of one.
pub async fn index(spot: &Spot, base: fn(plan::Local) -> plan::Base) -> Result<Index> {
    let base = base(at(spot, Digest::of(b"")));
    blocking(move || match &base {
        plan::Base::Archive(place) => local::archive_index(place),
        plan::Base::Layout(place) => local::layout_index(place),
        plan::Base::Scratch | plan::Base::Registry(_) => Err(Error::bug("that is no layout")),
    })
    .await
}

/// The entry that is meant; `None` for a digest that the index does not list itself.
fn choose(index: &Index, spot: &Spot) -> Result<Option<Descriptor>> {
    let name = |entry: &Descriptor| entry.annotations.get(media::REF_NAME).cloned();
    let named = |entry: &&Descriptor| spot.name.is_none() || name(entry) == spot.name;
    let fits = |entry: &&Descriptor| named(entry) && spot.digest.is_none_or(|digest| entry.digest == digest);
    let found: Vec<&Descriptor> = index.manifests.iter().filter(fits).collect();
    // What refers to an image is not what is meant by the layout's name alone.
    let images: Vec<&&Descriptor> =
        found.iter().filter(|entry| name(entry).is_some_and(|name| !name.starts_with("sha256-"))).collect();
    let list = || {
        let shown =
            |entry: &Descriptor| format!("`{}` ({})", name(entry).unwrap_or_default().escape_debug(), entry.digest);
        index.manifests.iter().take(20).map(shown).collect::<Vec<_>>().join(", ")
    };
    match (found.as_slice(), images.as_slice()) {
        ([], _) if spot.digest.is_some() && spot.name.is_none() => Ok(None),
        ([], _) if index.manifests.is_empty() => Err(Error::usage("its `index.json` is empty")),
        ([], _) => Err(Error::usage("no image in it has that name").hint(format!("it holds {}", list()))),
        ([only], _) => Ok(Some((*only).clone())),
        (_, [only]) => Ok(Some((**only).clone())),
        ([first, rest @ ..], _) if rest.iter().all(|entry| entry.digest == first.digest) => Ok(Some((*first).clone())),
        _ => Err(Error::usage("it holds several images").hint(format!(
            "add the name or the digest of one, as in `{}:NAME`; it holds {}",
            spot.path.display(),
            list()
        ))),
    }
}

async fn archive(ctx: &Ctx, path: &Path, name: Option<&str>) -> Result<Image> {
    let (store, path, name, cancel) =
        (ctx.store.clone(), path.to_path_buf(), name.map(str::to_string), ctx.cancel.clone());
    let taken = blocking(move || docker::take(&store, &path, name.as_deref(), &cancel)).await?;
    let root = paper(ctx, &Origin::Store, &taken.root.digest, Some(&taken.root)).await?;
    walk(ctx, Origin::Store, root, taken.names).await
}

async fn store(ctx: &Ctx, kept: &Kept) -> Result<Image> {
    let images = ctx.store.clone();
    let known: Vec<Description> =
        blocking(move || Ok(images.images().iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect()))
            .await?;
    let (root, names) = match kept {
        Kept::Digest(digest) => {
            let known = known.iter().find(|known| known.root.digest == *digest);
            (known.map(|known| known.root.clone()), known.map(Description::all).unwrap_or_default())
        }
        Kept::Name(name) => {
            let found = by_name(&known, name)?;
            (Some(found.root.clone()), vec![name.clone()])
        }
    };
    if let Some(root) = &root {
        // Before anything of it is read: nobody may remove parts of it while it is in use.
        let (store, digest) = (ctx.store.clone(), root.digest);
        let mark = move || {
            store.mark_image(&digest);
            Ok(())
        };
        blocking(mark).await?;
    }
    let root = match (root, kept) {
        (Some(root), _) => Descriptor::new(&root.media_type, root.digest, root.size),
        // Part of a kept image, or a base: it need not have a description of its own.
        (None, Kept::Digest(digest)) => {
            let root = paper(ctx, &Origin::Store, digest, None).await?;
            return walk(ctx, Origin::Store, root, names).await;
        }
        (None, Kept::Name(_)) => return Err(Error::bug("a kept image without a root")),
    };
    let root = paper(ctx, &Origin::Store, &root.digest, Some(&root)).await.map_err(|error| match error.hints() {
        [] => error.hint(gone(&root.digest).message().to_string()),
        _ => error,
    })?;
    walk(ctx, Origin::Store, root, names).await
}

impl Description {
    /// All names in full.
    fn all(&self) -> Vec<Reference> {
        self.references.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

fn by_name<'a>(known: &'a [Description], name: &Reference) -> Result<&'a Description> {
    let same = |other: &Reference| other.repository == name.repository && (name.tag.is_none() || other.tag == name.tag);
    let digest = |one: &&Description| name.digest.is_none_or(|digest| digest == one.root.digest);
    let found: Vec<&Description> = known.iter().filter(|one| one.all().iter().any(same)).filter(digest).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(Error::local(format!("the local store holds no image `{name}`"))
            .hint("run `stillframe pull` for it, or name it by its digest")),
        several => {
            let list: Vec<String> = several.iter().map(|one| one.root.digest.to_string()).collect();
            Err(Error::usage(format!("the local store holds {} images of that name", several.len()))
                .hint(format!("name one by its digest: {}", list.join(", "))))
        }
    }
}
