//! Stage 8: what an image is made of, how it was made, and who vouches for it. Images, digests, signatures and policies in; documents
//! and what was proven, and by whom, out. May read key and root files and ask registries and the services of sigstore.

pub mod base;
pub mod compare;
mod papers;
pub mod predicate;
pub mod provenance;
pub mod root;
pub mod sbom;
pub mod verify;

pub use papers::{Paper, bills, origins};
