//! A project in a directory of its own, and runs of the program in it: cleared environment, own home, own store.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::peers::{checkout, output, path, said};

/// The program as `cargo test` built it.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_stillframe"))
}

/// The program of another build, as `.ci/run` makes it: `x86_64-unknown-linux-musl/release`, `quick`.
pub fn other_program(build: &str) -> PathBuf {
    let target = program().parent().and_then(Path::parent).unwrap().to_path_buf();
    let found = target.join(build).join("stillframe");
    assert!(found.is_file(), "`{}` is missing; `bash .ci/run` says how it is built", found.display());
    found
}

/// The optimised program that is given to people.
pub fn release() -> PathBuf {
    other_program("x86_64-unknown-linux-musl/release")
}

/// The rules of images that nobody starts.
const IDLE: &str = "\n[check]\nroot-user = \"allow\"\nmissing-interpreter = { level = \"allow\", reason = \"a test of other things\" }\n";

/// A project: `app` holds the manifest and its inputs, `home` the store.
pub struct Project {
    room: TempDir,
}

impl Project {
    /// A project with this manifest below its `schema = 1`.
    pub fn new(manifest: &str) -> Project {
        let project = Project { room: tempfile::tempdir().unwrap() };
        fs::create_dir_all(project.app()).unwrap();
        project.manifest(manifest);
        project
    }

    /// Writes the manifest, new or again. Its image may run as root and hold scripts without their shell, which these tests are not about,
    /// unless it has rules of its own.
    pub fn manifest(&self, manifest: &str) {
        let rules = if manifest.contains("[check") { "" } else { IDLE };
        self.write("image.toml", format!("schema = 1\n{manifest}{rules}"));
    }

    /// Another project with the same files.
    pub fn copy_of(directory: &Path) -> Project {
        let project = Project { room: tempfile::tempdir().unwrap() };
        crate::peers::run("cp", [Path::new("-a"), directory, &project.app()]);
        project
    }

    /// With a file.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Project {
        self.write(name, content);
        self
    }

    /// With a file that may be run.
    pub fn script(self, name: &str, content: impl AsRef<[u8]>) -> Project {
        self.write(name, content);
        fs::set_permissions(self.app().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// With a symbolic link.
    pub fn link(self, name: &str, target: &str) -> Project {
        symlink(target, self.app().join(name)).unwrap();
        self
    }

    /// Writes a file, new or again.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.app().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Everything of this project.
    pub fn room(&self) -> &Path {
        self.room.path()
    }

    /// Where the manifest is.
    pub fn app(&self) -> PathBuf {
        self.room.path().join("app")
    }

    /// Where the store is.
    pub fn home(&self) -> PathBuf {
        self.room.path().join("home")
    }

    /// A place for a result.
    pub fn out(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    /// Puts the environment of a run into a command that starts the program sooner or later.
    pub fn prepare(&self, command: &mut Command) {
        command.env_clear().env("PATH", path()).env("HOME", self.room()).env("STILLFRAME_HOME", self.home());
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        command.current_dir(self.app()).stdin(std::process::Stdio::null());
    }

    /// The program with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&program(), arguments)
    }

    /// Another build of the program with these arguments.
    pub fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    /// Runs to the end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        output(&mut self.command(arguments))
    }

    /// Builds into a destination; the digest.
    pub fn build(&self, destination: &str) -> String {
        digest(&self.run(&["build", "-o", destination]))
    }

    /// Builds a new layout; its directory and the digest.
    pub fn layout(&self, name: &str) -> (PathBuf, String) {
        let out = self.out(name);
        let digest = self.build(&format!("oci:{}", out.display()));
        (out, digest)
    }

    /// Forgets all that was made.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.home());
    }
}

/// The digest in the result of a run that went well.
pub fn digest(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", output.status, said(output));
    let line = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let digest = line.rsplit('@').next().unwrap().to_string();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{line}");
    digest
}

/// Asserts that a run failed with an exit code and words.
pub fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
}

/// A project with a bit of everything; no two kinds of entry are missing. A level may stand behind the compression.
pub fn varied(compression: &str) -> Project {
    let (compression, level) = compression.split_once(' ').unwrap_or((compression, ""));
    let level = if level.is_empty() { String::new() } else { format!("compression-level = {level}") };
    let manifest = format!(
        r#"
[image]
base = "scratch"
compression = "{compression}"
{level}
user = "app"
entrypoint = ["/app/run"]
workdir = "/data"
ports = ["8080/tcp"]
[env]
GREETING = "hello"
[[user]]
name = "app"
uid = 1234
gid = 1234
home = "/data"
[[dir]]
dest = "/data"
mode = "0750"
owner = "app"
[[symlink]]
dest = "/usr/bin/run"
target = "/app/run"
[[file]]
src = "tree"
dest = "/srv/tree"
[[file]]
dest = "/etc/motd"
content = "varied\n"
mode = "0640"
owner = "3000000:3000000"
[[binary]]
src = "run"
dest = "/app/run"
mode = "4755"
"#
    );
    let mut project = Project::new(&manifest).script("run", "#!/bin/sh\necho varied\n");
    for at in 0..40 {
        project = project.file(&format!("tree/d{}/File-{at}.txt", at % 5), format!("{at}\n").repeat(at * 100));
    }
    project.write("tree/empty", "");
    project.write("tree/ünï/ç.txt", "names need not be ASCII\n");
    project.write("tree/blob.bin", noise(1_500_000, 7));
    project.script("tree/tool", "#!/bin/sh\n").link("tree/d0/link", "../d1/File-1.txt").link("tree/dangling", "none")
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

/// The examples of the checkout that need nothing built first: no `[[binary]]`, no packages, and a base that is `scratch`.
pub fn examples() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(checkout().join("examples")) else { return Vec::new() };
    let ready = |directory: &PathBuf| {
        fs::read_to_string(directory.join("image.toml")).is_ok_and(|text| {
            text.contains("\"scratch\"") && !text.contains("[[binary]]") && !text.contains("[packages.")
        })
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(ready).collect();
    found.sort();
    found
}
