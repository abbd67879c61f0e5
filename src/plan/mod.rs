//! Stage 2, Manifest + Lock → [`Plan`]. Pure: the same two texts give the same plan anywhere.

use std::collections::BTreeMap;

pub mod lock;
mod tags;

pub use crate::manifest::{Base, Local};
pub use lock::{Lock, Package};
pub use tags::{Decision, Fate, Known, Leave, Tags};

use crate::error::Place;
use crate::manifest::{Annotations, Change, Checks, Config, Created, Image, Item, Manifest, Vouched, What, values};
use crate::oci::media::Encoding;
use crate::oci::{Platform, Repository};

/// What will be made and under which names.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it is pushed.
    pub names: Vec<Repository>,
    /// The tags it gets.
    pub tags: Tags,
    /// `created` of config and history, seconds since 1970.
    pub created: i64,
    /// Remarks on manifests and index.
    pub annotations: Annotations,
    /// One for each platform, in the order of the manifest.
    pub images: Vec<ImagePlan>,
    /// Who must have signed the bases.
    pub verify: Option<Vouched>,
    /// What they are judged by, beside the rules' defaults.
    pub checks: Checks,
    /// What a person should know of the choices made here.
    pub notes: Vec<String>,
}

/// One platform's image.
#[derive(Clone, Debug)]
pub struct ImagePlan {
    /// What it is for.
    pub platform: Platform,
    /// What it stands on, and where that is said.
    pub base: (Base, Place),
    /// What is set in the config.
    pub config: Config,
    /// How its own layers are compressed.
    pub compression: Encoding,
    /// Whether equal files of a layer are stored once, as hard links.
    pub hard_links: bool,
    /// What is put into it.
    pub items: Vec<Item>,
    /// The packages that are laid out, by name.
    pub packages: Vec<Package>,
    /// The layers, lowest first; each names its items by their place in `items`.
    pub layers: Vec<LayerPlan>,
}

/// One layer: a name for people and for the history, and its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPlan {
    /// `imports`, `files`, `binaries` or a name of the manifest.
    pub name: String,
    /// Places in [`ImagePlan::items`].
    pub items: Vec<u32>,
}

impl Plan {
    /// The plan of a manifest and its lock. Whether the lock answers the manifest, [`Lock::check`] has told.
    pub fn new(manifest: &Manifest, lock: &Lock) -> Plan {
        let created = match &manifest.created {
            Created::At(seconds) => *seconds,
            Created::Fallback(_) => values::FIXED,
        };
        Plan {
            names: manifest.names.clone(),
            tags: Tags::new(manifest),
            created,
            annotations: manifest.annotations.clone(),
            images: manifest.images.iter().map(|one| image(one, lock.packages(manifest, &one.platform))).collect(),
            verify: manifest.verify.clone(),
            checks: manifest.checks.clone(),
            notes: notes(manifest).into_iter().collect(),
        }
    }
}

/// What follows from a work tree that is not its commit, told once.
fn notes(manifest: &Manifest) -> Option<String> {
    let dirty = manifest.values.git().and_then(|git| git.dirty.as_ref()).map(Change::why);
    let dirty = dirty.filter(|_| manifest.tags.is_none());
    let fixed = values::rfc3339(values::FIXED);
    match (&manifest.created, dirty) {
        (Created::Fallback(why), None) => Some(format!("`created` is {fixed}, because {why}")),
        (Created::Fallback(_), Some(why)) => {
            Some(format!("`created` is {fixed} and there is no tag for the commit, because {why}"))
        }
        (Created::At(_), Some(why)) => Some(format!("there is no tag for the commit, because {why}")),
        (Created::At(_), None) => None,
    }
}

fn image(image: &Image, packages: Vec<Package>) -> ImagePlan {
    ImagePlan {
        platform: image.platform.clone(),
        base: image.base.clone(),
        config: image.config.clone(),
        compression: image.compression,
        hard_links: image.hard_links,
        packages,
        layers: layers(&image.items),
        items: image.items.clone(),
    }
}

/// Groups by rate of change, slowest first: packages, archives and copies, files, named layers in the order in which they are first
/// named, binaries.
/// What is removed stands in the first layer made.
fn layers(items: &[Item]) -> Vec<LayerPlan> {
    let mut groups: BTreeMap<(u8, usize), LayerPlan> = BTreeMap::new();
    let mut named: Vec<&str> = Vec::new();
    let mut removed = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let at = at as u32;
        let (key, name) = match (&item.layer, &item.what) {
            (_, What::Remove) => {
                removed.push(at);
                continue;
            }
            (Some(name), _) => {
                let known = named.iter().position(|known| known == name);
                let order = known.unwrap_or_else(|| {
                    named.push(name);
                    named.len() - 1
                });
                ((3, order), name.as_str())
            }
            (None, What::Packages) => ((0, 0), "packages"),
            (None, What::Archive(_) | What::Taken(_) | What::Libraries(_)) => ((1, 0), "imports"),
            (None, What::Binary { .. }) => ((4, 0), "binaries"),
            (None, _) => ((2, 0), "files"),
        };
        groups.entry(key).or_insert_with(|| LayerPlan { name: name.to_string(), items: Vec::new() }).items.push(at);
    }
    let mut layers: Vec<LayerPlan> = groups.into_values().collect();
    if layers.is_empty() && !removed.is_empty() {
        layers.push(LayerPlan { name: "files".into(), items: Vec::new() });
    }
    if let Some(first) = layers.first_mut() {
        first.items.extend(removed);
    }
    layers
}
