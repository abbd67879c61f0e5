//! Stage 9: files that appear whole or not at all. A target in, a temporary beside it, then the target by renaming.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// What temporaries beside a target begin with; those of dead processes are swept.
const MARK: &str = ".stillframe-";

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

/// A new temporary for `target`, whose directory must exist.
pub fn file(target: &Path) -> Result<Temporary> {
    if target.is_dir() {
        return Err(Error::local(format!("`{}` is a directory", target.display())).hint("name a file"));
    }
    sweep(parent(target));
    let made = tempfile::Builder::new()
        .prefix(MARK)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent(target))
        .map_err(|cause| Error::io(doing(target), cause))?;
    let _ = made.as_file().try_lock();
    Ok(Temporary { file: made, target: target.to_path_buf() })
}

/// A new temporary directory beside `target`.
pub fn directory(target: &Path) -> Result<TempDir> {
    sweep(parent(target));
    let made = tempfile::Builder::new()
        .prefix(MARK)
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent(target))
        .map_err(|cause| Error::io(doing(target), cause))?;
    if let Ok(handle) = File::open(made.path()) {
        // The lock lives as long as the handle; a sweeper that finds it free takes the directory for a dead one's.
        if handle.try_lock().is_ok() {
            std::mem::forget(handle);
        }
    }
    Ok(made)
}

/// Removes what killed processes left beside a target.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(MARK) {
            continue;
        }
        let path = entry.path();
        let free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if free {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

impl Temporary {
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
