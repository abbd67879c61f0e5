//! Stage 6: the databases of packages, so that scanners find what is there. Packages and what the base's own database says in, files out.
//! Pure.
//!
//! Debian's are written in the manner of distroless images: one file for each package in `/var/lib/dpkg/status.d`, its control file as it
//! is, and beside it the sums of its files. Alpine has one file for all, in which the base's packages stay.

use std::collections::BTreeMap;

use super::File;
use crate::manifest::{Family, Packages};
use crate::source::{FileIndex, Member, MemberBody, RECORD, Unpacked};

/// Where Debian's are.
const STATUS: &str = "var/lib/dpkg/status.d";

/// Where Alpine's is, before and after the merge of `/lib` into `/usr`.
const INSTALLED: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
/// What was wished for, in Alpine's words.
const WORLD: &str = "etc/apk/world";

/// The records of all packages, by path; `files` are those that are laid out, `base` is the text of the base's own database.
pub fn records(
    packages: &[Unpacked],
    wanted: &Packages,
    files: &BTreeMap<String, File>,
    index: &FileIndex,
    base: &str,
) -> BTreeMap<String, File> {
    match wanted.family {
        Family::Debian => debian(packages),
        Family::Alpine => alpine(packages, wanted, files, index, base),
    }
}

fn debian(packages: &[Unpacked]) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    for package in packages {
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

fn alpine(
    packages: &[Unpacked],
    wanted: &Packages,
    files: &BTreeMap<String, File>,
    index: &FileIndex,
    base: &str,
) -> BTreeMap<String, File> {
    let mut text = base.trim_matches('\n').to_string();
    for package in packages {
        let Some(record) = package.control.get(RECORD) else { continue };
        if !text.is_empty() {
            text += "\n\n";
        }
        text += String::from_utf8_lossy(record).trim_end();
        text += &listed(package, files);
    }
    text += "\n\n";
    let [old, new] = INSTALLED;
    let place = if index.get(old).is_none() && index.get(new).is_some() { new } else { old };
    let world: String = wanted.install.iter().map(|(wish, _)| format!("{wish}\n")).collect();
    let mut made = BTreeMap::from([(place.to_string(), File::made(text.into_bytes()))]);
    // A base has its own wishes, which ours would hide.
    if index.get(WORLD).is_none() {
        made.insert(WORLD.to_string(), File::made(world.into_bytes()));
    }
    made
}

/// The files of a package as the database lists them: directory by directory, with what is not as usual.
fn listed(package: &Unpacked, files: &BTreeMap<String, File>) -> String {
    let mut directories: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in package.members.iter().filter(|member| files.contains_key(&member.path)) {
        let (directory, _) = member.path.rsplit_once('/').unwrap_or(("", &member.path));
        match member.body {
            MemberBody::Directory => drop(directories.entry(&member.path).or_default()),
            _ => directories.entry(directory).or_default().push(member),
        }
    }
    let mut text = String::new();
    for (directory, members) in directories {
        text += &format!("\nF:{directory}");
        let own = files.get(directory).map(|file| (file.uid, file.gid, file.mode));
        if let Some((uid, gid, mode)) = own.filter(|own| *own != (0, 0, 0o755)) {
            text += &format!("\nM:{uid}:{gid}:{mode:o}");
        }
        for member in members {
            let name = member.path.rsplit('/').next().unwrap_or_default();
            text += &format!("\nR:{name}");
            let link = matches!(member.body, MemberBody::Link(_));
            let usual = if link { 0o777 } else { 0o644 };
            if (member.uid, member.gid, member.mode) != (0, 0, usual) {
                text += &format!("\na:{}:{}:{:o}", member.uid, member.gid, member.mode);
            }
            if let Some(sum) = package.sums.get(&member.path) {
                text += &format!("\nZ:{sum}");
            }
        }
    }
    text
}
