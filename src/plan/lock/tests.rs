//! Stage 2: what a lock takes and refuses (checks LCK-02, LCK-03).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Lock, Locked, LockedIndex, Request, Resolved, read, write};
use crate::error::{Result, Text};
use crate::manifest::Family;
use crate::oci::Digest;

fn package(name: &str) -> Locked {
    Locked {
        name: name.into(),
        version: "1:2.0~rc1-1+b2".into(),
        architecture: "amd64".into(),
        platforms: BTreeSet::from(["linux/amd64".into(), "linux/arm64".into()]),
        source: 1,
        path: format!("pool/main/{name}.deb"),
        size: 123_456,
        digest: Digest::of(name.as_bytes()),
    }
}

fn lock() -> Lock {
    let request = Request {
        install: BTreeSet::from(["a".into(), "b>=1".into()]),
        recommends: false,
        sources: vec!["bookworm main @20250520T000000Z".into()],
        bases: BTreeMap::from([("linux/amd64".into(), "scratch".into()), ("linux/arm64".into(), "scratch".into())]),
    };
    let index = LockedIndex { source: 1, suite: "bookworm".into(), date: "2025-05-17T09:00:00Z".into() };
    let packages = vec![package("a"), package("b")];
    Lock { packages: Some(Resolved { family: Family::Debian, request, indexes: vec![index], packages }) }
}

fn text(text: &str) -> Arc<Text> {
    Arc::new(Text { path: "image.lock".into(), text: text.into() })
}

/// The findings as lines: `3:1 message`.
fn findings(lock: Result<Lock>) -> Vec<String> {
    let error = lock.unwrap_err();
    let line = |finding: &crate::error::Finding| {
        let (place, _) = finding.place.as_ref().unwrap();
        let (line, column) = place.line_column();
        format!("{line}:{column} {}", finding.message)
    };
    error.report().unwrap().errors().map(line).collect()
}

#[test]
fn a_lock_is_read_as_it_was_written() {
    for lock in [lock(), Lock::default()] {
        assert_eq!(read(&text(&write(&lock))).unwrap(), lock);
    }
    let text = write(&lock());
    let (head, rest) = text.split_once("[[index]]").unwrap();
    assert_eq!(
        head,
        "# What the manifest beside this file does not pin itself. `stillframe update` writes it; commit it.\n\
         version = 1\n\n[packages]\nfamily = \"debian\"\n\
         fingerprint = \"FINGERPRINT\"\ncount = 2\nrecommends = false\n\
         install = [\n    \"a\",\n    \"b>=1\",\n]\nsources = [\n    \"bookworm main @20250520T000000Z\",\n]\n\n\
         [packages.bases]\n\"linux/amd64\" = \"scratch\"\n\"linux/arm64\" = \"scratch\"\n\n"
            .replace("FINGERPRINT", &lock().packages.unwrap().request.fingerprint().to_string())
    );
    assert!(rest.contains(
        "\n\n[[package]]\nname = \"a\"\nversion = \"1:2.0~rc1-1+b2\"\narchitecture = \"amd64\"\nplatforms = ["
    ));
}

#[test]
fn lck_03_a_lock_that_is_cut_short_is_refused_wherever_it_is_cut() {
    let whole = write(&lock());
    let end = whole.trim_end().len();
    for at in (0..end).filter(|at| whole.is_char_boundary(*at)) {
        // Without any package there is nothing to miss, which the manifest then does.
        let cut = &whole[..at];
        if cut.contains("[packages]") {
            assert!(read(&text(cut)).is_err(), "cut at {at}: {cut}");
        } else {
            assert!(read(&text(cut)).is_err() || read(&text(cut)).unwrap() == Lock::default());
        }
    }
}

#[test]
fn lck_03_what_is_wrong_has_its_place() {
    let whole = write(&lock());
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        findings(read(&text(&whole.replacen(from, to, 1))))
    };
    assert_eq!(with("version = 1\n", "version = 2\n"), ["2:11 it has version 2, this stillframe reads version 1"]);
    assert_eq!(with("count = 2", "count = 3"), ["4:2 it should have 3 packages, and has 2"]);
    let misspelt = ["26:1 `size` is missing; expected is a number", "33:1 the key `sise` is not known here"];
    assert_eq!(with("size = ", "sise = "), misspelt);
    let marked = with("[[index]]\n", "<<<<<<< ours\n[[index]]\n");
    assert_eq!(marked, ["21:1 a merge left its marks in it"]);
    for line in ["=======", "||||||| base", ">>>>>>> theirs"] {
        assert_eq!(with("[[index]]\n", &format!("{line}\n[[index]]\n")), ["21:1 a merge left its marks in it"]);
    }
    assert!(with("path = \"pool/main/a.deb\"", "path = \"pool/../../a.deb\"")[0].contains("`path` is not"));
    assert!(with("source = 1\npath", "source = 2\npath")[0].contains("`source` is not"));
    assert!(with("\"a\",", "\"c\",")[0].contains("the fingerprint is not"));
    assert!(with("recommends = false", "recommends = true")[0].contains("the fingerprint is not"));
    assert!(with("date = \"2025", "date = \"x2025")[0].contains("`date` is not"));
    assert!(with("digest = \"sha256:", "digest = \"sha512:")[0].contains("`digest` is not"));
}

#[test]
fn differences_are_told_in_words() {
    let old = lock().packages.unwrap().request;
    let mut new = old.clone();
    new.install.remove("a");
    new.install.insert("c".into());
    new.recommends = true;
    new.sources[0] = "trixie main".into();
    new.bases.remove("linux/arm64");
    new.bases.insert("linux/amd64".into(), "sha256:x".into());
    assert_eq!(old.differences(&old, None), Vec::<String>::new());
    assert_eq!(
        old.differences(&new, None),
        [
            "`install` has `c` now",
            "`install` has no `a` any more",
            "`no-recommends` is `false` now",
            "the sources are `trixie main` now, and were `bookworm main @20250520T000000Z`",
            "the base for `linux/amd64` is `sha256:x` now, and was `scratch`",
            "the platform `linux/arm64` is gone",
        ]
    );
}

#[test]
fn what_moves_is_told_once_for_all_platforms_that_it_moves_for() {
    let old = lock();
    let mut new = lock();
    let packages = &mut new.packages.as_mut().unwrap().packages;
    packages[0].version = "3".into();
    packages[0].digest = Digest::of(b"3");
    packages[1].platforms.remove("linux/arm64");
    packages.push(Locked { platforms: BTreeSet::from(["linux/arm64".into()]), ..package("c") });
    let line = |change: &super::PackageChange| {
        let shown =
            |side: &Option<(String, u64)>| side.as_ref().map_or("-".to_string(), |(version, _)| version.clone());
        let platforms: Vec<&str> = change.platforms.iter().map(String::as_str).collect();
        format!("{} {} {} {}", change.name, shown(&change.old), shown(&change.new), platforms.join(","))
    };
    let changes: Vec<String> = old.changes(&new).iter().map(line).collect();
    assert_eq!(
        changes,
        [
            "a 1:2.0~rc1-1+b2 3 linux/amd64,linux/arm64",
            "b 1:2.0~rc1-1+b2 - linux/arm64",
            "c - 1:2.0~rc1-1+b2 linux/arm64",
        ]
    );
    assert!(old.changes(&old).is_empty());
}
