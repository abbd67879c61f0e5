//! Stage 1: what git says of the sources. A directory in, facts out; neither git nor a program that its configuration names is
//! ever started, and no configuration outside the repository is read, so that every machine sees the same.

use std::path::Path;

use gix::bstr::{BStr, ByteSlice};
use gix::status::UntrackedFiles;
use gix::status::index_worktree::Item;
use gix::status::tree_index::TrackRenames;
use gix::worktree::stack::state::attributes::Source;

use super::rfc3339;
use crate::error::{Error, Result, printable};

/// The names that `git.` and `git:` know.
pub const NAMES: [&str; 5] = ["sha", "short_sha", "tag", "branch", "commit_time"];

/// How many hex digits `short_sha` has, whatever the size of the repository.
const SHORT: usize = 12;

/// The sections of a repository's configuration that are kept. Others name filters, text converters, hooks, editors and helpers.
const KEPT: [&str; 3] = ["core", "extensions", "submodule"];

/// The keys of `core` that name a program.
const PROGRAMS: [&str; 9] = [
    "fsmonitor",
    "sshCommand",
    "gitProxy",
    "askPass",
    "editor",
    "pager",
    "hooksPath",
    "alternateRefsCommand",
    "alternateRefsPrefixes",
];

/// Most tags of a repository.
const MOST_TAGS: usize = 100_000;

/// How deep submodules may stand in each other.
const DEEPEST: usize = 16;

pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Why the work tree is not the commit: a path, and what is with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is in the commit, and differs.
    Changed(String),
    /// It differs, but a filter that is not run stands between (as for git-lfs).
    Filtered(String),
    /// It is neither committed nor ignored; a directory ends in `/`.
    Untracked(String),
}

impl Change {
    /// Half a sentence for a note, with the way out.
    pub fn why(&self) -> String {
        match self {
            Change::Changed(path) => format!("`{}` is not committed", printable(path)),
            Change::Filtered(path) => format!(
                "`{}` may be changed: it goes through a filter of git, which is not run; `git add --renormalize .` settles it",
                printable(path)
            ),
            Change::Untracked(path) => {
                format!("`{0}` is not committed; commit it, or add `{0}` to .gitignore", printable(path))
            }
        }
    }
}

/// The state of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    /// The HEAD commit.
    pub sha: String,
    /// The tag that points exactly at HEAD; of several the highest semver, else the last by name.
    pub tag: Option<String>,
    /// All tags that point exactly at HEAD.
    pub here: Vec<String>,
    /// All tags of the repository, as far as they were fetched.
    pub tags: Vec<String>,
    /// Whether the clone is shallow: commits and tags may be missing.
    pub shallow: bool,
    /// The branch, unless HEAD is detached.
    pub branch: Option<String>,
    /// The HEAD commit's committer time, seconds since 1970.
    pub commit_time: i64,
    /// Something that is changed or neither committed nor ignored, if there is anything.
    pub dirty: Option<Change>,
}

impl Git {
    /// The value of one of its names, as `sha`.
    pub fn value(&self, name: &str) -> Option<String> {
        match name {
            "sha" => Some(self.sha.clone()),
            "short_sha" => Some(self.sha[..SHORT.min(self.sha.len())].to_string()),
            "tag" => self.tag.clone(),
            "branch" => self.branch.clone(),
            "commit_time" => Some(rfc3339(self.commit_time)),
            _ => None,
        }
    }

    /// The tag at HEAD that a prefix picks: of those that begin with it the highest semver, else [`Git::tag`].
    pub fn tag_with(&self, prefix: &str) -> Option<String> {
        let picked = highest(self.here.iter().filter(|name| name.starts_with(prefix)), prefix);
        picked.or_else(|| self.tag.clone())
    }
}

/// Of several names the highest semver behind a prefix, else the last by name.
fn highest<'a>(names: impl Iterator<Item = &'a String>, prefix: &str) -> Option<String> {
    let version = |name: &str| semver::Version::parse(name.strip_prefix(prefix).unwrap_or(name)).ok();
    names.max_by_key(|name| (version(name), *name)).cloned()
}

/// The facts of the repository whose work tree is `directory`; `None` without one or without a commit. What cannot be read is
/// an error, never "none".
pub fn facts(directory: &Path) -> Result<Option<Git>> {
    // As git sees it, a directory `.git` without a HEAD is no repository; a file `.git` leads to one.
    let git = directory.join(".git");
    if !git.exists() || git.is_dir() && git.join("HEAD").symlink_metadata().is_err() {
        return Ok(None);
    }
    let failed = |cause: Failed| {
        Error::local("reading the git repository around the manifest")
            .because(cause)
            .hint("`git fsck` and `git status` say more; without git's facts the image would be another one")
    };
    let read = || {
        let repository = open(directory)?;
        let head = repository.head()?;
        if head.is_unborn() {
            return Ok(None);
        }
        let branch = head.referent_name().map(|name| name.shorten().to_string());
        let commit = head.into_peeled_id()?.object()?.try_into_commit()?;
        let head = commit.id;
        let commit_time = commit.committer()?.time()?.seconds;
        let (tags, here) = tags(&repository, head)?;
        let (tag, shallow) = (highest(here.iter(), "v"), repository.is_shallow()?);
        let dirty = dirty(&repository, DEEPEST)?;
        Ok(Some(Git { sha: head.to_string(), tag, here, tags, shallow, branch, commit_time, dirty }))
    };
    read().map_err(failed)
}

/// The repository of a work tree, without all that could start a program.
pub(crate) fn open(directory: &Path) -> Result<gix::Repository, Failed> {
    let mut repository = gix::open_opts(directory, gix::open::Options::isolated())?;
    harmless(&mut repository)?;
    Ok(repository)
}

/// Drops all from the repository's configuration, as it stands in memory, that could start a program.
fn harmless(repository: &mut gix::Repository) -> Result<(), Failed> {
    let mut config = repository.config_snapshot_mut();
    let sections: Vec<_> =
        config.sections_and_ids().map(|(section, id)| (section.header().name().to_owned(), id)).collect();
    for (name, id) in sections {
        if !KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept.as_bytes())) {
            config.remove_section_by_id(id);
        } else if let Some(mut section) = config.section_mut_by_id(id) {
            for program in PROGRAMS {
                while section.remove(program).is_some() {}
            }
        }
    }
    config.commit()?;
    Ok(())
}

/// All tags, and those of them that point at HEAD.
fn tags(repository: &gix::Repository, head: gix::ObjectId) -> Result<(Vec<String>, Vec<String>), Failed> {
    let (mut tags, mut here) = (Vec::new(), Vec::new());
    for reference in repository.references()?.tags()? {
        let mut reference = reference?;
        let name = reference.name().shorten().to_str_lossy().into_owned();
        if tags.len() == MOST_TAGS {
            return Err(format!("it has over {MOST_TAGS} tags, which is the limit").into());
        }
        if reference.peel_to_id().is_ok_and(|id| id.detach() == head) {
            here.push(name.clone());
        }
        tags.push(name);
    }
    Ok((tags, here))
}

/// The first change by kind and path, here or in a submodule.
fn dirty(repository: &gix::Repository, depth: usize) -> Result<Option<Change>, Failed> {
    if repository.workdir().is_none() {
        return Ok(None);
    }
    let status = repository
        .status(gix::progress::Discard)?
        .untracked_files(UntrackedFiles::Collapsed)
        .tree_index_track_renames(TrackRenames::Disabled)
        .index_worktree_submodules(None);
    let index = repository.index_or_empty()?;
    let mut attributes = repository.attributes_only(&index, Source::WorktreeThenIdMapping)?;
    let mut outcome = attributes.selected_attribute_matches(["filter"]);
    let mut filtered = |path: &BStr| -> Result<bool, Failed> {
        let path = attributes.at_entry(path, None)?;
        Ok(path.matching_attributes(&mut outcome)
            && outcome.iter_selected().any(|found| matches!(found.assignment.state, gix::attrs::StateRef::Value(_))))
    };
    let mut changes = Vec::new();
    for item in status.into_iter(None)? {
        let item = item?;
        let path = item.location().to_str_lossy().into_owned();
        changes.push(match &item {
            gix::status::Item::IndexWorktree(Item::DirectoryContents { entry, .. }) => {
                let directory = entry.disk_kind.is_some_and(|kind| kind.is_dir());
                Change::Untracked(if directory { path + "/" } else { path })
            }
            gix::status::Item::IndexWorktree(_) if filtered(item.location())? => Change::Filtered(path),
            _ => Change::Changed(path),
        });
    }
    changes.extend(submodules(repository, depth)?);
    Ok(changes.into_iter().min())
}

/// The changes of submodules: another commit, or changes of their own.
fn submodules(repository: &gix::Repository, depth: usize) -> Result<Vec<Change>, Failed> {
    let mut changes = Vec::new();
    for submodule in repository.submodules()?.into_iter().flatten() {
        let Some(mut inner) = submodule.open()? else { continue };
        harmless(&mut inner)?;
        let path = submodule.path()?.to_str_lossy().into_owned();
        let commit = if inner.head()?.is_unborn() { None } else { Some(inner.head_id()?.detach()) };
        if commit != submodule.index_id()? {
            changes.push(Change::Changed(path));
        } else if depth > 0
            && let Some(change) = dirty(&inner, depth - 1)?
        {
            let below = |inner: String| format!("{path}/{inner}");
            changes.push(match change {
                Change::Changed(inner) => Change::Changed(below(inner)),
                Change::Filtered(inner) => Change::Filtered(below(inner)),
                Change::Untracked(inner) => Change::Untracked(below(inner)),
            });
        }
    }
    Ok(changes)
}
