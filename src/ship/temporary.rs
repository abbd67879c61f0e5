//! Stage 9: files that appear whole or not at all. A target in, a temporary beside it, then the target by renaming.

use std::fs::{self, File, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// What temporaries beside a target begin with; so many letters and digits follow.
const MARK: &str = ".stillframe-tmp-";
const LETTERS: usize = 8;

/// A file that is being written beside its target.
pub struct Temporary {
    file: NamedTempFile,
    target: PathBuf,
}

fn parent(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn doing(target: &Path) -> String {
    format!("writing `{}`", target.display())
}

/// A directory that is being filled beside its target; removed on drop unless it was published.
pub struct Directory {
    made: TempDir,
    /// Says that its writer lives; given back with the directory.
    _lock: Option<File>,
}

/// How often a temporary is made anew that a sweeper of another process took before it was locked.
const TRIES: u32 = 64;

/// A new temporary for `target`, whose directory must exist.
pub fn file(target: &Path) -> Result<Temporary> {
    let target = &place(target)?;
    sweep(parent(target));
    let make = || {
        let made = builder(0o666).tempfile_in(parent(target))?;
        let _ = made.as_file().lock();
        Ok((still_there(made.path(), made.as_file()), made))
    };
    Ok(Temporary { file: locked(make).map_err(|cause| Error::io(doing(target), cause))?, target: target.to_path_buf() })
}

/// Where a file really goes: behind a link, and never in the place of anything that is no plain file.
fn place(target: &Path) -> Result<PathBuf> {
    let real = fs::canonicalize(target).unwrap_or_else(|_| target.to_path_buf());
    match fs::symlink_metadata(&real) {
        Ok(facts) if !facts.is_file() => {
            let what = if facts.is_dir() { "is a directory" } else { "is no plain file" };
            Err(Error::local(format!("`{}` {what}", target.display()))
                .hint("name a file; it is written beside its place and renamed"))
        }
        _ => Ok(real),
    }
}

/// A new temporary directory beside `target`.
pub fn directory(target: &Path) -> Result<Directory> {
    sweep(parent(target));
    let make = || {
        let made = builder(0o777).tempdir_in(parent(target))?;
        let lock = File::open(made.path()).ok().filter(|handle| handle.lock().is_ok());
        let there = lock.as_ref().map_or(made.path().exists(), |handle| still_there(made.path(), handle));
        Ok((there, Directory { made, _lock: lock }))
    };
    locked(make).map_err(|cause| Error::io(doing(target), cause))
}

fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(MARK).rand_bytes(LETTERS).permissions(Permissions::from_mode(mode));
    builder
}

/// Makes a temporary until one is locked before a sweeper saw it.
fn locked<T>(mut make: impl FnMut() -> io::Result<(bool, T)>) -> io::Result<T> {
    for _ in 0..TRIES {
        if let (true, made) = make()? {
            return Ok(made);
        }
    }
    Err(io::Error::other("another process removes each temporary file"))
}

/// Whether what is open still has its name.
fn still_there(path: &Path, open: &File) -> bool {
    let same = |(one, two): (fs::Metadata, fs::Metadata)| (one.dev(), one.ino()) == (two.dev(), two.ino());
    fs::symlink_metadata(path).ok().zip(open.metadata().ok()).is_some_and(same)
}

impl Directory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.made.path()
    }

    /// Gives it the name of its target. Where that is taken, the directory is removed and the answer is `false`.
    pub fn publish(mut self, target: &Path) -> bool {
        let done = fs::rename(self.made.path(), target).is_ok();
        if done {
            self.made.disable_cleanup(true);
        }
        done
    }
}

/// Removes what killed processes left beside a target: of our name, ours, and locked by nobody.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let letters = name.to_str().and_then(|name| name.strip_prefix(MARK)).unwrap_or_default();
        if letters.len() != LETTERS || !letters.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            continue;
        }
        let Ok(facts) = entry.metadata() else { continue };
        if facts.uid() != rustix::process::geteuid().as_raw() {
            continue;
        }
        let path = entry.path();
        // Locked while it is removed, so that its maker, if it lives after all, sees that it has gone.
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

impl Temporary {
    /// The file, empty again.
    pub fn start(&mut self) -> io::Result<&mut File> {
        let file = self.file.as_file_mut();
        file.set_len(0)?;
        file.rewind()?;
        Ok(file)
    }

    /// Flushes to disk and gives the file its name.
    pub fn publish(mut self) -> Result<()> {
        let failed = |cause| Error::io(doing(&self.target), cause);
        self.file.flush().map_err(failed)?;
        self.file.as_file().sync_all().map_err(failed)?;
        let target = self.target.clone();
        self.file.persist(&target).map_err(|cause| Error::io(doing(&target), cause.error))?;
        sync_directory(parent(&target))
    }

    /// The error for a failed write.
    pub fn failed(&self, cause: io::Error) -> Error {
        Error::io(doing(&self.target), cause)
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes a directory's new names durable.
pub fn sync_directory(directory: &Path) -> Result<()> {
    let failed = |cause| Error::io(doing(directory), cause);
    File::open(directory).map_err(failed)?.sync_all().map_err(failed)
}

/// Writes a small file whole.
pub fn write(target: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = file(target)?;
    temporary.write_all(bytes).map_err(|cause| temporary.failed(cause))?;
    temporary.publish()
}
