//! Stage 6: what the contents of an image say, without packing it. Placed trees in, facts by path out. Reads every file once whose content
//! is not known, each exactly as it was listed, on all threads.

use std::collections::BTreeMap;

use super::known::Known;
use super::make::explain;
use super::pack::PackError;
use super::place::Placed;
use super::read;
use super::spread::spread;
use super::tree::{Body, Content, Entry, Tree};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::plan::Plan;
use crate::store::Store;

/// How many bytes of a file are read at once.
const CHUNK: usize = 256 << 10;

/// What the contents of an image's own files say, by their paths; those that say nothing are missing.
pub type Contents = BTreeMap<String, Facts>;

/// One file to look at, and the image in the plan that it is first in.
struct Job<'a> {
    image: usize,
    path: &'a str,
    entry: &'a Entry,
}

/// What the contents of all images say, in the order of the plan. What several images share is read once.
pub fn look(ctx: &Ctx, plan: &Plan, placed: &[Placed], known: &Known) -> Result<Vec<Contents>> {
    let mut jobs: Vec<Job<'_>> = Vec::new();
    let mut shared: Vec<(usize, &str)> = Vec::new();
    for (image, own) in placed.iter().enumerate() {
        for (path, entry) in own.trees.iter().flatten() {
            let Body::File(content) = &entry.body else { continue };
            let same =
                |first: &Placed| first.trees.iter().any(|tree| tree.get(path).is_some_and(|it| it.body == entry.body));
            match placed.first() {
                _ if content.size() == 0 => {}
                Some(first) if image > 0 && same(first) => shared.push((image, path)),
                _ => jobs.push(Job { image, path, entry }),
            }
        }
    }
    let facts = all(ctx, &jobs, known).map_err(|(image, error)| explain(plan, image, error))?;
    let mut contents: Vec<Contents> = placed.iter().map(|_| Contents::new()).collect();
    for (at, facts) in facts {
        let job = &jobs[at];
        contents[job.image].insert(job.path.to_string(), facts);
    }
    for (image, path) in shared {
        if let Some(facts) = contents[0].get(path).cloned() {
            contents[image].insert(path.to_string(), facts);
        }
    }
    Ok(contents)
}

/// Reads those of the `wanted` files of a tree whose contents are not known.
pub(super) fn unknown(
    ctx: &Ctx,
    tree: &Tree,
    known: &Known,
    wanted: impl Fn(&Content) -> bool,
) -> Result<(), PackError> {
    let unknown =
        |content: &Content| matches!(content, Content::Disk(_)) && wanted(content) && known.fact(content).is_none();
    let files = tree.iter().filter(|(_, entry)| matches!(&entry.body, Body::File(content) if unknown(content)));
    let jobs: Vec<Job<'_>> = files.map(|(path, entry)| Job { image: 0, path, entry }).collect();
    all(ctx, &jobs, known).map_err(|(_, error)| error)?;
    known.settle();
    Ok(())
}

/// What those contents say that say something, with their places among the jobs; else the first failure in the order of the jobs.
fn all(ctx: &Ctx, jobs: &[Job<'_>], known: &Known) -> Result<Vec<(usize, Facts)>, (usize, PackError)> {
    let facts = spread(ctx.jobs, jobs, |job, chunk| {
        ctx.cancel.check()?;
        chunk.resize(CHUNK, 0);
        let facts = one(job, &ctx.store, known, chunk)?;
        Ok((!facts.is_empty()).then_some(facts))
    });
    facts.map_err(|(at, error)| (jobs[at].image, PackError { item: Some(jobs[at].entry.item), error }))
}

fn one(job: &Job<'_>, store: &Store, known: &Known, chunk: &mut [u8]) -> Result<Facts> {
    let Body::File(content) = &job.entry.body else {
        return Err(Error::bug(format!("looking at the entry `{}`: it has no content", job.path)));
    };
    if let Some(fact) = known.fact(content) {
        return Ok(fact.facts);
    }
    let (mut source, mut reading) = (read::content(content, store)?, known.reading(content));
    loop {
        let count = source.fill(chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        reading.piece(bytes);
    }
    source.finish()?;
    Ok(reading.end())
}
