//! Stage 2: `image.lock` as a value: the packages of a distribution, one by one, and what they were resolved from. Texts in, values
//! out, and back. Pure.
//!
//! The lock says what it answers: [`Request`] stands in it in words, with a fingerprint. A manifest that asks for something else is
//! told what differs, and is never resolved anew by a build.

mod changes;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};

pub use changes::PackageChange;
pub use read::read;
pub use write::write;

use crate::error::{Finding, Report};
use crate::manifest::{Family, Manifest, PackageSource, Packages};
use crate::oci::json::canonical;
use crate::oci::{Digest, Platform};

/// The version of the lock's grammar.
pub const VERSION: i64 = 1;

/// Everything that is pinned beside the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The packages, if any were resolved.
    pub packages: Option<Resolved>,
}

/// Packages and what they answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Whose packages they are.
    pub family: Family,
    /// What was asked.
    pub request: Request,
    /// The indexes that were read, in the order of the sources.
    pub indexes: Vec<LockedIndex>,
    /// The packages by name, version and architecture.
    pub packages: Vec<Locked>,
}

/// What packages are resolved from; none of it is a mirror's address, so that mirrors may move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What is wished for.
    pub install: BTreeSet<String>,
    /// Whether what packages recommend comes along.
    pub recommends: bool,
    /// The sources in their order: suite and components, maybe a snapshot.
    pub sources: Vec<String>,
    /// What the image of each platform stands on: packages that are there already are not installed again.
    pub bases: BTreeMap<String, String>,
}

/// An index that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedIndex {
    /// The place of its source in [`Request::sources`], from 1.
    pub source: usize,
    /// Its suite or repository; for Alpine with the architecture.
    pub suite: String,
    /// When it was made, in RFC 3339; an older one is refused later.
    pub date: String,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is built for, in its distribution's words.
    pub architecture: String,
    /// The platforms whose images have it.
    pub platforms: BTreeSet<String>,
    /// The place of its source in [`Request::sources`], from 1.
    pub source: usize,
    /// The path below the source's root.
    pub path: String,
    /// The bytes of the file.
    pub size: u64,
    /// The digest of the file.
    pub digest: Digest,
}

impl Request {
    /// What a manifest asks for.
    pub fn of(packages: &Packages, manifest: &Manifest) -> Request {
        let mut sources = Vec::new();
        packages.sources.iter().for_each(|source| sources.extend(words(source)));
        let base = |image: &crate::manifest::Image| (image.platform.to_string(), image.base.0.identity());
        Request {
            install: packages.install.iter().map(|(wish, _)| wish.to_string()).collect(),
            recommends: packages.recommends,
            sources,
            bases: manifest.images.iter().map(base).collect(),
        }
    }

    /// What stands for the whole request.
    pub fn fingerprint(&self) -> Digest {
        let value = serde_json::json!({
            "install": self.install,
            "recommends": self.recommends,
            "sources": self.sources,
            "bases": self.bases,
        });
        Digest::of(&canonical(&value))
    }

    /// What `wanted` asks that this does not answer, in words; `only` is the one platform that counts, if it is not all.
    fn differences(&self, wanted: &Request, only: Option<&Platform>) -> Vec<String> {
        let mut all = Vec::new();
        let more = |name: &String| format!("`install` has `{name}` now");
        let less = |name: &String| format!("`install` has no `{name}` any more");
        all.extend(wanted.install.difference(&self.install).map(more));
        all.extend(self.install.difference(&wanted.install).map(less));
        if self.recommends != wanted.recommends {
            all.push(format!("`no-recommends` is `{}` now", !wanted.recommends));
        }
        if self.sources != wanted.sources {
            all.push(format!("the sources are {} now, and were {}", list(&wanted.sources), list(&self.sources)));
        }
        for (platform, base) in &wanted.bases {
            match self.bases.get(platform) {
                None => all.push(format!("the platform `{platform}` is new")),
                Some(old) if old != base => {
                    all.push(format!("the base for `{platform}` is `{base}` now, and was `{old}`"))
                }
                Some(_) => {}
            }
        }
        let gone = |platform: &&String| only.is_none() && !wanted.bases.contains_key(*platform);
        all.extend(self.bases.keys().filter(gone).map(|platform| format!("the platform `{platform}` is gone")));
        all
    }
}

/// A source in words: one for each suite.
fn words(source: &PackageSource) -> Vec<String> {
    let moment = source.snapshot.as_ref().map(|moment| format!(" @{moment}")).unwrap_or_default();
    source.suites.iter().map(|suite| format!("{suite} {}{moment}", source.components.join(" "))).collect()
}

fn list(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl Lock {
    /// Whether the lock answers the manifest; what it lacks goes into the report. `only` is the one platform that is looked at, if it
    /// is not all that the manifest names.
    pub fn check(&self, manifest: &Manifest, only: Option<&Platform>, report: &mut Report) {
        let Some(packages) = &manifest.packages else { return };
        let wanted = Request::of(packages, manifest);
        let finding =
            |message: String| Finding::error("lock", message).at(&packages.place, "packages are asked for here");
        let help = "run `stillframe update`, and commit `image.lock`";
        match &self.packages {
            None => report.add(finding("`image.lock` pins no packages".into()).help(help)),
            Some(resolved) if resolved.family != packages.family => {
                let what = format!(
                    "`image.lock` has packages of {}, not of {}",
                    resolved.family.name(),
                    packages.family.name()
                );
                report.add(finding(what).help(help));
            }
            Some(resolved) => {
                let differences = resolved.request.differences(&wanted, only);
                if !differences.is_empty() {
                    let stale = finding("`image.lock` was resolved from something else".into());
                    let stale = differences.into_iter().fold(stale, |stale, difference| stale.help(difference));
                    report.add(stale.help(help));
                }
            }
        }
    }

    /// The pins of one platform, with where to fetch them, by name; none where the lock does not answer the manifest.
    pub fn packages(&self, manifest: &Manifest, platform: &Platform) -> Vec<Package> {
        let (Some(packages), Some(resolved)) = (&manifest.packages, &self.packages) else { return Vec::new() };
        let roots: Vec<String> =
            packages.sources.iter().flat_map(|source| source.suites.iter().map(|_| source.root())).collect();
        let platform = platform.to_string();
        let here = resolved.packages.iter().filter(|package| package.platforms.contains(&platform));
        let pinned = here.filter_map(|package| {
            let root = roots.get(package.source.checked_sub(1)?)?;
            Some(Package {
                family: resolved.family,
                name: package.name.clone(),
                version: package.version.clone(),
                architecture: package.architecture.clone(),
                url: format!("{root}/{}", escaped(&package.path)),
                size: package.size,
                digest: package.digest,
            })
        });
        pinned.collect()
    }
}

/// A path as it stands in a URL: what is no plain character there is escaped.
fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~+:@!$&'()*,;=".contains(&byte);
    let shown = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(shown).collect()
}

/// A pinned package of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// How it is laid out.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is built for.
    pub architecture: String,
    /// Where its file is.
    pub url: String,
    /// The bytes of the file.
    pub size: u64,
    /// The digest of the file.
    pub digest: Digest,
}
