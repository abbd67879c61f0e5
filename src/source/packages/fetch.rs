//! Stage 5: files of a mirror. URLs and digests in, verified files of the store out; keyrings that the manifest names are read here.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::pgp::MOST_KEYRING;
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::event::Event;
use crate::oci::{Descriptor, Digest};
use crate::source::blob::{Bounded, blocking, finish, stored};

/// The media type of a file that is no blob of a registry; it is never shown.
const PLAIN: &str = "application/octet-stream";

/// Makes sure that the file behind a URL is in the store, whole and exactly this one, and opens it.
pub async fn file(ctx: &Ctx, url: &str, size: u64, digest: Digest) -> Result<File> {
    let descriptor = Descriptor::new(PLAIN, digest, size);
    if !stored(ctx, &descriptor).await? {
        fetch(ctx, url, &descriptor).await?;
    }
    let store = ctx.store.clone();
    let opened = blocking(move || store.open(&digest)).await?;
    opened.map(|(file, _)| file).ok_or_else(|| Error::local(format!("the file {digest} vanished from the store")))
}

async fn fetch(ctx: &Ctx, url: &str, descriptor: &Descriptor) -> Result<()> {
    let name = url.rsplit('/').next().unwrap_or(url).to_string();
    let (store, digest, what) = (ctx.store.clone(), descriptor.digest, name.clone());
    let _turn = blocking(move || Ok(store.turn(&what, &digest))).await?;
    if stored(ctx, descriptor).await? {
        return Ok(());
    }
    ctx.cancel.check()?;
    if ctx.store.bring(&descriptor.digest, Some(descriptor.size)).await? {
        return Ok(());
    }
    ctx.say(Event::Begin { what: name.clone(), total: descriptor.size });
    let store = ctx.store.clone();
    let mut sink = Bounded { draft: blocking(move || store.draft()).await?, left: descriptor.size };
    ctx.registries.signed_file(url, descriptor.size, &mut sink).await?;
    let (descriptor, what) = (descriptor.clone(), url.to_string());
    let digest = descriptor.digest;
    let wrong = |error: Error| {
        error.hint("the mirror has another file there than the one that is pinned; nothing of it was read")
    };
    blocking(move || finish(sink, &descriptor, &what).map_err(wrong)).await?;
    ctx.say(Event::End { what: name, how: "fetched" });
    ctx.store.offer(&digest).await;
    Ok(())
}

/// Fetches the file behind a URL, of which only the size is known, into the store, and gives its digest. What it is worth is for the
/// caller to check.
pub async fn unknown(ctx: &Ctx, url: &str, size: u64) -> Result<Digest> {
    ctx.cancel.check()?;
    let store = ctx.store.clone();
    let mut sink = Bounded { draft: blocking(move || store.draft()).await?, left: size };
    ctx.registries.signed_file(url, size, &mut sink).await?;
    let url = url.to_string();
    blocking(move || {
        if sink.left > 0 {
            return Err(Error::remote(format!("`{url}` has {} bytes, its index says {size}", size - sink.left)));
        }
        Ok(sink.draft.finish(None)?.digest)
    })
    .await
}

/// Unpacks a stream into the store; it must be exactly these bytes.
pub fn keep(ctx: &Ctx, mut stream: impl Read, size: u64, digest: &Digest, what: &str) -> Result<()> {
    let mut sink = Bounded { draft: ctx.store.draft()?, left: size };
    let mut chunk = vec![0; 256 << 10];
    loop {
        ctx.cancel.check()?;
        let count = match stream.read(&mut chunk) {
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|cause| Error::remote(format!("{what} cannot be unpacked")).because(cause))?,
        };
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        sink.write_all(bytes).map_err(|cause| Error::remote(format!("unpacking {what}")).because(cause))?;
    }
    finish(sink, &Descriptor::new(PLAIN, *digest, size), what)
}

/// The bytes of a keyring that the manifest names.
pub fn keyring(path: &Path, written: &str) -> Result<Vec<u8>> {
    let doing = || format!("reading the keyring `{}`", printable(written));
    let file = File::open(path).map_err(|cause| {
        let error = Error::io(doing(), cause);
        Error::usage(error.message().to_string()).because(error).hint("`keyring` names files, relative to the manifest")
    })?;
    let mut bytes = Vec::new();
    file.take(MOST_KEYRING + 1).read_to_end(&mut bytes).map_err(|cause| Error::io(doing(), cause))?;
    if bytes.len() as u64 > MOST_KEYRING {
        return Err(Error::usage(format!("{}: it has more than {MOST_KEYRING} bytes", doing())));
    }
    Ok(bytes)
}
