//! Stage 6, LayerPlan → Layer: entries → one sorted tree → tar → hash → compress → hash → store, in one pass.
//! Files of the context in, blobs in the store out.

mod accounts;
mod asked;
mod blocks;
mod bring;
mod compress;
mod done;
mod found;
pub mod gather;
#[cfg(test)]
mod golden;
mod ignore;
mod inputs;
mod join;
mod key;
mod known;
mod libraries;
mod listing;
pub mod look;
pub mod make;
mod merged;
mod natures;
pub mod pack;
mod packages;
mod paths;
mod pipe;
pub mod place;
mod read;
mod recipes;
mod record;
pub(crate) mod roots;
mod select;
mod spread;
mod tar;
#[cfg(test)]
mod tests;
pub mod tree;
mod twins;
mod write;

pub use asked::{Asked, ask};
pub use bring::bring;
pub use done::{Done, Told, Waiting, done};
pub use found::Found;
pub use gather::{IMAGE_IGNORE, gather};
pub use inputs::{Input, Origin, imports, inputs};
pub use join::with_base;
pub use known::Known;
pub use look::{Contents, look};
pub use make::{Made, make_all};
pub use merged::{Merged, Thing, What};
pub use natures::{Natures, natures};
pub use pack::{PackError, Packed, pack};
pub use packages::unpack;
pub use place::{Placed, place};
pub use recipes::{Recipe, Recipes};
