//! Stage 5: packages of Alpine and of what is made like it.

pub mod apk;
pub mod fuzzing;
mod index;
mod relation;
mod resolve;
mod sign;
mod universe;

pub use apk::{read, replaces};
pub use resolve::resolve;
