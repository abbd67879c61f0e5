//! Stage 6: the databases of packages, so that scanners find what is there. Packages in, files out. Pure.
//!
//! Debian's are written in the manner of distroless images: one file for each package in `/var/lib/dpkg/status.d`, its control file as it
//! is, and beside it the sums of its files.

use std::collections::BTreeMap;

use super::File;
use crate::manifest::Family;
use crate::source::{FileIndex, Unpacked};

/// Where Debian's are.
const STATUS: &str = "var/lib/dpkg/status.d";

/// The records of all packages, by path.
pub fn records(packages: &[Unpacked], _index: &FileIndex) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    for package in packages.iter().filter(|package| package.package.family == Family::Debian) {
        let name = &package.package.name;
        let mut record = |ending: &str, control: &str| {
            if let Some(text) = package.control.get(control) {
                files.insert(format!("{STATUS}/{name}{ending}"), File::made(text.clone()));
            }
        };
        record("", "control");
        record(".md5sums", "md5sums");
    }
    files
}
