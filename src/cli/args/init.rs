//! Stage 10: the grammar of `init`. Words in, choices out.

use std::path::PathBuf;

use clap::Args;

use crate::cli::init::{Pipeline, Template};
use crate::oci::Repository;

/// The options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Takes over a Dockerfile or Containerfile, jib.yaml, .ko.yaml or apko.yaml
    #[arg(long, value_name = "FILE", conflicts_with_all = ["template", "name", "base", "mirror", "suite", "ci"])]
    pub from: Option<PathBuf>,
    /// The stage of a Dockerfile that becomes the image (default: the last)
    #[arg(long, value_name = "STAGE", requires = "from")]
    pub target: Option<String>,
    /// What the project is (default: what its files say)
    #[arg(long, value_name = "NAME", value_enum)]
    pub template: Option<Template>,
    /// Where the image is pushed
    #[arg(long, value_name = "REPOSITORY")]
    pub name: Option<Repository>,
    /// An image that has what the template needs, in place of packages
    #[arg(long, value_name = "REF", conflicts_with = "mirror")]
    pub base: Option<String>,
    /// A mirror of Debian that packages come from (default: that of this machine)
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// A file of the keys that sign that mirror (default: the keys of Debian)
    #[arg(long, value_name = "FILE", requires = "mirror")]
    pub keyring: Option<String>,
    /// The release of Debian (default: that of this machine, else trixie)
    #[arg(long, value_name = "SUITE")]
    pub suite: Option<String>,
    /// Writes a pipeline too: build and check, and `release` for a tag
    #[arg(long, value_name = "CI", value_enum)]
    pub ci: Vec<Pipeline>,
    /// Asks nothing
    #[arg(short, long)]
    pub yes: bool,
    /// Replaces what is there
    #[arg(long)]
    pub force: bool,
}
