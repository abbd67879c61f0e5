//! Every secret of these tests holds one word, so that one search finds whichever of them was shown or kept (check AUT-15). Each run of
//! [`super::Project`] and each client on a stand is searched when it ends, and so is everything that a project's runs left on the disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The word, and how base64 writes it at each of the three places where it can begin. Without its hyphen it stands in Rust's own
/// library, and so in every program that a test builds.
const FORMS: [&str; 4] = ["CANARY-", "Q0FOQVJZ", "NBTkFSW", "DQU5BUl"];
/// The files in which `login` may keep a credential.
const KEEPERS: [&str; 2] = ["config.json", "auth.json"];

/// Whether a text holds a secret.
pub fn sings(text: &str) -> bool {
    FORMS.iter().any(|form| text.contains(form))
}

/// Asserts that a text holds no secret.
#[track_caller]
pub fn silent(text: &str) {
    assert!(!sings(text), "a secret was shown:\n{text}");
}

/// The files below a directory that hold a secret, but for those that were given and those that are there to keep one.
pub fn kept(directory: &Path, given: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(kept(&path, given));
        } else if kind.is_file() && !given.contains(&path) && !KEEPERS.iter().any(|keeper| name == *keeper) {
            let bytes = fs::read(&path).unwrap_or_default();
            if sings(&String::from_utf8_lossy(&bytes)) || sings(&name.to_string_lossy()) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn aut_15_the_search_finds_a_secret_in_every_form() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for text in ["CANARY-word", "a:CANARY-word", "ab:CANARY-word", "user:CANARY-"] {
        assert!(sings(text) && sings(&STANDARD.encode(text)), "{text}");
    }
    assert!(!sings("a canary") && !sings(&STANDARD.encode("a canary")));
    let room = tempfile::tempdir().unwrap();
    fs::create_dir(room.path().join("below")).unwrap();
    for name in ["config.json", "below/kept", "below/given"] {
        fs::write(room.path().join(name), b"\xff\x00CANARY-").unwrap();
    }
    let given = BTreeSet::from([room.path().join("below/given")]);
    assert_eq!(kept(room.path(), &given), [room.path().join("below/kept")]);
}
