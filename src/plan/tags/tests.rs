//! Stage 2: the tests of tags: what each rule gives, and that no history makes a shared tag go backwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop};
use proptest::{prop_assert_eq, prop_oneof, proptest};
use semver::Version;

use super::*;
use crate::error::{Place, Text};
use crate::manifest::{Change, Git, Scope, TagRules};

fn rules(semver: &[&str]) -> TagRules {
    let text = Arc::new(Text { path: "image.toml".into(), text: String::new() });
    let pattern = |template: &&str| Pattern { template: template.to_string(), scope: Scope::default() };
    TagRules {
        semver: semver.iter().map(pattern).collect(),
        sha: None,
        branch: false,
        fixed: Vec::new(),
        latest: true,
        prefix: "v".into(),
        place: Place { text, span: 0..0 },
    }
}

fn usual() -> TagRules {
    rules(&["{{ major }}.{{ minor }}.{{ patch }}", "{{ major }}.{{ minor }}", "{{ major }}"])
}

/// A clean clone at a commit with these tags, that has these others.
fn git(here: &[&str], others: &[&str]) -> Git {
    let here: Vec<String> = here.iter().map(|tag| tag.to_string()).collect();
    Git {
        sha: "0123456789abcdef0123456789abcdef01234567".into(),
        tag: here.last().cloned(),
        tags: others.iter().map(|tag| tag.to_string()).chain(here.clone()).collect(),
        here,
        shallow: false,
        branch: Some("main".into()),
        commit_time: 0,
        dirty: None,
    }
}

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

/// What a repository has: `1.2.3=old` is a tag and what it says.
fn known(tags: &[&str]) -> Known {
    let mut known = Known::default();
    for text in tags {
        let (tag, says) = text.split_once('=').unwrap_or((text, text));
        let tag: Tag = tag.parse().unwrap();
        known.tags.push(tag.clone());
        known.now.insert(tag, digest(says));
    }
    known
}

fn decide(rules: &TagRules, git: &Git, there: &[&str]) -> Vec<String> {
    told(&Tags::of(Some(rules), Some(git)).decide(&known(there), &digest("ours"), Leave::default()))
}

fn told(decisions: &[Decision]) -> Vec<String> {
    decisions.iter().map(|decision| format!("{} {}", decision.name, decision.what.word())).collect()
}

#[test]
fn a_release_gets_the_most_specific_tag_first_and_latest_last() {
    let all = TagRules {
        semver: rules(&["{{ major }}", "v{{ version }}", "{{ major }}.{{ minor }}"]).semver,
        sha: Some(12),
        branch: true,
        fixed: vec!["edge".parse().unwrap()],
        ..usual()
    };
    let got = decide(&all, &git(&["v1.2.3"], &[]), &["1=old"]);
    assert_eq!(
        got,
        [
            "v1.2.3 created",
            "sha-0123456789ab created",
            "1.2 created",
            "1 moved",
            "main created",
            "edge created",
            "latest created"
        ]
    );
}

#[test]
fn a_backport_leaves_the_tags_of_newer_releases_alone() {
    let there = ["1.3.0=new", "1.3=new", "1=new", "latest=new", "1.2=old"];
    let at = |tags: &[&str]| decide(&usual(), &git(&["v1.2.9"], tags), &there);
    assert_eq!(at(&["v1.3.0"]), ["1.2.9 created", "1.2 moved", "1 kept", "latest kept"]);
    assert_eq!(at(&[]), ["1.2.9 created", "1.2 moved", "1 kept", "latest kept"], "the registry knows it too");
    let got = decide(&usual(), &git(&["v1.2.9"], &["v1.3.0"]), &[]);
    assert_eq!(
        got,
        ["1.2.9 created", "1.2 created", "1 kept", "latest kept"],
        "git knows it, the registry does not yet"
    );
    let got = decide(&usual(), &git(&["v2.0.0"], &["v1.3.0", "v3.0.0-rc.1"]), &["3.0.0-rc.1=rc", "latest=new"]);
    assert_eq!(got, ["2.0.0 created", "2.0 created", "2 created", "latest moved"], "a prerelease holds nothing back");
}

#[test]
fn releases_of_the_registry_are_known_by_the_shape_of_the_pattern() {
    let alpine = TagRules {
        semver: rules(&["{{ version }}-alpine", "{{ major }}-alpine", "alpine"]).semver,
        latest: false,
        ..usual()
    };
    let clone = git(&["v1.2.9"], &[]);
    assert_eq!(decide(&alpine, &clone, &["1.3.0-alpine"]), ["1.2.9-alpine created", "1-alpine kept", "alpine kept"]);
    assert_eq!(
        decide(&alpine, &clone, &["1.3.0-debian"]),
        ["1.2.9-alpine created", "1-alpine created", "alpine created"]
    );
    assert_eq!(decide(&alpine, &clone, &["2.0.0-alpine"]), ["1.2.9-alpine created", "1-alpine created", "alpine kept"]);
}

#[test]
fn a_prerelease_gets_its_full_version_only() {
    let got = decide(&usual(), &git(&["v2.1.0-rc.1"], &[]), &[]);
    assert_eq!(got, ["2.1.0-rc.1 created", "2.1 skipped", "2 skipped", "latest skipped"]);
}

#[test]
fn a_release_before_1_has_no_tag_for_its_major_number() {
    let got = decide(&usual(), &git(&["v0.4.2"], &["v0.4.1"]), &["0.4.1", "0.4=old"]);
    assert_eq!(got, ["0.4.2 created", "0.4 moved", "0 skipped", "latest created"]);
    let got = decide(&usual(), &git(&["v1.0.0"], &["v0.4.1"]), &[]);
    assert_eq!(got, ["1.0.0 created", "1.0 created", "1 created", "latest created"]);
}

#[test]
fn build_metadata_is_refused_and_never_rewritten() {
    let clone = git(&["v1.2.3+b5"], &[]);
    assert_eq!(decide(&usual(), &clone, &[]), ["1.2.3 refused", "1.2 refused", "1 refused", "latest refused"]);
    let decisions = Tags::of(Some(&usual()), Some(&clone)).decide(&known(&[]), &digest("ours"), Leave::default());
    let Fate::Refused(refusal) = &decisions[0].what else { panic!("{decisions:?}") };
    assert_eq!(refusal.help, "give the commit a tag without it, as in `git tag v1.2.3`");
    let both = git(&["v1.2.3", "v1.2.3+b5"], &[]);
    assert_eq!(decide(&usual(), &both, &[])[0], "1.2.3 created", "the tag without it counts");
}

#[test]
fn a_released_version_never_moves_unless_it_is_said() {
    let tags = Tags::of(Some(&usual()), Some(&git(&["v1.2.3"], &[])));
    let there = known(&["1.2.3=other", "1.2=other", "1=other", "latest=other"]);
    let at = |known: &Known, overwrite| told(&tags.decide(known, &digest("ours"), Leave { overwrite, dirty: false }));
    assert_eq!(at(&there, false)[0], "1.2.3 refused");
    assert_eq!(at(&there, true), ["1.2.3 moved", "1.2 moved", "1 moved", "latest moved"]);
    let same = known(&["1.2.3=ours", "1.2=ours", "1=ours", "latest=ours"]);
    assert_eq!(at(&same, false), ["1.2.3 kept", "1.2 kept", "1 kept", "latest kept"], "a second run changes nothing");
}

#[test]
fn a_commit_that_is_no_release_gets_only_tags_that_speak_of_commits() {
    let all = TagRules { sha: Some(14), branch: true, ..usual() };
    let got = decide(&all, &git(&["nightly"], &["v1.0.0"]), &[]);
    let skipped = "{{ major }}.{{ minor }}.{{ patch }} skipped";
    assert_eq!(got[0], skipped);
    assert_eq!(got[1..3], ["sha-0123456789abcd created", "{{ major }}.{{ minor }} skipped"]);
    assert_eq!(got[4..], ["main created", "latest skipped"]);
    let why = |here: &[&str], others: &[&str]| {
        let tags = Tags::of(Some(&usual()), Some(&git(here, others)));
        tags.decide(&known(&[]), &digest("ours"), Leave::default())[0].why.clone()
    };
    assert_eq!(why(&["nightly"], &[]), "the git tag `nightly` at HEAD is no semantic version behind `v`");
    assert_eq!(why(&[], &["v1.0.0"]), "no git tag points at HEAD; the highest release is 1.0.0, at another commit");
    assert_eq!(why(&[], &[]), "no git tag points at HEAD");
}

#[test]
fn the_prefix_tells_the_components_of_a_repository_apart() {
    let api = TagRules { prefix: "api/v".into(), ..usual() };
    let clone = git(&["web/v7.0.0", "api/v1.2.3"], &["web/v9.0.0", "v8.0.0", "api/v1.1.0"]);
    assert_eq!(decide(&api, &clone, &[]), ["1.2.3 created", "1.2 created", "1 created", "latest created"]);
    let plain = git(&["1.2.3"], &[]);
    assert_eq!(decide(&usual(), &plain, &[])[0], "1.2.3 created", "a `v` may be missing");
    assert!(decide(&api, &plain, &[])[0].ends_with("skipped"), "any other prefix may not");
}

#[test]
fn a_dirty_tree_is_refused_unless_it_is_said() {
    let dirty = Git { dirty: Some(Change::Changed("src/x".into())), ..git(&["v1.2.3"], &[]) };
    let all = TagRules { sha: Some(12), fixed: vec!["edge".parse().unwrap()], ..usual() };
    let tags = Tags::of(Some(&all), Some(&dirty));
    let at = |dirty| told(&tags.decide(&known(&[]), &digest("ours"), Leave { dirty, overwrite: false }));
    let refused = at(false);
    assert!(refused.iter().all(|line| line.ends_with("refused") || line == "edge created"), "{refused:?}");
    assert!(at(true).iter().all(|line| line.ends_with("created")));
}

#[test]
fn a_shallow_clone_moves_shared_tags_only_where_the_registry_tells_the_releases() {
    let shallow = Git { shallow: true, ..git(&["v1.2.3"], &[]) };
    assert_eq!(decide(&usual(), &shallow, &["1.3.0"]), ["1.2.3 created", "1.2 created", "1 kept", "latest kept"]);
    assert_eq!(Tags::of(Some(&usual()), Some(&shallow)).notes.len(), 1);
    assert_eq!(decide(&rules(&["{{ major }}"]), &shallow, &[]), ["1 refused", "latest refused"]);
    assert!(Tags::of(Some(&usual()), Some(&git(&["v1.2.3"], &[]))).notes.is_empty());
}

#[test]
fn a_shallow_clone_moves_no_shared_tag_of_which_nothing_is_known() {
    // Each release's own tag ends otherwise, so that no tag of the registry can be read.
    let odd = rules(&["{{ version }}-b17", "{{ major }}"]);
    let clone = git(&["v1.2.3"], &[]);
    let shallow = Git { shallow: true, ..clone.clone() };
    let there = ["1.3.0-b12=new", "1=new", "latest=new"];
    assert_eq!(decide(&odd, &shallow, &there), ["1.2.3-b17 created", "1 refused", "latest refused"]);
    // What does not exist cannot go back, and a whole clone knows.
    assert_eq!(decide(&odd, &shallow, &[]), ["1.2.3-b17 created", "1 created", "latest created"]);
    assert_eq!(decide(&odd, &clone, &there), ["1.2.3-b17 created", "1 moved", "latest moved"]);
    let told = [&there[..], &["1.0.0-b17"]].concat();
    assert_eq!(decide(&odd, &shallow, &told), ["1.2.3-b17 created", "1 moved", "latest moved"]);
}

#[test]
fn a_branch_is_made_a_tag_and_never_one_of_a_release() {
    let only = TagRules { semver: Vec::new(), branch: true, latest: false, ..usual() };
    let at = |branch: Option<&str>| {
        decide(&only, &Git { branch: branch.map(str::to_string), ..git(&[], &[]) }, &[]).concat()
    };
    assert_eq!(at(Some("main")), "main created");
    assert_eq!(at(Some("feature/ü x")), "feature---x created");
    assert_eq!(at(Some("-.x")), "x created");
    assert_eq!(at(Some(&"x".repeat(300))), format!("{} created", "x".repeat(128)));
    assert_eq!(at(None), "branch skipped");
    for like in ["latest", "1", "1.2", "v1.2.3", "1.2.3-rc.1", "v2-maintenance"] {
        assert!(at(Some(like)).ends_with("refused"), "{like}");
    }
    assert_eq!(at(Some("release-1.2")), "release-1.2 created");
}

#[test]
fn without_git_rules_that_need_it_are_refused_and_fixed_tags_are_set() {
    let all = TagRules { sha: Some(12), fixed: vec!["edge".parse().unwrap()], ..usual() };
    let told_of = |rules: Option<&TagRules>, git: Option<&Git>| {
        told(&Tags::of(rules, git).decide(&known(&[]), &digest("ours"), Leave::default()))
    };
    let got = told_of(Some(&all), None);
    assert!(got.contains(&"edge created".to_string()) && got.contains(&"sha refused".to_string()), "{got:?}");
    assert!(told_of(None, None).is_empty(), "without rules there are none");
    assert_eq!(told_of(None, Some(&git(&["v1.2.3"], &[]))), ["sha-0123456789ab created"]);
    let dirty = Git { dirty: Some(Change::Changed("x".into())), ..git(&[], &[]) };
    assert!(told_of(None, Some(&dirty)).is_empty());
}

#[test]
fn a_tag_that_is_shared_by_a_rule_of_its_own_is_carried_to_no_other_job() {
    let odd = rules(&["{{ version }}", "{% if major | int > 1 %}new{% else %}old{% endif %}"]);
    let tags = Tags::of(Some(&odd), Some(&git(&["v1.2.3"], &[])));
    let error = tags.to_json().unwrap_err();
    assert!(error.message().contains("the tag `old` cannot be set by another job"), "{error:?}");
    assert!(Tags::of(Some(&usual()), Some(&git(&["v1.2.3"], &[]))).to_json().is_ok());
    for broken in [
        serde_json::json!(null),
        serde_json::json!({"wishes": [{"rule": "highest", "tag": "1", "version": "x", "among": "all"}], "releases": [], "shapes": [], "shallow": false}),
        serde_json::json!({"wishes": [{"rule": "once", "tag": "a/b"}], "releases": [], "shapes": [], "shallow": false}),
        serde_json::json!({"wishes": [], "releases": [], "shapes": []}),
        serde_json::json!({"wishes": [], "releases": [], "shapes": [], "shallow": false, "more": 1}),
    ] {
        assert_eq!(Tags::read(&broken).unwrap_err().kind().exit_code(), 2, "{broken}");
    }
}

/// One registry over time: what each tag says, and the release whose digest that is.
#[derive(Default)]
struct World {
    says: BTreeMap<Tag, Version>,
    released: BTreeSet<Version>,
}

impl World {
    /// Releases a version with a clone that has only some of the git tags.
    fn release(&mut self, rules: &TagRules, version: &Version, clone: &Git) {
        let now = |version: &Version| digest(&version.to_string());
        let known = Known {
            tags: self.says.keys().cloned().collect(),
            now: self.says.iter().map(|(tag, version)| (tag.clone(), now(version))).collect(),
        };
        let tags = Tags::of(Some(rules), Some(clone));
        let decisions = tags.decide(&known, &now(version), Leave::default());
        // Another job decides the same.
        let carried = Tags::read(&tags.to_json().unwrap()).unwrap();
        let elsewhere = carried.decide(&known, &now(version), Leave::default());
        let told: Vec<_> = decisions.iter().filter(|decision| decision.what != Fate::Skipped).cloned().collect();
        assert_eq!(elsewhere, told);
        for decision in decisions {
            let (Fate::Created(tag) | Fate::Moved(tag, _)) = decision.what else { continue };
            if let Some(before) = self.says.insert(tag.clone(), version.clone()) {
                assert!(before < *version, "`{tag}` went from {before} back to {version}");
            }
        }
        self.released.insert(version.clone());
    }

    /// The highest stable release that begins with these numbers.
    fn highest(&self, fits: impl Fn(&Version) -> bool) -> Option<&Version> {
        self.released.iter().filter(|version| version.pre.is_empty() && fits(version)).max()
    }
}

fn version() -> impl Strategy<Value = Version> {
    let pre = prop_oneof![4 => Just(String::new()), 1 => "-rc\\.[0-3]", 1 => "-[a-c]{1,3}"];
    (0u64..4, 0u64..4, 0u64..4, pre)
        .prop_map(|(major, minor, patch, pre)| format!("{major}.{minor}.{patch}{pre}").parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any releases in any order, each from a clone that has any of the git tags made so far: the registry makes up for the rest.
    #[test]
    fn no_history_of_releases_makes_a_shared_tag_go_backwards(
        history in prop::collection::vec((version(), any::<u64>(), any::<bool>()), 1..40),
    ) {
        let rules = usual();
        let (mut world, mut tags) = (World::default(), Vec::<String>::new());
        for (version, mask, shallow) in &history {
            let own = format!("v{version}");
            let seen = tags.iter().enumerate().filter(|(at, _)| mask >> (at % 64) & 1 == 1);
            let seen: Vec<&str> = seen.map(|(_, tag)| tag.as_str()).collect();
            let clone = Git { shallow: *shallow, ..git(&[&own], &seen) };
            world.release(&rules, version, &clone);
            tags.push(own);
        }
        for (tag, says) in &world.says {
            let parts: Option<Vec<u64>> = tag.as_str().split('.').map(|part| part.parse().ok()).collect();
            let should = match parts.as_deref() {
                Some([major]) => world.highest(|version| version.major == *major),
                Some([major, minor]) => world.highest(|version| version.major == *major && version.minor == *minor),
                None if tag.as_str() == "latest" => world.highest(|_| true),
                _ => continue,
            };
            prop_assert_eq!(Some(says), should, "{}", tag);
        }
    }

    /// Without a tag for each release the git tags alone must do.
    #[test]
    fn git_alone_keeps_shared_tags_from_going_backwards(history in prop::collection::vec(version(), 1..40)) {
        let rules = rules(&["{{ major }}.{{ minor }}", "r{{ major }}", "stable"]);
        let (mut world, mut tags) = (World::default(), Vec::<String>::new());
        for version in &history {
            let own = format!("v{version}");
            let seen: Vec<&str> = tags.iter().map(String::as_str).collect();
            world.release(&rules, version, &git(&[&own], &seen));
            tags.push(own);
        }
        let stable = world.highest(|_| true).cloned();
        prop_assert_eq!(world.says.get(&"stable".parse::<Tag>().unwrap()), stable.as_ref());
    }
}
