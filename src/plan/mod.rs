//! Stage 2, Manifest + Lock → Plan. Pure: the same two files give the same plan anywhere.

mod base;

pub use base::{Base, Local};
