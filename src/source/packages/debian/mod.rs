//! Stage 5: packages of Debian and of what is made like it.

mod relation;
mod release;
mod resolve;
mod suite;
mod universe;

pub use resolve::resolve;
#[cfg(test)]
pub use universe::{Packages, Text};
