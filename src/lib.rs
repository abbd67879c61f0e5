//! stillframe
pub mod ctx;
pub mod error;
pub mod event;
pub mod layer;
pub mod manifest;
pub mod oci;
pub mod plan;
pub mod registry;
pub mod source;
pub mod store;
