//! Stage 6: what scripts of packages would have made and plainly matters, made from what the packages bring. Packages in, files out. Pure.
//!
//! * `base-passwd` makes `/etc/passwd` and `/etc/group` from its masters.
//! * `ca-certificates` puts all certificates of `/usr/share/ca-certificates` into one bundle. OpenSSL finds it as its default file; the
//!   directory of single certificates, which it needs hashed names in, is not made.
//! * Alpine's `busybox` links its applets, where it brings the list of their paths.

use std::collections::BTreeMap;

use super::File;
use crate::layer::accounts::{GROUP, PASSWD};
use crate::layer::roots::PLACES;
use crate::layer::tree::{Body, Content};
use crate::manifest::Family;
use crate::source::{APPLETS, FileIndex, Unpacked};

/// Where certificates come from, where their bundle goes, and where OpenSSL looks for it by itself.
const CERTIFICATES: &str = "usr/share/ca-certificates/";
const BUNDLE: &str = PLACES[0];
const OPENSSL: (&str, &str) = ("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt");
/// What applets are links to.
const BUSYBOX: &str = "/bin/busybox";
/// What the files of accounts are made from.
const MASTERS: [(&str, &str); 2] =
    [("usr/share/base-passwd/passwd.master", PASSWD), ("usr/share/base-passwd/group.master", GROUP)];

/// Everything but accounts, by path.
pub fn made(packages: &[Unpacked], files: &BTreeMap<String, File>) -> BTreeMap<String, File> {
    let mut made = BTreeMap::new();
    let texts = packages.iter().flat_map(|package| &package.texts);
    let certificates: BTreeMap<&String, &Vec<u8>> = texts
        .filter(|(path, _)| path.starts_with(CERTIFICATES) && path.ends_with(".crt") && files.contains_key(*path))
        .collect();
    if !certificates.is_empty() && !files.contains_key(BUNDLE) {
        let mut bundle = Vec::new();
        for text in certificates.values() {
            bundle.extend_from_slice(text);
            if !text.ends_with(b"\n") {
                bundle.push(b'\n');
            }
        }
        made.insert(BUNDLE.to_string(), File::made(bundle));
        if packages.iter().any(|package| package.package.family == Family::Debian) {
            made.insert(OPENSSL.0.to_string(), File::link(OPENSSL.1));
        }
    }
    let lists = packages.iter().flat_map(|package| &package.texts).filter(|(path, _)| path.starts_with(APPLETS));
    for (_, list) in lists {
        let links = String::from_utf8_lossy(list);
        let plain = |path: &&str| !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        for path in links.lines().map(|line| line.trim().trim_start_matches('/')).filter(plain) {
            made.insert(path.to_string(), File::link(BUSYBOX));
        }
    }
    made
}

/// The files of accounts that the packages bring, taken out of their files: where the base has its own, those stay.
pub fn accounts(
    packages: &[Unpacked],
    index: &FileIndex,
    files: &mut BTreeMap<String, File>,
) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let mut account = |path: &str, base: &[u8]| {
        let packaged = files.remove(path).filter(|file| matches!(file.body, Body::File(Content::Stored(_))));
        if !base.is_empty() {
            return None;
        }
        let master = MASTERS.iter().find(|(_, to)| *to == path).map(|(from, _)| *from).unwrap_or_default();
        let text = |path: &str| packages.iter().find_map(|package| package.texts.get(path).cloned());
        packaged.and_then(|_| text(path)).or_else(|| text(master))
    };
    (account(PASSWD, index.passwd()), account(GROUP, index.group_file()))
}
