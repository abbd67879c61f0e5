//! Stage 1: what `[tags]` means. Written rules in, checked ones out: every pattern was tried with a release that might be. Pure.

use super::meant::{Pattern, TagRules};
use super::read::Meaning;
use super::values::Release;
use super::written::{View, Written};
use crate::error::{Error, Finding, Result};
use crate::oci::Tag;

/// What stands before the version in a release's git tag where no variable says it.
const PREFIX: &str = "v";
/// The tag that only `latest = "highest"` may set while that rule stands.
pub const LATEST: &str = "latest";

/// The rules for tags, if the manifest has any. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Option<TagRules> {
    let view = written.tags.as_ref()?;
    let semver = patterns(meaning, view);
    let latest = view.flag("latest").unwrap_or(view.text("latest").is_some() || view.list("semver").is_some());
    let mut fixed: Vec<Tag> = Vec::new();
    for spot in view.list("fixed").map(|list| list.value.clone()).unwrap_or_default() {
        match meaning.parsed(&spot, "tag", str::parse::<Tag>) {
            Some(tag) if latest && tag.as_str() == LATEST => meaning.report.add(
                Finding::error("conflict", "`latest` is set as it stands, and for the highest release, at once")
                    .at(&spot.place, "")
                    .help("take it out of `fixed`, or write `latest = false`"),
            ),
            Some(tag) if fixed.contains(&tag) => meaning
                .report
                .add(Finding::error("conflict", format!("`{tag}` stands in the list twice")).at(&spot.place, "")),
            tag => fixed.extend(tag),
        }
    }
    let digits = view.number("sha").and_then(|spot| usize::try_from(spot.value).ok());
    let from_git = |view: &View| view.text("from").is_some_and(|from| from.value == "git:tag");
    let of_tag = written.vars.iter().map(|var| &var.view).filter(|view| from_git(view));
    let prefix = of_tag.filter_map(|view| view.text("strip-prefix")).next();
    Some(TagRules {
        semver,
        sha: digits,
        branch: view.is("branch"),
        fixed,
        latest,
        prefix: prefix.map_or(PREFIX, |spot| spot.value.as_str()).to_string(),
        place: view.place.clone(),
    })
}

fn patterns(meaning: &mut Meaning, view: &View) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for spot in view.list("semver").map(|list| list.value.clone()).unwrap_or_default() {
        meaning.scope.release = Some(Release { major: 1, minor: 2, patch: "3".into() });
        let tried = meaning.parsed(&spot, "tag", str::parse::<Tag>);
        meaning.scope.release = None;
        if tried.is_some() {
            patterns.push(Pattern { template: spot.value, scope: meaning.scope.clone() });
        }
    }
    patterns
}

impl Pattern {
    /// The tag of a release.
    pub fn tag(&self, release: Release) -> Result<Tag> {
        let scope = super::Scope { release: Some(release), ..self.scope.clone() };
        scope.render(&self.template).map_err(|failure| Error::usage(failure.message))?.parse()
    }
}
