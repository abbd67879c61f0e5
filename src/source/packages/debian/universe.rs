//! Stage 5: all packages that a solver may choose from. Texts of `Packages` in, a table out that knows where each package stands; what
//! a package needs is read when it is asked for. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::relation::{groups, list, within};
use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::source::packages::solve::{Bound, Needs, Provider, Relation, Universe};
use crate::source::packages::stanza::{Stanza, stanzas};
use crate::versions::Dpkg;

/// Most packages that are looked at.
const MOST_PACKAGES: usize = 1_000_000;

/// One index.
pub struct Text {
    /// The place of its source in the lock's list, from 1.
    pub source: usize,
    /// Its name, for messages.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// One package of an index, or of the base.
struct Entry {
    /// The index, and the stanza's place in it.
    at: (usize, Range<usize>),
    name: String,
    version: String,
    /// Whether the base has it: then it stays, and its own needs are its affair.
    installed: bool,
}

/// All packages.
pub struct Packages {
    texts: Vec<Text>,
    entries: Vec<Entry>,
    names: BTreeMap<String, Vec<u32>>,
    providers: BTreeMap<String, Vec<Provider>>,
    architecture: String,
}

/// Where a package is, as its index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place of its source, from 1.
    pub source: usize,
    /// What it is built for.
    pub architecture: String,
    /// The path below the mirror.
    pub path: String,
    /// The bytes of the file.
    pub size: u64,
    /// The digest of the file.
    pub digest: Digest,
}

impl Packages {
    /// The packages of these indexes for an architecture. `base` is the text of the base's own packages, which come first and hide
    /// others of their name.
    pub fn new(texts: Vec<Text>, base: &str, architecture: &str) -> Result<Packages> {
        let base = Text { source: 0, name: "the base".into(), text: base.to_string() };
        let mut packages = Packages {
            texts: Vec::new(),
            entries: Vec::new(),
            names: BTreeMap::new(),
            providers: BTreeMap::new(),
            architecture: architecture.to_string(),
        };
        for text in [base].into_iter().chain(texts) {
            packages.add(text)?;
        }
        packages.sort();
        Ok(packages)
    }

    fn add(&mut self, text: Text) -> Result<()> {
        let at = self.texts.len();
        for (range, stanza) in stanzas(&text.text) {
            let wrong =
                |why: String| Error::remote(format!("{} has a package that cannot be: {}", text.name, printable(&why)));
            let (mut name, mut version, mut architecture, mut provides, mut status) = (None, None, None, "", None);
            for (key, value) in stanza.fields() {
                match key {
                    "Package" => name = Some(value),
                    "Version" => version = Some(value),
                    "Architecture" => architecture = Some(value),
                    "Provides" => provides = value,
                    "Status" => status = Some(value),
                    _ => {}
                }
            }
            let (Some(name), Some(version)) = (name, version) else {
                return Err(wrong("one has no name or no version".into()));
            };
            let installed = at == 0;
            if status.is_some_and(|status| status.split_ascii_whitespace().nth(2) != Some("installed")) {
                continue;
            }
            let foreign = architecture.is_some_and(|word| word != "all" && word != self.architecture);
            let hidden =
                !installed && self.names.get(name).is_some_and(|known| known.iter().any(|id| self.is_installed(*id)));
            if foreign || hidden {
                continue;
            }
            version.parse::<Dpkg>().map_err(|why| wrong(format!("`{name}`: {why}")))?;
            if self.entries.len() >= MOST_PACKAGES {
                return Err(Error::remote(format!("there are more than {MOST_PACKAGES} packages to choose from")));
            }
            let id = self.entries.len() as u32;
            for relation in list(provides).map_err(wrong)? {
                let version = relation.bound.map(|(_, version)| version);
                self.providers.entry(relation.name).or_default().push(Provider { package: id, version });
            }
            self.names.entry(name.to_string()).or_default().push(id);
            let (name, version) = (name.to_string(), version.to_string());
            self.entries.push(Entry { at: (at, range), name, version, installed });
        }
        self.texts.push(text);
        Ok(())
    }

    /// Puts the best first: of one name the highest version, of the same version the one of the earlier source; of providers those
    /// that the archive holds for more important.
    fn sort(&mut self) {
        for ids in self.names.values_mut().filter(|ids| ids.len() > 1) {
            let entries = &self.entries;
            let version = |id: &u32| entries.get(*id as usize).and_then(|entry| entry.version.parse::<Dpkg>().ok());
            ids.sort_by(|one, two| version(two).cmp(&version(one)).then(one.cmp(two)));
        }
        let mut providers = std::mem::take(&mut self.providers);
        for list in providers.values_mut().filter(|list| list.len() > 1) {
            let key = |provider: &Provider| {
                let package = provider.package;
                (self.priority(package), self.name(package).to_string(), provider.package)
            };
            list.sort_by_cached_key(key);
        }
        self.providers = providers;
    }

    fn priority(&self, package: u32) -> usize {
        const ORDER: [&str; 5] = ["required", "important", "standard", "optional", "extra"];
        let priority = self.stanza(package).field("Priority").unwrap_or_default();
        ORDER.iter().position(|word| *word == priority).unwrap_or(ORDER.len())
    }

    fn entry(&self, package: u32) -> Option<&Entry> {
        self.entries.get(package as usize)
    }

    fn stanza(&self, package: u32) -> Stanza<'_> {
        let text = self.entry(package).and_then(|entry| self.texts.get(entry.at.0)?.text.get(entry.at.1.clone()));
        Stanza::of(text.unwrap_or_default())
    }

    /// How many packages there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All names, for who seeks one that is like another.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Where a package is; what its index does not say in full is an error.
    pub fn found(&self, package: u32) -> Result<Found> {
        let stanza = self.stanza(package);
        let wrong = |what: &str| {
            let name = printable(self.name(package));
            Error::remote(format!("its index gives no proper {what} of `{name}`"))
        };
        let text = |name: &str| stanza.field(name).filter(|value| !value.is_empty());
        let path = text("Filename").ok_or_else(|| wrong("file name"))?;
        let path = path.strip_prefix("./").unwrap_or(path);
        let plain = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(|byte| byte.is_ascii_graphic());
        if !path.split('/').all(plain) {
            return Err(wrong("file name"));
        }
        let digest = text("SHA256").and_then(|digest| format!("sha256:{digest}").parse().ok());
        Ok(Found {
            source: self.entry(package).and_then(|entry| self.texts.get(entry.at.0)).map_or(0, |text| text.source),
            architecture: text("Architecture").ok_or_else(|| wrong("architecture"))?.to_string(),
            path: path.to_string(),
            size: text("Size").and_then(|size| size.parse().ok()).ok_or_else(|| wrong("size"))?,
            digest: digest.ok_or_else(|| wrong("SHA-256"))?,
        })
    }
}

impl Universe for Packages {
    fn named(&self, name: &str) -> &[u32] {
        self.names.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn providers(&self, name: &str) -> &[Provider] {
        self.providers.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn name(&self, package: u32) -> &str {
        self.entry(package).map_or("", |entry| &entry.name)
    }

    fn version(&self, package: u32) -> &str {
        self.entry(package).map_or("", |entry| &entry.version)
    }

    fn is_installed(&self, package: u32) -> bool {
        self.entry(package).is_some_and(|entry| entry.installed)
    }

    fn needs(&self, package: u32) -> Result<Needs, String> {
        let stanza = self.stanza(package);
        let all = |fields: &[&str]| -> Result<Vec<Vec<Relation>>, String> {
            let fields = fields.iter().filter_map(|name| stanza.field(name)).map(groups);
            Ok(fields.collect::<Result<Vec<_>, _>>()?.concat())
        };
        let installed = self.is_installed(package);
        let against = ["Conflicts", "Breaks"].iter().filter_map(|name| stanza.field(name)).map(list);
        Ok(Needs {
            depends: if installed { Vec::new() } else { all(&["Pre-Depends", "Depends"])? },
            conflicts: against.collect::<Result<Vec<_>, _>>()?.concat(),
            recommends: if installed { Vec::new() } else { all(&["Recommends"])? },
        })
    }

    fn within(&self, version: &str, bound: Bound, limit: &str) -> bool {
        within(version, bound, limit)
    }

    /// Whether a package may stand for a name with this qualifier: `:any` takes only those that say `Multi-Arch: allowed`.
    fn qualifies(&self, package: u32, qualifier: &str) -> bool {
        match qualifier {
            "any" => self.is_installed(package) || self.stanza(package).field("Multi-Arch") == Some("allowed"),
            "native" => true,
            other => other == self.architecture,
        }
    }
}
