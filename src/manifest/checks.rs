//! Stage 1: what `[check]` means. Written rules in, checked ones out: levels, limits, globs and what must hold of files. Pure.

use std::collections::BTreeMap;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::bytes::{Regex, RegexBuilder};

use super::meant::{Account, Who};
use super::read::Meaning;
use super::rules::{self, CHECK_FILE, Level, Rule, Value};
use super::vulnerabilities::{self, Vulnerabilities};
use super::words;
use super::written::{Env, Ruled, Spot, View, Written};
use crate::error::{Error, Finding, Place, Result, printable};

/// Largest compiled pattern of `matches`, in bytes.
const MOST_PATTERN: usize = 1 << 20;
/// Units of a size, and the customary budgets.
const UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const BUDGETS: [(&str, u64); 3] = [("large", 500 << 20), ("medium", 200 << 20), ("small", 100 << 20)];

/// What the image is judged by, beside the rules' defaults.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Where `[check]` stands, if it does.
    pub place: Option<Place>,
    /// What is said of rules, in the order of the file.
    pub rulings: Vec<Ruling>,
    /// What must hold of files.
    pub files: Vec<FileCheck>,
    /// Which known vulnerabilities it may not have, if that is asked.
    pub vulnerabilities: Option<Vulnerabilities>,
    /// Where each variable, label and annotation of the manifest is set, by what it is and its name.
    pub values: BTreeMap<(&'static str, String), Place>,
}

/// What one value under a rule says.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The rule's code.
    pub code: &'static str,
    /// What is done about its findings.
    pub level: Level,
    /// Why.
    pub reason: Option<String>,
    /// Only for these paths; empty for all.
    pub paths: Vec<PathGlob>,
    /// Bytes, layers or days.
    pub limit: Option<u64>,
    /// Globs or names, each with its place.
    pub list: Vec<(String, Place)>,
    /// Where it stands.
    pub place: Place,
    /// Whether it is a default of the workspace.
    pub inherited: bool,
}

/// What must hold of one file.
#[derive(Clone, Debug)]
pub struct FileCheck {
    /// The path below the root, without slashes at its ends.
    pub path: String,
    /// Its permission bits.
    pub mode: Option<u16>,
    /// Its owner.
    pub owner: Option<(u32, u32)>,
    /// A text in it.
    pub contains: Option<String>,
    /// What it begins with.
    pub starts_with: Option<String>,
    /// A pattern that fits somewhere in it.
    pub matches: Option<Regex>,
    /// What is done where that does not hold.
    pub level: Level,
    /// Why.
    pub reason: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// A glob for paths of the image, as of gitignore at its root; it also fits what is below a directory that it fits.
#[derive(Clone, Debug)]
pub struct PathGlob {
    written: String,
    matcher: Gitignore,
}

impl PathGlob {
    /// Compiles one glob.
    pub fn new(written: &str) -> Result<PathGlob> {
        let wrong = |why: &str| Error::usage(format!("`{}` is not a glob: {why}", printable(written)));
        if written.trim_matches('/').trim().is_empty() || written.starts_with('!') {
            return Err(wrong(if written.starts_with('!') { "`!` has no meaning here" } else { "it is empty" }));
        }
        let literal = written.strip_prefix('#').map_or(written.to_string(), |rest| format!("\\#{rest}"));
        let mut builder = GitignoreBuilder::new("");
        builder.add_line(None, &literal).map_err(|cause| match cause {
            ignore::Error::Glob { err, .. } => wrong(&printable(&err)),
            other => wrong(&printable(&other.to_string())),
        })?;
        let matcher = builder.build().map_err(|cause| wrong(&printable(&cause.to_string())))?;
        Ok(PathGlob { written: written.to_string(), matcher })
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether it fits this path, which has no slash at its ends.
    pub fn fits(&self, path: &str, directory: bool) -> bool {
        self.matcher.matched_path_or_any_parents(path, directory).is_ignore()
    }
}

impl Checks {
    /// What is said of a rule, in the order of the file.
    pub fn of<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = &'a Ruling> {
        self.rulings.iter().filter(|ruling| ruling.code == rule.code)
    }

    /// Whether anything is said of a rule.
    pub fn sets(&self, rule: &Rule) -> bool {
        self.of(rule).next().is_some()
    }

    /// What counts for a finding of a rule, at a path if it has one: what is said of that path, else of all; `None` for the default.
    pub fn ruling(&self, rule: &Rule, path: Option<&str>) -> Option<&Ruling> {
        let fits = |ruling: &&Ruling| path.is_some_and(|path| ruling.paths.iter().any(|glob| glob.fits(path, false)));
        let whole = || self.rulings.iter().find(|ruling| ruling.code == rule.code && ruling.paths.is_empty());
        self.rulings.iter().filter(|ruling| ruling.code == rule.code).find(fits).or_else(whole)
    }

    /// The limit of a rule, and where it is said.
    pub fn limit(&self, rule: &Rule) -> Option<(u64, &Place)> {
        self.rulings.iter().filter(|ruling| ruling.code == rule.code).find_map(|it| Some((it.limit?, &it.place)))
    }
}

/// The rules that the manifest sets. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Checks {
    let mut checks = Checks { values: values(written), ..Checks::default() };
    let Some((place, rules)) = &written.check else { return checks };
    checks.place = Some(place.clone());
    checks.vulnerabilities = vulnerabilities::read(meaning, written);
    for (key, ruled) in rules {
        let Some(rule) = rules::rule(&key.value) else { continue };
        match (rule.key, ruled) {
            (Some(super::grammar::Kind::Rule(value)), ruled) => {
                checks.rulings.extend(ruling(meaning, rule, value, key, ruled))
            }
            (Some(super::grammar::Kind::Tables(table)), Ruled::Table(view)) if table.name == CHECK_FILE.name => {
                checks.files.extend(file(meaning, view));
            }
            _ => {}
        }
    }
    checks
}

fn values(written: &Written) -> BTreeMap<(&'static str, String), Place> {
    let of = |kind: &'static str, name: &Spot<String>, place: &Place| ((kind, name.value.clone()), place.clone());
    let env = written.env.iter().map(|(name, value)| match value {
        Env::Set(spot) | Env::Prepend(spot) | Env::Append(spot) => of("variable", name, &spot.place),
    });
    let labels = written.labels.iter().map(|(name, value)| of("label", name, &value.place));
    let annotations = written.annotations.iter().map(|(_, name, value)| of("annotation", name, &value.place));
    env.chain(labels).chain(annotations).collect()
}

fn ruling(meaning: &mut Meaning, rule: &Rule, value: Value, key: &Spot<String>, ruled: &Ruled) -> Option<Ruling> {
    let default = if rule.default == Level::Allow { Level::Deny } else { rule.default };
    let mut ruling = Ruling {
        code: rule.code,
        level: default,
        reason: None,
        paths: Vec::new(),
        limit: None,
        list: Vec::new(),
        place: key.place.clone(),
        inherited: meaning.inherits(&key.place),
    };
    let sized = matches!(value, Value::Size | Value::SizePaths);
    match ruled {
        Ruled::Word(spot) if sized => ruling.limit = Some(meaning.parsed(spot, "size", size)?),
        Ruled::Word(spot) => ruling.level = Level::named(&spot.value)?,
        Ruled::Number(spot) => ruling.limit = Some(u64::try_from(spot.value).ok()?),
        Ruled::Words(spots) => ruling.list = list(meaning, &spots.value),
        Ruled::Table(view) => {
            ruling.place = view.place.clone();
            ruling.level = view.text("level").map_or(Some(default), |spot| Level::named(&spot.value))?;
            ruling.reason = view.text("reason").and_then(|spot| meaning.text(spot));
            ruling.limit = match view.text("limit") {
                Some(spot) => Some(meaning.parsed(spot, "size", size)?),
                None => view.number("limit").and_then(|spot| u64::try_from(spot.value).ok()),
            };
            ruling.list = view.list("list").map(|spots| list(meaning, &spots.value)).unwrap_or_default();
            for spot in view.list("paths").map(|list| list.value.clone()).unwrap_or_default() {
                ruling.paths.extend(meaning.parsed(&spot, "glob", PathGlob::new));
            }
        }
    }
    let globs = [rules::FORBIDDEN_PATHS.code, rules::REQUIRED_PATHS.code].contains(&rule.code);
    for (glob, place) in ruling.list.iter().filter(|_| globs) {
        if let Err(error) = PathGlob::new(glob) {
            meaning.report.add(Finding::error("glob", error.message()).at(place, "globs follow gitignore"));
        }
    }
    let (empty, what) = match value {
        Value::Count => (ruling.limit.is_none(), "limit"),
        Value::Size | Value::SizePaths => (ruling.limit.is_none() && ruling.paths.is_empty(), "limit"),
        Value::Words => (ruling.list.is_empty(), "list"),
        Value::Whole { .. } | Value::Paths => (false, ""),
    };
    if empty && ruling.level != Level::Allow {
        let finding = Finding::error("missing-key", format!("`{}` has no `{what}`", rule.code));
        meaning.report.add(finding.at(&ruling.place, format!("expected {}", value.expects())));
    }
    Some(ruling)
}

fn list(meaning: &mut Meaning, spots: &[Spot<String>]) -> Vec<(String, Place)> {
    spots.iter().filter_map(|spot| Some((meaning.text(spot)?, spot.place.clone()))).collect()
}

fn file(meaning: &mut Meaning, view: &View) -> Option<FileCheck> {
    let text = |meaning: &mut Meaning, key: &str| view.text(key).and_then(|spot| meaning.text(spot));
    let (path, _) = meaning.parsed(view.text("path")?, "path", words::destination)?;
    let check = FileCheck {
        path,
        mode: view.mode("mode").map(|spot| spot.value),
        owner: view.text("owner").and_then(|spot| meaning.parsed(spot, "user", owner)),
        contains: text(meaning, "contains"),
        starts_with: text(meaning, "starts-with"),
        matches: view.text("matches").and_then(|spot| meaning.parsed(spot, "value", pattern)),
        level: view.text("level").map_or(Some(Level::Deny), |spot| Level::named(&spot.value))?,
        reason: text(meaning, "reason"),
        place: view.place.clone(),
    };
    Some(check)
}

/// An owner in numbers; a lone one is the user's and the group's.
fn owner(text: &str) -> Result<(u32, u32)> {
    match words::who(text)? {
        Who { user: Account::Id(uid), group: Some(Account::Id(gid)) } => Ok((uid, gid)),
        Who { user: Account::Id(uid), group: None } => Ok((uid, uid)),
        _ => Err(Error::usage(format!("`{}` is not an owner in numbers", printable(text))).hint("as in \"1000:1000\"")),
    }
}

fn pattern(text: &str) -> Result<Regex> {
    RegexBuilder::new(text).size_limit(MOST_PATTERN).multi_line(true).build().map_err(|cause| {
        let why = cause.to_string();
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Error::usage(format!("`{}` is not a regular expression: {}", printable(text), printable(last)))
    })
}

/// An amount of bytes: a number and a unit, or a customary budget.
pub fn size(text: &str) -> Result<u64> {
    if let Some((_, bytes)) = BUDGETS.iter().find(|(name, _)| *name == text) {
        return Ok(*bytes);
    }
    let wrong = || {
        let shown = printable(text);
        Error::usage(format!("`{shown}` is not a size")).hint(
            "write a number and a unit, as in \"60MiB\" or \"1.5GB\", or \"large\" (500 MiB), \"medium\" (200 MiB), \"small\" (100 MiB)",
        )
    };
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').map_or((number, ""), |(whole, part)| (whole, part));
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| wrong());
    let bytes = number(whole)?.checked_mul(*factor).ok_or_else(wrong)?;
    // At most three digits behind the point, so that a part is exact enough.
    match part.len() {
        0 if !text.contains('.') => Ok(bytes),
        1..=3 => {
            let part = number(part)? * factor / 10u64.pow(part.len() as u32);
            bytes.checked_add(part).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// An amount of bytes for people, as it could stand in the manifest.
pub fn shown(bytes: u64) -> String {
    let unit = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")].into_iter().find(|(unit, _)| bytes >= *unit);
    match unit {
        None => format!("{bytes} B"),
        Some((unit, name)) => {
            let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
            let (whole, tenth) = (tenths / 10, tenths % 10);
            if tenth == 0 { format!("{whole} {name}") } else { format!("{whole}.{tenth} {name}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text: &str, expect: u64| assert_eq!(size(text).unwrap(), expect, "{text}");
        check("60MiB", 60 << 20);
        check("60 MiB", 60 << 20);
        check("1.5GB", 1_500_000_000);
        check("0B", 0);
        check("1.125KiB", 1152);
        check("large", 500 << 20);
        check("medium", 200 << 20);
        check("small", 100 << 20);
        for wrong in
            ["", "60", "60M", "60mib", "-1MiB", "1.MiB", ".5MiB", "1.2345MiB", "99999999999TiB", "huge", "1e3B"]
        {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_for_people() {
        let check = |bytes: u64, expect: &str| assert_eq!(shown(bytes), expect);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1 KiB");
        check(1025, "1.1 KiB");
        check(60 << 20, "60 MiB");
        check((60 << 20) + 1, "60.1 MiB");
        check(u64::MAX, "17179869184 GiB");
    }

    #[test]
    fn globs_fit_paths_from_the_root() {
        let check = |glob: &str, path: &str, expect: bool| {
            assert_eq!(PathGlob::new(glob).unwrap().fits(path, false), expect, "{glob} {path}");
        };
        check("/app/.env", "app/.env", true);
        check("/app/.env", "srv/app/.env", false);
        check(".env", "srv/app/.env", true);
        check("/app", "app/a/b", true);
        check("/app/**", "app/a/b", true);
        check("**/*.md", "a/b/c.md", true);
        check("*.md", "a/b/c.md", true);
        check("#a", "#a", true);
        for wrong in ["", "/", "!a", "a{", "[z-a]"] {
            assert!(PathGlob::new(wrong).is_err(), "{wrong}");
        }
    }
}
