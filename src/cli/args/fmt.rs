//! Stage 10: the grammar of `fmt`. Words in, choices out.

use std::path::PathBuf;

use clap::Args;

/// The options of `fmt`.
#[derive(Debug, Args)]
pub struct Fmt {
    /// Manifests, or directories that have one (default: that of `-f`)
    #[arg(value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Writes nothing; names what is set out in another way, and exits with 4
    #[arg(long)]
    pub check: bool,
}
