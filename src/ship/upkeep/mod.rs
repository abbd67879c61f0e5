//! Stage 9: keeping a repository in order. Its name in; everything that its tags lead to and what belongs to that out, and after a verdict
//! the deletions. Asks a registry, and deletes there.

mod graph;
mod rules;

pub use graph::{Graph, Paper, belongs};
pub use rules::{Rules, Verdict, Verdicts, judge};

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::{Descriptor, Digest, Document, Repository, Tag, media};
use crate::registry::Which;

/// How many questions are asked at once.
const AT_ONCE: usize = 8;
/// Most documents that are looked at.
const MOST_DOCUMENTS: usize = 100_000;
/// Largest config in bytes.
const MOST_CONFIG: u64 = 8 << 20;
/// The annotation that says when an image was made.
const CREATED: &str = "org.opencontainers.image.created";

/// Looks at all tags of a repository, at all that they lead to, and at all that belongs to that. With `times` it is asked when each image
/// was made. What cannot be found out is an error.
pub async fn survey(ctx: &Ctx, name: &Repository, times: bool) -> Result<Graph> {
    let tags = ctx.registries.tags(name).await?;
    let read = |tag: Tag| async move {
        ctx.cancel.check()?;
        let found = ctx.registries.current(name, &tag).await?;
        let Some(found) = found else { return Ok::<_, Error>(None) };
        let document = Document::read(&found.bytes, found.media_type.as_deref(), &format!("`{name}:{tag}`"))?;
        Ok(Some((tag, found.digest, document)))
    };
    let found: Vec<Option<(Tag, Digest, Document)>> =
        stream::iter(tags.into_iter().map(read)).buffered(AT_ONCE).try_collect().await?;
    let mut graph = Graph::default();
    let mut ahead = Vec::new();
    for (tag, digest, document) in found.into_iter().flatten() {
        if let Entry::Vacant(free) = graph.papers.entry(digest) {
            let mut paper = Paper::of(&document);
            if times && belongs(&tag).is_none() {
                paper.created = created(ctx, name, &document).await?;
            }
            ahead.push(digest);
            ahead.extend(&paper.children);
            free.insert(paper);
        }
        graph.tags.insert(tag, digest);
    }
    let mut seen = BTreeSet::new();
    loop {
        around(ctx, name, &mut graph, &mut ahead, &mut seen).await?;
        // What tags belong to, or tagged papers refer to, may be there without a tag of its own.
        let subjects =
            graph.tags.keys().filter_map(belongs).chain(graph.papers.values().filter_map(|paper| paper.subject));
        let unknown: BTreeSet<Digest> = subjects.filter(|subject| !seen.contains(subject)).collect();
        if unknown.is_empty() {
            return Ok(graph);
        }
        for subject in unknown {
            ahead.push(subject);
            let tagged = graph.papers.contains_key(&subject);
            if !tagged && ctx.registries.head(name, Which::Digest(&subject)).await?.is_some() {
                graph.untagged.insert(subject);
            }
        }
    }
}

/// Reads what is ahead, what that lists, and what belongs to all of it, until nothing is new.
async fn around(
    ctx: &Ctx,
    name: &Repository,
    graph: &mut Graph,
    ahead: &mut Vec<Digest>,
    seen: &mut BTreeSet<Digest>,
) -> Result<()> {
    while !ahead.is_empty() {
        ctx.cancel.check()?;
        let now: Vec<Digest> = std::mem::take(ahead).into_iter().filter(|digest| seen.insert(*digest)).collect();
        if seen.len() > MOST_DOCUMENTS {
            return Err(Error::remote(format!("`{name}` has over {MOST_DOCUMENTS} manifests, which is the limit")));
        }
        let known = &graph.papers;
        let asked = now.iter().map(|digest| async move {
            ctx.cancel.check()?;
            let paper = match known.get(digest) {
                Some(paper) => Some(paper.clone()),
                None => document(ctx, name, digest).await?.map(|document| Paper::of(&document)),
            };
            let referrers = match paper {
                Some(_) => ctx.registries.referrers(name, digest).await?,
                None => Vec::new(),
            };
            Ok::<_, Error>((*digest, paper, referrers))
        });
        let found: Vec<(Digest, Option<Paper>, Vec<Descriptor>)> =
            stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        for (digest, paper, referrers) in found {
            let Some(paper) = paper else { continue };
            ahead.extend(&paper.children);
            ahead.extend(referrers.iter().map(|one| one.digest));
            graph.papers.entry(digest).or_insert(paper);
            if !referrers.is_empty() {
                graph.referrers.entry(digest).or_default().extend(referrers.iter().map(|one| one.digest));
            }
        }
    }
    Ok(())
}

async fn document(ctx: &Ctx, name: &Repository, digest: &Digest) -> Result<Option<Document>> {
    let found = ctx.registries.manifest(name, Which::Digest(digest)).await?;
    let read = |found: crate::registry::Fetched| {
        Document::read(&found.bytes, found.media_type.as_deref(), &format!("`{name}@{digest}`"))
    };
    found.map(read).transpose()
}

/// When an image was made: its own annotation, else its config; of an index the first image that says so.
async fn created(ctx: &Ctx, name: &Repository, document: &Document) -> Result<Option<jiff::Timestamp>> {
    let annotations = match document {
        Document::Manifest(manifest) => &manifest.annotations,
        Document::Index(index) => &index.annotations,
    };
    if let Some(said) = annotations.get(CREATED).and_then(|text| text.parse().ok()) {
        return Ok(Some(said));
    }
    match document {
        Document::Manifest(manifest) => of_config(ctx, name, &manifest.config).await,
        Document::Index(index) => {
            let unknown = |child: &Descriptor| child.platform.as_ref().is_some_and(|it| it.platform().os == "unknown");
            for child in index.manifests.iter().filter(|child| crate::source::is_document(child) && !unknown(child)) {
                let Some(Document::Manifest(manifest)) = self::document(ctx, name, &child.digest).await? else {
                    continue;
                };
                if let Some(found) = of_config(ctx, name, &manifest.config).await? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        }
    }
}

async fn of_config(ctx: &Ctx, name: &Repository, config: &Descriptor) -> Result<Option<jiff::Timestamp>> {
    let image = [media::CONFIG, media::DOCKER_CONFIG].contains(&config.media_type.as_str());
    if !image || config.size > MOST_CONFIG {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    ctx.registries.blob(name, config, &mut bytes).await?;
    // Nothing else of the config matters here, so nothing else has to be right.
    let config: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(config["created"].as_str().and_then(|text| text.parse().ok()))
}

/// What was deleted, and what could not be.
#[derive(Debug, Default)]
pub struct Deleted {
    /// The digests that are gone.
    pub gone: Vec<Digest>,
    /// What is still there, and why.
    pub failed: Vec<(Digest, Error)>,
}

/// Deletes what the verdicts say, after a look whether the tags still say what they said. What fails does not keep the rest.
pub async fn delete(ctx: &Ctx, name: &Repository, verdicts: &Verdicts) -> Result<Deleted> {
    unchanged(ctx, name, verdicts).await?;
    let mut deleted = Deleted::default();
    for digest in &verdicts.delete {
        ctx.cancel.check()?;
        match ctx.registries.delete_manifest(name, digest).await {
            Ok(_) => {
                ctx.say(Event::Detail { text: format!("deleted {name}@{digest}") });
                deleted.gone.push(*digest);
            }
            Err(error) => deleted.failed.push((*digest, error)),
        }
    }
    Ok(deleted)
}

/// Fails where a tag was set meanwhile: what is needed may be something else now.
async fn unchanged(ctx: &Ctx, name: &Repository, verdicts: &Verdicts) -> Result<()> {
    let changed = |tag: &Tag| {
        Err(Error::remote(format!("the tag `{tag}` of `{name}` was changed meanwhile; nothing was deleted"))
            .hint("run it again when nobody pushes there"))
    };
    let known: BTreeSet<&Tag> = verdicts.tags.iter().map(|one| &one.tag).collect();
    let now = ctx.registries.tags(name).await?;
    if let Some(new) = now.iter().find(|tag| !known.contains(tag)) {
        return changed(new);
    }
    let going: BTreeSet<&Digest> = verdicts.delete.iter().collect();
    let asked = verdicts.tags.iter().map(|one| async move {
        ctx.cancel.check()?;
        Ok::<_, Error>((one, ctx.registries.head(name, Which::Tag(&one.tag)).await?))
    });
    let heads: Vec<(&Verdict, Option<Digest>)> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    for (one, says) in heads {
        let other = says.is_some_and(|says| says != one.digest);
        if other && (one.stays.is_none() || says.is_some_and(|says| going.contains(&says))) {
            return changed(&one.tag);
        }
    }
    Ok(())
}
