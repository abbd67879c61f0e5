//! Stage 6: makes all layers of all platforms. Placed trees in, layers in the store out. The bridge from async to threads: here
//! the work goes to a thread of its own, and nowhere else does one computing task start another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::done::Told;
use super::pack::{PackError, Packed, pack};
use super::place::Placed;
use super::tree::Tree;
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Report, Result};
use crate::event::Event;
use crate::oci::media::Compression;
use crate::plan::Plan;

/// The layers of one image with their names, lowest first; an empty tree makes none.
pub type Made = Vec<(String, Packed)>;

/// One layer to pack.
struct Job {
    name: String,
    compression: Compression,
    /// Image and layer in the plan.
    at: (usize, usize),
}

/// Packs every distinct tree once, one after the other, each on all threads; tells of each once it is in the store.
pub async fn make_all(ctx: &Ctx, plan: &Plan, placed: &Arc<Vec<Placed>>, told: Option<Told>) -> Result<Vec<Made>> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut wanted: Vec<Vec<usize>> = Vec::new();
    for (image_at, (image, own)) in plan.images.iter().zip(&**placed).enumerate() {
        let mut of_image = Vec::new();
        for (layer_at, (layer, tree)) in image.layers.iter().zip(&own.trees).enumerate() {
            if tree.is_empty() {
                continue;
            }
            let same = |job: &Job| {
                let other = &placed[job.at.0].trees[job.at.1];
                job.compression == image.compression && job.name == layer.name && other == tree
            };
            of_image.push(jobs.iter().position(same).unwrap_or_else(|| {
                let at = (image_at, layer_at);
                jobs.push(Job { name: layer.name.clone(), compression: image.compression, at });
                jobs.len() - 1
            }));
        }
        wanted.push(of_image);
    }
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let packed = work(ctx, plan, placed.clone(), jobs, told).await?;
    let made = |at: usize| (names[at].clone(), packed[at].clone());
    Ok(wanted.into_iter().map(|jobs| jobs.into_iter().map(made).collect()).collect())
}

async fn work(
    ctx: &Ctx,
    plan: &Plan,
    placed: Arc<Vec<Placed>>,
    jobs: Vec<Job>,
    told: Option<Told>,
) -> Result<Vec<Packed>> {
    let task = ctx.clone();
    let several = plan.images.len() > 1;
    let labels: Vec<String> = jobs
        .iter()
        .map(|job| if several { format!("{} {}", plan.images[job.at.0].platform, job.name) } else { job.name.clone() })
        .collect();
    let done = tokio::task::spawn_blocking(move || {
        let mut packed = Vec::new();
        for (job, label) in jobs.iter().zip(labels) {
            match one(&task, job, &placed[job.at.0].trees[job.at.1], &label) {
                Ok(layer) => {
                    told.iter().for_each(|told| told.tell(&layer));
                    packed.push(layer);
                }
                Err(error) => return Err((job.at.0, error)),
            }
        }
        Ok(packed)
    });
    let done = done.await.map_err(|cause| Error::bug("a packing thread broke down").because(cause))?;
    done.map_err(|(image, error)| explain(plan, image, error))
}

fn one(ctx: &Ctx, job: &Job, tree: &Tree, label: &str) -> Result<Packed, PackError> {
    let what = format!("layer {label}");
    ctx.say(Event::Begin { what: what.clone(), total: 0 });
    let told = AtomicU64::new(0);
    let progress = |done: u64| {
        // A report each MiB is enough for the eye.
        if done >> 20 > told.swap(done, Ordering::Relaxed) >> 20 {
            ctx.say(Event::Step { what: what.clone(), done });
        }
    };
    let packed = pack(tree, job.compression, &ctx.store, ctx.jobs, &ctx.cancel, &progress)?;
    ctx.say(Event::End { what: what.clone(), how: "packed" });
    Ok(packed)
}

/// Gives the error its place in the manifest.
pub(super) fn explain(plan: &Plan, image: usize, failed: PackError) -> Error {
    let item = failed.item.and_then(|item| plan.images[image].items.get(item as usize));
    let Some(item) = item else { return failed.error };
    let mut message = failed.error.message().to_string();
    for cause in failed.error.causes() {
        message = format!("{message}: {cause}");
    }
    let mut finding = Finding::error("source", message).kind(failed.error.kind()).at(&item.place, "needed here");
    finding.help.extend(failed.error.hints().iter().cloned());
    let mut report = Report::default();
    report.add(finding);
    Error::findings(report)
}
