//! Stage 9: container engines of this machine. An artifact in, an image in Docker or Podman out. Talks to their sockets; only where
//! Podman has none is `podman load` started, which is its own destination's program.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::Cargo;
use super::archive::{docker_files, pour};
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::oci::Digest;

/// Longest answer that is read from an engine, in bytes.
const MOST_ANSWER: usize = 1 << 20;
/// Longest time an engine may take to load an image.
const PATIENCE: Duration = Duration::from_secs(600);

/// Loads into the Docker engine (`DOCKER_HOST` where it names a socket, else the usual one).
pub async fn docker(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<()> {
    let socket = match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => match host.strip_prefix("unix://") {
            Some(path) => PathBuf::from(path),
            None => {
                return Err(Error::usage(format!(
                    "DOCKER_HOST is `{}`, but only unix:// sockets are supported",
                    printable(&host)
                ))
                .hint("write a file with `-o docker-archive:FILE` and run `docker load -i FILE`"));
            }
        },
        _ => PathBuf::from("/var/run/docker.sock"),
    };
    load(ctx, cargo, "docker", socket).await
}

/// Loads into Podman, through its socket or its program.
pub async fn podman(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<()> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|run| PathBuf::from(run).join("podman/podman.sock"));
    let sockets = [runtime, Some(PathBuf::from("/run/podman/podman.sock"))];
    match sockets.into_iter().flatten().find(|socket| socket.exists()) {
        Some(socket) => load(ctx, cargo, "podman", socket).await,
        None => program(ctx, cargo).await,
    }
}

/// The sockets at which engines are looked for, and whether they are there.
pub fn sockets() -> Vec<(&'static str, PathBuf, bool)> {
    let named = std::env::var("DOCKER_HOST").ok().and_then(|host| host.strip_prefix("unix://").map(PathBuf::from));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|run| PathBuf::from(run).join("podman/podman.sock"));
    let docker = ("docker", named.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock")));
    let podman = runtime.into_iter().chain([PathBuf::from("/run/podman/podman.sock")]).map(|path| ("podman", path));
    std::iter::once(docker).chain(podman).map(|(engine, path)| (engine, path.clone(), path.exists())).collect()
}

/// The archive in a temporary of the store's directory, open at its start.
async fn archive(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<tempfile::NamedTempFile> {
    let files = docker_files(ctx, cargo).await?;
    let directory = ctx.store.root().join("tmp");
    let work = tokio::task::spawn_blocking(move || {
        let failed = |cause| Error::io(format!("writing to the store `{}`", directory.display()), cause);
        std::fs::create_dir_all(&directory).map_err(failed)?;
        let mut file = tempfile::Builder::new().prefix("load-").tempfile_in(&directory).map_err(failed)?;
        pour(files, file.as_file_mut()).map_err(failed)?;
        Ok(file)
    });
    work.await.map_err(|cause| Error::bug("a thread broke down").because(cause))?
}

async fn load(ctx: &Ctx, cargo: &Cargo<'_>, engine: &str, socket: PathBuf) -> Result<()> {
    let failed =
        |what: String| Error::local(what).hint(format!("is {engine} running, and may you use `{}`?", socket.display()));
    if !socket.exists() {
        return Err(failed(format!("there is no {engine} socket at `{}`", socket.display())));
    }
    let client = reqwest::Client::builder()
        .unix_socket(socket.clone())
        .no_proxy()
        // No certificate is ever looked at, so none need be there.
        .tls_certs_only([])
        .timeout(PATIENCE)
        .build()
        .map_err(|cause| Error::bug("the HTTP client could not be made").because(cause))?;
    let file = archive(ctx, cargo).await?;
    let handle = file.reopen().map_err(|cause| Error::io("reading the archive for the engine", cause))?;
    let request = client
        .post("http://localhost/images/load?quiet=1")
        .header("content-type", "application/x-tar")
        .body(reqwest::Body::from(tokio::fs::File::from_std(handle)));
    let answer =
        request.send().await.map_err(|cause| failed(format!("asking {engine} to load the image")).because(cause))?;
    let status = answer.status();
    let text = answer_text(answer).await;
    // The engine answers 200 first and tells of a failure in its stream.
    let error = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(|line| {
        line.get("error").or(line.get("message")).and_then(|error| error.as_str().map(str::to_string))
    });
    if !status.is_success() || error.is_some() {
        let why = error.unwrap_or_else(|| format!("{status} {text}"));
        return Err(Error::local(format!("{engine} refused the image: {}", printable(&why))));
    }
    confirm(&client, engine, &cargo.artifact.images[0].config.descriptor.digest).await
}

async fn answer_text(mut answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MOST_ANSWER - bytes.len())]);
        if bytes.len() >= MOST_ANSWER {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The engine must know the image by its config's digest.
async fn confirm(client: &reqwest::Client, engine: &str, config: &Digest) -> Result<()> {
    let asked = client.get(format!("http://localhost/images/{config}/json")).send().await;
    match asked {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) if answer.status() == reqwest::StatusCode::NOT_FOUND => {
            // Engines with the containerd store name images by manifest; loading has succeeded.
            Ok(())
        }
        Ok(answer) => Err(Error::local(format!("{engine} loaded the image but answers {} for it", answer.status()))),
        Err(cause) => Err(Error::local(format!("asking {engine} for the loaded image")).because(cause)),
    }
}

async fn program(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<()> {
    let file = archive(ctx, cargo).await?;
    let command = tokio::process::Command::new("podman")
        .arg("load")
        .arg("--quiet")
        .arg("--input")
        .arg(file.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let done = match tokio::time::timeout(PATIENCE, command).await {
        Err(_) => return Err(Error::local(format!("`podman load` took longer than {} s", PATIENCE.as_secs()))),
        Ok(Err(cause)) => {
            return Err(Error::io("starting `podman load`", cause)
                .hint("there is no podman socket either; install podman, or use `-o docker-archive:FILE`"));
        }
        Ok(Ok(done)) => done,
    };
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr[..done.stderr.len().min(MOST_ANSWER)]).into_owned();
    Err(Error::local(format!("`podman load` failed: {}", printable(said.trim()))))
}
