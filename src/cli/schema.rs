//! Stage 10: `stillframe schema`.

use super::terminal::Terminal;
use crate::error::Result;
use crate::manifest::schema::schema;

/// Prints the JSON Schema of `image.toml`.
pub fn run(terminal: &Terminal) -> Result<u8> {
    let text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    terminal.result(&(text + "\n"))?;
    Ok(0)
}
