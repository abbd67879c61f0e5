//! Stage 6: ways to make own layers again. A digest in, its blob in the store out, or the refusal of other bytes than were remembered.
//! May do what packing may do; on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// Makes one layer into the store; it fails where other bytes come out than those of its name.
pub type Recipe = Arc<dyn Fn(&Ctx) -> Result<()> + Send + Sync>;

/// A way to make each own layer of an image, by the digest of its blob. None is followed before somebody needs the bytes.
#[derive(Clone, Default)]
pub struct Recipes(BTreeMap<Digest, (Recipe, bool)>);

impl Recipes {
    /// Adds a way to make this blob, and says whether the store held it when it was last looked at.
    pub fn add(&mut self, digest: Digest, recipe: Recipe, stored: bool) {
        self.0.insert(digest, (recipe, stored));
    }

    /// Whether this blob is only known, and has to be made before it can be read.
    pub fn lacks(&self, digest: &Digest) -> bool {
        self.0.get(digest).is_some_and(|(_, stored)| !stored)
    }

    /// The blobs that are only known.
    pub fn lacking(&self) -> Vec<Digest> {
        self.0.iter().filter(|(_, (_, stored))| !stored).map(|(digest, _)| *digest).collect()
    }

    /// Makes a blob; `false` where there is no way to.
    pub async fn make(&self, ctx: &Ctx, digest: &Digest) -> Result<bool> {
        let Some((recipe, _)) = self.0.get(digest) else { return Ok(false) };
        let (recipe, task) = (recipe.clone(), ctx.clone());
        let made = tokio::task::spawn_blocking(move || recipe(&task)).await;
        made.map_err(|cause| Error::bug("a packing thread broke down").because(cause))??;
        Ok(true)
    }
}
