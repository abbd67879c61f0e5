//! Stage 5: what archives from anywhere promise (checks ARC-01 to ARC-19).

mod limits;
mod tapes;
mod zips;

use std::io::{Read, Seek, SeekFrom, Write};

use crate::error::{Error, Kind, Result};
use crate::oci::Digest;
use crate::source::archive;
use crate::source::fixture::Fixture;
use crate::source::member::{Body, Member};

/// Reads an archive, and what its files hold.
struct Reading {
    fixture: Fixture,
    members: Vec<Member>,
}

fn read(bytes: &[u8]) -> Result<Reading> {
    let fixture = Fixture::new();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let read = archive::read(&fixture.ctx, "x.tar", &Digest::of(bytes), file, || Ok(()));
    // Whatever it was: nothing but the store was written to, and there nothing is left open.
    let left = std::fs::read_dir(fixture.store().join("tmp")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "something was left in the store");
    read.map(|members| Reading { fixture, members })
}

impl Reading {
    /// One line for each member: what it is, and what it holds.
    fn shown(&self) -> Vec<String> {
        let show = |member: &Member| match &member.body {
            Body::File(stretch) => {
                let (mut file, _) = self.fixture.ctx.store.open(&stretch.blob).unwrap().unwrap();
                file.seek(SeekFrom::Start(stretch.start)).unwrap();
                let mut text = Vec::new();
                file.take(stretch.size).read_to_end(&mut text).unwrap();
                format!("{} = {}", member.path.escape_debug(), text.escape_ascii())
            }
            Body::Directory => format!("{}/", member.path.escape_debug()),
            Body::Link(target) => format!("{} -> {target}", member.path.escape_debug()),
            Body::Device => format!("{} is a device", member.path.escape_debug()),
        };
        self.members.iter().map(show).collect()
    }
}

/// Fails unless the archive is refused, by name and with all of these words.
#[track_caller]
fn refused(bytes: &[u8], words: &[&str]) {
    let error = match read(bytes) {
        Ok(reading) => panic!("{words:?} was expected, there are {:?}", reading.shown()),
        Err(error) => error,
    };
    assert_eq!(error.kind(), Kind::Usage, "{error:?}");
    let said = said(&error);
    for word in ["the archive `x.tar` is refused"].iter().chain(words) {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains(char::is_control), "{said}");
}

fn said(error: &Error) -> String {
    format!("{error:?}")
}
