//! Stage 5: archives: tar, plain or compressed, and zip. A file in; what is in it out, with the bytes of all its files in one blob of the
//! store. One pass, bounded memory, and no path of an archive ever reaches the file system.
//!
//! An archive has one meaning or it is refused (checks ARC): every reader must find the same entries in it. What was read is remembered
//! under the archive's digest.

mod memo;
mod roll;
mod stream;
mod tape;
mod zip;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use self::roll::Roll;
use self::stream::{BUFFER, Packing};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Cancel;
use crate::oci::Digest;
use crate::source::member::Member;
use crate::source::parcel::Parcel;

/// Reads an archive, or recalls it. Its members are sorted by path, and each parent of a path is a directory among them. `digest` is that
/// of the whole file, which was verified before; `proof` is asked at the end, before anything is remembered, whether the file is still
/// the same. `name` is for messages.
pub fn read(
    ctx: &Ctx,
    name: &str,
    digest: &Digest,
    mut file: File,
    proof: impl FnOnce() -> Result<()>,
) -> Result<Vec<Member>> {
    if let Some(members) = memo::recall(ctx, digest)? {
        return Ok(members);
    }
    let mut open = || {
        let size = file.metadata()?.len();
        file.rewind()?;
        Ok((Packing::of(&mut file)?, size))
    };
    let (packing, size) = open().map_err(|cause| refused(name, cause))?;
    keep(ctx, name, digest, proof, |roll, parcel| match packing {
        Packing::Zip => zip::read(file, size, &ctx.cancel, roll, parcel),
        _ => tape(ctx, BufReader::with_capacity(BUFFER, file), size, roll, parcel),
    })
}

/// Reads a tar in any compression from a stream of `size` bytes; see [`read`]. `key` names its bytes and nothing else.
pub fn tar<R: Read + 'static>(
    ctx: &Ctx,
    name: &str,
    key: &Digest,
    input: BufReader<R>,
    size: u64,
) -> Result<Vec<Member>> {
    if let Some(members) = memo::recall(ctx, key)? {
        return Ok(members);
    }
    keep(ctx, name, key, || Ok(()), |roll, parcel| tape(ctx, input, size, roll, parcel))
}

fn tape<R: Read + 'static>(
    ctx: &Ctx,
    input: BufReader<R>,
    size: u64,
    roll: &mut Roll,
    parcel: &mut Parcel,
) -> io::Result<()> {
    tape::read(stream::unpack(input, size, ctx.cancel.clone())?, roll, parcel)
}

/// Reads an archive into a blob of the store, and remembers what is in it.
fn keep(
    ctx: &Ctx,
    name: &str,
    key: &Digest,
    proof: impl FnOnce() -> Result<()>,
    read: impl FnOnce(&mut Roll, &mut Parcel) -> io::Result<()>,
) -> Result<Vec<Member>> {
    let (mut roll, mut parcel) = (Roll::default(), Parcel::new(&ctx.store)?);
    read(&mut roll, &mut parcel).map_err(|cause| refused(name, cause))?;
    proof()?;
    let members = roll.members(parcel.finish()?);
    memo::remember(ctx, key, &members);
    Ok(members)
}

/// The error for an archive that cannot be read: our own as it was, the disk's, or the archive's.
fn refused(name: &str, cause: io::Error) -> Error {
    let system = cause.raw_os_error().is_some();
    match cause.downcast::<Error>() {
        Ok(error) => error,
        Err(cause) if system => Error::io(format!("reading the archive `{name}`"), cause),
        Err(cause) => Error::usage(format!("the archive `{name}` is refused: {cause}")),
    }
}

/// Fails once a stop was asked for.
fn check(cancel: &Cancel) -> io::Result<()> {
    cancel.check().map_err(io::Error::other)
}
