//! Stage 10: the grammar of the commands that sign. Words in, choices out.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::pair;
use crate::source::Place;
use crate::trust::sign::Format;

/// The longest that services may be waited for.
const LONGEST_PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// With what is signed, and how it is kept.
#[derive(Debug, Args)]
pub struct With {
    /// The private key: a file, env://VARIABLE, pkcs11:… or signer://NAME/KEY; the password of a file comes from COSIGN_PASSWORD (default: `[sign]` of the manifest)
    #[arg(long, value_name = "KEY", conflicts_with_all = ["keyless", "identity_token"])]
    pub key: Option<String>,
    /// Signs as who we are: the CI job, or a person who signs in
    #[arg(long)]
    pub keyless: bool,
    /// The identity token to sign with, or its file (default: the CI service's, SIGSTORE_ID_TOKEN, or signing in)
    #[arg(long, value_name = "TOKEN|FILE")]
    pub identity_token: Option<String>,
    /// Writes a key's signature to a transparency log too
    #[arg(long)]
    pub log: bool,
    /// A signing config of sigstore: the services that sign (default: the public-good instance's)
    #[arg(long, value_name = "FILE")]
    pub signing_config: Option<PathBuf>,
    /// A trusted root of sigstore, or a client trust config (default: the public-good instance's)
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// How long services of sigstore that are away are waited for, as in 90s or 10m
    #[arg(long, value_name = "TIME", value_parser = patience, default_value = "5m")]
    pub patience: Duration,
    /// Asks nothing: neither whether who signs may be published, nor, in `release`, whether to go on
    #[arg(short, long)]
    pub yes: bool,
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

impl With {
    /// Whether anything was said about signing.
    pub fn asks(&self) -> bool {
        let texts = [&self.key, &self.identity_token].iter().any(|text| text.is_some());
        let files = [&self.signing_config, &self.trusted_root, &self.receipt].iter().any(|file| file.is_some());
        let rest = self.keyless || self.log || self.yes || self.format.is_some() || !self.annotation.is_empty();
        texts || files || rest
    }
}

/// A length of time, as in `90s`, `5m` or `1h 30m`.
fn patience(text: &str) -> Result<Duration, String> {
    let length: SignedDuration =
        text.parse().map_err(|_| "write a number and its unit, as in `90s` or `5m`".to_string())?;
    let length = Duration::try_from(length).map_err(|_| "it must not be negative".to_string())?;
    match length <= LONGEST_PATIENCE {
        true => Ok(length),
        false => Err(format!("{} h is the longest", LONGEST_PATIENCE.as_secs() / 3600)),
    }
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
