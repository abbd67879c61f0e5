//! Stage 3: what tidying up promises (check STA-07).

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Held, Reach, Thing, Wish, choose};
use crate::event;
use crate::oci::{Descriptor, Digest, media};
use crate::store::{Kept, Memory, Store};

fn store(home: &Path) -> Store {
    Store::new(home, Memory::Full, event::nowhere())
}

fn moment(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn blob(name: &str, size: u64, used: u64) -> Held {
    Held { what: Thing::Blob(Digest::of(name.as_bytes())), size, used: moment(used) }
}

fn image(name: &str, names: &[&str], blobs: &[&str], used: u64) -> (Kept, SystemTime, Reach) {
    let root = Descriptor::of(media::MANIFEST, name.as_bytes());
    let names = names.iter().map(|name| name.to_string()).collect();
    let all = blobs.iter().map(|name| (Digest::of(name.as_bytes()), 1)).collect();
    let reach = Reach { blobs: all, ..Reach::default() };
    (Kept { root, references: names, platforms: Vec::new() }, moment(used), reach)
}

/// What goes, in words.
fn gone(wish: Wish, since: Option<u64>) -> String {
    let images = [
        image("named", &["r.test/a:1"], &["named", "shared"], 50),
        image("older", &["r.test/b:1"], &["older", "shared"], 20),
        image("nameless", &[], &["nameless"], 40),
    ];
    let mut held = vec![
        blob("named", 10, 50),
        blob("older", 10, 20),
        blob("shared", 100, 50),
        blob("nameless", 10, 40),
        blob("cache", 1000, 30),
        Held { what: Thing::Memo("index".into(), "x".into()), size: 1, used: moment(60) },
    ];
    held.sort_by_key(|one| one.used);
    let choice = choose(&images, &held, wish, &|used| since.is_some_and(|since| used >= moment(since)));
    let names = ["named", "older", "shared", "nameless", "cache"];
    let name = |digest: &Digest| names.iter().find(|name| Digest::of(name.as_bytes()) == *digest).unwrap().to_string();
    let images = choice.images.iter().map(|kept| format!("image:{}", name(&kept.root.digest)));
    let things = choice.things.iter().map(|one| match &one.what {
        Thing::Blob(digest) => name(digest),
        Thing::Memo(kind, _) => format!("memo:{kind}"),
    });
    images.chain(things).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_no_image_with_a_name_needs_goes_and_with_all_the_images_too() {
    let check = |wish: Wish, expected: &str| assert_eq!(gone(wish, None), expected, "{wish:?}");
    let none = Wish::default();
    check(none, "image:nameless cache memo:index nameless");
    check(
        Wish { all: true, ..none },
        "image:older image:nameless image:named cache memo:index older nameless named shared",
    );
    check(Wish { before: Some(moment(35)), ..none }, "cache");
    check(Wish { all: true, before: Some(moment(35)), ..none }, "image:older cache older");
    // Only as much as is needed, the least recently used first; what images need goes last.
    check(Wish { keep: Some(2000), all: true, ..none }, "");
    check(Wish { keep: Some(200), all: true, ..none }, "cache");
    check(Wish { keep: Some(120), all: true, ..none }, "image:older cache memo:index older");
    check(Wish { keep: Some(50), ..none }, "image:nameless cache memo:index nameless");
}

#[test]
fn nothing_goes_that_somebody_at_work_may_rely_on() {
    let all = Wish { all: true, ..Wish::default() };
    assert_eq!(gone(all, Some(45)), "image:older image:nameless cache older nameless");
    assert_eq!(gone(all, Some(25)), "image:older older");
    assert_eq!(gone(all, Some(0)), "");
}

/// Makes a blob look as if it was used long ago.
fn age(store: &Store, digest: &Digest) {
    let file = File::options().write(true).open(store.blob_path(digest)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    let _ = std::fs::remove_file(store.mark_path(digest));
}

#[test]
fn sta_07_a_blob_that_a_process_at_work_has_looked_at_counts_as_used() {
    let home = tempfile::tempdir().unwrap();
    let old = store(home.path());
    let (looked, sized, other) = (old.put(b"looked").unwrap(), old.put(b"sized").unwrap(), old.put(b"other").unwrap());
    [looked, sized, other].iter().for_each(|digest| age(&old, digest));
    drop(old);
    let free = |expected: &[Digest]| {
        let tidy = store(home.path()).tidy().unwrap();
        let held = tidy.held().unwrap();
        let free = held.iter().filter(|one| !tidy.in_use(one.used)).map(|one| one.what.clone());
        let mut expected: Vec<Thing> = expected.iter().map(|digest| Thing::Blob(*digest)).collect();
        let mut free: Vec<Thing> = free.collect();
        free.sort();
        expected.sort();
        assert_eq!(free, expected);
    };
    free(&[looked, sized, other]);
    let work = store(home.path());
    assert!(work.open(&looked).unwrap().is_some());
    assert!(work.size(&sized).is_some());
    free(&[other]);
    drop(work);
    // Nobody is at work any more, and what the process left of itself is gone.
    free(&[looked, sized, other]);
    assert_eq!(std::fs::read_dir(home.path().join("v1/using")).unwrap().count(), 0);
}

#[test]
fn what_hangs_together_is_found_without_being_used() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path());
    let config = store.put(br#"{"os":"linux","architecture":"amd64","created":"2026-01-01T00:00:00Z","rootfs":{"type":"layers","diff_ids":[]}}"#).unwrap();
    let layer = Digest::of(b"not here");
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": {"mediaType": media::CONFIG, "digest": config, "size": 3},
        "layers": [{"mediaType": media::LAYER, "digest": layer, "size": 7}]});
    let manifest = store.put(manifest.to_string().as_bytes()).unwrap();
    let lost = Digest::of(b"lost");
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [
        {"mediaType": media::MANIFEST, "digest": manifest, "size": 1},
        {"mediaType": media::MANIFEST, "digest": lost, "size": 1}]});
    let index = store.put(index.to_string().as_bytes()).unwrap();
    let reach = store.tidy().unwrap().reach(&index).unwrap();
    let mut expected = [config, layer, manifest, lost, index];
    expected.sort();
    assert_eq!(reach.blobs.keys().copied().collect::<Vec<_>>(), expected);
    assert_eq!(reach.created.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(reach.missing.into_iter().collect::<Vec<_>>(), [lost]);
}
