//! Stage 10: `stillframe schema`.

use super::args::About;
use super::terminal::Terminal;
use crate::error::Result;
use crate::manifest::schema::schema;

/// Prints the JSON Schema of `image.toml`, or of what a command prints.
pub fn run(terminal: &Terminal, of: About) -> Result<u8> {
    let text = match of {
        About::Manifest => serde_json::to_string_pretty(&schema()).unwrap_or_default() + "\n",
        About::Inspect => include_str!("../../templates/schema/inspect.schema.json").to_string(),
        About::Files => include_str!("../../templates/schema/files.schema.json").to_string(),
        About::Diff => include_str!("../../templates/schema/diff.schema.json").to_string(),
        About::History => include_str!("../../templates/schema/history.schema.json").to_string(),
    };
    terminal.result(&text)?;
    Ok(0)
}
