//! Stage 2: from wishes to decisions. Wishes, what one repository has, the image's digest and what was allowed in; what happens to each tag
//! out. Pure.

use semver::Version;

use super::release;
use super::{Decision, Fate, Known, Leave, Refusal, Tags, Want, Wish};
use crate::error::Kind;
use crate::oci::{Digest, Tag};

impl Tags {
    /// Fate happens to each tag of a repository, in the order in which they are set.
    pub fn decide(&self, known: &Known, digest: &Digest, leave: Leave) -> Vec<Decision> {
        let shapes = &self.shapes;
        let there = known.tags.iter().filter_map(|tag| shapes.iter().find_map(|shape| shape.read(tag)));
        let mut releases: Vec<Version> = there.chain(self.releases.iter().cloned()).collect();
        releases.sort_by(|a, b| b.cmp(a));
        releases.dedup();
        self.wishes.iter().map(|wish| self.one(wish, known, &releases, digest, leave)).collect()
    }

    fn one(&self, wish: &Wish, known: &Known, releases: &[Version], digest: &Digest, leave: Leave) -> Decision {
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
            Want::Highest { tag, version, pattern } => {
                let shares = |other: &Version| match pattern {
                    None => true,
                    Some(pattern) => pattern.tag(release::open(other)).is_ok_and(|theirs| theirs == *tag),
                };
                match releases.iter().take_while(|other| *other > version).find(|other| shares(other)) {
                    Some(higher) => decision(Fate::Kept(tag.clone()), format!("{higher} is higher than {version}")),
                    None => set(tag, format!("{version} is the highest release")),
                }
            }
        }
    }
}
