//! A cache that several machines share: what one machine fetched, the next one takes from there; nothing of it is believed, and nothing needs it.

use std::fs;
use std::path::{Path, PathBuf};

use super::registry::Registry;
use super::support::{Base, Project, file, manifest};

/// A registry with a base, and its reference.
async fn base() -> (Registry, String) {
    let registry = Registry::start().await;
    let given = Project::new();
    let reference = Base::debian().layer([file("etc/more", "more")]).write(&given, "base");
    let digest = reference.rsplit("sha256:").next().unwrap().to_string();
    let name = format!("{}/base/image:1", registry.name());
    given.run(["copy", "oci:base", &name]).success();
    registry.forget();
    (registry, format!("{name}@sha256:{digest}"))
}

/// A machine of its own: an empty store, the same manifest.
fn machine(base: &str) -> Project {
    Project::of(&manifest(base, "[[file]]\ndest = \"/x\"\ncontent = \"x\"\n"))
}

/// Builds with the cache, and gives the digest, how often a blob of the base was asked for, and what was said.
fn build(machine: &Project, registry: &Registry, cache: &str) -> (String, usize, String) {
    registry.forget();
    let done = machine.run(["build"]).env("STILLFRAME_SHARED_CACHE", cache).success();
    (done.digest(), registry.count("GET", "/v2/base/image/blobs/"), done.stderr)
}

/// The blobs that lie in a folder.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder.join("v1/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_machine_fetched_the_next_one_takes_from_a_folder() {
    let (registry, base) = base().await;
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("shared");
    let cache = format!("file://{}", folder.display());
    let (right, asked, said) = build(&machine(&base), &registry, &cache);
    assert!(asked > 0, "the first one fetches: {said}");
    let kept = blobs(&folder);
    assert_eq!(kept.len(), asked, "{kept:?}");
    assert_eq!(build(&machine(&base), &registry, &cache), (right.clone(), 0, said.clone()));
    // Damaged, cut short, too long, or not to be read: fetched from the registry, and the same image.
    for damage in [&b""[..], b"other bytes", &[7; 1 << 20]] {
        for path in &kept {
            fs::write(path, damage).unwrap();
        }
        let (digest, again, told) = build(&machine(&base), &registry, &cache);
        assert_eq!((digest, again), (right.clone(), asked), "{told}");
        assert!(told.contains("shared cache"), "{told}");
    }
    let one = &kept[0];
    fs::remove_file(one).unwrap();
    fs::create_dir(one).unwrap();
    let (digest, again, told) = build(&machine(&base), &registry, &cache);
    assert_eq!((digest, again), (right, asked), "{told}");
    assert_eq!(told.matches("going on without the shared cache").count(), 1, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_a_registry_is_a_shared_cache() {
    let (registry, base) = base().await;
    let shelf = Registry::start().await;
    let cache = format!("oci://{}/team/cache", shelf.name());
    let (right, asked, _) = build(&machine(&base), &registry, &cache);
    assert!(asked > 0);
    assert_eq!(shelf.shelf("team/cache").tags.len(), asked, "one tag holds each blob");
    let (digest, again, said) = build(&machine(&base), &registry, &cache);
    assert_eq!((digest, again), (right.clone(), 0), "{said}");
    // A registry that is away, or that has other bytes, is told of once, and not needed.
    shelf.set(|model| {
        for blob in model.shelves.get_mut("team/cache").unwrap().blobs.values_mut() {
            *blob = b"other".to_vec();
        }
    });
    let (digest, again, said) = build(&machine(&base), &registry, &cache);
    assert_eq!((digest, again), (right.clone(), asked), "{said}");
    assert!(said.contains("going on without the shared cache"), "{said}");
    // Nobody listens there.
    let gone = "oci://127.0.0.1:1/team/cache";
    let (digest, again, said) = build(&machine(&base), &registry, gone);
    assert_eq!((digest, again), (right, asked), "{said}");
    assert_eq!(said.matches("going on without the shared cache").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_adds_nothing_and_offline_asks_no_network() {
    let (registry, base) = base().await;
    let room = tempfile::tempdir().unwrap();
    let cache = format!("file://{}", room.path().join("shared").display());
    let reads = |machine: &Project, value: &str| {
        let run = machine.run(["build"]).env("STILLFRAME_SHARED_CACHE", &cache);
        run.env("STILLFRAME_SHARED_CACHE_READ_ONLY", value)
    };
    reads(&machine(&base), "1").success();
    assert!(!room.path().join("shared").exists());
    let said = reads(&machine(&base), "maybe").fails(2).stderr;
    assert!(said.contains("`maybe`") && said.contains("`1` or `0`"), "{said}");
    let shelf = Registry::start().await;
    let built = machine(&base);
    built.run(["build"]).success();
    registry.forget();
    let network = format!("oci://{}/team/cache", shelf.name());
    built.run(["--offline", "build"]).env("STILLFRAME_SHARED_CACHE", &network).success();
    assert_eq!((shelf.told().len(), registry.told().len()), (0, 0));
}

#[test]
fn an_address_that_means_nothing_is_refused_with_the_way_out() {
    let machine = machine("scratch");
    for (address, why) in [
        ("bucket", "it has no scheme"),
        ("file://shared", "the path is not absolute"),
        ("ftp://host/x", "this scheme is not known"),
        ("oci://UPPER/x:tag", "is no shared cache"),
        ("s3://key:secret@bucket/x", "holds credentials"),
    ] {
        let said = machine.run(["build"]).env("STILLFRAME_SHARED_CACHE", address).fails(2).stderr;
        assert!(said.contains(why) && !said.contains("secret"), "{said}");
    }
}
