//! Stage 9: layers that go ahead. Layers as they are packed in; their blobs in the registries, and what the tags said before, out. So that
//! one layer is uploaded while the next is packed.
//!
//! Nothing can be seen of it: a blob that no manifest names. And nothing goes that would not go without haste either: no layer in whose
//! contents something was found that is judged first, none to where a tag is refused, none where there may be nothing to push at all.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};

use super::blobs::{Blob, Blobs};
use super::push::{AT_ONCE, all_of, lazily};
use super::pushed::Target;
use super::tags;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::event::Event;
use crate::layer::{Done, Waiting};
use crate::oci::{Digest, Repository};
use crate::plan::{Fate, Known};

/// What went ahead.
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    /// What the tags of each repository said before.
    pub known: Vec<Known>,
    sent: BTreeMap<(Repository, Digest), &'static str>,
}

impl Ahead {
    /// How a blob got to a repository, if it did.
    pub fn how(&self, name: &Repository, digest: &Digest) -> Option<&'static str> {
        self.sent.get(&(name.clone(), *digest)).copied()
    }
}

/// Looks at the tags, and sends each layer once it is packed; ends when no more come.
pub async fn ahead(ctx: &Ctx, target: &Target, layers: Waiting) -> Result<Ahead> {
    let known = tags::look(ctx, target).await?;
    let open: Vec<&Repository> =
        target.names.iter().zip(&known).filter(|(_, known)| is_open(target, known)).map(|(name, _)| name).collect();
    if open.is_empty() {
        return Ok(Ahead { known, sent: BTreeMap::new() });
    }
    let layers = stream::unfold(layers, |mut layers| async { layers.next().await.map(|layer| (layer, layers)) });
    let open = &open;
    let sent = layers.filter(|layer| std::future::ready(!layer.judged)).map(|layer| each(ctx, open, layer));
    let sent = all_of(ctx, sent.buffer_unordered(AT_ONCE)).await?;
    Ok(Ahead { known, sent: sent.into_iter().flatten().collect() })
}

/// Whether something is to be pushed there for sure: a tag is new, none of a release is there, and none is refused.
fn is_open(target: &Target, known: &Known) -> bool {
    let decisions = target.tags.decide(&Known::default(), &Digest::of(b""), target.leave);
    let refused = decisions.iter().any(|decision| matches!(decision.what, Fate::Refused(_)));
    let there = |tag| known.now.contains_key(tag);
    !refused && !target.tags.once().any(there) && !target.tags.tags().all(there)
}

/// Sends one layer to all repositories; those of one registry take it over from each other.
async fn each(ctx: &Ctx, open: &[&Repository], layer: Done) -> Result<Vec<((Repository, Digest), &'static str)>> {
    let (digest, blob) = (layer.descriptor.digest, Blob { descriptor: layer.descriptor, bytes: None });
    let mut sent = Vec::new();
    for (at, name) in open.iter().enumerate() {
        ctx.cancel.check()?;
        let what = format!("blob {} to {}", digest.short(), name.path);
        ctx.say(Event::Begin { what: what.clone(), total: blob.descriptor.size });
        let near = open[..at].iter().filter(|other| other.registry == name.registry && other.path != name.path);
        let sources: Vec<Repository> = near.map(|other| (*other).clone()).collect();
        let how = lazily(ctx, &Blobs::default(), name, &blob, &sources, &what).await;
        ctx.say(Event::End { what, how: how.as_ref().unwrap_or(&"failed") });
        sent.push(((Repository::clone(name), digest), how?));
    }
    Ok(sent)
}
