//! Stage 8: known vulnerabilities. Inventories of images and a database in; what of it is in them, judged, out. Reads the database and
//! OpenVEX documents; nothing is fetched but by `update-db` ([`update`]).
//!
//! ```text
//! packages   an inventory → what is asked, by the names of databases      database   records, one by one
//! osv        a record     affected   is this version?   rating   how grave   matches   records → vulnerabilities, each once
//! vex        what makers say             judge      what is done about each           document   all that as JSON
//! ```

mod affected;
mod database;
mod document;
pub(crate) mod fuzzing;
mod judge;
mod matches;
mod osv;
mod packages;
mod rating;
pub mod report;
mod state;
pub mod update;
mod vex;

pub use document::document;
pub use judge::{Judged, Policy, Verdict, judge, sentence};
pub use matches::Vulnerability;
pub use packages::{Asked, Contents, Seen, contents};
pub use rating::Gravity;
pub use vex::{Product, Statement, Status, parse, read as statements};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::matches::Matches;
use self::osv::{Record, Sketch};
use crate::ctx::Ctx;
use crate::error::Result;

/// What was found in one image.
#[derive(Clone, Debug)]
pub struct Scan {
    /// What was asked.
    pub contents: Contents,
    /// The vulnerabilities, gravest first.
    pub vulnerabilities: Vec<Vulnerability>,
    /// The worlds of packages that the database does not know, with how many packages of the image are of them.
    pub strange: BTreeMap<String, usize>,
    /// What was asked of.
    pub database: Database,
}

/// A database that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Where it is.
    pub path: PathBuf,
    /// How many records it has.
    pub records: u64,
    /// When the newest of them was changed, RFC 3339.
    pub newest: Option<String>,
}

impl Scan {
    /// What could not be found out: half a sentence each.
    pub fn unknown(&self) -> Vec<String> {
        let strange = self.strange.iter().map(|(ecosystem, count)| {
            let packages = if *count == 1 { "1 package".to_string() } else { format!("{count} packages") };
            format!("the database has no record of `{ecosystem}`, of which it has {packages}")
        });
        self.contents.blind.iter().cloned().chain(strange).collect()
    }
}

/// Where `update-db` keeps the database of a store.
pub fn home(ctx: &Ctx) -> PathBuf {
    ctx.store.root().join("osv")
}

/// Looks for the contents of some images in a database, which is read once.
pub fn scan(ctx: &Ctx, images: Vec<Contents>, path: &Path) -> Result<Vec<Scan>> {
    let mut matches = Matches::new(&images);
    let mut newest: Option<String> = None;
    let records = database::each(path, &ctx.cancel, &mut |bytes| {
        let wrong = |cause: serde_json::Error| format!("it is no OSV record: {cause}");
        let sketch: Sketch = serde_json::from_slice(bytes).map_err(wrong)?;
        if sketch.id.is_empty() {
            return Err("it is no OSV record: its `id` is empty".to_string());
        }
        if matches.wants(&sketch) {
            matches.take(&serde_json::from_slice::<Record>(bytes).map_err(wrong)?)?;
        }
        newest = sketch.modified.max(newest.take());
        Ok(())
    })?;
    let database = Database { path: path.to_path_buf(), records, newest };
    let scan = |contents: Contents| Scan {
        vulnerabilities: matches.of(&contents),
        strange: matches.unknown(&contents),
        database: database.clone(),
        contents,
    };
    Ok(images.into_iter().map(scan).collect())
}

#[cfg(test)]
mod tests;
