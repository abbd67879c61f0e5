//! The modules that a program says it was built from.

use stillframe::trust::sbom::{Module, modules};

use super::elf::{elf, go, old_go, rust};

/// The list of a program that needs one crate of crates.io and one of a directory, and a third to build.
pub const CRATES: &str = r#"{"packages":[
    {"name":"builder","version":"1.0.0","source":"crates.io","kind":"build"},
    {"name":"itoa","version":"1.0.9","source":"crates.io"},
    {"name":"server","version":"0.3.0","source":"local","dependencies":[0,1,3],"root":true},
    {"name":"shared","version":"0.1.0","source":"local","dependencies":[1]}]}"#;

/// The list of a Go program: one module is replaced by another, one by a directory.
pub const MODULES: &str = "path\texample.com/acme/cmd\nmod\texample.com/acme\t(devel)\t\ndep\tgithub.com/Acme/Lib\tv1.2.3\th1:x=\n\
    dep\texample.com/old\tv1.0.0\n=>\texample.com/new\tv1.1.0\th1:y=\ndep\texample.com/near\tv0.0.1\n=>\t./near\t\nbuild\t-compiler=gc\n";

fn shown(modules: &[Module]) -> Vec<String> {
    let one = |module: &Module| {
        let version = module.version.as_deref().unwrap_or("-");
        format!("{} {version} {}", module.name, module.purl.as_deref().unwrap_or("-"))
    };
    modules.iter().map(one).collect()
}

#[test]
fn crates_of_a_rust_program_are_listed_with_what_they_need() {
    let found = modules(&elf(&[rust(CRATES)])).unwrap();
    assert_eq!(
        shown(&found),
        [
            "builder 1.0.0 pkg:cargo/builder@1.0.0",
            "itoa 1.0.9 pkg:cargo/itoa@1.0.9",
            "server 0.3.0 -",
            "shared 0.1.0 -"
        ]
    );
    assert!(found[2].root && found[0].build && !found[1].build);
    assert_eq!((found[2].uses.as_slice(), found[3].uses.as_slice()), (&[0, 1, 3][..], &[1][..]));
}

#[test]
fn modules_of_a_go_program_are_listed_in_both_formats() {
    let expect = [
        "example.com/acme - -",
        "github.com/Acme/Lib v1.2.3 pkg:golang/github.com/acme/lib@v1.2.3",
        "example.com/new v1.1.0 pkg:golang/example.com/new@v1.1.0",
        "example.com/near - -",
        "stdlib 1.22.1 pkg:golang/stdlib@1.22.1",
    ];
    let inline = elf(&[(".data", vec![1; 5]), go("go1.22.1 X:none", MODULES)]);
    assert_eq!(shown(&modules(&inline).unwrap()), expect);
    // The first section begins behind the headers, at the next multiple of 16.
    let old = elf(&[old_go("go1.22.1", MODULES, 128)]);
    assert_eq!(shown(&modules(&old).unwrap()), expect);
    // Without its section the header is found in the segment.
    let (_, header) = go("go1.22.1", MODULES);
    assert_eq!(shown(&modules(&elf(&[(".data", header)])).unwrap()), expect);
    assert!(modules(&inline).unwrap()[0].root);
}

#[test]
fn a_program_that_tells_nothing_has_no_modules() {
    for program in [elf(&[]), elf(&[(".data", vec![0; 100])]), b"#!/bin/sh\n".to_vec(), b"\x7fELF".to_vec(), Vec::new()]
    {
        assert_eq!(modules(&program).unwrap(), []);
    }
    // A development version of Go is no version of its library.
    assert_eq!(shown(&modules(&elf(&[go("devel go1.23-abc", "mod\ta\tv1\n")])).unwrap()), ["a v1 pkg:golang/a@v1"]);
}

#[test]
fn broken_lists_are_told_and_never_read_over() {
    let broken = |section| modules(&elf(&[section])).unwrap_err();
    assert!(broken((".dep-v0", b"no zlib".to_vec())).contains("list of crates is broken"));
    assert!(broken(rust("{")).contains("list of crates is broken"));
    let one = r#"{"packages":[{"name":"a","version":"1","source":"git","dependencies":[1]}]}"#;
    assert!(broken(rust(one)).contains("does not hold"));
    let (_, mut header) = go("go1.22", "mod\ta\tv1\n");
    header[32..34].copy_from_slice(&[0xff, 0x7f]);
    assert!(broken((".go.buildinfo", header.clone())).contains("Go build information is broken"));
    header[32..34].copy_from_slice(&[0xff, 0xff]);
    assert!(broken((".go.buildinfo", header)).contains("Go build information is broken"));
    assert!(broken(old_go("go1.17", "mod\ta\tv1\n", 1 << 40)).contains("Go build information is broken"));
    // A list that unpacks to more than is allowed.
    let large = format!("{{\"packages\":[],\"x\":\"{}\"}}", "x".repeat(9 << 20));
    assert!(broken(rust(&large)).contains("broken"));
}

#[test]
fn no_damaged_program_breaks_the_reader() {
    let whole = elf(&[rust(CRATES), go("go1.22.1", MODULES)]);
    for end in 0..whole.len() {
        let _ = modules(&whole[..end]);
    }
    for at in 0..whole.len() {
        for value in [0, 0xff, whole[at] ^ 0x80] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            let _ = modules(&damaged);
        }
    }
}
