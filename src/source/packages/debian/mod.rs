//! Stage 5: packages of Debian and of what is made like it.

pub mod deb;
pub mod fuzzing;
mod relation;
mod release;
mod resolve;
mod suite;
mod universe;

pub use resolve::resolve;
#[cfg(test)]
pub use universe::{Packages, Text};

use super::solve::Relation;
use super::stanza::Stanza;

/// Whether the package of this control file may take over files of another one.
pub fn replaces(control: &str, name: &str, version: &str) -> bool {
    let field = Stanza::of(control).field("Replaces").unwrap_or_default();
    let fits = |relation: &Relation| {
        let bound = relation.bound.as_ref();
        relation.name == name && bound.is_none_or(|(bound, limit)| relation::within(version, *bound, limit))
    };
    relation::list(field).unwrap_or_default().iter().any(fits)
}
