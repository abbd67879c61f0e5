//! Stage 10: the grammar of `release` and `reproduce`. Words in, choices out.

use std::path::PathBuf;

use clap::Args;

use super::{Leaves, Several, With};
use crate::source::Place;

/// The options of `release`.
#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    pub several: Several,
    #[command(flatten)]
    pub leaves: Leaves,
    /// Releases without signatures and attestations
    #[arg(long, conflicts_with_all = ["key", "keyless", "identity_token", "log", "signing_config", "signature_format", "annotation"])]
    pub no_sign: bool,
    /// Stops before it signs: `sign --from RECEIPT` ends the release in a job that has the key
    #[arg(long, requires = "receipt", conflicts_with_all = ["key", "keyless", "identity_token", "log", "signing_config", "no_sign", "signature_format"])]
    pub prepare: bool,
    /// Names the builder in the provenance (default: the workflow that the CI job names, else none)
    #[arg(long, value_name = "URI", value_parser = uri)]
    pub builder_id: Option<String>,
    #[command(flatten)]
    pub with: With,
}

/// The options of `reproduce`.
#[derive(Debug, Args)]
pub struct Reproduce {
    /// The image
    #[arg(value_name = "REF")]
    pub reference: Place,
    /// Builds from a commit instead of the work tree: this one, else the one that the image's provenance names
    #[arg(long, value_name = "COMMIT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub revision: Option<String>,
    /// Writes what was shown, as SLSA's verification summary
    #[arg(long, value_name = "FILE")]
    pub vsa: Option<PathBuf>,
    /// Attests what was shown, beside the image
    #[arg(long)]
    pub sign: bool,
    #[command(flatten)]
    pub with: With,
}

/// A URI as in a builder's name: with a scheme, and of what may stand in one.
pub(super) fn uri(text: &str) -> Result<String, String> {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let may = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte);
    match scheme && text.bytes().all(may) {
        true => Ok(text.to_string()),
        false => Err("it must be a URI, as in https://example.com/ci".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn a_builder_is_named_by_a_uri() {
        for right in ["https://example.com/ci", "urn:acme:ci", "git+ssh://h.test/x?y#z"] {
            assert_eq!(uri(right).as_deref(), Ok(right));
        }
        for wrong in ["", "ci", ":x", "https://a b", "1x:y", "https://ü", "a:<b>"] {
            assert!(uri(wrong).is_err(), "{wrong}");
        }
    }
}
