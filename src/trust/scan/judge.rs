//! Stage 8: what is to be done about each vulnerability. What was found and what is asked in, a verdict for each and findings out. Pure.
//!
//! What could not be found out counts as found: a distribution that the database does not know, a version that cannot be compared and a
//! gravity that nobody has judged are refused like the rest, unless `unknown` says that they are only told.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::Scan;
use super::matches::Vulnerability;
use super::vex::{Product, Statement, word};
use crate::error::{Finding, Kind, Place};
use crate::manifest::rules;
use crate::manifest::{Permission, Rating, Unknown};

/// The code of findings about vulnerabilities.
const CODE: &str = rules::VULNERABILITIES.code;
/// Most vulnerabilities that are findings of their own.
const MOST_FINDINGS: usize = 150;

/// What is asked of an image.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// From which gravity on it is refused; never where none is said.
    pub severity: Option<Rating>,
    /// What is done about what could not be found out.
    pub unknown: Unknown,
    /// What is let through.
    pub allow: Vec<Permission>,
    /// What makers say.
    pub statements: Vec<Statement>,
    /// The day that permissions are compared with; without one none has ended.
    pub today: Option<Date>,
    /// Where that is asked, if it is in a manifest.
    pub place: Option<Place>,
}

/// What is done about a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The image is refused.
    Deny,
    /// It is told.
    Tell,
    /// Somebody let it through: why, and until when.
    Allowed(String, Option<Date>),
    /// Its maker says that there is nothing to do: the status, why, and the document.
    Cleared(&'static str, String, String),
}

/// What was found, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What was found.
    pub scan: Scan,
    /// What is done about each vulnerability, in the same order.
    pub verdicts: Vec<Verdict>,
    /// Whether what could not be found out is a reason to refuse.
    pub blind: bool,
    place: Option<Place>,
    rest: Vec<Finding>,
}

/// Judges what was found in an image.
pub fn judge(scan: Scan, policy: &Policy, image: &Product) -> Judged {
    let mut used = BTreeSet::new();
    let mut verdicts = Vec::new();
    for vulnerability in &scan.vulnerabilities {
        verdicts.push(verdict(vulnerability, policy, image, &mut used));
    }
    let blind = policy.severity.is_some() && policy.unknown == Unknown::Deny && !scan.unknown().is_empty();
    let mut judged = Judged { scan, verdicts, blind, place: policy.place.clone(), rest: Vec::new() };
    judged.rest = judged.beside();
    judged.rest.extend(permissions(policy, &used));
    judged
}

fn verdict(one: &Vulnerability, policy: &Policy, image: &Product, used: &mut BTreeSet<usize>) -> Verdict {
    let mut allowed = None;
    for (at, permission) in policy.allow.iter().enumerate().filter(|(_, permission)| covers(permission, one)) {
        used.insert(at);
        if !ended(permission, policy) {
            allowed.get_or_insert(permission);
        }
    }
    if let Some(permission) = allowed {
        return Verdict::Allowed(permission.reason.clone(), permission.until);
    }
    if let Some(statement) = word(&policy.statements, one, image) {
        return Verdict::Cleared(statement.status.name(), statement.why.clone(), statement.from.clone());
    }
    let Some(least) = policy.severity else { return Verdict::Tell };
    let unknown = policy.unknown == Unknown::Deny;
    let grave = one.gravity.rating.map_or(unknown, |rating| rating >= least);
    if grave && (one.unsure.is_none() || unknown) { Verdict::Deny } else { Verdict::Tell }
}

fn covers(permission: &Permission, one: &Vulnerability) -> bool {
    let package =
        |name: &String| *name == one.package.name || one.seen.parts.iter().any(|(installed, ..)| installed == name);
    one.is(&|name| name == permission.id) && permission.package.as_ref().is_none_or(package)
}

fn ended(permission: &Permission, policy: &Policy) -> bool {
    matches!((permission.until, policy.today), (Some(until), Some(today)) if today > until)
}

impl Judged {
    /// The vulnerabilities that the image is refused for.
    pub fn refused(&self) -> impl Iterator<Item = &Vulnerability> {
        self.pairs().filter(|(_, verdict)| **verdict == Verdict::Deny).map(|(one, _)| one)
    }

    /// Whether the image is refused.
    pub fn denies(&self) -> bool {
        self.blind || self.refused().next().is_some()
    }

    /// Why the image is refused, and all that is to be told beside single vulnerabilities below the gate.
    pub fn findings(&self) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.refused().take(MOST_FINDINGS).map(|one| self.error(one)).collect();
        let count = self.refused().count();
        if count > MOST_FINDINGS {
            let more = format!("the image has {} more vulnerabilities of that kind", count - MOST_FINDINGS);
            let finding = Finding::error(CODE, more).kind(Kind::Policy);
            all.push(self.placed(finding.help("`stillframe scan` lists them all")));
        }
        all.extend(self.rest.iter().cloned());
        all
    }

    /// Every vulnerability as a finding, and the same rest.
    pub fn everything(&self) -> Vec<Finding> {
        let finding = |(one, verdict): (&Vulnerability, &Verdict)| match verdict {
            Verdict::Deny => Some(self.error(one)),
            Verdict::Tell => Some(self.placed(Finding::warning(CODE, sentence(one)).help(way_out(one)))),
            Verdict::Allowed(..) | Verdict::Cleared(..) => None,
        };
        self.pairs().filter_map(finding).chain(self.rest.iter().cloned()).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = (&Vulnerability, &Verdict)> {
        self.scan.vulnerabilities.iter().zip(&self.verdicts)
    }

    fn error(&self, one: &Vulnerability) -> Finding {
        self.placed(Finding::error(CODE, sentence(one)).kind(Kind::Policy).help(way_out(one)))
    }

    fn placed(&self, finding: Finding) -> Finding {
        match &self.place {
            Some(place) => finding.at(place, ""),
            None => finding,
        }
    }

    /// What was let through, and what could not be found out.
    fn beside(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        for (one, verdict) in self.pairs() {
            let reason = match verdict {
                Verdict::Allowed(reason, None) => reason.clone(),
                Verdict::Allowed(reason, Some(until)) => format!("{reason} (until {until})"),
                Verdict::Cleared(status, why, from) if why.is_empty() => format!("`{from}` says `{status}`"),
                Verdict::Cleared(status, why, from) => format!("`{from}` says `{status}`: {why}"),
                Verdict::Deny | Verdict::Tell => continue,
            };
            all.push(self.placed(Finding { allowed: Some(reason), ..Finding::note(CODE, sentence(one)) }));
        }
        for what in self.scan.unknown() {
            let message = format!("it is not known whether the image has vulnerabilities: {what}");
            let finding = match self.blind {
                true => Finding::error(CODE, message).kind(Kind::Policy),
                false => Finding::warning(CODE, message),
            };
            let help = "if that is as it should be, write `unknown = \"warn\"` below `[check.vulnerabilities]`";
            all.push(self.placed(finding.help(help)));
        }
        all
    }
}

/// What is wrong with permissions; `used` are those that let something through, or would have.
fn permissions(policy: &Policy, used: &BTreeSet<usize>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (at, permission) in policy.allow.iter().enumerate() {
        let Permission { id, place, .. } = permission;
        let shown = id.escape_debug();
        if let Some(until) = permission.until.filter(|_| ended(permission, policy)) {
            let finding = Finding::warning(CODE, format!("the permission for `{shown}` ended on {until}"));
            all.push(finding.at(place, "").help("look at it again: take it out, or write a later `until`"));
        } else if permission.until.is_some() && policy.today.is_none() {
            let message =
                format!("nothing says which day it is, so the permission for `{shown}` counts as if it had not ended");
            all.push(Finding::warning(CODE, message).at(place, "").help("commit, or set SOURCE_DATE_EPOCH"));
        }
        if !used.contains(&at) {
            let finding = Finding::note(CODE, format!("the permission for `{shown}` is not needed any more"));
            all.push(finding.at(place, "nothing in the image has it").help("take it out"));
        }
    }
    all
}

/// A vulnerability in one sentence.
pub fn sentence(one: &Vulnerability) -> String {
    let package = &one.package;
    let rating = match (one.gravity.rating, one.gravity.score) {
        (Some(rating), Some(score)) => format!("{}, {score:.1}", rating.name()),
        (Some(rating), None) => rating.name().to_string(),
        (None, _) => "nobody has judged how grave it is".to_string(),
    };
    let shown = format!("`{}` {}", package.name.escape_debug(), package.version.escape_debug());
    match &one.unsure {
        Some(why) => format!("{shown} may have {} ({rating}): {why}", one.id.escape_debug()),
        None => format!("{shown} has {} ({rating})", one.id.escape_debug()),
    }
}

fn way_out(one: &Vulnerability) -> String {
    let programs: Vec<&String> = one.seen.programs.iter().take(3).collect();
    let fixed = one.fixed.as_ref().map(|fixed| fixed.escape_debug().to_string());
    match (fixed, programs.as_slice()) {
        (Some(fixed), []) => format!("{fixed} does not have it: take a newer base, or newer packages"),
        (Some(fixed), [first, ..]) => format!("{fixed} does not have it: build `{first}` again with that"),
        (None, _) => format!(
            "no version without it is known; where it does no harm, write an OpenVEX statement, or `[[check.vulnerabilities.allow]]` with `id = \"{}\"` and a `reason`",
            one.id.escape_debug()
        ),
    }
}
