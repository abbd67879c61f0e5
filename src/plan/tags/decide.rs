//! Stage 2: from wishes to decisions. Wishes, what one repository has, the image's digest and what was allowed in; what happens to each tag
//! out. Pure.

use semver::Version;

use super::release::{self, Reach, Shape};
use super::{Decision, Fate, Known, Leave, Refusal, Sharing, Tags, Want, Wish};
use crate::error::Kind;
use crate::oci::{Digest, Tag};

/// A release that is known, and its tag where the registry has it.
type Release = (Version, Option<Tag>);

impl Tags {
    /// What happens to each tag of a repository, in the order in which they are set.
    pub fn decide(&self, known: &Known, digest: &Digest, leave: Leave) -> Vec<Decision> {
        let releases = self.all(known);
        self.wishes.iter().map(|wish| self.one(wish, known, &releases, digest, leave)).collect()
    }

    /// All releases, the highest first; of one release its tags in the registry first, and of these the one in the pattern's shape.
    fn all(&self, known: &Known) -> Vec<Release> {
        let read = |(at, shape): (usize, &Shape), tag: &Tag| Some((shape.read(tag)?, at, Some(tag.clone())));
        let there = known.tags.iter().chain(known.now.keys());
        let there = there.filter_map(|tag| self.shapes.iter().enumerate().find_map(|shape| read(shape, tag)));
        let of_git = self.releases.iter().map(|version| (version.clone(), self.shapes.len(), None));
        let mut releases: Vec<(Version, usize, Option<Tag>)> = there.chain(of_git).collect();
        releases.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        releases.into_iter().map(|(version, _, tag)| (version, tag)).collect()
    }

    fn one(&self, wish: &Wish, known: &Known, releases: &[Release], digest: &Digest, leave: Leave) -> Decision {
        let decision = |what: Fate, why: String| Decision { name: wish.name.clone(), what, why };
        let refused = |refusal: Refusal| decision(Fate::Refused(refusal.clone()), refusal.why);
        let dirty = self.dirty.as_ref().filter(|_| wish.of_commit && !leave.dirty);
        if let (Some(why), Some(_)) = (dirty, wish.want.tag()) {
            let help = "commit first, or say `--allow-dirty` to tag what is no commit".into();
            return refused(Refusal { why: why.clone(), help, kind: Kind::Policy });
        }
        let set = |tag: &Tag, why: String| match known.now.get(tag) {
            None => decision(Fate::Created(tag.clone()), why),
            Some(now) if now == digest => decision(Fate::Same(tag.clone()), "it says that already".into()),
            Some(now) => decision(Fate::Moved(tag.clone(), *now), why),
        };
        match &wish.want {
            Want::Not(why) => decision(Fate::Skipped, why.clone()),
            Want::Never(refusal) => refused(refusal.clone()),
            Want::Always(tag) => set(tag, String::new()),
            Want::Once(tag) => match known.now.get(tag) {
                Some(now) if now != digest && !leave.overwrite => refused(Refusal {
                    why: format!("it was released as {now}, and what was made is {digest}"),
                    help: "make a new release, or say `--overwrite` to move it".into(),
                    kind: Kind::Policy,
                }),
                _ => set(tag, String::new()),
            },
            Want::Highest { tag, version, sharing } => {
                let higher = releases.iter().take_while(|(other, _)| other > version);
                let mut higher = higher.filter(|(other, _)| sharing.holds(tag, version, other)).peekable();
                let Some((highest, _)) = higher.peek() else {
                    let other = known.now.get(tag).is_some_and(|now| now != digest);
                    let told = releases.iter().any(|(other, there)| there.is_some() && other != version);
                    return match self.shallow && other && !told {
                        true => refused(blind(tag)),
                        false => set(tag, format!("{version} is the highest release")),
                    };
                };
                let why = format!("{highest} is higher than {version}");
                let over = higher.find_map(|(_, tag)| tag.clone());
                decision(Fate::Kept { tag: tag.clone(), over }, why)
            }
        }
    }
}

/// Neither git nor the registry tells which release a shared tag says now.
fn blind(tag: &Tag) -> Refusal {
    Refusal {
        why: format!("this is a shallow clone, and no tag of the registry tells which release `{tag}` is now"),
        help: "fetch all tags with `git fetch --unshallow --tags`".into(),
        kind: Kind::Policy,
    }
}

impl Sharing {
    /// Whether another release shares the tag of this one.
    pub(super) fn holds(&self, tag: &Tag, version: &Version, other: &Version) -> bool {
        match self {
            Sharing::Pattern(pattern) => pattern.tag(release::open(other)).is_ok_and(|theirs| theirs == *tag),
            Sharing::Reach(Reach::All) => true,
            Sharing::Reach(Reach::Major) => other.major == version.major,
            Sharing::Reach(Reach::Minor) => (other.major, other.minor) == (version.major, version.minor),
            Sharing::Reach(Reach::One) => other == version,
        }
    }
}
