//! Stage 10: `stillframe update-db`.

use serde_json::{Value, json};

use super::args::UpdateDb;
use super::session::Session;
use crate::error::{Error, Report, Result, printable};
use crate::trust::scan;
use crate::trust::scan::update::{self, Updated};

/// Fetches the databases of vulnerabilities, one after the other; prints one line for each.
pub async fn run(session: &Session<'_>, options: &UpdateDb) -> Result<u8> {
    let usual = || update::USUAL.map(str::to_string).to_vec();
    let ecosystems = if options.ecosystems.is_empty() { usual() } else { options.ecosystems.clone() };
    let url = options.url.as_deref().unwrap_or(update::URL);
    if ecosystems.len() > 1 && options.digest.is_some() {
        return Err(Error::usage("a digest is that of one archive, but several are fetched")
            .hint("name the one with `--ecosystem`"));
    }
    if ecosystems.len() > 1 && !url.contains("{ecosystem}") {
        return Err(Error::usage(format!("`{}` is one archive, but several are fetched", printable(url)))
            .hint("write `{ecosystem}` where their names stand, or name one with `--ecosystem`"));
    }
    let to = options.db.clone().unwrap_or_else(|| scan::home(&session.ctx));
    let mut all = Vec::new();
    for ecosystem in &ecosystems {
        session.ctx.cancel.check()?;
        all.push(update::update(&session.ctx, ecosystem, url, &to, options.digest).await?);
    }
    match session.terminal.json() {
        true => session
            .terminal
            .document(json!({ "updated": all.iter().map(told).collect::<Vec<_>>() }), &Report::default())?,
        false => session.terminal.result(&all.iter().map(line).collect::<String>())?,
    }
    Ok(0)
}

fn line(updated: &Updated) -> String {
    let how = match updated.records {
        Some(records) => format!("{records} records"),
        None => "unchanged".to_string(),
    };
    format!("{}@{} ({how})\n", updated.ecosystem, updated.state.digest)
}

fn told(updated: &Updated) -> Value {
    json!({
        "ecosystem": updated.ecosystem,
        "path": updated.path,
        "url": updated.state.url,
        "digest": updated.state.digest,
        "size": updated.state.size,
        "records": updated.records,
        "changed": updated.changed,
    })
}
