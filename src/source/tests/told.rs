//! Stage 5: what the programs of a base tell, seen while its layers are read once.

use std::fs;

use tar::EntryType;

use crate::facts::programs::fixture::Elf;
use crate::facts::programs::{Nature, read};
use crate::source::fixture::{Fixture, Layer, Tar, wait};
use crate::source::{FileIndex, files};

fn with(tar: Tar, name: &str, mode: u32, data: &[u8]) -> Tar {
    tar.raw(name, EntryType::Regular, data, |header| header.set_mode(mode))
}

fn nature<'a>(index: &'a FileIndex, path: &str) -> Option<&'a Nature> {
    index.nature(index.get(path).unwrap())
}

#[test]
fn programs_scripts_and_the_texts_of_loaders_are_remembered() {
    let small = Elf::program().loader("/ld.so").needs("libc.so.6").wants("libc.so.6", &["X_1"]).rpath("/r").bytes();
    let mut large = Elf::library("libx.so").runpath("$ORIGIN").defines(&["X_1"]).bytes();
    large.resize(5 << 20, 1);
    let tar = with(Tar::new(), "bin/small", 0o755, &small);
    let tar = with(tar, "lib/libx.so", 0o644, &large).hard("lib/hard.so", "lib/libx.so").link("lib/link.so", "libx.so");
    let tar = with(with(tar, "bin/run", 0o755, b"#!/bin/sh -e\n"), "share/run", 0o644, b"#!/bin/sh\n");
    let tar = with(with(tar, "text", 0o755, b"text"), "odd", 0o644, b"\x7fELF").file("empty", "");
    let tar = with(with(tar, "mac", 0o755, &[0xcf, 0xfa, 0xed, 0xfe]), "a.o", 0o644, &Elf::program().kind(1).bytes());
    let lower = Layer::plain(tar.file("etc/ld.so.conf", "/opt\n").file("etc/ld.so.conf.d/a.conf", "/a\n"));
    let upper = Tar::new().hard("lower", "bin/small").file("etc/ld.so.conf", "/other\n").file("lib/libx.so", "text");
    let fixture = Fixture::new();
    let layers = [lower, Layer::plain(upper)];
    let base = fixture.base(&fixture.reference(fixture.image("linux/amd64", &layers).digest)).unwrap();
    for round in 0..2 {
        let index = wait(files(&fixture.ctx, &base)).unwrap();
        for (path, bytes) in [("bin/small", Some(&small)), ("lower", Some(&small)), ("lib/hard.so", Some(&large))] {
            assert_eq!(nature(&index, path).cloned(), bytes.and_then(|bytes| read(bytes.as_slice())), "{path}");
        }
        assert!(matches!(nature(&index, "lib/hard.so"), Some(Nature::Program(_))));
        assert!(matches!(nature(&index, "bin/run"), Some(Nature::Script(script)) if script.interpreter == "/bin/sh"));
        assert!(matches!(nature(&index, "odd"), Some(Nature::Broken(_))));
        assert_eq!(nature(&index, "a.o"), Some(&Nature::Object));
        for data in ["share/run", "text", "empty", "mac", "lib/link.so", "lib/libx.so", "lib"] {
            assert_eq!(nature(&index, data), None, "{data}");
        }
        let text = |path: &str| index.loader_text(index.get(path).unwrap()).map(<[u8]>::to_vec);
        assert_eq!(text("etc/ld.so.conf").as_deref(), Some(&b"/other\n"[..]));
        assert_eq!(text("etc/ld.so.conf.d/a.conf").as_deref(), Some(&b"/a\n"[..]));
        assert_eq!(text("text"), None);
        if round == 0 {
            // The second time nothing is read again.
            fs::remove_dir_all(fixture.layout()).unwrap();
            fs::remove_dir_all(fixture.store().join("blobs")).unwrap();
        }
    }
    assert_eq!(fs::read_dir(fixture.store().join("tmp")).unwrap().count(), 0, "what was put aside is gone");
}
