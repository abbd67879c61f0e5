//! Stage 5: the headers of a zip, read at both places and compared. A file in, one record for each entry out, in the order of the
//! directory. Section numbers are those of APPNOTE.TXT 6.3.10. Reads the file it is given and nothing else.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::super::roll::MOST_ENTRIES;
use super::refuse;
use crate::source::tar::wrong;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;

/// The sizes of the fixed parts.
const LOCAL_SIZE: u64 = 30;
const CENTRAL_SIZE: usize = 46;
const END_SIZE: usize = 22;
const END_64_SIZE: usize = 56;
const LOCATOR_SIZE: usize = 20;
/// Largest directory in bytes.
const MOST_DIRECTORY: u64 = 128 << 20;

/// The newest version of the format that an entry may need, times ten.
const NEWEST: u8 = 63;
/// The flags that change nothing (how hard it was compressed), and those with a meaning here.
const EFFORT: u16 = 0x0006;
const DESCRIBED: u16 = 0x0008;
const UTF_8: u16 = 0x0800;
/// The extra fields for sizes of 64 bits, and for another name.
const EXTRA_64: u16 = 0x0001;
const EXTRA_NAME: u16 = 0x7075;

/// An entry, as both of its headers say.
pub struct Record {
    /// Its name.
    pub name: Vec<u8>,
    /// Whether its content is deflated; else it is stored.
    pub deflated: bool,
    /// The CRC-32 of its content.
    pub sum: u32,
    /// The size of the content in the file.
    pub packed: u64,
    /// The size of the content.
    pub size: u64,
    /// What the system that made it says of it (4.4.15).
    pub attributes: u32,
    /// Where its content begins.
    pub data: u64,
    flags: u16,
    header: u64,
}

/// Little-endian numbers and bytes, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(|| wrong("a header in it is cut off"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self, count: usize) -> io::Result<u64> {
        Ok(self.bytes(count)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn two(&mut self) -> io::Result<u16> {
        self.number(2).map(|value| value as u16)
    }

    fn four(&mut self) -> io::Result<u32> {
        self.number(4).map(|value| value as u32)
    }
}

fn at(file: &mut File, start: u64, count: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(count as usize);
    file.take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count { Ok(bytes) } else { Err(wrong("it is cut off")) }
}

/// All entries of a zip of `size` bytes.
pub fn directory(file: &mut File, size: u64) -> io::Result<Vec<Record>> {
    let End { count, start, length } = end(file, size)?;
    if count > MOST_ENTRIES as u64 {
        return Err(wrong(format!("it has more than {MOST_ENTRIES} entries")));
    }
    if length > MOST_DIRECTORY {
        return Err(wrong(format!("its directory has more than {MOST_DIRECTORY} bytes")));
    }
    let bytes = at(file, start, length)?;
    let mut fields = Fields(&bytes);
    let mut records = Vec::new();
    for number in 1..=count {
        records.push(central(number, &mut fields)?);
    }
    if !fields.0.is_empty() {
        return Err(wrong("its directory holds more than its entries"));
    }
    tile(file, &mut records, start)?;
    Ok(records)
}

/// What the end of a zip says of its directory.
struct End {
    count: u64,
    start: u64,
    length: u64,
}

/// The record at the end (4.3.16), and that for 64 bits before it (4.3.14, 4.3.15). The directory must end where they begin.
fn end(file: &mut File, size: u64) -> io::Result<End> {
    let most = (END_SIZE + usize::from(u16::MAX) + LOCATOR_SIZE + END_64_SIZE) as u64;
    let from = size.saturating_sub(most);
    let tail = at(file, from, size - from)?;
    let signature = END.to_le_bytes();
    let fits = |start: &usize| {
        let comment = tail.get(start + END_SIZE - 2..start + END_SIZE).map(|two| Fields(two).two());
        let comment = comment.and_then(Result::ok).map(usize::from);
        tail[*start..].starts_with(&signature)
            && comment.is_some_and(|comment| start + END_SIZE + comment == tail.len())
    };
    let ends: Vec<usize> = (0..tail.len().saturating_sub(END_SIZE - 1)).filter(fits).collect();
    let &[place] = ends.as_slice() else {
        let why = if ends.is_empty() { "there is no end of a directory at its end" } else { "it has two ends" };
        return Err(wrong(format!("it is no whole zip: {why}")));
    };
    let mut fields = Fields(&tail[place..]);
    fields.bytes(4)?;
    let disks = (fields.two()?, fields.two()?);
    let counts = (u64::from(fields.two()?), u64::from(fields.two()?));
    let (length, start) = (u64::from(fields.four()?), u64::from(fields.four()?));
    let mut found = End { count: counts.1, start, length };
    let mut behind = from + place as u64;
    let locator = place.checked_sub(LOCATOR_SIZE).filter(|at| tail[*at..].starts_with(&LOCATOR_64.to_le_bytes()));
    match locator {
        Some(at) => (found, behind) = end_64(&tail, at, from, &found)?,
        None if disks != (0, 0) || counts.0 != counts.1 => return Err(wrong("it is one of several parts")),
        None => {}
    }
    if found.start.checked_add(found.length) != Some(behind) {
        return Err(wrong("its directory does not end where its end begins"));
    }
    Ok(found)
}

/// The record for 64 bits and where it begins. What the other one says it must say too, where that can.
fn end_64(tail: &[u8], locator: usize, from: u64, short: &End) -> io::Result<(End, u64)> {
    let mut fields = Fields(&tail[locator + 4..]);
    let (disk, place, disks) = (fields.four()?, fields.number(8)?, fields.four()?);
    let expected = (from + locator as u64).checked_sub(END_64_SIZE as u64);
    if disk != 0 || disks > 1 || Some(place) != expected {
        return Err(wrong("its end for 64 bits is not where it should be"));
    }
    let at = locator.checked_sub(END_64_SIZE).ok_or_else(|| wrong("its end for 64 bits is cut off"))?;
    let mut fields = Fields(&tail[at..locator]);
    let (signature, size) = (fields.four()?, fields.number(8)?);
    fields.bytes(4)?;
    let disks = (fields.four()?, fields.four()?);
    let counts = (fields.number(8)?, fields.number(8)?);
    let (length, start) = (fields.number(8)?, fields.number(8)?);
    let same = |short: u64, long: u64, most: u64| short == most || short == long;
    let fits = same(short.count, counts.1, u16::MAX.into())
        && same(short.length, length, u32::MAX.into())
        && same(short.start, start, u32::MAX.into());
    if signature != END_64 || size + 12 != END_64_SIZE as u64 || disks != (0, 0) || counts.0 != counts.1 || !fits {
        return Err(wrong("its two ends contradict each other"));
    }
    Ok((End { count: counts.1, start, length }, place))
}

/// The next header of the directory (4.3.12).
fn central(number: u64, fields: &mut Fields<'_>) -> io::Result<Record> {
    let mut fixed = Fields(fields.bytes(CENTRAL_SIZE)?);
    if fixed.four()? != CENTRAL {
        return Err(wrong(format!("there is no header for entry {number} in its directory")));
    }
    fixed.bytes(2)?;
    let version = fixed.two()?;
    let (flags, method) = (fixed.two()?, fixed.two()?);
    fixed.bytes(4)?;
    let sum = fixed.four()?;
    let (packed, size) = (u64::from(fixed.four()?), u64::from(fixed.four()?));
    let lengths = [fixed.two()?, fixed.two()?, fixed.two()?].map(usize::from);
    let disk = fixed.two()?;
    fixed.bytes(2)?;
    let (attributes, header) = (fixed.four()?, u64::from(fixed.four()?));
    let name = fields.bytes(lengths[0])?.to_vec();
    let extra = fields.bytes(lengths[1])?;
    fields.bytes(lengths[2])?;
    if disk != 0 {
        return Err(refuse(number, &name, "is in another part of the zip"));
    }
    let mut long = [size, packed, header];
    extras(number, &name, extra, &mut long)?;
    let [size, packed, header] = long;
    known(number, &name, version)?;
    let deflated = understood(number, &name, flags, method)?;
    Ok(Record { name, deflated, sum, packed, size, attributes, data: 0, flags, header })
}

/// Refuses an entry that says that it takes a newer reader (4.4.3).
fn known(number: u64, name: &[u8], version: u16) -> io::Result<()> {
    let [low, _] = version.to_le_bytes();
    if low <= NEWEST {
        return Ok(());
    }
    Err(refuse(number, name, format!("needs version {}.{} of zip, which is not known here", low / 10, low % 10)))
}

/// Whether an entry is deflated; what cannot be read in one way only is refused.
fn understood(number: u64, name: &[u8], flags: u16, method: u16) -> io::Result<bool> {
    if flags & !(EFFORT | DESCRIBED | UTF_8) != 0 {
        return Err(refuse(
            number,
            name,
            format!("has the flags {flags:#06x}: it is encrypted, or needs what is not known here"),
        ));
    }
    if flags & UTF_8 == 0 && !name.is_ascii() {
        return Err(refuse(number, name, "has a name that is not ASCII, and does not say that it is UTF-8"));
    }
    match method {
        0 => Ok(false),
        8 => Ok(true),
        method => Err(refuse(
            number,
            name,
            format!("is compressed by method {method}; only `stored` and `deflated` are read"),
        )),
    }
}

/// Reads extra fields (4.5): the 64-bit values take the place of those that say so by being all ones, in their order.
fn extras(number: u64, name: &[u8], extra: &[u8], long: &mut [u64]) -> io::Result<()> {
    let mut fields = Fields(extra);
    let mut seen = false;
    while !fields.0.is_empty() {
        let cut = |_| refuse(number, name, "has a damaged extra field");
        let (id, length) = (fields.two().map_err(cut)?, fields.two().map_err(cut)?);
        let mut value = Fields(fields.bytes(length.into()).map_err(cut)?);
        match id {
            EXTRA_64 if seen => return Err(refuse(number, name, "has two fields for sizes of 64 bits")),
            EXTRA_64 => {
                seen = true;
                for short in long.iter_mut().filter(|short| **short == u64::from(u32::MAX)) {
                    *short = value.number(8).map_err(cut)?;
                }
                if !value.0.is_empty() {
                    return Err(refuse(number, name, "has more sizes of 64 bits than it needs"));
                }
            }
            EXTRA_NAME if value.0.get(5..) != Some(name) => return Err(refuse(number, name, "has a second name")),
            _ => {}
        }
    }
    Ok(())
}

/// Finds the content of each entry, and proves that headers and contents fill the file up to its directory.
fn tile(file: &mut File, records: &mut [Record], end: u64) -> io::Result<()> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|at| records[*at].header);
    let mut expected = 0;
    for (place, at) in order.iter().enumerate() {
        let next = order.get(place + 1).map_or(end, |next| records[*next].header);
        let (number, record) = (*at as u64 + 1, &mut records[*at]);
        if record.header != expected {
            return Err(refuse(
                number,
                &record.name,
                "begins elsewhere than where the one before it ends; a zip has no gaps",
            ));
        }
        record.data = local(file, number, record)?;
        let behind = record.data.checked_add(record.packed).filter(|behind| *behind <= next);
        let behind = behind.ok_or_else(|| refuse(number, &record.name, "reaches into the next one"))?;
        descriptor(file, number, record, behind, next - behind)?;
        expected = next;
    }
    if expected == end { Ok(()) } else { Err(wrong("something stands before its directory that belongs to no entry")) }
}

/// Compares the header before the content (4.3.7) with the directory's, and says where the content begins.
fn local(file: &mut File, number: u64, record: &Record) -> io::Result<u64> {
    let differs = |what: &str| {
        Err(refuse(number, &record.name, format!("has another {what} in front of its content than in the directory")))
    };
    let bytes = at(file, record.header, LOCAL_SIZE)?;
    let mut fields = Fields(&bytes);
    if fields.four()? != LOCAL {
        return Err(refuse(number, &record.name, "has no header in front of its content"));
    }
    known(number, &record.name, fields.two()?)?;
    let (flags, method) = (fields.two()?, fields.two()?);
    fields.bytes(4)?;
    let sum = fields.four()?;
    let (packed, size) = (u64::from(fields.four()?), u64::from(fields.four()?));
    let (name, extra) = (u64::from(fields.two()?), u64::from(fields.two()?));
    let rest = at(file, record.header + LOCAL_SIZE, name + extra)?;
    let (own, extra) = rest.split_at(name as usize);
    if own != record.name {
        return differs("name");
    }
    if (flags ^ record.flags) & !EFFORT != 0 || method != if record.deflated { 8 } else { 0 } {
        return differs("method or flag");
    }
    let mut long = [size, packed];
    extras(number, &record.name, extra, &mut long)?;
    let (found, wanted) = ((sum, long[1], long[0]), (record.sum, record.packed, record.size));
    let later = flags & DESCRIBED != 0 && record.deflated && found == (0, 0, 0);
    if found != wanted && !later {
        return differs("size or CRC-32");
    }
    Ok(record.header + LOCAL_SIZE + rest.len() as u64)
}

/// Reads what stands between a content and the next header: a descriptor (4.3.9), with or without its signature and with short or long
/// sizes, where one is announced; else nothing.
fn descriptor(file: &mut File, number: u64, record: &Record, start: u64, length: u64) -> io::Result<()> {
    if record.flags & DESCRIBED == 0 {
        return if length == 0 {
            Ok(())
        } else {
            Err(refuse(number, &record.name, "is followed by what belongs to no entry"))
        };
    }
    let wide = match length {
        12 | 16 => 4,
        20 | 24 => 8,
        _ => return Err(refuse(number, &record.name, "is not followed by the sizes that it announces")),
    };
    let bytes = at(file, start, length)?;
    let mut fields = Fields(&bytes);
    let signed = matches!(length, 16 | 24);
    let signature = if signed { fields.four()? } else { DESCRIPTOR };
    let said = (fields.four()?, fields.number(wide)?, fields.number(wide)?);
    if signature == DESCRIPTOR && said == (record.sum, record.packed, record.size) {
        return Ok(());
    }
    Err(refuse(number, &record.name, "has another size or CRC-32 behind its content than in the directory"))
}
