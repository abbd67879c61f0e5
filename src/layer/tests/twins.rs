//! Stage 6: files of equal content as hard links: which become one, what stands in the tar, and that nothing else decides it.

use std::fs;
use std::io::Read;

use super::{blob, ctx, disk, inline, noise, prose, tree};
use crate::layer::known::Known;
use crate::layer::tree::{Body, Content, Entry, Mode, Tree};
use crate::layer::twins::{SMALLEST, twins};
use crate::oci::Digest;
use crate::oci::media::Compression;
use crate::source::Stretch;

/// Each entry of a tar: path, type, target, mode, owner, and content.
fn listing(bytes: &[u8]) -> Vec<(String, char, String, u32, u64, usize)> {
    let text = |bytes: std::borrow::Cow<'_, [u8]>| String::from_utf8(bytes.into_owned()).unwrap();
    let mut archive = ::tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let (path, target) = (text(entry.path_bytes()), entry.link_name_bytes().map(text).unwrap_or_default());
        let header = entry.header();
        let kind = char::from(header.entry_type().as_byte());
        (path, kind, target, header.mode().unwrap(), header.uid().unwrap(), content.len())
    });
    entries.collect()
}

/// The tar of a tree whose equal files are one.
fn linked(tree: &Tree) -> (super::Packed, Vec<u8>) {
    let home = tempfile::tempdir().unwrap();
    let known = Known::default();
    blob(twins(&ctx(home.path()), tree, &known).unwrap(), Compression::None)
}

#[test]
fn the_first_of_equal_files_is_the_file() {
    let text = prose(1, SMALLEST as usize);
    let by_content = |bytes: &[u8]| Entry { mode: Mode::ByContent, ..inline(bytes) };
    let script = [b"#!/bin/sh\n".as_slice(), &text].concat();
    let small = &text[1..];
    let tree = tree([
        ("a", by_content(&script)),
        ("b", Entry { mode: Mode::Fixed(0o644), ..inline(&script) }),
        ("c", Entry { mode: Mode::Fixed(0o755), ..inline(&script) }),
        ("d", by_content(&script)),
        ("e", inline(&script)),
        ("f", Entry { uid: 7, ..by_content(&script) }),
        ("g", Entry { gid: 7, ..by_content(&script) }),
        ("h", Entry { capabilities: 1, ..by_content(&script) }),
        ("i", Entry { uid: 7, ..by_content(&script) }),
        ("j", Entry { capabilities: 1, ..by_content(&script) }),
        ("k", inline(small)),
        ("l", inline(small)),
        ("m", inline(b"")),
        ("n", inline(b"")),
        ("o", inline(&noise(1, text.len()))),
        ("p", inline(&text)),
    ]);
    let (packed, bytes) = linked(&tree);
    let size = script.len();
    let file = |path: &str, mode, uid, size| (path.to_string(), '0', String::new(), mode, uid, size);
    let link = |path: &str, to: &str, mode, uid| (path.to_string(), '1', to.to_string(), mode, uid, 0);
    let expected = [
        file("a", 0o755, 0, size),
        file("b", 0o644, 0, size),
        link("c", "a", 0o755, 0),
        link("d", "a", 0o755, 0),
        link("e", "b", 0o644, 0),
        file("f", 0o755, 7, size),
        file("g", 0o755, 0, size),
        file("h", 0o755, 0, size),
        link("i", "f", 0o755, 7),
        link("j", "h", 0o755, 0),
        file("k", 0o644, 0, small.len()),
        file("l", 0o644, 0, small.len()),
        file("m", 0o644, 0, 0),
        file("n", 0o644, 0, 0),
        file("o", 0o644, 0, text.len()),
        file("p", 0o644, 0, text.len()),
    ];
    assert_eq!(listing(&bytes), expected);
    let modes: Vec<u32> = packed.modes.iter().map(|mode| u32::from(*mode)).collect();
    assert_eq!(modes, expected.map(|entry| entry.3));
    assert_eq!(packed.tar_size, bytes.len() as u64);
}

/// An engine sets the owner of a link too, which takes the capabilities of what it stands for.
#[test]
fn a_link_says_all_that_its_file_says() {
    let content = prose(2, 9000);
    let (long, wide) = ("l".repeat(120), "ü");
    let server = || Entry { capabilities: 1 << 10, uid: 3_000_000, ..inline(&content) };
    let tree = tree([(&long, server()), ("z", server()), (wide, server())]);
    let bytes = linked(&tree).1;
    let mut archive = ::tar::Archive::new(bytes.as_slice());
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let target = entry.link_name_bytes().map(|name| String::from_utf8(name.into_owned()).unwrap());
        let records = entry.pax_extensions().unwrap().unwrap();
        let own = |key: &str| !["path", "linkpath"].contains(&key);
        let records: Vec<_> = records
            .map(|record| record.map(|one| (one.key().unwrap().to_string(), one.value_bytes().to_vec())).unwrap())
            .filter(|(key, _)| own(key))
            .collect();
        all.push((target, records));
    }
    let [(None, first), (Some(one), second), (Some(two), third)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!([one, two], [&long, &long]);
    assert_eq!(first.len(), 2);
    assert!(first == second && second == third);
}

#[test]
fn where_bytes_come_from_decides_nothing() {
    let (home, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ctx = ctx(home.path());
    let content = prose(3, 2 << 20);
    let path = |name: &str| directory.path().join(name);
    fs::write(path("one"), &content).unwrap();
    fs::write(path("two"), &content).unwrap();
    fs::hard_link(path("two"), path("three")).unwrap();
    let around = [b"head".as_slice(), &content].concat();
    let digest = ctx.store.put(&around).unwrap();
    let stretch = Stretch { blob: digest, start: 4, size: content.len() as u64 };
    let stored = Entry { body: Body::File(Content::Stored(Box::new(stretch))), ..inline(b"") };
    let of = |[a, b, c, d]: [Entry; 4]| tree([("a", a), ("b", b), ("c", c), ("d", d)]);
    let (one, two, three) = (disk(&path("one")), disk(&path("two")), disk(&path("three")));
    let known = Known::default();
    let right = blob(
        twins(&ctx, &of([inline(&content), inline(&content), inline(&content), inline(&content)]), &known).unwrap(),
        Compression::Gzip,
    )
    .0;
    for entries in [
        [one.clone(), two.clone(), three.clone(), stored.clone()],
        [stored.clone(), one.clone(), inline(&content), two.clone()],
        [inline(&content), stored, two, one],
    ] {
        let tree = of(entries);
        for known in [&known, &Known::default()] {
            // Blobs of the store are read from there.
            let twinned = twins(&ctx, &tree, known).unwrap();
            let packed = crate::layer::pack::pack(
                twinned,
                Compression::Gzip.into(),
                &ctx.store,
                super::threads(3),
                &ctx.cancel,
                &|_| (),
                known,
            );
            assert_eq!(packed.unwrap(), right);
        }
    }
}

#[test]
fn what_a_content_says_is_told_of_each_path() {
    let token = format!("{}{}", "ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
    let content = format!("{token}\n{}", "x\n".repeat(4000));
    let all = tree([("a", inline(content.as_bytes())), ("b", inline(content.as_bytes()))]);
    let (packed, bytes) = linked(&all);
    assert_eq!(listing(&bytes)[1].1, '1');
    assert_eq!(packed.facts.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(packed.facts["a"], packed.facts["b"]);
    assert_eq!(packed.facts, blob(&all, Compression::None).0.facts);
}

#[test]
fn without_equal_files_nothing_changes() {
    let all = tree([("a", inline(&prose(1, 5000))), ("b", inline(&prose(2, 5000))), ("c", super::link("a"))]);
    let (packed, bytes) = linked(&all);
    assert_eq!((packed.descriptor.digest, packed), (Digest::of(&bytes), blob(&all, Compression::None).0));
}
