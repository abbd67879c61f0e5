//! Stage 9: which tags of a repository stay, and what may be deleted. What is known and rules in; a verdict on each tag and the digests to
//! delete, in their order, out. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use regex::Regex;
use semver::Version;

use super::graph::{Graph, belongs};
use crate::oci::{Digest, Tag};

/// What is wished to stay.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// So many of the newest images.
    pub last: Option<usize>,
    /// Tags that are whole semantic versions.
    pub semver: bool,
    /// Tags that one of these fits.
    pub patterns: Vec<Regex>,
    /// Images that were made at this moment or later.
    pub younger: Option<Timestamp>,
    /// Only these tags may go.
    pub only: Option<BTreeSet<Tag>>,
}

/// What becomes of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The tag.
    pub tag: Tag,
    /// What it says.
    pub digest: Digest,
    /// Why it stays; it goes where there is no reason.
    pub stays: Option<String>,
}

/// What becomes of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Of each tag, in their order.
    pub tags: Vec<Verdict>,
    /// What is deleted: what names others first, what belongs to them last.
    pub delete: Vec<Digest>,
}

/// Judges every tag. What something that stays needs, stays; and where it is not known how old an image is, it counts as new.
pub fn judge(graph: &Graph, rules: &Rules) -> Verdicts {
    let images: BTreeMap<&Tag, &Digest> = graph.tags.iter().filter(|(tag, _)| !attached(graph, tag)).collect();
    let newest = newest(graph, &images, rules.last);
    let mut stays: BTreeMap<&Tag, String> = BTreeMap::new();
    for (tag, digest) in &images {
        if let Some(why) = by_rule(graph, rules, tag, digest, &newest) {
            stays.insert(tag, why);
        }
    }
    let roots = stays.keys().filter_map(|tag| graph.tags.get(tag)).copied().chain(graph.untagged.iter().copied());
    let needed = graph.needs(roots.collect::<Vec<_>>());
    let mut verdicts = Verdicts::default();
    for (tag, digest) in &graph.tags {
        let why =
            stays.get(tag).cloned().or_else(|| needed.contains(digest).then(|| needed_by(graph, tag, digest, &stays)));
        verdicts.tags.push(Verdict { tag: tag.clone(), digest: *digest, stays: why });
    }
    verdicts.delete = delete(graph, &verdicts.tags, &needed);
    verdicts
}

/// Whether a tag is there for something else: for a signature, an attestation, a list of referrers.
fn attached(graph: &Graph, tag: &Tag) -> bool {
    belongs(tag).is_some_and(|subject| graph.tags.get(tag) != Some(&subject))
}

fn by_rule(graph: &Graph, rules: &Rules, tag: &Tag, digest: &Digest, newest: &BTreeSet<Digest>) -> Option<String> {
    let created = graph.papers.get(digest).and_then(|paper| paper.created);
    if rules.only.as_ref().is_some_and(|only| !only.contains(tag)) {
        return Some("not named".into());
    }
    if newest.contains(digest) {
        return Some("one of the newest".into());
    }
    if rules.semver && version(tag).is_some() {
        return Some("a version".into());
    }
    if let Some(pattern) = rules.patterns.iter().find(|pattern| pattern.is_match(tag.as_str())) {
        let shown = pattern.as_str().trim_start_matches("^(?:").trim_end_matches(")$");
        return Some(format!("fits `{shown}`"));
    }
    match (rules.younger, created) {
        (Some(younger), Some(created)) if created >= younger => Some(format!("made {created}")),
        (Some(_), None) => Some("nobody knows how old it is".into()),
        _ => None,
    }
}

/// The newest images. Those that cannot be told apart at the end of the list stay together, and what has no time stays beside them.
fn newest(graph: &Graph, images: &BTreeMap<&Tag, &Digest>, last: Option<usize>) -> BTreeSet<Digest> {
    let Some(last) = last else { return BTreeSet::new() };
    let created = |digest: &Digest| graph.papers.get(digest).and_then(|paper| paper.created);
    let highest = |digest: &Digest| {
        let own = images.iter().filter(|(_, other)| **other == digest).filter_map(|(tag, _)| version(tag));
        own.max()
    };
    let all: BTreeSet<Digest> = images.values().map(|digest| **digest).collect();
    let (known, unknown): (Vec<Digest>, Vec<Digest>) = all.into_iter().partition(|digest| created(digest).is_some());
    let mut order: Vec<_> = known.iter().map(|digest| (Reverse((created(digest), highest(digest))), *digest)).collect();
    order.sort();
    let end = last.checked_sub(1).and_then(|at| order.get(at)).map(|(key, _)| key.clone());
    let stays = |key: &Reverse<(Option<Timestamp>, Option<Version>)>| match (&end, last) {
        (_, 0) => false,
        (Some(end), _) => key <= end,
        (None, _) => true,
    };
    order.iter().filter(|(key, _)| stays(key)).map(|(_, digest)| *digest).chain(unknown).collect()
}

/// The whole semantic version that a tag is, with or without a `v`.
fn version(tag: &Tag) -> Option<Version> {
    let text = tag.as_str();
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// Which tag that stays needs a digest.
fn needed_by(graph: &Graph, tag: &Tag, digest: &Digest, stays: &BTreeMap<&Tag, String>) -> String {
    if let Some(subject) = belongs(tag) {
        return format!("belongs to {subject}");
    }
    let needs = |other: &&&Tag| graph.tags.get(*other).is_some_and(|root| graph.needs([*root]).contains(digest));
    match stays.keys().find(needs) {
        Some(other) => format!("needed by `{other}`"),
        None => "needed by what has no tag".into(),
    }
}

/// What is deleted: what the tags that go lead to, and what hangs below, unless it is needed.
fn delete(graph: &Graph, tags: &[Verdict], needed: &BTreeSet<Digest>) -> Vec<Digest> {
    let going: Vec<Digest> = tags.iter().filter(|one| one.stays.is_none()).map(|one| one.digest).collect();
    let (images, rest): (Vec<&Verdict>, Vec<&Verdict>) =
        tags.iter().filter(|one| one.stays.is_none()).partition(|one| !attached(graph, &one.tag));
    let first: BTreeSet<Digest> = images.iter().map(|one| one.digest).collect();
    let last: BTreeSet<Digest> = rest.iter().map(|one| one.digest).collect();
    let below = graph.below(going);
    let children: BTreeSet<Digest> = listed(graph, &first);
    let mut order = Vec::new();
    let belonging = below.difference(&first).filter(|digest| !children.contains(digest) && !last.contains(digest));
    for digest in first.iter().chain(&children).chain(belonging).chain(&last) {
        let known = graph.papers.contains_key(digest);
        if known && !needed.contains(digest) && !order.contains(digest) {
            order.push(*digest);
        }
    }
    order
}

/// All that some indexes list, at any depth; an index before what it lists.
fn listed(graph: &Graph, roots: &BTreeSet<Digest>) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    let mut ahead: Vec<Digest> = roots.iter().copied().collect();
    while let Some(digest) = ahead.pop() {
        for child in graph.papers.get(&digest).into_iter().flat_map(|paper| &paper.children) {
            if found.insert(*child) {
                ahead.push(*child);
            }
        }
    }
    found.difference(roots).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::graph::Paper;
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// `tag=digest` with `digest(day)>children` of it: a repository in one line.
    fn graph(tags: &[(&str, &str)], papers: &[(&str, i64, &[&str], Option<&str>)]) -> Graph {
        let paper = |(name, day, children, subject): &(&str, i64, &[&str], Option<&str>)| {
            let created = (*day > 0).then(|| Timestamp::from_second(day * 86_400).unwrap());
            let children = children.iter().map(|name| digest(name)).collect();
            (digest(name), Paper { children, subject: subject.map(digest), created })
        };
        Graph {
            tags: tags.iter().map(|(tag, name)| (tag.parse().unwrap(), digest(name))).collect(),
            papers: papers.iter().map(paper).collect(),
            ..Graph::default()
        }
    }

    fn goes(graph: &Graph, rules: &Rules) -> (Vec<String>, Vec<Digest>) {
        let verdicts = judge(graph, rules);
        let tags = verdicts.tags.iter().filter(|one| one.stays.is_none()).map(|one| one.tag.to_string());
        (tags.collect(), verdicts.delete)
    }

    #[test]
    fn each_rule_keeps_what_it_says_and_several_keep_what_any_says() {
        let graph = graph(
            &[("1.0.0", "a"), ("v1.1.0", "b"), ("1.1", "b"), ("main", "c"), ("pr-1", "d"), ("pr-2", "e")],
            &[("a", 1, &[], None), ("b", 2, &[], None), ("c", 3, &[], None), ("d", 4, &[], None), ("e", 0, &[], None)],
        );
        let check = |rules: Rules, expected: &str| {
            let (tags, deleted) = goes(&graph, &rules);
            assert_eq!(tags.join(" "), expected, "{rules:?}");
            for digest in deleted {
                assert!(graph.tags.iter().all(|(tag, says)| *says != digest || tags.contains(&tag.to_string())));
            }
        };
        let none = Rules::default;
        check(none(), "1.0.0 1.1 main pr-1 pr-2 v1.1.0");
        // What has no time counts as new.
        check(Rules { last: Some(2), ..none() }, "1.0.0 1.1 v1.1.0");
        check(Rules { last: Some(0), ..none() }, "1.0.0 1.1 main pr-1 v1.1.0");
        check(Rules { last: Some(9), ..none() }, "");
        check(Rules { semver: true, ..none() }, "main pr-1 pr-2");
        check(Rules { patterns: vec![Regex::new("^(?:pr-.*)$").unwrap()], ..none() }, "1.0.0 1.1 main v1.1.0");
        let younger = Some(Timestamp::from_second(3 * 86_400).unwrap());
        check(Rules { younger, ..none() }, "1.0.0 1.1 v1.1.0");
        check(Rules { younger, semver: true, ..none() }, "");
        check(Rules { only: Some(BTreeSet::from(["main".parse().unwrap()])), ..none() }, "main");
    }

    #[test]
    fn a_tag_of_an_image_that_stays_may_stay_alone() {
        // `1.1` is no whole version, but says the same as one that is: its digest is needed, so it stays.
        let graph = graph(&[("1.1.0", "a"), ("1.1", "a")], &[("a", 1, &[], None)]);
        let verdicts = judge(&graph, &Rules { semver: true, ..Rules::default() });
        assert_eq!(verdicts.tags[0].stays.as_deref(), Some("needed by `1.1.0`"));
        assert!(verdicts.delete.is_empty());
    }

    #[test]
    fn images_of_one_moment_are_not_told_apart_by_chance() {
        let same = [("a", 1, &[][..], None), ("b", 1, &[], None), ("c", 1, &[], None)];
        let unnamed = graph(&[("x", "a"), ("y", "b"), ("z", "c")], &same);
        assert_eq!(goes(&unnamed, &Rules { last: Some(1), ..Rules::default() }).0, Vec::<String>::new());
        let versions = graph(&[("1.0.0", "a"), ("1.10.0", "b"), ("1.9.0", "c")], &same);
        assert_eq!(goes(&versions, &Rules { last: Some(2), ..Rules::default() }).0, ["1.0.0"]);
    }

    #[test]
    fn nothing_goes_that_something_that_stays_needs() {
        let tag = |subject: &str, ending: &str| format!("sha256-{}{ending}", digest(subject).hex());
        let (sig, list, old) = (tag("index", ".sig"), tag("amd64", ""), tag("gone", ".sig"));
        let mut graph = graph(
            &[
                ("keep", "index"),
                ("amd64", "amd64"),
                ("sbom", "sbom"),
                ("old", "gone"),
                ("old-sbom", "old sbom"),
                (&sig, "signature"),
                (&list, "list"),
                (&old, "old signature"),
            ],
            &[
                ("index", 1, &["amd64", "arm64"], None),
                ("amd64", 1, &[], None),
                ("arm64", 1, &[], None),
                ("sbom", 1, &[], Some("arm64")),
                ("gone", 1, &["amd64", "only old"], None),
                ("only old", 1, &[], None),
                ("old sbom", 1, &[], Some("gone")),
                ("signature", 1, &[], None),
                ("list", 1, &["referrer"], None),
                ("referrer", 1, &[], Some("amd64")),
                ("old signature", 1, &[], None),
                ("by api", 1, &[], Some("only old")),
                ("of a referrer", 1, &[], Some("by api")),
            ],
        );
        graph.referrers.insert(digest("only old"), BTreeSet::from([digest("by api")]));
        graph.referrers.insert(digest("by api"), BTreeSet::from([digest("of a referrer")]));
        let keep = Rules { patterns: vec![Regex::new("^(?:keep)$").unwrap()], ..Rules::default() };
        let (tags, deleted) = goes(&graph, &keep);
        assert_eq!(tags, ["old", "old-sbom", &old]);
        let names = ["gone", "only old", "old sbom", "old signature", "by api", "of a referrer"];
        let mut expected: Vec<Digest> = names.iter().map(|name| digest(name)).collect();
        assert_eq!(deleted[..1], expected[..1], "what names others goes first");
        assert!(
            deleted.iter().position(|one| *one == digest("only old"))
                < deleted.iter().position(|one| *one == digest("by api"))
        );
        expected.sort();
        let mut deleted = deleted;
        deleted.sort();
        assert_eq!(deleted, expected);
    }

    #[test]
    fn a_signature_that_stays_keeps_what_it_signs() {
        let graph = graph(
            &[("keep-sbom", "sbom"), ("image", "image")],
            &[("sbom", 1, &[], Some("image")), ("image", 1, &[], None)],
        );
        let keep = Rules { patterns: vec![Regex::new("^(?:keep-.*)$").unwrap()], ..Rules::default() };
        assert_eq!(goes(&graph, &keep), (Vec::new(), Vec::new()));
    }
}
