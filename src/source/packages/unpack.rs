//! Stage 5: pinned packages as files. What a plan pins in, what is in each package out: fetched, verified, read, never run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use super::{debian, fetch};
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
        let (control, members) = match package.family {
            Family::Debian => {
                let deb = debian::deb::read(&ctx, &package.name, &package.digest, file)?;
                (deb.control, deb.data)
            }
            Family::Alpine => return Err(Error::bug("packages of Alpine are not unpacked yet")),
        };
        let mut left = MOST_TEXTS;
        let control = texts(&ctx.store, &control, |_| true, &mut left)?;
        let wanted = |path: &str| TEXTS.contains(&path) || path.starts_with(CERTIFICATES);
        let texts = texts(&ctx.store, &members, wanted, &mut left)?;
        Ok(Unpacked { package, members, control, texts, replaces: BTreeSet::new() })
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
    let control = one.control.get("control").map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
    let replaces = |other: &&Package| match one.package.family {
        Family::Debian => debian::replaces(&control, &other.name, &other.version),
        Family::Alpine => false,
    };
    others.filter(replaces).map(|other| other.name.clone()).collect()
}
