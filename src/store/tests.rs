//! Stage 3: what the store promises (checks STA-04, STA-05, STA-11).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Memory, Store};
use crate::event;
use crate::oci::Digest;

fn store(home: &Path) -> Store {
    Store::new(home, Memory::Full, event::nowhere())
}

#[test]
fn a_damaged_blob_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let digest = store(home.path()).put(b"hello").unwrap();
    let other = store(home.path()).put(b"other").unwrap();
    let path = store(home.path()).blob_path(&digest);
    type Damage = fn(&Path, &Path);
    let damages: [Damage; 5] = [
        |path, _| fs::write(path, b"hel").unwrap(),
        |path, _| fs::write(path, b"").unwrap(),
        |path, _| fs::write(path, b"hellp").unwrap(),
        |path, _| fs::write(path, b"hello, world").unwrap(),
        |path, other| fs::copy(other, path).map(drop).unwrap(),
    ];
    for damage in damages {
        assert!(store(home.path()).open(&digest).unwrap().is_some(), "a whole blob is there");
        damage(&path, &store(home.path()).blob_path(&other));
        assert!(store(home.path()).open(&digest).unwrap().is_none());
        assert!(!path.exists(), "and the damaged file is gone");
        store(home.path()).put(b"hello").unwrap();
    }
}

#[test]
fn a_blob_that_changed_since_is_hashed_again_by_the_same_process() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path());
    let digest = store.put(b"hello").unwrap();
    let path = store.blob_path(&digest);
    let (file, _) = store.open(&digest).unwrap().unwrap();
    assert!(store.is_unchanged(&digest, &file));
    assert!(!store.is_unchanged(&Digest::of(b"other"), &file));
    for memory in [Memory::Careful, Memory::Off] {
        let careful = Store::new(home.path(), memory, event::nowhere());
        let (file, _) = careful.open(&digest).unwrap().unwrap();
        assert!(!careful.is_unchanged(&digest, &file), "looks are not trusted");
    }
    // Another process put it there too.
    fs::write(path.with_extension("new"), b"hello").unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    assert!(!store.is_unchanged(&digest, &file), "the old one has no name any more");
    let (file, _) = store.open(&digest).unwrap().unwrap();
    assert!(store.is_unchanged(&digest, &file));
    fs::write(&path, b"hellp").unwrap();
    fs::File::open(&path).unwrap().set_times(fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH)).unwrap();
    assert!(!store.is_unchanged(&digest, &file));
    assert!(store.open(&digest).unwrap().is_none());
}

#[test]
fn what_is_no_plain_file_counts_as_absent_and_gives_way() {
    let home = tempfile::tempdir().unwrap();
    let digest = Digest::of(b"hello");
    let path = store(home.path()).blob_path(&digest);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let outside = home.path().join("outside");
    fs::write(&outside, b"hello").unwrap();
    type Squat = fn(&Path, &Path);
    let squats: [Squat; 3] = [
        |path, outside| symlink(outside, path).unwrap(),
        |path, _| fs::create_dir(path).unwrap(),
        |path, _| {
            let status = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(status.success());
        },
    ];
    for squat in squats {
        squat(&path, &outside);
        assert!(store(home.path()).open(&digest).unwrap().is_none());
        store(home.path()).put(b"hello").unwrap();
        assert!(store(home.path()).open(&digest).unwrap().is_some());
        assert!(path.symlink_metadata().unwrap().is_file());
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read(outside).unwrap(), b"hello");
}

#[test]
fn a_fact_is_recalled_whole_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let key = Digest::of(b"key");
    store(home.path()).remember("test", &key, b"fact");
    assert_eq!(store(home.path()).recall("test", &key).as_deref(), Some(&b"fact"[..]));
    assert_eq!(Store::new(home.path(), Memory::Off, event::nowhere()).recall("test", &key), None, "--no-cache");
    let path = store(home.path()).memo_path("test", &key);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(store(home.path()).recall("test", &key), None);
}

#[test]
fn nothing_is_left_of_an_unfinished_draft() {
    let home = tempfile::tempdir().unwrap();
    let mut draft = store(home.path()).draft().unwrap();
    std::io::Write::write_all(&mut draft, b"half").unwrap();
    drop(draft);
    assert_eq!(fs::read_dir(store(home.path()).root().join("tmp")).unwrap().count(), 0);
    let mut draft = store(home.path()).draft().unwrap();
    std::io::Write::write_all(&mut draft, b"half").unwrap();
    assert!(draft.finish(Some(&Digest::of(b"whole"))).is_err());
    assert_eq!(fs::read_dir(store(home.path()).root().join("tmp")).unwrap().count(), 0);
    assert!(store(home.path()).size(&Digest::of(b"half")).is_none());
}
