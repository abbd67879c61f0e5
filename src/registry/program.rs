//! Stage 4: programs that are asked for something secret: credential helpers, and external signers for `trust`. A name, words and
//! input in, what it printed out. No shell; bounded in time and in what it may say; what it says on stderr is never shown.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::error::{Error, Result};

/// A program that may be run.
pub struct Program<'a> {
    /// What it is, for messages.
    pub what: &'static str,
    /// Its name in the `PATH`.
    pub name: &'a str,
    /// Most bytes that it may print; one more is handed back, for the caller to refuse.
    pub most: u64,
    /// Where it is looked for, in place of the `PATH`.
    pub search: Option<&'a OsString>,
    /// How long it may run.
    pub patience: Duration,
}

/// Why a program said nothing.
pub enum Failed {
    /// It is not there.
    Missing(Error),
    /// It did not start, broke down or took too long.
    Other(Error),
}

impl Failed {
    /// The error, whatever it was.
    pub fn into_error(self) -> Error {
        match self {
            Failed::Missing(error) | Failed::Other(error) => error,
        }
    }
}

/// Whether a text may be the last part of a program's name: letters, digits, `.`, `_` and `-`, a letter or digit first.
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

impl Program<'_> {
    /// Runs it: whether it succeeded, and what it printed.
    pub async fn run(&self, words: &[&str], input: &[u8]) -> Result<(bool, Vec<u8>), Failed> {
        let named = format!("the {} `{}`", self.what, self.name);
        let path = self.find().ok_or_else(|| {
            Failed::Missing(Error::usage(format!("{named} is not in the `PATH` or cannot be executed")))
        })?;
        let failed = |what: String, cause| Failed::Other(Error::usage(what).because(cause));
        let mut command = Command::new(path);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|cause| failed(format!("{named} does not start"), cause))?;
        match tokio::time::timeout(self.patience, self.talk(&mut child, input)).await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(cause)) => {
                let _ = child.kill().await;
                Err(failed(format!("{named} failed"), cause))
            }
            Err(_) => {
                let _ = child.kill().await;
                let within = self.patience.as_secs_f32();
                Err(Failed::Other(Error::usage(format!("{named} did not answer within {within} s"))))
            }
        }
    }

    /// Writes the input to the program and reads what it prints, at most one byte over the limit.
    async fn talk(&self, child: &mut Child, input: &[u8]) -> std::io::Result<(bool, Vec<u8>)> {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program that answers without reading is fine.
                let _ = stdin.write_all(input).await;
            }
        };
        let read = async {
            let mut output = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(self.most + 1).read_to_end(&mut output).await?;
            }
            std::io::Result::Ok(output)
        };
        // Both at once: one that prints before it has read everything must not wait for us.
        let ((), output) = tokio::join!(write, read);
        let output = output?;
        if output.len() as u64 > self.most {
            child.kill().await?;
            return Ok((false, output));
        }
        Ok((child.wait().await?.success(), output))
    }

    /// The first executable file of this name in the search path; relative parts of the path do not count.
    fn find(&self) -> Option<PathBuf> {
        let search = self.search.cloned().or_else(|| std::env::var_os("PATH"))?;
        std::env::split_paths(&search)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(self.name))
            .find(|path| path.is_file() && rustix::fs::access(path.as_path(), rustix::fs::Access::EXEC_OK).is_ok())
    }
}
