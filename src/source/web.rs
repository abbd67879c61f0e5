//! Stage 5: files from the web, pinned by their digest. A URL and a digest in, the file in the store out. What the store has is not asked
//! for again, so that `--offline` works.

use std::io::{self, Write};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::oci::Digest;
use crate::source::blob::blocking;
use crate::store::Draft;

/// Largest file that is fetched, in bytes.
const MOST_BYTES: u64 = 16 << 30;

/// Makes sure that the file of this digest is in the store, whole; it is fetched if it is not.
pub async fn fetch_file(ctx: &Ctx, url: &str, digest: &Digest) -> Result<()> {
    let (store, wanted) = (ctx.store.clone(), *digest);
    let stored = move || Ok(store.open(&wanted)?.is_some());
    if blocking(stored.clone()).await? {
        return Ok(());
    }
    let (store, key) = (ctx.store.clone(), *digest);
    let what = format!("the file {}", digest.short());
    let _turn = blocking(move || Ok(store.turn(&what, &key))).await?;
    if blocking(stored).await? {
        return Ok(());
    }
    ctx.cancel.check()?;
    if ctx.store.bring(digest, None).await? {
        return Ok(());
    }
    let store = ctx.store.clone();
    let shown = url.split(['?', '#']).next().unwrap_or_default().to_string();
    let mut told = Told { draft: blocking(move || store.draft()).await?, ctx, what: format!("file {shown}"), next: 0 };
    ctx.say(Event::Begin { what: told.what.clone(), total: 0 });
    ctx.registries.download(url, MOST_BYTES, &mut told).await?;
    ctx.say(Event::End { what: told.what.clone(), how: "fetched" });
    let draft = told.draft;
    let (wanted, url) = (*digest, url.to_string());
    let wrong = move |error: Error| {
        error
            .context(format!("fetching `{}`", url.split(['?', '#']).next().unwrap_or_default()))
            .hint("it changed there, or `sha256` is not its digest; find out what changed before you write another one")
    };
    blocking(move || draft.finish(Some(&wanted)).map(drop).map_err(wrong)).await?;
    ctx.store.offer(digest).await;
    Ok(())
}

/// A draft that tells how far it is.
struct Told<'a> {
    draft: Draft,
    ctx: &'a Ctx,
    what: String,
    next: u64,
}

impl Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.draft.write(bytes)?;
        // A report each MiB is enough for the eye.
        if self.draft.size() >= self.next {
            self.next = self.draft.size() + (1 << 20);
            self.ctx.say(Event::Step { what: self.what.clone(), done: self.draft.size() });
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}
