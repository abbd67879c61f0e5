//! Stage 6: what is known of contents, and what is not.

use std::fs;
use std::path::Path;

use super::*;
use crate::facts::programs::Script;
use crate::facts::{Secret, programs};
use crate::layer::tests::{ctx, disk};
use crate::layer::tree::Body;

fn content(path: &Path) -> Content {
    match disk(path).body {
        Body::File(content) => content,
        other => panic!("{other:?}"),
    }
}

fn written(joined: &Joined<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    joined.write(&mut bytes).unwrap();
    bytes
}

/// Reads a file whole, as packing does.
fn read(known: &Known, content: &Content, bytes: &[u8]) -> Facts {
    let mut reading = known.reading(content);
    bytes.chunks(7).for_each(|piece| reading.piece(piece));
    let facts = reading.end();
    known.settle();
    facts
}

/// The same, for a build that runs a minute later: nothing is too young for it.
fn later(known: Known) -> Known {
    Known { moment: Moment::now().after(60), ..known }
}

#[test]
fn a_content_is_known_by_a_later_build_as_long_as_it_looks_the_same() {
    let (home, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ctx, path) = (ctx(home.path()), project.path().join("file"));
    let script = format!("#!/bin/sh -e\n{}{}\n", "ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
    fs::write(&path, &script).unwrap();
    let known = later(Known::load(&ctx, project.path()));
    let seen = content(&path);
    assert_eq!((known.fact(&seen), known.id(&seen)), (None, None));
    known.looked(&seen, programs::read(script.as_bytes()).as_ref(), Some(b"text"));
    let facts = read(&known, &seen, script.as_bytes());
    assert_eq!(facts.secrets.len(), 1);
    known.save(&ctx);
    let expected = Fact {
        id: Some(Digest::of(script.as_bytes())),
        program: true,
        nature: Some(Nature::Script(Script { interpreter: "/bin/sh".into(), argument: Some("-e".into()) })),
        text: Some(b"text".to_vec()),
        facts,
    };
    let again = Known::load(&ctx, project.path());
    assert_eq!(again.fact(&content(&path)), Some(expected.clone()));
    assert_eq!(again.digest(&crate::layer::read::seen(&path.symlink_metadata().unwrap())), expected.id);
    assert_eq!(Known::load(&ctx, home.path()).fact(&content(&path)), None, "another project");
    // The same bytes in the same time and size, in another file.
    fs::copy(&path, project.path().join("other")).unwrap();
    fs::rename(project.path().join("other"), &path).unwrap();
    assert_eq!(again.fact(&content(&path)), None);
}

#[test]
fn what_is_too_young_is_known_to_this_build_only() {
    let (home, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ctx, path) = (ctx(home.path()), project.path().join("file"));
    let known = Known::load(&ctx, project.path());
    fs::write(&path, "young").unwrap();
    read(&known, &content(&path), b"young");
    assert_eq!(known.id(&content(&path)), Some(Digest::of(b"young")));
    known.save(&ctx);
    assert_eq!(Known::load(&ctx, project.path()).id(&content(&path)), None);
}

#[test]
fn what_is_damaged_is_nothing() {
    let (home, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ctx, path) = (ctx(home.path()), project.path().join("file"));
    fs::write(&path, "text").unwrap();
    let known = later(Known::load(&ctx, project.path()));
    read(&known, &content(&path), b"text");
    known.save(&ctx);
    let kind = ctx.store.root().join("memo").join(KIND);
    let file = fs::read_dir(kind).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    let is_known = || Known::load(&ctx, project.path()).fact(&content(&path)).is_some();
    assert!(is_known());
    for at in 0..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 1;
        fs::write(&file, &other).unwrap();
        assert!(!is_known(), "byte {at}");
        fs::write(&file, &whole[..at]).unwrap();
        assert!(!is_known(), "{at} bytes");
    }
    fs::write(&file, &whole).unwrap();
    assert!(is_known());
}

#[test]
fn a_table_is_read_back_and_keeps_what_was_asked_for() {
    let key = |number: u32| short(&Digest::of(&number.to_le_bytes()));
    let fact = |number: u32| Fact {
        id: Some(Digest::of(&number.to_be_bytes())),
        program: number.is_multiple_of(2),
        nature: (number.is_multiple_of(5)).then_some(Nature::Object),
        text: (number.is_multiple_of(7)).then(|| number.to_string().into_bytes()),
        facts: Facts {
            secrets: (number.is_multiple_of(11))
                .then(|| Secret::told("a private key", Some(3)).unwrap())
                .into_iter()
                .collect(),
        },
    };
    let table = |numbers: std::ops::Range<u32>| {
        let mut table = Table::default();
        numbers.for_each(|number| table.push(key(number), false, &fact(number)));
        table.sort();
        Table::read(&written(&Joined::new(&Table::default(), &table, 0))).unwrap()
    };
    let joined = |old: &Table, new: &Table, few: usize| {
        let joined = Joined::new(old, new, few);
        let table = Table::read(&written(&joined)).unwrap();
        assert_eq!(table.len(), joined.count);
        table
    };
    let old = table(0..1000);
    (0..1000).for_each(|number| assert_eq!(old.find(&key(number)), Some(fact(number)), "{number}"));
    assert_eq!(old.find(&key(1000)), None);
    let bytes = written(&Joined::new(&old, &Table::default(), 1000));
    assert!((0..1000 * 56).step_by(97).all(|cut| Table::read(&bytes[..cut]).is_none()));
    // What is said of a content and cannot be read makes it unknown: nothing is not what it said.
    let cut = Table::read(&bytes[..8 + 1000 * 56]).unwrap();
    let kept = joined(&cut, &Table::default(), 1000);
    assert!((1..1000).contains(&kept.len()), "{}", kept.len());
    (0..1000).for_each(|number| assert_eq!(kept.find(&key(number)), cut.find(&key(number)), "{number}"));
    let again = table(0..1000);
    (0..10).for_each(|number| drop(again.find(&key(number))));
    let both = joined(&again, &table(2000..2010), 5);
    assert_eq!(both.len(), 20, "the others are too many");
    assert_eq!((both.find(&key(7)), both.find(&key(2005))), (Some(fact(7)), Some(fact(2005))));
    assert_eq!(joined(&table(0..1000), &table(2000..2010), 1000).len(), 1010, "they are few");
    // What both know is known once, as the new one knows it.
    let mut newer = Table::default();
    (0..10).for_each(|number| newer.push(key(number), false, &fact(number + 1)));
    newer.sort();
    let both = joined(&table(0..20), &newer, 1000);
    assert_eq!(both.len(), 20);
    (0..20).for_each(|number| {
        let known = if number < 10 { fact(number + 1) } else { fact(number) };
        assert_eq!(both.find(&key(number)), Some(known), "{number}");
    });
}

#[test]
fn a_row_is_found_wherever_it_stands() {
    let spread = |at: u64| short(&Digest::of(&at.to_le_bytes()));
    let together = |at: u64| {
        let mut key = Key::default();
        key[8..].copy_from_slice(&at.to_be_bytes());
        key
    };
    let keys: [&dyn Fn(u64) -> Key; 3] = [&spread, &together, &|at| together(at).map(|byte| !byte)];
    for key in keys {
        for count in [0, 1, 2, 17, 1000] {
            let mut table = Table::default();
            for at in 0..count {
                table.push(key(2 * at), false, &Fact { id: Some(Digest::of(&[at as u8])), ..Fact::default() });
            }
            table.sort();
            for at in 0..count {
                assert_eq!(table.find(&key(2 * at)).unwrap().id, Some(Digest::of(&[at as u8])), "{at} of {count}");
            }
            for at in 0..=count {
                assert_eq!(table.find(&key(2 * at + 1)), None, "{at} of {count}");
            }
        }
    }
}
