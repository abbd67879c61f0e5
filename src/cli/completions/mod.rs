//! Stage 10: `stillframe completions`, and the hidden command that its scripts ask for each word. A shell in, a script out; the words of a
//! line in, what may follow out. Reads the manifest and the store's list of images; asks no network and no git, and writes nothing else.

mod live;

use std::ffi::OsString;
use std::path::Path;

use clap_complete::engine::complete;
use clap_complete::{Shell, generate};

use super::args::grammar;
use super::terminal::Terminal;
use crate::error::Result;

/// Scripts that ask the program itself, so that they know the images and manifests that are there.
const ASKING: [(Shell, &str); 3] = [
    (Shell::Bash, include_str!("bash.sh")),
    (Shell::Zsh, include_str!("zsh.sh")),
    (Shell::Fish, include_str!("fish.fish")),
];

/// Prints completions for a shell.
pub fn run(terminal: &Terminal, shell: Shell) -> Result<u8> {
    if let Some((_, script)) = ASKING.iter().find(|(of, _)| *of == shell) {
        terminal.result(script)?;
        return Ok(0);
    }
    let mut script = Vec::new();
    generate(shell, &mut grammar(), "stillframe", &mut script);
    terminal.result(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Prints what may stand at one place of a line, each on a line of its own, with a tab and a word on it where there is one.
pub fn words(terminal: &Terminal, at: usize, words: &[OsString]) -> Result<u8> {
    terminal.result(&candidates(words, at, std::path::absolute(".").ok().as_deref()))?;
    Ok(0)
}

/// The same as a text.
fn candidates(words: &[OsString], at: usize, directory: Option<&Path>) -> String {
    let mut words: Vec<OsString> = words.iter().take(at + 1).cloned().collect();
    words.resize(at + 1, OsString::new());
    let option = words[at].to_string_lossy().starts_with('-');
    let mut command = live::attached(grammar(), &live::Sight::of(&words[..at]));
    let found = complete(&mut command, words, at, directory).unwrap_or_default();
    let mut lines: Vec<(String, String)> = Vec::new();
    for candidate in found {
        let value = candidate.get_value().to_string_lossy().into_owned();
        let about = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let about = about.lines().next().unwrap_or_default().to_string();
        if !value.contains(['\n', '\t', '\r']) && !lines.iter().any(|(known, _)| *known == value) {
            lines.push((value, about));
        }
    }
    // Options are many; they are offered where one is begun, or where nothing else fits.
    if !option && lines.iter().any(|(value, _)| !value.starts_with('-')) {
        lines.retain(|(value, _)| !value.starts_with('-'));
    }
    let line = |(value, about): (String, String)| match about.as_str() {
        "" => format!("{value}\n"),
        about => format!("{value}\t{about}\n"),
    };
    lines.into_iter().map(line).collect()
}
