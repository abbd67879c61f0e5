//! Stage 8: the ways out of what is wrong with programs. Pure.

use super::{File, Origin};
use crate::error::printable;
use crate::facts::programs::{Linked, Nature, View};
use crate::layer::Merged;
use crate::manifest::Link;
use crate::oci::Platform;

/// Whose loaders an image has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Those of glibc.
    Glibc,
    /// Those of musl.
    Musl,
    /// None.
    None,
}

impl Family {
    /// By the names in the directories where loaders are.
    pub(super) fn of(files: &Merged<'_>) -> Family {
        let names: Vec<String> = ["/lib", "/lib64"].iter().flat_map(|directory| files.names(directory)).collect();
        let any = |starts: &[&str]| names.iter().any(|name| starts.iter().any(|start| name.starts_with(start)));
        match (any(&["ld-musl-"]), any(&["ld-linux", "ld64.so", "ld.so"])) {
            (_, true) => Family::Glibc,
            (true, false) => Family::Musl,
            (false, false) => Family::None,
        }
    }
}

/// A path as it is meant in the working directory.
pub(super) fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_string() } else { format!("{}/{path}", directory.trim_end_matches('/')) }
}

/// How a program is not linked as it is said to be, and the way out.
pub(super) fn link(link: Link, nature: Option<&Nature>) -> Option<(&'static str, &'static str)> {
    let linked = match nature {
        Some(Nature::Program(program)) => Some(program.linked()),
        _ => None,
    };
    match (link, linked) {
        (Link::Any, _) | (Link::Static, Some(Linked::Static)) | (Link::Dynamic, Some(Linked::Dynamic)) => None,
        (_, None) => Some(("is no ELF program", "name the program itself, or leave `link` out")),
        (Link::Static, _) => Some((
            "is linked dynamically",
            "build it for `{{ platform.rust_target }}` (Rust) or with `CGO_ENABLED=0` (Go), or write `link = \"dynamic\"` \
             on a base that has its libraries",
        )),
        (_, Some(Linked::Library)) => Some(("is a library, no loader starts it", "name the program itself")),
        _ => Some(("is linked statically", "write `link = \"static\"`")),
    }
}

/// The way out of a program for another machine.
pub(super) fn machine(platform: &Platform, origin: Origin) -> Vec<String> {
    let target = platform.rust_target();
    match origin {
        Origin::Program | Origin::Named => vec![format!(
            "build it for `{{{{ platform.rust_target }}}}` (here `{target}`; with Go, `GOOS=linux` and \
             `GOARCH={{{{ platform.go_arch }}}}`), and name it so in `src`, so that each platform has its own file"
        )],
        Origin::Within => vec![format!(
            "copy a directory for each platform, as in `src = \"dist/{{{{ platform.arch }}}}\"` (here `{}`), or leave the file \
             out with `exclude`",
            platform.arch
        )],
        Origin::Foreign => vec![format!("take one for {platform}")],
    }
}

/// The way out of a loader that is not there.
pub(super) fn loader(family: Family, loader: &str, file: &File) -> Vec<String> {
    if file.origin == Origin::Foreign {
        return vec!["leave what needs it out, or take a base that has it".into()];
    }
    let musl = loader.contains("ld-musl-");
    let first = match (family, musl) {
        (Family::Musl, false) => {
            "the base has musl, the program was linked with glibc: build it for `{{ platform.rust_target }}`"
        }
        (Family::Glibc, true) => "the base has glibc, the program was linked with musl: build it for a `-gnu` target",
        _ => "take a base that has it",
    };
    vec![
        format!("{first}, or link it statically (`{{{{ platform.rust_target }}}}` of Rust, `CGO_ENABLED=0` of Go)"),
        "or say `libs = \"copy\"` in its `[[binary]]`, to bring its loader and libraries along".into(),
    ]
}

/// The way out of a library that is not there.
pub(super) fn library(uncached: Option<&str>, file: &File) -> Vec<String> {
    match (uncached, file.origin) {
        (None, _) if file.brings => vec![
            "the image of `libs-from` does not have it either, where its loader looks: take another image, or put it there with \
             `[[file]]`"
                .into(),
        ],
        (Some(path), _) => vec![format!(
            "`{}` is there, but `/etc/ld.so.cache` does not list it, and nothing here runs `ldconfig`: put it where the loader \
             looks by itself, or set `LD_LIBRARY_PATH` in `[env]`",
            printable(path)
        )],
        (None, Origin::Foreign) => vec!["leave what needs it out, or take a base that has it".into()],
        (None, _) => vec![
            "take a base that has it, put it there with `[[file]]`, or link statically".into(),
            "or say `libs = \"copy\"` in its `[[binary]]`, to bring its loader and libraries along".into(),
        ],
    }
}

/// The way out of a library that is too old.
pub(super) fn version(origin: Origin) -> Vec<String> {
    match origin {
        Origin::Foreign => vec!["take what was made for this base, or a newer base".into()],
        _ => vec![
            "build it on a system as old as the base, link it statically (`{{ platform.rust_target }}` is musl), or take a newer base"
                .into(),
        ],
    }
}

/// The way out of an interpreter that is not there.
pub(super) fn interpreter(name: &str) -> Vec<String> {
    if name.ends_with('\r') {
        return vec!["its lines end with CR LF; write it with line feeds alone".into()];
    }
    vec!["name one that the image has, or take a base that has this one".into()]
}
