//! What all tests of the command line share: a project to run the program in, bases to build on, a reader of what was built.

pub mod base;
pub mod layout;
pub mod project;

pub use base::{Base, dir, file, link};
pub use layout::{Entry, Image, Layout, canonical};
pub use project::{Done, Project};

/// A small manifest on `scratch` with these lines below `[image]`.
pub fn scratch(rest: &str) -> String {
    manifest("scratch", rest)
}

/// A small manifest on this base; the rest follows below `[image]`.
pub fn manifest(base: &str, rest: &str) -> String {
    format!("schema = 1\n[image]\nbase = \"{base}\"\n{rest}\n")
}
