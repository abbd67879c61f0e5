//! Stage 6, LayerPlan → Layer: entries → one sorted tree → tar → hash → compress → hash → store, in one pass.
//! Files of the context in, blobs in the store out.

mod accounts;
mod compress;
pub mod elf;
pub mod gather;
#[cfg(test)]
mod golden;
mod ignore;
mod inputs;
pub mod make;
pub mod pack;
mod packages;
mod pipe;
pub mod place;
mod read;
mod tar;
#[cfg(test)]
mod tests;
pub mod tree;

pub use elf::check_links;
pub use gather::{Found, gather};
pub use inputs::{Input, inputs};
pub use make::{Made, make_all};
pub use pack::{PackError, Packed, pack};
pub use place::{Placed, place};
