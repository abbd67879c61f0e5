//! What all tests of the command line share: a project to run the program in, bases to build on, a reader of what was built.

pub mod base;
pub mod canary;
#[allow(dead_code, reason = "shared with the tests of the library, which use other parts")]
#[path = "../../../src/facts/programs/fixture.rs"]
pub mod elf;
pub mod layout;
pub mod mirror;
pub mod project;

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

pub use base::{Base, bytes, dir, executable, file, hard, link};
pub use elf::Elf;
pub use layout::{Entry, Image, canonical};
pub use project::Project;

/// A terminal: what a person types into, and what a program reads from.
pub fn terminal() -> (File, File) {
    let typed: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&typed).unwrap();
    unlockpt(&typed).unwrap();
    let name = ptsname(&typed, Vec::new()).unwrap();
    let read = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (File::from(typed), read)
}

/// A small manifest on `scratch` with these lines below `[image]`.
pub fn scratch(rest: &str) -> String {
    manifest("scratch", rest)
}

/// A small manifest on this base; the rest follows below `[image]`. It may run as root, which most tests are not about.
pub fn manifest(base: &str, rest: &str) -> String {
    rooted(&format!("schema = 1\n[image]\nbase = \"{base}\"\n{rest}\n"))
}

/// The same manifest, whose image may run as root; what `[check]` says already stays.
pub fn rooted(manifest: &str) -> String {
    match manifest.contains("[check") {
        true => manifest.to_string(),
        false => format!("{manifest}\n[check]\nroot-user = \"allow\"\n"),
    }
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

/// The same manifest, whose image need not start.
pub fn idle(manifest: &str) -> String {
    let allow = |rule: &str| format!("{rule} = {{ level = \"allow\", reason = \"a test of other things\" }}\n");
    let allowed = ["entrypoint", "missing-interpreter"].map(allow).concat();
    manifest.replace("[check]\n", &format!("[check]\n{allowed}"))
}

/// Where programs for x86-64 have their loader.
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A program for x86-64; with a loader if it says so.
pub fn program(loader: bool) -> Vec<u8> {
    let program = Elf::program();
    if loader { program.loader(LOADER).bytes() } else { program.bytes() }
}
