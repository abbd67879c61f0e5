//! Stage 5: pinned packages as files. What a plan pins in, what is in each package out: fetched, verified, read, never run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, TryStreamExt};
use sha1::{Digest as _, Sha1};

use super::{alpine, debian, fetch};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::Family;
use crate::oci::Digest;
use crate::plan::{Package, Plan};
use crate::source::blob::blocking;
use crate::source::member::{Body, Member, Stretch};
use crate::store::Store;

/// How many packages are fetched at the same time.
const AT_ONCE: usize = 4;
/// Largest control file, and largest file whose text is handed on, in bytes.
const MOST_TEXT: u64 = 4 << 20;
/// Most bytes of all such texts of one package.
const MOST_TEXTS: u64 = 64 << 20;
/// How many bytes of a file are hashed at once.
const CHUNK: u64 = 1 << 20;
/// The control file that holds a package's record in apk's database.
pub const RECORD: &str = "installed";
/// Where Alpine's busybox lists the links that its script makes.
pub const APPLETS: &str = "etc/busybox-paths.d/";
/// The files of packages whose texts decide what else is made: accounts and certificates.
const TEXTS: [&str; 4] =
    ["usr/share/base-passwd/passwd.master", "usr/share/base-passwd/group.master", "etc/passwd", "etc/group"];
const CERTIFICATES: &str = "usr/share/ca-certificates/";

/// A package, taken apart.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// What was pinned.
    pub package: Package,
    /// Its files, with where their bytes are.
    pub members: Vec<Member>,
    /// Its control files by name: `control`, `postinst` …
    pub control: BTreeMap<String, Vec<u8>>,
    /// The texts of some of its files.
    pub texts: BTreeMap<String, Vec<u8>>,
    /// What apk's database calls the sums of its files and links, by path; empty for Debian's.
    pub sums: BTreeMap<String, String>,
    /// The packages of the same set whose files it may take over.
    pub replaces: BTreeSet<String>,
}

/// The packages of each image of a plan, taken apart; each is fetched once.
pub async fn unpack(ctx: &Ctx, plan: &Plan) -> Result<Vec<Arc<Vec<Unpacked>>>> {
    let mut wanted: BTreeMap<Digest, Package> = BTreeMap::new();
    for package in plan.images.iter().flat_map(|image| &image.packages) {
        wanted.entry(package.digest).or_insert_with(|| package.clone());
    }
    let fetched = futures_util::stream::iter(wanted.into_values().map(|package| one(ctx, package)));
    let fetched: Vec<Unpacked> = fetched.buffered(AT_ONCE).try_collect().await?;
    let known: BTreeMap<Digest, Unpacked> = fetched.into_iter().map(|one| (one.package.digest, one)).collect();
    let mut images = Vec::new();
    for image in &plan.images {
        let all: Vec<&Unpacked> = image.packages.iter().filter_map(|package| known.get(&package.digest)).collect();
        let one = |unpacked: &&Unpacked| Unpacked { replaces: replaced(unpacked, &all), ..(*unpacked).clone() };
        images.push(Arc::new(all.iter().map(one).collect()));
    }
    Ok(images)
}

async fn one(ctx: &Ctx, package: Package) -> Result<Unpacked> {
    let file = fetch::file(ctx, &package.url, package.size, package.digest).await?;
    let ctx = ctx.clone();
    blocking(move || {
        let mut checksum = String::new();
        let (control, members) = match package.family {
            Family::Debian => {
                let deb = debian::deb::read(&ctx, &package.name, &package.digest, file)?;
                (deb.control, deb.data)
            }
            Family::Alpine => {
                let apk = alpine::read(&ctx, &package.name, &package.digest, file)?;
                checksum = apk.checksum;
                (apk.control, apk.data)
            }
        };
        let mut left = MOST_TEXTS;
        let mut control = texts(&ctx.store, &control, |_| true, &mut left)?;
        let mut sums = BTreeMap::new();
        if package.family == Family::Alpine {
            let info =
                control.get(alpine::apk::PKGINFO).map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
            let record = alpine::apk::record(&info, &checksum, package.size);
            control.insert(RECORD.to_string(), record.into_bytes());
            sums = self::sums(&ctx, &members)?;
        }
        let wanted = |path: &str| TEXTS.contains(&path) || path.starts_with(CERTIFICATES) || path.starts_with(APPLETS);
        let texts = texts(&ctx.store, &members, wanted, &mut left)?;
        Ok(Unpacked { package, members, control, texts, sums, replaces: BTreeSet::new() })
    })
    .await
}

/// The texts of some members by path.
fn texts(
    store: &Store,
    members: &[Member],
    wanted: impl Fn(&str) -> bool,
    left: &mut u64,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut texts = BTreeMap::new();
    for member in members.iter().filter(|member| wanted(&member.path)) {
        let Body::File(stretch) = &member.body else { continue };
        match left.checked_sub(stretch.size).filter(|_| stretch.size <= MOST_TEXT) {
            Some(rest) => *left = rest,
            None => return Err(Error::remote(format!("`{}` of a package is too large to be read", member.path))),
        }
        texts.insert(member.path.clone(), bytes(store, stretch)?);
    }
    Ok(texts)
}

/// The SHA-1 of files, and of the targets of links, as apk's database has them.
fn sums(ctx: &Ctx, members: &[Member]) -> Result<BTreeMap<String, String>> {
    let mut sums = BTreeMap::new();
    for member in members {
        ctx.cancel.check()?;
        let hash = match &member.body {
            Body::File(stretch) => {
                let mut hasher = Sha1::new();
                let mut at = stretch.start;
                while at < stretch.start + stretch.size {
                    let size = (stretch.start + stretch.size - at).min(CHUNK);
                    hasher.update(bytes(&ctx.store, &Stretch { start: at, size, ..*stretch })?);
                    at += size;
                }
                hasher.finalize()
            }
            Body::Link(target) => Sha1::digest(target.as_bytes()),
            Body::Directory | Body::Device => continue,
        };
        sums.insert(member.path.clone(), format!("Q1{}", BASE64_STANDARD.encode(hash)));
    }
    Ok(sums)
}

/// The bytes of a stretch of the store.
pub fn bytes(store: &Store, stretch: &Stretch) -> Result<Vec<u8>> {
    let gone = || Error::local(format!("the blob {} vanished from the store", stretch.blob));
    let (mut file, _) = store.open(&stretch.blob)?.ok_or_else(gone)?;
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(stretch.start)).and_then(|_| file.take(stretch.size).read_to_end(&mut bytes));
    read.map_err(|cause| Error::io(format!("reading the blob {}", stretch.blob), cause))?;
    Ok(bytes)
}

/// The packages of a set whose files one of them may take over.
fn replaced(one: &Unpacked, all: &[&Unpacked]) -> BTreeSet<String> {
    let others = all.iter().map(|other| &other.package).filter(|other| other.name != one.package.name);
    let control = if one.package.family == Family::Debian { "control" } else { alpine::apk::PKGINFO };
    let control = one.control.get(control).map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
    let replaces = |other: &&Package| match one.package.family {
        Family::Debian => debian::replaces(&control, &other.name, &other.version),
        Family::Alpine => alpine::replaces(&control, &other.name, &other.version),
    };
    others.filter(replaces).map(|other| other.name.clone()).collect()
}
