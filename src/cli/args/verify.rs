//! Stage 10: the grammar of `verify`. Words in, choices out.

use std::path::PathBuf;

use clap::Args;

use super::pair;
use crate::source::Place;

/// The options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The image, in a registry
    #[arg(value_name = "REF")]
    pub reference: Place,
    /// The public key that must have signed it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["identity", "identity_regexp", "issuer", "issuer_regexp"])]
    pub key: Option<PathBuf>,
    /// Who must have signed it: a mail address, or the URI of a workflow
    #[arg(long, value_name = "TEXT", conflicts_with = "identity_regexp")]
    pub identity: Option<String>,
    /// The same as a regular expression for the whole of it
    #[arg(long, value_name = "PATTERN")]
    pub identity_regexp: Option<String>,
    /// Who must have vouched for the identity
    #[arg(long, value_name = "URL", conflicts_with = "issuer_regexp")]
    pub issuer: Option<String>,
    /// The same as a regular expression for the whole of it
    #[arg(long, value_name = "PATTERN")]
    pub issuer_regexp: Option<String>,
    /// Asks for an attestation instead of a signature: spdx, cyclonedx, slsaprovenance1 … or a URI
    #[arg(long, value_name = "TYPE")]
    pub attestation: Option<String>,
    /// An annotation that must be signed with it
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub annotation: Vec<(String, String)>,
    /// Asks for an entry in a transparency log for the signature of a key too
    #[arg(long)]
    pub require_log: bool,
    /// Asks the same of every image of an index
    #[arg(long)]
    pub recursive: bool,
    /// A trusted root of sigstore, in place of the public-good instance's
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
}
