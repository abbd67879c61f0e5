//! Stage 10: `stillframe prune`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::args::Prune;
use crate::cli::inside::{count, human};
use crate::cli::remote;
use crate::cli::session::Session;
use crate::error::{Report, Result};
use crate::source::blocking;
use crate::store::{Choice, Store, Thing, Wish, choose};

/// What was, or would be, removed, and what stays.
struct Done {
    choice: Choice,
    freed: u64,
    left: u64,
}

/// Removes what nobody needs: of the local store, or of a repository.
pub async fn prune(session: &Session<'_>, options: &Prune) -> Result<u8> {
    if let Some(name) = &options.remote {
        return remote::prune(session, name, options).await;
    }
    let store = session.ctx.store.clone();
    let (all, older, keep, dry) = (options.all, options.older_than, options.keep_size, options.dry_run);
    let done = blocking(move || work(&store, all, older, keep, dry)).await?;
    if session.terminal.json() {
        session.terminal.document(document(&done, dry), &Report::default())?;
    } else {
        session.terminal.result(&text(&done, dry))?;
    }
    Ok(0)
}

fn work(store: &Store, all: bool, older: Option<Duration>, keep: Option<u64>, dry: bool) -> Result<Done> {
    let tidy = store.tidy()?;
    let wish = Wish { all, before: older.map(|older| tidy.ago(older)), keep };
    let mut images = Vec::new();
    for (kept, used) in tidy.images() {
        let reach = tidy.reach(&kept.root.digest)?;
        images.push((kept, used, reach));
    }
    let held = tidy.held()?;
    let total: u64 = held.iter().map(|one| one.size).sum();
    let choice = choose(&images, &held, wish, &|used| tidy.in_use(used));
    let mut freed = 0;
    // What names goes before what is named: nothing half is left at any moment.
    for kept in choice.images.iter().filter(|_| !dry) {
        tidy.forget(kept)?;
    }
    for one in &choice.things {
        freed += if dry { one.size } else { tidy.remove(one)? };
    }
    Ok(Done { choice, freed, left: total - freed.min(total) })
}

fn text(done: &Done, dry: bool) -> String {
    let verb = if dry { "would remove" } else { "removed" };
    let images = &done.choice.images;
    let mut text: String = images
        .iter()
        .map(|kept| format!("{verb} {} {}", kept.root.digest, kept.references.join(" ")).trim_end().to_string() + "\n")
        .collect();
    let is_blob = |what: &Thing| matches!(what, Thing::Blob(_));
    let blobs = done.choice.things.iter().filter(|one| is_blob(&one.what)).count();
    let facts = done.choice.things.len() - blobs;
    let verb = if dry { "would free" } else { "freed" };
    text += &format!(
        "{verb} {}: {}, {}, {}; {} left\n",
        human(done.freed),
        count(images.len() as u64, "image", "images"),
        count(blobs as u64, "blob", "blobs"),
        count(facts as u64, "remembered fact", "remembered facts"),
        human(done.left)
    );
    text
}

fn document(done: &Done, dry: bool) -> Value {
    let images =
        done.choice.images.iter().map(|kept| json!({ "digest": kept.root.digest, "references": kept.references }));
    let blob = |(what, size): (&Thing, u64)| match what {
        Thing::Blob(digest) => Some(json!({ "digest": digest, "size": size })),
        Thing::Memo(..) => None,
    };
    let blobs: Vec<Value> = done.choice.things.iter().filter_map(|one| blob((&one.what, one.size))).collect();
    json!({
        "dryRun": dry,
        "images": images.collect::<Vec<_>>(),
        "facts": done.choice.things.len() - blobs.len(),
        "blobs": blobs,
        "freed": done.freed,
        "left": done.left,
    })
}
