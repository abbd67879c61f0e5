//! Stage 5: a zip from anywhere (PKWARE's APPNOTE.TXT). A file in; its entries into the roll, their bytes into the parcel.
//!
//! A zip says everything twice: in the headers before the data and in the directory behind it, and readers believe the one or the other.
//! Here both must say the same, and headers, data and directory must follow each other without a gap and fill the file. So there is
//! nothing that only one kind of reader finds.

mod records;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use self::records::{Record, directory};
use super::check;
use super::roll::{Roll, Slot, What, path, refuse};
use super::stream::{bomb, most};
use crate::event::Cancel;
use crate::source::parcel::Parcel;

/// The type bits of a Unix mode, and those of a directory and a plain file.
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const PLAIN: u32 = 0o100_000;
/// The same of MS-DOS for a directory.
const DOS_DIRECTORY: u32 = 0x10;

/// Reads a whole zip of `size` bytes.
pub fn read(mut file: File, size: u64, cancel: &Cancel, roll: &mut Roll, parcel: &mut Parcel) -> io::Result<()> {
    let records = directory(&mut file, size)?;
    let total = records.iter().fold(0u64, |total, record| total.saturating_add(record.size));
    if total > most(size) {
        return Err(bomb(most(size)));
    }
    for (number, record) in (1..).zip(&records) {
        check(cancel)?;
        let what = kind(number, record)?;
        let path = path(number, &record.name)?;
        let what = match what {
            What::File(..) => What::File(parcel.size(), bytes(&mut file, number, record, parcel)?),
            what => what,
        };
        let mode = (record.attributes >> 16 & 0o7777) as u16;
        roll.add(&record.name, path, Slot { number, what, mode, owner: (0, 0), implied: false })?;
    }
    Ok(())
}

/// What an entry is, by its name and its attributes, which must agree.
fn kind(number: u64, record: &Record) -> io::Result<What> {
    let wrong = |why: &str| Err(refuse(number, &record.name, why));
    let slash = record.name.ends_with(b"/");
    if record.name.contains(&b'\\') || record.name.get(1) == Some(&b':') {
        return wrong("has a name that means something else on Windows");
    }
    match record.attributes >> 16 & TYPE {
        0 => {}
        DIRECTORY if slash => {}
        PLAIN if !slash => {}
        0o120_000 => {
            return wrong("is a symbolic link, which readers of zip take in different ways; a tar can hold it");
        }
        _ => return wrong("is neither a plain file nor a directory, or its name does not fit what it is"),
    }
    if record.attributes & DOS_DIRECTORY != 0 && !slash {
        return wrong("is a directory by its attributes, but not by its name");
    }
    match slash {
        true if (record.size, record.packed) != (0, 0) => wrong("is a directory with content"),
        true => Ok(What::Directory),
        false => Ok(What::File(0, 0)),
    }
}

/// Puts the bytes of an entry into the parcel; they must be as many, and have the sum, that its headers say.
fn bytes(file: &mut File, number: u64, record: &Record, parcel: &mut Parcel) -> io::Result<u64> {
    let wrong = |why: &str| refuse(number, &record.name, why);
    file.seek(SeekFrom::Start(record.data))?;
    let mut packed = BufReader::new(file.take(record.packed));
    let mut sum = Crc::new();
    // One byte more than it should be shows that there are more.
    let taken = if record.deflated {
        let mut decoder = DeflateDecoder::new(&mut packed);
        let most = record.size.saturating_add(1);
        let taken = parcel.put((&mut decoder).take(most), |bytes| sum.update(bytes));
        let taken = taken.map_err(|cause| match cause.raw_os_error() {
            None if cause.get_ref().is_none_or(|inner| !inner.is::<crate::error::Error>()) => {
                wrong("has damaged content")
            }
            _ => cause,
        })?;
        if taken == record.size && decoder.total_in() != record.packed {
            return Err(wrong("has content behind the end of its content"));
        }
        taken
    } else {
        parcel.put(&mut packed, |bytes| sum.update(bytes))?
    };
    if taken != record.size {
        return Err(wrong(&format!("has another size than the {} bytes that its headers say", record.size)));
    }
    if sum.sum() != record.sum {
        return Err(wrong("has another CRC-32 than its headers say"));
    }
    Ok(taken)
}
