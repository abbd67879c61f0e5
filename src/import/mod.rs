//! Between stages 1 and 2, a side door of the flow: what other tools are told with → a commented `image.toml`. The text of a Dockerfile
//! in; the text of a manifest out, and a finding for each thing that could not be carried over, which
//! stands as a comment at its place too. Pure: what stands beside the file is asked of the caller's functions.

mod context;
mod dockerfile;
mod draft;
mod value;

use std::sync::Arc;

use crate::error::{Error, Report, Result, Text};

pub use context::{Context, Kind as Beside};

/// Largest file that is imported, in bytes.
pub const MOST_BYTES: u64 = 1 << 20;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Dockerfile, or a Containerfile.
    Dockerfile,
}

/// A manifest that was made from something else.
pub struct Import {
    /// The text of the manifest.
    pub manifest: String,
    /// What was not carried over, each with its place in the file that was read.
    pub report: Report,
}

/// What the caller chooses.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The stage of a Dockerfile that becomes the image; without one the last.
    pub target: Option<String>,
}

/// Makes a manifest of a file.
pub fn import(text: &Arc<Text>, kind: Kind, context: Context<'_>, choice: &Choice) -> Result<Import> {
    match kind {
        Kind::Dockerfile => dockerfile::import(text, context, choice),
    }
}

/// What a file is, by its name or else by its content.
pub fn kind(text: &Text) -> Result<Kind> {
    let name = text.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let docker = |word: &str| {
        ["dockerfile", "containerfile"].iter().any(|known| {
            word == *known || word.starts_with(&format!("{known}.")) || word.ends_with(&format!(".{known}"))
        })
    };
    if docker(&name) || has_from(&text.text) {
        return Ok(Kind::Dockerfile);
    }
    Err(Error::usage(format!("`{}` is nothing that can be imported", crate::error::printable(&text.path)))
        .hint("known is a Dockerfile (a Containerfile too), by its name or by its first instruction"))
}

/// Whether the first instruction is `FROM` or `ARG`.
fn has_from(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let word = first.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    ["FROM", "ARG"].iter().any(|known| word.eq_ignore_ascii_case(known))
}
