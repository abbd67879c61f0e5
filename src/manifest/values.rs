//! Stage 1: values from outside. Declared variables, git and `--set` in, one scope for all templates out.
//! The environment and git are read here, once; rendering is pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

use super::grammar::nearest;
use super::written::{Spot, Var};
use crate::error::{Error, Finding, Report, Result, printable};
use crate::oci::Platform;

mod bound;
mod git;

pub use git::{Change, Git};
pub(crate) use git::{Failed, open as repository};

/// How much work one template may do before it is stopped.
const FUEL: u64 = 200_000;
/// Longest result of one template in bytes.
const MOST_BYTES: usize = 16 << 20;
/// Entries' modification time and the `created` of last resort: 1980-01-01T00:00:00Z.
pub const FIXED: i64 = 315_532_800;
/// The last second of the year 9999; RFC 3339 has no later one.
const LAST: i64 = 253_402_300_799;

/// What the world says, as far as the manifest may ask.
pub struct Outside<'a> {
    /// `--set NAME=VALUE`, in order.
    pub sets: &'a [(String, String)],
    /// Looks an environment variable up.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
}

/// All values that templates can name.
#[derive(Clone, Debug, Default)]
pub struct Values {
    vars: BTreeMap<String, String>,
    git: Option<Git>,
}

/// Where `created` comes from, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// A time, whatever it came from.
    At(i64),
    /// The fixed instant, because there is no usable commit; the reason is for a note.
    Fallback(String),
}

impl Values {
    /// Reads git and the environment for the declared variables; what is missing goes into the report.
    pub(super) fn read(around: &Path, vars: &[Var], outside: &Outside<'_>, report: &mut Report) -> Values {
        let git = git::facts(around).unwrap_or_else(|cause| {
            let mut finding = Finding::error("git", describe(&cause)).kind(cause.kind());
            finding.help.extend(cause.hints().iter().cloned());
            report.add(finding);
            None
        });
        let mut values = Values { vars: BTreeMap::new(), git };
        for (name, _) in outside.sets {
            if !vars.iter().any(|var| var.name.value == *name) {
                let mut finding = Finding::error(
                    "unknown-variable",
                    format!("`--set {}` names no declared variable", printable(name)),
                );
                match nearest(name, vars.iter().map(|var| var.name.value.as_str())) {
                    Some(near) => finding = finding.help(format!("did you mean `{near}`?")),
                    None => {
                        finding =
                            finding.help(format!("declare it: `[vars] {} = {{ default = \"…\" }}`", printable(name)))
                    }
                }
                report.add(finding);
            }
        }
        for var in vars {
            let value = values.variable(var, outside, report);
            values.vars.insert(var.name.value.clone(), value.unwrap_or_default());
        }
        values
    }

    /// What git says of the sources.
    pub fn git(&self) -> Option<&Git> {
        self.git.as_ref()
    }

    fn variable(&self, var: &Var, outside: &Outside<'_>, report: &mut Report) -> Option<String> {
        let name = &var.name.value;
        let identifier = name.chars().enumerate().all(|(at, character)| {
            character == '_' || character.is_ascii_alphabetic() || at > 0 && character.is_ascii_digit()
        });
        if !identifier || name.is_empty() || ["git", "platform"].contains(&name.as_str()) {
            let why = if identifier { "is taken" } else { "is not an identifier" };
            report.add(
                Finding::error("variable", format!("the name `{}` {why}", printable(name)))
                    .at(&var.name.place, "")
                    .help("use letters, digits and `_`, as in `app_version`"),
            );
            return None;
        }
        if let Some((_, value)) = outside.sets.iter().rev().find(|(set, _)| set == name) {
            return Some(value.clone());
        }
        let from = var.view.text("from");
        let prefix = var.view.text("strip-prefix").map_or("", |prefix| prefix.value.as_str());
        let found = match from.map(|from| (from, self.source(from, prefix, outside))) {
            Some((from, Err(finding))) => {
                report.add(finding.at(&from.place, ""));
                return None;
            }
            Some((_, Ok(found))) => found,
            None => None,
        };
        let stripped = found.map(|value| value.strip_prefix(prefix).map_or(value.clone(), str::to_string));
        let value = stripped.or_else(|| var.view.text("default").map(|default| default.value.clone()));
        if value.is_none() {
            let why = match from {
                Some(from) => format!("`{}` has no value and there is no default", printable(&from.value)),
                None => "it has neither `from` nor `default`".to_string(),
            };
            report.add(
                Finding::error("missing-value", format!("the variable `{name}` has no value"))
                    .at(from.map_or(&var.name.place, |from| &from.place), why)
                    .help(format!("give it one with `--set {name}=…`, or add `default = \"…\"`")),
            );
        }
        value
    }

    fn source(&self, from: &Spot<String>, prefix: &str, outside: &Outside<'_>) -> Result<Option<String>, Box<Finding>> {
        let unknown = || {
            let known: Vec<String> = git::NAMES.iter().map(|name| format!("git:{name}")).collect();
            let finding = Finding::error("variable", format!("`{}` is not a source of values", printable(&from.value)));
            Box::new(match nearest(&from.value, known.iter().map(String::as_str)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("known are: env:NAME, {}", known.join(", "))),
            })
        };
        match from.value.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => match (outside.env)(name) {
                None => Ok(None),
                Some(value) => value.into_string().map(Some).map_err(|_| {
                    let message = format!("the environment variable `{}` is not UTF-8", printable(name));
                    Box::new(Finding::error("variable", message))
                }),
            },
            Some(("git", "tag")) => Ok(self.git.as_ref().and_then(|git| git.tag_with(prefix))),
            Some(("git", name)) if git::NAMES.contains(&name) => Ok(self.git.as_ref().and_then(|git| git.value(name))),
            _ => Err(unknown()),
        }
    }
}

/// What `created = "commit"` is: SOURCE_DATE_EPOCH, else the commit of a clean tree, else the fixed instant.
pub(super) fn commit_time(git: Option<&Git>, outside: &Outside<'_>, report: &mut Report) -> Created {
    if let Some(epoch) = (outside.env)("SOURCE_DATE_EPOCH") {
        let text = epoch.to_string_lossy();
        let digits = !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        return match text.parse::<i64>() {
            Ok(seconds) if digits && seconds <= LAST => Created::At(seconds),
            _ => {
                let message = format!("SOURCE_DATE_EPOCH is `{}`, which is no time", printable(&text));
                let help = format!("set it to whole seconds since 1970, from 0 to {LAST}, or unset it");
                report.add(Finding::error("epoch", message).help(help));
                Created::At(FIXED)
            }
        };
    }
    match git {
        None => Created::Fallback("there is no git commit".into()),
        Some(Git { dirty: Some(change), .. }) => Created::Fallback(change.why()),
        Some(git) => Created::At(git.commit_time),
    }
}

/// A time as RFC 3339 in UTC, whole seconds.
pub fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// Seconds since 1970 of an RFC 3339 time from 1970 to 9999; fractions are refused.
pub fn parse_time(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let seconds = time.as_second();
    (time.subsec_nanosecond() == 0 && (0..=LAST).contains(&seconds)).then_some(seconds)
}

/// Seconds since 1970 of any RFC 3339 time; fractions are cut off.
pub fn instant(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

fn describe(cause: &Error) -> String {
    let mut all = vec![cause.message().to_string()];
    all.extend(cause.causes());
    all.join(": ")
}

/// What a template can see: all values, and one platform inside per-platform values.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Shared by all scopes.
    pub values: Arc<Values>,
    /// The platform the value is for.
    pub platform: Option<Platform>,
    /// The release that a tag is for.
    pub release: Option<Release>,
}

/// A release as the patterns of `[tags]` see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `major`.
    pub major: u64,
    /// `minor`.
    pub minor: u64,
    /// `patch`; that of a prerelease keeps its suffix.
    pub patch: String,
}

/// Why a template could not be rendered.
pub struct Failure {
    /// One sentence.
    pub message: String,
    /// The bytes of the template it is about, if known.
    pub range: Option<Range<usize>>,
    /// The way out, if one is known.
    pub help: Option<String>,
}

impl Scope {
    /// Renders a template; text without `{` passes unchanged.
    pub fn render(&self, template: &str) -> Result<String, Failure> {
        if !template.contains("{{") && !template.contains("{%") && !template.contains("{#") {
            return Ok(template.to_string());
        }
        if let Some((range, why)) = bound::excess(template) {
            let help =
                Some("compute less in it: give the value with `--set`, or take a file without a template".into());
            return Err(Failure { message: format!("the template is refused: {why}"), range: Some(range), help });
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        let rendered =
            environment.render_str(template, self.context()).map_err(|cause| self.failure(template, &cause))?;
        if rendered.len() > MOST_BYTES {
            let message = format!("the result is larger than the limit of {MOST_BYTES} bytes");
            return Err(Failure { message, range: None, help: None });
        }
        Ok(rendered)
    }

    fn context(&self) -> Value {
        let text = |value: &str| Value::from(value.to_string());
        let mut root: BTreeMap<String, Value> =
            self.values.vars.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        if let Some(git) = &self.values.git {
            let known = git::NAMES.iter().filter_map(|name| Some((name.to_string(), text(&git.value(name)?))));
            let mut map: BTreeMap<String, Value> = known.collect();
            map.insert("dirty".into(), Value::from(git.dirty.is_some()));
            root.insert("git".into(), Value::from(map));
        }
        if let Some(Release { major, minor, patch }) = &self.release {
            let (major, minor) = (major.to_string(), minor.to_string());
            root.insert("version".into(), text(&format!("{major}.{minor}.{patch}")));
            root.extend(
                [("major", &major), ("minor", &minor), ("patch", patch)].map(|(name, part)| (name.into(), text(part))),
            );
        }
        if let Some(platform) = &self.platform {
            let parts = [
                ("os", platform.os.as_str()),
                ("arch", &platform.arch),
                ("variant", &platform.variant),
                ("go_arch", &platform.arch),
                ("rust_target", platform.rust_target()),
            ];
            let map: BTreeMap<String, Value> =
                parts.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            root.insert("platform".into(), Value::from(map));
        }
        Value::from(root)
    }

    fn failure(&self, template: &str, cause: &minijinja::Error) -> Failure {
        let range = cause.range().filter(|range| template.get(range.clone()).is_some());
        let name = range.clone().and_then(|range| template.get(range)).unwrap_or_default().trim();
        if cause.kind() != ErrorKind::UndefinedError {
            let detail = cause.detail().map_or_else(|| cause.to_string(), str::to_string);
            let help = detail.contains("end of variable block").then(|| "close it with `}}`".to_string());
            return Failure { message: format!("the template is wrong: {}", printable(&detail)), range, help };
        }
        let message = format!("`{}` has no value here", printable(name));
        let help = match name {
            "git.tag" if self.values.git.is_some() => {
                "no tag points at HEAD; declare a variable with a default: `[vars] version = { from = \"git:tag\", default = \"…\" }`".into()
            }
            "git.branch" if self.values.git.is_some() => "HEAD is detached, there is no branch".into(),
            name if name.starts_with("git.") && self.values.git.is_none() => {
                "there is no git repository with a commit around the manifest".into()
            }
            name if name.starts_with("platform") && self.platform.is_none() => {
                "this value is the same for all platforms".into()
            }
            name => match nearest(name, self.names().iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it: `[vars] {} = {{ from = \"env:NAME\" }}`", printable(name)),
            },
        };
        Failure { message, range, help: Some(help) }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.values.vars.keys().cloned().collect();
        names.extend(git::NAMES.iter().map(|name| format!("git.{name}")));
        names.push("git.dirty".into());
        if self.release.is_some() {
            names.extend(["major", "minor", "patch", "version"].map(String::from));
        }
        names.extend(["os", "arch", "variant", "go_arch", "rust_target"].map(|name| format!("platform.{name}")));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(value: Option<&str>) -> Result<Created> {
        let env = |name: &str| (name == "SOURCE_DATE_EPOCH").then_some(value?.into());
        let mut report = Report::default();
        let created = commit_time(None, &Outside { sets: &[], env: &env }, &mut report);
        report.pass().map(|_| created)
    }

    #[test]
    fn rep_07_source_date_epoch_is_a_time_or_an_error() {
        assert_eq!(epoch(Some("0")).unwrap(), Created::At(0));
        assert_eq!(epoch(Some("1700000000")).unwrap(), Created::At(1_700_000_000));
        assert!(matches!(epoch(None).unwrap(), Created::Fallback(_)));
        for wrong in ["", "abc", "-1", "1099511627776", "1700000000\n", " 1", "+1", "1.5", "99999999999999999999"] {
            assert!(epoch(Some(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn templates_are_strict_and_keep_their_last_newline() {
        let vars = BTreeMap::from([("version".to_string(), "1.2".to_string())]);
        let values = Arc::new(Values { vars, git: None });
        let scope = Scope { values, platform: "linux/arm64".parse().ok(), release: None };
        assert_eq!(scope.render("v{{ version }}\n").ok().unwrap(), "v1.2\n");
        assert_eq!(scope.render("{{ platform.rust_target }}").ok().unwrap(), "aarch64-unknown-linux-musl");
        assert_eq!(scope.render("{{ verison }}").err().unwrap().help.unwrap(), "did you mean `version`?");
        assert!(scope.render("{{ git.sha }}").err().unwrap().help.unwrap().contains("no git"));
        assert!(scope.render("{% for i in range(99999999) %}x{% endfor %}").is_err());
        assert!(scope.render("{{ version").is_err());
    }
}
