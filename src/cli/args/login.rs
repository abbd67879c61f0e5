//! Stage 10: the grammar of `login`. Words in, choices out.

use clap::Args;

use crate::oci::Registry;

/// The options of `login`.
#[derive(Debug, Args)]
pub struct Login {
    /// The registry, as in `ghcr.io` or `localhost:5000`
    #[arg(value_name = "HOST")]
    pub host: Registry,
    /// The account
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,
    /// Reads the password from stdin
    #[arg(long)]
    pub password_stdin: bool,
}
