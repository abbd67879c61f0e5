//! Stage 10: what is another in a base that has moved. The manifest before and after in, sizes and packages for each platform out. Reads
//! both bases, through `source`; what cannot be read is told and fails nothing, because the pin itself is known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cli::session::Session;
use crate::error::{Error, Place, Result};
use crate::manifest::{self, Manifest};
use crate::oci::Platform;
use crate::source;
use crate::trust::sbom;

/// What moved in the base of one platform.
pub struct Inside {
    /// The platform.
    platform: Platform,
    /// The bytes of its layers and its packages, before and now; or why they are not known.
    sides: Result<[Side; 2]>,
}

/// A base as it is on one side.
struct Side {
    size: u64,
    /// Versions by name; several where a name is there more than once.
    packages: BTreeMap<String, BTreeSet<String>>,
}

/// A package that is not as it was: its versions before and now.
type Change<'a> = (&'a str, Option<String>, Option<String>);

/// Looks into the bases that stand at this place of the manifest, before and after they moved.
pub async fn look(session: &Session<'_>, old: &Manifest, new: &Manifest, place: &Place) -> Result<Vec<Inside>> {
    let mut all = Vec::new();
    let at = |image: &&manifest::Image| image.base.1.span.start == place.span.start;
    for before in old.images.iter().filter(at) {
        let after = new.images.iter().find(|image| image.platform == before.platform);
        let Some(after) = after.filter(|after| after.base.0 != before.base.0) else { continue };
        let sides = both(session, before, after).await;
        session.ctx.cancel.check()?;
        all.push(Inside { platform: before.platform.clone(), sides });
    }
    Ok(all)
}

async fn both(session: &Session<'_>, before: &manifest::Image, after: &manifest::Image) -> Result<[Side; 2]> {
    let context = |error: Error, which: &str| error.context(format!("looking into the {which} base"));
    let old = side(session, before).await.map_err(|error| context(error, "old"))?;
    let new = side(session, after).await.map_err(|error| context(error, "new"))?;
    Ok([old, new])
}

async fn side(session: &Session<'_>, image: &manifest::Image) -> Result<Side> {
    let base = source::base(&session.ctx, &image.base.0, &image.platform).await?;
    let packages = sbom::installed(&session.ctx, &base).await?;
    Ok(Side { size: base.manifest.layers.iter().map(|layer| layer.size).sum(), packages })
}

/// What both sides do not have alike.
fn changes(sides: &[Side; 2]) -> Vec<Change<'_>> {
    let [old, new] = sides.each_ref().map(|side| &side.packages);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let moved = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let shown = |versions: &BTreeSet<String>| versions.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    moved.map(|name| (name.as_str(), old.get(name).map(shown), new.get(name).map(shown))).collect()
}

/// Lines below that of the base: one for each platform, then one for each package with the platforms that it is so for.
pub fn lines(all: &[Inside]) -> String {
    let mut text = String::new();
    let mut packages: BTreeMap<Change<'_>, Vec<String>> = BTreeMap::new();
    for inside in all {
        let platform = inside.platform.to_string();
        match &inside.sides {
            Ok(sides) => {
                let [old, new] = sides.each_ref().map(|side| side.size);
                let more = i128::from(new) - i128::from(old);
                text += &format!("  {platform}: {old} -> {new} bytes ({more:+})\n");
                for change in changes(sides) {
                    packages.entry(change).or_default().push(platform.clone());
                }
            }
            Err(error) => text += &format!("  {platform}: what moved in it is not known: {}\n", why(error)),
        }
    }
    for ((name, old, new), platforms) in packages {
        let what = match (old, new) {
            (Some(old), Some(new)) => format!("{old} -> {new}"),
            (Some(old), None) => format!("{old} is gone"),
            (None, new) => format!("new {}", new.unwrap_or_default()),
        };
        text += &format!("  package {name} {what} ({})\n", platforms.join(", "));
    }
    text
}

/// The same as JSON.
pub fn value(all: &[Inside]) -> Value {
    let one = |inside: &Inside| {
        let platform = inside.platform.to_string();
        match &inside.sides {
            Ok(sides) => {
                let package = |(name, old, new): Change<'_>| json!({ "name": name, "old": old, "new": new });
                let packages: Vec<Value> = changes(sides).into_iter().map(package).collect();
                let [old, new] = sides.each_ref().map(|side| side.size);
                json!({ "platform": platform, "old": old, "new": new, "packages": packages })
            }
            Err(error) => json!({ "platform": platform, "unknown": why(error) }),
        }
    };
    all.iter().map(one).collect()
}

fn why(error: &Error) -> String {
    [error.message().to_string()].into_iter().chain(error.causes()).collect::<Vec<_>>().join(": ")
}
