//! Stage 9: the local store as a destination. An artifact in; its documents in the store and one line that describes it out.

use serde_json::json;

use super::Cargo;
use super::blobs::all;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::oci::json::canonical;

/// Keeps the artifact: its layers are in the store already, layers of a base stay where they are until they are needed.
pub async fn keep(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<()> {
    for bytes in all(cargo.artifact).into_iter().filter_map(|blob| blob.bytes) {
        ctx.store.put(&bytes)?;
    }
    let root = &cargo.artifact.root.descriptor;
    let names: Vec<String> = cargo.target.names.iter().map(ToString::to_string).collect();
    let tags: Vec<&str> = cargo.target.tags.iter().map(|tag| tag.as_str()).collect();
    let platforms: Vec<String> = cargo.artifact.images.iter().map(|image| image.platform.to_string()).collect();
    let description = json!({ "root": root, "names": names, "tags": tags, "platforms": platforms });
    ctx.store.keep_image(&root.digest, &canonical(&description))
}
