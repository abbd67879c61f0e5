//! Stage 10: an image that is looked into: one in a registry, a layout, an archive, the store, or the one that the manifest makes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::args::Subject;
use super::super::prepare::{Made, Prepared, aside, make, prepare};
use super::super::session::{Session, outside};
use crate::error::{Error, Result, printable};
use crate::image::inside::{Maker, Step, Tree, history, merge};
use crate::layer::tree::Tree as Planned;
use crate::manifest;
use crate::oci::{Descriptor, DiffId, Digest, Document, Image as Config, Manifest, Platform, json};
use crate::plan::ImagePlan;
use crate::source::inside::{Holder, Inside, Name, all_inside};
use crate::source::{self, Image, Paper};
use crate::trust::compare::config;

/// One image for one platform.
pub struct Look {
    /// As it was named.
    pub name: String,
    /// What it is called for people: `.` by the name that the manifest gives it.
    pub title: String,
    /// Its manifest, with type, digest and size.
    pub descriptor: Descriptor,
    /// What it is for.
    pub platform: String,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: Config,
    /// The bytes of the config.
    pub bytes: Vec<u8>,
    /// How it came to be.
    pub steps: Vec<Step>,
    /// For each layer the lines of the manifest that put something into it; empty where it was not made here.
    pub lines: Vec<Vec<Line>>,
    /// Where the manifest puts each path: `image.toml:12`.
    pub origins: BTreeMap<Name, String>,
    holder: Holder,
}

/// An item of the manifest.
#[derive(Clone, Debug)]
pub struct Line {
    /// `image.toml:12`.
    pub place: String,
    /// `[[file]]` and so on.
    pub table: &'static str,
    /// Where it is put.
    pub dest: String,
}

/// Something to look into whose platform is not chosen yet.
pub enum Choice {
    /// What the manifest makes, for so many platforms.
    Work(usize),
    /// An image that was opened, and its name.
    Image(Box<Image>, String),
}

/// Opens an image for one platform.
pub async fn open(session: &Session<'_>, subject: &Subject, platform: Option<&Platform>) -> Result<Look> {
    choice(session, subject).await?.open(session, platform).await
}

/// Finds out which platforms there are.
pub async fn choice(session: &Session<'_>, subject: &Subject) -> Result<Choice> {
    match subject {
        Subject::Work => {
            let (file, sets) = (session.options.file.clone(), session.options.set.clone());
            let read = move || {
                let location = manifest::locate::locate(&file)?;
                // What is wrong with it is told once it is built.
                Ok(manifest::read(&location, &outside(&sets)).manifest.images.len())
            };
            aside(&session.ctx, read).await.map(Choice::Work)
        }
        Subject::At(place) => {
            let image = source::open(&session.ctx, place).await?;
            Ok(Choice::Image(Box::new(image), place.to_string()))
        }
    }
}

impl Choice {
    /// Whether a platform has to be chosen.
    pub fn several(&self) -> bool {
        match self {
            Choice::Work(count) => *count > 1,
            Choice::Image(image, _) => image.runnable().len() > 1,
        }
    }

    /// The image for one platform.
    pub async fn open(&self, session: &Session<'_>, platform: Option<&Platform>) -> Result<Look> {
        match self {
            Choice::Work(_) if platform.is_none() && self.several() => {
                Err(Error::usage("one platform is needed, the manifest names several")
                    .hint("choose one, as in `--platform linux/amd64`"))
            }
            Choice::Work(_) => {
                let mut looks = work(session, platform).await?.looks;
                looks.pop().ok_or_else(|| Error::bug("the manifest makes no image"))
            }
            Choice::Image(image, name) => {
                let only = image.only(platform).map_err(|error| error.context(format!("looking into `{name}`")))?;
                let Some(paper) = only.documents.last() else {
                    return Err(Error::bug("an image has no manifest"));
                };
                let all = image.runnable();
                let listed = all.iter().find(|(_, listed)| listed.descriptor.digest == paper.descriptor.digest);
                of_paper(session, &only, paper, listed.and_then(|(on, _)| on.as_ref()), name).await
            }
        }
    }
}

/// One image of something that was opened.
pub async fn of_paper(
    session: &Session<'_>,
    image: &Image,
    paper: &Paper,
    on: Option<&Platform>,
    name: &str,
) -> Result<Look> {
    let Document::Manifest(manifest) = &paper.document else {
        return Err(Error::bug("an index was taken for an image"));
    };
    let bytes = config(&session.ctx, image, manifest).await?;
    let config: Config = json::read(&bytes, "the config of the image")?;
    let platform = on.cloned().unwrap_or_else(|| config.platform());
    let steps = history(&config, manifest.layers.len(), &manifest.annotations);
    Ok(Look {
        name: name.to_string(),
        title: name.to_string(),
        descriptor: paper.descriptor.clone(),
        platform: platform.to_string(),
        lines: vec![Vec::new(); manifest.layers.len()],
        manifest: manifest.clone(),
        config,
        bytes,
        steps,
        origins: BTreeMap::new(),
        holder: Holder::Image(Box::new(image.clone())),
    })
}

/// What the manifest makes.
pub struct Work {
    /// One for each platform.
    pub looks: Vec<Look>,
    /// All of it.
    pub made: Made,
}

/// Builds what the manifest says.
pub async fn work(session: &Session<'_>, platform: Option<&Platform>) -> Result<Work> {
    let prepared = prepare(session, platform).await?;
    session.terminal.report(&prepared.report);
    let told = told(&prepared);
    let made = make(session, prepared).await?;
    let mut looks = Vec::new();
    for ((image, base), Told { own, origins }) in made.artifact.images.iter().zip(&made.bases).zip(told) {
        let manifest: Manifest = json::read(&image.manifest.bytes, "the manifest that was made")?;
        let config: Config = json::read(&image.config.bytes, "the config that was made")?;
        let mut steps = history(&config, manifest.layers.len(), &manifest.annotations);
        name_base(&mut steps, &base.reference.to_string());
        let below = image.layers.iter().filter(|layer| layer.name.is_none()).map(|_| Vec::new());
        looks.push(Look {
            name: Subject::Work.to_string(),
            title: made.target.names.first().map_or_else(|| "image.toml".to_string(), ToString::to_string),
            descriptor: image.manifest.descriptor.clone(),
            platform: image.platform.to_string(),
            lines: below.chain(own).collect(),
            manifest,
            config,
            bytes: image.config.bytes.clone(),
            steps,
            origins,
            holder: Holder::Made(base.clone()),
        });
    }
    Ok(Work { looks, made })
}

/// Gives the base the name that it has in the manifest, where it is known by no other.
fn name_base(steps: &mut [Step], reference: &str) {
    for step in steps {
        if let Maker::Base { name: name @ None, .. } = &mut step.maker {
            *name = Some(reference.to_string());
        }
    }
}

/// What the manifest says of one image.
struct Told {
    /// The lines of its own layers, lowest first.
    own: Vec<Vec<Line>>,
    /// The line of each path.
    origins: BTreeMap<Name, String>,
}

/// What the manifest says of each image.
fn told(prepared: &Prepared) -> Vec<Told> {
    let all = prepared.plan.images.iter().zip(prepared.placed.iter());
    all.map(|(plan, placed)| {
        let made = plan.layers.iter().zip(&placed.trees).filter(|(_, tree)| !tree.is_empty());
        let lines = made.map(|(layer, _)| layer.items.iter().filter_map(|item| line(plan, *item)).collect());
        Told { own: lines.collect(), origins: origins(plan, &placed.trees) }
    })
    .collect()
}

fn line(plan: &ImagePlan, item: u32) -> Option<Line> {
    let item = plan.items.get(item as usize)?;
    let (line, _) = item.place.line_column();
    let place = format!("{}:{line}", item.place.text.path);
    Some(Line { place, table: item.table, dest: printable(&item.dest) })
}

fn origins(plan: &ImagePlan, trees: &[Planned]) -> BTreeMap<Name, String> {
    let one = |(path, entry): (&str, &crate::layer::tree::Entry)| {
        Some((Name::from(path.as_bytes()), line(plan, entry.item)?.place))
    };
    trees.iter().flatten().filter_map(one).collect()
}

impl Look {
    /// The digest of the manifest.
    pub fn digest(&self) -> Digest {
        self.descriptor.digest
    }

    /// The layers with their diff IDs, lowest first.
    pub fn layers(&self) -> Result<Vec<(Descriptor, DiffId)>> {
        let (layers, ids) = (&self.manifest.layers, &self.config.rootfs.diff_ids);
        if layers.len() != ids.len() {
            return Err(Error::remote(format!(
                "the config of `{}` names {} diff IDs, the manifest has {} layers",
                self.name,
                ids.len(),
                layers.len()
            )));
        }
        Ok(layers.iter().cloned().zip(ids.iter().copied()).collect())
    }

    /// What each layer holds.
    pub async fn inside(&self, session: &Session<'_>) -> Result<Vec<Inside>> {
        let inside = all_inside(&session.ctx, &self.holder, &self.layers()?).await;
        inside.map_err(|error| error.context(format!("looking into `{}`", self.name)))
    }

    /// The files of the merged image.
    pub fn tree(&self, layers: &[Inside]) -> Result<Tree> {
        merge(layers).map_err(|error| error.context(format!("looking into `{}`", self.name)))
    }

    /// Where a layer comes from, in words; empty where nobody says.
    pub fn maker(&self, layer: usize) -> String {
        let step = self.steps.iter().find(|step| step.layer == Some(layer));
        printable(&step.map(|step| step.maker.words()).unwrap_or_default())
    }

    /// Where a path comes from: a line of the manifest, else its layer's number.
    pub fn origin(&self, path: &[u8], layer: u32) -> String {
        self.origins.get(path).cloned().unwrap_or_else(|| (layer + 1).to_string())
    }

    /// The config as it stands.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The bytes over the wire: manifest, config and each layer once.
    pub fn wire(&self) -> u64 {
        let blobs = std::iter::once(&self.manifest.config).chain(&self.manifest.layers);
        let once: BTreeMap<Digest, u64> = blobs.map(|blob| (blob.digest, blob.size)).collect();
        self.descriptor.size + once.values().sum::<u64>()
    }
}
