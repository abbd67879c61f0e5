//! Between stages 1 and 2, a side door of the flow: what other tools are told with → a commented `image.toml`. The text of a Dockerfile
//! or of the file of jib, ko or apko in; the text of a manifest out, and a finding for each thing that could not be carried over, which
//! stands as a comment at its place too. Pure: what stands beside the file is asked of the caller's functions.

mod apko;
mod context;
mod dockerfile;
mod draft;
mod jib;
mod ko;
mod sheet;
mod value;
mod yaml;

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
    /// A build file of jib.
    Jib,
    /// The configuration of ko.
    Ko,
    /// The configuration of apko.
    Apko,
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
    if kind != Kind::Dockerfile && choice.target.is_some() {
        return Err(Error::usage(format!("`{}` has no stages", crate::error::printable(&text.path)))
            .hint("`--target` is for a Dockerfile"));
    }
    match kind {
        Kind::Dockerfile => dockerfile::import(text, context, choice),
        Kind::Jib => jib::import(text, context),
        Kind::Ko => ko::import(text, context),
        Kind::Apko => apko::import(text),
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
    if docker(&name) {
        return Ok(Kind::Dockerfile);
    }
    for ending in [".yaml", ".yml"] {
        match name.strip_suffix(ending).map(|stem| stem.trim_start_matches('.')) {
            Some("jib") => return Ok(Kind::Jib),
            Some("ko") => return Ok(Kind::Ko),
            Some(stem) if stem == "apko" || stem.ends_with(".apko") => return Ok(Kind::Apko),
            _ => {}
        }
    }
    if has_from(&text.text) {
        return Ok(Kind::Dockerfile);
    }
    if let Some(kind) = content(&text.text) {
        return Ok(kind);
    }
    Err(Error::usage(format!("`{}` is nothing that can be imported", crate::error::printable(&text.path))).hint(
        "known are a Dockerfile (a Containerfile too), `jib.yaml`, `.ko.yaml` and `apko.yaml`, by name or by content",
    ))
}

/// The tool whose keys stand at the left of a YAML document.
fn content(text: &str) -> Option<Kind> {
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    let jib = |line: &str| {
        line.strip_prefix("apiVersion:").is_some_and(|rest| rest.trim().trim_matches(['"', '\'']).starts_with("jib/"))
    };
    if text.lines().any(jib) {
        return Some(Kind::Jib);
    }
    if ["builds:", "defaultBaseImage:", "baseImageOverrides:", "defaultPlatforms:"].iter().any(|key| has(key)) {
        return Some(Kind::Ko);
    }
    let contents = text.lines().skip_while(|line| !line.starts_with("contents:")).skip(1);
    let mut inside = contents.take_while(|line| line.trim().is_empty() || line.starts_with([' ', '#']));
    let known = ["packages:", "repositories:", "keyring:"];
    inside.any(|line| known.iter().any(|key| line.trim_start().starts_with(key))).then_some(Kind::Apko)
}

/// Whether the first instruction is `FROM` or `ARG`.
fn has_from(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let word = first.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    ["FROM", "ARG"].iter().any(|known| word.eq_ignore_ascii_case(known))
}
