//! Stage 5: the entries of an archive so far. One after the other in, a tree in which each path stands once out, or the refusal of what
//! has no single meaning: names that lead out, doubles, and what stands below a link. Pure.

use std::collections::BTreeMap;
use std::io;

use crate::oci::Digest;
use crate::source::member::{Body, Member, Stretch};
use crate::source::tar::{MOST_PATH_BYTES, wrong};

/// Most entries of one archive, with the directories that none of them names.
pub const MOST_ENTRIES: usize = 500_000;
/// Most bytes of all its names.
const MOST_NAME_BYTES: usize = 64 << 20;
/// Longest part of a path in bytes (Linux's `NAME_MAX`).
const MOST_PART_BYTES: usize = 255;
/// The mode of a directory that no entry names.
const DIR_MODE: u16 = 0o755;

/// The entries of an archive by path.
#[derive(Default)]
pub struct Roll {
    entries: BTreeMap<String, Slot>,
    name_bytes: usize,
    /// The directory that an entry was put in last; most stand next to their neighbour.
    last: String,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file: where its bytes begin in the parcel, and how many they are.
    File(u64, u64),
    /// A directory.
    Directory,
    /// A symbolic link.
    Link(String),
    /// A device or named pipe.
    Device,
}

/// An entry on its way into the roll.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its number in the archive, from 1.
    pub number: u64,
    /// What it is.
    pub what: What,
    /// Its permission bits.
    pub mode: u16,
    /// Its owner and group.
    pub owner: (u32, u32),
    /// Whether it is only named by what stands in it.
    pub implied: bool,
}

/// The refusal of one entry.
pub fn refuse(number: u64, name: &[u8], why: impl AsRef<str>) -> io::Error {
    wrong(format!("entry {number}, `{}`, {}", name.escape_ascii(), why.as_ref()))
}

/// The path that a name stands for: relative, of plain parts; empty for the root. Names that could lead out are refused, never mended.
pub fn path(number: u64, name: &[u8]) -> io::Result<String> {
    let wrong = |why: &str| Err(refuse(number, name, why));
    let Ok(text) = std::str::from_utf8(name) else { return wrong("has a name that is no UTF-8") };
    if name.is_empty() {
        return wrong("has no name");
    }
    if text.contains('\0') {
        return wrong("has a name that holds a zero byte");
    }
    if text.starts_with('/') {
        return wrong("has an absolute name");
    }
    if name.len() > MOST_PATH_BYTES {
        return wrong(&format!("has a name of more than {MOST_PATH_BYTES} bytes"));
    }
    let mut parts = Vec::new();
    for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => return wrong("leads out with `..`"),
            part if part.len() > MOST_PART_BYTES => {
                return wrong(&format!("has a part of more than {MOST_PART_BYTES} bytes in its name"));
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The target of a symbolic link, as text.
pub fn target(number: u64, name: &[u8], target: &[u8]) -> io::Result<String> {
    match std::str::from_utf8(target) {
        Ok(text) if !text.is_empty() && !text.contains('\0') && text.len() < MOST_PATH_BYTES => Ok(text.to_string()),
        _ => Err(refuse(number, name, format!("is a link to `{}`, which is no path", target.escape_ascii()))),
    }
}

impl Roll {
    /// Adds an entry at its path; `name` is for messages.
    pub fn add(&mut self, name: &[u8], path: String, slot: Slot) -> io::Result<()> {
        let number = slot.number;
        if path.is_empty() {
            return match slot.what {
                What::Directory => Ok(()),
                _ => Err(refuse(number, name, "would be the root, and is no directory")),
            };
        }
        self.parents(name, &path, number)?;
        let Some(known) = self.entries.get_mut(&path) else {
            return self.put(path, slot);
        };
        match (&known.what, &slot.what) {
            (What::Directory, What::Directory) if known.implied => *known = slot,
            (What::Directory, What::Directory) if (known.mode, known.owner) == (slot.mode, slot.owner) => {}
            (What::Directory, _) if known.implied => {
                return Err(refuse(number, name, format!("is no directory, but entry {} lies in it", known.number)));
            }
            _ => return Err(refuse(number, name, format!("has the same path as entry {}", known.number))),
        }
        Ok(())
    }

    /// What a hard link with this number is: the same as an entry before it.
    pub fn linked(&self, number: u64, name: &[u8], target: &[u8]) -> io::Result<What> {
        let wrong =
            |why: &str| refuse(number, name, format!("is a hard link to `{}`, which {why}", target.escape_ascii()));
        let path = path(number, target).map_err(|_| wrong("is no path in the archive"))?;
        match self.entries.get(&path).map(|slot| &slot.what) {
            Some(What::Directory) => Err(wrong("is a directory")),
            Some(what) => Ok(what.clone()),
            None => Err(wrong("no entry before it is")),
        }
    }

    /// All that was added, with the blob that the parcel became.
    pub fn members(self, blob: Digest) -> Vec<Member> {
        let member = |(path, slot): (String, Slot)| Member {
            path,
            body: match slot.what {
                What::File(start, size) => Body::File(Stretch { blob, start, size }),
                What::Directory => Body::Directory,
                What::Link(target) => Body::Link(target),
                What::Device => Body::Device,
            },
            mode: slot.mode,
            uid: slot.owner.0,
            gid: slot.owner.1,
        };
        self.entries.into_iter().map(member).collect()
    }

    /// Makes sure that everything above a path is a directory.
    fn parents(&mut self, name: &[u8], path: &str, number: u64) -> io::Result<()> {
        let Some((directory, _)) = path.rsplit_once('/') else { return Ok(()) };
        if directory == self.last {
            return Ok(());
        }
        for (end, _) in path.match_indices('/') {
            let above = &path[..end];
            match self.entries.get(above) {
                Some(Slot { what: What::Directory, .. }) => {}
                Some(known) => {
                    let what = if matches!(known.what, What::Link(_)) { "a link" } else { "no directory" };
                    return Err(refuse(number, name, format!("lies below entry {}, which is {what}", known.number)));
                }
                None => {
                    let slot = Slot { number, what: What::Directory, mode: DIR_MODE, owner: (0, 0), implied: true };
                    self.put(above.to_string(), slot)?;
                }
            }
        }
        self.last = directory.to_string();
        Ok(())
    }

    fn put(&mut self, path: String, slot: Slot) -> io::Result<()> {
        self.name_bytes += path.len() + if let What::Link(target) = &slot.what { target.len() } else { 0 };
        if self.entries.len() >= MOST_ENTRIES {
            return Err(wrong(format!("it has more than {MOST_ENTRIES} entries")));
        }
        if self.name_bytes > MOST_NAME_BYTES {
            return Err(wrong(format!("its names have more than {MOST_NAME_BYTES} bytes")));
        }
        self.entries.insert(path, slot);
        Ok(())
    }
}
