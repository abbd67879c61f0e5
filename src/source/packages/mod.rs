//! Stage 5: packages of a distribution. A manifest in, pinned packages out ([`resolve`]); pinned packages in, files out ([`unpack`]).
//! Asks mirrors, reads keyrings that the manifest names, uses the store. Nothing of a package is ever run.
//!
//! ```text
//! stanza     `Key: value` texts                    pgp        who signed a text
//! solve      wishes and relations to a set of packages
//! fetch      verified files of a mirror            installed  what a base has already
//! fuzzing   what is promised of both
//! debian/    Release, Packages, relations, .deb    alpine/    APKINDEX, .apk
//! ```

mod alpine;
mod debian;
mod fetch;
pub(crate) mod fuzzing;
mod installed;
mod pgp;
mod solve;
mod stanza;
mod unpack;

pub use installed::installed;
pub use unpack::{APPLETS, RECORD, Unpacked, unpack};

use std::collections::BTreeMap;
use std::sync::Arc;

use solve::{Bound, Relation};

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::manifest::{Family, Manifest, Wish};
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
        Family::Alpine => alpine::resolve(ctx, wanted, &installed, &locked).await?,
    };
    Ok(Some(Resolved { family: wanted.family, request, indexes, packages }))
}

/// When each index was made that was read last: the place of its source, its suite, and seconds since 1970.
type Ages = BTreeMap<(usize, String), i64>;

/// The ages of indexes whose sources are still the same.
fn ages(old: &Resolved, request: &Request) -> Ages {
    let mut ages = BTreeMap::new();
    for index in &old.indexes {
        let name = old.request.sources.get(index.source.wrapping_sub(1));
        let now = request.sources.iter().position(|source| Some(source) == name);
        let date = index.date.parse::<jiff::Timestamp>().map(|date| date.as_second());
        if let (Some(now), Ok(date)) = (now, date) {
            ages.insert((now + 1, index.suite.clone()), date);
        }
    }
    ages
}

/// Refuses an index that is older than the one that was read last.
fn older(date: i64, locked: Option<i64>) -> Result<()> {
    let Some(locked) = locked.filter(|locked| date < *locked) else { return Ok(()) };
    let (date, locked) = (shown(date), shown(locked));
    Err(Error::policy(format!("its index is of {date}, older than the locked one of {locked}"))
        .hint("the mirror may lag behind, or hold something back; wait, or take another one")
        .hint("`stillframe update --allow-older` takes it all the same"))
}

/// The same error, if it is the archive's: nobody here wrote a package.
fn foreign(error: Error) -> Error {
    match error.kind() {
        Kind::Usage => {
            error.hints().iter().fold(Error::remote(error.message().to_string()), |new, hint| new.hint(hint))
        }
        _ => error,
    }
}

/// A time for people and for the lock.
fn shown(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// A wish as a relation.
fn relation(wish: &Wish) -> Relation {
    let bound = wish.version.as_ref().and_then(|(operator, version)| Some((Bound::of(operator)?, version.clone())));
    Relation { name: wish.name.clone(), qualifier: None, bound }
}
