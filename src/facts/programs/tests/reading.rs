//! Bytes in, facts out.

use std::io::Cursor;

use object::read::ReadCache;

use super::{LD, program};
use crate::facts::programs::fixture::{AARCH64, ARM, Elf, PPC64LE, RISCV64, S390X, X86, X86_64};
use crate::facts::programs::{Linked, Nature, Script, Starts, fuzzing, read};
use crate::oci::Platform;

fn platform(name: &str) -> Platform {
    let mut parts = name.split('/').map(str::to_string);
    let mut part = || parts.next().unwrap_or_default();
    Platform { os: part(), arch: part(), variant: part() }
}

#[test]
fn programs_of_all_widths_and_orders() {
    for machine in [X86_64, X86, S390X, (8, false, true)] {
        let all = Elf::program()
            .on(machine)
            .loader("/lib/ld.so.1")
            .needs("liba.so.1")
            .needs("libb.so.2")
            .rpath("/old")
            .runpath("$ORIGIN/new")
            .wants("liba.so.1", &["A_1.0", "?A_1.5", "A_1.2"])
            .wants("libb.so.2", &["B_3"])
            .defines(&["OWN_1", "OWN_2"]);
        let read = program(&all);
        assert_eq!((read.machine.number, read.machine.wide, read.machine.big), machine);
        assert_eq!(read.loader.as_deref(), Some("/lib/ld.so.1"));
        assert_eq!(read.needed, ["liba.so.1", "libb.so.2"]);
        assert_eq!((read.rpath.as_deref(), read.runpath.as_deref()), (Some("/old"), Some("$ORIGIN/new")));
        let wants: Vec<_> =
            read.wants.iter().map(|wanted| (wanted.library.as_str(), wanted.versions.join(" "))).collect();
        assert_eq!(wants, [("liba.so.1", "A_1.0 A_1.2".to_string()), ("libb.so.2", "B_3".to_string())]);
        assert_eq!(read.defines, ["OWN_1", "OWN_2"]);
        let linked = |elf: Elf| (program(&elf.clone().on(machine)).linked(), program(&elf.on(machine)).is_program());
        assert_eq!(linked(Elf::program()), (Linked::Static, true));
        assert_eq!(linked(Elf::program().pie()), (Linked::Static, true));
        assert_eq!(linked(Elf::program().pie().loader(LD)), (Linked::Dynamic, true));
        assert_eq!(linked(Elf::program().loader(LD)), (Linked::Dynamic, true));
        assert_eq!(linked(Elf::library("libx.so").needs("libc.so.6")), (Linked::Library, false));
        // glibc's libc.so.6 has a loader, so that it can say its version.
        assert_eq!(linked(Elf::library("libc.so.6").loader(LD)), (Linked::Dynamic, false));
    }
}

#[test]
fn what_is_broken_is_said_and_never_read_over() {
    let elf = Elf::program().loader(LD).needs("libc.so.6").wants("libc.so.6", &["GLIBC_2.34"]).defines(&["X_1"]);
    let whole = elf.bytes();
    for end in 0..whole.len() {
        let cut = &whole[..end];
        fuzzing::program(cut);
        assert!(!matches!(read(cut), Some(Nature::Program(_))), "{end}");
    }
    for at in 0..whole.len() {
        for value in [0, 0xff, whole[at] ^ 0x80, whole[at].wrapping_add(1)] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            fuzzing::program(&damaged);
        }
    }
    let check = |bytes: &[u8], expect: &str| match read(bytes) {
        Some(Nature::Broken(why)) => assert!(why.contains(expect), "{why}"),
        other => panic!("{other:?} is not {expect}"),
    };
    check(b"\x7fELF", "class");
    check(b"\x7fELF server", "class");
    check(&Elf::program().kind(7).bytes(), "neither a program nor a library");
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    check(&changed(56, &[0, 0]), "no program headers");
    check(&changed(56, &[0xff, 0xff]), "more segments");
    check(&changed(64 + 32, &[1, 0]), "name of its loader");
    check(&changed(64 + 2 * 56 + 32, &[0, 0, 0x20]), "too large");
    check(&Elf::program().number(1, 5000).bytes(), "a name in it is broken");
    check(&Elf::library("x").number(0x6fff_fffe, 0).number(0x6fff_ffff, 1).bytes(), "wanted versions");
    check(&Elf::library("x").number(0x6fff_fffc, 0).number(0x6fff_fffd, 1).bytes(), "defined versions");
}

#[test]
fn a_long_list_ends_the_reading() {
    let many = (0..5000).fold(Elf::program(), |elf, _| elf.number(1, 0));
    assert!(matches!(read(many.bytes().as_slice()), Some(Nature::Broken(why)) if why.contains("too many")));
    let name = "n".repeat(5000);
    assert!(matches!(read(Elf::program().needs(&name).bytes().as_slice()), Some(Nature::Broken(_))));
}

#[test]
fn files_that_are_no_programs() {
    let mut pe = b"MZ".to_vec();
    pe.resize(0x80, 0);
    pe[0x3c] = 0x80;
    pe.extend(b"PE\0\0");
    let check = |bytes: &[u8], expect: Option<Nature>| {
        assert_eq!(read(bytes), expect, "{bytes:?}");
        assert_eq!(read(&ReadCache::new(Cursor::new(bytes))), expect, "{bytes:?}");
    };
    check(b"", None);
    check(b"text", None);
    check(b"MZ is how a text may begin", None);
    check(&pe, Some(Nature::Foreign("Windows (PE)")));
    check(&[0xcf, 0xfa, 0xed, 0xfe, 7], Some(Nature::Foreign("macOS (Mach-O)")));
    check(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2], Some(Nature::Foreign("macOS (Mach-O)")));
    check(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52], None);
    check(&Elf::program().kind(1).bytes(), Some(Nature::Object));
}

#[test]
fn machines_and_platforms() {
    let check = |elf: Elf, suits: &str, not: &str| {
        let machine = program(&elf).machine;
        for name in suits.split_whitespace() {
            assert_eq!(machine.suits(&platform(name)), Some(true), "{} on {name}", machine.words());
        }
        for name in not.split_whitespace() {
            assert_eq!(machine.suits(&platform(name)), Some(false), "{} on {name}", machine.words());
        }
    };
    let of = |machine| Elf::program().on(machine);
    check(of(X86_64), "linux/amd64", "linux/386 linux/arm64 linux/arm/v7 linux/s390x");
    check(of(X86), "linux/386", "linux/amd64 linux/arm/v7");
    check(of(AARCH64), "linux/arm64", "linux/amd64 linux/arm/v7");
    check(of(S390X), "linux/s390x", "linux/amd64 linux/ppc64le");
    check(of(PPC64LE), "linux/ppc64le", "linux/s390x");
    check(of((21, true, true)), "linux/ppc64", "linux/ppc64le");
    check(of(RISCV64), "linux/riscv64", "linux/arm64");
    check(of((258, true, false)), "linux/loong64", "linux/mips64le");
    check(of((8, true, false)), "linux/mips64le", "linux/loong64");
    check(of((62, false, false)), "", "linux/amd64 linux/386");
    check(of(X86_64).system(9), "", "linux/amd64");
    check(of(X86_64).system(3), "linux/amd64", "");
    let (hard, soft) = (of(ARM).flags(0x0500_0400), of(ARM).flags(0x0500_0200));
    check(hard.clone(), "linux/arm/v7 linux/arm/v6", "linux/arm/v5 linux/arm64");
    check(soft.clone(), "linux/arm/v7 linux/arm/v6 linux/arm/v5", "linux/arm64");
    assert!(!program(&hard).machine.loads(&program(&soft).machine));
    assert!(program(&hard).machine.loads(&program(&of(ARM)).machine));
    assert_eq!(program(&of(X86_64)).machine.suits(&platform("windows/amd64")), None);
    assert_eq!(program(&of(X86_64)).machine.suits(&platform("linux/sparc64")), None);
    let words = |elf: &Elf| program(elf).machine.words();
    assert_eq!(words(&of(AARCH64)), "64-bit ARM");
    assert_eq!(words(&hard), "32-bit ARM with hardware floating point");
    assert_eq!(words(&of(X86_64).system(9)), "x86-64 under FreeBSD");
    assert_eq!(words(&of((2, false, true))), "the machine number 2");
}

#[test]
fn first_lines_as_the_kernel_reads_them() {
    let long = format!("#!/{}", "x".repeat(300));
    let check = |text: &str, interpreter: &str, argument: Option<&str>, starts: Starts| {
        let Some(Nature::Script(script)) = read(text.as_bytes()) else { panic!("{text:?}") };
        let expect = Script { interpreter: interpreter.into(), argument: argument.map(str::to_string) };
        assert_eq!(script, expect, "{text:?}");
        assert_eq!(script.starts(), starts, "{text:?}");
    };
    let by = |name: &str| Starts::ByEnv(name.into());
    check("#!/bin/sh\necho", "/bin/sh", None, Starts::Interpreter);
    check("#! \t/bin/sh -e -u \t\n", "/bin/sh", Some("-e -u"), Starts::Interpreter);
    check("#!/bin/sh", "/bin/sh", None, Starts::Interpreter);
    check("#!/bin/bash\r\n", "/bin/bash\r", None, Starts::Interpreter);
    check("#!\n", "", None, Starts::Interpreter);
    check(&long, "", None, Starts::Interpreter);
    check("#!/usr/bin/env python3\n", "/usr/bin/env", Some("python3"), by("python3"));
    check("#!/usr/bin/env python3 -u\n", "/usr/bin/env", Some("python3 -u"), Starts::Words("python3 -u".into()));
    check("#!/usr/bin/env -S python3 -u\n", "/usr/bin/env", Some("-S python3 -u"), by("python3"));
    check("#!/usr/bin/env -iS A=1 node\n", "/usr/bin/env", Some("-iS A=1 node"), by("node"));
    check("#!/usr/bin/env --split-string=deno run\n", "/usr/bin/env", Some("--split-string=deno run"), by("deno"));
    check("#!/usr/bin/env -S -u X node\n", "/usr/bin/env", Some("-S -u X node"), Starts::Unknown);
    check("#!/usr/bin/env -i\n", "/usr/bin/env", Some("-i"), Starts::Unknown);
    check("#!/usr/bin/env\n", "/usr/bin/env", None, Starts::Unknown);
}
