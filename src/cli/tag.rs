//! Stage 10: `stillframe tag`.

use serde_json::json;

use super::args::Tagging;
use super::session::Session;
use crate::ctx::Ctx;
use crate::error::{Error, Report, Result};
use crate::event::Event;
use crate::oci::json::canonical;
use crate::oci::{Document, Reference};
use crate::registry::{Fetched, PushedManifest, Which};
use crate::ship;
use crate::source::Place;

/// What a reference leads to in its registry: by its digest, else by its tag, else by `latest`.
pub(super) async fn find(ctx: &Ctx, reference: &Reference) -> Result<Fetched> {
    let name = &reference.repository;
    let usual = "latest".parse()?;
    let which = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => Which::Digest(digest),
        (None, tag) => Which::Tag(tag.as_ref().unwrap_or(&usual)),
    };
    let found = match which {
        Which::Digest(_) => ctx.registries.manifest(name, which).await?,
        Which::Tag(tag) => ctx.registries.current(name, tag).await?,
    };
    found.ok_or_else(|| Error::remote(format!("the registry has no `{which}` in `{name}`")))
}

/// Makes tags of a registry say what another tag or a digest there says.
pub async fn run(session: &Session<'_>, options: &Tagging) -> Result<u8> {
    let Place::Registry(reference) = &options.reference else {
        return Err(Error::usage(format!(
            "`{}` is in no registry, and only these have tags to move",
            options.reference
        ))
        .hint("write an image to a registry under a new tag with `stillframe copy`"));
    };
    let ctx = &session.ctx;
    let name = &reference.repository;
    let found = find(ctx, reference).await?;
    let document = Document::read(&found.bytes, found.media_type.as_deref(), &format!("`{reference}`"))?;
    let media_type = document.media_type().or(found.media_type.as_deref()).unwrap_or_default().to_string();
    let mut tags = Vec::new();
    for tag in &options.tags {
        ctx.cancel.check()?;
        let before = ctx.registries.head(name, Which::Tag(tag)).await?;
        let how = match before == Some(found.digest) {
            true => "unchanged",
            false => match ctx.registries.push_manifest(name, Which::Tag(tag), &media_type, &found.bytes).await? {
                PushedManifest::Created { .. } => "set",
                PushedManifest::Unchanged => "unchanged",
                PushedManifest::Missing(_) => {
                    return Err(Error::remote(format!("`{name}` lacks content of {}", found.digest))
                        .hint("copy the image there once more from where it is whole, with `stillframe copy`"));
                }
            },
        };
        ctx.say(Event::Detail { text: format!("tag {name}:{tag}: {how}") });
        tags.push(json!({ "tag": tag.as_str(), "from": before, "how": how }));
    }
    let line = format!("{name}@{}", found.digest);
    let told = json!({ "digest": found.digest, "name": name.to_string(), "reference": line, "tags": tags });
    if let Some(path) = &options.receipt {
        ship::receipt(path, &canonical(&told))?;
    }
    if session.terminal.json() {
        session.terminal.document(told, &Report::default())?;
    } else {
        session.terminal.result(&format!("{line}\n"))?;
    }
    Ok(0)
}
