//! Stage 8: a database of vulnerabilities on this machine. A path in, the texts of its records out, one by one. Reads the path and what
//! is below it, and nothing else.
//!
//! A database is a record, an archive of records (zip, as the public databases offer them; tar, plain or by gzip or zstd), or a directory
//! with any of these. What is beside an archive as `NAME.state` is what `update-db` wrote about it; an archive that is not as that says is
//! refused. A file that is neither is refused too: what was not read is not known.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use zip::read::{ArchiveOffset, Config};
use zip::unstable::read::ZipIterable;

use super::osv::MOST_RECORD;
use super::state;
use crate::error::{Error, Result, printable};
use crate::event::Cancel;
use crate::source::{self, Type};

/// Largest archive of records in bytes.
pub const MOST_ARCHIVE: u64 = 8 << 30;
/// Most records of all archives.
const MOST_RECORDS: u64 = 10_000_000;
/// Most files of a directory, and how deep they may lie.
const MOST_FILES: usize = 2_000_000;
const MOST_DEPTH: usize = 8;
/// How many bytes are looked at to see what a file is.
const HEAD: usize = 512;

/// What takes the text of a record; half a sentence where it cannot.
pub type Take<'a> = dyn FnMut(&[u8]) -> Result<(), String> + 'a;

/// Reads all records of a database and says how many they were.
pub fn each(path: &Path, cancel: &Cancel, take: &mut Take<'_>) -> Result<u64> {
    let facts = fs::metadata(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => none(path),
        _ => Error::io(format!("reading the database `{}`", path.display()), cause),
    })?;
    let mut reader = Reader { cancel, take, count: 0 };
    if facts.is_dir() {
        for file in files(path, cancel)? {
            reader.file(&file)?;
        }
    } else {
        reader.file(path)?;
    }
    if reader.count == 0 {
        return Err(none(path));
    }
    Ok(reader.count)
}

fn none(path: &Path) -> Error {
    Error::local(format!("there is no database of vulnerabilities at `{}`", path.display())).hint(
        "`stillframe update-db` fetches one; or name one with `--db PATH` or `database` in `[check.vulnerabilities]`",
    )
}

/// The files of a directory, sorted; those whose name begins with a dot are passed over.
fn files(path: &Path, cancel: &Cancel) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut ahead = vec![(path.to_path_buf(), 0)];
    while let Some((directory, depth)) = ahead.pop() {
        cancel.check()?;
        let failed = |cause| Error::io(format!("reading the database `{}`", directory.display()), cause);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let facts = fs::metadata(&path).map_err(failed)?;
            match facts.is_dir() {
                true if depth >= MOST_DEPTH => {
                    let what = format!("`{}` lies more than {MOST_DEPTH} directories deep", path.display());
                    return Err(Error::local(format!("reading a database: {what}")));
                }
                true => ahead.push((path, depth + 1)),
                false
                    if [".json", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst"]
                        .iter()
                        .any(|end| name.ends_with(end)) =>
                {
                    found.push(path);
                }
                false => {}
            }
            if found.len() + ahead.len() > MOST_FILES {
                return Err(Error::local(format!("the database has more than {MOST_FILES} files, which is the limit")));
            }
        }
    }
    found.sort();
    Ok(found)
}

struct Reader<'a, 'b> {
    cancel: &'a Cancel,
    take: &'a mut Take<'b>,
    count: u64,
}

impl Reader<'_, '_> {
    fn file(&mut self, path: &Path) -> Result<()> {
        let shown = path.display().to_string();
        let failed = |cause| Error::io(format!("reading the database `{shown}`"), cause);
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size > MOST_ARCHIVE {
            return Err(Error::local(format!("`{shown}` has {size} bytes, {MOST_ARCHIVE} are allowed")));
        }
        let mut head = Vec::new();
        (&mut file).take(HEAD as u64).read_to_end(&mut head).and_then(|_| file.rewind()).map_err(failed)?;
        state::check(path, &file)?;
        let read = match head.as_slice() {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => self.zip(file, &shown),
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => self.tar(file, &shown),
            head if head.get(257..262) == Some(b"ustar") => self.tar(file, &shown),
            head if head.trim_ascii_start().starts_with(b"{") => self.record(&mut file, &shown),
            _ => Err(Error::local("it is neither a record, nor a zip or tar archive of records")),
        };
        read.map_err(|error| error.context(format!("reading the database `{shown}`")))
    }

    fn zip(&mut self, file: File, shown: &str) -> Result<()> {
        let broken = |cause: zip::result::ZipError| Error::local("the archive is broken").because(cause);
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let bodies = file.try_clone().map_err(|cause| Error::io("opening it a second time", cause))?;
        let mut archive = ZipIterable::try_new(file, config).map_err(broken)?;
        let mut bodies = BufReader::new(bodies);
        for entry in archive.files().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if name.ends_with(".json") {
                let mut body = entry.with_reader(&mut bodies, Default::default()).map_err(broken)?;
                self.record(&mut body, &format!("{shown}: {name}"))?;
            }
        }
        Ok(())
    }

    fn tar(&mut self, file: File, shown: &str) -> Result<()> {
        let broken = |cause: io::Error| Error::local("the archive is broken").because(cause);
        let mut entries = source::tarball(file, self.cancel).map_err(broken)?;
        while let Some(entry) = entries.step().map_err(broken)? {
            if entry.kind == Type::File && entry.path.ends_with(b".json") {
                if !entry.whole {
                    return Err(Error::local("the archive holds a file in pieces"));
                }
                let name = format!("{shown}: {}", String::from_utf8_lossy(&entry.path));
                self.record(&mut entries, &name)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, text: &mut dyn Read, name: &str) -> Result<()> {
        let name = printable(name);
        let mut bytes = Vec::new();
        let read = text.take(MOST_RECORD + 1).read_to_end(&mut bytes);
        read.map_err(|cause| Error::local(format!("`{name}` cannot be read")).because(cause))?;
        if bytes.len() as u64 > MOST_RECORD {
            return Err(Error::local(format!("`{name}` has more than {MOST_RECORD} bytes")));
        }
        self.count += 1;
        if self.count > MOST_RECORDS {
            return Err(Error::local(format!("it has more than {MOST_RECORDS} records, which is the limit")));
        }
        if self.count.is_multiple_of(1024) {
            self.cancel.check()?;
        }
        (self.take)(&bytes).map_err(|why| Error::local(format!("`{name}`: {why}")))
    }
}
