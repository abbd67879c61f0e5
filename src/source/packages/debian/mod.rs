//! Stage 5: packages of Debian and of what is made like it.

mod relation;
mod release;
mod universe;

pub use universe::{Packages, Text};
