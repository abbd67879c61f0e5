//! Stage 5: how much an archive may ask for.

use std::io::Write;

use tar::EntryType;

use super::{read, refused};
use crate::source::fixture::{Tar, gzip};

/// A gzip stream of so many times 16 MiB of zeros, behind `head`.
fn zeros(head: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 16 << 20]).unwrap();
    let member = encoder.finish().unwrap();
    [gzip(head), member.repeat(times)].concat()
}

#[test]
fn arc_17_four_gigabytes_of_zeros_end_at_a_limit() {
    refused(&zeros(b"", 256), &["more than 1048576 zeros follow behind the end of the archive"]);
    let head = Tar::new().raw("zeros", EntryType::Regular, b"", |header| header.set_size(4 << 30)).bytes();
    let bomb = zeros(&head[..512], 256);
    refused(&bomb, &["it unpacks to more than", "128 times its own size"]);
    // What is large and was hardly compressed is fine.
    let head = Tar::new().raw("zeros", EntryType::Regular, b"", |header| header.set_size(32 << 20)).bytes();
    let fine = [zeros(&head[..512], 2), gzip(&[0; 1024])].concat();
    assert_eq!(read(&fine).unwrap().members.len(), 1);
}

#[test]
fn arc_18_windows_are_bounded() {
    // A zstd frame header with a window of 2 GiB (RFC 8878, 3.1.1.1), and one block that ends it.
    let window = |descriptor: u8| [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor][..], &[0x01, 0, 0]].concat();
    refused(&window((31 - 10) << 3), &["at entry 1"]);
    // 128 MiB is what zstd's own tools take; then it is only an empty tar.
    refused(&window((27 - 10) << 3), &["it does not end with two blocks of zeros"]);
    // An xz block header whose LZMA2 dictionary is 1 GiB (the .xz file format, 3.1 and 5.3.1).
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    for (bits, expect) in [(36u8, "memory"), (40, "at entry 1")] {
        let flags = [0, 1];
        let block = [2, 0, 0x21, 1, bits, 0, 0, 0];
        let xz = [&b"\xfd7zXZ\0"[..], &flags, &crc(&flags), &block, &crc(&block), &[0; 64]].concat();
        refused(&xz, &[expect]);
    }
}

#[test]
fn arc_19_claims_are_refused_before_anything_is_allocated() {
    let huge = Tar::new().raw("x", EntryType::Regular, b"", |header| header.set_size(1 << 62));
    refused(&huge.bytes(), &["ends after 1024 of"]);
    refused(&Tar::new().pax(&[("size", (1u64 << 62).to_string().as_bytes())]).file("x", "").bytes(), &["ends after"]);
    refused(&Tar::new().pax(&[("size", u64::MAX.to_string().as_bytes())]).file("x", "").bytes(), &["entry 1"]);
    for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::GNULongLink, EntryType::XGlobalHeader] {
        let block = Tar::new().raw("x", kind, b"", |header| header.set_size(64 << 20)).file("x", "").bytes();
        refused(&block, &["at entry 1: a header in it has 67108864 bytes, 1048576 are allowed"]);
    }
}
