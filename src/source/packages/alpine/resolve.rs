//! Stage 5: from wishes to pinned packages. The manifest's `[packages.alpine]` and the bases in, what the lock pins out.
//!
//! An index vouches for a package by a SHA-1 and what stands behind that, so each chosen package is fetched and checked here, and the
//! lock has the SHA-256 of its whole file.

use std::collections::{BTreeMap, BTreeSet};

use super::apk;
use super::index;
use super::universe::{Packages, Text};
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Report, Result, printable};
use crate::manifest::grammar::nearest;
use crate::manifest::{self, PackageSource};
use crate::oci::{Digest, Platform};
use crate::plan::lock::{Locked, LockedIndex};
use crate::source::blob::blocking;
use crate::source::packages::solve::{Relation, Universe, matching, solve};
use crate::source::packages::{Ages, fetch, older, relation, shown};

/// What Alpine calls the architectures of platforms.
const ARCHITECTURES: [(&str, &str); 9] = [
    ("linux/amd64", "x86_64"),
    ("linux/arm64", "aarch64"),
    ("linux/arm/v7", "armv7"),
    ("linux/arm/v6", "armhf"),
    ("linux/386", "x86"),
    ("linux/ppc64le", "ppc64le"),
    ("linux/s390x", "s390x"),
    ("linux/riscv64", "riscv64"),
    ("linux/loong64", "loongarch64"),
];
/// The kind under which the store remembers the digest of a package that an index knows by its checksum.
const KIND: &str = "apk-file-1";
/// Largest package in bytes.
const MOST_PACKAGE: u64 = 4 << 30;

/// The packages for each platform, and the indexes that were read.
pub async fn resolve(
    ctx: &Ctx,
    wanted: &manifest::Packages,
    installed: &[(Platform, String)],
    locked: &Ages,
) -> Result<(Vec<LockedIndex>, Vec<Locked>)> {
    let Some(source) = wanted.sources.first() else { return Err(Error::bug("packages come from nowhere")) };
    let keys = index::keys(source).map_err(|error| error.placed("packages", &source.place))?;
    let (mut indexes, mut all) = (Vec::new(), BTreeMap::<Digest, Locked>::new());
    for (platform, base) in installed {
        let architecture = architecture(platform).map_err(|error| error.placed("packages", &wanted.place))?;
        let mut texts = Vec::new();
        for (branch, repository) in
            source.suites.iter().flat_map(|one| source.components.iter().map(move |two| (one, two)))
        {
            let directory = format!("{branch}/{repository}/{architecture}");
            let text = index::read(ctx, &source.root(), &directory, &keys)
                .await
                .map_err(|error| error.placed("packages", &source.place))?;
            let date = newest(&text);
            older(date, locked.get(&(1, directory.clone())).copied())
                .map_err(|error| error.placed("packages", &source.place))?;
            indexes.push(LockedIndex { source: 1, suite: directory.clone(), date: shown(date) });
            texts.push(Text { directory, text });
        }
        for package in choose(ctx, wanted, source, texts, platform, base).await? {
            match all.get_mut(&package.digest) {
                Some(known) => known.platforms.extend(package.platforms),
                None => drop(all.insert(package.digest, package)),
            }
        }
    }
    indexes.sort();
    indexes.dedup();
    let mut packages: Vec<Locked> = all.into_values().collect();
    packages.sort();
    Ok((indexes, packages))
}

fn architecture(platform: &Platform) -> Result<&'static str> {
    let name = platform.to_string();
    let found = ARCHITECTURES.iter().find(|(known, _)| *known == name).map(|(_, architecture)| *architecture);
    found.ok_or_else(|| Error::usage(format!("Alpine has no architecture for `{platform}`")))
}

/// When the newest package of an index was built; an index itself has no date.
fn newest(text: &str) -> i64 {
    text.lines().filter_map(|line| line.strip_prefix("t:")?.parse().ok()).max().unwrap_or_default()
}

async fn choose(
    ctx: &Ctx,
    wanted: &manifest::Packages,
    source: &PackageSource,
    texts: Vec<Text>,
    platform: &Platform,
    base: &str,
) -> Result<Vec<Locked>> {
    let (base, wishes) = (base.to_string(), wanted.clone());
    let (packages, chosen) = blocking(move || {
        let packages = Packages::new(texts, &base)?;
        let relations = relations(&packages, &wishes)?;
        let chosen = solve(&packages, &relations, false).map_err(|error| error.placed("packages", &wishes.place))?;
        Ok((packages, chosen))
    })
    .await?;
    let mut locked = Vec::new();
    for package in chosen {
        let one = lock(ctx, source, &packages, package, platform).await;
        locked.push(one.map_err(|error| error.placed("packages", &wanted.place))?);
    }
    Ok(locked)
}

/// The wishes as relations; those that nobody can fulfil are reported, all at once.
fn relations(packages: &Packages, wanted: &manifest::Packages) -> Result<Vec<Relation>> {
    let mut report = Report::default();
    let mut relations = Vec::new();
    for (wish, place) in &wanted.install {
        let relation = relation(wish);
        if matching(packages, std::slice::from_ref(&relation)).is_empty() {
            let versions: Vec<&str> = packages.named(&wish.name).iter().map(|one| packages.version(*one)).collect();
            let finding = Finding::error("package", format!("there is no package `{}`", printable(&wish.to_string())));
            report.add(match (versions.as_slice(), nearest(&wish.name, packages.names())) {
                ([], Some(near)) => finding.at(place, format!("did you mean `{near}`?")),
                ([], None) => finding.at(place, "").help("is it of another repository or branch?"),
                (versions, _) => finding.at(place, format!("there is only {}", versions.join(", "))),
            });
        }
        relations.push(relation);
    }
    report.pass().map(|_| relations)
}

async fn lock(
    ctx: &Ctx,
    source: &PackageSource,
    packages: &Packages,
    package: u32,
    platform: &Platform,
) -> Result<Locked> {
    let (name, version) = (packages.name(package).to_string(), packages.version(package).to_string());
    let field = |key: &str| packages.field(package, key).filter(|value| !value.is_empty());
    let wrong = |what: &str| Error::remote(format!("its index gives no proper {what} of `{}`", printable(&name)));
    let size: u64 = field("S").and_then(|size| size.parse().ok()).ok_or_else(|| wrong("size"))?;
    let checksum = field("C").filter(|sum| sum.starts_with("Q1")).ok_or_else(|| wrong("checksum"))?.to_string();
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._~".contains(&byte));
    if !plain(&name) || !plain(&version) || name.starts_with('.') {
        return Err(wrong("name"));
    }
    let path = format!("{}/{name}-{version}.apk", packages.directory(package));
    let architecture = field("A").ok_or_else(|| wrong("architecture"))?.to_string();
    let digest = digest(ctx, &format!("{}/{path}", source.root()), size, &checksum).await?;
    Ok(Locked {
        name,
        version,
        architecture,
        platforms: BTreeSet::from([platform.to_string()]),
        source: 1,
        path,
        size,
        digest,
    })
}

/// The digest of the file that an index knows by this checksum; it is fetched and checked, once.
async fn digest(ctx: &Ctx, url: &str, size: u64, checksum: &str) -> Result<Digest> {
    if size > MOST_PACKAGE {
        return Err(Error::remote(format!("`{url}` has {size} bytes, {MOST_PACKAGE} are allowed")));
    }
    let key = Digest::of(format!("{checksum} {size}").as_bytes());
    let store = ctx.store.clone();
    let known =
        blocking(move || Ok(store.recall(KIND, &key).and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())))
            .await?;
    if let Some(known) = known {
        return Ok(known);
    }
    let digest = fetch::unknown(ctx, url, size).await?;
    let (ctx, url, checksum) = (ctx.clone(), url.to_string(), checksum.to_string());
    blocking(move || {
        let (mut file, _) =
            ctx.store.open(&digest)?.ok_or_else(|| Error::local("a package vanished from the store"))?;
        apk::verify(&mut file, &checksum).map_err(|error| error.context(format!("the package `{url}` is refused")))?;
        ctx.store.remember(KIND, &key, digest.to_string().as_bytes());
        Ok(digest)
    })
    .await
}
