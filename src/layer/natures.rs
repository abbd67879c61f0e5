//! Stage 6: what the files of an image's own layers are, before anything is packed. Trees in, natures out. Reads the first bytes of each file,
//! and of a program the few parts that tell of it, each exactly as it was listed, unless that is known; on all threads. May use the store.

use std::collections::BTreeMap;

use object::read::ReadCache;

use super::known::Known;
use super::pack::PackError;
use super::place::Placed;
use super::read;
use super::spread::spread;
use super::tree::{Body, Content, Entry, Seen, Tree};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::facts::programs::{self, HEAD, Nature, Promise};
use crate::plan::Plan;
use crate::source::Stretch;
use crate::store::Store;

/// Largest text that a loader reads, in bytes.
const MOST_TEXT: u64 = 1 << 20;
/// Most files that are held in mind before they are looked at.
const BATCH: usize = 1 << 12;

/// What the files of one image's own layers are, by path; data has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Natures {
    /// Programs, libraries and scripts.
    pub files: BTreeMap<String, Nature>,
    /// The texts that loaders read.
    pub texts: BTreeMap<String, Vec<u8>>,
}

/// Looks at the own files of all images; a file that several of them have is looked at once.
pub fn natures(ctx: &Ctx, plan: &Plan, placed: &[Placed], known: &Known) -> Result<Vec<Natures>> {
    // Of one image nothing is looked at twice.
    let mut looked = Looked { known, keeps: placed.len() > 1, disk: BTreeMap::new(), stored: BTreeMap::new() };
    let mut all = Vec::new();
    for (at, image) in placed.iter().enumerate() {
        let natures = trees(ctx, &image.trees, &mut looked);
        all.push(natures.map_err(|error| super::make::explain(plan, at, error))?);
    }
    Ok(all)
}

/// What a look at a file showed: its nature, and all of it if it is a text that a loader reads.
type Told = (Option<Nature>, Option<Vec<u8>>);

/// A file to look at.
struct Job<'a> {
    path: &'a str,
    entry: &'a Entry,
    content: &'a Content,
    /// Whether its text is wanted.
    text: bool,
}

/// The natures of files by where they are: a file of this machine, or a stretch of a blob.
struct Looked<'a> {
    known: &'a Known,
    keeps: bool,
    disk: BTreeMap<Seen, Option<Nature>>,
    stored: BTreeMap<Stretch, Option<Nature>>,
}

impl Looked<'_> {
    /// What is known of a file.
    fn told(&self, content: &Content, text: bool) -> Option<Told> {
        let nature = match content {
            _ if text || !self.keeps => None,
            Content::Inline(_) => None,
            Content::Disk(disk) => self.disk.get(&disk.seen()),
            Content::Stored(stretch) => self.stored.get(&**stretch),
        };
        if let Some(nature) = nature {
            return Some((nature.clone(), None));
        }
        let fact = self.known.fact(content)?;
        (!text || fact.text.is_some()).then_some((fact.nature, fact.text))
    }

    /// Takes what a look showed.
    fn keep(&mut self, content: &Content, (nature, text): &Told) {
        self.known.looked(content, nature.as_ref(), text.as_deref());
        match content {
            _ if !self.keeps => None,
            Content::Inline(_) => None,
            Content::Disk(disk) => self.disk.insert(disk.seen(), nature.clone()),
            Content::Stored(stretch) => self.stored.insert(**stretch, nature.clone()),
        };
    }
}

impl Natures {
    fn add(&mut self, path: &str, text: bool, told: Told) {
        self.files.extend(told.0.map(|nature| (path.to_string(), nature)));
        self.texts.extend(told.1.filter(|_| text).map(|text| (path.to_string(), text)));
    }
}

fn trees(ctx: &Ctx, trees: &[Tree], looked: &mut Looked<'_>) -> Result<Natures, PackError> {
    let (mut natures, mut jobs) = (Natures::default(), Vec::new());
    for (path, entry) in trees.iter().flatten() {
        let Body::File(content) = &entry.body else { continue };
        let text = programs::is_text(path.as_bytes()) && content.size() <= MOST_TEXT;
        match looked.told(content, text) {
            Some(told) => natures.add(path, text, told),
            None => jobs.push(Job { path, entry, content, text }),
        }
        if jobs.len() == BATCH {
            look(ctx, &mut jobs, looked, &mut natures)?;
        }
    }
    look(ctx, &mut jobs, looked, &mut natures)?;
    Ok(natures)
}

/// Looks at files, of which none is left.
fn look(ctx: &Ctx, jobs: &mut Vec<Job<'_>>, looked: &mut Looked<'_>, natures: &mut Natures) -> Result<(), PackError> {
    let keeps = looked.keeps;
    let told = spread(ctx.jobs, jobs, |job, _| {
        ctx.cancel.check()?;
        let text = if job.text { Some(text(job.content, &ctx.store)?) } else { None };
        let nature = nature(job.content, &ctx.store)?;
        Ok((keeps || text.is_some() || nature.is_some()).then_some((nature, text)))
    });
    let told = told.map_err(|(at, error)| PackError { item: Some(jobs[at].entry.item), error })?;
    for (at, told) in told {
        looked.keep(jobs[at].content, &told);
        natures.add(jobs[at].path, jobs[at].text, told);
    }
    jobs.clear();
    Ok(())
}

fn nature(content: &Content, store: &Store) -> Result<Option<Nature>> {
    match content {
        Content::Inline(bytes) => Ok(programs::read(&**bytes)),
        Content::Disk(_) => {
            let mut source = read::content(content, store)?;
            let mut head = [0; HEAD as usize];
            let count = source.fill(&mut head)?;
            let head = head.get(..count).unwrap_or_default();
            match (programs::promise(head), source.file()) {
                (Promise::Elf, Some(file)) => Ok(programs::read(&ReadCache::new(file))),
                _ => Ok(programs::read(head)),
            }
        }
        Content::Stored(stretch) => stored(stretch, store),
    }
}

fn stored(stretch: &Stretch, store: &Store) -> Result<Option<Nature>> {
    let blob = stretch.blob;
    let opened = store.open(&blob)?.ok_or_else(|| Error::local(format!("the blob {blob} vanished from the store")))?;
    Ok(programs::read(ReadCache::new(opened.0).range(stretch.start, stretch.size)))
}

fn text(content: &Content, store: &Store) -> Result<Vec<u8>> {
    let mut source = read::content(content, store)?;
    let mut text = vec![0; usize::try_from(content.size().min(MOST_TEXT)).unwrap_or_default()];
    let count = source.fill(&mut text)?;
    text.truncate(count);
    source.finish()?;
    Ok(text)
}
