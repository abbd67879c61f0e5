//! Between stages 9 and 10: where images are judged: before anything is packed by what is known then, and before anything is shipped by all.

use std::mem;

use super::gate;
use super::prepare::{Made, Prepared, aside, make};
use crate::ctx::Ctx;
use crate::error::{Report, Result};
use crate::layer::{self, Asked, Contents};
use crate::trust::{self, Seen, Subject};

/// Judges what is prepared, packs it and judges what was made. `tell` hears what was found and does not end the work.
pub async fn judged(ctx: &Ctx, mut prepared: Prepared, tell: &(dyn Fn(&Report) + Sync)) -> Result<Made> {
    prepared.report = match early(&prepared, None) {
        Ok(report) => report,
        // It will not go out: all that is wrong with it is told at once, and nothing is packed for that.
        Err(_) => looked(ctx, &prepared).await?,
    };
    tell(&prepared.report);
    let (told, manifest) = (prepared.report.clone(), prepared.manifest.clone());
    let mut made = make(ctx, prepared).await?;
    let mut report = mem::take(&mut made.report);
    report.join(gate::gate(ctx, &manifest, &made).await?);
    made.report = late(&made, report)?;
    tell(&made.report.without(&told));
    Ok(made)
}

/// Reads all contents without packing them, and judges what is known then.
pub async fn looked(ctx: &Ctx, prepared: &Prepared) -> Result<Report> {
    let (task, plan, placed) = (ctx.clone(), prepared.plan.clone(), prepared.placed.clone());
    let known = prepared.known.clone();
    let reading = move || {
        let contents = layer::look(&task, &plan, &placed, &known)?;
        known.settle();
        let asked = layer::ask(&task, &plan, &placed, &known)?;
        known.save(&task);
        Ok((contents, asked))
    };
    let read = aside(ctx, reading).await?;
    early(prepared, Some(&read))
}

/// Packs what was looked at, and adds what is known about its packages and what its programs were built from.
pub async fn scanned(ctx: &Ctx, prepared: Prepared, mut report: Report) -> Result<Report> {
    let manifest = prepared.manifest.clone();
    let made = make(ctx, prepared).await?;
    report.join(gate::gate(ctx, &manifest, &made).await?);
    report.pass()
}

/// Judges what is known before anything is packed.
fn early(prepared: &Prepared, read: Option<&(Vec<Contents>, Vec<Asked>)>) -> Result<Report> {
    let images = (0..prepared.plan.images.len()).map(|at| Seen {
        plan: &prepared.plan.images[at],
        base: &prepared.bases[at],
        index: &prepared.indexes[at],
        user: &prepared.placed[at].user,
        trees: &prepared.placed[at].trees,
        natures: &prepared.natures[at],
        contents: read.map(|(contents, _)| &contents[at]),
        asked: read.map(|(_, asked)| &asked[at]),
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
        natures: &made.natures[at],
        contents: Some(&made.contents[at]),
        asked: Some(&made.asked[at]),
        made: Some(image),
    });
    trust::check(&Subject { plan: &made.plan, images: images.collect() }, report)
}
