//! Stage 10: the grammar of the commands that move pins. Words in, choices out.

use clap::Args;

/// The options of `update`.
#[derive(Debug, Args)]
pub struct Update {
    /// What moves: base, packages, or the name of an image; without one everything
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Shows what would move, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Takes an index of packages that is older than the locked one
    #[arg(long)]
    pub allow_older: bool,
}
