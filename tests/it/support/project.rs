//! A directory with a manifest, and the program run in it: `Project::new().file(..).run(["build"]).success()`.
//! Nothing of the machine's environment reaches the program.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::canary;
use super::layout::Layout;

/// How long one run may take; what takes longer hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// A directory of its own with a home and a store beside it.
pub struct Project {
    around: TempDir,
    directory: PathBuf,
    /// The files that the test wrote.
    given: Mutex<BTreeSet<PathBuf>>,
}

/// One run that has not begun.
pub struct Run {
    command: Command,
    stdout: Stdio,
    directory: PathBuf,
}

/// A run that has begun.
pub struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    lines: Receiver<String>,
    directory: PathBuf,
}

/// A run that has ended.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// An empty project.
    pub fn new() -> Project {
        Project::named("project")
    }

    /// An empty project in a directory of this name.
    pub fn named(name: &str) -> Project {
        let around = tempfile::tempdir().unwrap();
        let directory = fs::canonicalize(around.path()).unwrap().join(name);
        fs::create_dir(&directory).unwrap();
        fs::create_dir(around.path().join("home")).unwrap();
        Project { around, directory, given: Mutex::default() }
    }

    /// A project with this manifest.
    pub fn of(manifest: &str) -> Project {
        Project::new().file("image.toml", manifest)
    }

    /// The same project with one more file; its directories are made.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Project {
        self.write(path, content);
        self
    }

    /// The same project with a file of this mode.
    pub fn file_mode(self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Project {
        self.write(path, content);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// The same project with a link.
    pub fn symlink(self, path: &str, target: &str) -> Project {
        let at = self.path(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, at).unwrap();
        self
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let at = self.path(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, content).unwrap();
        self.given.lock().unwrap().insert(at);
    }

    /// The home directory of its runs.
    pub fn home(&self) -> PathBuf {
        self.around.path().join("home")
    }

    /// Where something of the project is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// Where the store is.
    pub fn store(&self) -> PathBuf {
        self.home().join("store").join("v1")
    }

    /// What is in a directory of the project, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        names(&self.path(path))
    }

    /// A run with these words.
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillframe"));
        let home = self.home();
        command.args(words).current_dir(&self.directory).env_clear().stdin(Stdio::null());
        command.env("STILLFRAME_HOME", home.join("store")).env("HOME", home);
        Run { command, stdout: Stdio::piped(), directory: self.directory.clone() }
    }

    /// Everything that is there now was given to the project: what a compiler wrote may hold any word.
    pub fn brought(&self) {
        let there = canary::kept(&self.directory, &BTreeSet::new());
        self.given.lock().unwrap().extend(there);
    }

    /// Builds into the layout `out`, and reads and validates it.
    pub fn build(&self) -> Layout {
        self.run(["build", "-o", "oci:out"]).success();
        self.layout("out")
    }

    /// Builds into the store and gives the digest.
    pub fn digest(&self) -> String {
        self.run(["build"]).success().digest()
    }

    /// Reads and validates a layout of the project.
    pub fn layout(&self, path: &str) -> Layout {
        let layout = Layout::open(&self.path(path));
        layout.validate();
        layout
    }
}

impl Drop for Project {
    /// What its runs left holds no secret.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let home = self.directory.with_file_name("home");
            let kept = [&self.directory, &home].map(|place| canary::kept(place, &self.given.lock().unwrap())).concat();
            assert!(kept.is_empty(), "a secret was kept in {kept:?}");
        }
    }
}

/// What is in a directory, sorted; nothing where there is none.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl Run {
    /// The same run with one more variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// The same run in another directory.
    pub fn cwd(mut self, directory: &Path) -> Run {
        self.command.current_dir(directory);
        self
    }

    /// The same run, which reads from there.
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Run {
        self.command.stdin(from);
        self
    }

    /// The same run, its results written there.
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Run {
        self.stdout = to.into();
        self
    }

    /// The same run as another user of the system, of a copy of the program that this user can reach; takes root.
    pub fn user(self, uid: u32, program: &Path) -> Run {
        let mut command = Command::new(program);
        command.args(self.command.get_args()).env_clear().stdin(Stdio::null()).uid(uid);
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.command.get_current_dir().unwrap());
        Run { command, ..self }
    }

    /// The same run under a shell that first says this (`umask 077`, `exec >&-`).
    pub fn after(self, words: &str) -> Run {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("{words}; exec \"$0\" \"$@\"")).arg(self.command.get_program());
        shell.args(self.command.get_args()).env_clear().stdin(Stdio::null());
        shell.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(self.command.get_current_dir().unwrap());
        Run { command: shell, ..self }
    }

    /// Begins the run and does not wait for it.
    pub fn start(mut self) -> Running {
        let mut child = self.command.stdout(self.stdout).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = reader(child.stdout.take(), None);
        let (sender, lines) = channel();
        let stderr = reader(child.stderr.take(), Some(sender));
        Running { child, stdout, stderr, lines, directory: self.directory }
    }

    /// Runs to the end, whatever it is.
    pub fn ends(self) -> Done {
        self.start().ends()
    }

    /// Runs and must succeed.
    pub fn success(self) -> Done {
        self.ends().expect(0)
    }

    /// Runs and must fail with this exit code.
    pub fn fails(self, code: i32) -> Done {
        self.ends().expect(code)
    }
}

/// Reads a stream to its end, and passes its lines on as they come.
fn reader(stream: Option<impl Read + Send + 'static>, lines: Option<Sender<String>>) -> JoinHandle<String> {
    spawn(move || {
        let mut all = String::new();
        let Some(stream) = stream else { return all };
        let mut stream = BufReader::new(stream);
        while stream.read_line(&mut all).unwrap() > 0 {
            if let (Some(lines), Some(line)) = (&lines, all.lines().last()) {
                let _ = lines.send(line.to_string());
            }
        }
        all
    })
}

impl Running {
    /// The next line that it says.
    pub fn says(&mut self) -> String {
        self.lines.recv_timeout(LONGEST).unwrap().replace(self.directory.to_str().unwrap(), "PROJECT")
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub fn ends(mut self) -> Done {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() > LONGEST => {
                    self.child.kill().unwrap();
                    panic!("it hangs; so far it said: {}", self.stderr.join().unwrap());
                }
                None => sleep(Duration::from_millis(3)),
            }
        };
        let directory = self.directory.to_str().unwrap().to_string();
        let clean = |text: String| text.replace(&directory, "PROJECT");
        let (stdout, stderr) = (clean(self.stdout.join().unwrap()), clean(self.stderr.join().unwrap()));
        canary::silent(&stdout);
        canary::silent(&stderr);
        Done { code: status.code(), stdout, stderr }
    }
}

impl Done {
    /// The same, if it ended with this code and without a panic.
    #[track_caller]
    pub fn expect(self, code: i32) -> Done {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The one document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|cause| panic!("{cause} in {:?}", self.stdout))
    }

    /// The findings on stdout as lines: `unknown-key 4:1`; those without a place have none.
    pub fn findings(&self) -> Vec<String> {
        let document = self.json();
        let line = |finding: &Value| {
            let place = match &finding["place"] {
                Value::Null => String::new(),
                place => format!(" {}:{}", place["line"], place["column"]),
            };
            format!("{}{place}", finding["code"].as_str().unwrap())
        };
        document["findings"].as_array().unwrap().iter().map(line).collect()
    }

    /// The digest on stdout, which is one line.
    #[track_caller]
    pub fn digest(&self) -> String {
        assert_eq!(self.stdout.lines().count(), 1, "{}", self.stdout);
        let digest = self.stdout.trim_end().rsplit('@').next().unwrap();
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{}", self.stdout);
        digest.to_string()
    }
}
