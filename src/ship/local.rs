//! Stage 9: the local store as a destination. An image in; its documents in the store and one line that describes it out.

use serde_json::{Value, json};

use super::Cargo;
use super::blobs::all;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::json::canonical;
use crate::oci::{Descriptor, Digest};

/// Keeps the artifact with its own layers; layers of a base stay where they are until they are needed.
pub async fn keep(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<()> {
    cargo.blobs.make_own(ctx).await?;
    for blob in all(cargo.artifact) {
        let Some(bytes) = blob.bytes else { continue };
        if !ctx.store.holds(&blob.descriptor.digest, blob.descriptor.size)? {
            ctx.store.put(&bytes)?;
        }
    }
    let names = cargo.target.names.iter().map(ToString::to_string);
    let tags: Vec<String> = cargo.target.tags.tags().map(ToString::to_string).collect();
    let tagged = |name: String| match tags.as_slice() {
        [] => vec![name],
        tags => tags.iter().map(|tag| format!("{name}:{tag}")).collect(),
    };
    let references: Vec<String> = names.flat_map(tagged).collect();
    let platforms = cargo.artifact.images.iter().map(|image| image.platform.to_string()).collect();
    describe(ctx, &cargo.artifact.root.descriptor, &references, platforms).await
}

/// Writes down that the store holds an image under these names. A name that another image had is this one's now.
pub async fn describe(ctx: &Ctx, root: &Descriptor, references: &[String], platforms: Vec<String>) -> Result<()> {
    let (store, root, mut references) = (ctx.store.clone(), root.clone(), references.to_vec());
    let work = tokio::task::spawn_blocking(move || {
        let _turn = store.turn("the list of images", &Digest::of(b"images"));
        for bytes in store.images() {
            let Ok(mut other) = serde_json::from_slice::<Value>(&bytes) else { continue };
            let Some(digest) = other["root"]["digest"].as_str().and_then(|text| text.parse::<Digest>().ok()) else {
                continue;
            };
            let texts = other["references"].as_array().cloned().unwrap_or_default();
            let mut theirs: Vec<String> = texts.iter().filter_map(Value::as_str).map(str::to_string).collect();
            if digest == root.digest {
                references.extend(theirs);
                continue;
            }
            let before = theirs.len();
            theirs.retain(|name| !references.contains(name));
            if theirs.len() != before {
                other["references"] = json!(theirs);
                store.keep_image(&digest, &canonical(&other))?;
            }
        }
        references.sort();
        references.dedup();
        let description = json!({ "root": root, "references": references, "platforms": platforms });
        store.keep_image(&root.digest, &canonical(&description))
    });
    work.await.map_err(|cause| Error::bug("a thread broke down").because(cause))?
}
