//! Stage 8: may it go out, and who vouches. Images in, what they are made of and how, as documents, out; keys, signatures and policies
//! in, what was signed, or proven and by whom, out. May read key and root files and ask registries and the services of sigstore.

pub mod about;
pub mod attach;
pub mod base;
pub mod compare;
pub mod keys;
mod papers;
pub mod predicate;
pub mod provenance;
pub mod release;
pub mod root;
pub mod rules;
pub mod sbom;
pub mod scan;
pub mod sign;
pub mod statement;
pub mod verify;

pub use papers::{Paper, bills, origins};
pub use rules::{Seen, Subject, check};
