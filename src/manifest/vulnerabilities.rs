//! Stage 1: what `[check.vulnerabilities]` means: which vulnerabilities an image may not have, and what is let through. Written values in,
//! checked ones out. Pure.

use std::path::PathBuf;
use std::str::FromStr;

use jiff::civil::Date;

use super::read::{Meaning, tidy};
use super::written::{View, Written};
use crate::error::{Error, Finding, Place, Result, printable};

/// How grave a vulnerability is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rating {
    /// Hardly a vulnerability, or none there.
    Negligible,
    /// CVSS 0.1 to 3.9.
    Low,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 9.0 to 10.
    Critical,
}

impl Rating {
    /// All of them, the least first.
    pub const ALL: [Rating; 5] = [Rating::Negligible, Rating::Low, Rating::Medium, Rating::High, Rating::Critical];
    /// Their words in the manifest and on the command line.
    pub const WORDS: &'static [&'static str] = &["negligible", "low", "medium", "high", "critical"];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Rating::WORDS.get(self as usize).copied().unwrap_or_default()
    }
}

impl FromStr for Rating {
    type Err = Error;

    fn from_str(text: &str) -> Result<Rating> {
        let known = Rating::ALL.into_iter().find(|rating| rating.name() == text);
        known.ok_or_else(|| {
            Error::usage(format!("`{}` is no gravity", printable(text)))
                .hint(format!("one of {}", Rating::WORDS.join(", ")))
        })
    }
}

/// What is done about what could not be found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It is refused.
    #[default]
    Deny,
    /// It is told.
    Warn,
}

/// What is asked of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vulnerabilities {
    /// From which gravity on it is refused.
    pub severity: Rating,
    /// What is done about what could not be found out.
    pub unknown: Unknown,
    /// The database, absolute; else the store's.
    pub database: Option<PathBuf>,
    /// OpenVEX documents, absolute, each with its place.
    pub vex: Vec<(PathBuf, Place)>,
    /// What is let through.
    pub allow: Vec<Permission>,
    /// Where it is asked.
    pub place: Place,
}

/// A vulnerability that is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Any of its names.
    pub id: String,
    /// Only in this package, by its own or its source's name.
    pub package: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day.
    pub until: Option<Date>,
    /// Where it stands.
    pub place: Place,
}

/// What is asked, if the manifest asks it. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Option<Vulnerabilities> {
    let (view, allow) = written.vulnerabilities.as_ref()?;
    let directory = meaning.beside(&view.place).to_path_buf();
    let path = |text: &str| tidy(&directory.join(text));
    let database = view.text("database").and_then(|spot| meaning.text(spot)).map(|text| path(&text));
    let vex = meaning.list(view, "vex").unwrap_or_default();
    let vex = vex.into_iter().map(|(text, place)| (path(&text), place)).collect();
    Some(Vulnerabilities {
        severity: view.text("severity").and_then(|spot| spot.value.parse().ok()).unwrap_or(Rating::High),
        unknown: if view.text("unknown").is_some_and(|spot| spot.value == "warn") {
            Unknown::Warn
        } else {
            Unknown::Deny
        },
        database,
        vex,
        allow: allow.iter().filter_map(|view| permission(meaning, view)).collect(),
        place: view.place.clone(),
    })
}

/// One permission. What is let through has a reason.
fn permission(meaning: &mut Meaning, view: &View) -> Option<Permission> {
    let id = view.text("id").and_then(|spot| meaning.text(spot))?;
    let package = view.text("package").and_then(|spot| meaning.text(spot));
    let reason = view.text("reason").and_then(|spot| meaning.text(spot))?;
    if reason.trim().is_empty() {
        let finding = Finding::error("reason", format!("`{}` is let through without a reason", printable(&id)));
        meaning.report.add(finding.at(&view.place, "").help("add `reason = \"…\"`, which is shown with it"));
    }
    let until = match view.text("until") {
        Some(spot) => Some(meaning.parsed(spot, "value", day)?),
        None => None,
    };
    Some(Permission { id, package, reason, until, place: view.place.clone() })
}

/// A day, `YYYY-MM-DD`.
pub fn day(text: &str) -> Result<Date> {
    let wrong = || Error::usage(format!("`{}` is not a day", printable(text))).hint("as in \"2027-06-30\"");
    let date: Date = text.parse().map_err(|_| wrong())?;
    if date.to_string() == text { Ok(date) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_have_words_and_an_order() {
        for (rating, word) in Rating::ALL.iter().zip(Rating::WORDS) {
            assert_eq!((rating.name(), word.parse::<Rating>().unwrap()), (*word, *rating));
        }
        assert!(Rating::Critical > Rating::High && Rating::High > Rating::Negligible);
        assert!("HIGH".parse::<Rating>().is_err());
    }

    #[test]
    fn days() {
        assert_eq!(day("2027-06-30").unwrap().to_string(), "2027-06-30");
        for wrong in ["", "2027-6-30", "2027-02-30", "30.6.2027", "2027-06-30T00:00:00Z", "20270630"] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
    }
}
