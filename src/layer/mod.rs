//! Stage 6, LayerPlan → Layer: entries → one sorted tree → tar → hash → compress → hash → store, in one pass.
//! Files of the context in, blobs in the store out.

pub mod gather;
mod ignore;
pub mod tree;
