//! What all tests of the command line share: a project to run the program in, bases to build on, a reader of what was built.

pub mod base;
pub mod canary;
pub mod layout;
pub mod mirror;
pub mod project;

pub use base::{Base, dir, file, link};
pub use layout::{Entry, Image, canonical};
pub use project::Project;

/// A small manifest on `scratch` with these lines below `[image]`.
pub fn scratch(rest: &str) -> String {
    manifest("scratch", rest)
}

/// A small manifest on this base; the rest follows below `[image]`.
pub fn manifest(base: &str, rest: &str) -> String {
    format!("schema = 1\n[image]\nbase = \"{base}\"\n{rest}\n")
}

/// One table of the manifest; `'` stands for a double quote.
fn table(name: &str, keys: &str) -> String {
    format!("[[{name}]]\n{}\n", keys.replace('\'', "\"").replace("; ", "\n"))
}

/// Several tables.
pub fn tables(all: &[(&str, &str)]) -> String {
    all.iter().map(|(name, keys)| table(name, keys)).collect()
}

/// A project on `scratch` with these tables.
pub fn on_scratch(all: &[(&str, &str)]) -> Project {
    Project::of(&scratch(&tables(all)))
}

/// A 64-bit program; with a loader if it says so.
pub fn program(loader: bool) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64 + 56, 0);
    for (at, value) in [(16, 2u16), (18, 62), (20, 1), (32, 64), (52, 64), (54, 56), (56, 1)] {
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    bytes[64] = if loader { 3 } else { 1 };
    bytes
}
