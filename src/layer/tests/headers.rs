//! Stage 6: the headers of format 1, read back by hand and by the `tar` crate (checks LAY-01, LAY-10, LAY-13).

use std::collections::BTreeMap;
use std::io::Read;

use super::{blob, directory, entry, home, inline, link, plain, tree, try_pack};
use crate::layer::tar;
use crate::layer::tree::{Body, Entry, Mode, Tree};
use crate::oci::DiffId;
use crate::oci::Digest;
use crate::oci::media::Compression;

/// The PAX records (if a PAX header stands first) and the entry's own header.
fn read(bytes: &[u8]) -> (BTreeMap<String, Vec<u8>>, &[u8]) {
    let mut records = BTreeMap::new();
    if bytes[156] != b'x' {
        return (records, &bytes[..512]);
    }
    let size = number(&bytes[124..136]) as usize;
    let mut body = &bytes[512..512 + size];
    let mut last = String::new();
    while !body.is_empty() {
        let space = body.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&body[..space]).unwrap().parse().unwrap();
        let (record, rest) = body.split_at(length);
        assert_eq!(record[length - 1], b'\n');
        let equals = record.iter().position(|byte| *byte == b'=').unwrap();
        let key = String::from_utf8(record[space + 1..equals].to_vec()).unwrap();
        assert!(key > last, "records are sorted");
        last = key.clone();
        records.insert(key, record[equals + 1..length - 1].to_vec());
        body = rest;
    }
    let at = 512 + size.next_multiple_of(512);
    assert!(bytes[512 + size..at].iter().all(|byte| *byte == 0));
    (records, &bytes[at..at + 512])
}

fn number(field: &[u8]) -> u64 {
    let (digits, end) = field.split_at(field.len() - 1);
    assert_eq!(end, b"\0");
    u64::from_str_radix(std::str::from_utf8(digits).unwrap(), 8).unwrap()
}

fn text(field: &[u8]) -> &str {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).unwrap()
}

fn one(path: &str, entry: Entry) -> Vec<u8> {
    plain(&tree([(path, entry)]))
}

fn refused(path: &str, entry: Entry) -> String {
    let home = home();
    let error = try_pack(&tree([(path, entry)]), Compression::Gzip, &home).unwrap_err();
    assert!(home.is_empty());
    error.error.message().to_string()
}

#[test]
fn an_empty_tree_is_two_blocks_of_zeros() {
    let (packed, bytes) = blob(&Tree::new(), Compression::None);
    assert_eq!(bytes, [0; 1024]);
    assert_eq!((packed.tar_size, packed.diff_id), (1024, DiffId(Digest::of(&[0; 1024]))));
}

#[test]
fn every_byte_of_a_header() {
    let file = Entry { uid: 1000, gid: 0o7777777, ..inline(b"hello") };
    let bytes = one("etc/motd", file);
    assert_eq!(bytes.len(), 512 + 512 + 1024, "nothing follows the two blocks");
    let mut expected = vec![0u8; 2048];
    let mut set = |at: usize, bytes: &[u8]| expected[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, b"etc/motd");
    set(100, b"0000644\0" as &[u8]);
    set(108, b"0001750\0");
    set(116, b"7777777\0");
    set(124, b"00000000005\0");
    set(136, b"02263523000\0");
    set(148, b"        ");
    set(156, b"0");
    set(257, b"ustar\x0000");
    set(329, b"0000000\0");
    set(337, b"0000000\0");
    set(512, b"hello");
    let sum: u32 = expected[..512].iter().map(|byte| u32::from(*byte)).sum();
    expected[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(bytes == expected, "{:?}", String::from_utf8_lossy(&bytes[..512]));
}

#[test]
fn types_and_modes() {
    let whiteout = entry(Body::Whiteout, 0o644);
    let setuid = Entry { mode: Mode::Fixed(0o4755), ..inline(b"") };
    let kind = |bytes: Vec<u8>| (bytes[156], number(&bytes[100..108]), text(&bytes[..100]).to_string());
    assert_eq!(kind(one("d", directory())), (b'5', 0o755, "d/".into()));
    assert_eq!(kind(one("l", link("d"))), (b'2', 0o777, "l".into()));
    assert_eq!(kind(one("l", Entry { mode: Mode::Fixed(0o600), ..link("d") })).1, 0o777);
    assert_eq!(kind(one("d/.wh.x", whiteout)), (b'0', 0o644, "d/.wh.x".into()));
    assert_eq!(kind(one("s", setuid)), (b'0', 0o4755, "s".into()));
}

#[test]
fn a_mode_by_content_looks_at_the_first_bytes() {
    for (content, mode) in [
        (&b"\x7fELF\x02"[..], 0o755),
        (b"#!/bin/sh\n", 0o755),
        (b"#!", 0o755),
        (b"#", 0o644),
        (b"\x7fEL", 0o644),
        (b"", 0o644),
        (b" #!/bin/sh\n", 0o644),
    ] {
        let (packed, bytes) =
            blob(&tree([("f", Entry { mode: Mode::ByContent, ..inline(content) })]), Compression::None);
        assert_eq!((number(&bytes[100..108]), packed.modes), (mode, vec![mode as u16]), "{content:?}");
    }
}

#[test]
fn paths_are_split_at_the_last_slash_that_fits() {
    let a = |count: usize| "a".repeat(count);
    // Path, prefix, name; a whole path in `path` is said by no prefix and no name.
    for (path, expected) in [
        (a(100), Some((String::new(), a(100)))),
        (a(101), None),
        (format!("{}/{}", a(1), a(99)), Some((a(1), a(99)))),
        (format!("{}/{}", a(154), a(100)), Some((a(154), a(100)))),
        (format!("{}/{}", a(155), a(100)), Some((a(155), a(100)))),
        (format!("{}/{}", a(156), a(99)), None),
        (format!("{}/{}", a(155), a(101)), None),
        (format!("{}/b/{}", a(150), a(90)), Some((format!("{}/b", a(150)), a(90)))),
        (format!("{}/bcdef/{}", a(150), a(90)), Some((a(150), format!("bcdef/{}", a(90))))),
        (format!("x/{}", a(4094)), None),
    ] {
        let bytes = one(&path, inline(b""));
        let (records, header) = read(&bytes);
        let found = (text(&header[345..500]).to_string(), text(&header[..100]).to_string());
        match expected {
            Some(expected) => assert_eq!((found, records.len()), (expected, 0), "{path}"),
            None => {
                assert_eq!(records["path"], path.as_bytes());
                assert_eq!(found, (String::new(), path[..100].to_string()));
            }
        }
    }
}

#[test]
fn a_directory_of_100_bytes_is_split_before_its_last_part() {
    let path = format!("{}/{}", "a".repeat(49), "b".repeat(50));
    let bytes = one(&path, directory());
    assert_eq!((text(&bytes[345..500]), text(&bytes[..100])), (&path[..49], &*format!("{}/", &path[50..])));
    let bytes = one(&"c".repeat(100), directory());
    let (records, header) = read(&bytes);
    assert_eq!(records["path"], format!("{}/", "c".repeat(100)).as_bytes());
    assert_eq!(text(&header[..100]), "c".repeat(100));
}

#[test]
fn what_is_not_ascii_gets_a_record_and_a_stand_in() {
    let bytes = one("é\n/ü", link("ä"));
    let (records, header) = read(&bytes);
    assert_eq!(records["path"], "é\n/ü".as_bytes());
    assert_eq!(records["linkpath"], "ä".as_bytes());
    assert_eq!((text(&header[..100]), text(&header[157..257])), ("__\n/__", "__"));
    let bytes = one("new\nline", inline(b""));
    let (records, header) = read(&bytes);
    assert_eq!((records.len(), text(&header[..100])), (0, "new\nline"));
}

#[test]
fn long_targets_get_a_record() {
    for (length, recorded) in [(100, false), (101, true), (4095, true)] {
        let target = "t".repeat(length);
        let bytes = one("l", link(&target));
        let (records, header) = read(&bytes);
        assert_eq!(records.contains_key("linkpath"), recorded, "{length}");
        assert_eq!(text(&header[157..257]), "t".repeat(100));
    }
}

#[test]
fn large_numbers_get_a_record() {
    let bytes = one("f", Entry { uid: 3_000_000, gid: u32::MAX, ..inline(b"x") });
    let (records, header) = read(&bytes);
    assert_eq!((records["uid"].as_slice(), records["gid"].as_slice()), (&b"3000000"[..], &b"4294967295"[..]));
    assert_eq!((number(&header[108..116]), number(&header[116..124]), records.len()), (0, 0, 2));
    let header_of = |size: u64| {
        let mut bytes = Vec::new();
        tar::header("f", &inline(b""), 0o644, (size, None), &mut bytes).unwrap();
        bytes
    };
    let (most, more) = (header_of((8 << 30) - 1), header_of(8 << 30));
    assert_eq!((most.len(), number(&most[124..136])), (512, (8 << 30) - 1));
    let (records, header) = read(&more);
    assert_eq!((records["size"].as_slice(), number(&header[124..136])), (&b"8589934592"[..], 0));
}

#[test]
fn the_header_of_a_pax_header_is_fixed() {
    let bytes = one("f", Entry { uid: 3_000_000, gid: 77, ..inline(b"x") });
    let first = &bytes[..512];
    assert_eq!((text(&first[..100]), first[156], &first[257..265]), ("PaxHeader", b'x', &b"ustar\x0000"[..]));
    let numbers = [(100, 108), (108, 116), (116, 124), (124, 136), (136, 148)].map(|(a, b)| number(&first[a..b]));
    assert_eq!(numbers, [0o644, 0, 0, 15, 315_532_800]);
    assert_eq!(&bytes[512..527], b"15 uid=3000000\n");
}

#[test]
fn capabilities_are_the_exact_bytes_of_revision_2() {
    // cap_net_bind_service is 10, cap_checkpoint_restore is 40.
    let bytes = one("f", Entry { capabilities: 1 << 10 | 1 << 40, ..inline(b"x") });
    let (records, _) = read(&bytes);
    let expected = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(records["SCHILY.xattr.security.capability"], expected);
    assert!(refused("d", Entry { capabilities: 1, ..directory() }).contains("only a file"));
}

#[test]
fn the_length_of_a_record_counts_its_own_digits() {
    for length in 80..1100 {
        let path = "p".repeat(length);
        let bytes = one(&path, link("ä"));
        let (records, _) = read(&bytes);
        assert_eq!(records.contains_key("path"), length > 100);
    }
}

#[test]
fn what_no_tree_should_hold_is_refused() {
    for path in ["", "/etc", "etc/", "./a", "a//b", "a/../b", "..", ".", "a\0b"] {
        assert!(refused(path, inline(b"")).contains("canonical form"), "{path:?}");
    }
    one("..a/.b/c..", inline(b""));
    for target in ["", "a\0b"] {
        assert!(refused("l", link(target)).contains("its target"), "{target:?}");
    }
    one("l", link("/../.."));
    assert!(refused("f", Entry { mode: Mode::Fixed(0o10000), ..inline(b"") }).contains("twelve bits"));
    assert!(refused("d", Entry { mode: Mode::ByContent, ..directory() }).contains("mode is not set"));
}

#[test]
fn the_tar_crate_reads_back_what_went_in() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(300));
    let odd = "dir/ñ \u{1f600}".to_string();
    let entries = tree([
        ("dir", directory()),
        ("dir/plain", inline(b"plain")),
        ("dir/two\nlines", inline(b"")),
        ("dir/.wh.gone", entry(Body::Whiteout, 0o644)),
        ("dir/link", link("../é")),
        (&odd, inline(&[7; 1000])),
        (&long, Entry { uid: 3_000_000, gid: 2_097_152, ..inline(b"long") }),
    ]);
    let bytes = plain(&entries);
    let mut archive = ::tar::Archive::new(bytes.as_slice());
    let mut found = Vec::new();
    for item in archive.entries().unwrap() {
        let mut item = item.unwrap();
        let path = String::from_utf8(item.path_bytes().into_owned()).unwrap();
        let target = item.link_name_bytes().map(|name| String::from_utf8(name.into_owned()).unwrap());
        let mut content = Vec::new();
        item.read_to_end(&mut content).unwrap();
        assert_eq!(item.header().mtime().unwrap(), 315_532_800);
        found.push((path, target.unwrap_or_default(), content.len()));
    }
    let expected = [
        (long.as_str(), "", 4),
        ("dir/", "", 0),
        ("dir/.wh.gone", "", 0),
        ("dir/link", "../é", 0),
        ("dir/plain", "", 5),
        ("dir/two\nlines", "", 0),
        (&odd, "", 1000),
    ]
    .map(|(path, target, size)| (path.to_string(), target.to_string(), size));
    assert_eq!(found, expected);
}
