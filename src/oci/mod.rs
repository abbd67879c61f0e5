//! Stage 0, the words everybody speaks: digests, references, platforms, descriptors, manifests, indexes, configs.
//! Text and JSON in, checked values out. Pure.

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod document;
pub mod json;
pub mod media;
pub mod platform;
pub mod reference;

pub use config::{Config, History, Image, RootFs};
pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest};
pub use document::{Document, Index, Manifest};
pub use platform::Platform;
pub use reference::{Pinned, Reference, Registry, Repository, Tag};
