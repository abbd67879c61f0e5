//! Stage 5: packages of a distribution. A manifest in, pinned packages out (`resolve`); pinned packages in, files out (`unpack`).
//! Asks mirrors, reads keyrings that the manifest names, uses the store. Nothing of a package is ever run.
//!
//! ```text
//! stanza     `Key: value` texts                    pgp        who signed a text
//! solve      wishes and relations to a set of packages
//! debian/    Release, Packages, relations, .deb    alpine/    APKINDEX, .apk
//! ```

mod debian;
mod pgp;
mod solve;
mod stanza;
