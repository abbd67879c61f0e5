//! Stage 5: one suite of a mirror. A source and a suite in, its signed `Release` out, and the indexes that it vouches for.
//!
//! Nothing of an index is read before the signature over its list of files was checked, and each file is exactly the one that is listed.

use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::release::{self, Release};
use super::universe::Text;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::{Keyring, PackageSource};
use crate::oci::Digest;
use crate::source::blob::blocking;
use crate::source::packages::pgp::{Keys, When};
use crate::source::packages::{fetch, older, shown};

/// Largest `Release` in bytes.
const MOST_RELEASE: u64 = 64 << 20;
/// Largest signature of its own in bytes.
const MOST_SIGNATURE: u64 = 1 << 20;
/// Largest index in bytes, unpacked; it is held in memory.
const MOST_INDEX: u64 = 1 << 30;
/// Most memory of an xz decoder in KiB.
const MOST_XZ_KIB: u32 = 256 << 10;
/// The keys of Debian's archive: those of all releases that are signed today, and of the security archive.
pub const ARCHIVE_KEYS: &[u8] = include_bytes!("debian-archive.gpg");
/// How an index may be packed, the best first.
const PACKINGS: [&str; 3] = [".xz", ".gz", ""];

/// A suite whose signature was checked.
pub struct Suite {
    /// The place of its source in the lock's list, from 1.
    pub number: usize,
    /// Its name, as it was asked for.
    pub name: String,
    /// The URL that `dists` stands below.
    root: String,
    /// What it says.
    pub release: Release,
}

/// Reads the `Release` of a suite. `locked` is the time of the one that was read last, which none may be older than.
pub async fn open(ctx: &Ctx, source: &PackageSource, name: &str, number: usize, locked: Option<i64>) -> Result<Suite> {
    let root = source.root();
    let context = |error: Error| error.context(format!("reading the suite `{name}` of `{root}`"));
    let keys = keys(source)?;
    let text = signed(ctx, source, &root, name, &keys).await.map_err(context)?;
    let release = release::read(&text).map_err(context)?;
    judge(&release, name, ctx.registries.now().as_second(), source.check_date, locked).map_err(context)?;
    Ok(Suite { number, name: name.to_string(), root, release })
}

fn keys(source: &PackageSource) -> Result<Keys> {
    let mut keys = Keys::default();
    match &source.keyring {
        Keyring::Shipped => keys.add(ARCHIVE_KEYS)?,
        Keyring::Files(files) => {
            for (path, written) in files {
                let bytes = fetch::keyring(path, written)?;
                keys.add(&bytes).map_err(|error| error.context(format!("reading the keyring `{written}`")))?;
            }
        }
    }
    Ok(keys)
}

/// The text that was signed: of `InRelease`, else of `Release` with its `Release.gpg`.
async fn signed(ctx: &Ctx, source: &PackageSource, root: &str, name: &str, keys: &Keys) -> Result<String> {
    let when = When { now: ctx.registries.now().as_second(), past: !source.check_date };
    let url = format!("{root}/dists/{name}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| Error::remote("its `Release` is not UTF-8"));
    if let Some(bytes) = ctx.registries.file(&format!("{url}/InRelease"), MOST_RELEASE).await? {
        return keys.inline(&text(bytes)?, when);
    }
    let missing = |what: &str| {
        Error::remote(format!("there is neither `{url}/InRelease` nor `{url}/{what}`"))
            .hint("the mirror must be the URL that `dists` stands below; is `suite` right?")
    };
    let bytes = ctx.registries.file(&format!("{url}/Release"), MOST_RELEASE).await?;
    let bytes = bytes.ok_or_else(|| missing("Release"))?;
    let signature = ctx.registries.file(&format!("{url}/Release.gpg"), MOST_SIGNATURE).await?;
    let signature = signature.ok_or_else(|| Error::policy(format!("`{url}/Release` is not signed")))?;
    keys.apart(&bytes, &signature, when)?;
    text(bytes)
}

/// Refuses a suite that is another one, or too old.
fn judge(release: &Release, name: &str, now: i64, check: bool, locked: Option<i64>) -> Result<()> {
    if !release.names.iter().any(|known| known == name) {
        let names = release.names.join("` and `");
        return Err(Error::policy(format!("what is signed there calls itself `{names}`, not `{name}`"))
            .hint("write the name in `suite`, if it is the one that is meant"));
    }
    if let Some(until) = release.valid_until.filter(|until| check && *until < now) {
        return Err(Error::policy(format!("its index was good until {} and is too old", shown(until)))
            .hint("the mirror may have stopped, or hold something back; take another one")
            .hint("an archive that stands still is read with `check-valid-until = false`"));
    }
    older(release.date, locked)
}

impl Suite {
    /// The indexes of a component for an architecture.
    pub async fn indexes(&self, ctx: &Ctx, component: &str, architecture: &str) -> Result<Vec<Text>> {
        let context = |error: Error| {
            error.context(format!("reading `{component}` of the suite `{}` of `{}`", self.name, self.root))
        };
        let mut texts = Vec::new();
        let all = self.release.own_all.then_some("all");
        for architecture in [architecture].into_iter().chain(all) {
            let path = format!("{component}/binary-{architecture}/Packages");
            let Some((size, digest)) = self.release.files.get(&path).copied() else {
                if architecture == "all" {
                    continue;
                }
                return Err(context(self.missing(component, architecture)));
            };
            let text = self.index(ctx, &path, size, digest).await.map_err(context)?;
            texts.push(Text { source: self.number, name: format!("`{path}` of `{}`", self.name), text });
        }
        Ok(texts)
    }

    fn missing(&self, component: &str, architecture: &str) -> Error {
        let named = |path: &String| Some(path.strip_suffix("/Packages")?.rsplit_once("/binary-")?.0.to_string());
        let mut components: Vec<String> = self.release.files.keys().filter_map(named).collect();
        components.dedup();
        let error = Error::usage(format!("it has no packages of `{component}` for `{architecture}`"));
        error.hint(format!("its components are {}", components.join(", ")))
    }

    /// The text of an index. The store knows it by the digest of its plain bytes.
    async fn index(&self, ctx: &Ctx, path: &str, size: u64, digest: Digest) -> Result<String> {
        if size > MOST_INDEX {
            return Err(Error::remote(format!("`{path}` has {size} bytes, {MOST_INDEX} are allowed")));
        }
        let store = ctx.store.clone();
        if let Some(bytes) = blocking(move || store.read(&digest, MOST_INDEX)).await? {
            return text(bytes);
        }
        let listed = |packing: &&str| self.release.files.get(&format!("{path}{packing}"));
        let mut last = None;
        for packing in PACKINGS.iter().filter(|packing| listed(packing).is_some()) {
            match self.packed(ctx, path, packing, (size, digest)).await {
                Ok(()) => {
                    let store = ctx.store.clone();
                    let bytes = blocking(move || store.read(&digest, MOST_INDEX)).await?;
                    return text(bytes.ok_or_else(|| Error::local("an index vanished from the store"))?);
                }
                // Not every mirror has every packing that is listed.
                Err(error) => last = Some(last.unwrap_or(error)),
            }
        }
        Err(last.unwrap_or_else(|| Error::remote(format!("`{path}` is not listed"))))
    }

    /// Fetches an index as it is packed, by its digest where that is possible, and keeps its plain bytes.
    async fn packed(&self, ctx: &Ctx, path: &str, packing: &str, plain: (u64, Digest)) -> Result<()> {
        let name = format!("{path}{packing}");
        let Some((size, digest)) = self.release.files.get(&name).copied() else {
            return Err(Error::bug("an index that is not listed was asked for"));
        };
        let below = format!("{}/dists/{}", self.root, self.name);
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let by_hash = format!("{below}/{directory}/by-hash/SHA256/{}", digest.hex());
        let by_name = format!("{below}/{name}");
        let file = match self.release.by_hash {
            true => match fetch::file(ctx, &by_hash, size, digest).await {
                Ok(file) => file,
                Err(_) => fetch::file(ctx, &by_name, size, digest).await?,
            },
            false => fetch::file(ctx, &by_name, size, digest).await?,
        };
        let (ctx, packing) = (ctx.clone(), packing.to_string());
        blocking(move || {
            let file = BufReader::with_capacity(256 << 10, file);
            let stream: Box<dyn Read> = match packing.as_str() {
                ".xz" => Box::new(XzReader::new_mem_limit(file, true, MOST_XZ_KIB)),
                ".gz" => Box::new(MultiGzDecoder::new(file)),
                _ => return Ok(()), // the file is the plain one
            };
            fetch::keep(&ctx, stream, plain.0, &plain.1, &name)
        })
        .await
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::remote("an index is not UTF-8"))
}
