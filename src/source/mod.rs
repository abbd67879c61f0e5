//! Stage 5, names → pinned bytes: bases (manifest, config, file index). References and digests in, facts and verified blobs out.
//! May read layouts and archives that the manifest names, ask registries and use the store.
//!
//! A base's files are indexed as a runtime with overlayfs would show them. Within one layer, a path below a link goes where the link leads;
//! across layers it does not, it puts a directory in the link's place.

pub mod archive;
mod base;
mod blob;
mod choose;
mod contents;
mod files;
pub(crate) mod fuzzing;
mod glance;
mod hashed;
mod image;
mod index;
pub mod inside;
mod list;
mod local;
mod look;
pub mod member;
pub(crate) mod memo;
mod merge;
mod packages;
mod parcel;
mod parts;
mod pax;
mod place;
mod revision;
mod strata;
mod strict;
mod tar;
mod texts;
mod unpack;
mod users;
mod walk;
mod web;

#[cfg(test)]
pub mod fixture;
#[cfg(test)]
mod tests;

pub use self::image::{Attached, Image, Paper, attached, fetch_from, has, is_document, open, whole, within};
pub use base::{Base, base, image, index_of};
pub use blob::{blocking, fetch};
pub use contents::{Layer, gather, layer, refused, tarball, unpacked};
pub use files::files;
pub use glance::{Glance, glance};
pub use index::{Bytes, FileIndex, Kind, Node};
pub use list::plain;
pub use member::{Body as MemberBody, Member, Stretch};
pub use packages::{APPLETS, RECORD, Unpacked, installed, resolve, unpack};
pub use parts::parts;
pub use place::{Kept, Place, Spot};
pub use revision::{Revision, changed_since, revision};
pub use strata::{Seat, Strata};
pub use tar::{Entry, Special, Type};
pub use walk::{Obstacle, Parent, Stands, walk};
pub use web::fetch_file;
