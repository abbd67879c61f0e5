//! Stage 1: what git says of the sources. A directory in, facts out; git itself is never started and no configuration outside
//! the repository is read, so that every machine sees the same.

use std::path::Path;

use gix::bstr::ByteSlice;

use super::rfc3339;
use crate::error::{Error, Result};

/// The names that `git.` and `git:` know.
pub const NAMES: [&str; 5] = ["sha", "short_sha", "tag", "branch", "commit_time"];

/// How many hex digits `short_sha` has, whatever the size of the repository.
const SHORT: usize = 12;

/// The state of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    /// The HEAD commit.
    pub sha: String,
    /// The tag that points exactly at HEAD; of several the highest semver, else the last by name.
    pub tag: Option<String>,
    /// The branch, unless HEAD is detached.
    pub branch: Option<String>,
    /// The HEAD commit's committer time, seconds since 1970.
    pub commit_time: i64,
    /// A path that is changed or neither committed nor ignored, if there is one.
    pub dirty: Option<String>,
}

impl Git {
    /// The value of one of [`NAMES`].
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
}

/// The facts of the repository whose work tree is `directory`; `None` without one or without a commit.
pub fn facts(directory: &Path) -> Result<Option<Git>> {
    if !directory.join(".git").exists() {
        return Ok(None);
    }
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::local(format!("reading the git repository in `{}`", directory.display())).because(cause)
    };
    let repository = gix::open_opts(directory, gix::open::Options::isolated()).map_err(|cause| failed(cause.into()))?;
    let Ok(head) = repository.head_id() else { return Ok(None) };
    let head = head.detach();
    let commit = repository.find_commit(head).map_err(|cause| failed(cause.into()))?;
    let commit_time =
        commit.committer().and_then(|who| Ok(who.time()?.seconds)).map_err(|cause| failed(cause.into()))?;
    let branch = repository.head_name().map_err(|cause| failed(cause.into()))?;
    Ok(Some(Git {
        sha: head.to_string(),
        tag: tag(&repository, head).map_err(failed)?,
        branch: branch.map(|name| name.shorten().to_string()),
        commit_time,
        dirty: dirty(&repository).map_err(failed)?,
    }))
}

fn tag(
    repository: &gix::Repository,
    head: gix::ObjectId,
) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
    let mut names = Vec::new();
    for reference in repository.references()?.tags()? {
        let mut reference = reference?;
        if reference.peel_to_id().is_ok_and(|id| id.detach() == head) {
            names.push(reference.name().shorten().to_str_lossy().into_owned());
        }
    }
    let version = |name: &String| semver::Version::parse(name.strip_prefix('v').unwrap_or(name)).ok();
    Ok(names.into_iter().max_by_key(|name| (version(name), name.clone())))
}

fn dirty(repository: &gix::Repository) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
    if repository.workdir().is_none() {
        return Ok(None);
    }
    let status = repository.status(gix::progress::Discard)?.untracked_files(gix::status::UntrackedFiles::Files);
    let mut paths = Vec::new();
    for item in status.into_iter(None)? {
        paths.push(item?.location().to_str_lossy().into_owned());
    }
    Ok(paths.into_iter().min())
}
