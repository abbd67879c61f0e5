//! Stage 5, for fuzzing: what both families' doors promise (`crate::fuzzing`). Packages in, a panic where a set is chosen that cannot be.
//! Pure.

pub(crate) use super::alpine::fuzzing::{apk, apkindex};
pub(crate) use super::debian::fuzzing::{deb, packages, release};

use std::collections::BTreeSet;

use super::solve::{Relation, Universe, matching, solve};
use crate::error::Error;

/// How many packages are wished for at once.
const WISHES: u32 = 3;
/// The most packages that a set is sought among.
const MOST: u32 = 200;

/// Whatever set is chosen of `count` packages holds the wishes and what everything in it needs, and nothing that something in it does
/// not bear.
pub fn chosen(universe: &impl Universe, count: u32) {
    if count > MOST {
        return;
    }
    let wish = |package: u32| Relation { name: universe.name(package).to_string(), qualifier: None, bound: None };
    let wishes: Vec<Relation> = (0..count.min(WISHES)).map(wish).collect();
    for recommends in [false, true] {
        let Ok(new) = solve(universe, &wishes, recommends).inspect_err(told) else { continue };
        let installed = (0..count).filter(|package| universe.is_installed(*package));
        let there: BTreeSet<u32> = new.iter().copied().chain(installed).collect();
        let met = |group: &[Relation]| matching(universe, group).iter().any(|package| there.contains(package));
        assert!(wishes.iter().all(|wish| met(std::slice::from_ref(wish))), "a wish is not met");
        let names: BTreeSet<&str> = new.iter().map(|package| universe.name(*package)).collect();
        assert_eq!(names.len(), new.len(), "a package is chosen in two versions");
        for package in &new {
            assert!(!universe.is_installed(*package));
            let name = universe.name(*package);
            let needs = universe.needs(*package).expect("the needs of what was chosen can be read");
            assert!(needs.depends.iter().all(|group| met(group)), "{name:?} lacks something");
            for relation in &needs.conflicts {
                let mut hostile = matching(universe, std::slice::from_ref(relation)).into_iter();
                assert!(!hostile.any(|other| universe.name(other) != name && new.contains(&other)), "{name:?}");
            }
        }
    }
}

/// An error says something.
pub fn told(error: &Error) {
    assert!(!error.message().is_empty());
}
