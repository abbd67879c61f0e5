//! Stage 1: the rules on the programs of an image: whether they would start. Plain values.

use super::{Level, Rule, Value};
use crate::manifest::grammar::Kind;

/// The rules, in the order of the documentation.
pub(super) static RULES: [&Rule; 8] = [
    &ENTRYPOINT,
    &WRONG_MACHINE,
    &LINK,
    &MISSING_LOADER,
    &MISSING_LIBRARY,
    &LIBRARY_VERSION,
    &MISSING_INTERPRETER,
    &ODD_PROGRAM,
];

/// The program that the image starts cannot be started.
pub static ENTRYPOINT: Rule = Rule {
    code: "entrypoint",
    about: "The program that the image starts is not there, or its user may not start it.",
    why: "Looked at is the first word of `entrypoint`, or of `cmd` where there is no entrypoint, as an engine takes it: a path, \
          or a name that is looked for in the directories of `PATH`. It must lead to a file that the image's user may execute, in \
          directories that this user may enter. An entrypoint that the base brings along and the manifest leaves alone is told of \
          as a warning.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Whole { bare: false })),
};

/// A program is for another machine.
pub static WRONG_MACHINE: Rule = Rule {
    code: "wrong-machine",
    about: "A program or library is for another processor or system than the image.",
    why: "The image would be labelled for one platform and hold a program for another, which ends with `exec format error`, or \
          runs in a slow emulation on the machine of whoever built it and nowhere else. Name one file for each platform with \
          `{{ platform.rust_target }}` or `{{ platform.go_arch }}` in `src`.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Paths)),
};

/// A program is not linked as it is said to be.
pub static LINK: Rule = Rule {
    code: "link",
    about: "A program is not linked as its `[[binary]]` says.",
    why: "`link = \"static\"` asks for a program without a loader and without libraries, `link = \"dynamic\"` for one with a \
          loader. Change the program, or what the manifest says of it; there is nothing to allow.",
    default: Level::Deny,
    key: None,
};

/// The loader of a program is not there.
pub static MISSING_LOADER: Rule = Rule {
    code: "missing-loader",
    about: "The loader that a program names is not in the image.",
    why: "The kernel then says `no such file or directory` of a program that is there. It is the usual end of a program that was \
          linked with glibc and put on `scratch`, on a `static` base or on Alpine. Link it statically, take a base with its \
          loader, or let `libs = \"copy\"` bring loader and libraries along.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Paths)),
};

/// A library of a program is not there.
pub static MISSING_LIBRARY: Rule = Rule {
    code: "missing-library",
    about: "A library that a program needs is not where its loader looks.",
    why: "Looked at are the paths that the program brings along, `LD_LIBRARY_PATH` of the image, `ld.so.cache` (without one, \
          `ld.so.conf`) and the default directories of glibc, or the rules of musl, for the program and for all libraries that it \
          loads. Libraries that a program opens by itself while it runs are not known.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Paths)),
};

/// A library is too old for a program.
pub static LIBRARY_VERSION: Rule = Rule {
    code: "library-version",
    about: "A library lacks a version that a program wants, as glibc does that is too old.",
    why: "A program that was linked with a newer glibc asks for versions (`GLIBC_2.38`) that the one in the image does not have, \
          and its loader refuses it. Build on a system as old as the base, link statically, or take a newer base.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Paths)),
};

/// The interpreter of a script is not there.
pub static MISSING_INTERPRETER: Rule = Rule {
    code: "missing-interpreter",
    about: "The program that a script names in its first line is not in the image.",
    why: "The kernel then says `no such file or directory` of a script that is there. The same is said of a script whose lines end \
          with CR LF. Name an interpreter that the image has, or take a base that has it.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Paths)),
};

/// A program is odd.
pub static ODD_PROGRAM: Rule = Rule {
    code: "odd-program",
    about: "A program is broken, or it is not known whether it would start.",
    why: "An ELF file that contradicts itself, the file of an entrypoint that is neither an ELF program nor a script, and a library \
          that only `ld.so.conf` leads to, while there is no `ld.so.cache`, which is all that a loader reads.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Paths)),
};
