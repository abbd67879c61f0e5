//! Stage 10: `stillframe images`.

use serde_json::{Value, json};

use crate::cli::args::Images;
use crate::cli::inside::human;
use crate::cli::session::Session;
use crate::error::{Report, Result};
use crate::oci::Reference;
use crate::source::blocking;
use crate::store::{Kept, Reach};

/// The columns of the text.
const HEADER: [&str; 6] = ["NAME", "TAG", "DIGEST", "PLATFORMS", "SIZE", "CREATED"];
/// What stands where nothing is known.
const NONE: &str = "-";

/// Lists the images of the local store. Looking at them does not count as using them.
pub async fn images(session: &Session<'_>, options: &Images) -> Result<u8> {
    let store = session.ctx.store.clone();
    let mut all: Vec<(Kept, Reach)> = blocking(move || {
        let tidy = store.tidy()?;
        let reached = |(kept, _): (Kept, _)| Ok((tidy.reach(&kept.root.digest)?, kept));
        let images: Result<Vec<(Reach, Kept)>> = tidy.images().into_iter().map(reached).collect();
        Ok(images?.into_iter().map(|(reach, kept)| (kept, reach)).collect())
    })
    .await?;
    if let Some(name) = &options.name {
        let of = |text: &String| text.parse::<Reference>().is_ok_and(|reference| reference.repository == *name);
        all.retain(|(kept, _)| kept.references.iter().any(of));
    }
    if session.terminal.json() {
        let listed: Vec<Value> = all.iter().map(document).collect();
        session.terminal.document(json!({ "images": listed }), &Report::default())?;
        return Ok(0);
    }
    let mut rows: Vec<[String; 6]> = all.iter().flat_map(|one| rows(one, options.bytes)).collect();
    rows.sort();
    session.terminal.result(&table(&rows))?;
    Ok(0)
}

fn size(reach: &Reach) -> u64 {
    reach.blobs.values().sum()
}

fn document((kept, reach): &(Kept, Reach)) -> Value {
    json!({
        "digest": kept.root.digest,
        "mediaType": kept.root.media_type,
        "references": kept.references,
        "platforms": kept.platforms,
        "size": size(reach),
        "created": reach.created,
        "missing": reach.missing,
    })
}

/// One row for each name.
fn rows((kept, reach): &(Kept, Reach), bytes: bool) -> Vec<[String; 6]> {
    let size = if bytes { size(reach).to_string() } else { human(size(reach)) };
    let size = if reach.missing.is_empty() { size } else { "incomplete".to_string() };
    let row = |name: String, tag: String| {
        let created = reach.created.clone().unwrap_or_else(|| NONE.into());
        [name, tag, kept.root.digest.short(), kept.platforms.join(","), size.clone(), created]
    };
    let named = kept.references.iter().map(|text| match text.parse::<Reference>() {
        Ok(Reference { repository, tag, .. }) => {
            row(repository.to_string(), tag.map_or(NONE.into(), |tag| tag.to_string()))
        }
        Err(_) => row(crate::error::printable(text), NONE.into()),
    });
    if kept.references.is_empty() { vec![row(NONE.into(), NONE.into())] } else { named.collect() }
}

/// Columns under their titles, the last one as long as it is.
fn table(rows: &[[String; 6]]) -> String {
    let titles = HEADER.map(str::to_string);
    let all = || std::iter::once(&titles).chain(rows);
    let width = |at: usize| all().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let line = |row: &[String; 6]| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:0$}", width(at)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all().map(line).collect()
}
