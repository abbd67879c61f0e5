//! Stage 10: the grammar of `check`. Words in, choices out.

use clap::Args;

use super::several::Several;

/// The options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub several: Several,
    /// Explains a rule in place of that: why it is there, and the way out
    #[arg(long, value_name = "CODE")]
    pub explain: Option<String>,
}
