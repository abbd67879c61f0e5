//! Stage 1: finds and reads the manifest. A path from the command line in, its text and the directories around it out.
//! May read the manifest, and look above it for a `.git` and the root of its workspace.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::workspace::above;
use crate::error::{Error, Finding, Place, Report, Result, Text, printable};

/// The names that are looked for in a directory, in this order.
pub const NAMES: [&str; 2] = ["image.toml", "imagefile.toml"];

/// Largest manifest in bytes.
pub const MOST_BYTES: u64 = 1 << 20;
/// Largest lock in bytes.
const MOST_LOCK_BYTES: u64 = 64 << 20;

/// A manifest and where it lies.
#[derive(Clone, Debug)]
pub struct Location {
    /// The text, named as the user would name it.
    pub text: Arc<Text>,
    /// The file, absolute.
    pub file: PathBuf,
    /// The directory that sources are relative to, absolute.
    pub directory: PathBuf,
    /// The outermost directory that sources may lie in: the nearest one above with a `.git`, else `directory`.
    pub around: PathBuf,
    /// The root of the workspace above that counts it among its members.
    pub root: Option<Root>,
}

/// The root of a workspace, as one of its members sees it.
#[derive(Clone, Debug)]
pub struct Root {
    /// The text, named as the user would name it.
    pub text: Arc<Text>,
    /// The file, absolute.
    pub file: PathBuf,
    /// The directory that its paths are relative to, absolute.
    pub directory: PathBuf,
}

/// Finds the manifest at `path`, a file or a directory, and reads it.
pub fn locate(path: &Path) -> Result<Location> {
    let file = file(path)?;
    let doing = || format!("reading `{}`", shown(&file));
    let text = text(&file, MOST_BYTES)?;
    let absolute = std::fs::canonicalize(&file).map_err(|cause| Error::io(doing(), cause))?;
    let directory = absolute.parent().unwrap_or(Path::new("/")).to_path_buf();
    let around = directory.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&directory).to_path_buf();
    let text = Arc::new(Text { path: shown(&file), text });
    let root = above(&text, &absolute, &around)?;
    Ok(Location { text, file: absolute, directory, around, root })
}

/// The text of the lock beside the manifest, which has its name with the ending `lock`; `None` where there is none.
pub fn lock(location: &Location) -> Result<Option<Arc<Text>>> {
    let file = location.lock();
    match text(&file, MOST_LOCK_BYTES) {
        Ok(text) => Ok(Some(Arc::new(Text {
            path: Path::new(&location.text.path).with_extension("lock").display().to_string(),
            text,
        }))),
        Err(_) if file.symlink_metadata().is_err_and(|cause| cause.kind() == std::io::ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Location {
    /// Where the lock is, absolute.
    pub fn lock(&self) -> PathBuf {
        self.file.with_extension("lock")
    }
}

fn file(path: &Path) -> Result<PathBuf> {
    let missing = |what: String| Error::usage(what).hint("name it with `-f PATH`, or write one (`stillframe --help`)");
    match std::fs::metadata(path) {
        Ok(facts) if facts.is_dir() => {
            let found = NAMES.iter().map(|name| path.join(name)).find(|file| file.symlink_metadata().is_ok());
            found.ok_or_else(|| {
                missing(format!("there is no `{}` and no `{}` in `{}`", NAMES[0], NAMES[1], shown(path)))
            })
        }
        Ok(_) => Ok(path.to_path_buf()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            Err(missing(format!("`{}` does not exist", shown(path))))
        }
        Err(cause) => Err(Error::io(format!("reading `{}`", shown(path)), cause)),
    }
}

pub(super) fn text(file: &Path, most: u64) -> Result<String> {
    let name = shown(file);
    let read = || {
        let facts = std::fs::metadata(file)?;
        if !facts.is_file() {
            return Err(std::io::Error::other("it is not a plain file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|cause| Error::io(format!("reading `{name}`"), cause))?;
    if bytes.len() as u64 > most {
        return Err(Error::usage(format!("`{name}` is larger than the limit of {most} bytes"))
            .hint("keep large content in files of its own and name them with `src`"));
    }
    String::from_utf8(bytes).map_err(|cause| {
        let valid = cause.utf8_error().valid_up_to();
        let byte = cause.as_bytes().get(valid).copied().unwrap_or_default();
        let text = String::from_utf8_lossy(cause.as_bytes()).into_owned();
        let place = Place { text: Arc::new(Text { path: name, text }), span: valid..valid + '\u{fffd}'.len_utf8() };
        let mut report = Report::default();
        report.add(
            Finding::error("encoding", format!("the byte 0x{byte:02x} is not UTF-8"))
                .at(&place, "")
                .help("save the file as UTF-8"),
        );
        Error::findings(report)
    })
}

pub(super) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    printable(text.strip_prefix("./").unwrap_or(&text))
}
