//! What of a mirror is believed: nothing that is not signed, nothing old, no other bytes (checks PKG-01 to PKG-03, LCK-05).

use stillframe::oci::Digest;

use super::repo::{Repo, Said, key, release};
use super::{project, usual, world};
use crate::support::Project;

/// `update` fails with this code, says this, and writes no lock.
#[track_caller]
fn refused(project: &Project, code: i32, words: &[&str]) {
    let before = std::fs::read(project.path("image.lock")).ok();
    let done = project.run(["update"]).fails(code);
    for word in words {
        assert!(done.stderr.contains(word), "`{word}` is not in {}", done.stderr);
    }
    assert_eq!(std::fs::read(project.path("image.lock")).ok(), before, "the lock is as it was");
}

/// PKG-01: each text would be no index at all if it were read, so that a reader before the signature's check would tell of that.
#[test]
fn pkg_01_an_index_that_is_not_signed_is_not_read() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    let whole = String::from_utf8(repo.mirror.get("dists/bookworm/InRelease")).unwrap();
    let begin = "-----BEGIN PGP SIGNED MESSAGE-----";
    let unsigned = "Suite: stable\nCodename: bookworm\nnot a release\n".to_string();
    for text in [
        whole.replacen("Origin: Test", "Origin: Evil", 1),
        whole.replacen("Date:", "Data:", 1),
        unsigned,
        whole.split("-----BEGIN PGP SIGNATURE-----").next().unwrap().to_string(),
        String::new(),
        format!(
            "{begin}\nHash: SHA512\n\nnot a release\n-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"
        ),
    ] {
        repo.mirror.put("dists/bookworm/InRelease", text.clone());
        refused(&project, 4, &["reading the suite `bookworm`"]);
    }
    // A text in front of the signed one is not part of it.
    repo.mirror.put("dists/bookworm/InRelease", format!("Origin: Evil\n{whole}"));
    refused(&project, 4, &["its signature cannot be read"]);
    repo.mirror.put("dists/bookworm/InRelease", whole);
    project.run(["update"]).success();
}

#[test]
fn pkg_01_an_unknown_key_is_not_believed() {
    let repo = usual();
    let other = Repo { key: key(9), ..Repo::start() };
    let text = super::manifest("", &repo.mirror.url(), "install = [\"app\"]");
    let project = Project::of(&text).file("keys.asc", other.keyring());
    refused(&project, 4, &["it is not signed by a key of the keyring", "that is not in the keyring"]);
    let shipped = text.replace("keyring = \"keys.asc\"\n", "");
    refused(&Project::of(&shipped), 4, &["it is not signed by a key of the keyring"]);
    refused(&Project::of(&text).file("keys.asc", "no keys"), 2, &["keys.asc", "it is no keyring"]);
    refused(&Project::of(&text), 2, &["keys.asc"]);
}

#[test]
fn pkg_01_a_signature_may_stand_apart() {
    for armoured in [true, false] {
        let repo = usual();
        let project = project(&repo, "install = [\"app\"]");
        let whole = String::from_utf8(repo.mirror.take("dists/bookworm/InRelease").unwrap()).unwrap();
        let text = whole.split("\n\n").nth(1).unwrap().split("-----BEGIN").next().unwrap().to_string();
        repo.mirror.put("dists/bookworm/Release", text.clone());
        refused(&project, 4, &["is not signed"]);
        repo.mirror.put("dists/bookworm/Release.gpg", repo.detached(b"another text", armoured));
        refused(&project, 4, &["not signed by a key"]);
        repo.mirror.put("dists/bookworm/Release.gpg", repo.detached(text.as_bytes(), armoured));
        project.run(["update"]).success();
    }
}

#[test]
fn a_signed_suite_of_another_name_is_not_taken_for_the_one_that_was_asked_for() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    let whole = repo.mirror.get("dists/bookworm/InRelease");
    repo.publish("", &Said { codename: "trixie", suite: "testing", ..Said::default() }, &world());
    let other = repo.mirror.get("dists/trixie/InRelease");
    repo.mirror.put("dists/bookworm/InRelease", other);
    refused(&project, 4, &["calls itself `testing` and `trixie`, not `bookworm`"]);
    repo.mirror.put("dists/bookworm/InRelease", whole);
    project.run(["update"]).success();
}

/// PKG-02 for indexes.
#[test]
fn pkg_02_an_index_is_the_one_that_was_signed() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    let index = repo.mirror.asked();
    assert!(index.is_empty());
    project.run(["update"]).success();
    let path = repo.mirror.asked().into_iter().find(|path| path.contains("by-hash")).unwrap();
    let good = repo.mirror.get(&path);
    for bytes in [b"other".to_vec(), good[..good.len() - 1].to_vec(), [good.clone(), b"x".to_vec()].concat()] {
        repo.mirror.put(&path, bytes);
        let fresh = self::project(&repo, "install = [\"app\"]");
        refused(&fresh, 3, &["main"]);
    }
}

/// PKG-02 and LCK-05 for packages.
#[test]
fn pkg_02_a_package_is_the_one_that_was_locked() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    project.run(["update"]).success();
    let path = "pool/app_1.0-1_amd64.deb";
    let good = repo.mirror.get(path);
    let mut same_size = good.clone();
    *same_size.last_mut().unwrap() ^= 1;
    for bytes in [same_size.clone(), good[..good.len() - 1].to_vec(), [good.clone(), b"x".to_vec()].concat()] {
        repo.mirror.put(path, bytes);
        let done = project.run(["build"]).fails(3);
        assert!(done.stderr.contains(&format!("{}/{path}", repo.mirror.url())), "{}", done.stderr);
        assert!(!done.stderr.contains("is refused"), "nothing of it was read: {}", done.stderr);
    }
    repo.mirror.put(path, same_size.clone());
    let done = project.run(["build"]).fails(3);
    for digest in [Digest::of(&good), Digest::of(&same_size)] {
        assert!(done.stderr.contains(&digest.to_string()), "{}", done.stderr);
    }
    repo.mirror.put(path, good);
    project.run(["build"]).success();
}

/// PKG-03. The dates are far from today on both sides, so that no clock matters.
#[test]
fn pkg_03_an_old_index_is_refused() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    project.run(["update"]).success();
    repo.publish("", &Said { date: 1_740_000_000, ..Said::default() }, &world());
    refused(
        &project,
        4,
        &["its index is of 2025-02-19T21:20:00Z, older than the locked one of 2025-06-15T15:06:40Z", "--allow-older"],
    );
    project.run(["update", "--allow-older"]).success();
    project.run(["update"]).success();
    let expired = Said { date: 1_750_000_000, valid_until: Some(1_750_600_000), ..Said::default() };
    repo.publish("", &expired, &world());
    refused(&project, 4, &["its index was good until 2025-06-22T13:46:40Z", "check-valid-until"]);
    let text = std::fs::read_to_string(project.path("image.toml")).unwrap();
    project.write("image.toml", text.replace("install", "check-valid-until = false\ninstall"));
    project.run(["update"]).success();
    repo.publish("", &Said { valid_until: Some(32_000_000_000), ..Said::default() }, &world());
    project.write("image.toml", text);
    project.run(["update"]).success();
}

#[test]
fn a_snapshot_is_read_below_its_moment_however_old_it_is() {
    let repo = Repo::start();
    let said = Said { valid_until: Some(1_750_600_000), ..Said::default() };
    repo.publish("20250620T000000Z", &said, &world());
    let project = project(&repo, "snapshot = \"2025-06-20\"\ninstall = [\"app\"]");
    project.run(["update"]).success();
    let lock = std::fs::read_to_string(project.path("image.lock")).unwrap();
    assert!(lock.contains("\"bookworm main @20250620T000000Z\""), "{lock}");
    project.run(["build"]).success();
    assert!(repo.mirror.asked().iter().all(|path| path.starts_with("20250620T000000Z/")));
}

#[test]
fn a_release_that_lies_about_its_files_is_caught() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    let said = Said { by_hash: false, ..Said::default() };
    repo.mirror.put("dists/bookworm/main/binary-amd64/Packages", "x");
    let file = |size: &str| format!(" {} {size} main/binary-amd64/Packages\n", Digest::of(b"x").hex());
    for (files, code, words) in [
        (String::new(), 3, "lists no file"),
        (file("99999999999999999999"), 3, "a size that is none"),
        (file("9999999999"), 3, "are allowed"),
        (file("1"), 3, "has no name or no version"),
        (file("2"), 3, "main"),
        (format!("{}\n\nAnother: stanza\n", file("1")), 3, "is not one stanza"),
    ] {
        repo.sign("dists/bookworm", &release(&said, &files));
        refused(&project, code, &[words]);
    }
}
