//! What is said of an image beside its signature: bills of materials, provenance, and whether it can be made again.

mod again;
pub mod elf;
mod origin;
pub mod programs;
mod reproduce;
mod sbom;
