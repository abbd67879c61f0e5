//! Stage 10: `stillframe man`. The grammar of the command line in, manual pages out.

use std::path::Path;

use clap_mangen::Man;

use super::args::grammar;
use super::terminal::Terminal;
use crate::error::{Error, Result, printable};
use crate::ship;

/// Prints the manual page of the program, or writes it and one for each command into a directory.
pub fn run(terminal: &Terminal, directory: Option<&Path>) -> Result<u8> {
    let mut whole = grammar();
    whole.build();
    let Some(directory) = directory else {
        terminal.result(&String::from_utf8_lossy(&page(&whole)?))?;
        return Ok(0);
    };
    let failed =
        |cause| Error::io(format!("making the directory `{}`", printable(&directory.to_string_lossy())), cause);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut ahead = vec![whole];
    while let Some(command) = ahead.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_string();
        ship::receipt(&directory.join(format!("{name}.1")), &page(&command)?)?;
        ahead.extend(
            command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()).cloned(),
        );
    }
    Ok(0)
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    // Without a date: the page is the same on every day.
    let rendered = Man::new(command.clone()).date("").render(&mut text);
    rendered.map_err(|cause| Error::io("writing a manual page", cause))?;
    Ok(text)
}
