//! Stage 8: whether a version is affected. A version, the affected versions of a record and the rules for their order in, yes with the
//! version that mends it, no, or why nobody can tell, out. Pure.
//!
//! Source: the OSV schema, "Evaluation": a version that is listed is affected; on a range the last event at or before it decides, and
//! ranges with limits count below the highest limit only. Ranges of commits say nothing about packages.

use std::cmp::Ordering;

use super::osv::{Affected, Event, Range};
use crate::versions::Scheme;

/// Most versions that mend something of which one that mends all is sought.
const MOST_FIXES: usize = 64;

/// What a record says of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is affected. The first later version that is not, where one is known.
    Yes(Option<String>),
    /// It is not.
    No,
    /// It cannot be told, and why: half a sentence.
    Unknown(String),
}

/// Judges a version.
pub fn judge(version: &str, scheme: Scheme, affected: &Affected) -> Answer {
    let ranges: Vec<&Range> = affected.ranges.iter().filter(|range| range.kind != "GIT").collect();
    if affected.versions.is_empty() && ranges.is_empty() {
        return Answer::Unknown("the record names neither versions nor ranges of them".to_string());
    }
    match any(version, scheme, affected, &ranges) {
        Ok(true) => Answer::Yes(mended(version, scheme, affected, &ranges)),
        Ok(false) => Answer::No,
        Err(why) => Answer::Unknown(why),
    }
}

/// Whether the list or any range has a version. What one of them cannot tell, another one can.
fn any(version: &str, scheme: Scheme, affected: &Affected, ranges: &[&Range]) -> Result<bool, String> {
    let mut answer = Ok(affected.versions.iter().any(|one| one == version));
    for range in ranges {
        answer = match (answer, on(version, scheme, &range.events)) {
            (Ok(true), _) | (_, Ok(true)) => return Ok(true),
            (Ok(false), other) => other,
            (Err(why), _) => Err(why),
        };
    }
    answer
}

/// The first later version that mends something and is not affected itself.
fn mended(version: &str, scheme: Scheme, affected: &Affected, ranges: &[&Range]) -> Option<String> {
    let fixes = ranges.iter().flat_map(|range| &range.events).filter_map(|event| event.fixed.as_deref());
    let later = |fix: &&str| scheme.compare(version, fix) == Ok(Ordering::Less);
    let mut fixes: Vec<&str> = fixes.filter(later).collect();
    fixes.sort_by(|one, other| scheme.compare(one, other).unwrap_or(Ordering::Equal));
    fixes.dedup();
    let clean = |fix: &&&str| any(fix, scheme, affected, ranges) == Ok(false);
    fixes.iter().take(MOST_FIXES).find(clean).map(|fix| fix.to_string())
}

/// Whether a range has a version.
fn on(version: &str, scheme: Scheme, events: &[Event]) -> Result<bool, String> {
    let mut marks = Vec::new();
    let mut limits = Vec::new();
    for event in events {
        match event {
            Event { introduced: Some(at), .. } => marks.push(Mark { at, what: What::Introduced }),
            Event { fixed: Some(at), .. } => marks.push(Mark { at, what: What::Fixed }),
            Event { last_affected: Some(at), .. } => marks.push(Mark { at, what: What::Last }),
            Event { limit: Some(at), .. } => limits.push(at.as_str()),
            _ => return Err("the record has an event that says nothing".to_string()),
        }
    }
    sort(&mut marks, scheme)?;
    let mut affected = false;
    for mark in &marks {
        let order = if mark.start() { Ordering::Greater } else { scheme.compare(version, mark.at)? };
        affected = match mark.what {
            What::Introduced => affected || order != Ordering::Less,
            What::Fixed => affected && order == Ordering::Less,
            What::Last => affected && order != Ordering::Greater,
        };
    }
    let mut below = limits.is_empty();
    for limit in limits {
        below |= limit == "*" || scheme.compare(version, limit)? == Ordering::Less;
    }
    Ok(affected && below)
}

struct Mark<'a> {
    at: &'a str,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Introduced,
    Fixed,
    Last,
}

impl Mark<'_> {
    /// Whether it is the beginning of all versions.
    fn start(&self) -> bool {
        self.what == What::Introduced && self.at == "0"
    }
}

/// Sorts by version; what happens at the same version keeps its order.
fn sort(marks: &mut [Mark<'_>], scheme: Scheme) -> Result<(), String> {
    for mark in marks.iter().filter(|mark| !mark.start()) {
        scheme.compare(mark.at, mark.at)?;
    }
    marks.sort_by(|one, other| match (one.start(), other.start()) {
        (false, false) => scheme.compare(one.at, other.at).unwrap_or(Ordering::Equal),
        (one, other) => other.cmp(&one),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(text: &str) -> Affected {
        serde_json::from_str(text).unwrap()
    }

    fn events(events: &str) -> Affected {
        affected(&format!("{{\"ranges\":[{{\"type\":\"ECOSYSTEM\",\"events\":[{events}]}}]}}"))
    }

    fn check(version: &str, affected: &Affected, expect: Answer) {
        assert_eq!(judge(version, Scheme::Dpkg, affected), expect, "{version} of {affected:?}");
    }

    fn yes(fixed: &str) -> Answer {
        Answer::Yes(Some(fixed.to_string()).filter(|fixed| !fixed.is_empty()))
    }

    #[test]
    fn the_last_event_before_a_version_decides() {
        let range = events(r#"{"introduced":"0"},{"fixed":"1.2-3"}"#);
        check("0~", &range, yes("1.2-3"));
        check("1.2-2", &range, yes("1.2-3"));
        check("1.2-3~deb12u1", &range, yes("1.2-3"));
        check("1.2-3", &range, Answer::No);
        check("1:0", &range, Answer::No);
        // In any order; mended, and broken again.
        let twice = events(r#"{"fixed":"2"},{"introduced":"3"},{"introduced":"1"},{"fixed":"4"}"#);
        for (version, expect) in
            [("0.9", Answer::No), ("1", yes("2")), ("2", Answer::No), ("3.1", yes("4")), ("4", Answer::No)]
        {
            check(version, &twice, expect);
        }
        let last = events(r#"{"introduced":"1"},{"last_affected":"2"}"#);
        for (version, expect) in [("0", Answer::No), ("2", yes("")), ("2.0.1", Answer::No)] {
            check(version, &last, expect);
        }
        check("7", &events(r#"{"introduced":"0"}"#), yes(""));
    }

    #[test]
    fn what_is_mended_at_the_beginning_affects_nothing() {
        check("1", &events(r#"{"introduced":"0"},{"fixed":"0"}"#), Answer::No);
        check("1", &events(""), Answer::No);
    }

    #[test]
    fn limits_end_a_range() {
        let range = events(r#"{"introduced":"0"},{"limit":"2"},{"limit":"3"}"#);
        check("2.5", &range, yes(""));
        check("3", &range, Answer::No);
        check("99", &events(r#"{"introduced":"1"},{"limit":"*"}"#), yes(""));
    }

    #[test]
    fn listed_versions_are_affected_whatever_ranges_say() {
        let both = affected(
            r#"{"versions":["1","5"],"ranges":[{"type":"SEMVER","events":[{"introduced":"1"},{"fixed":"2"}]},{"type":"GIT","events":[{"introduced":"abc"}]}]}"#,
        );
        check("1", &both, yes("2"));
        check("5", &both, yes(""));
        check("6", &both, Answer::No);
        check("1.0", &affected(r#"{"versions":["1"]}"#), Answer::No);
    }

    #[test]
    fn several_ranges_are_asked_one_by_one() {
        let ranges = affected(
            r#"{"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"7"}]},{"type":"ECOSYSTEM","events":[{"introduced":"5"},{"fixed":"9"}]}]}"#,
        );
        // What mends the first one is in the second one.
        check("1", &ranges, yes("9"));
        check("8", &ranges, yes("9"));
        check("9", &ranges, Answer::No);
    }

    #[test]
    fn what_cannot_be_told_is_not_no() {
        let unknown = |version: &str, affected: &Affected| {
            assert!(matches!(judge(version, Scheme::Dpkg, affected), Answer::Unknown(_)), "{version} of {affected:?}");
        };
        unknown("1", &events(r#"{"introduced":"0"},{"fixed":"not a version"}"#));
        unknown("not a version", &events(r#"{"introduced":"0"},{"fixed":"1"}"#));
        unknown("1", &events("{}"));
        unknown("1", &affected("{}"));
        unknown("1", &affected(r#"{"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]}"#));
        // What one range cannot tell, another one can.
        let both = affected(
            r#"{"ranges":[{"events":[{"introduced":"0"},{"fixed":"?"}]},{"events":[{"introduced":"0"},{"fixed":"2"}]}]}"#,
        );
        // Which version mends all is not known then.
        check("1", &both, yes(""));
    }
}
