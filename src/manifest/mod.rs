//! Stage 1, `image.toml` → [`Manifest`]. Text in, a checked value and a report of every mistake out.
//! Pure text work, but for [`locate`] (finds and reads the file) and [`values`] (git, environment, `--set`; read once, there).
//!
//! Written and meant are two types: [`grammar`] and `written` know what stands in the file, [`meant`] what it means.

pub mod base;
mod check;
mod checks;
mod config;
mod defaults;
pub mod glance;
pub mod grammar;
pub mod inputs;
mod items;

mod keyref;
pub mod layout;
pub mod locate;
mod matcher;
pub mod meant;
pub mod packages;
pub mod pins;
pub mod program;
pub mod read;
pub mod rules;
pub mod schema;
mod sign;
mod tags;
pub mod values;
mod vouch;
mod vulnerabilities;
pub mod words;
pub mod workspace;
mod written;

pub use base::{Base, Local};
pub use checks::{Checks, FileCheck, PathGlob, Ruling, shown as shown_size, size as read_size};
pub use defaults::{Inherited, Shared};
pub use inputs::{Archive, Location as Whence, Pick, Skeleton, Taken, TrustStore};
pub use keyref::KeyRef;
pub use locate::{Location, Root};
pub use matcher::Matcher;
pub use meant::{
    Account, Annotations, Attest, Bill, Config, Copy, Edit, EnvEdit, Healthcheck, Image, Item, Manifest, Method, Owner,
    Pattern, SignatureFormat, Signing, Source, TagRules, Template, Unpinned, What, Who,
};
pub use packages::{Family, Keyring, PackageSource, Packages, Wish};
pub use program::{Command, Libraries, Link};
pub use read::{Read, read};
pub use values::{Change, Created, Git, Outside, Release, Scope, Values};
pub use vouch::{Vouched, Voucher};
pub use vulnerabilities::{Permission, Rating, Unknown, Vulnerabilities, day};
