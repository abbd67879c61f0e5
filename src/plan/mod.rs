//! Stage 2, Manifest + Lock → Plan. Pure: the same two files give the same plan anywhere.

pub use crate::manifest::{Base, Local};
