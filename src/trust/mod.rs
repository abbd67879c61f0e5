//! Stage 8, may it go out, and who vouches: what an image is made of and how it was made, as documents that can be signed.

pub mod compare;
mod papers;
pub mod provenance;
pub mod sbom;

pub use papers::{Paper, bills, origins};
