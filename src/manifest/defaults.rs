//! Stage 1: what a manifest takes from the root of its workspace. Two texts in, one manifest as it is written out, in which every value
//! still knows the file that it stands in. Pure.

use std::sync::Arc;

use super::check;
use super::locate::{Location, Root};
use super::written::{self, Spot, View, Written};
use crate::error::{Finding, Place, Report, Text};

/// What a manifest takes from the root of its workspace, which has defaults.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The root.
    pub root: Root,
    /// The values that are taken, in the order of the root's file.
    pub inherited: Vec<Inherited>,
}

/// A value that is taken from the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// Its key, as in `image.base`.
    pub key: String,
    /// Where it stands.
    pub place: Place,
}

impl Shared {
    /// Whether a place lies in the root's file.
    pub fn holds(&self, place: &Place) -> bool {
        Arc::ptr_eq(&self.root.text, &place.text)
    }
}

/// Checks a manifest and the defaults of its workspace, and joins them: what the manifest says itself counts.
pub(super) fn read(location: &Location, report: &mut Report) -> (Written, Option<Shared>) {
    let above = location.root.as_ref().map(|root| (root, check::root(&root.text, report)));
    let defaults = above.as_ref().and_then(|(root, tree)| Some((*root, check::defaults(tree.get_ref())?)));
    let based = defaults.is_some_and(|(_, table)| check::has_base(table));
    let tree = check::member(&location.text, based, report);
    let own = written::read(&location.text, tree.get_ref());
    if let Some((key, _)) = tree.get_ref().get_key_value("workspace")
        && !tree.get_ref().contains_key("image")
    {
        report.add(
            Finding::error("workspace", "this manifest is the root of a workspace, and makes no image itself")
                .at(&written::place_of(&location.text, key.span()), "")
                .help("say `--all` for all of its images, or name the manifest of one with `-f`"),
        );
    }
    // A root that is an image is a member of its own workspace.
    let Location { text, file, directory, .. } = location.clone();
    let itself = Root { text, file, directory };
    let defaults = defaults.or_else(|| Some((&itself, check::defaults(tree.get_ref())?)));
    let Some((root, table)) = defaults else { return (own, None) };
    let (whole, inherited) = joined(own, written::read(&root.text, table), &root.text);
    (whole, Some(Shared { root: root.clone(), inherited }))
}

/// Both, the manifest's own values first.
fn joined(own: Written, shared: Written, text: &Arc<Text>) -> (Written, Vec<Inherited>) {
    let mut taken = Taken { inherited: Vec::new() };
    let whole = Written {
        vars: taken.named("vars", own.vars, shared.vars, |var| (None, &var.name)),
        image: taken.view("image", own.image, shared.image),
        healthcheck: taken.whole("healthcheck", own.healthcheck, shared.healthcheck),
        verify: taken.whole("base.verify", own.verify, shared.verify),
        sign: taken.whole("sign", own.sign, shared.sign),
        attest: taken.view("attest", own.attest, shared.attest),
        tags: match (own.tags, shared.tags) {
            (own, None) => own,
            (None, Some(shared)) => {
                let none = View::of(text, shared.place.clone(), &toml::de::DeTable::default());
                Some(taken.view("tags", none, shared))
            }
            (Some(own), Some(shared)) => Some(taken.view("tags", own, shared)),
        },
        vulnerabilities: own.vulnerabilities.or(shared.vulnerabilities),
        check: match (own.check, shared.check) {
            (own, None) => own,
            (None, Some((place, rules))) => {
                Some((place, taken.named("check", Vec::new(), rules, |(key, _)| (None, key))))
            }
            (Some((place, own)), Some((_, shared))) => {
                Some((place, taken.named("check", own, shared, |(key, _)| (None, key))))
            }
        },
        env: taken.named("env", own.env, shared.env, |(name, _)| (None, name)),
        labels: taken.named("labels", own.labels, shared.labels, |(name, _)| (None, name)),
        annotations: taken.named("annotations", own.annotations, shared.annotations, |(level, name, _)| (*level, name)),
        packages: own.packages,
        items: own.items,
    };
    let mut inherited = taken.inherited;
    inherited.sort_by_key(|one| one.place.span.start);
    inherited.dedup();
    (whole, inherited)
}

struct Taken {
    inherited: Vec<Inherited>,
}

impl Taken {
    fn note(&mut self, key: String, place: &Place) {
        self.inherited.push(Inherited { key, place: place.clone() });
    }

    /// A table whose keys say one thing together.
    fn whole(&mut self, table: &str, own: Option<View>, shared: Option<View>) -> Option<View> {
        if let (None, Some(shared)) = (&own, &shared) {
            self.note(table.to_string(), &shared.place);
        }
        own.or(shared)
    }

    /// A table, key by key.
    fn view(&mut self, table: &str, own: View, shared: View) -> View {
        for (key, place) in shared.keys().into_iter().filter(|(key, _)| !own.keys().contains_key(key)) {
            self.note(format!("{table}.{key}"), place);
        }
        own.over(shared)
    }

    /// A list of what has names. A name may stand several times in one file, and then all of it counts.
    fn named<T>(
        &mut self,
        table: &str,
        own: Vec<T>,
        shared: Vec<T>,
        name: impl Fn(&T) -> (Option<&'static str>, &Spot<String>),
    ) -> Vec<T> {
        let same = |one: &T, other: &T| {
            let ((level, one), (of, other)) = (name(one), name(other));
            level == of && one.value == other.value
        };
        let fresh: Vec<T> = shared.into_iter().filter(|one| !own.iter().any(|known| same(one, known))).collect();
        for (level, spot) in fresh.iter().map(&name) {
            let level = level.map(|level| format!(".{level}")).unwrap_or_default();
            self.note(format!("{table}{level}.{}", written::key(&spot.value)), &spot.place);
        }
        own.into_iter().chain(fresh).collect()
    }
}
