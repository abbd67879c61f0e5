//! Stage 6, LayerPlan → Layer: entries → one sorted tree → tar → hash → compress → hash → store, in one pass.
//! Files of the context in, blobs in the store out.

mod accounts;
mod bring;
mod compress;
pub mod elf;
mod found;
pub mod gather;
#[cfg(test)]
mod golden;
mod ignore;
mod inputs;
mod join;
pub mod make;
pub mod pack;
mod packages;
mod pipe;
pub mod place;
mod read;
mod roots;
mod select;
mod tar;
#[cfg(test)]
mod tests;
pub mod tree;

pub use bring::bring;
pub use elf::check_links;
pub use found::Found;
pub use gather::gather;
pub use inputs::{Input, Origin, inputs};
pub use join::with_base;
pub use make::{Made, make_all};
pub use pack::{PackError, Packed, pack};
pub use packages::unpack;
pub use place::{Placed, place};
