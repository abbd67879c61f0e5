//! Other programs: found, started, stopped. Servers listen on free loopback ports and end with the test.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// How often a server that starts is asked, and how long each time is waited.
const ASKED: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);

/// The checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where peers lie that the system has not.
pub fn path() -> String {
    let outer = std::env::var("PATH").unwrap_or_default();
    format!("{}:{outer}:/usr/sbin:/sbin", checkout().join(".ci/bin").display())
}

/// Where things are kept from run to run.
pub fn cache() -> PathBuf {
    let cache = checkout().join(".ci/tmp");
    std::fs::create_dir_all(&cache).unwrap();
    cache
}

/// A peer, to be given arguments.
pub fn peer(name: &str) -> Command {
    let found = path().split(':').map(|room| Path::new(room).join(name)).find(|file| file.is_file());
    let file = found.unwrap_or_else(|| panic!("the peer `{name}` is missing; run `bash .ci/peers`"));
    let mut command = Command::new(file);
    command.env("PATH", path()).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Runs to the end and returns what was printed; panics with everything that was said if it fails.
pub fn done(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}\n{}\n{}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs to the end, however that is.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"))
}

/// Both streams as text.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a peer with these arguments.
pub fn run<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> String {
    done(peer(name).args(arguments))
}

/// Runs lines of shell in a directory; a failing line ends it.
pub fn shell(directory: &Path, script: &str) -> String {
    done(peer("bash").current_dir(directory).args(["-euo", "pipefail", "-c", script]))
}

/// A process that ends with this value.
pub struct Server {
    child: Child,
    /// Where it listens: `127.0.0.1:PORT`.
    pub host: String,
    room: TempDir,
}

impl Server {
    /// Every request that a registry answered, a line each.
    pub fn log(&self) -> PathBuf {
        self.room.path().join("log")
    }

    /// What a registry holds.
    pub fn data(&self) -> PathBuf {
        self.room.path().join("data/docker/registry/v2")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a port of its own: `command` is told where to listen and which directory it may fill.
pub fn serve(name: &str, command: impl Fn(&str, &Path) -> Command) -> Server {
    let room = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let log = std::fs::File::create(room.path().join("log")).unwrap();
        let mut child = command(&host, room.path()).stdout(log).stderr(Stdio::null()).spawn().unwrap();
        for _ in 0..ASKED {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            if TcpStream::connect(&host).is_ok() {
                return Server { child, host, room };
            }
            std::thread::sleep(PAUSE);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("{name} does not start")
}

/// A `docker-registry`; with a name and a password only for who knows them.
pub fn registry(login: Option<(&str, &str)>) -> Server {
    docker_registry(login, true)
}

/// A `docker-registry` that lets clients delete, or not.
pub fn docker_registry(login: Option<(&str, &str)>, deletes: bool) -> Server {
    serve("docker-registry", |host, room| {
        let mut config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: {deletes}\nhttp:\n  addr: {host}\n",
            room.join("data").display()
        );
        if let Some((name, password)) = login {
            let passwords = room.join("htpasswd");
            std::fs::write(&passwords, run("htpasswd", ["-nbB", name, password])).unwrap();
            config += &format!("auth:\n  htpasswd:\n    realm: interop\n    path: {}\n", passwords.display());
        }
        let file = room.join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = peer("docker-registry");
        command.env("OTEL_TRACES_EXPORTER", "none").arg("serve").arg(file);
        command
    })
}

/// A mount that ends with this value.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Mounts, as in `mount ARGUMENTS AT`; what went wrong otherwise.
    pub fn new(arguments: &[&str], at: &Path) -> Result<Mount, String> {
        std::fs::create_dir_all(at).unwrap();
        let output = output(peer("mount").args(arguments).arg(at));
        if output.status.success() { Ok(Mount { at: at.to_path_buf() }) } else { Err(said(&output)) }
    }

    /// Takes over something that is mounted.
    pub fn of(at: &Path) -> Mount {
        Mount { at: at.to_path_buf() }
    }

    /// A file system in memory of this size, as in `64k`.
    pub fn memory(size: &str, at: &Path) -> Mount {
        Mount::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], at).unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let umount = |lazily: &[&str]| output(peer("umount").args(lazily).arg(&self.at)).status.success();
        if !umount(&[]) {
            umount(&["-l"]);
        }
    }
}
