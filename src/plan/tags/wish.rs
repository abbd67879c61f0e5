//! Stage 2: from rules and git's facts to wishes. A manifest in, its tags in the order in which they are set out. Pure.

use semver::Version;

use super::release::{self, Reach, Shape};
use super::{Refusal, Sharing, Tags, Want, Wish};
use crate::error::{Kind, printable};
use crate::manifest::grammar::SHA_DIGITS;
use crate::manifest::{Change, Git, Manifest, Pattern, TagRules};
use crate::oci::Tag;

/// Longest text of a tag.
const LONGEST: usize = 128;

impl Tags {
    /// What a manifest wishes.
    pub fn new(manifest: &Manifest) -> Tags {
        Tags::of(manifest.tags.as_ref(), manifest.values.git())
    }

    /// What these rules wish of this commit.
    pub fn of(rules: Option<&TagRules>, git: Option<&Git>) -> Tags {
        let dirty = git.and_then(|git| git.dirty.as_ref()).map(Change::why);
        let Some(rules) = rules else {
            // Without rules: the commit, if the work tree is that commit.
            let wishes = git.filter(|_| dirty.is_none()).map(|git| sha(git, SHA_DIGITS));
            return Tags { wishes: wishes.into_iter().collect(), ..Tags::default() };
        };
        let mut tags = match git {
            Some(git) => of_git(rules, git),
            None => Tags { wishes: without_git(rules), ..Tags::default() },
        };
        let fixed = |tag: &Tag| Wish { name: tag.to_string(), want: Want::Always(tag.clone()), of_commit: false };
        let last = tags.wishes.iter().position(|wish| wish.name == "latest").unwrap_or(tags.wishes.len());
        tags.wishes.splice(last..last, rules.fixed.iter().map(fixed));
        let mut names = Vec::new();
        tags.wishes.retain(|wish| {
            let new = !names.contains(&wish.name);
            names.push(wish.name.clone());
            new
        });
        Tags { dirty, ..tags }
    }
}

fn never(why: impl Into<String>, help: impl Into<String>, kind: Kind) -> Want {
    Want::Never(Refusal { why: why.into(), help: help.into(), kind })
}

/// Rules that need git are errors without it.
fn without_git(rules: &TagRules) -> Vec<Wish> {
    let semver = rules.semver.iter().map(|pattern| pattern.template.clone());
    let sha = rules.sha.map(|_| "sha".to_string());
    let branch = rules.branch.then(|| "branch".to_string());
    let latest = rules.latest.then(|| "latest".to_string());
    let wish = |name| {
        let help = "run it in a clone with `.git`; without git only `fixed` sets tags";
        Wish { name, want: never("there is no git repository with a commit", help, Kind::Usage), of_commit: false }
    };
    semver.chain(sha).chain(branch).chain(latest).map(wish).collect()
}

/// One tag for each rule, the most specific first: full versions, the commit, `1.2`, `1`, what is shared by all, the branch, `latest`.
fn of_git(rules: &TagRules, git: &Git) -> Tags {
    let here: Vec<(&String, Version)> =
        git.here.iter().filter_map(|name| Some((name, release::of_git(name, &rules.prefix)?))).collect();
    let releases = git.tags.iter().filter_map(|name| release::of_git(name, &rules.prefix));
    let releases: Vec<Version> = releases.filter(release::stable).map(|version| release::plain(&version)).collect();
    let ours = here.iter().max_by_key(|(_, version)| (release::plain(version), version.build.is_empty()));
    let mut patterns: Vec<(Reach, &Pattern)> =
        rules.semver.iter().map(|pattern| (release::reach(pattern), pattern)).collect();
    patterns.sort_by_key(|(reach, _)| *reach);
    let own: Vec<Shape> = patterns
        .iter()
        .filter(|(reach, _)| *reach == Reach::One)
        .filter_map(|(_, pattern)| Shape::of(pattern))
        .collect();
    let blind = git.shallow && own.is_empty();
    let wish = |reach: Reach, pattern: Option<&Pattern>| match ours {
        None => Want::Not(no_release(rules, git, &releases)),
        Some((name, version)) => of_release(name, version, reach, pattern, blind),
    };
    let named = |name: String, want: Want| {
        let name = want.tag().map_or(name, Tag::to_string);
        Wish { name, want, of_commit: true }
    };
    let shown = |pattern: &Pattern| match ours.map(|(_, version)| pattern.tag(release::open(version))) {
        Some(Ok(tag)) => tag.to_string(),
        _ => pattern.template.clone(),
    };
    let of_pattern = |(reach, pattern): &(Reach, &Pattern)| named(shown(pattern), wish(*reach, Some(pattern)));
    let (once, shared): (Vec<_>, Vec<_>) = patterns.iter().partition(|(reach, _)| *reach == Reach::One);
    let mut wishes: Vec<Wish> = once.into_iter().map(of_pattern).collect();
    wishes.extend(rules.sha.map(|digits| sha(git, digits)));
    wishes.extend(shared.into_iter().map(of_pattern));
    wishes.extend(rules.branch.then(|| named("branch".into(), branch(git))));
    wishes.extend(rules.latest.then(|| named("latest".into(), wish(Reach::All, None))));
    let floats = wishes.iter().any(|wish| matches!(wish.want, Want::Highest { .. }));
    let shallow =
        "this is a shallow clone: releases whose git tags were not fetched are only known where the registry has them";
    let unreleased = match (ours, rules.semver.is_empty()) {
        (None, false) => Some(no_release(rules, git, &releases)),
        _ => None,
    };
    let notes = (git.shallow && floats).then(|| shallow.to_string()).into_iter().collect();
    let shapes = own.into_iter().chain(Shape::usual()).collect();
    Tags { wishes, releases, shapes, unreleased, notes, shallow: git.shallow, ..Tags::default() }
}

/// Half a sentence on why HEAD is no release.
fn no_release(rules: &TagRules, git: &Git, releases: &[Version]) -> String {
    match (&git.tag, releases.iter().max()) {
        (Some(tag), _) => {
            let behind = if rules.prefix.is_empty() { String::new() } else { format!(" behind `{}`", rules.prefix) };
            format!("the git tag `{}` at HEAD is no semantic version{behind}", printable(tag))
        }
        (None, Some(highest)) => {
            format!("no git tag points at HEAD; the highest release is {highest}, at another commit")
        }
        (None, None) => "no git tag points at HEAD".into(),
    }
}

fn of_release(name: &str, version: &Version, reach: Reach, pattern: Option<&Pattern>, blind: bool) -> Want {
    if !version.build.is_empty() {
        let why = format!("the git tag `{}` has build metadata, and no image tag can hold a `+`", printable(name));
        let help = format!(
            "give the commit a tag without it, as in `git tag {}`",
            printable(name.split('+').next().unwrap_or(name))
        );
        return never(why, help, Kind::Policy);
    }
    let tag = match pattern.map_or_else(|| "latest".parse(), |pattern| pattern.tag(release::open(version))) {
        Ok(tag) => tag,
        Err(error) => return never(error.message(), "change the pattern in `[tags] semver`", Kind::Usage),
    };
    match reach {
        Reach::One => Want::Once(tag),
        _ if !release::stable(version) => Want::Not(format!("{version} is a prerelease")),
        Reach::Major if version.major == 0 => {
            Want::Not(format!("{version} is a 0.x release, and these promise nothing to each other"))
        }
        _ if blind => never(
            "this is a shallow clone, and no pattern is a full version: which releases there are cannot be known",
            "fetch all tags with `git fetch --unshallow --tags`, or add \"{{ version }}\" to `semver`",
            Kind::Policy,
        ),
        _ => {
            let sharing = pattern.map_or(Sharing::Reach(Reach::All), |pattern| Sharing::Pattern(pattern.clone()));
            Want::Highest { tag, version: version.clone(), sharing }
        }
    }
}

fn sha(git: &Git, digits: usize) -> Wish {
    let name = format!("sha-{}", &git.sha[..digits.min(git.sha.len())]);
    let want = match name.parse() {
        Ok(tag) => Want::Always(tag),
        Err(_) => Want::Not("the commit has no name".into()),
    };
    Wish { name, want, of_commit: true }
}

/// The branch's name, with `-` for what no tag may hold. A name that looks like a release's tag would move that one.
fn branch(git: &Git) -> Want {
    let Some(branch) = &git.branch else { return Want::Not("HEAD is detached, there is no branch".into()) };
    let fits = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let text: String = branch.chars().map(|character| if fits(character) { character } else { '-' }).collect();
    let text: String = text.trim_start_matches(['.', '-']).chars().take(LONGEST).collect();
    let numbers = text.strip_prefix('v').unwrap_or(&text).split(['.', '-']).next().unwrap_or_default();
    if text == "latest" || !numbers.is_empty() && numbers.bytes().all(|byte| byte.is_ascii_digit()) {
        let why = format!("the branch `{}` is named like a release", printable(branch));
        return never(why, "give the branch another name, or write `branch = false`", Kind::Policy);
    }
    match text.parse() {
        Ok(tag) => Want::Always(tag),
        Err(_) => Want::Not(format!("nothing of the branch's name `{}` may stand in a tag", printable(branch))),
    }
}
