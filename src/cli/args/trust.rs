//! Stage 10: the grammar of the commands that sign. Words in, choices out.

use std::path::PathBuf;

use clap::Args;

use super::pair;
use crate::source::Place;
use crate::trust::sign::Format;

/// With what is signed, and how it is kept.
#[derive(Debug, Args)]
pub struct With {
    /// The private key: a file, or env://VARIABLE; its password comes from COSIGN_PASSWORD (default: `[sign]` of the manifest)
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// What is written beside the image: bundle, legacy or both (default: both)
    #[arg(id = "signature_format", long = "signature-format", value_name = "FORMAT")]
    pub format: Option<Format>,
    /// An annotation that is signed with it
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    pub annotation: Vec<(String, String)>,
    /// Writes what was signed as JSON
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// The options of `sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// The image, in a registry
    #[arg(value_name = "REF", required_unless_present = "from", conflicts_with = "from")]
    pub reference: Option<Place>,
    /// Signs what a receipt of `push` or `release` names
    #[arg(long, value_name = "RECEIPT")]
    pub from: Option<PathBuf>,
    /// Signs only what the reference leads to, not the images of an index
    #[arg(long)]
    pub no_recursive: bool,
    #[command(flatten)]
    pub with: With,
}

/// The options of `attest`.
#[derive(Debug, Args)]
pub struct Attest {
    /// The image, in a registry
    #[arg(value_name = "REF")]
    pub reference: Place,
    /// What is attested: spdx, cyclonedx, slsaprovenance1, vuln, openvex … or a URI
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// The JSON document
    #[arg(long, value_name = "FILE")]
    pub predicate: PathBuf,
    #[command(flatten)]
    pub with: With,
}

/// The options of `keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// The files are PREFIX.key and PREFIX.pub
    #[arg(long, value_name = "PREFIX", default_value = "cosign")]
    pub output_prefix: PathBuf,
}
