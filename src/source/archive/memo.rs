//! Stage 5: what is in an archive, as bytes, so that it is read once. Members in, a remembered fact out, and back.

use crate::ctx::Ctx;
use crate::error::Result;
use crate::oci::Digest;
use crate::source::member::{Body, Member, Stretch};
use crate::source::memo::{In, Out};

/// The kind under which the store remembers archives, by their digest; a new form, or a new rule, is a new kind.
const KIND: &str = "archive-1";

/// The members of an archive that was read before, if the store still has the bytes of its files.
pub fn recall(ctx: &Ctx, digest: &Digest) -> Result<Option<Vec<Member>>> {
    let Some(members) = ctx.store.recall(KIND, digest).and_then(|bytes| read(&bytes)) else { return Ok(None) };
    let file = members.iter().find_map(|member| match &member.body {
        Body::File(stretch) => Some(stretch.blob),
        _ => None,
    });
    match file {
        Some(blob) if ctx.store.open(&blob)?.is_none() => Ok(None),
        _ => Ok(Some(members)),
    }
}

/// Remembers the members of an archive.
pub fn remember(ctx: &Ctx, digest: &Digest, members: &[Member]) {
    ctx.store.remember(KIND, digest, &write(members));
}

fn write(members: &[Member]) -> Vec<u8> {
    let mut out = Out::default();
    out.number(members.len() as u64);
    for member in members {
        out.path(member.path.as_bytes());
        match &member.body {
            Body::File(stretch) => {
                out.number(0);
                out.bytes(stretch.blob.to_string().as_bytes());
                out.number(stretch.start);
                out.number(stretch.size);
            }
            Body::Directory => out.number(1),
            Body::Link(target) => {
                out.number(2);
                out.bytes(target.as_bytes());
            }
            Body::Device => out.number(3),
        }
        [member.mode.into(), member.uid, member.gid].into_iter().for_each(|number| out.number(number.into()));
    }
    out.bytes
}

fn read(bytes: &[u8]) -> Option<Vec<Member>> {
    let mut input = In::new(bytes);
    let mut members = Vec::new();
    for _ in 0..input.number()? {
        let path = String::from_utf8(input.path()?.into()).ok()?;
        let body = match input.number()? {
            0 => {
                let blob = std::str::from_utf8(input.bytes()?).ok()?.parse().ok()?;
                Body::File(Stretch { blob, start: input.number()?, size: input.number()? })
            }
            1 => Body::Directory,
            2 => Body::Link(std::str::from_utf8(input.bytes()?).ok()?.to_string()),
            3 => Body::Device,
            _ => return None,
        };
        let mode = input.number()?.try_into().ok()?;
        let (uid, gid) = (input.number()?.try_into().ok()?, input.number()?.try_into().ok()?);
        members.push(Member { path, body, mode, uid, gid });
    }
    input.rest.is_empty().then_some(members)
}
