//! Stage 6: the files of all packages as one tree. Packages in, whose file stands where out, by dpkg's rules. Pure.
//!
//! On a system whose `/bin`, `/sbin` and `/lib` are links into `/usr` (all of Debian since 12) the files of packages that still name the
//! old places stand where the links lead; the links themselves are made where the base has none.

use std::collections::{BTreeMap, BTreeSet};

use super::File;
use crate::error::{Finding, Place, Report, printable};
use crate::layer::ignore::Globs;
use crate::layer::tree::{Body, Content};
use crate::manifest::Family;
use crate::source::{FileIndex, Kind, Member, MemberBody, Unpacked};

/// Directories that are links into `/usr` on a merged system.
const TOPS: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"];
/// Those of them that every merged system has.
const ALWAYS: usize = 3;
/// Most links that one path is led through.
const MOST_LINKS: usize = 40;
/// The package whose directories are those of the system.
const BASE_FILES: [&str; 2] = ["base-files", "alpine-baselayout"];

/// A file and the package that it is of, by its place among the packages.
type Owned = (usize, File);

/// The files of all packages by path.
pub fn merge(
    packages: &[Unpacked],
    exclude: &Globs,
    index: &FileIndex,
    place: &Place,
    report: &mut Report,
) -> BTreeMap<String, File> {
    let tops = merged(packages, index);
    let mut left_out = LeftOut { globs: exclude, directories: BTreeSet::new() };
    let mut kept: Vec<(usize, String, &Member)> = Vec::new();
    for (at, package) in packages.iter().enumerate() {
        for member in &package.members {
            let path = moved(&member.path, &tops);
            let directory = member.body == MemberBody::Directory;
            // `/lib -> usr/lib`, as a package may have it, is what is made here anyway.
            let is_top = tops.contains(&member.path.as_str()) && matches!(member.body, MemberBody::Link(_));
            if !is_top && !left_out.has(&path, directory) {
                kept.push((at, path, member));
            }
        }
    }
    let links: BTreeMap<String, String> = kept
        .iter()
        .filter_map(|(_, path, member)| match &member.body {
            MemberBody::Link(target) => Some((path.clone(), target.clone())),
            _ => None,
        })
        .collect();
    let mut merge = Merge { packages, place, report, files: BTreeMap::new() };
    for (at, path, member) in kept {
        let Some(path) = real(&path, &links) else {
            merge.wrong(at, &path, "lies below links that lead in a circle");
            continue;
        };
        // A directory where another package has a link to one: the link stays.
        if member.body == MemberBody::Directory && links.contains_key(&path) {
            continue;
        }
        merge.add(at, path, member);
    }
    let mut files: BTreeMap<String, File> = merge.files.into_iter().map(|(path, (_, file))| (path, file)).collect();
    for (number, top) in tops.iter().enumerate() {
        let below = format!("usr/{top}");
        let used =
            number < ALWAYS || files.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below));
        if used && index.get(top).is_none() {
            files.insert(top.to_string(), File::link(&below));
        }
    }
    files
}

/// The directories that are links into `/usr` here; none on a system that is not merged.
fn merged(packages: &[Unpacked], index: &FileIndex) -> Vec<&'static str> {
    let debian = packages.first().is_some_and(|package| package.package.family == Family::Debian);
    let merged = match index.get("lib").map(|node| &node.kind) {
        None => debian,
        Some(Kind::Link(target)) => [b"usr/lib".as_slice(), b"/usr/lib"].contains(&&**target),
        Some(_) => false,
    };
    if merged { TOPS.to_vec() } else { Vec::new() }
}

/// Where a path really is on a merged system.
fn moved(path: &str, tops: &[&str]) -> String {
    let top = path.split('/').next().unwrap_or_default();
    if tops.contains(&top) { format!("usr/{path}") } else { path.to_string() }
}

/// Where a path really is: links of packages in its parents are followed; `None` where they lead in a circle.
fn real(path: &str, links: &BTreeMap<String, String>) -> Option<String> {
    let mut path = path.to_string();
    for _ in 0..MOST_LINKS {
        let ends: Vec<usize> = path.match_indices('/').map(|(end, _)| end).collect();
        let through = ends.into_iter().find_map(|end| Some((end, links.get(path.get(..end)?)?)));
        let Some((end, target)) = through else { return Some(path) };
        let (above, rest) = (path.get(..end)?.rsplit_once('/').map_or("", |(above, _)| above), path.get(end + 1..)?);
        let whole =
            if target.starts_with('/') { format!("{target}/{rest}") } else { format!("{above}/{target}/{rest}") };
        let mut parts: Vec<&str> = Vec::new();
        for part in whole.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        path = parts.join("/");
    }
    None
}

/// What `exclude` leaves out.
struct LeftOut<'a> {
    globs: &'a Globs,
    directories: BTreeSet<String>,
}

impl LeftOut<'_> {
    /// Whether a path is left out, by itself or with a directory above it.
    fn has(&mut self, path: &str, directory: bool) -> bool {
        for (end, _) in path.match_indices('/') {
            let above = path.get(..end).unwrap_or_default();
            if self.directories.contains(above) {
                return true;
            }
            if self.globs.excludes(above, true) {
                self.directories.insert(above.to_string());
                return true;
            }
        }
        self.globs.excludes(path, directory)
    }
}

struct Merge<'a> {
    packages: &'a [Unpacked],
    place: &'a Place,
    report: &'a mut Report,
    files: BTreeMap<String, Owned>,
}

impl Merge<'_> {
    fn add(&mut self, at: usize, path: String, member: &Member) {
        let body = match &member.body {
            MemberBody::Directory => Body::Directory,
            MemberBody::Link(target) => Body::Link(target.as_str().into()),
            MemberBody::File(stretch) => Body::File(Content::Stored(Box::new(*stretch))),
            MemberBody::Device => return self.wrong(at, &path, "is a device or a named pipe, which no layer can hold"),
        };
        let file = File { body, mode: member.mode, uid: member.uid, gid: member.gid };
        let Some((owner, known)) = self.files.get(&path) else {
            self.files.insert(path, (at, file));
            return;
        };
        let name = |at: usize| self.packages.get(at).map_or("", |package| package.package.name.as_str());
        let replaces = |one: usize, other: usize| {
            self.packages.get(one).is_some_and(|package| package.replaces.contains(name(other)))
        };
        match (&known.body, &file.body) {
            _ if *known == file => {}
            // dpkg leaves a directory as it finds it, and those of the system are there first.
            (Body::Directory, Body::Directory) => {
                if BASE_FILES.contains(&name(at)) {
                    self.files.insert(path, (at, file));
                }
            }
            _ if replaces(at, *owner) => drop(self.files.insert(path, (at, file))),
            _ if replaces(*owner, at) => {}
            _ => {
                let (one, other) = (printable(name(*owner)), printable(name(at)));
                let message = format!("the packages `{one}` and `{other}` both have `/{}`", printable(&path));
                let finding = Finding::error("package-conflict", message).at(self.place, "");
                self.report.add(finding.help("leave one of them out, or its file with `exclude`"));
            }
        }
    }

    fn wrong(&mut self, at: usize, path: &str, why: &str) {
        let name = self.packages.get(at).map_or("", |package| package.package.name.as_str());
        let message = format!("`/{}` of the package `{}` {why}", printable(path), printable(name));
        self.report
            .add(Finding::error("package-conflict", message).at(self.place, "").help("leave it out with `exclude`"));
    }
}
