//! Stage 10: where images are judged: before anything is packed by what is known then, and before anything is shipped by all.

use std::mem;

use super::prepare::{Made, Prepared, make};
use super::scan;
use super::session::Session;
use crate::error::{Report, Result};
use crate::trust::{self, Seen, Subject};

/// Judges what is prepared, packs it and judges what was made. Tells what was found and does not end the work.
pub async fn judged(session: &Session<'_>, mut prepared: Prepared) -> Result<Made> {
    prepared.report = early(&prepared)?;
    session.terminal.report(&prepared.report);
    let (told, manifest) = (prepared.report.clone(), prepared.manifest.clone());
    let mut made = make(session, prepared).await?;
    let mut report = mem::take(&mut made.report);
    report.join(scan::gate(session, &manifest, &made).await?);
    made.report = late(&made, report)?;
    session.terminal.report(&made.report.without(&told));
    Ok(made)
}

/// Judges what is known before anything is packed; the report with what was found.
pub fn early(prepared: &Prepared) -> Result<Report> {
    let images = (0..prepared.plan.images.len()).map(|at| Seen {
        plan: &prepared.plan.images[at],
        base: &prepared.bases[at],
        index: &prepared.indexes[at],
        user: &prepared.placed[at].user,
        trees: &prepared.placed[at].trees,
        made: None,
    });
    let subject = Subject { plan: &prepared.plan, images: images.collect() };
    trust::check(&subject, prepared.report.clone())
}

/// Judges what was made.
fn late(made: &Made, report: Report) -> Result<Report> {
    let images = made.artifact.images.iter().enumerate().map(|(at, image)| Seen {
        plan: &made.plan.images[at],
        base: &made.bases[at],
        index: &made.indexes[at],
        user: &made.placed[at].user,
        trees: &made.placed[at].trees,
        made: Some(image),
    });
    trust::check(&Subject { plan: &made.plan, images: images.collect() }, report)
}
