//! Stage 10: the grammar of `init`. Words in, choices out.

use std::path::PathBuf;

use clap::Args;

/// The options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// What the manifest is made from: a Dockerfile or Containerfile
    #[arg(long, value_name = "FILE", required = true)]
    pub from: PathBuf,
    /// The stage of a Dockerfile that becomes the image (default: the last)
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Writes over files that are there
    #[arg(long)]
    pub force: bool,
}
