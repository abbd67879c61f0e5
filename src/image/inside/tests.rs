//! Stage 7, for tests: tables of layers, a word for each entry, and what they make together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Change, Tree, What, diff, merge, mtree, of_layer, of_tree, raw, shown, twins, waste};
use crate::error::Result;
use crate::oci::{DiffId, Digest};
use crate::source::inside::{Attribute, Body, Content, Held, Inside, Name};

/// A layer of these entries: `d PATH`, `f PATH CONTENT`, `l PATH TARGET`, `h PATH FIRST` a hard link in the layer, `H PATH LOWER` one to a
/// lower layer, `c PATH`, `p PATH`, `i PATH` an implied directory, `w PATH` a whiteout, `o PATH` an opaque directory. More words change the
/// entry: `0600` its mode, `7:8` its owner, `@9` its time, `x=y` an attribute.
fn layer(entries: &[&str]) -> Inside {
    let mut inside = Inside {
        diff_id: DiffId(Digest::of(entries.join("\n").as_bytes())),
        size: 0,
        held: BTreeMap::new(),
        whiteouts: Default::default(),
        opaque: Default::default(),
    };
    for entry in entries {
        let words: Vec<&str> = entry.split(' ').collect();
        let path: Name = words[1].trim_matches('/').as_bytes().into();
        let second = || Name::from(words[2].as_bytes());
        let content = |text: &str, twin| Content {
            size: text.len() as u64,
            digest: Digest::of(text.as_bytes()),
            sparse: false,
            twin,
        };
        let (body, used) = match words[0] {
            "w" => {
                inside.whiteouts.insert(path);
                continue;
            }
            "o" => {
                inside.opaque.insert(path);
                continue;
            }
            "d" => (Body::Directory, 2),
            "i" => (Body::Implied, 2),
            "c" => (Body::Character(1, 3), 2),
            "p" => (Body::Fifo, 2),
            "f" => (Body::File(content(words[2], None)), 3),
            "l" => (Body::Link(second()), 3),
            "H" => (Body::Lower(second()), 3),
            "h" => match &inside.held[&second()].body {
                Body::File(first) => (Body::File(Content { twin: Some(second()), ..first.clone() }), 3),
                other => panic!("{other:?}"),
            },
            other => panic!("{other}"),
        };
        let mode = if matches!(body, Body::Directory | Body::Implied) { 0o755 } else { 0o644 };
        let mut held = Held { body, mode, uid: 0, gid: 0, modified: Some((0, 0)), xattrs: BTreeMap::new() };
        for word in &words[used..] {
            if let Some(time) = word.strip_prefix('@') {
                held.modified = Some((time.parse().unwrap(), 0));
            } else if let Some((uid, gid)) = word.split_once(':') {
                (held.uid, held.gid) = (uid.parse().unwrap(), gid.parse().unwrap());
            } else if let Some((name, value)) = word.split_once('=') {
                held.xattrs.insert(name.as_bytes().into(), Attribute::Value(value.as_bytes().into()));
            } else {
                held.mode = u16::from_str_radix(word, 8).unwrap();
            }
        }
        inside.held.insert(path, held);
    }
    inside
}

fn tree(layers: &[&[&str]]) -> Result<Tree> {
    merge(&layers.iter().map(|entries| layer(entries)).collect::<Vec<_>>())
}

/// The rows of a merged image: path, type, what it leads to, layer from 1.
fn rows(tree: &Tree) -> Vec<String> {
    let row = |row: &super::Row<'_>| {
        let to = match &row.what {
            What::File { twin: Some(twin), .. } => format!(" = {}", shown(twin)),
            What::Link(target) => format!(" -> {}", raw(target)),
            _ => String::new(),
        };
        format!("{} {}{to} {}", shown(row.path), row.what.word(), row.layer + 1)
    };
    of_tree(tree).iter().map(row).collect()
}

#[test]
fn layers_are_merged_as_a_container_sees_them() {
    let check = |layers: &[&[&str]], expect: &[&str]| assert_eq!(rows(&tree(layers).unwrap()), expect, "{layers:?}");
    check(&[], &[]);
    check(&[&["d etc", "f etc/a 1"], &["f etc/a 2"]], &["/etc directory 1", "/etc/a file 2"]);
    check(&[&["d etc", "f etc/a 1", "f etc/b 1"], &["w etc/a"]], &["/etc directory 1", "/etc/b file 1"]);
    check(&[&["d etc", "f etc/a 1", "f etcetera 1"], &["w etc"]], &["/etcetera file 1"]);
    check(&[&["d etc", "f etc/a 1"], &["d etc", "o etc", "f etc/b 1"]], &["/etc directory 2", "/etc/b file 2"]);
    // What a whiteout and an entry of one layer say of one path: removed, then put there anew.
    check(&[&["d a", "f a/x 1"], &["w a", "d a", "f a/y 1"]], &["/a directory 2", "/a/y file 2"]);
    // A directory over a directory keeps what is in it, and one that nobody names changes nothing.
    check(&[&["d a 0700", "f a/x 1"], &["d a"]], &["/a directory 2", "/a/x file 1"]);
    check(&[&["d a", "f a/x 1"], &["i a", "f a/y 1"]], &["/a directory 1", "/a/x file 1", "/a/y file 2"]);
    check(&[&["l a b", "d b"], &["i a", "f a/y 1"]], &["/a directory 2", "/a/y file 2", "/b directory 1"]);
    check(&[&["d a", "f a/x 1"], &["f a 1"]], &["/a file 2"]);
    check(&[&["d a", "f a/x 1"], &["l a b"]], &["/a symlink -> b 2"]);
    check(&[&["f a 1"], &["d a"]], &["/a directory 2"]);
    check(&[&["f a 1"], &["o "]], &[]);
    // Hard links: of one layer, of a lower one, and of one whose other name goes away at the same time.
    check(&[&["f b 1", "h a b", "h c b"]], &["/a file 1", "/b file = /a 1", "/c file = /a 1"]);
    check(&[&["f a 1"], &["H b a"]], &["/a file 1", "/b file = /a 2"]);
    check(&[&["f a 1"], &["H b a", "w a"]], &["/b file 2"]);
    check(&[&["c null", "p pipe"]], &["/null character-device 1", "/pipe fifo 1"]);
}

#[test]
fn a_hard_link_to_nothing_is_refused() {
    for layers in [&[&["H b a"][..]][..], &[&["d a"], &["H b a"]]] {
        assert!(tree(layers).unwrap_err().causes()[0].contains("`b` is a hard link to `a`"));
    }
}

/// The records of waste: path, layer that holds it and layer that hides it, why, bytes in files.
fn wasted(layers: &[&[&str]]) -> (Vec<String>, String) {
    let tree = tree(layers).unwrap();
    let one = |one: &super::Waste| {
        format!("{} {}>{} {} {}/{}", shown(&one.path), one.layer + 1, one.by + 1, one.why.word(), one.size, one.files)
    };
    let sums = format!("{}/{} {}", tree.seen_bytes(), tree.stored_bytes(), tree.efficiency());
    let waste = waste(&tree);
    let sum: u64 = waste.iter().map(|one| one.size).sum();
    assert_eq!(sum, tree.stored_bytes() - tree.seen_bytes(), "every hidden byte has its record");
    (waste.iter().map(one).collect(), sums)
}

#[test]
fn what_is_hidden_is_wasted() {
    let check = |layers: &[&[&str]], expect: &[&str], sums: &str| {
        assert_eq!(wasted(layers), (expect.iter().map(|line| line.to_string()).collect(), sums.to_string()));
    };
    check(&[], &[], "0/0 1");
    check(&[&["f a 1234"]], &[], "4/4 1");
    check(&[&["f a 1234"], &["f a 123456"]], &["/a 1>2 replaced 4/1"], "6/10 0.6");
    check(&[&["f a 1234"], &["f a 1234 0600"]], &["/a 1>2 only-facts 4/1"], "4/8 0.5");
    check(&[&["f a 1234"], &["f a 1234"]], &["/a 1>2 again 4/1"], "4/8 0.5");
    check(&[&["f a 1234"], &["w a"]], &["/a 1>2 removed 4/1"], "0/4 0");
    check(&[&["f a 1234"], &["d a", "f a/b 1"]], &["/a 1>2 replaced 4/1"], "1/5 0.2");
    // A directory that is removed is one record for each layer that filled it.
    check(
        &[&["d d", "f d/a 1", "f d/b 12"], &["f d/c 123"], &["w d"]],
        &["/d 1>3 removed 3/2", "/d 2>3 removed 3/1"],
        "0/6 0",
    );
    check(&[&["d d", "f d/a 1"], &["o d", "f d/b 1"]], &["/d 1>2 removed 1/1"], "1/2 0.5");
    check(&[&["d d", "f d/a 1"], &["f d 12"]], &["/d 1>2 replaced 1/1"], "2/3 0.6666");
    // Twice written is twice wasted.
    check(&[&["f a 1"], &["f a 12"], &["f a 123"]], &["/a 2>3 replaced 2/1", "/a 1>2 replaced 1/1"], "3/6 0.5");
    // Bytes that another name still shows are not wasted, and those of two hidden names only once.
    check(&[&["f a 1234", "h b a"], &["w a"]], &[], "4/4 1");
    check(&[&["f a 1234", "h b a"], &["w a", "w b"]], &["/a 1>2 removed 4/1"], "0/4 0");
    check(&[&["f a 1234"], &["H b a", "w a"]], &[], "4/4 1");
    check(&[&["f a 1234"], &["w a", "f b 1234"]], &["/a 1>2 removed 4/1"], "4/8 0.5");
    check(&[&["f a 1234"], &["l a b"]], &["/a 1>2 replaced 4/1"], "0/4 0");
}

#[test]
fn dives_numbers_follow_its_definition() {
    let check = |layers: &[&[&str]], efficiency: f64, wasted: u64| {
        let layers: Vec<Inside> = layers.iter().map(|entries| layer(entries)).collect();
        assert_eq!(super::score(&layers), super::Score { efficiency, wasted }, "{layers:?}");
    };
    check(&[], 1.0, 0);
    check(&[&["f a 1234"]], 1.0, 0);
    // Both copies are waste to dive, also the one that is seen.
    check(&[&["f a 1234"], &["f a 123456"]], 0.4, 10);
    check(&[&["f a 1234"], &["f a 1234 0600"]], 0.5, 8);
    check(&[&["f a 1234"], &["w a"]], 0.0, 4);
    check(&[&["f a 1234", "h b a"], &["w a"]], 0.0, 4);
    // A whiteout of a directory is a path of its own, with the bytes of all that it hides.
    check(&[&["d d", "f d/a 1", "f d/b 12"], &["w d"]], 1.0, 0);
    check(&[&["d d", "f d/a 1", "f d-x 1"], &["w d"], &["f d 1234"]], 0.4285, 5);
    check(&[&["d d", "f d/a 1"], &["d d", "o d", "f d/b 1"]], 1.0, 0);
}

#[test]
fn what_stands_twice_is_found() {
    let check = |layers: &[&[&str]], expect: &[&str]| {
        let one = |one: &super::Twins| {
            let paths: Vec<String> = one.paths.iter().map(|path| shown(path)).collect();
            format!("{} {}", one.extra(), paths.join(" "))
        };
        assert_eq!(twins(&tree(layers).unwrap()).iter().map(one).collect::<Vec<_>>(), expect, "{layers:?}");
    };
    check(&[&["f a 1", "f b 1", "h c b", "f d 12"], &["f e 12", "f f 12"]], &["4 /d /e /f", "1 /a /b"]);
    check(&[&["f a 1"], &["f a 1"]], &[]);
    check(&[&["f a 1"], &["H b a"]], &[]);
}

#[test]
fn differences_name_path_and_field() {
    let check = |before: &[&[&str]], after: &[&[&str]], expect: &[&str]| {
        let (before, after) = (tree(before).unwrap(), tree(after).unwrap());
        let mut found = Vec::new();
        for one in diff(&before, &after) {
            match one.change {
                Change::Added(_) => found.push(format!("+ {}", shown(one.path))),
                Change::Removed(_) => found.push(format!("- {}", shown(one.path))),
                Change::Changed(_, _, fields) => {
                    let short = |value: &Value| match value {
                        Value::String(text) => text.chars().take(12).collect(),
                        other => other.to_string(),
                    };
                    let field =
                        |field: &super::Field| format!(" {}: {} {}", field.name, short(&field.from), short(&field.to));
                    found.push(format!("{}{}", shown(one.path), fields.iter().map(field).collect::<String>()));
                }
            }
        }
        assert_eq!(found, expect, "{before:?} {after:?}");
    };
    check(&[&["f a 1"]], &[&["d x"], &["f a 1"]], &["+ /x"]);
    check(&[&["f a 1", "f b 1"]], &[&["f b 1", "f c 1"]], &["- /a", "+ /c"]);
    check(
        &[&["f a 1"]],
        &[&["f a 1 0600 7:8 @5"]],
        &["/a mode: 0644 0600 owner: 0:0 7:8 mtime: 1970-01-01T0 1970-01-01T0"],
    );
    check(&[&["f a 1"]], &[&["f a 12"]], &["/a size: 1 2 content: sha256:6b86b sha256:6b51d"]);
    check(&[&["f a 1"]], &[&["f a 2"]], &["/a content: sha256:6b86b sha256:d4735"]);
    check(&[&["f a 1"]], &[&["l a b"]], &["/a type: file symlink target: null b"]);
    check(&[&["l a b"]], &[&["l a c 0777"]], &["/a target: b c"]);
    check(&[&["f a 1 user.x=1"]], &[&["f a 1 user.x=2 user.y=3"]], &["/a xattr user.x: 31 32 xattr user.y: null 33"]);
    check(&[&["f a 1", "h b a"]], &[&["f a 1", "f b 1"]], &["/b hardlink: /a null"]);
    check(&[&["d a", "f a/b 1"]], &[&["d a", "f a/b 1"], &["w a"]], &["- /a", "- /a/b"]);
    check(&[&["c a"]], &[&["p a"]], &["/a type: character-de fifo device: 1,3 null"]);
    // A directory that no entry names has no time, so that none is compared.
    check(&[&["d a @5", "f a/x 1"]], &[&["i a", "f a/x 1"]], &["/a mtime: 1970-01-01T0 1970-01-01T0"]);
}

#[test]
fn one_layer_shows_what_it_removes() {
    let inside = layer(&["d a", "o a", "f a/x 1", "h a/y a/x", "w b", "H c low", "o only/here"]);
    let rows = of_layer(&inside, 2);
    let found: Vec<_> =
        rows.iter().map(|row| format!("{} {} {}", shown(row.path), row.what.word(), row.links)).collect();
    let expect =
        ["/a directory 1", "/a/x file 2", "/a/y file 2", "/b whiteout 1", "/c hardlink 1", "/only/here directory 1"];
    assert_eq!(found, expect);
    assert_eq!(rows[0].what, What::Directory { opaque: true });
    assert_eq!(rows.iter().map(super::Row::bytes).sum::<u64>(), 1);
}

#[test]
fn an_mtree_escapes_names_and_remarks_on_what_it_cannot_say() {
    let inside = layer(&["d  0750 1:2", "f a=b#\n[ 1 @5", "l z x\u{e9}", "c n 0600", "h y a=b#\n[", "w gone", "o q"]);
    let digest = Digest::of(b"1").hex();
    let expect = format!(
        "#mtree v2.0\n\
         . type=dir mode=0750 uid=1 gid=2 time=0.000000000\n\
         ./a\\075b\\043\\012\\133 type=file mode=0644 uid=0 gid=0 time=5.000000000 nlink=2 size=1 sha256digest={digest}\n\
         # removed ./gone\n\
         ./n type=char mode=0600 uid=0 gid=0 time=0.000000000 device=native,1,3\n\
         # emptied ./q\n\
         ./q type=dir\n\
         ./y type=file mode=0644 uid=0 gid=0 time=0.000000000 nlink=2 size=1 sha256digest={digest}\n\
         ./z type=link mode=0644 uid=0 gid=0 time=0.000000000 link=x\\303\\251\n"
    );
    assert_eq!(mtree(&of_layer(&inside, 0)), expect);
}

#[test]
fn times_and_attributes_are_text() {
    let check = |time, expect: &str| assert_eq!(super::time(time), expect);
    check((0, 0), "1970-01-01T00:00:00Z");
    check((315_532_800, 120_000_000), "1980-01-01T00:00:00.12Z");
    check((-1, 500_000_000), "1969-12-31T23:59:59.5Z");
    check((i64::MAX, 0), "@9223372036854775807");
    assert_eq!(super::attribute(&Attribute::Value(b"\x01\xff"[..].into())), json!("01ff"));
}
