//! Stage 5: what a tar from anywhere has to keep, beyond what a layer has to, so that every reader sees the same in it. Headers in,
//! refusals out. Pure.
//!
//! Readers differ in numbers that are none, in names that two headers give, in data behind what is no file, and in what stands behind the
//! end; each of these has been a way to show one reader what another one does not see (CVE-2025-62518, GHSA-3pv8-6f4r-ffg2).

use std::io;

use tar::{EntryType, Header};

use crate::source::pax::Extended;
use crate::source::tar::wrong;

/// Where the fields `prefix` of ustar and the last ones of GNU stand.
const TAIL: std::ops::Range<usize> = 345..500;

/// Refuses a header block that is not of one of the known formats, or whose numbers can be read in two ways.
pub fn header(header: &Header) -> io::Result<()> {
    let bytes = header.as_bytes();
    let magic = bytes.get(257..265).unwrap_or_default();
    let tail = bytes.get(TAIL).unwrap_or_default();
    let known = match magic {
        b"ustar\x0000" => true,
        b"ustar  \0" | [0, 0, 0, 0, 0, 0, 0, 0] => tail.iter().all(|byte| *byte == 0),
        _ => false,
    };
    if !known {
        return Err(wrong("its header is of none of the formats ustar, pax, GNU and v7"));
    }
    let old = header.as_old();
    number(&old.mode).and_then(|_| number(&old.uid)).and_then(|_| number(&old.gid)).and_then(|_| number(&old.size))?;
    Ok(())
}

/// A number in one of its two forms: octal digits between blanks, or 0x80 and the number with its first byte first.
fn number(field: &[u8]) -> io::Result<u64> {
    let odd = || wrong(format!("the number `{}` in its header can be read in several ways", field.escape_ascii()));
    match field {
        [0x80, rest @ ..] => {
            let (high, low) = rest.split_at_checked(rest.len().saturating_sub(8)).ok_or_else(odd)?;
            let value = low.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            let fits = high.iter().all(|byte| *byte == 0) && value <= i64::MAX as u64;
            if fits { Ok(value) } else { Err(wrong("a number in its header is too large")) }
        }
        [first, ..] if *first > 0x80 => Err(wrong("a number in its header is negative or too large")),
        _ => {
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            let text = field.get(..end).unwrap_or_default().trim_ascii();
            if field.get(end..).unwrap_or_default().iter().any(|byte| !matches!(byte, 0 | b' ')) {
                return Err(odd());
            }
            let digit = |value: u64, byte: &u8| match byte {
                b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
                _ => None,
            };
            text.iter().try_fold(0, digit).ok_or_else(odd)
        }
    }
}

/// Refuses what an extended header says that readers take in different ways.
pub fn extended(extended: &Extended) -> io::Result<()> {
    match extended.odd {
        Some(why) => Err(wrong(format!("its extended header {why}"))),
        None => Ok(()),
    }
}

/// Refuses a header for all entries that says more than remarks.
pub fn global(extended: &Extended) -> io::Result<()> {
    let plain = Extended { uid: None, gid: None, ..extended.clone() };
    if plain == Extended::default() { Ok(()) } else { Err(wrong("a header for all entries gives names or sizes")) }
}

/// Refuses an entry whose type and size, or type and name, do not fit each other; `size` is what its headers say.
pub fn entry(header: &Header, path: &[u8], size: u64) -> io::Result<()> {
    let kind = header.entry_type();
    let (slash, old) = (path.ends_with(b"/"), header.as_old().linkflag == [0]);
    let why = match kind {
        EntryType::Regular if slash && !old => "is a file whose name ends with `/`",
        EntryType::Regular if slash && size > 0 => "is a directory with content",
        EntryType::Regular => return Ok(()),
        EntryType::Continuous => "is a contiguous file",
        EntryType::GNUSparse => "is a sparse file",
        EntryType::Symlink | EntryType::Link if slash => "is a link whose name ends with `/`",
        _ if size > 0 => "is no file, but has content",
        _ => return Ok(()),
    };
    Err(wrong(format!("`{}` {why}", path.escape_ascii())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arc_12_numbers_have_one_meaning() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"    644 ", 0o644),
            (b"644\0\0\0\0 ", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"77777777", 0o77777777),
            (b"\x80\0\0\0\0\0\x01\x02", 258),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x02", 258),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", i64::MAX as u64),
        ] {
            assert_eq!(number(field).unwrap(), value, "{}", field.escape_ascii());
        }
        for field in [
            &b"0000648\0"[..],
            b"-000644\0",
            b"0o00644\0",
            b"64 4    ",
            b"64\0 4\0\0\0",
            b"0x1f\0\0\0\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x80\0\0\x01\0\0\0\0\0\0\0\0",
            b"\x80\0\0\0\x80\0\0\0\0\0\0\0",
            b"\xc0\0\0\0\0\0\0\0\0\0\0\0",
            b"\x81\0\0\0\0\0\0\0",
        ] {
            assert!(number(field).is_err(), "{}", field.escape_ascii());
        }
    }
}
