//! Stage 10: `stillframe fmt`: sets out a manifest in one way, or says that it is not.

use serde_json::json;

use super::args::Fmt;
use super::prepare::aside;
use super::session::Session;
use crate::error::{Kind, Report, Result};
use crate::manifest::layout::layout;
use crate::manifest::locate::locate;
use crate::ship;

/// Writes the manifests anew where their layout is another one; the names of those that changed, or with `--check` would.
pub async fn run(session: &Session<'_>, options: &Fmt) -> Result<u8> {
    let named = options.files.clone();
    let files = if named.is_empty() { vec![session.options.file.clone()] } else { named };
    let check = options.check;
    let changed = aside(&session.ctx, move || {
        let mut changed = Vec::new();
        let mut texts = Vec::new();
        for file in &files {
            let location = locate(file)?;
            let text = layout(&location.text)?;
            if text != location.text.text {
                changed.push(location.text.path.clone());
                texts.push((location.file, text));
            }
        }
        if !check {
            texts.iter().try_for_each(|(path, text)| ship::receipt(path, text.as_bytes()))?;
        }
        Ok(changed)
    })
    .await?;
    if session.terminal.json() {
        session.terminal.document(json!({ "changed": changed }), &Report::default())?;
    } else {
        session.terminal.result(&changed.iter().map(|path| format!("{path}\n")).collect::<String>())?;
    }
    Ok(if check && !changed.is_empty() { Kind::Policy.exit_code() } else { 0 })
}
