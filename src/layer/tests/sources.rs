//! Stage 6: files of this machine, and what happens when they change (checks LAY-12, LAY-16, LAY-17).

use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::SystemTime;

use super::{ALL, Home, blob, disk, home, inline, noise, plain, run_with, tree, try_pack};
use crate::error::Kind;
use crate::layer::listing::{Kind as Listed, Listing};
use crate::layer::tree::{Body, Content, Disk, Entry, Mode, Tree};
use crate::oci::media::Compression;

fn refused(tree: &Tree) -> String {
    let home = home();
    let error = try_pack(tree, Compression::Gzip, &home).unwrap_err();
    assert!(home.is_empty());
    assert_eq!((error.item, error.error.kind()), (Some(0), Kind::Local));
    error.error.message().to_string()
}

#[test]
fn a_file_is_packed_as_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    for size in [0, 1, 511, 512, 513, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, (1 << 20) + 3] {
        let path = directory.path().join("file");
        let content = noise(size as u64, size);
        fs::write(&path, &content).unwrap();
        assert!(plain(&tree([("f", disk(&path))])) == plain(&tree([("f", inline(&content))])), "{size}");
    }
}

#[test]
fn a_file_below_a_copied_directory_is_found_wherever_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    let path = directory.path().join("sub/f");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let Entry { body: Body::File(Content::Disk(alone)), .. } = disk(&path) else { panic!() };
    let mut listing = Listing::new(directory.path().to_path_buf());
    listing.push("sub/f", Listed::File(alone.seen())).unwrap();
    let body = Body::File(Content::Disk(Disk::new(Arc::new(listing), 0)));
    let below = Entry { body, mode: Mode::ByContent, ..disk(&path) };
    let (packed, bytes) = blob(&tree([("other/name", below)]), Compression::None);
    assert_eq!((&bytes[512..522], packed.modes), (&b"#!/bin/sh\n"[..], vec![0o755]));
}

#[test]
fn holes_and_hard_links_leave_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut content = vec![0; 3 << 20];
    content[2 << 20..(2 << 20) + 5].copy_from_slice(b"hello");
    fs::write(path("dense"), &content).unwrap();
    let mut holes = File::create(path("holes")).unwrap();
    holes.seek(SeekFrom::Start(2 << 20)).unwrap();
    holes.write_all(b"hello").unwrap();
    holes.set_len(3 << 20).unwrap();
    fs::hard_link(path("holes"), path("linked")).unwrap();
    let pair = |one: &Path, two: &Path| tree([("one", disk(one)), ("two", disk(two))]);
    fs::copy(path("dense"), path("other")).unwrap();
    for compression in ALL {
        let linked = blob(&pair(&path("holes"), &path("linked")), compression).0;
        let apart = blob(&pair(&path("dense"), &path("other")), compression).0;
        assert_eq!(linked, apart);
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, "x").unwrap();
    plain(&tree([("f", disk(&path))]));
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    if File::open(&path).is_ok() {
        return; // root reads everything
    }
    assert_eq!(refused(&tree([("f", disk(&path))])), format!("reading `{}`", path.display()));
}

#[test]
fn what_stands_there_instead_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let other = directory.path().join("other");
    fs::write(&other, "hello").unwrap();
    type Swap = fn(&Path, &Path);
    let swaps: [Swap; 6] = [
        |path, _| fs::remove_file(path).unwrap(),
        |path, other| {
            fs::remove_file(path).unwrap();
            symlink(other, path).unwrap();
        },
        |path, _| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
        |path, _| {
            fs::remove_file(path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        },
        |path, other| {
            fs::copy(other, path.with_extension("new")).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
        |path, _| File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap(),
    ];
    for swap in swaps {
        fs::copy(&other, &path).unwrap();
        let listed = tree([("f", disk(&path))]);
        plain(&listed);
        swap(&path, &other);
        assert_eq!(refused(&listed), format!("`{}` changed while it was read", path.display()));
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir(&path);
    }
}

/// Packs a file of 16 MiB and does `change` to it after its first block was written, when the pipeline holds a quarter of it.
fn change_amid(change: fn(&Path)) -> (Home, Result<(), String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, vec![1; 16 << 20]).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let entries = tree([("f", disk(&path))]);
    let (once, done) = (Once::new(), AtomicBool::new(false));
    let progress = |_: u64| {
        once.call_once(|| {
            change(&path);
            done.store(true, Ordering::SeqCst);
        });
    };
    let home = home();
    let packed = super::pack(
        &entries,
        Compression::None.into(),
        &home.1,
        super::threads(2),
        &Default::default(),
        &progress,
        &Default::default(),
    );
    assert!(done.load(Ordering::SeqCst));
    (home, packed.map(drop).map_err(|error| error.error.message().to_string()))
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let changes: [fn(&Path); 4] = [
        |path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap(),
        |path| File::options().write(true).open(path).unwrap().set_len(15 << 20).unwrap(),
        |path| File::options().write(true).open(path).unwrap().write_all(b"same size").unwrap(),
        |path| File::options().write(true).open(path).unwrap().set_len(0).unwrap(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (home, packed) = change_amid(change);
        assert!(packed.as_ref().is_err_and(|message| message.contains("changed while it was read")), "{number}");
        assert!(home.is_empty());
    }
    let (home, packed) = change_amid(|_| ());
    assert_eq!(packed, Ok(()));
    assert!(!home.is_empty());
}

#[test]
fn the_first_error_in_the_order_of_the_tree_counts() {
    let absent = |number: u32| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(format!("absent-{number}"));
        fs::write(&path, "x").unwrap();
        Entry { item: number, ..disk(&path) }
    };
    let entries = tree([("a", inline(&[0; 2 << 20])), ("b", absent(7)), ("c", absent(8)), ("d", inline(b""))]);
    for threads in [1, 2, 8] {
        let home = home();
        let error = run_with(&entries, &home, |pipe| pipe.threads = threads).unwrap_err();
        assert_eq!(error.item, Some(7));
        assert!(error.error.message().contains("absent-7"));
        assert!(home.is_empty());
    }
}
