//! Stage 10: `stillframe completions`.

use clap_complete::{Shell, generate};

use super::args::grammar;
use super::terminal::Terminal;
use crate::error::Result;

/// Prints completions for a shell.
pub fn run(terminal: &Terminal, shell: Shell) -> Result<u8> {
    let mut script = Vec::new();
    generate(shell, &mut grammar(), "stillframe", &mut script);
    terminal.result(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
