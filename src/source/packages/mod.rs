//! Stage 5: packages of a distribution. A manifest in, pinned packages out ([`resolve`]); pinned packages in, files out ([`unpack`]).
//! Asks mirrors, reads keyrings that the manifest names, uses the store. Nothing of a package is ever run.
//!
//! ```text
//! stanza     `Key: value` texts                    pgp        who signed a text
//! solve      wishes and relations to a set of packages
//! fetch      verified files of a mirror            installed  what a base has already
//! debian/    Release, Packages, relations, .deb    alpine/    APKINDEX, .apk
//! ```

mod debian;
mod fetch;
mod installed;
mod pgp;
mod solve;
mod stanza;
mod unpack;

pub use unpack::{Unpacked, unpack};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::{Family, Manifest};
use crate::plan::lock::{Request, Resolved};
use crate::source::Base;

/// Resolves the packages of a manifest for all its platforms; `bases` are those of its images. An index that is older than the one
/// that `old` was resolved from is refused.
pub async fn resolve(
    ctx: &Ctx,
    manifest: &Manifest,
    bases: &[Arc<Base>],
    old: Option<&Resolved>,
) -> Result<Option<Resolved>> {
    let Some(wanted) = &manifest.packages else { return Ok(None) };
    let request = Request::of(wanted, manifest);
    let mut installed = Vec::new();
    for (image, base) in manifest.images.iter().zip(bases) {
        installed.push((image.platform.clone(), installed::installed(ctx, base, wanted.family).await?));
    }
    let locked = old.map(|old| ages(old, &request)).unwrap_or_default();
    let (indexes, packages) = match wanted.family {
        Family::Debian => debian::resolve(ctx, wanted, &installed, &locked).await?,
        Family::Alpine => return Err(Error::bug("packages of Alpine are not resolved yet")),
    };
    Ok(Some(Resolved { family: wanted.family, request, indexes, packages }))
}

/// When the index of each source was made that was read last; of sources that are still the same.
fn ages(old: &Resolved, request: &Request) -> BTreeMap<usize, i64> {
    let mut ages = BTreeMap::new();
    for index in &old.indexes {
        let name = old.request.sources.get(index.source.wrapping_sub(1));
        let now = request.sources.iter().position(|source| Some(source) == name);
        let date = index.date.parse::<jiff::Timestamp>().map(|date| date.as_second());
        if let (Some(now), Ok(date)) = (now, date) {
            ages.insert(now + 1, date);
        }
    }
    ages
}
