//! Stage 1: the members of a workspace. The manifest at its root in, the manifests of its images out, sorted. May list directories.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use super::check;
use super::locate::{NAMES, locate};
use super::written::{self, Spot, View};
use crate::error::{Error, Finding, Report, Result, printable};

/// Most members of a workspace.
const MOST_MEMBERS: usize = 1000;

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The directory of its root.
    pub directory: PathBuf,
    /// The manifests of its images, as paths that begin as the root's was written.
    pub members: Vec<PathBuf>,
}

/// The workspace whose root is at `path`; `None` where the manifest there is not one.
pub fn workspace(path: &Path) -> Result<Option<Workspace>> {
    let location = locate(path)?;
    let mut report = Report::default();
    let tree = check::parse(&location.text, &mut report);
    let root = tree.get_ref();
    let Some(table) = root.get("workspace").and_then(|value| value.get_ref().as_table()) else { return Ok(None) };
    report.pass()?;
    let own = if root.contains_key("image") { vec![shown(path, &location.file)] } else { Vec::new() };
    let place = written::place_of(&location.text, 0..0);
    let view = View::of(&location.text, place, table);
    let mut report = Report::default();
    let around = if path.is_dir() { path.to_path_buf() } else { path.parent().unwrap_or(Path::new("")).to_path_buf() };
    let mut excluded = BTreeSet::new();
    for spot in view.list("exclude").map(|list| list.value.clone()).unwrap_or_default() {
        excluded.extend(fitting(&around, &spot, &mut report).into_iter().filter_map(|it| it.canonicalize().ok()));
    }
    let mut members: BTreeSet<PathBuf> = own.into_iter().collect();
    for spot in view.list("members").map(|list| list.value.clone()).unwrap_or_default() {
        let mut found = 0;
        for directory in fitting(&around, &spot, &mut report) {
            let Some(file) = NAMES.iter().map(|name| directory.join(name)).find(|file| file.is_file()) else {
                continue;
            };
            found += 1;
            if !directory.canonicalize().is_ok_and(|directory| excluded.contains(&directory)) {
                members.insert(file);
            }
        }
        if found == 0 {
            let finding = Finding::error("workspace", format!("no manifest is in `{}`", printable(&spot.value)));
            report.add(finding.at(&spot.place, "").help(format!("a member is a directory with `{}` in it", NAMES[0])));
        }
    }
    report.pass()?;
    if members.len() > MOST_MEMBERS {
        return Err(Error::usage(format!("the workspace has over {MOST_MEMBERS} members, which is the limit")));
    }
    Ok(Some(Workspace { directory: location.directory, members: members.into_iter().collect() }))
}

/// The root's own manifest, as it was written.
fn shown(path: &Path, file: &Path) -> PathBuf {
    if path.is_dir() { path.join(file.file_name().unwrap_or_default()) } else { path.to_path_buf() }
}

/// The directories that a pattern fits.
fn fitting(around: &Path, spot: &Spot<String>, report: &mut Report) -> Vec<PathBuf> {
    let mut wrong = |why: &str| {
        let what = format!("`{}` names no members: {why}", printable(&spot.value));
        report.add(Finding::error("workspace", what).at(&spot.place, "").help("as in \"api\" or \"services/*\""));
        Vec::new()
    };
    let parts: Vec<&str> = spot.value.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if spot.value.starts_with('/') || parts.contains(&"..") || parts.is_empty() {
        return wrong("a member is a directory below the workspace");
    }
    if parts.iter().any(|part| part.contains("**")) {
        return wrong("`**` is not known here, since every directory below would have to be looked into");
    }
    let mut directories = vec![around.to_path_buf()];
    for part in parts {
        let Ok(glob) = GlobBuilder::new(part).literal_separator(true).build() else {
            return wrong("the pattern cannot be read");
        };
        let matcher = glob.compile_matcher();
        let plain = !part.contains(['*', '?', '[', '{']);
        let below = |directory: PathBuf| match plain {
            true => vec![directory.join(part)],
            false => listed(&directory)
                .into_iter()
                .filter(|name| matcher.is_match(name))
                .map(|name| directory.join(name))
                .collect(),
        };
        directories = directories.into_iter().flat_map(below).filter(|directory| directory.is_dir()).collect();
    }
    directories
}

/// The names in a directory, sorted; hidden ones are never meant by a pattern.
fn listed(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}
