//! Stage 5: what stands in a tar. An untrusted stream in, one entry after the other out, each with checked numbers. Touches nothing.
//!
//! The header block is read by the `tar` crate. What stands between the blocks is read here, because its reader takes long names of
//! any length into memory and splits PAX records at newlines, which binary extended attributes hold: a `path` could be hidden in one.

use std::io::{self, Read, Seek};

use tar::{EntryType, GnuExtSparseHeader, Header};

use crate::source::pax::{self, Extended};
use crate::source::strict;

/// Longest path or link target in bytes (Linux's `PATH_MAX`).
pub const MOST_PATH_BYTES: usize = 4096;
/// Largest extended header or long name in bytes.
const MOST_EXTENDED_BYTES: u64 = 1 << 20;
/// Most zeros behind the end of an archive; GNU fills up to 10 KiB, tapes to more.
const MOST_FILLING: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A regular file; sparse ones too.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A second name of a file.
    HardLink,
    /// A device or a named pipe.
    Other,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path as it stands there.
    pub path: Vec<u8>,
    /// The target of a link, else empty.
    pub target: Vec<u8>,
    /// What it is.
    pub kind: Type,
    /// The permission bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// A file's size, with holes counted; 0 for what is no file.
    pub size: u64,
    /// Whether the bytes in the archive are the bytes of the file.
    pub whole: bool,
}

/// The entries of a tar. As a reader it gives the bytes of the entry that came last.
pub struct Entries<R> {
    input: R,
    left: u64,
    padding: u64,
    ended: bool,
    position: u64,
    strict: bool,
}

/// The entries of this stream.
pub fn entries<R: Read>(input: R) -> Entries<R> {
    Entries { input, left: 0, padding: 0, ended: false, position: 0, strict: false }
}

/// The entries of an archive from anywhere, which must have one meaning for every reader, see [`strict`]; it is read to its end, which
/// [`Entries::close`] proves.
pub fn strict<R: Read>(input: R) -> Entries<R> {
    Entries { strict: true, ..entries(input) }
}

impl<R: Read> Entries<R> {
    /// The next entry; `None` at the end of the archive, which is a block of zeros or the end of the stream.
    pub fn step(&mut self) -> io::Result<Option<Entry>> {
        let mut extended: Option<Extended> = None;
        let mut long = (None, None);
        let mut described = false;
        while let Some(header) = self.header()? {
            let kind = header.entry_type();
            match kind {
                EntryType::XHeader => {
                    let read = pax::read(&self.extension()?)?;
                    self.demand(|| strict::extended(&read))?;
                    self.once(extended.replace(read).is_none())?;
                }
                EntryType::XGlobalHeader => {
                    let bytes = self.extension()?;
                    self.demand(|| strict::global(&pax::read(&bytes)?))?;
                    self.once(!described)?;
                }
                EntryType::GNULongName => {
                    let before = long.0.replace(text(self.extension()?));
                    self.once(before.is_none())?;
                }
                EntryType::GNULongLink => {
                    let before = long.1.replace(text(self.extension()?));
                    self.once(before.is_none())?;
                }
                _ => {
                    let mut extended = extended.unwrap_or_default();
                    self.once(long.0.is_none() || extended.path.is_none())?;
                    self.once(long.1.is_none() || extended.target.is_none())?;
                    extended.path = long.0.or(extended.path);
                    extended.target = long.1.or(extended.target);
                    return self.entry(&header, extended).map(Some);
                }
            }
            described |= kind != EntryType::XGlobalHeader;
        }
        if described { Err(wrong("it ends after a header that describes a next entry")) } else { Ok(None) }
    }

    /// Makes a check that only archives from anywhere have to pass.
    fn demand(&self, check: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.strict { check() } else { Ok(()) }
    }

    fn once(&self, fine: bool) -> io::Result<()> {
        self.demand(|| if fine { Ok(()) } else { Err(wrong("two headers describe one entry in different ways")) })
    }

    /// How many bytes of the stream were passed; after [`Entries::step`] it is where the bytes of that entry begin.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Ends a [`strict`] archive: behind its two blocks of zeros there is nothing but a few more zeros.
    pub fn close(mut self) -> io::Result<()> {
        let (mut rest, mut count) = ([0; 4096], 0);
        loop {
            let some = self.input.read(&mut rest)?;
            count += some as u64;
            if rest.get(..some).unwrap_or_default().iter().any(|byte| *byte != 0) {
                return Err(wrong("something follows behind the end of the archive"));
            }
            if count > MOST_FILLING {
                return Err(wrong(format!("more than {MOST_FILLING} zeros follow behind the end of the archive")));
            }
            if some == 0 {
                return Ok(());
            }
        }
    }

    /// The second of the two blocks of zeros that end an archive; a layer may lack them.
    fn ending(&mut self, first: bool) -> io::Result<()> {
        let mut second = [1; BLOCK as usize];
        if self.strict && !(first && self.block(&mut second)? && second == [0; BLOCK as usize]) {
            return Err(wrong("it does not end with two blocks of zeros"));
        }
        Ok(())
    }

    /// Reads what is left behind the archive and gives the stream back.
    pub fn drain(mut self) -> io::Result<R> {
        io::copy(&mut self.input, &mut io::sink())?;
        Ok(self.input)
    }

    /// The next header whose sum is right; `left` and `padding` are set to what its size field says.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let skip = self.left.checked_add(self.padding).ok_or_else(|| wrong("a size in it is too large"))?;
        if io::copy(&mut (&mut self.input).take(skip), &mut io::sink())? != skip {
            return Err(cut());
        }
        self.position += skip;
        (self.left, self.padding) = (0, 0);
        let mut header = Header::new_old();
        if self.ended {
            return Ok(None);
        }
        let block = self.block(header.as_mut_bytes())?;
        if !block || *header.as_bytes() == [0; BLOCK as usize] {
            self.ended = true;
            return self.ending(block).map(|()| None);
        }
        let (before, rest) = header.as_bytes().split_at(148);
        let bytes = before.iter().chain(rest.iter().skip(8));
        let sum = bytes.fold(8 * u32::from(b' '), |sum, byte| sum + u32::from(*byte));
        if header.cksum()? != sum {
            return Err(wrong("the sum of a header is wrong"));
        }
        self.demand(|| strict::header(&header))?;
        self.data(header.entry_size()?);
        Ok(Some(header))
    }

    fn data(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    /// Fills one block; `false` where the stream ends before it.
    fn block(&mut self, block: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(cut()),
                Ok(count) => filled += count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        self.position += filled as u64;
        Ok(true)
    }

    fn extension(&mut self) -> io::Result<Vec<u8>> {
        if self.left > MOST_EXTENDED_BYTES {
            let size = self.left;
            return Err(wrong(format!("a header in it has {size} bytes, {MOST_EXTENDED_BYTES} are allowed")));
        }
        let mut bytes = Vec::with_capacity(self.left as usize);
        let size = self.left;
        self.read_to_end(&mut bytes)?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(cut()) }
    }

    fn entry(&mut self, header: &Header, extended: Extended) -> io::Result<Entry> {
        let path = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let target = extended.target.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let target = target.unwrap_or_default();
        let limited = |what: &str, bytes: &[u8]| match bytes.len() {
            0..=MOST_PATH_BYTES => Ok(()),
            length => Err(wrong(format!("{what} in it has {length} bytes, {MOST_PATH_BYTES} are allowed"))),
        };
        limited("a path", &path)?;
        limited("a link target", &target)?;
        let kind = kind(header, &path)?;
        self.demand(|| strict::entry(header, &path, extended.size.unwrap_or(self.left)))?;
        if let Some(size) = extended.size {
            self.data(size);
        }
        let holes = header.entry_type() == EntryType::GNUSparse;
        let size = if holes { self.sparse(header)? } else { extended.real_size.unwrap_or(self.left) };
        if kind != Type::File {
            self.data(0); // as Go's reader, which all runtimes use: only files have data, whatever the size says
        }
        let old = header.as_old();
        Ok(Entry {
            kind,
            mode: (number(&old.mode, || header.mode().map(u64::from))? & 0o7777) as u16,
            uid: owner("owner", extended.uid.map_or_else(|| number(&old.uid, || header.uid()), Ok)?)?,
            gid: owner("group", extended.gid.map_or_else(|| number(&old.gid, || header.gid()), Ok)?)?,
            size: if kind == Type::File { size } else { 0 },
            whole: !holes && extended.real_size.is_none(),
            target: if matches!(kind, Type::Link | Type::HardLink) { target } else { Vec::new() },
            path,
        })
    }

    /// The real size of a sparse file in GNU's old form; its further maps stand before the data.
    fn sparse(&mut self, header: &Header) -> io::Result<u64> {
        let gnu = header.as_gnu().ok_or_else(|| wrong("a sparse file in it has no GNU header"))?;
        let mut more = gnu.is_extended();
        while more {
            let mut map = GnuExtSparseHeader::new();
            if !self.block(map.as_mut_bytes())? {
                return Err(cut());
            }
            more = map.is_extended();
        }
        gnu.real_size()
    }
}

impl<R: Read + Seek> Entries<R> {
    /// The stream, at the bytes of the entry that came last.
    pub fn input(&mut self) -> &mut R {
        &mut self.input
    }

    /// Passes over the bytes of the entry that came last without reading them.
    pub fn jump(&mut self) -> io::Result<()> {
        let skip = self.left.checked_add(self.padding).and_then(|skip| i64::try_from(skip).ok());
        self.input.seek_relative(skip.ok_or_else(|| wrong("a size in it is too large"))?)?;
        (self.left, self.padding) = (0, 0);
        Ok(())
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.input).take(self.left).read(buffer)?;
        self.left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

fn kind(header: &Header, path: &[u8]) -> io::Result<Type> {
    let old_directory = header.as_old().linkflag == [0] && path.ends_with(b"/");
    Ok(match header.entry_type() {
        EntryType::Regular if old_directory => Type::Directory, // from before ustar
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Type::File,
        EntryType::Directory => Type::Directory,
        EntryType::Symlink => Type::Link,
        EntryType::Link => Type::HardLink,
        EntryType::Char | EntryType::Block | EntryType::Fifo => Type::Other,
        other => {
            let byte = other.as_byte().escape_ascii();
            return Err(wrong(format!("`{}` has the unknown type `{byte}`", path.escape_ascii())));
        }
    })
}

/// A number whose field may be empty, which is 0.
fn number(field: &[u8], read: impl Fn() -> io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(0) } else { read() }
}

fn owner(what: &str, id: u64) -> io::Result<u32> {
    u32::try_from(id).map_err(|_| wrong(format!("the {what} {id} in it is no 32-bit number")))
}

/// GNU writes long names with a zero at their end.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn cut() -> io::Error {
    wrong("it is cut off")
}

/// An error in the archive itself.
pub fn wrong(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
