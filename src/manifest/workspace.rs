//! Stage 1: the members of a workspace. The manifest at its root in, the manifests of its images out, sorted; or a member in, its root
//! out. May list directories and read the manifests above one.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use toml::de::DeTable;

use super::check;
use super::locate::{Location, MOST_BYTES, NAMES, Root, locate, shown, text};
use super::read::tidy;
use super::written::{self, Spot, View};
use crate::error::{Error, Finding, Report, Result, Text, printable};

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
    let own = if root.contains_key("image") { vec![written_as(path, &location.file)] } else { Vec::new() };
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
fn written_as(path: &Path, file: &Path) -> PathBuf {
    if path.is_dir() { path.join(file.file_name().unwrap_or_default()) } else { path.to_path_buf() }
}

/// The directories that a pattern fits.
fn fitting(around: &Path, spot: &Spot<String>, report: &mut Report) -> Vec<PathBuf> {
    let parts = match parts(&spot.value) {
        Ok(parts) => parts,
        Err(why) => {
            let what = format!("`{}` names no members: {why}", printable(&spot.value));
            report.add(Finding::error("workspace", what).at(&spot.place, "").help("as in \"api\" or \"services/*\""));
            return Vec::new();
        }
    };
    let mut directories = vec![around.to_path_buf()];
    for part in parts {
        let below = |directory: PathBuf| match &part {
            Part::Name(name) => vec![directory.join(name)],
            Part::Pattern(_) => {
                let names = listed(&directory).into_iter().filter(|name| part.fits(name));
                names.map(|name| directory.join(name)).collect()
            }
        };
        directories = directories.into_iter().flat_map(below).filter(|directory| directory.is_dir()).collect();
    }
    directories
}

/// What stands between two slashes of a pattern.
enum Part<'a> {
    Name(&'a str),
    Pattern(GlobMatcher),
}

impl Part<'_> {
    /// Whether a directory of this name is meant; hidden ones are never meant by a pattern.
    fn fits(&self, name: &str) -> bool {
        match self {
            Part::Name(own) => *own == name,
            Part::Pattern(matcher) => !name.starts_with('.') && matcher.is_match(name),
        }
    }
}

/// A pattern taken apart, or why it names no members.
fn parts(pattern: &str) -> Result<Vec<Part<'_>>, &'static str> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if pattern.starts_with('/') || parts.contains(&"..") || parts.is_empty() {
        return Err("a member is a directory below the workspace");
    }
    if parts.iter().any(|part| part.contains("**")) {
        return Err("`**` is not known here, since every directory below would have to be looked into");
    }
    let read = |part| match GlobBuilder::new(part).literal_separator(true).build() {
        Err(_) => Err("the pattern cannot be read"),
        Ok(_) if !part.contains(['*', '?', '[', '{']) => Ok(Part::Name(part)),
        Ok(glob) => Ok(Part::Pattern(glob.compile_matcher())),
    };
    parts.into_iter().map(read).collect()
}

/// The root of the workspace that counts a manifest among its members: the nearest one in the directories above, as far as the repository
/// goes. `None` for the root of a workspace, which is in no other one.
pub(super) fn above(member: &Text, file: &Path, around: &Path) -> Result<Option<Root>> {
    if table(&member.text, |_| ()).is_some() {
        return Ok(None);
    }
    let directory = file.parent().unwrap_or(Path::new("/"));
    let first = NAMES.iter().map(|name| directory.join(name)).find(|file| file.is_file());
    if first.as_deref() != Some(file) {
        return Ok(None);
    }
    // Without a repository nothing but the root directory ends the search.
    let repository = around.join(".git").exists();
    let within = |above: &&Path| !repository || above.starts_with(around);
    for (up, above) in directory.ancestors().enumerate().skip(1).take_while(|(_, above)| within(above)) {
        let Some(root) = manifest_in(above)? else { continue };
        let path = seen_from(member, up, &root);
        let text = text(&root, MOST_BYTES).map_err(|error| error.context("looking for the root of the workspace"))?;
        let Ok(below) = directory.strip_prefix(above) else { continue };
        if !counts(&text, below) {
            continue;
        }
        if !repository && owner(&root)? != owner(file)? {
            return Err(Error::usage(format!("`{path}` counts `{}` among its members, and belongs to another user", member.path))
                .hint("put both into one git repository (`git init`), where files belong together whoever owns them, or build elsewhere"));
        }
        let text = Arc::new(Text { path, text });
        return Ok(Some(Root { text, file: root, directory: above.to_path_buf() }));
    }
    Ok(None)
}

/// The root of a workspace that makes no image as a member that says nothing itself, so that all of it is a default; `None` where the
/// defaults have no base, or the root is an image.
pub fn by_default(root: &Location) -> Option<Location> {
    let (tree, _) = DeTable::parse_recoverable(&root.text.text);
    let based = check::defaults(tree.get_ref()).is_some_and(check::has_base);
    if !based || tree.get_ref().contains_key("image") {
        return None;
    }
    let Location { text, file, directory, .. } = root.clone();
    let empty = Arc::new(Text { path: text.path.clone(), text: "schema = 1\n".into() });
    Some(Location { text: empty, root: Some(Root { text, file, directory }), ..root.clone() })
}

/// The manifest in a directory, if it has one; what cannot be told is no "none".
fn manifest_in(directory: &Path) -> Result<Option<PathBuf>> {
    for file in NAMES.iter().map(|name| directory.join(name)) {
        match file.metadata() {
            Ok(facts) if facts.is_file() => return Ok(Some(file)),
            Ok(_) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => {
                return Err(Error::io(format!("looking for the root of a workspace at `{}`", shown(&file)), cause));
            }
        }
    }
    Ok(None)
}

/// The path of a root so many directories above, in the words that the user has for the member.
fn seen_from(member: &Text, up: usize, root: &Path) -> String {
    let beside = Path::new(&member.path).parent().unwrap_or(Path::new(""));
    let name = root.file_name().unwrap_or_default();
    let path = tidy(&beside.join("../".repeat(up)).join(name));
    let direct = path.canonicalize().is_ok_and(|path| Some(path) == root.canonicalize().ok());
    shown(if direct { &path } else { root })
}

fn owner(file: &Path) -> Result<u32> {
    let facts = file.metadata().map_err(|cause| Error::io(format!("reading `{}`", shown(file)), cause))?;
    Ok(facts.uid())
}

/// Whether the root of a workspace counts a directory below it among its members.
fn counts(root: &str, below: &Path) -> bool {
    let Some(names) = below.iter().map(|name| name.to_str()).collect::<Option<Vec<_>>>() else { return false };
    let fits = |pattern: &String| {
        let Ok(parts) = parts(pattern) else { return false };
        parts.len() == names.len() && parts.iter().zip(&names).all(|(part, name)| part.fits(name))
    };
    let named = table(root, |table| {
        let list = |key: &str| table.get(key).and_then(|value| value.get_ref().as_array());
        let any = |key: &str| {
            let texts = list(key).into_iter().flat_map(|list| list.iter()).filter_map(|item| item.get_ref().as_str());
            texts.map(str::to_string).any(|pattern| fits(&pattern))
        };
        any("members") && !any("exclude")
    });
    named.unwrap_or(false)
}

/// What is made of the table `[workspace]` of a text, if it has one.
fn table<T>(text: &str, make: impl FnOnce(&DeTable<'_>) -> T) -> Option<T> {
    if !text.contains("workspace") {
        return None; // as most have none, they are not read twice
    }
    let (tree, _) = DeTable::parse_recoverable(text);
    tree.get_ref().get("workspace")?.get_ref().as_table().map(make)
}

/// The names in a directory, sorted; hidden ones are never meant by a pattern.
fn listed(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}
