//! A layer that is made with the help of an older one is the layer that is made without (checks REP-16, REP-21): whatever changed, and whatever
//! happened to the old blob.

use std::fs;

use super::{ALL, Home, blob, directory, home, inline, link, noise, prose};
use crate::event::Cancel;
use crate::layer::blocks::{Reuse, Table, keys};
use crate::layer::known::Known;
use crate::layer::pack::{Packed, run};
use crate::layer::pipe::Pipe;
use crate::layer::tree::{Entry, Tree};
use crate::oci::Digest;
use crate::oci::media::Compression;

type Files = Vec<(String, Entry)>;
type Change = (&'static str, fn(&mut Files));

/// Small files, a large one, and small ones behind it: about ten blocks.
fn files() -> Files {
    let small = |first: u64| {
        (first..first + 300).map(move |n| (format!("d/{n:04}"), inline(&prose(n, 3000 + (n % 977) as usize))))
    };
    let mut all: Files = small(0).collect();
    all.push(("d".into(), directory()));
    all.push(("d/0300".into(), inline(&[prose(7, 3_500_000), noise(8, 500_000)].concat())));
    all.extend(small(500));
    all.push(("e".into(), link("d/0300")));
    all
}

fn tree(files: &Files) -> Tree {
    files.iter().cloned().collect()
}

fn keys_of(tree: &Tree) -> Vec<Digest> {
    keys(&tree.into(), &Known::default(), &Cancel::default()).unwrap().unwrap()
}

/// Packs a tree, with what an old blob gives; the layer, and its table.
fn packed(tree: &Tree, compression: Compression, home: &Home, reuse: Option<&Reuse>) -> (Packed, Table) {
    let (cancel, known) = (Cancel::default(), Known::default());
    let (compression, store, progress) = (compression.into(), &home.1, &|_| ());
    let pipe = Pipe { compression, store, threads: 2, cancel: &cancel, progress, known: &known, reuse, damage: None };
    let (packed, marks) = run(&tree.into(), &pipe).unwrap();
    let table = Table::new(packed.descriptor.digest, &keys_of(tree), marks).unwrap();
    (packed, table)
}

/// The table of a tree that is the first one of its name.
fn first(tree: &Tree, compression: Compression, home: &Home) -> Table {
    packed(tree, compression, home, None).1
}

/// Packs a tree after another one; the layer, its table, and how many blocks were known.
fn second(table: &Table, tree: &Tree, compression: Compression, home: &Home) -> (Packed, Table, u64) {
    let old = home.1.parts(&table.blob).unwrap();
    let reuse = old.and_then(|old| Reuse::find(table, &keys_of(tree), compression, old));
    let (packed, table) = packed(tree, compression, home, reuse.as_ref());
    (packed, table, reuse.as_ref().map_or(0, Reuse::used))
}

fn after(table: &Table, tree: &Tree, compression: Compression, home: &Home) -> (Packed, u64) {
    let (packed, _, used) = second(table, tree, compression, home);
    (packed, used)
}

/// Ways in which a tree may change.
fn changes() -> Vec<Change> {
    fn at<'a>(files: &'a mut Files, path: &str) -> &'a mut Entry {
        &mut files.iter_mut().find(|(name, _)| name == path).unwrap().1
    }
    vec![
        ("nothing", |_| ()),
        ("the first entry", |files| at(files, "d").mode = crate::layer::tree::Mode::Fixed(0o700)),
        ("a byte in the middle", |files| {
            let mut bytes = [prose(7, 3_500_000), noise(8, 500_000)].concat();
            bytes[2_000_000] ^= 1;
            *at(files, "d/0300") = inline(&bytes);
        }),
        ("an owner near the end", |files| at(files, "d/0790").uid = 7),
        ("the last entry", |files| *at(files, "e") = link("d/0001")),
        ("an entry more", |files| files.push(("d/0003x".into(), inline(&noise(1, 50_000))))),
        ("an entry less", |files| files.retain(|(path, _)| path != "d/0520")),
        ("a shorter file", |files| *at(files, "d/0300") = inline(&prose(7, 1_200_000))),
        ("a tree of one block", |files| files.truncate(3)),
        ("other contents everywhere", |files| files.iter_mut().for_each(|(_, entry)| entry.gid = 9)),
        ("nothing at all", Vec::clear),
    ]
}

#[test]
fn a_layer_after_another_is_the_layer_alone() {
    for (compression, each) in [(Compression::Gzip, 1), (Compression::None, 2), (Compression::Zstd, 4)] {
        let (home, old) = (home(), tree(&files()));
        let table = first(&old, compression, &home);
        assert!(table.rows.len() > 7, "{}", table.rows.len());
        for (what, change) in changes().into_iter().step_by(each) {
            let mut files = files();
            change(&mut files);
            let new = tree(&files);
            let packed = after(&table, &new, compression, &home).0;
            assert_eq!(packed, blob(&new, compression).0, "{compression:?}, {what}");
        }
    }
}

#[test]
fn what_was_found_out_with_help_helps_the_next_one() {
    let (home, old) = (home(), tree(&files()));
    let mut table = first(&old, Compression::Gzip, &home);
    let mut files = files();
    for what in ["an entry less", "a byte in the middle", "an owner near the end"] {
        changes().into_iter().find(|(name, _)| *name == what).unwrap().1(&mut files);
        table = second(&table, &tree(&files), Compression::Gzip, &home).1;
    }
    assert_eq!(table, first(&tree(&files), Compression::Gzip, &home));
    assert_eq!(after(&table, &old, Compression::Gzip, &home).0.descriptor, blob(&old, Compression::Gzip).0.descriptor);
}

#[test]
fn a_changed_byte_makes_its_own_block_and_the_last_one_anew() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let home = home();
        let table = first(&tree(&files()), compression, &home);
        let all = table.rows.len() as u64;
        for (what, fresh) in
            [("nothing", 1), ("a byte in the middle", 2), ("an owner near the end", 2), ("the last entry", 1)]
        {
            let mut files = files();
            changes().into_iter().find(|(name, _)| *name == what).unwrap().1(&mut files);
            let (_, used) = after(&table, &tree(&files), compression, &home);
            assert!(all - used <= fresh, "{compression:?}, {what}: {used} of {all}");
        }
    }
}

#[test]
fn an_old_blob_that_is_not_what_it_was_is_left_alone() {
    let mut changed = files();
    changes().into_iter().find(|(name, _)| *name == "a byte in the middle").unwrap().1(&mut changed);
    let new = tree(&changed);
    for (compression, tenths) in
        [(Compression::Gzip, [0, 3, 5, 8, 10].as_slice()), (Compression::Zstd, &[2, 7]), (Compression::None, &[4])]
    {
        let (home, right) = (home(), blob(&new, compression).0);
        let table = first(&tree(&files()), compression, &home);
        let path = home.1.root().join("blobs/sha256").join(table.blob.hex());
        let whole = fs::read(&path).unwrap();
        for tenth in tenths {
            let at = (whole.len() - 1) * tenth / 10;
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(after(&table, &new, compression, &home).0, right, "{compression:?}, a bit at {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(after(&table, &new, compression, &home).0, right, "{compression:?}, cut at {at}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(after(&table, &new, compression, &home), (right, 0), "{compression:?}, gone");
    }
}

#[test]
fn a_table_is_recalled_whole_or_not_at_all() {
    for compression in ALL {
        let table = first(&tree(&files()), compression, &home());
        let bytes = table.write();
        assert!(bytes.len() < 300 * table.rows.len() + 64, "{} for {}", bytes.len(), table.rows.len());
        assert_eq!(Table::read(&bytes).as_ref(), Some(&table));
        for cut in (0..bytes.len()).step_by(7) {
            assert_eq!(Table::read(&bytes[..cut]), None, "{cut}");
        }
    }
}
