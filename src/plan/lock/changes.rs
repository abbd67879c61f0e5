//! Stage 2: what moves from one lock to another. Two locks in, the packages that came, went and changed out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Lock, Locked};

/// A package that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// The version and size that it had.
    pub old: Option<(String, u64)>,
    /// The version and size that it has.
    pub new: Option<(String, u64)>,
    /// The platforms that this is so for.
    pub platforms: BTreeSet<String>,
}

/// The version and the size of a package that is there.
type Shown = Option<(String, u64)>;

impl Lock {
    /// What another lock has in another way, by name.
    pub fn changes(&self, new: &Lock) -> Vec<PackageChange> {
        let (old, new) = (self.by_place(), new.by_place());
        let places: BTreeSet<&(&str, &str)> = old.keys().chain(new.keys()).collect();
        let mut changes: BTreeMap<(String, Shown, Shown), BTreeSet<String>> = BTreeMap::new();
        for place in places {
            let (before, after) = (old.get(place), new.get(place));
            if before.map(|package| package.digest) == after.map(|package| package.digest) {
                continue;
            }
            let shown = |package: &&Locked| (package.version.clone(), package.size);
            let key = (place.0.to_string(), before.map(shown), after.map(shown));
            changes.entry(key).or_default().insert(place.1.to_string());
        }
        let change = |((name, old, new), platforms)| PackageChange { name, old, new, platforms };
        changes.into_iter().map(change).collect()
    }

    /// The packages by name and platform.
    fn by_place(&self) -> BTreeMap<(&str, &str), &Locked> {
        let packages = self.packages.iter().flat_map(|resolved| &resolved.packages);
        let places = packages.flat_map(|package| {
            let platforms = package.platforms.iter();
            platforms.map(move |platform| ((package.name.as_str(), platform.as_str()), package))
        });
        places.collect()
    }
}
