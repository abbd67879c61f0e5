//! Behind all stages: the doors for fuzzing, by name (`fuzz/README.md`). Bytes from anywhere in; a panic where a reader breaks a
//! promise, else nothing. Each door also lives beside its reader, so that the rooms keep what is private. Touches a temporary file.
//!
//! No part of the program comes here: `fuzz/` does, and `tests/it/corpus.rs`, which replays the kept corpus.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::render;
use crate::error::{Error, Text};
use crate::facts::{Facts, Look, MOST_SECRETS, programs};
use crate::layer;
use crate::manifest::{self, Location, Outside};
use crate::oci::{Digest, Document, Image, Reference, Registry, Repository, Tag, json, media};
use crate::plan::{Lock, Plan, lock};
use crate::registry;
use crate::source;
use crate::trust::scan;
use crate::versions;

/// A reader that takes bytes from anywhere.
pub type Door = fn(&[u8]);

/// All doors. A name is that of a target in `fuzz/fuzz_targets` and of a directory in `fuzz/corpus`.
pub const DOORS: [(&str, Door); 26] = [
    ("address", registry::fuzzing::address),
    ("apk", source::fuzzing::apk),
    ("apkindex", source::fuzzing::apkindex),
    ("archive", source::fuzzing::archive),
    ("certificates", layer::roots::certificates),
    ("challenge", registry::fuzzing::challenge),
    ("config", config),
    ("content", content),
    ("content_range", registry::fuzzing::content_range),
    ("deb", source::fuzzing::deb),
    ("docker_archive", source::fuzzing::docker_archive),
    ("helper", registry::fuzzing::helper),
    ("image_toml", image_toml),
    ("index", index),
    ("link", registry::fuzzing::link),
    ("lock", lock),
    ("manifest", manifest),
    ("openvex", scan::fuzzing::openvex),
    ("packages", source::fuzzing::packages),
    ("program", programs::fuzzing::program),
    ("reference", reference),
    ("release", source::fuzzing::release),
    ("tar", source::fuzzing::tar),
    ("versions", versions::fuzzing::versions),
    ("vulnerability", scan::fuzzing::record),
    ("zip", source::fuzzing::zip),
];

/// Goes through the door of this name.
pub fn enter(name: &str, bytes: &[u8]) {
    let door = DOORS.iter().find(|door| door.0 == name);
    door.unwrap_or_else(|| panic!("there is no door `{name}`")).1(bytes);
}

/// What is read as a name is what it prints, and stays one part of a URL and one directory below another.
fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    again::<Digest>(text);
    again::<Tag>(text);
    again::<Registry>(text);
    again::<Repository>(text);
    if let Some(read) = again::<Reference>(text) {
        let path = &read.repository.path;
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        assert!(path.bytes().all(inner), "`{path}`");
        assert!(path.split('/').all(|part| part.starts_with(char::is_alphanumeric)), "`{path}`");
        registry::fuzzing::names(&read);
    }
}

/// Reads a text; what was read prints as something that reads the same.
fn again<T: std::str::FromStr<Err = Error> + ToString + PartialEq>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(read) => {
            let written = read.to_string();
            assert!(written.parse::<T>().ok().is_some_and(|again| again == read), "`{text}` prints as `{written}`");
            Some(read)
        }
        Err(error) => {
            shown(&error);
            None
        }
    }
}

/// An error says something, is not long, and brings no control characters to the terminal.
fn shown(error: &Error) {
    assert!(!error.message().is_empty());
    clean(&render::error(error, false));
}

fn clean(text: &str) {
    assert!(!text.contains(|character: char| character.is_control() && character != '\n'), "{text:?}");
}

fn manifest(bytes: &[u8]) {
    document(bytes, [media::MANIFEST, media::DOCKER_MANIFEST]);
}

fn index(bytes: &[u8]) {
    document(bytes, [media::INDEX, media::DOCKER_LIST]);
}

/// A document is read the same under each type that takes it, and what is written again says the same.
fn document(bytes: &[u8], types: [&str; 2]) {
    let what = "the document";
    let read = match Document::read(bytes, None, what) {
        Ok(read) => read,
        Err(error) => {
            shown(&error);
            let under = types.map(|named| Document::read(bytes, Some(named), what));
            return assert!(under.iter().all(Result::is_err), "a declared type made it right");
        }
    };
    let (written, list, rest) = match &read {
        Document::Manifest(manifest) => (json::canonical(manifest), false, &manifest.rest),
        Document::Index(index) => (json::canonical(index), true, &index.rest),
    };
    let other = ["manifests", "layers", "config"].into_iter().find_map(|key| rest.get(key));
    assert!(other.is_none_or(serde_json::Value::is_null), "it is a manifest and an index");
    assert!(Document::read(&written, None, what).is_ok_and(|again| again == read), "it is not what it was");
    for named in types {
        if let Ok(under) = Document::read(bytes, Some(named), what) {
            assert_eq!(under, read);
            assert_eq!([media::INDEX, media::DOCKER_LIST].contains(&named), list);
        }
    }
}

/// Nothing of a config is lost when it is written again.
fn config(bytes: &[u8]) {
    match json::read::<Image>(bytes, "the config") {
        Ok(read) => {
            let written = json::canonical(&read);
            assert!(json::read::<Image>(&written, "the config").is_ok_and(|again| again == read));
        }
        Err(error) => shown(&error),
    }
}

/// What a content says of itself does not depend on how its bytes come, and is no more than is promised.
fn content(bytes: &[u8]) {
    let whole = Facts::of(bytes);
    assert!(whole.secrets.len() <= MOST_SECRETS);
    for cut in [1, 511, 4099] {
        let mut look = Look::new(bytes.len() as u64);
        bytes.chunks(cut).for_each(|piece| look.piece(piece));
        assert_eq!(look.end(), whole, "cut each {cut} bytes");
    }
}

/// A lock that is read is written as one that reads the same, and stays so.
fn lock(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let named = |text: &str| Arc::new(Text { path: "image.lock".into(), text: text.into() });
    match lock::read(&named(text)) {
        Ok(read) => {
            let written = lock::write(&read);
            assert!(lock::read(&named(&written)).is_ok_and(|again| again == read), "it is not what it was");
        }
        Err(error) => shown(&error),
    }
}

/// A manifest has a plan or mistakes, and the mistakes can be shown. Nothing outside of the text exists.
fn image_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let nowhere = PathBuf::from("/nowhere");
    let text = Arc::new(Text { path: "image.toml".into(), text: text.into() });
    let (file, directory) = (nowhere.join("image.toml"), nowhere.clone());
    let location = Location { text, file, directory, around: nowhere, root: None };
    let read = manifest::read(&location, &Outside { sets: &[], env: &|_| None });
    let shown = render::text(&read.report, false);
    clean(&shown);
    assert_eq!(shown.is_empty(), read.report.all().is_empty());
    assert!(render::json(&read.report).is_array());
    if read.report.pass().is_ok() {
        let plan = Plan::new(&read.manifest, &Lock::default());
        for image in &plan.images {
            let planned: usize = image.layers.iter().map(|layer| layer.items.len()).sum();
            assert_eq!(planned, image.items.len(), "each item stands in one layer");
        }
    }
}
