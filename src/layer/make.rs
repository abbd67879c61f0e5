//! Stage 6: makes all layers of all platforms. Placed trees in, layers out: named, and in the store unless they were named before and only
//! their bytes are missing. The bridge from async to threads: here the work goes to a thread of its own, and nowhere else does one
//! computing task start another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::blocks::{Past, Reuse};
use super::done::Told;
use super::key::{Form, key, shape};
use super::known::Known;
use super::look;
use super::pack::{PackError, Packed, most_threads, run};
use super::pipe::Pipe;
use super::place::Placed;
use super::recipes::{Recipe, Recipes};
use super::record;
use super::tree::Tree;
use super::twins::twins;
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Report, Result};
use crate::event::Event;
use crate::oci::Digest;
use crate::oci::media::Encoding;
use crate::plan::Plan;

/// The kinds under which layers are remembered by their keys, and under which it is that one of a shape was.
const LAYER: &str = "layers-1";
const SHAPE: &str = "shapes-1";

/// The layers of one image with their names, lowest first; an empty tree makes none.
pub type Made = Vec<(String, Packed)>;

/// The layers of all images, and ways to make those again whose bytes are missing.
pub type All = (Vec<Made>, Recipes);

/// One layer to make.
#[derive(Clone)]
struct Job {
    name: String,
    label: String,
    compression: Encoding,
    hard_links: bool,
    /// Image and layer in the plan.
    at: (usize, usize),
}

impl Job {
    /// What decides the bytes beside the entries.
    fn form(&self) -> Form {
        Form { compression: self.compression, hard_links: self.hard_links }
    }
}

/// A layer, whether the store holds it, and the key that it is remembered under.
struct One {
    packed: Packed,
    stored: bool,
    key: Option<Digest>,
}

/// All that the making of a layer needs, to be kept for later.
#[derive(Clone)]
struct Bench {
    plan: Arc<Plan>,
    placed: Arc<Vec<Placed>>,
    known: Arc<Known>,
}

/// Makes every distinct tree once, one after the other, each on all threads; tells of each that is in the store.
pub async fn make_all(
    ctx: &Ctx,
    plan: &Arc<Plan>,
    placed: &Arc<Vec<Placed>>,
    known: &Arc<Known>,
    told: Option<Told>,
) -> Result<All> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut wanted: Vec<Vec<usize>> = Vec::new();
    let several = plan.images.len() > 1;
    for (image_at, (image, own)) in plan.images.iter().zip(&**placed).enumerate() {
        let mut of_image = Vec::new();
        for (layer_at, (layer, tree)) in image.layers.iter().zip(&own.trees).enumerate() {
            if tree.is_empty() {
                continue;
            }
            let same = |job: &Job| {
                let other = &placed[job.at.0].trees[job.at.1];
                (job.compression, job.hard_links) == (image.compression, image.hard_links)
                    && job.name == layer.name
                    && other == tree
            };
            of_image.push(jobs.iter().position(same).unwrap_or_else(|| {
                let (name, at) = (layer.name.clone(), (image_at, layer_at));
                let label = if several { format!("{} {name}", image.platform) } else { name.clone() };
                let (compression, hard_links) = (image.compression, image.hard_links);
                jobs.push(Job { name, label, compression, hard_links, at });
                jobs.len() - 1
            }));
        }
        wanted.push(of_image);
    }
    let bench = Bench { plan: plan.clone(), placed: placed.clone(), known: known.clone() };
    let made = bench.work(ctx, &jobs, told).await?;
    let mut recipes = Recipes::default();
    for (job, one) in jobs.iter().zip(&made) {
        let digest = one.packed.descriptor.digest;
        recipes.add(digest, bench.recipe(job, digest, one.key), one.stored);
    }
    let layer = |at: usize| (jobs[at].name.clone(), made[at].packed.clone());
    Ok((wanted.into_iter().map(|jobs| jobs.into_iter().map(layer).collect()).collect(), recipes))
}

impl Bench {
    async fn work(&self, ctx: &Ctx, jobs: &[Job], told: Option<Told>) -> Result<Vec<One>> {
        let (task, bench, jobs) = (ctx.clone(), self.clone(), jobs.to_vec());
        let done = tokio::task::spawn_blocking(move || {
            let one = |job: &Job| {
                let one = bench.one(&task, job).map_err(|error| bench.explain(job, error))?;
                told.iter().filter(|_| one.stored).for_each(|told| told.tell(&one.packed));
                Ok(one)
            };
            jobs.iter().map(one).collect()
        });
        done.await.map_err(|cause| Error::bug("a packing thread broke down").because(cause))?
    }

    fn tree(&self, job: &Job) -> &Tree {
        &self.placed[job.at.0].trees[job.at.1]
    }

    fn explain(&self, job: &Job, error: PackError) -> Error {
        explain(&self.plan, job.at.0, error)
    }

    /// A layer that was made before, else it is made now and remembered.
    fn one(&self, ctx: &Ctx, job: &Job) -> Result<One, PackError> {
        let tree = self.tree(job);
        if let Some((key, packed)) = self.recall(ctx, job)? {
            let stored = ctx.store.holds(&packed.descriptor.digest, packed.descriptor.size)?;
            let what = format!("layer {}", job.label);
            ctx.say(Event::Begin { what: what.clone(), total: 0 });
            ctx.say(Event::End { what, how: "known" });
            let whose = if stored { "" } else { "; its bytes are made when somebody needs them" };
            ctx.say(Event::Detail { text: format!("layer {}: known{whose}", job.label) });
            return Ok(One { packed, stored, key: Some(key) });
        }
        let packed = self.pack(ctx, job)?;
        let key = key(tree, job.form(), |content| self.known.id(content));
        if let Some(key) = &key {
            ctx.store.remember(LAYER, key, &record::write(&packed, tree));
            ctx.store.remember(SHAPE, &shape(tree, job.form()), b"");
        }
        Ok(One { packed, stored: true, key })
    }

    /// A layer that was made before. Contents that are not known are only read for that if one of its shape was.
    fn recall(&self, ctx: &Ctx, job: &Job) -> Result<Option<(Digest, Packed)>, PackError> {
        let tree = self.tree(job);
        let known = || key(tree, job.form(), |content| self.known.id(content));
        let key = match known() {
            Some(key) => key,
            None if ctx.store.recall(SHAPE, &shape(tree, job.form())).is_some() => {
                look::unknown(ctx, tree, &self.known, |_| true)?;
                match known() {
                    Some(key) => key,
                    None => return Ok(None),
                }
            }
            None => return Ok(None),
        };
        let recalled = ctx.store.recall(LAYER, &key);
        Ok(recalled.and_then(|bytes| record::read(&bytes, tree, job.compression.kind)).map(|packed| (key, packed)))
    }

    fn pack(&self, ctx: &Ctx, job: &Job) -> Result<Packed, PackError> {
        let what = format!("layer {}", job.label);
        ctx.say(Event::Begin { what: what.clone(), total: 0 });
        let told = AtomicU64::new(0);
        let progress = |done: u64| {
            // A report each MiB is enough for the eye.
            if done >> 20 > told.swap(done, Ordering::Relaxed) >> 20 {
                ctx.say(Event::Step { what: what.clone(), done });
            }
        };
        let tree = self.tree(job);
        let mut past = Past::recall(ctx, &self.known, &job.label, job.form());
        if past.is_known() {
            look::unknown(ctx, tree, &self.known, |_| true)?;
        }
        let tree = if job.hard_links { twins(ctx, tree, &self.known)? } else { tree.into() };
        let reuse = past.reuse(ctx, &tree, &self.known)?;
        let pipe = Pipe {
            compression: job.compression,
            store: &ctx.store,
            threads: most_threads(&tree, ctx.jobs),
            cancel: &ctx.cancel,
            progress: &progress,
            known: &self.known,
            reuse: reuse.as_ref(),
            #[cfg(test)]
            damage: None,
        };
        let (packed, marks) = run(&tree, &pipe)?;
        ctx.say(Event::End { what: what.clone(), how: "packed" });
        let (size, of) = (packed.tar_size, marks.len());
        let text = match reuse.as_ref().map_or(0, Reuse::used) {
            0 => format!("layer {}: packed, {size} bytes", job.label),
            known => format!("layer {}: packed, {size} bytes, {known} of {of} blocks known", job.label),
        };
        ctx.say(Event::Detail { text });
        self.known.settle();
        past.remember(ctx, &tree, &self.known, (packed.descriptor.digest, marks))?;
        Ok(packed)
    }

    /// The way to make a layer again. Where other bytes come out than were remembered, what was remembered was wrong.
    fn recipe(&self, job: &Job, digest: Digest, key: Option<Digest>) -> Recipe {
        let (bench, job) = (self.clone(), job.clone());
        Arc::new(move |ctx| {
            let packed = bench.pack(ctx, &job).map_err(|error| bench.explain(&job, error))?;
            let came = packed.descriptor.digest;
            if came == digest {
                return Ok(());
            }
            key.iter().for_each(|key| ctx.store.forget(LAYER, key));
            let what = format!("the layer `{}` came out as {came}, and was remembered as {digest}", job.name);
            Err(Error::local(what).hint("that is forgotten now: run the same command again"))
        })
    }
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
