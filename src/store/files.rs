//! Stage 3: the store's files. Paths in, plain files of ours out; anything else counts as absent.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::Seen;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// Opens a plain file that belongs to us or to root, without following a link and without waiting, and says how it looks; `None` where there
/// is none.
pub fn open(path: &Path) -> Result<Option<(File, Seen)>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => file,
        Err(cause) => {
            return match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => Ok(None),
                _ if [Errno::LOOP, Errno::NXIO]
                    .map(|errno| Some(errno.raw_os_error()))
                    .contains(&cause.raw_os_error()) =>
                {
                    Ok(None)
                }
                _ => Err(Error::io(format!("opening `{}`", path.display()), cause)),
            };
        }
    };
    let facts = file.metadata().map_err(|cause| Error::io(format!("reading `{}`", path.display()), cause))?;
    let ours = [0, rustix::process::geteuid().as_raw()].contains(&facts.uid());
    Ok((facts.is_file() && ours).then(|| (file, Seen::from(&facts))))
}

/// The digest and length of a file from its start; it is left at its start again.
pub fn digest(file: &File) -> io::Result<(Digest, u64)> {
    let mut reader = file;
    let (mut hasher, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    io::Seek::rewind(&mut reader)?;
    Ok((Digest::finish(hasher), length))
}
