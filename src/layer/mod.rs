//! Stage 6, LayerPlan → Layer: entries → one sorted tree → tar → hash → compress → hash → store, in one pass.
//! Files of the context in, blobs in the store out.

mod accounts;
mod asked;
mod compress;
pub mod gather;
#[cfg(test)]
mod golden;
mod ignore;
mod inputs;
pub mod look;
pub mod make;
mod merged;
mod natures;
pub mod pack;
mod pipe;
pub mod place;
mod read;
mod tar;
#[cfg(test)]
mod tests;
pub mod tree;

pub use asked::{Asked, ask};
pub use gather::{Found, gather};
pub use inputs::{Input, inputs};
pub use look::{Contents, look};
pub use make::{Made, make_all};
pub use merged::{Merged, Thing, What};
pub use natures::{Natures, natures};
pub use pack::{PackError, Packed, pack};
pub use place::{Placed, place};
