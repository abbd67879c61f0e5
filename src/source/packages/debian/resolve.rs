//! Stage 5: from wishes to pinned packages. The manifest's `[packages.debian]` and the bases in, what the lock pins out.

use std::collections::{BTreeMap, BTreeSet};

use super::suite::{self, Suite};
use super::universe::{Packages, Text};
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Report, Result, printable};
use crate::event::Event;
use crate::manifest;
use crate::manifest::grammar::nearest;
use crate::oci::Platform;
use crate::plan::lock::{Locked, LockedIndex};
use crate::source::blob::blocking;
use crate::source::packages::solve::{Relation, Universe, matching, solve};
use crate::source::packages::{Ages, relation, shown};

/// What Debian calls the architectures of platforms.
const ARCHITECTURES: [(&str, &str); 11] = [
    ("linux/amd64", "amd64"),
    ("linux/arm64", "arm64"),
    ("linux/arm/v7", "armhf"),
    ("linux/arm/v6", "armel"),
    ("linux/arm/v5", "armel"),
    ("linux/386", "i386"),
    ("linux/ppc64le", "ppc64el"),
    ("linux/s390x", "s390x"),
    ("linux/riscv64", "riscv64"),
    ("linux/loong64", "loong64"),
    ("linux/mips64le", "mips64el"),
];

/// The packages for each platform, and the indexes that were read. `installed` is what each base has already; `locked` tells when the
/// index of a source, by its number, was made that was read last.
pub async fn resolve(
    ctx: &Ctx,
    wanted: &manifest::Packages,
    installed: &[(Platform, String)],
    locked: &Ages,
) -> Result<(Vec<LockedIndex>, Vec<Locked>)> {
    let mut suites: Vec<(Suite, &[String])> = Vec::new();
    for source in &wanted.sources {
        for name in &source.suites {
            let number = suites.len() + 1;
            let opened = suite::open(ctx, source, name, number, locked.get(&(number, name.clone())).copied()).await;
            suites.push((opened.map_err(|error| error.placed("packages", &source.place))?, &source.components));
        }
    }
    let mut all: BTreeMap<(String, String, String, String), Locked> = BTreeMap::new();
    for (platform, base) in installed {
        let packages = choose(ctx, wanted, &suites, platform, base).await?;
        for package in packages {
            let key = (&package.name, &package.version, &package.architecture, &package.path);
            let key = (key.0.clone(), key.1.clone(), key.2.clone(), key.3.clone());
            match all.get_mut(&key) {
                Some(known) if known.digest == package.digest => known.platforms.extend(package.platforms),
                Some(known) => {
                    let (name, other) = (printable(&known.name), package.digest);
                    return Err(Error::remote(format!("`{name}` is two files: {} and {other}", known.digest)));
                }
                None => drop(all.insert(key, package)),
            }
        }
    }
    let index = |(suite, _): &(Suite, &[String])| {
        let date = shown(suite.release.date);
        LockedIndex { source: suite.number, suite: suite.name.clone(), date }
    };
    Ok((suites.iter().map(index).collect(), all.into_values().collect()))
}

async fn choose(
    ctx: &Ctx,
    wanted: &manifest::Packages,
    suites: &[(Suite, &[String])],
    platform: &Platform,
    base: &str,
) -> Result<Vec<Locked>> {
    let name = platform.to_string();
    let architecture = ARCHITECTURES.iter().find(|(known, _)| *known == name).map(|(_, architecture)| *architecture);
    let architecture = architecture.ok_or_else(|| {
        Error::usage(format!("Debian has no architecture for `{platform}`")).placed("packages", &wanted.place)
    })?;
    let mut texts: Vec<Text> = Vec::new();
    for (suite, components) in suites {
        for component in *components {
            texts.extend(
                suite
                    .indexes(ctx, component, architecture)
                    .await
                    .map_err(|error| error.placed("packages", &wanted.place))?,
            );
        }
    }
    let (ctx, base, wanted, platform) = (ctx.clone(), base.to_string(), wanted.clone(), platform.clone());
    blocking(move || {
        let packages = Packages::new(texts, &base, architecture)?;
        ctx.say(Event::Detail { text: format!("{} packages to choose from for {platform}", packages.len()) });
        let relations = wishes(&packages, &wanted, architecture)?;
        let chosen =
            solve(&packages, &relations, wanted.recommends).map_err(|error| error.placed("packages", &wanted.place))?;
        chosen.into_iter().map(|package| lock(&packages, package, &platform)).collect()
    })
    .await
}

fn lock(packages: &Packages, package: u32, platform: &Platform) -> Result<Locked> {
    let found = packages.found(package)?;
    Ok(Locked {
        name: packages.name(package).to_string(),
        version: packages.version(package).to_string(),
        architecture: found.architecture,
        platforms: BTreeSet::from([platform.to_string()]),
        source: found.source,
        path: found.path,
        size: found.size,
        digest: found.digest,
    })
}

/// The wishes as relations; those that nobody can fulfil are reported, all at once.
fn wishes(packages: &Packages, wanted: &manifest::Packages, architecture: &str) -> Result<Vec<Relation>> {
    let mut report = Report::default();
    let mut relations = Vec::new();
    for (wish, place) in &wanted.install {
        let relation = relation(wish);
        if matching(packages, std::slice::from_ref(&relation)).is_empty() {
            let name = printable(&wish.name);
            let of_name = packages.named(&wish.name);
            let finding = match of_name.first() {
                Some(first) => {
                    let installed = if packages.is_installed(*first) { "the base has" } else { "there is only" };
                    let versions: Vec<&str> = of_name.iter().map(|package| packages.version(*package)).collect();
                    Finding::error("package", format!("there is no `{wish}` for {architecture}"))
                        .at(place, format!("{installed} {}", versions.join(", ")))
                }
                None => {
                    let finding = Finding::error("package", format!("there is no package `{name}` for {architecture}"));
                    match nearest(&wish.name, packages.names()) {
                        Some(near) => finding.at(place, format!("did you mean `{near}`?")),
                        None => finding.at(place, "").help("is it of another suite or component?"),
                    }
                }
            };
            report.add(finding);
        }
        relations.push(relation);
    }
    report.pass().map(|_| relations)
}
