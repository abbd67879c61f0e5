//! Stage 5: any image by its name. A place in; all its documents, verified, and where its blobs are, out. Nested indexes, children of
//! unknown platforms and attestations are carried as they are. May ask registries, read layouts and archives, and use the store.

mod attached;
pub(super) mod docker;
mod find;
mod one;
mod whole;
mod within;

pub use attached::{Attached, attached};
pub use find::open;
pub use whole::whole;
pub use within::within;

use std::collections::{BTreeMap, BTreeSet};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::document::MOST_BYTES;
use crate::oci::{Descriptor, Digest, Document, Reference, Repository, media};
use crate::plan;
use crate::source::blob::{self, blocking, document, stored};

/// How deep indexes may stand in each other.
const MOST_DEPTH: usize = 8;
/// Most documents of one image.
const MOST_DOCUMENTS: usize = 10_000;
/// Most bytes of all documents of one image.
const MOST_TOTAL: u64 = 256 << 20;

/// An image somewhere, all its documents read.
#[derive(Clone, Debug)]
pub struct Image {
    /// What names it all.
    pub root: Descriptor,
    /// Every manifest and index once, children before parents, the root last.
    pub documents: Vec<Paper>,
    /// Every other blob once, in the order of the documents.
    pub blobs: Vec<Descriptor>,
    /// The names under which it is known.
    pub names: Vec<Reference>,
    origin: Origin,
    elsewhere: BTreeMap<Digest, plan::Base>,
}

/// A manifest or index: its bytes and what they say.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes as they came.
    pub bytes: Vec<u8>,
    /// What they say.
    pub document: Document,
}

/// Where blobs come from that the store lacks.
#[derive(Clone, Debug)]
enum Origin {
    Base(plan::Base),
    Store,
}

/// A step of the walk over an image's documents.
enum Step {
    Enter(Box<Descriptor>, usize),
    Leave(Box<Paper>),
}

/// Reads all documents below a root that was read already.
async fn walk(ctx: &Ctx, origin: Origin, root: Paper, names: Vec<Reference>) -> Result<Image> {
    let mut image = Image {
        root: root.descriptor.clone(),
        documents: Vec::new(),
        blobs: Vec::new(),
        names,
        origin,
        elsewhere: BTreeMap::new(),
    };
    let mut seen = BTreeSet::from([root.descriptor.digest]);
    let mut listed = BTreeSet::new();
    let mut total = 0;
    let mut steps = Vec::new();
    enter(root, 0, &mut steps)?;
    while let Some(step) = steps.pop() {
        match step {
            Step::Leave(paper) => {
                image.list(&paper, &mut listed);
                image.documents.push(*paper);
            }
            Step::Enter(child, depth) if is_document(&child) => {
                if !seen.insert(child.digest) {
                    continue;
                }
                ctx.cancel.check()?;
                let paper = image.paper(ctx, &child).await?;
                total += paper.descriptor.size;
                if seen.len() > MOST_DOCUMENTS || total > MOST_TOTAL {
                    return Err(Error::remote(format!(
                        "the image {} has more than {MOST_DOCUMENTS} manifests, or {MOST_TOTAL} bytes of them",
                        image.root.digest
                    )));
                }
                enter(paper, depth, &mut steps)?;
            }
            // What an index lists and is no document is a blob of it (caches of builders do that).
            Step::Enter(child, _) => {
                if listed.insert(child.digest) {
                    image.blobs.push(*child);
                }
            }
        }
    }
    Ok(image)
}

fn enter(paper: Paper, depth: usize, steps: &mut Vec<Step>) -> Result<()> {
    let children = match &paper.document {
        Document::Index(index) => index.manifests.clone(),
        Document::Manifest(_) => Vec::new(),
    };
    if depth > MOST_DEPTH {
        return Err(Error::remote(format!("its indexes stand more than {MOST_DEPTH} deep in each other")));
    }
    steps.push(Step::Leave(Box::new(paper)));
    steps.extend(children.into_iter().rev().map(|child| Step::Enter(Box::new(child), depth + 1)));
    Ok(())
}

/// Whether a descriptor is of a manifest or an index.
pub fn is_document(descriptor: &Descriptor) -> bool {
    let known = [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_LIST];
    known.contains(&descriptor.media_type.as_str())
}

impl Image {
    /// The digest that names it all.
    pub fn digest(&self) -> Digest {
        self.root.digest
    }

    /// The repository that it was found in, if that is in a registry.
    pub fn repository(&self) -> Option<&Repository> {
        match &self.origin {
            Origin::Base(plan::Base::Registry(pinned)) => Some(&pinned.repository),
            _ => None,
        }
    }

    /// Where it is, if that is not the store.
    pub(super) fn base(&self) -> Option<&plan::Base> {
        match &self.origin {
            Origin::Base(base) => Some(base),
            Origin::Store => None,
        }
    }

    /// The repository of a registry that holds a blob of it.
    pub fn holder(&self, digest: &Digest) -> Option<&Repository> {
        match (self.repository(), self.elsewhere.get(digest)) {
            (None, Some(plan::Base::Registry(pinned))) => Some(&pinned.repository),
            (found, _) => found,
        }
    }

    /// Adds the blobs of a manifest, and where those of its base may be.
    fn list(&mut self, paper: &Paper, listed: &mut BTreeSet<Digest>) {
        let Document::Manifest(manifest) = &paper.document else { return };
        let base = self.base_of(manifest);
        for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
            if let Some(base) = &base {
                self.elsewhere.insert(descriptor.digest, base.clone());
            }
            if listed.insert(descriptor.digest) {
                self.blobs.push(descriptor.clone());
            }
        }
    }

    /// The base that an image of the store names; its layers are not kept with it.
    fn base_of(&self, manifest: &crate::oci::Manifest) -> Option<plan::Base> {
        let Origin::Store = self.origin else { return None };
        let name: Reference = manifest.annotations.get(media::BASE_NAME)?.parse().ok()?;
        let digest: Digest = manifest.annotations.get(media::BASE_DIGEST)?.parse().ok()?;
        Reference { digest: Some(digest), ..name }.pinned().map(plan::Base::Registry)
    }

    async fn paper(&self, ctx: &Ctx, child: &Descriptor) -> Result<Paper> {
        paper(ctx, &self.origin, &child.digest, Some(child)).await
    }
}

/// A document by its digest, from the store or from where the image is.
async fn paper(ctx: &Ctx, origin: &Origin, digest: &Digest, child: Option<&Descriptor>) -> Result<Paper> {
    let (store, wanted) = (ctx.store.clone(), *digest);
    let kept = move || store.read(&wanted, MOST_BYTES);
    let (mut descriptor, read) = match origin {
        Origin::Base(base) => document(ctx, base, digest, child).await?,
        Origin::Store => {
            let bytes = blocking(kept.clone()).await?.ok_or_else(|| gone(digest))?;
            let read = Document::read(&bytes, child.map(|child| child.media_type.as_str()), &format!("{digest}"))?;
            let own = own_type(&read).to_string();
            let named =
                if own.is_empty() { child.map_or(String::new(), |child| child.media_type.clone()) } else { own };
            (Descriptor::of(&named, &bytes), read)
        }
    };
    let bytes = blocking(kept).await?.ok_or_else(|| gone(digest))?;
    if descriptor.media_type.is_empty() {
        descriptor.media_type = usual_type(&read).to_string();
    }
    Ok(Paper { descriptor, bytes, document: read })
}

fn own_type(document: &Document) -> &str {
    match document {
        Document::Manifest(manifest) => &manifest.media_type,
        Document::Index(index) => &index.media_type,
    }
}

/// The media type of a document that nobody names one for.
fn usual_type(document: &Document) -> &'static str {
    match document {
        Document::Manifest(_) => media::MANIFEST,
        Document::Index(_) => media::INDEX,
    }
}

fn gone(digest: &Digest) -> Error {
    Error::local(format!("the local store holds no {digest}"))
        .hint("run `stillframe pull` or `stillframe build` for it")
}

/// Makes sure that a blob of an image is in the store, whole and of the descriptor's size.
pub async fn fetch_from(ctx: &Ctx, image: &Image, descriptor: &Descriptor) -> Result<()> {
    match (&image.origin, image.elsewhere.get(&descriptor.digest)) {
        (Origin::Base(base), _) => blob::blob(ctx, base, descriptor).await,
        (Origin::Store, _) if stored(ctx, descriptor).await? => Ok(()),
        (Origin::Store, Some(base)) => {
            let fetched = blob::blob(ctx, base, descriptor).await;
            fetched.map_err(|error| error.context(format!("fetching a layer of the base `{base}`")))
        }
        (Origin::Store, None) => Err(gone(&descriptor.digest)),
    }
}

/// Whether a blob of an image can be had: `false` where its registry says that there is none.
pub async fn has(ctx: &Ctx, image: &Image, descriptor: &Descriptor) -> Result<bool> {
    if stored(ctx, descriptor).await? {
        return Ok(true);
    }
    match image.repository() {
        Some(repository) => ctx.registries.has_blob(repository, &descriptor.digest).await,
        None => Ok(true),
    }
}
