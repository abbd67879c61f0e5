//! Stage 10: questions on a terminal. A prompt in, the line that was typed out. Only where stdin is a terminal; a secret is not echoed,
//! and the echo comes back however the question ends.

use std::io::{BufRead, IsTerminal, Read, stdin};
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::session::Session;
use crate::error::{Error, Result};

/// Longest line that is read, in bytes.
const MOST_BYTES: u64 = 64 << 10;
/// How often the wish to stop is looked for.
const TICK: Duration = Duration::from_millis(50);

/// Whether somebody can be asked.
pub fn possible() -> bool {
    stdin().is_terminal()
}

/// The terminal as it was, put back on drop.
struct Quiet(Termios);

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Asks for one line; a secret is not shown while it is typed.
pub async fn ask(session: &Session<'_>, question: &str, secret: bool) -> Result<String> {
    let failed = |cause| Error::io("asking on the terminal", cause);
    session.terminal.ask(question);
    let quiet = if secret {
        let before = tcgetattr(stdin()).map_err(|cause| failed(cause.into()))?;
        let mut after = before.clone();
        after.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &after).map_err(|cause| failed(cause.into()))?;
        Some(Quiet(before))
    } else {
        None
    };
    let mut typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        stdin().lock().take(MOST_BYTES).read_line(&mut line).map(|_| line)
    });
    let line = loop {
        session.cancel.check()?;
        if let Ok(done) = tokio::time::timeout(TICK, &mut typed).await {
            break done.map_err(|cause| Error::bug("a thread broke down").because(cause))?.map_err(failed)?;
        }
    };
    if quiet.is_some() {
        // The Enter that ended the line was not echoed either.
        session.terminal.ask("\n");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}

/// All of stdin, without the line's end.
pub async fn stdin_line() -> Result<String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = read.await.map_err(|cause| Error::bug("a thread broke down").because(cause))?;
    let bytes = bytes.map_err(|cause| Error::io("reading stdin", cause))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::usage(format!("the password on stdin has over {MOST_BYTES} bytes, which is the limit")));
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::usage("the password on stdin is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_string())
}
