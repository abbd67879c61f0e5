//! Stage 3: what may go. What is there, when it was used and what is wished in; the images and things to remove out. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Held, Reach, Thing};
use crate::oci::Digest;
use crate::store::Kept;

/// What is wished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Images that have a name may go too.
    pub all: bool,
    /// Only what was last used before this moment may go.
    pub before: Option<SystemTime>,
    /// As much as this may stay, in bytes: of what may go only as much goes as is needed, the least recently used first.
    pub keep: Option<u64>,
}

/// What goes.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The images.
    pub images: Vec<Kept>,
    /// Blobs and remembered facts.
    pub things: Vec<Held>,
}

/// Chooses what goes. `in_use` says whether somebody at work may rely on what was last used at a moment. A thing that is needed by an
/// image that stays, stays.
pub fn choose(
    images: &[(Kept, SystemTime, Reach)],
    held: &[Held],
    wish: Wish,
    in_use: &dyn Fn(SystemTime) -> bool,
) -> Choice {
    let may = |used: SystemTime| !in_use(used) && wish.before.is_none_or(|before| used < before);
    let goes = |(kept, used, _): &&(Kept, SystemTime, Reach)| may(*used) && (wish.all || kept.references.is_empty());
    let mut candidates: Vec<&(Kept, SystemTime, Reach)> = images.iter().filter(goes).collect();
    candidates.sort_by_key(|(kept, used, _)| (*used, kept.root.digest));
    // How many images need a blob.
    let mut needed: BTreeMap<Digest, usize> = BTreeMap::new();
    for digest in images.iter().flat_map(|(_, _, reach)| reach.blobs.keys()) {
        *needed.entry(*digest).or_default() += 1;
    }
    let mut total: u64 = held.iter().map(|one| one.size).sum();
    let enough = |total: u64| wish.keep.is_some_and(|keep| total <= keep);
    let mut choice = Choice::default();
    let mut gone = vec![false; held.len()];
    let mut take = |needed: &BTreeMap<Digest, usize>, choice: &mut Choice, total: &mut u64| {
        for (one, gone) in held.iter().zip(&mut gone) {
            let free = match &one.what {
                Thing::Blob(digest) => needed.get(digest).is_none_or(|count| *count == 0),
                Thing::Memo(..) => true,
            };
            if !*gone && free && may(one.used) && !enough(*total) {
                *gone = true;
                *total -= one.size;
                choice.things.push(one.clone());
            }
        }
    };
    take(&needed, &mut choice, &mut total);
    for (kept, _, reach) in candidates {
        if enough(total) {
            break;
        }
        for digest in reach.blobs.keys() {
            needed.entry(*digest).and_modify(|count| *count -= 1);
        }
        choice.images.push(kept.clone());
        take(&needed, &mut choice, &mut total);
    }
    choice
}
