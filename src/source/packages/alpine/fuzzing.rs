//! Stage 5, for fuzzing: doors to what reads Alpine's repositories (`crate::fuzzing`). Bytes in, a panic where a promise is broken.
//! Writes a temporary file and a temporary store.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::apk::{parts, record, replaces, verify};
use super::index::text;
use super::sign::{Keys, head, key, signed};
use super::universe::{Packages, Text};
use crate::source::fuzzing::members;
use crate::source::packages::fuzzing::{chosen, told};
use crate::source::packages::solve::Universe;

/// What stands between what the base has and an index, and between the control files and the files of a package.
const BETWEEN: &[u8] = b"\n%%\n";
/// The bytes of a block of a tar.
const BLOCK: usize = 512;

/// Nobody's signature is no signature; whatever set is chosen is consistent.
pub(crate) fn apkindex(bytes: &[u8]) {
    assert!(signed(bytes, &Keys::new()).inspect_err(told).is_err(), "it is signed");
    if let Ok(key) = key(bytes) {
        assert!(signed(bytes, &Keys::from([(String::new(), key)])).is_err(), "it is signed");
    }
    let plain = text(bytes).inspect_err(told).map(String::into_bytes).unwrap_or_else(|_| bytes.to_vec());
    let (base, index) = cut(&plain).unwrap_or((b"", &plain));
    let (Ok(base), Ok(index)) = (std::str::from_utf8(base), std::str::from_utf8(index)) else { return };
    let index = Text { directory: "main/x86_64".into(), text: index.to_string() };
    let Ok(read) = Packages::new(vec![index], base).inspect_err(told) else { return };
    let mut count = 0;
    while !read.name(count).is_empty() || !read.version(count).is_empty() {
        let _ = read.needs(count);
        count += 1;
    }
    chosen(&read, count);
}

/// The parts of a package lie in it; what vouches for them is looked at to the last byte; what is recorded are whole lines.
pub(crate) fn apk(bytes: &[u8]) {
    let packed;
    // By blocks, so that both tars stay whole blocks.
    let blocks = bytes.len() / BLOCK;
    let between = (0..blocks).map(|at| at * BLOCK).find(|at| bytes[*at..].starts_with(BETWEEN));
    let bytes = match between.map(|at| (&bytes[..at], &bytes[at + BLOCK..])) {
        Some((control, data)) => {
            packed = [zipped(b""), zipped(control), zipped(data)].concat();
            &packed
        }
        None => bytes,
    };
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    let Ok(parts) = parts(&mut file).inspect_err(told) else { return };
    assert!(parts.size == bytes.len() as u64 && parts.data <= parts.size);
    assert!(bytes[..parts.data as usize].ends_with(&parts.control));
    assert!(verify(&mut file, "Q1").is_err(), "nothing vouches for it");
    members(&bytes[parts.data as usize..]);
    let Ok((plain, _)) = head(&parts.control) else { return };
    let info = String::from_utf8_lossy(&plain);
    let record = record(&info, "Q1", parts.size);
    assert!(record.lines().all(|line| line.get(1..2) == Some(":")), "{record:?}");
    replaces(&info, "a", "1");
}

/// The bytes before and behind what stands between.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN)?;
    Some((&bytes[..at], &bytes[at + BETWEEN.len()..]))
}

/// A gzip stream with these bytes, so that what a fuzzer changes is more than a sum.
fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::none());
    out.write_all(bytes).and_then(|()| out.finish()).expect("memory can be written")
}
