//! Stage 5: one index of an Alpine mirror. A URL and the keys in, its text out. Nothing of it is read before its signature was checked.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::sign::{Keys, key, signed};
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::manifest::{Keyring, PackageSource};
use crate::source::packages::fetch;
use crate::source::tar::entries;

/// Largest index in bytes, packed and unpacked; it is held in memory.
const MOST_PACKED: u64 = 128 << 20;
const MOST_INDEX: u64 = 1 << 30;
/// The names of the index's file, and of the text in it.
const FILE: &str = "APKINDEX.tar.gz";
const TEXT: &[u8] = b"APKINDEX";

/// The keys of a source by name, which is that of their file.
pub fn keys(source: &PackageSource) -> Result<Keys> {
    let Keyring::Files(files) = &source.keyring else {
        return Err(Error::usage("no keys of Alpine come with this tool").hint("name their files in `keyring`"));
    };
    let mut keys = Keys::new();
    for (path, written) in files {
        let bytes = fetch::keyring(path, written)?;
        let key = key(&bytes).map_err(|error| error.context(format!("reading the key `{}`", printable(written))))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        keys.insert(name.unwrap_or_default(), key);
    }
    Ok(keys)
}

/// The text of the index in a directory below the mirror.
pub async fn read(ctx: &Ctx, mirror: &str, directory: &str, keys: &Keys) -> Result<String> {
    let url = format!("{mirror}/{directory}/{FILE}");
    let context = |error: Error| error.context(format!("reading `{url}`"));
    let bytes = ctx.registries.file(&url, MOST_PACKED).await?;
    let bytes = bytes.ok_or_else(|| {
        Error::remote(format!("there is no `{url}`"))
            .hint("the mirror must be the URL that branches stand below; are `branch` and `repositories` right?")
    })?;
    let signed = signed(&bytes, keys).map_err(context)?;
    text(signed).map_err(context)
}

/// The text in the signed part of an index.
pub fn text(signed: &[u8]) -> Result<String> {
    let damaged = |cause: std::io::Error| Error::remote("it is damaged").because(cause);
    let mut tar = entries(MultiGzDecoder::new(signed).take(MOST_INDEX));
    while let Some(entry) = tar.step().map_err(damaged)? {
        if entry.path == TEXT {
            let mut text = String::new();
            (&mut tar).take(MOST_INDEX).read_to_string(&mut text).map_err(damaged)?;
            if text.len() as u64 != entry.size {
                return Err(Error::remote("it is cut off"));
            }
            return Ok(text);
        }
    }
    Err(Error::remote("there is no `APKINDEX` in it"))
}
