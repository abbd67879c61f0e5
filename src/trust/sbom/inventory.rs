//! Stage 8: what is in one image: a list of parts, the image itself first, and how they belong together. Plain values; the documents are
//! written from them.

use std::collections::BTreeMap;

use super::program::{Language, Module};
use crate::oci::Digest;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The image that the document is about.
    Image,
    /// The image that it stands on.
    Base,
    /// The distribution whose files are in it.
    System,
    /// A layer that was made here.
    Layer,
    /// A file of such a layer.
    File,
    /// An archive that files were taken from.
    Archive,
    /// An image that files were taken from.
    Source,
    /// A package of a distribution.
    Package,
    /// A crate or Go module inside of a program.
    Module(Language),
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// What it is.
    pub what: What,
    /// Its name; for a file the path with a `/` in front.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Its package URL, where it has one.
    pub purl: Option<String>,
    /// Where it was fetched from, if it was.
    pub download: Option<String>,
    /// What its database says of its licence, in its own words.
    pub licence: Option<String>,
    /// The source package that it was built from.
    pub source: Option<String>,
    /// Its digests: SHA-256, and for files SHA-1, which SPDX asks for.
    pub digests: (Option<Digest>, Option<String>),
    /// A file that is a program.
    pub program: bool,
}

/// How one part belongs to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is in it.
    Contains,
    /// It was made on top of it.
    StandsOn,
    /// Files were taken from it.
    TakenFrom,
    /// It was compiled from it.
    CompiledFrom,
    /// It has it linked in.
    Links,
    /// It took it to build.
    BuiltWith,
    /// It needs it.
    Needs,
}

/// What is in one image.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The image's manifest.
    pub digest: Digest,
    /// The image's time, RFC 3339.
    pub created: String,
    /// Every part once, the image first.
    pub parts: Vec<Part>,
    /// How they belong together: the places of two parts, sorted.
    pub links: Vec<(usize, How, usize)>,
    known: BTreeMap<Part, usize>,
}

impl Part {
    /// A part with a name, and nothing more known of it.
    pub fn new(what: What, name: impl Into<String>) -> Part {
        Part {
            what,
            name: name.into(),
            version: None,
            purl: None,
            download: None,
            licence: None,
            source: None,
            digests: (None, None),
            program: false,
        }
    }
}

impl Inventory {
    /// An image of which nothing is known yet.
    pub fn new(image: Part, digest: Digest, created: String) -> Inventory {
        let known = BTreeMap::from([(image.clone(), 0)]);
        Inventory { digest, created, parts: vec![image], links: Vec::new(), known }
    }

    /// Adds a part to another one and says where it stands. A package or module that is there already is not added again; a layer
    /// and a file always are.
    pub fn add(&mut self, of: usize, how: How, part: Part) -> usize {
        let twin = !matches!(part.what, What::Layer | What::File);
        let place = match self.known.get(&part).filter(|_| twin) {
            Some(place) => *place,
            None => {
                self.known.insert(part.clone(), self.parts.len());
                self.parts.push(part);
                self.parts.len() - 1
            }
        };
        self.link(of, how, place);
        place
    }

    /// Adds the modules of a program.
    pub fn add_modules(&mut self, file: usize, modules: &[Module]) {
        let mut places = Vec::new();
        for module in modules {
            let how = match (module.root, module.build) {
                (true, _) => How::CompiledFrom,
                (false, true) => How::BuiltWith,
                (false, false) => How::Links,
            };
            let (version, purl) = (module.version.clone(), module.purl.clone());
            let part = Part { version, purl, ..Part::new(What::Module(module.language), module.name.clone()) };
            places.push(self.add(file, how, part));
        }
        for (module, place) in modules.iter().zip(&places) {
            let uses = module.uses.iter().filter_map(|used| places.get(*used));
            uses.for_each(|used| self.link(*place, How::Needs, *used));
        }
    }

    fn link(&mut self, from: usize, how: How, to: usize) {
        let link = (from, how, to);
        if let Err(at) = self.links.binary_search(&link) {
            self.links.insert(at, link);
        }
    }

    /// The parts that belong to one in this way.
    pub fn of(&self, from: usize, how: How) -> impl Iterator<Item = usize> {
        let start = self.links.partition_point(|link| *link < (from, how, 0));
        self.links[start..].iter().take_while(move |link| (link.0, link.1) == (from, how)).map(|link| link.2)
    }
}
