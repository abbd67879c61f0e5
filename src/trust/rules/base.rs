//! Stage 8: the rules on what an image stands on, and on its labels. Pure.

use super::view::View;
use super::{Found, Subject};
use crate::error::{Severity, printable};
use crate::image;
use crate::manifest::rules::{MAX_BASE_AGE, REQUIRED_LABELS, UNSIGNED_BASE};
use crate::manifest::values::{FIXED, instant, rfc3339};
use crate::plan::Base;

const DAY: i64 = 24 * 60 * 60;

/// Whether somebody is asked to vouch for the base, and how old it is.
pub(super) fn judge(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let image = &view.image;
    let (base, place) = &image.plan.base;
    if matches!(base, Base::Scratch) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if subject.plan.verify.is_none() {
        let finding = UNSIGNED_BASE.finding(format!("nobody is asked to vouch for the base `{base}`")).at(place, "");
        found.push(Found::new(&UNSIGNED_BASE, finding.help("say who must have signed it below `[base.verify]`")));
    }
    if let Some((most, limit)) = subject.plan.checks.limit(&MAX_BASE_AGE) {
        let created = image.base.image.created.as_deref().and_then(instant).filter(|created| *created > FIXED);
        let own = Some(subject.plan.created).filter(|created| *created > FIXED);
        let untold = |what: &str| {
            let finding = MAX_BASE_AGE.finding(format!("the age of the base cannot be told: {what}")).at(limit, "");
            Found::untold(&MAX_BASE_AGE, Severity::Warning, finding)
        };
        match (created, own) {
            (None, _) => found.push(untold("it does not say when it was made")),
            (_, None) => found.push(untold("this image has no time of its own, see `created`")),
            (Some(created), Some(own)) => {
                let days = (own - created).div_euclid(DAY);
                if days >= 0 && days as u64 > most {
                    let message = format!(
                        "the base is {days} days older than the image, {most} are allowed: it was made at {}",
                        rfc3339(created)
                    );
                    let finding = MAX_BASE_AGE.finding(message).at(place, "").and(limit, "allowed here");
                    found.push(Found::new(&MAX_BASE_AGE, finding.help("pin a newer one")));
                }
            }
        }
    }
    found
}

/// Labels that must be there.
pub(super) fn labels(subject: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let image = &view.image;
    let mut found = Vec::new();
    for ruling in subject.plan.checks.of(&REQUIRED_LABELS) {
        let labels = image::configured(&image.base.image, image.plan).labels;
        for (name, place) in &ruling.list {
            let what = match labels.get(name).map(|value| value.trim()) {
                None => "missing",
                Some("") => "empty",
                Some(_) => continue,
            };
            let name = printable(name);
            let finding = REQUIRED_LABELS.finding(format!("the label `{name}` is {what}")).at(place, "required here");
            let finding = finding.help(format!("write `\"{name}\" = \"…\"` below `[labels]`"));
            found.push(Found::new(&REQUIRED_LABELS, finding).said(ruling));
        }
    }
    found
}
