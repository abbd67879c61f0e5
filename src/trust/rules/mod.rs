//! Stage 8: may it go out. What is known of the images in, a report with the findings of all rules out; with one that is denied there
//! it is an error (exit 4). Pure: everything was read before.
//!
//! The rules are the table of [`crate::manifest::rules`]. A judge is a function from what is known to what it found; how grave that
//! is, is the manifest's to say, and is put there in one place, [`check`].

mod base;
mod modes;
mod paths;
mod programs;
mod secrets;
mod sizes;
#[cfg(test)]
mod tests;
mod user;
mod view;

use std::collections::BTreeSet;

use self::view::View;

use crate::error::{Finding, Report, Result, Severity};
use crate::image::Image;
use crate::layer::tree::Tree;
use crate::layer::{Asked, Contents, Natures};
use crate::manifest::grammar::Kind;
use crate::manifest::rules::{self, Level, Rule, Value};
use crate::manifest::{Checks, Ruling};
use crate::plan::{ImagePlan, Plan};
use crate::source::{Base, FileIndex};

/// What is judged.
pub struct Subject<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// One for each platform, in the order of the plan.
    pub images: Vec<Seen<'a>>,
}

/// One platform's image, as far as it is known.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What was planned.
    pub plan: &'a ImagePlan,
    /// What it stands on.
    pub base: &'a Base,
    /// The files of the base; empty where nothing asks for them.
    pub index: &'a FileIndex,
    /// The user of the config; empty for none.
    pub user: &'a str,
    /// The entries of the own layers, in the order of the plan's layers.
    pub trees: &'a [Tree],
    /// What the files in them are.
    pub natures: &'a Natures,
    /// What the contents of its own files say; `None` before they were read.
    pub contents: Option<&'a Contents>,
    /// What the manifest's rules ask beyond that; `None` before it was read.
    pub asked: Option<&'a Asked>,
    /// What was made; `None` before that.
    pub made: Option<&'a Image>,
}

/// Something that a rule found.
pub(super) struct Found {
    rule: &'static Rule,
    /// The path of the image that it is about, without slashes at its ends.
    path: Option<String>,
    finding: Finding,
    /// What is done about it, and why, where that is not the rule's to say.
    own: Option<(Level, Option<String>)>,
    /// How it is told where the rule could not be judged.
    untold: Option<Severity>,
    /// Whether it came from others (a base, a package): then it is denied only where the manifest says so.
    foreign: bool,
}

impl Found {
    /// Something found of the whole image.
    fn new(rule: &'static Rule, finding: Finding) -> Found {
        Found { rule, path: None, finding, own: None, untold: None, foreign: false }
    }

    /// Something found at a path of the image.
    fn at(rule: &'static Rule, path: &str, finding: Finding) -> Found {
        Found { path: Some(path.to_string()), ..Found::new(rule, finding) }
    }

    /// A rule that could not be judged, told so.
    fn untold(rule: &'static Rule, severity: Severity, finding: Finding) -> Found {
        Found { untold: Some(severity), ..Found::new(rule, finding) }
    }

    /// The same, with what the manifest says in this place.
    fn said(self, ruling: &Ruling) -> Found {
        Found { own: Some((ruling.level, ruling.reason.clone())), ..self }
    }
}

/// A judge: what it finds in one image.
type Judge = fn(&Subject<'_>, &View<'_>) -> Vec<Found>;

/// All judges, in the order of their findings.
const JUDGES: [Judge; 15] = [
    user::judge,
    programs::judge,
    base::judge,
    base::labels,
    secrets::values,
    secrets::files,
    modes::bits,
    modes::devices,
    modes::names,
    sizes::stored,
    sizes::files,
    sizes::wasted,
    paths::forbidden,
    paths::required,
    paths::files,
];

/// Judges all images and adds what was found; the report, if nothing in it ends the work.
pub fn check(subject: &Subject<'_>, mut report: Report) -> Result<Report> {
    let checks = &subject.plan.checks;
    let mut used = BTreeSet::new();
    for image in &subject.images {
        let view = View::new(image);
        for found in JUDGES.iter().flat_map(|judge| judge(subject, &view)) {
            if found.untold.is_some() && image.contents.is_none() {
                continue; // more will be known
            }
            let ruling = checks.ruling(found.rule, found.path.as_deref());
            used.extend(ruling.map(said));
            if let Some(finding) = weigh(found, ruling) {
                report.add(finding);
            }
        }
    }
    if subject.images.iter().all(|image| image.contents.is_some()) {
        let made = subject.images.iter().all(|image| image.made.is_some());
        unused(checks, &used, made, &mut report);
    }
    report.pass()
}

/// The finding as grave as the manifest has it; `None` where it is allowed and nobody said why.
fn weigh(found: Found, ruling: Option<&Ruling>) -> Option<Finding> {
    let Found { rule, path, mut finding, own, untold, foreign } = found;
    let default = if foreign { rule.default.max(Level::Warn) } else { rule.default };
    let said = ruling.map(|ruling| (ruling.level, ruling.reason.clone()));
    let (level, reason) = own.or(said).unwrap_or((default, None));
    if let Some(severity) = untold {
        return (level != Level::Allow).then_some(Finding { severity, ..finding });
    }
    finding.severity = match level {
        Level::Deny => Severity::Error,
        Level::Warn => Severity::Warning,
        Level::Allow => {
            finding.allowed = Some(reason?);
            finding.help.clear();
            Severity::Note
        }
    };
    if level != Level::Allow {
        finding.help.extend(meant(rule, path.as_deref()));
    }
    Some(finding)
}

/// How to say that a finding is meant, where a line of the manifest can.
fn meant(rule: &Rule, path: Option<&str>) -> Option<String> {
    let allow = match (rule.key?, path) {
        (Kind::Rule(Value::Whole { bare: true }), _) => "\"allow\"".to_string(),
        (Kind::Rule(Value::Paths | Value::SizePaths), Some(path)) => {
            let path = path.escape_debug();
            format!("{{ level = \"allow\", reason = \"…\", paths = [\"/{path}\"] }}")
        }
        (Kind::Rule(Value::Whole { .. } | Value::Paths), _) => "{ level = \"allow\", reason = \"…\" }".to_string(),
        _ => return None,
    };
    Some(format!("if it is meant, write `{} = {allow}` below `[check]`", rule.code))
}

/// Where a ruling stands.
fn said(ruling: &Ruling) -> (&str, usize) {
    (&ruling.place.text.path, ruling.place.span.start)
}

/// Tells of exceptions that nothing needed: those with a reason that allow something. Exceptions of a workspace are for some of its images.
fn unused(checks: &Checks, used: &BTreeSet<(&str, usize)>, made: bool, report: &mut Report) {
    let late = [rules::MAX_SIZE.code, rules::MAX_LAYER_SIZE.code];
    let judged = |code: &str| code != rules::UNUSED_ALLOW.code && (made || !late.contains(&code));
    let idle = |ruling: &&Ruling| {
        judged(ruling.code) && {
            ruling.level == Level::Allow
                && ruling.reason.is_some()
                && !ruling.inherited
                && !used.contains(&said(ruling))
        }
    };
    for ruling in checks.rulings.iter().filter(idle) {
        let message = format!("`{}` allows something that was not found", ruling.code);
        let finding = rules::UNUSED_ALLOW.finding(message).at(&ruling.place, "").help("take it out");
        let found = Found::new(&rules::UNUSED_ALLOW, finding);
        if let Some(finding) = weigh(found, checks.ruling(&rules::UNUSED_ALLOW, None)) {
            report.add(finding);
        }
    }
}
