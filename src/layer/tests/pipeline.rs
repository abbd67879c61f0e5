//! Stage 6: the same bytes however the work is cut, and nothing published when it fails (checks REP-09, REP-10, REP-16, REP-21).

use std::io::Read;
use std::sync::{Mutex, OnceLock};

use super::{ALL, blob, directory, home, inline, noise, prose, run_with, threads, tree};
use crate::error::Kind;
use crate::event::Cancel;
use crate::layer::known::Known;
use crate::layer::pack::{PackError, pack};
use crate::layer::pipe::{Pipe, Poured};
use crate::layer::tree::Tree;
use crate::oci::media::Compression;
use crate::oci::{DiffId, Digest};

/// Text, noise and zeros in a tree of some blocks of every kind.
fn large() -> Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    let make = || {
        let mixed = [prose(1, 1_400_000), noise(2, 700_000), vec![0; 2_000_000], prose(3, 300_001)].concat();
        tree([("etc", directory()), ("etc/a", inline(&mixed)), ("etc/b", inline(&prose(4, 99)))])
    };
    TREE.get_or_init(make).clone()
}

fn inflate(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    match compression {
        Compression::None => tar.extend(bytes),
        Compression::Gzip => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut tar).unwrap()),
        Compression::Zstd => tar = zstd::decode_all(bytes).unwrap(),
    }
    tar
}

#[test]
fn a_blob_holds_the_tar() {
    let tar = blob(&large(), Compression::None).1;
    for compression in ALL {
        let (packed, bytes) = blob(&large(), compression);
        assert!(inflate(compression, &bytes) == tar);
        assert_eq!(packed.diff_id, DiffId(Digest::of(&tar)));
        assert_eq!(packed.tar_size, tar.len() as u64);
        assert_eq!(packed.descriptor.media_type, compression.layer());
        assert_eq!(packed.modes, [0o755, 0o644, 0o644]);
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    for compression in ALL {
        let expected = blob(&large(), compression).0;
        for count in [1, 2, 3, 8, 16] {
            let home = home();
            let packed = pack(
                &large(),
                compression.into(),
                &home.1,
                threads(count),
                &Cancel::default(),
                &|_| (),
                &Known::default(),
            )
            .unwrap();
            assert_eq!(packed, expected, "{count}");
            assert_eq!(
                run_with(&large(), &home, |pipe| {
                    (pipe.compression, pipe.threads) = (compression.into(), count);
                })
                .unwrap(),
                expected,
                "{count}, with idle threads"
            );
        }
    }
}

fn pour(compression: Compression, content: &[u8], step: usize) -> Poured {
    let (home, cancel) = (home(), Cancel::default());
    let (store, known) = (&home.1, &Known::default());
    let pipe = Pipe {
        compression: compression.into(),
        store,
        threads: 2,
        cancel: &cancel,
        progress: &|_| (),
        known,
        reuse: None,
        damage: None,
    };
    let poured: Result<(Poured, ()), PackError> =
        pipe.run(|feed| content.chunks(step).try_for_each(|bytes| feed.put(bytes)));
    poured.unwrap().0
}

#[test]
fn the_size_of_writes_does_not_matter() {
    let content = [prose(5, 2_400_000), noise(6, 300_000)].concat();
    for compression in ALL {
        let expected = pour(compression, &content, usize::MAX).blob;
        for step in [1, 7, 511, 4096, 65536, 1 << 20] {
            let poured = pour(compression, &content, step);
            assert_eq!((poured.blob, poured.tar_size), (expected, content.len() as u64), "{step}");
        }
    }
}

#[test]
fn a_tar_that_ends_with_a_block_has_no_empty_one_after_it() {
    for (blocks, extra) in [(1, 0), (2, 0), (2, 512), (1, 512)] {
        let content = noise(9, (blocks << 20) + extra);
        let poured = pour(Compression::Gzip, &content, 4096);
        // Noise is stored; what is added for each block is a little, and one block more would show.
        assert!(poured.blob.size < content.len() as u64 + 18 + 5 * 36 * (blocks as u64 + 1));
        assert_eq!(poured.diff_id, DiffId(Digest::of(&content)));
    }
}

#[test]
fn blocks_far_behind_an_entry_that_came_are_the_same_as_before() {
    let files = |count: u64| (0..count).map(|n| (format!("d/{n:04}"), inline(&prose(n, 3000 + (n % 977) as usize))));
    let before: Tree = files(3000).collect();
    let after: Tree = files(3000).chain([("d/0003x".to_string(), inline(&noise(1, 50_000)))]).collect();
    let (before, after) = (blob(&before, Compression::Gzip).1, blob(&after, Compression::Gzip).1);
    // The eight bytes at the end speak of all of the tar.
    let pairs = before.iter().rev().zip(after.iter().rev()).skip(8);
    let same = pairs.take_while(|(one, other)| one == other).count();
    assert!(same > before.len() / 2, "{same} of {}", before.len());
}

#[test]
fn gzip_is_one_member_with_a_fixed_header() {
    let (packed, bytes) = blob(&large(), Compression::Gzip);
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    let mut decoder = flate2::bufread::GzDecoder::new(bytes.as_slice());
    assert_eq!(std::io::copy(&mut decoder, &mut std::io::sink()).unwrap(), packed.tar_size);
    assert!(decoder.into_inner().is_empty());
}

#[test]
fn a_spoiled_block_is_noticed_and_nothing_is_published() {
    type Damage = fn(u64, &mut Vec<u8>);
    let damages: [Damage; 5] = [
        |index, bytes| bytes[0] ^= u8::from(index == 0),
        |index, bytes| bytes[usize::from(index == 1) * 777] ^= u8::from(index == 1) << 3,
        |index, bytes| *bytes.last_mut().unwrap() ^= u8::from(index == 2) * 0x55,
        |index, bytes| bytes.truncate(bytes.len() - usize::from(index == 1)),
        |index, bytes| bytes.extend((index == 1).then_some(0)),
    ];
    for compression in ALL {
        for (number, damage) in damages.into_iter().enumerate() {
            let home = home();
            let change = |pipe: &mut Pipe| (pipe.compression, pipe.damage) = (compression.into(), Some(damage));
            let error = run_with(&large(), &home, change).unwrap_err();
            assert_eq!((error.item, error.error.kind()), (None, Kind::Bug), "{compression:?} {number}");
            assert!(error.error.message().contains("not read back"));
            assert!(home.is_empty());
        }
        let home = home();
        let harmless: Damage = |_, _| ();
        run_with(&large(), &home, |pipe| (pipe.compression, pipe.damage) = (compression.into(), Some(harmless)))
            .unwrap();
        assert!(!home.is_empty());
    }
}

#[test]
fn a_panic_of_a_thread_is_an_error() {
    let home = home();
    let error = run_with(&large(), &home, |pipe| pipe.damage = Some(|index, _| assert_ne!(index, 1))).unwrap_err();
    assert_eq!((error.item, error.error.kind()), (None, Kind::Bug));
    assert!(error.error.message().contains("panicked"));
    assert!(home.is_empty());
}

#[test]
fn a_wish_to_stop_is_heard_between_blocks() {
    let (home, cancel) = (home(), Cancel::default());
    let progress = |_: u64| cancel.set(Kind::Interrupted);
    let content = tree([("a", inline(&vec![0; 32 << 20]))]);
    let error = pack(&content, Compression::Gzip.into(), &home.1, threads(2), &cancel, &progress, &Known::default())
        .unwrap_err();
    assert_eq!((error.item, error.error.kind()), (None, Kind::Interrupted));
    assert!(home.is_empty());
}

#[test]
fn progress_counts_the_tar_and_ends_with_its_size() {
    let (home, steps) = (home(), Mutex::new(Vec::new()));
    let progress = |done: u64| steps.lock().unwrap().push(done);
    let packed =
        pack(&large(), Compression::Gzip.into(), &home.1, threads(3), &Cancel::default(), &progress, &Known::default())
            .unwrap();
    let steps = steps.into_inner().unwrap();
    assert!(steps.is_sorted());
    assert_eq!(steps.last(), Some(&packed.tar_size));
}
