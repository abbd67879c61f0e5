//! Stage 5, for fuzzing: doors to what reads archives (`crate::fuzzing`). Bytes in, a panic where a promise is broken. Writes one
//! temporary file and one temporary store.

pub(crate) use crate::source::packages::fuzzing::{apk, apkindex, deb, packages, release};

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Write};

use crate::event::{Cancel, nowhere};
use crate::source::archive;
use crate::source::image::docker;
use crate::source::index::{FileIndex, Kind, TEXTS};
use crate::source::inside;
use crate::source::list::{Item, Listing, What, list};
use crate::source::local::{Found, headers};
use crate::source::member::{Body, Member};
use crate::source::memo;
use crate::source::merge::merge;
use crate::source::tar::{MOST_PATH_BYTES, Type, entries};
use crate::source::unpack::Stop;
use crate::source::walk::parent;
use crate::store::{Memory, Store};

/// The entries of a tar are no more than its bytes; what a layer says is a tree of plain paths, and is remembered as it is.
pub(crate) fn tar(bytes: &[u8]) {
    let mut found = entries(bytes);
    let (mut count, mut total) = (0, 0);
    while let Ok(Some(entry)) = found.step() {
        count += 1;
        assert!(entry.path.len() <= MOST_PATH_BYTES && entry.target.len() <= MOST_PATH_BYTES);
        assert!(entry.mode <= 0o7777 && (entry.kind == Type::File || entry.size == 0));
        let mut data = Vec::new();
        found.read_to_end(&mut data).expect("memory can be read");
        total += data.len();
        assert!(!entry.whole || data.len() as u64 <= entry.size);
    }
    assert!(count * 512 + total <= bytes.len());
    let Ok((listing, inside)) = inside::seen(Cursor::new(bytes.to_vec()), Stop::default(), &tempfile::tempfile) else {
        return;
    };
    listed(&listing);
    assert!(inside.held.keys().eq(listing.items.keys()));
    assert!(inside::memo::read(&inside::memo::write(&inside)).is_some_and(|again| again == inside));
    let index = merge(std::slice::from_ref(&listing));
    index.iter().for_each(indexed);
    assert!(memo::read(&memo::write(&listing)).is_some_and(|again| again == listing));
}

/// An archive that is taken is a tree of plain paths whose bytes are there; other readers find the same in it.
pub(crate) fn archive(bytes: &[u8]) {
    let Some(members) = members(bytes) else { return };
    let hides = |member: &Member| member.path.split('/').any(|part| part.starts_with(".wh."));
    if bytes.starts_with(b"PK") || members.iter().any(hides) {
        return;
    }
    let Ok((listing, _)) = list(Cursor::new(bytes.to_vec()), Stop::default(), &tempfile::tempfile) else { return };
    let items: Vec<_> = listing.items.iter().filter(|(path, _)| !path.is_empty()).collect();
    assert_eq!(items.len(), members.len(), "a layer's reader finds something else");
    for ((path, item), member) in items.into_iter().zip(&members) {
        assert_eq!(**path, *member.path.as_bytes());
        match (&item.what, &member.body) {
            (What::Known(Kind::File { size }), Body::File(stretch)) => assert_eq!(*size, stretch.size),
            (What::Known(Kind::Link(target)), Body::Link(own)) => assert_eq!(**target, *own.as_bytes()),
            (What::Known(Kind::Directory) | What::Implied, Body::Directory) => {}
            (What::Known(Kind::Other), Body::Device) => {}
            other => panic!("{}: {other:?}", member.path.escape_debug()),
        }
    }
}

/// The same for a zip.
pub(crate) fn zip(bytes: &[u8]) {
    if bytes.starts_with(b"PK") {
        members(bytes);
    }
}

/// What is in an archive that is taken.
pub(crate) fn members(bytes: &[u8]) -> Option<Vec<Member>> {
    let home = tempfile::tempdir().expect("a temporary directory");
    let store = Store::new(home.path(), Memory::Off, nowhere());
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    let members = archive::scan(&store, &Cancel::default(), "x", file).ok()?;
    let mut last: Option<&str> = None;
    let mut directories = std::collections::BTreeSet::new();
    for member in &members {
        assert!(is_plain(member.path.as_bytes()) && !member.path.is_empty() && last < Some(member.path.as_str()));
        last = Some(&member.path);
        let above = member.path.rsplit_once('/').map(|(above, _)| above);
        assert!(
            above.is_none_or(|above| directories.contains(above)),
            "{} stands in nothing",
            member.path.escape_debug()
        );
        match &member.body {
            Body::Directory => drop(directories.insert(member.path.as_str())),
            Body::File(stretch) => {
                let (_, size) = store.open(&stretch.blob).ok().flatten().expect("the bytes are kept");
                assert!(stretch.start + stretch.size <= size, "{}", member.path.escape_debug());
            }
            Body::Link(target) => assert!(!target.is_empty() && target.len() < MOST_PATH_BYTES),
            Body::Device => {}
        }
    }
    Some(members)
}

fn listed(listing: &Listing) {
    for (path, item) in &listing.items {
        assert!(is_plain(path), "{}", path.escape_ascii());
        let above = listing.items.get(parent(path)).map(|item| &item.what);
        let stands = matches!(above, Some(What::Implied | What::Known(Kind::Directory)));
        assert!(stands || parent(path).is_empty(), "{} stands in nothing", path.escape_ascii());
        if let Item { what: What::Lower(target), .. } = item {
            assert!(is_plain(target), "{}", target.escape_ascii());
        }
    }
    assert!(listing.whiteouts.iter().chain(&listing.opaque).all(|path| is_plain(path)));
    let starts: BTreeSet<u64> = listing.items.values().filter_map(|item| item.start).collect();
    let told = listing.told.natures.keys().chain(listing.told.texts.keys());
    assert!(told.clone().count() <= listing.size as usize && starts.len() <= listing.items.len());
    assert!(told.into_iter().all(|start| *start < listing.size));
    assert!(listing.texts.keys().all(|path| TEXTS.iter().any(|text| text.as_bytes() == &**path)));
}

fn indexed(index: &FileIndex) {
    for (path, _) in index.iter() {
        let above = index.at(parent(path)).map(|node| &node.kind);
        assert_eq!(above, Some(&Kind::Directory), "{}", path.escape_ascii());
    }
}

/// Whether a path stays below the root and can be written in one way only.
fn is_plain(path: &[u8]) -> bool {
    path.is_empty() || path.split(|byte| *byte == b'/').all(|part| !matches!(part, [] | [b'.'] | [b'.', b'.']))
}

/// The files of an archive lie in it; an archive of `docker save` is taken whole or refused.
pub(crate) fn docker_archive(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    let mut read = file.reopen().expect("a temporary file");
    for (path, found) in headers(&mut read).unwrap_or_default() {
        assert!(is_plain(&path), "{}", path.escape_ascii());
        if let Found::Plain { start, size } = found {
            assert!(start + size <= bytes.len() as u64, "{}", path.escape_ascii());
        }
    }
    let home = tempfile::tempdir().expect("a temporary directory");
    let (store, cancel) = (Store::new(home.path(), Memory::Off, nowhere()), Cancel::default());
    let Ok(docker::Names::Images(count)) = docker::names(&store, file.path(), &cancel) else { return };
    for at in 0..count.min(2) {
        if let Ok(taken) = docker::take(&store, file.path(), Some(&format!("{}{at}", docker::AT)), &cancel) {
            assert!(store.open(&taken.root.digest).is_ok_and(|found| found.is_some()), "its manifest is not there");
        }
    }
}
