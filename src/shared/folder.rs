//! Stage 4: a folder as a shared cache, as one on a network's disk. One file a blob, by its digest; written beside its name and moved there
//! when it is whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::store::Elsewhere;

/// A folder.
pub(super) struct Folder {
    name: String,
    path: PathBuf,
    takes: bool,
}

impl Folder {
    /// The folder at an absolute path; it is made when something is added.
    pub fn new(name: &str, path: &str, takes: bool) -> Folder {
        Folder { name: name.to_string(), path: Path::new(path).join("v1").join("sha256"), takes }
    }

    fn read(&self, digest: &Digest, sink: &mut (dyn Write + Send)) -> io::Result<bool> {
        match File::open(self.path.join(digest.hex())) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(cause),
            Ok(mut file) => io::copy(&mut file, sink).map(|_| true),
        }
    }

    fn write(&self, digest: &Digest, mut file: File) -> io::Result<()> {
        let path = self.path.join(digest.hex());
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        let mut draft = tempfile::Builder::new().prefix(".blob-").tempfile_in(&self.path)?;
        io::copy(&mut file, &mut draft)?;
        draft.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Elsewhere for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes(&self) -> bool {
        self.takes
    }

    fn get<'a>(
        &'a self,
        digest: &'a Digest,
        _: Option<u64>,
        sink: &'a mut (dyn Write + Send),
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let read = tokio::task::block_in_place(|| self.read(digest, sink));
            read.map_err(|cause| Error::io(format!("reading {digest} there"), cause))
        })
    }

    fn put<'a>(&'a self, digest: &'a Digest, _: u64, file: File) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let written = tokio::task::block_in_place(|| self.write(digest, file));
            written.map_err(|cause| Error::io(format!("writing {digest} there"), cause))
        })
    }
}
