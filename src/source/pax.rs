//! Stage 5: extended headers of a tar (POSIX.1-2017, pax, "pax Extended Header"). Untrusted bytes in, the few facts we need out. Pure.

use std::collections::BTreeSet;
use std::io;

use crate::source::tar::wrong;

/// What an extended header says of the next entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// The path.
    pub path: Option<Vec<u8>>,
    /// The target of a link.
    pub target: Option<Vec<u8>>,
    /// How many bytes stand in the archive.
    pub size: Option<u64>,
    /// The size of a sparse file with its holes.
    pub real_size: Option<u64>,
    /// The owner.
    pub uid: Option<u64>,
    /// The group.
    pub gid: Option<u64>,
    /// Why readers may differ about it: what makes no difference in a layer, but does in an archive from anywhere.
    pub odd: Option<&'static str>,
}

/// The keys that decide what the next entry is.
const DECIDING: [&[u8]; 3] = [b"path", b"linkpath", b"size"];

/// Reads the records `LENGTH KEY=VALUE\n`; the last one of a key counts, an empty value is none.
pub fn read(bytes: &[u8]) -> io::Result<Extended> {
    let mut extended = Extended::default();
    let mut sparse_name = None;
    let (mut rest, mut seen) = (bytes, BTreeSet::new());
    while !rest.is_empty() {
        let (key, value, after) = record(rest).ok_or_else(|| wrong("an extended header in it is malformed"))?;
        rest = after;
        if DECIDING.contains(&key) && (value.is_empty() || !seen.insert(key)) {
            extended.odd = Some("gives a name or size twice, or takes it back");
        }
        if key.starts_with(b"GNU.sparse.") {
            extended.odd = Some("is that of a sparse file");
        }
        match key {
            b"path" => extended.path = name(value)?,
            b"linkpath" => extended.target = name(value)?,
            b"size" => extended.size = number(value)?,
            b"uid" => extended.uid = number(value)?,
            b"gid" => extended.gid = number(value)?,
            b"GNU.sparse.name" => sparse_name = name(value)?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => extended.real_size = number(value)?,
            _ => {}
        }
    }
    extended.path = sparse_name.or(extended.path);
    Ok(extended)
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(digits(bytes.get(..space)?)?).ok()?;
    let pair = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((pair.get(..equals)?, pair.get(equals + 1..)?, bytes.get(length..)?))
}

fn name(value: &[u8]) -> io::Result<Option<Vec<u8>>> {
    if value.contains(&0) {
        return Err(wrong("a name in an extended header holds a zero byte"));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn number(value: &[u8]) -> io::Result<Option<u64>> {
    if value.is_empty() {
        return Ok(None);
    }
    digits(value).map(Some).ok_or_else(|| wrong("a number in an extended header is none"))
}

/// A decimal number without a sign.
fn digits(text: &[u8]) -> Option<u64> {
    let plain = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let length = rest + (rest + 2).to_string().len();
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn a_path_inside_of_an_attribute_is_not_a_path() {
        let evil = b"x\n16 path=etc/evil\n";
        let bytes = [line("SCHILY.xattr.user.x", evil), line("path", b"good"), line("uid", b"12")].concat();
        let read = read(&bytes).unwrap();
        assert_eq!(read.path.as_deref(), Some(&b"good"[..]));
        assert_eq!(read.uid, Some(12));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"x"[..],
            b"5 a=b",
            b"99 path=x\n",
            b"0 path=x\n",
            b"10 path x\n",
            b"+9 path=x\n",
            b"18446744073709551615 a=b\n",
        ] {
            assert!(read(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert!(read(&line("path", b"a\0b")).is_err());
        assert!(read(&line("size", b"-1")).is_err());
        assert_eq!(read(&line("size", b"")).unwrap().size, None);
    }
}
