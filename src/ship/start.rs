//! Stage 9: running what was loaded into an engine. An image's digest and words in; a running container, or its exit code, out. Starts
//! `docker` or `podman`, and nothing else.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::engine::sockets;
use crate::error::{Error, Result, printable};
use crate::oci::Digest;

/// How long an engine may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is shown, in bytes.
const MOST_ANSWER: usize = 4 << 10;

/// A container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An engine whose program is there.
#[derive(Clone, Debug)]
pub struct Starter {
    /// Which one.
    pub engine: Engine,
    program: PathBuf,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }

    fn program(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(self.name()))
            .find(|file| file.is_file() && rustix::fs::access(file.as_path(), rustix::fs::Access::EXEC_OK).is_ok())
    }

    fn listens(self) -> bool {
        sockets().iter().any(|(name, _, there)| *name == self.name() && *there)
    }
}

/// The engine that is wished for; else Docker where it runs, else Podman.
pub fn starter(wish: Option<Engine>) -> Result<Starter> {
    let ready = |engine: Engine| {
        let program = engine.program().filter(|_| engine == Engine::Podman || engine.listens())?;
        Some(Starter { engine, program })
    };
    let found = match wish {
        Some(engine) => ready(engine),
        None => ready(Engine::Docker).or_else(|| ready(Engine::Podman)),
    };
    found.ok_or_else(|| {
        let what = match wish {
            Some(engine) if engine.program().is_none() => format!("there is no program `{engine}` in the PATH"),
            Some(engine) => format!("{engine} does not run here: its socket is not there"),
            None => "there is no docker that runs, and no podman, to run an image with".to_string(),
        };
        Error::local(what)
            .hint("install and start one of them; `stillframe doctor` shows which sockets were looked for")
            .hint("or write a file for another machine with `stillframe build -o docker-archive:FILE`")
    })
}

impl Starter {
    /// By which word the engine knows an image that was loaded: its config's digest, else its manifest's, else this name.
    pub async fn word(&self, config: &Digest, manifest: &Digest, name: Option<&str>) -> Result<String> {
        let digests = [config, manifest].map(ToString::to_string);
        let words = digests.iter().map(String::as_str).chain(name);
        let mut why = String::new();
        for word in words {
            match self.ask(&["image", "inspect", "--format", "{{.Id}}", word]).await? {
                Ok(_) => return Ok(word.to_string()),
                Err(said) => why = said,
            }
        }
        Err(Error::local(format!("{} does not know the image that it has loaded: {why}", self.engine)))
    }

    /// Becomes the engine's program; returns only where that fails.
    pub fn become_it(&self, words: &[OsString]) -> Error {
        let cause = std::process::Command::new(&self.program).args(words).exec();
        Error::io(format!("starting `{}`", self.program.display()), cause)
    }

    /// Starts the engine's program beside us.
    pub fn start(&self, words: &[OsString]) -> Result<Child> {
        // A signal from the terminal is for us: we stop the container then.
        let started = Command::new(&self.program).args(words).stdin(Stdio::null()).process_group(0).spawn();
        started.map_err(|cause| Error::io(format!("starting `{}`", self.program.display()), cause))
    }

    /// Removes a container of this name, if there is one.
    pub async fn remove(&self, name: &str) -> Result<()> {
        self.ask(&["rm", "--force", name]).await.map(drop)
    }

    /// What it answers, or what it says is wrong.
    async fn ask(&self, words: &[&str]) -> Result<std::result::Result<String, String>> {
        let command = Command::new(&self.program).args(words).stdin(Stdio::null()).kill_on_drop(true).output();
        let done = tokio::time::timeout(PATIENCE, command).await;
        let done = done.map_err(|_| {
            Error::local(format!("`{} {}` took longer than {} s", self.engine, words[0], PATIENCE.as_secs()))
        })?;
        let done = done.map_err(|cause| Error::io(format!("starting `{}`", self.program.display()), cause))?;
        let text = |bytes: &[u8]| printable(String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_ANSWER)]).trim());
        Ok(if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) })
    }
}
