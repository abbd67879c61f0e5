//! Stage 8: who vouches for an image. Digests, keys, signatures and policies in; what was signed, or proven and by whom, out. May read
//! key and root files and ask registries and the services of sigstore.

pub mod attach;
pub mod base;
pub mod keys;
pub mod predicate;
pub mod root;
pub mod sign;
pub mod statement;
pub mod verify;
