//! Stage 8: a record of a vulnerability. JSON in, plain values out. Pure.
//!
//! Source: the OSV schema 1.7. What is not used is passed over, and a list that is `null` is an empty one: databases write both.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Largest record in bytes. The largest of the public databases have a few MiB: they list every version.
pub const MOST_RECORD: u64 = 64 << 20;
/// Most characters of a summary that are kept.
const MOST_SUMMARY: usize = 200;

/// What of a record is read first, to see whether the rest matters.
#[derive(Debug, Deserialize)]
pub struct Sketch {
    /// Its name.
    pub id: String,
    /// When it was taken back, if it was.
    #[serde(default)]
    pub withdrawn: Option<String>,
    /// When it was changed last.
    #[serde(default)]
    pub modified: Option<String>,
    /// What it is about.
    #[serde(default, deserialize_with = "listed")]
    pub affected: Vec<About>,
}

/// A package that a record is about.
#[derive(Debug, Deserialize)]
pub struct About {
    /// The package; none where only commits are named.
    #[serde(default)]
    pub package: Option<Package>,
}

/// A package by its name in a world of packages.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// The world: `Debian:12`, `Alpine:v3.20`, `Go` …
    pub ecosystem: String,
    /// The name there.
    pub name: String,
}

/// A record.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// Its name.
    pub id: String,
    /// Other names of the same vulnerability.
    #[serde(default, deserialize_with = "listed")]
    pub aliases: Vec<String>,
    /// The vulnerabilities of upstream that a distribution's record speaks of.
    #[serde(default, deserialize_with = "listed")]
    pub upstream: Vec<String>,
    /// What it is, in a line.
    #[serde(default)]
    pub summary: Option<String>,
    /// What it is, at length.
    #[serde(default)]
    pub details: Option<String>,
    /// How grave it is.
    #[serde(default, deserialize_with = "listed")]
    pub severity: Vec<Score>,
    /// Which versions of what it is in.
    #[serde(default, deserialize_with = "listed")]
    pub affected: Vec<Affected>,
    /// Where more is said.
    #[serde(default, deserialize_with = "listed")]
    pub references: Vec<Reference>,
    /// What only its database says.
    #[serde(default)]
    pub database_specific: Option<Value>,
}

/// A judgement on how grave something is.
#[derive(Debug, Deserialize)]
pub struct Score {
    /// The vector, or the word: it tells itself of which kind it is.
    #[serde(default)]
    pub score: String,
}

/// A package with the versions that are affected.
#[derive(Debug, Deserialize)]
pub struct Affected {
    /// The package.
    #[serde(default)]
    pub package: Option<Package>,
    /// From when on and until when.
    #[serde(default, deserialize_with = "listed")]
    pub ranges: Vec<Range>,
    /// Versions, one by one.
    #[serde(default, deserialize_with = "listed")]
    pub versions: Vec<String>,
    /// How grave it is for this package.
    #[serde(default, deserialize_with = "listed")]
    pub severity: Vec<Score>,
    /// What only this world of packages says.
    #[serde(default)]
    pub ecosystem_specific: Option<Value>,
    /// What only its database says.
    #[serde(default)]
    pub database_specific: Option<Value>,
}

/// A line of versions with what happened on it.
#[derive(Debug, Deserialize)]
pub struct Range {
    /// `SEMVER`, `ECOSYSTEM` or `GIT`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What happened.
    #[serde(default, deserialize_with = "listed")]
    pub events: Vec<Event>,
}

/// What happened at a version: one of the four.
#[derive(Debug, Default, Deserialize)]
pub struct Event {
    /// The first version that is affected; `0` for all before.
    #[serde(default)]
    pub introduced: Option<String>,
    /// The first version that is not affected any more.
    #[serde(default)]
    pub fixed: Option<String>,
    /// The last version that is affected.
    #[serde(default)]
    pub last_affected: Option<String>,
    /// The version where the line ends.
    #[serde(default)]
    pub limit: Option<String>,
}

/// A page about it.
#[derive(Debug, Deserialize)]
pub struct Reference {
    /// `ADVISORY`, `WEB` …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The page.
    #[serde(default)]
    pub url: String,
}

impl Record {
    /// What it is, in one short line; empty where nothing says.
    pub fn line(&self) -> String {
        let texts = [&self.summary, &self.details].into_iter().flatten();
        let line = texts.flat_map(|text| text.lines()).map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        match line.char_indices().nth(MOST_SUMMARY) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_string(),
        }
    }

    /// The page that says most of it.
    pub fn page(&self) -> Option<&str> {
        let kind = |kind: &str| self.references.iter().find(|reference| reference.kind == kind);
        let found = kind("ADVISORY").or_else(|| kind("WEB")).or(self.references.first());
        found.map(|reference| reference.url.as_str()).filter(|url| url.starts_with("https://"))
    }
}

fn listed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
