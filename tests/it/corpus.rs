//! The kept corpus of the fuzz targets goes through the same doors again, so that what was found once stays found.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use stillframe::fuzzing::{DOORS, enter};

fn fuzz(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(below)
}

fn names(below: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz(below)).unwrap();
    let name = |entry: fs::DirEntry| entry.path().file_stem().unwrap().to_str().unwrap().to_string();
    entries.map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn arc_20_the_corpus_of_each_target_passes_again() {
    for (name, door) in DOORS {
        let mut count = 0;
        for entry in fs::read_dir(fuzz("corpus").join(name)).unwrap() {
            door(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 5, "{name}: {count} files are no corpus");
    }
}

#[test]
fn each_door_has_a_target_and_a_corpus() {
    let doors: BTreeSet<String> = DOORS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names("fuzz_targets"), doors);
    assert_eq!(names("corpus"), doors);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for door in &doors {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{door}.rs\"")), "fuzz/Cargo.toml lacks {door}");
    }
}

#[test]
#[should_panic = "there is no door `nowhere`"]
fn a_door_that_is_not_there_is_no_pass() {
    enter("nowhere", b"");
}
