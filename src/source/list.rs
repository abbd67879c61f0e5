//! Stage 5: what one layer says. Its blob in, a listing by path out. Reads the blob and nothing else.
//!
//! Paths are taken without leading `/` and `./`; one with `..` is refused. The entry `.` is the root's own. A path below a link of
//! the same layer goes where the link leads; links of lower layers are not followed, as with overlayfs (see [`crate::source`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::ops::Bound;

use crate::oci::DiffId;
use crate::oci::media::Compression;
use crate::source::index::{Kind, TEXTS};
use crate::source::tar::{Entries, Entry, Type, entries, wrong};
use crate::source::unpack::{Stop, Unpacked, unpack};
use crate::source::walk::{Obstacle, Stands, ends, join, split, walk};

/// Most entries of one image, with the directories that none of them names.
pub const MOST_ENTRIES: usize = 2_000_000;
/// Most bytes of all paths and link targets of one image.
pub const MOST_NAME_BYTES: usize = 512 << 20;
/// Largest text (`etc/passwd` …) that is kept.
pub const MOST_TEXT_BYTES: u64 = 1 << 20;

const WHITEOUT: &[u8] = b".wh.";
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A path: relative, without a trailing `/`; the root is empty.
pub type Name = Box<[u8]>;

/// What one layer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The digest of the uncompressed layer.
    pub diff_id: DiffId,
    /// The size of the uncompressed layer.
    pub size: u64,
    /// What the layer adds.
    pub items: BTreeMap<Name, Item>,
    /// What it removes from lower layers.
    pub whiteouts: BTreeSet<Name>,
    /// The directories that it empties of what lower layers hold.
    pub opaque: BTreeSet<Name>,
    /// The contents of [`TEXTS`].
    pub texts: BTreeMap<Name, Vec<u8>>,
}

/// One thing that a layer adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub what: What,
    /// Its permission bits.
    pub mode: u16,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Where a file's bytes begin in the uncompressed layer; none for a sparse file, and for what is no file.
    pub start: Option<u64>,
}

/// What a layer's item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// This.
    Known(Kind),
    /// A directory that only other entries' paths name.
    Implied,
    /// A second name of a file of a lower layer.
    Lower(Name),
}

/// Reads a whole layer, to the end of its stream.
pub fn list(blob: impl Read + 'static, stop: Stop) -> io::Result<(Listing, Compression)> {
    let (stream, found) = unpack(blob, stop)?;
    let mut entries = entries(stream);
    let mut draft = Draft::default();
    while let Some(entry) = entries.step()? {
        draft.add(&entry, &mut entries)?;
    }
    let (diff_id, size) = entries.drain()?.finish();
    draft.items.retain(|path, _| !path.split(|byte| *byte == b'/').any(|part| part.starts_with(META)));
    let Draft { items, whiteouts, opaque, texts, .. } = draft;
    Ok((Listing { diff_id, size, items, whiteouts, opaque, texts }, found))
}

/// A path as it stands in a tar, made plain.
pub fn plain(path: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/').filter(|part| !matches!(part, [] | [b'.'])) {
        if part == b".." {
            return Err(wrong(format!("the path `{}` leads out with `..`", path.escape_ascii())));
        }
        if !plain.is_empty() {
            plain.push(b'/');
        }
        plain.extend_from_slice(part);
    }
    Ok(plain)
}

#[derive(Default)]
struct Draft {
    items: BTreeMap<Name, Item>,
    whiteouts: BTreeSet<Name>,
    opaque: BTreeSet<Name>,
    texts: BTreeMap<Name, Vec<u8>>,
    name_bytes: usize,
    /// The parent that was resolved last: most entries stand next to their neighbour.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl Draft {
    fn add(&mut self, entry: &Entry, bytes: &mut Entries<Unpacked>) -> io::Result<()> {
        let path = plain(&entry.path)?;
        if path.is_empty() {
            return match entry.kind {
                Type::Directory => self.put(path, item(entry, Kind::Directory)),
                _ => Err(wrong("its root is no directory")),
            };
        }
        let (directory, name) = split(&path);
        if name.starts_with(WHITEOUT) && !(name.starts_with(META) && name != OPAQUE) {
            return self.hide(directory, name);
        }
        let path = join(&self.parent(directory)?, name);
        let start = entry.whole.then_some(bytes.position());
        let item = match entry.kind {
            Type::File => Item { start, ..item(entry, Kind::File { size: entry.size }) },
            Type::Directory => item(entry, Kind::Directory),
            Type::Link => item(entry, Kind::Link(entry.target.as_slice().into())),
            Type::Other => item(entry, Kind::Other),
            Type::HardLink => self.linked(entry, &path)?,
        };
        let text = entry.kind == Type::File && entry.whole && entry.size <= MOST_TEXT_BYTES;
        self.put(path.clone(), item)?;
        if text && TEXTS.iter().any(|text| text.as_bytes() == path) {
            let mut content = Vec::new();
            bytes.take(MOST_TEXT_BYTES).read_to_end(&mut content)?;
            self.texts.insert(path.into(), content);
        }
        Ok(())
    }

    /// Notes a whiteout. Its parents need not stand in this layer.
    fn hide(&mut self, directory: &[u8], name: &[u8]) -> io::Result<()> {
        let directory = walk(directory, |path| self.stands(path)).map_err(|why| blocked(directory, &why))?.path;
        let path = match name.strip_prefix(WHITEOUT) {
            _ if name == OPAQUE => {
                self.count(directory.len())?;
                self.opaque.insert(directory.into());
                return Ok(());
            }
            None | Some([] | [b'.'] | [b'.', b'.']) => {
                return Err(wrong(format!("`{}` is a whiteout of no name", join(&directory, name).escape_ascii())));
            }
            Some(hidden) => join(&directory, hidden),
        };
        self.count(path.len())?;
        self.whiteouts.insert(path.into());
        Ok(())
    }

    /// The real path of a directory that something stands in; it is there afterwards.
    fn parent(&mut self, directory: &[u8]) -> io::Result<Vec<u8>> {
        if let Some((_, real)) = self.last.as_ref().filter(|(last, _)| last == directory) {
            return Ok(real.clone());
        }
        let walked = walk(directory, |path| self.stands(path)).map_err(|why| blocked(directory, &why))?;
        if walked.solid {
            return Err(blocked(directory, &(walked.path, Obstacle::NoDirectory)));
        }
        for end in ends(&walked.path, walked.known) {
            let implied = walked.path.get(..end).unwrap_or_default();
            self.put(implied.to_vec(), Item { what: What::Implied, mode: 0o755, uid: 0, gid: 0, start: None })?;
        }
        self.last = Some((directory.to_vec(), walked.path.clone()));
        Ok(walked.path)
    }

    /// What a hard link is: the same as what it names, which stood before it in this layer or stands in a lower one.
    fn linked(&self, entry: &Entry, path: &[u8]) -> io::Result<Item> {
        let target = plain(&entry.target)?;
        let (directory, name) = split(&target);
        let real = match walk(directory, |path| self.stands(path)) {
            Ok(walked) => join(&walked.path, name),
            Err(why) => return Err(blocked(directory, &why)),
        };
        match self.items.get(real.as_slice()) {
            Some(Item { what: What::Known(Kind::Directory) | What::Implied, .. }) => Err(wrong(format!(
                "`{}` is a hard link to the directory `{}`",
                path.escape_ascii(),
                real.escape_ascii()
            ))),
            Some(item) => Ok(item.clone()),
            None => Ok(Item { what: What::Lower(real.into()), mode: 0, uid: 0, gid: 0, start: None }),
        }
    }

    fn put(&mut self, path: Vec<u8>, item: Item) -> io::Result<()> {
        let target = match &item.what {
            What::Known(Kind::Link(target)) | What::Lower(target) => target.len(),
            _ => 0,
        };
        self.count(path.len() + target)?;
        let directory = |item: &Item| matches!(item.what, What::Known(Kind::Directory) | What::Implied);
        let solid = !directory(&item);
        self.texts.remove(path.as_slice());
        if let Some(before) = self.items.insert(path.as_slice().into(), item) {
            self.last = None;
            if solid && directory(&before) {
                remove_below(&mut self.items, &path);
                remove_below(&mut self.texts, &path);
            }
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.name_bytes += bytes;
        if self.items.len() + self.whiteouts.len() + self.opaque.len() >= MOST_ENTRIES {
            return Err(wrong(format!("it has more than {MOST_ENTRIES} entries")));
        }
        if self.name_bytes > MOST_NAME_BYTES {
            return Err(wrong(format!("its names have more than {MOST_NAME_BYTES} bytes")));
        }
        Ok(())
    }

    fn stands(&self, path: &[u8]) -> Stands<'_> {
        match self.items.get(path).map(|item| &item.what) {
            None => Stands::Nothing,
            Some(What::Implied | What::Known(Kind::Directory)) => Stands::Directory,
            Some(What::Known(Kind::Link(target))) => Stands::Link(target),
            Some(_) => Stands::Solid,
        }
    }
}

fn item(entry: &Entry, kind: Kind) -> Item {
    Item { what: What::Known(kind), mode: entry.mode, uid: entry.uid, gid: entry.gid, start: None }
}

fn blocked(path: &[u8], (at, why): &(Vec<u8>, Obstacle)) -> io::Error {
    let why = if *why == Obstacle::Loop { "leads in a circle" } else { "is no directory" };
    wrong(format!("it puts something into `{}`, but `{}` {why}", path.escape_ascii(), at.escape_ascii()))
}

/// Removes everything strictly below a path.
pub fn remove_below<T>(map: &mut BTreeMap<Name, T>, path: &[u8]) {
    if path.is_empty() {
        map.retain(|path, _| path.is_empty());
        return;
    }
    let (from, to) = below(path);
    let range = (Bound::Excluded(from.as_slice()), Bound::Excluded(to.as_slice()));
    let names: Vec<Name> = map.range::<[u8], _>(range).map(|(name, _)| name.clone()).collect();
    for name in names {
        map.remove(&name);
    }
}

/// The bounds, both outside, of all paths below a path that is not the root.
pub fn below(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (join(path, b""), [path, b"0"].concat()) // `0` follows `/`
}
