//! Stage 6: golden digests (check REP-14). Format 1 is frozen: what stands in `golden.txt` was released, and stays.

use std::collections::BTreeSet;

use super::known::Known;
use super::tests::{ALL, blob, ctx, directory, entry, inline, link, noise, prose, tree};
use super::tree::{Body, Entry, Mode, Tree};
use super::twins::twins;
use crate::oci::Digest;
use crate::oci::media::{Compression, Encoding};

/// A name and its digests in each line that is no comment. `tests/it/golden.rs` watches over this file.
const GOLDEN: &str = include_str!("golden.txt");

/// The trees whose digests stand there.
const TREES: [&str; 13] = [
    "empty",
    "one file",
    "empty directory",
    "links",
    "whiteouts",
    "long names",
    "not ascii",
    "capabilities",
    "modes",
    "owners",
    "large",
    "many",
    "whole blocks",
];

/// Asserts that these are the digests under a name.
fn assert_golden(name: &str, digests: &[String]) {
    let mut lines = GOLDEN.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    let expected = lines.find(|(known, _)| *known == name).map_or("", |(_, digests)| digests);
    assert!(
        digests.join(" ") == expected,
        "format 1 is frozen, and the layer `{name}` has other bytes than were released: {}, not {expected}.\n\
         Undo what changed them. Other bytes are another format (`docs/format-1.md`, *Frozen*).",
        digests.join(" ")
    );
}

fn by_content(bytes: &[u8]) -> Entry {
    Entry { mode: Mode::ByContent, ..inline(bytes) }
}

fn make(name: &str) -> Tree {
    let a = |count: usize| "a".repeat(count);
    match name {
        "empty" => Tree::new(),
        "one file" => tree([("hello.txt", inline(b"hello\n"))]),
        "empty directory" => tree([("srv", directory())]),
        "links" => tree([
            ("bin", link("usr/bin")),
            ("far", link(&format!("/{}", a(150)))),
            ("usr", directory()),
            ("usr/bin", directory()),
            ("usr/bin/é", link("../ü")),
        ]),
        "whiteouts" => tree([
            ("etc", directory()),
            ("etc/.wh.motd", entry(Body::Whiteout, 0o644)),
            ("var/.wh..wh..opq", entry(Body::Whiteout, 0o644)),
        ]),
        "long names" => tree([
            (&a(100), inline(b"100")),
            (&format!("{}b", a(100)), inline(b"101")),
            (&format!("{}/{}", a(154), a(100)), inline(b"255")),
            (&format!("{}/{}", a(155), a(100)), inline(b"256")),
            (&format!("c/{}", a(100)), directory()),
            (&format!("{}/z", "d/".repeat(2047) + "d"), inline(b"4097")),
        ]),
        "not ascii" => tree([("a\nb", inline(b"1")), ("grüße", directory()), ("grüße/\u{1f600}", inline(b"2"))]),
        "capabilities" => tree([("bin/server", Entry { capabilities: 1 << 10 | 1 << 40, ..inline(b"\x7fELF") })]),
        "modes" => tree([
            ("a.sh", by_content(b"#!/bin/sh\n")),
            ("b.txt", by_content(b"text")),
            ("elf", by_content(b"\x7fELF\x02\x01")),
            ("su", Entry { mode: Mode::Fixed(0o4755), ..inline(b"su") }),
            ("tmp", Entry { mode: Mode::Fixed(0o1777), ..directory() }),
        ]),
        "owners" => tree([
            ("a", Entry { uid: 65532, gid: 65532, ..inline(b"a") }),
            ("b", Entry { uid: 2_097_151, gid: 2_097_152, ..inline(b"b") }),
            ("c", Entry { uid: 3_000_000, gid: u32::MAX, ..directory() }),
        ]),
        _ => make_large(name),
    }
}

/// Those that are about contents.
fn make_large(name: &str) -> Tree {
    let a = |count: usize| "a".repeat(count);
    match name {
        "large" => tree([("a", inline(&[prose(1, 1 << 20), noise(2, 1 << 20), prose(3, 1 << 20)].concat()))]),
        "many" => (0..5000u64).map(|n| (format!("d{}/f{n}", n % 50), inline(&prose(n, (n % 700) as usize)))).collect(),
        "equal files" => tree([
            ("a", inline(&prose(7, 4096))),
            ("b", Entry { uid: 7, ..inline(&prose(7, 4096)) }),
            ("c", by_content(&prose(7, 4096))),
            ("d", inline(&prose(7, 4096)[1..])),
            ("e", inline(&prose(7, 4096)[1..])),
            (&format!("{}/ü", a(120)), Entry { capabilities: 1 << 10, ..inline(&prose(8, 1 << 20)) }),
            (&format!("{}/ö", a(120)), Entry { capabilities: 1 << 10, ..inline(&prose(8, 1 << 20)) }),
            ("z", Entry { uid: 7, ..by_content(&prose(7, 4096)) }),
        ]),
        // Text, noise, and numbers that repeat far and near: each level finds something else.
        "levels" => {
            let numbers = |step: u32| (0..60_000u32).flat_map(move |n| (n / 7 * step % 4093).to_le_bytes());
            let table: Vec<u8> = numbers(3).chain(numbers(5)).chain(numbers(3)).collect();
            tree([("a", inline(&prose(5, 400_000))), ("b", inline(&table)), ("c", inline(&noise(6, 3000)))])
        }
        // The tar's 1024 last bytes end with a block.
        "whole blocks" => tree([("a", inline(&noise(4, (1 << 20) - 512 - 1024)))]),
        other => panic!("no tree is named {other}"),
    }
}

#[test]
fn the_bytes_are_those_of_format_1() {
    for name in TREES {
        let tree = make(name);
        let [none, gzip, zstd] = ALL.map(|compression| {
            let (packed, bytes) = blob(&tree, compression);
            assert_eq!(packed.descriptor.digest, Digest::of(&bytes));
            (packed.descriptor.digest.hex(), packed.diff_id)
        });
        assert!([gzip.1, zstd.1].iter().all(|diff_id| *diff_id == none.1 && diff_id.0.hex() == none.0), "{name}");
        assert_golden(name, &[none.0, gzip.0, zstd.0]);
    }
}

#[test]
fn hard_links_have_their_own_bytes() {
    let home = tempfile::tempdir().unwrap();
    let (tree, known) = (make("equal files"), Known::default());
    let linked = || twins(&ctx(home.path()), &tree, &known).unwrap();
    let found = ALL.map(|compression| blob(linked(), compression).0.descriptor.digest.hex());
    assert_ne!(blob(&tree, Compression::None).0.descriptor.digest.hex(), found[0]);
    assert_golden("equal files, linked", &found);
}

#[test]
fn each_level_has_its_own_bytes() {
    let tree = make("levels");
    let diff_id = blob(&tree, Compression::None).0.diff_id;
    for kind in [Compression::Gzip, Compression::Zstd] {
        let found: Vec<String> = (1..=kind.most().unwrap())
            .map(|level| {
                let packed = blob(&tree, Encoding { kind, level }).0;
                assert_eq!(packed.diff_id, diff_id);
                packed.descriptor.digest.hex()
            })
            .collect();
        for (level, digest) in (1..).zip(&found) {
            assert_golden(&format!("{} {level}", kind.name()), std::slice::from_ref(digest));
        }
        // Two levels of zstd may differ in the size of tables only, which such small blocks do not fill.
        assert!(found.iter().collect::<BTreeSet<_>>().len() >= 12, "levels that are one: {found:?}");
        let default = blob(&tree, kind).0.descriptor.digest.hex();
        assert_eq!(default, found[usize::from(Encoding::from(kind).level) - 1]);
    }
}
