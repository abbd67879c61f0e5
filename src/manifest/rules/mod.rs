//! Stage 1: what an image is judged by: one table of rules. `[check]` of the grammar, `docs/checks.md`, `check --explain` and SARIF are
//! made from it, and the judges of `trust::rules` point into it. Plain values.
//!
//! A rule's code is its key in `[check]`. A new rule is one entry in a group here, and one judge there.

mod files;
mod image;
mod programs;
mod vulnerabilities;

pub use files::{
    CASE, DEVICES, FILE, FORBIDDEN_PATHS, MAX_FILE_SIZE, MAX_WASTED, REQUIRED_PATHS, SECRETS, SETUID, WORLD_WRITABLE,
};
pub use image::{
    MAX_BASE_AGE, MAX_LAYER_SIZE, MAX_LAYERS, MAX_SIZE, REQUIRED_LABELS, ROOT_USER, SECRET_VALUES, UNPINNED_BASE,
    UNSIGNED_BASE, UNUSED_ALLOW, USER_NAME,
};
pub use programs::{
    ENTRYPOINT, LIBRARY_VERSION, LINK, MISSING_INTERPRETER, MISSING_LIBRARY, MISSING_LOADER, ODD_PROGRAM, WRONG_MACHINE,
};
pub use vulnerabilities::VULNERABILITIES;

use super::grammar::{Key, Kind, Table};
use crate::error::{Finding, Kind as Who};

/// What is done about a finding of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The image does not go out: exit 4.
    Deny,
    /// It is told.
    Warn,
    /// It is meant. Where somebody wrote so, that is told, with the reason.
    Allow,
}

impl Level {
    /// All levels, the strictest first.
    pub const ALL: [Level; 3] = [Level::Deny, Level::Warn, Level::Allow];

    /// The word for it in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Deny => "deny",
            Level::Warn => "warn",
            Level::Allow => "allow",
        }
    }

    /// The level of this name.
    pub fn named(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// Something that an image is judged by.
pub struct Rule {
    /// The code of its findings, and its key in `[check]`.
    pub code: &'static str,
    /// One sentence on what it finds.
    pub about: &'static str,
    /// Why that matters and what to do about it: a few sentences.
    pub why: &'static str,
    /// Its level where the manifest says nothing.
    pub default: Level,
    /// What its key in `[check]` takes; `None` where it cannot be set.
    pub key: Option<Kind>,
}

/// What a rule takes in `[check]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A level, for the whole image. `bare` says whether a lone "allow" does, without a reason.
    Whole { bare: bool },
    /// A level, which may be another one for some paths.
    Paths,
    /// An amount of bytes, for the whole image.
    Size,
    /// An amount of bytes, and levels for some paths.
    SizePaths,
    /// A whole number.
    Count,
    /// A list of strings.
    Words,
}

/// Largest number that a rule takes.
pub const MOST: i64 = 36_500;

impl Value {
    /// One of each table.
    pub const ALL: [Value; 6] =
        [Value::Whole { bare: false }, Value::Paths, Value::Size, Value::SizePaths, Value::Count, Value::Words];

    /// The name of its table in the schema.
    pub fn name(self) -> &'static str {
        match self {
            Value::Whole { .. } => "rule",
            Value::Paths => "rule-paths",
            Value::Size => "rule-size",
            Value::SizePaths => "rule-size-paths",
            Value::Count => "rule-count",
            Value::Words => "rule-list",
        }
    }

    /// The keys of the table that stands in the place of a lone level.
    pub fn table(self) -> &'static Table {
        match self {
            Value::Whole { .. } => &WHOLE,
            Value::Paths => &PATHS,
            Value::Size => &SIZE,
            Value::SizePaths => &SIZE_PATHS,
            Value::Count => &COUNT,
            Value::Words => &WORDS,
        }
    }

    /// What is expected, for messages.
    pub fn expects(self) -> &'static str {
        match self {
            Value::Whole { bare: true } => "\"deny\", \"warn\", \"allow\" or a table with `level` and `reason`",
            Value::Whole { bare: false } => "\"deny\", \"warn\" or a table with `level` and `reason`",
            Value::Paths => "\"deny\", \"warn\", a table or a list of tables, with `level`, `reason` and `paths`",
            Value::Size => "a size as in \"60MiB\", or a table with `limit`, `level` and `reason`",
            Value::SizePaths => {
                "a size as in \"60MiB\", a table or a list of tables, with `limit`, `level`, `reason` and `paths`"
            }
            Value::Count => "a whole number, or a table with `limit`, `level` and `reason`",
            Value::Words => "a list of strings, or a table with `list`, `level` and `reason`",
        }
    }
}

/// The levels as they are written.
const LEVELS: &[&str] = &["deny", "warn", "allow"];
const SET: Key = Key {
    name: "level",
    kind: Kind::OneOf(LEVELS),
    required: false,
    about: "What is done about it: \"deny\", \"warn\" or \"allow\".",
};
const REASON: Key = text("reason", "Why it is allowed; is shown with what it allows.");
const LIMIT: Key = text("limit", "The size, as in \"60MiB\".");
const FOR: Key = Key {
    name: "paths",
    kind: Kind::List { some: true },
    required: false,
    about: "Only for these paths of the image, as gitignore-style globs.",
};

const fn text(name: &'static str, about: &'static str) -> Key {
    Key { name, kind: Kind::Text, required: false, about }
}

static WHOLE: Table = Table { name: "rule", about: "A rule.", keys: &[SET, REASON] };
static PATHS: Table = Table { name: "rule", about: "A rule.", keys: &[SET, REASON, FOR] };
static SIZE: Table = Table { name: "rule", about: "A rule.", keys: &[LIMIT, SET, REASON] };
static SIZE_PATHS: Table = Table { name: "rule", about: "A rule.", keys: &[LIMIT, SET, REASON, FOR] };
static COUNT: Table = Table {
    name: "rule",
    about: "A rule.",
    keys: &[
        Key {
            name: "limit",
            kind: Kind::Number { least: 1, most: MOST },
            required: false,
            about: "The number that is not to be passed.",
        },
        SET,
        REASON,
    ],
};
static WORDS: Table = Table {
    name: "rule",
    about: "A rule.",
    keys: &[Key { name: "list", kind: Kind::List { some: true }, required: false, about: "The strings." }, SET, REASON],
};

/// `[check]`.
pub static CHECK: Table = Table {
    name: "check",
    about: "What the image is judged by before it goes out. Each key is a rule of checks.md.",
    keys: &KEYS,
};

/// `[[check.file]]`.
pub static CHECK_FILE: Table = Table {
    name: "check.file",
    about: "What must hold of a file of the image.",
    keys: &[
        Key { name: "path", kind: Kind::Text, required: true, about: "The file: absolute, without `.` and `..`." },
        Key { name: "mode", kind: Kind::Mode, required: false, about: "Its permission bits." },
        text("owner", "Its owner in numbers: `uid:gid`."),
        text("contains", "A text that stands in it."),
        text("starts-with", "The text that it begins with."),
        text("matches", "A regular expression that fits somewhere in it."),
        SET,
        REASON,
    ],
};

/// All groups, in the order of the documentation.
const GROUPS: [&[&Rule]; 4] = [&image::RULES, &files::RULES, &programs::RULES, &vulnerabilities::RULES];

/// How many rules can be set.
const COUNT_OF_KEYS: usize = {
    let (mut group, mut count) = (0, 0);
    while group < GROUPS.len() {
        let mut at = 0;
        while at < GROUPS[group].len() {
            count += GROUPS[group][at].key.is_some() as usize;
            at += 1;
        }
        group += 1;
    }
    count
};

/// The keys of `[check]`, one for each rule that can be set.
static KEYS: [Key; COUNT_OF_KEYS] = keys();

const fn keys() -> [Key; COUNT_OF_KEYS] {
    let mut keys = [Key { name: "", kind: Kind::Bool, required: false, about: "" }; COUNT_OF_KEYS];
    let (mut group, mut count) = (0, 0);
    while group < GROUPS.len() {
        let mut at = 0;
        while at < GROUPS[group].len() {
            let rule = GROUPS[group][at];
            if let Some(kind) = rule.key {
                keys[count] = Key { name: rule.code, kind, required: false, about: rule.about };
                count += 1;
            }
            at += 1;
        }
        group += 1;
    }
    keys
}

/// All rules, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    GROUPS.into_iter().flatten().copied()
}

/// The rule of this code.
pub fn rule(code: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.code == code)
}

impl Rule {
    /// A finding of this rule, as grave as it is before the manifest's levels count.
    pub fn finding(&self, message: impl Into<String>) -> Finding {
        Finding::error(self.code, message).kind(Who::Policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_apart_and_explained() {
        let mut codes: Vec<&str> = all().map(|rule| rule.code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), all().count());
        for rule in all() {
            assert!(rule.about.ends_with('.') && rule.why.ends_with('.'), "{}", rule.code);
            assert!(rule.why.len() > rule.about.len(), "{}: the explanation says no more than the sentence", rule.code);
            assert!(rule.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.code);
            assert_eq!(Level::named(rule.default.name()), Some(rule.default));
        }
    }
}
