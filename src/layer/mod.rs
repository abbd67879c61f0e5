//! Stage 6, LayerPlan → Layer: entries → one sorted tree → tar → hash → compress → hash → store, in one pass.
//! Files of the context in, blobs in the store out.

mod compress;
#[cfg(test)]
mod golden;
pub mod pack;
mod pipe;
mod read;
mod tar;
#[cfg(test)]
mod tests;
pub mod tree;

pub use pack::{PackError, Packed, pack};
