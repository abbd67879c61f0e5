//! Stage 4: programs that are asked for something: credential helpers, and for `trust` external signers and the agents of CI
//! services. A name, words and input in, what it printed out. No shell; bounded in time and in what it may say; what it says on
//! stderr is never shown.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// A program that may be run.
pub struct Program<'a> {
    /// Its name in the search path.
    pub name: &'a str,
    /// Most bytes that it may print.
    pub most: u64,
    /// Where it is looked for, in place of the `PATH`.
    pub search: Option<&'a OsString>,
    /// How long it may run.
    pub patience: Duration,
}

/// What a program did.
pub struct Ran {
    /// Whether it succeeded; one that printed too much did not.
    pub success: bool,
    /// What it printed, at most one byte over the limit.
    pub output: Vec<u8>,
}

/// Why a program did nothing.
#[derive(Debug)]
pub enum Failed {
    /// No executable file has its name.
    Missing,
    /// It does not start.
    Start(io::Error),
    /// It broke down while we talked.
    Broke(io::Error),
    /// It took too long, and was ended.
    Slow,
}

/// Whether a text may be a part of a program's name: letters, digits, `.`, `_` and `-`, a letter or digit first.
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

impl Program<'_> {
    /// Runs it with these words and this input.
    pub async fn run(&self, words: &[&str], input: &[u8]) -> Result<Ran, Failed> {
        let path = self.find().ok_or(Failed::Missing)?;
        let mut command = Command::new(path);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(Failed::Start)?;
        let said = tokio::time::timeout(self.patience, self.talk(&mut child, input)).await;
        let failed = match said {
            Ok(Ok(ran)) => return Ok(ran),
            Ok(Err(cause)) => Failed::Broke(cause),
            Err(_) => Failed::Slow,
        };
        let _ = child.kill().await;
        Err(failed)
    }

    /// Writes the input to the program and reads what it prints, at most one byte over the limit.
    async fn talk(&self, child: &mut Child, input: &[u8]) -> io::Result<Ran> {
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
            io::Result::Ok(output)
        };
        // Both at once: one that prints before it has read everything must not wait for us.
        let ((), output) = tokio::join!(write, read);
        let output = output?;
        if output.len() as u64 > self.most {
            child.kill().await?;
            return Ok(Ran { success: false, output });
        }
        Ok(Ran { success: child.wait().await?.success(), output })
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
