//! Stage 5: all packages of Alpine that a solver may choose from. Texts of `APKINDEX` in, a table out. Pure.
//!
//! What apk does beyond relations is put into them: a package that provides a name in a version stands for it, so no other one of that
//! name may be there; and a package with `install_if` comes along by itself once all that it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::relation::{list, within};
use crate::error::{Error, Result, printable};
use crate::source::packages::solve::{Bound, Needs, Provider, Relation, Universe, matching};
use crate::source::packages::stanza::{Stanza, stanzas};
use crate::versions::Apk;

/// Most packages that are looked at.
const MOST_PACKAGES: usize = 1_000_000;

/// One index.
pub struct Text {
    /// The path of its directory below the mirror.
    pub directory: String,
    /// The whole text.
    pub text: String,
}

struct Entry {
    at: (usize, Range<usize>),
    name: String,
    version: String,
    installed: bool,
}

/// All packages.
pub struct Packages {
    texts: Vec<Text>,
    entries: Vec<Entry>,
    names: BTreeMap<String, Vec<u32>>,
    providers: BTreeMap<String, Vec<Provider>>,
    /// Those that come along by themselves.
    along: Vec<(u32, Vec<Relation>, Vec<Relation>)>,
}

impl Packages {
    /// The packages of these indexes. `base` is the text of the base's own packages, which come first and hide others of their name.
    pub fn new(texts: Vec<Text>, base: &str) -> Result<Packages> {
        let mut packages = Packages {
            texts: Vec::new(),
            entries: Vec::new(),
            names: BTreeMap::new(),
            providers: BTreeMap::new(),
            along: Vec::new(),
        };
        for text in [Text { directory: String::new(), text: base.to_string() }].into_iter().chain(texts) {
            packages.add(text)?;
        }
        let entries = &packages.entries;
        let version = |id: &u32| entries.get(*id as usize).and_then(|entry| entry.version.parse::<Apk>().ok());
        let best = |one: &u32, other: &u32| version(other).cmp(&version(one)).then(one.cmp(other));
        packages.names.values_mut().for_each(|ids| ids.sort_by(best));
        let mut providers = std::mem::take(&mut packages.providers);
        for list in providers.values_mut().filter(|list| list.len() > 1) {
            list.sort_by(|one, other| {
                let priority = |provider: &Provider| packages.number(provider.package, "k");
                let order = priority(other).cmp(&priority(one));
                let (name, next) = (packages.name(one.package), packages.name(other.package));
                order.then(name.cmp(next)).then(best(&one.package, &other.package))
            });
        }
        packages.providers = providers;
        Ok(packages)
    }

    fn add(&mut self, text: Text) -> Result<()> {
        let at = self.texts.len();
        let installed = at == 0;
        for (range, stanza) in stanzas(&text.text) {
            let wrong = |why: String| {
                Error::remote(format!(
                    "the index `{}` has a package that cannot be: {}",
                    text.directory,
                    printable(&why)
                ))
            };
            let field = |name: &str| exact(stanza, name);
            let (Some(name), Some(version)) = (field("P"), field("V")) else {
                return Err(wrong("one has no name or no version".into()));
            };
            let hidden = self.names.get(name).is_some_and(|known| known.iter().any(|id| self.is_installed(*id)));
            if !installed && hidden {
                continue;
            }
            if self.entries.len() >= MOST_PACKAGES {
                return Err(Error::remote(format!("there are more than {MOST_PACKAGES} packages to choose from")));
            }
            let id = self.entries.len() as u32;
            for provided in list(field("p").unwrap_or_default()).map_err(wrong)?.0 {
                let version = provided.bound.map(|(_, version)| version);
                self.providers.entry(provided.name).or_default().push(Provider { package: id, version });
            }
            if let Some(along) = field("i").filter(|along| !along.is_empty() && !installed) {
                let (wanted, unwanted) = list(along).map_err(wrong)?;
                self.along.push((id, wanted, unwanted));
            }
            self.names.entry(name.to_string()).or_default().push(id);
            let (name, version) = (name.to_string(), version.to_string());
            self.entries.push(Entry { at: (at, range), name, version, installed });
        }
        self.texts.push(text);
        Ok(())
    }

    fn stanza(&self, package: u32) -> Stanza<'_> {
        let entry = self.entries.get(package as usize);
        let text = entry.and_then(|entry| self.texts.get(entry.at.0)?.text.get(entry.at.1.clone()));
        Stanza::of(text.unwrap_or_default())
    }

    fn number(&self, package: u32, field: &str) -> u64 {
        self.field(package, field).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// A field of a package, as its index has it.
    pub fn field(&self, package: u32, name: &str) -> Option<&str> {
        exact(self.stanza(package), name)
    }

    /// The directory that a package's file is in.
    pub fn directory(&self, package: u32) -> &str {
        let entry = self.entries.get(package as usize);
        entry.and_then(|entry| self.texts.get(entry.at.0)).map_or("", |text| text.directory.as_str())
    }

    /// All names, for who seeks one that is like another.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }
}

/// A field of one letter, whose case counts.
fn exact<'a>(stanza: Stanza<'a>, name: &str) -> Option<&'a str> {
    stanza.fields().find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl Universe for Packages {
    fn named(&self, name: &str) -> &[u32] {
        self.names.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn providers(&self, name: &str) -> &[Provider] {
        self.providers.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn name(&self, package: u32) -> &str {
        self.entries.get(package as usize).map_or("", |entry| &entry.name)
    }

    fn version(&self, package: u32) -> &str {
        self.entries.get(package as usize).map_or("", |entry| &entry.version)
    }

    fn is_installed(&self, package: u32) -> bool {
        self.entries.get(package as usize).is_some_and(|entry| entry.installed)
    }

    fn needs(&self, package: u32) -> Result<Needs, String> {
        let (wanted, mut conflicts) = list(self.field(package, "D").unwrap_or_default())?;
        let (provided, _) = list(self.field(package, "p").unwrap_or_default())?;
        conflicts
            .extend(provided.into_iter().filter(|one| one.bound.is_some()).map(|one| Relation { bound: None, ..one }));
        let depends =
            if self.is_installed(package) { Vec::new() } else { wanted.into_iter().map(|one| vec![one]).collect() };
        Ok(Needs { depends, conflicts, recommends: Vec::new() })
    }

    fn within(&self, version: &str, bound: Bound, limit: &str) -> bool {
        within(version, bound, limit)
    }

    fn qualifies(&self, _: u32, _: &str) -> bool {
        true
    }

    fn along(&self, chosen: &BTreeSet<u32>) -> Vec<u32> {
        let met = |relation: &Relation| {
            matching(self, std::slice::from_ref(relation)).iter().any(|package| chosen.contains(package))
        };
        let comes = |(package, wanted, unwanted): &&(u32, Vec<Relation>, Vec<Relation>)| {
            !chosen.contains(package) && wanted.iter().all(met) && !unwanted.iter().any(met)
        };
        self.along.iter().filter(comes).map(|(package, ..)| *package).collect()
    }
}
