//! Stage 8: what a database is asked about an image. An inventory in, packages by the names that databases know them by, and what
//! cannot be asked about, out. Pure.
//!
//! Distributions are asked about source packages: dpkg's field `Source`, apk's origin. A binary package that was rebuilt (`+b1`) has the
//! version of its source where dpkg names that. Crates and modules are asked about by their own names; what only helped to build is
//! not in the image.

use std::collections::{BTreeMap, BTreeSet};

use crate::trust::sbom::{How, Inventory, Language, Part, Purl, What};
use crate::versions::{Scheme, go_release};

/// The world of crates and that of Go's modules, as the OSV schema names them.
const CRATES: &str = "crates.io";
const GO: &str = "Go";
/// What Go calls its own library.
const STANDARD: &str = "stdlib";
/// Most parts without a place in any world that are named one by one.
const MOST_NAMED: usize = 10;

/// A package to ask about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The worlds of packages that may know it, the exact one first.
    pub ecosystems: Vec<String>,
    /// Its name there.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How its versions are ordered.
    pub scheme: Scheme,
}

impl Asked {
    /// The package URL of a crate or module.
    pub fn purl(&self) -> Option<Purl> {
        let kind = match self.ecosystems.first()?.as_str() {
            CRATES => "cargo",
            GO => "golang",
            _ => return None,
        };
        let mut purl = Purl::read(&format!("pkg:{kind}/{}", self.name))?;
        purl.version = Some(self.version.clone());
        Some(purl)
    }
}

/// Where a package that is asked about is in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The installed packages that were built from it: name, version, package URL.
    pub parts: BTreeSet<(String, String, Option<String>)>,
    /// The programs that hold it.
    pub programs: BTreeSet<String>,
}

/// All that is asked about an image.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The packages, each once.
    pub asked: BTreeMap<Asked, Seen>,
    /// What must be asked about and cannot be: half a sentence each.
    pub blind: Vec<String>,
    /// What nobody but its maker knows: crates from elsewhere, modules without a version. Half a sentence each.
    pub private: Vec<String>,
}

/// What is asked about an image. `unread` are the programs whose modules could not be read, and why.
pub fn contents(inventory: &Inventory, unread: &[(String, String)]) -> Contents {
    let mut contents = Contents::default();
    let system = inventory.parts.iter().find(|part| part.what == What::System);
    contents.distribution(inventory, system);
    let mut private: BTreeMap<Language, BTreeSet<String>> = BTreeMap::new();
    let mut holders = holders(inventory);
    for (at, part) in inventory.parts.iter().enumerate() {
        let What::Module(language) = part.what else { continue };
        let programs = holders.remove(&at).unwrap_or_default();
        match module(language, part) {
            _ if programs.is_empty() => {}
            Some(asked) => {
                contents.asked.entry(asked).or_default().programs.extend(programs);
            }
            None => drop(private.entry(language).or_default().insert(part.name.clone())),
        }
    }
    contents.private = private.into_iter().map(|(language, names)| unknown(language, &names)).collect();
    for (path, why) in unread {
        contents.blind.push(format!("what `{path}` was built from cannot be read: {why}"));
    }
    contents
}

impl Contents {
    fn distribution(&mut self, inventory: &Inventory, system: Option<&Part>) {
        let packages: Vec<&Part> = inventory.parts.iter().filter(|part| part.what == What::Package).collect();
        let (id, version) = match system {
            Some(system) => (system.name.as_str(), system.version.as_deref().unwrap_or_default()),
            None if packages.is_empty() => return,
            None => {
                self.blind.push(format!("its {} packages are of a distribution that it does not name", packages.len()));
                return;
            }
        };
        let shown = format!("{id} {version}");
        let shown = shown.trim().escape_debug();
        let Some((scheme, ecosystems)) = known(id, version) else {
            self.blind.push(match packages.len() {
                0 => format!("its distribution, `{shown}`, is not one whose packages can be listed"),
                count => {
                    format!("its distribution, `{shown}`, is none that is known here, so its {count} packages are not")
                }
            });
            return;
        };
        if packages.is_empty() {
            self.blind.push(format!("it is made of `{shown}`, but lists no packages"));
        }
        for part in packages {
            let version = part.version.clone().unwrap_or_default();
            let (name, source_version) = source(part);
            let source_version = source_version.unwrap_or_else(|| version.clone());
            let asked = Asked { ecosystems: ecosystems.clone(), name, version: source_version, scheme };
            let seen = self.asked.entry(asked).or_default();
            seen.parts.insert((part.name.clone(), version, part.purl.clone()));
        }
    }
}

/// The source package: dpkg writes `NAME (VERSION)` where the version is another one.
fn source(part: &Part) -> (String, Option<String>) {
    let Some(source) = &part.source else { return (part.name.clone(), None) };
    match source.split_once('(') {
        Some((name, rest)) => {
            (name.trim().to_string(), rest.trim().strip_suffix(')').map(|rest| rest.trim().to_string()))
        }
        None => (source.trim().to_string(), None),
    }
}

/// The rules for versions and the worlds of a distribution, by its `os-release`.
fn known(id: &str, version: &str) -> Option<(Scheme, Vec<String>)> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let release = plain(major) && plain(minor) && numbers.all(plain);
    let (scheme, ecosystems) = match id {
        "debian" if plain(major) => (Scheme::Dpkg, vec![format!("Debian:{major}"), "Debian".to_string()]),
        "ubuntu" if release => {
            (Scheme::Dpkg, vec![format!("Ubuntu:{major}.{minor}:LTS"), format!("Ubuntu:{major}.{minor}")])
        }
        "alpine" if release => (Scheme::Apk, vec![format!("Alpine:v{major}.{minor}"), "Alpine".to_string()]),
        "wolfi" => (Scheme::Apk, vec!["Wolfi".to_string()]),
        "chainguard" => (Scheme::Apk, vec!["Chainguard".to_string()]),
        _ => return None,
    };
    Some((scheme, ecosystems))
}

/// A crate or module that others know; none where only its maker does.
fn module(language: Language, part: &Part) -> Option<Asked> {
    part.purl.as_ref()?;
    let version = part.version.as_ref()?;
    let (ecosystem, version) = match language {
        Language::Rust => (CRATES, version.clone()),
        Language::Go if part.name == STANDARD => (GO, go_release(version).map_or(version.clone(), |it| it.to_string())),
        Language::Go => (GO, version.strip_prefix('v').unwrap_or(version).to_string()),
    };
    Some(Asked { ecosystems: vec![ecosystem.into()], name: part.name.clone(), version, scheme: Scheme::Semantic })
}

/// The programs that each module is part of.
fn holders(inventory: &Inventory) -> BTreeMap<usize, BTreeSet<String>> {
    let mut holders: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let inside = |how: &How| matches!(how, How::CompiledFrom | How::Links);
    for (from, _, to) in inventory.links.iter().filter(|(_, how, _)| inside(how)) {
        if let Some(file) = inventory.parts.get(*from).filter(|part| part.what == What::File) {
            holders.entry(*to).or_default().insert(file.name.clone());
        }
    }
    holders
}

fn unknown(language: Language, names: &BTreeSet<String>) -> String {
    let mut shown: Vec<String> =
        names.iter().take(MOST_NAMED).map(|name| format!("`{}`", name.escape_debug())).collect();
    if names.len() > MOST_NAMED {
        shown.push(format!("{} more", names.len() - MOST_NAMED));
    }
    let what = match language {
        Language::Rust => "crates that did not come from crates.io",
        Language::Go => "Go modules without a version",
    };
    format!("{what}: {}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_release() {
        let check = |id: &str, version: &str, expect: &[&str]| {
            let found = known(id, version).map(|(_, ecosystems)| ecosystems).unwrap_or_default();
            assert_eq!(found, expect, "{id} {version}");
        };
        check("debian", "12", &["Debian:12", "Debian"]);
        check("debian", "12.5", &["Debian:12", "Debian"]);
        check("alpine", "3.20.3", &["Alpine:v3.20", "Alpine"]);
        check("ubuntu", "24.04", &["Ubuntu:24.04:LTS", "Ubuntu:24.04"]);
        check("wolfi", "20230201", &["Wolfi"]);
        for (id, version) in [
            ("debian", ""),
            ("debian", "trixie"),
            ("alpine", "3.21_alpha20240807"),
            ("alpine", "edge"),
            ("fedora", "40"),
            ("", ""),
        ] {
            check(id, version, &[]);
        }
    }

    #[test]
    fn a_source_package_has_its_own_version_where_dpkg_names_it() {
        let check = |written: Option<&str>, expect: (&str, Option<&str>)| {
            let part = Part { source: written.map(str::to_string), ..Part::new(What::Package, "libc6") };
            assert_eq!(source(&part), (expect.0.to_string(), expect.1.map(str::to_string)));
        };
        check(None, ("libc6", None));
        check(Some("glibc"), ("glibc", None));
        check(Some("glibc (2.36-9)"), ("glibc", Some("2.36-9")));
    }
}
