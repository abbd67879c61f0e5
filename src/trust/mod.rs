//! Stage 8: who vouches for an image. Digests, signatures and policies in; what was proven, and by whom, out. May read key and root
//! files, run an external signer, and ask registries and the services of sigstore.

pub mod attach;
pub mod base;
pub mod keys;
pub mod predicate;
pub mod root;
pub mod sign;
pub mod statement;
pub mod verify;
