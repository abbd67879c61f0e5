//! Stage 5: a work tree of a commit. The directory of a repository and a commit in; a directory with the commit's files, and with git's
//! facts as they were, out. Reads the repository, writes a temporary directory; starts neither git nor what its configuration names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::bstr::ByteSlice;
use gix::progress::Discard;
use gix::worktree::stack::state::attributes::Source;
use gix::worktree::state::checkout;
use tempfile::TempDir;

use crate::error::{Error, Result, printable};
use crate::manifest::values::{Failed, repository};

/// Most files that could not be written, in a message.
const MOST_TOLD: usize = 3;

/// The files of a commit, in a directory that is gone with this value.
pub struct Revision {
    room: TempDir,
    /// The whole name of the commit.
    pub commit: String,
}

impl Revision {
    /// The top of the work tree.
    pub fn path(&self) -> &Path {
        self.room.path()
    }
}

/// Writes the files of a commit as git would with no configuration but the repository's attributes: submodules stay empty, and of files
/// that git-lfs keeps there are the pointers.
pub fn revision(around: &Path, name: &str) -> Result<Revision> {
    let name = printable(name);
    let doing = |cause: Failed| Error::local(format!("writing the files of the commit `{name}`")).because(cause);
    let repository = repository(around).map_err(|cause| {
        Error::usage(format!("there is no git repository in `{}`", printable(&around.to_string_lossy()))).because(cause)
    })?;
    let commit = find(&repository, &name).map_err(|cause| {
        let error = Error::usage(format!("the commit `{name}` is not in this clone")).because(cause);
        error.hint("`git fetch --tags` gets it, if it is in the repository that was cloned; a shallow clone needs `git fetch --unshallow`")
    })?;
    let room = tempfile::Builder::new().prefix("stillframe-").tempdir();
    let room = room.map_err(|cause| Error::io("making a temporary directory", cause))?;
    write(&repository, commit, room.path()).map_err(doing)?;
    Ok(Revision { room, commit: commit.to_string() })
}

/// The files that differ from a commit: those that were committed since, and those that are not committed at all; ignored ones do not
/// count. Absolute, as far as `around` is.
pub fn changed_since(around: &Path, name: &str) -> Result<BTreeSet<PathBuf>> {
    let name = printable(name);
    let doing = |cause: Failed| Error::local(format!("comparing the work tree with `{name}`")).because(cause);
    let repository = repository(around).map_err(|cause| {
        Error::usage(format!("there is no git repository in `{}`", printable(&around.to_string_lossy()))).because(cause)
    })?;
    let commit = find(&repository, &name).map_err(|cause| {
        let error = Error::usage(format!("the commit `{name}` is not in this clone")).because(cause);
        error.hint("a shallow clone needs `git fetch --unshallow`, a CI job a deeper checkout (`fetch-depth: 0`)")
    })?;
    let read = || -> Result<BTreeSet<PathBuf>, Failed> {
        let (then, now) = (files(&repository, commit)?, files(&repository, repository.head_id()?.detach())?);
        let differs = |path: &&Vec<u8>| then.get(*path) != now.get(*path);
        let mut changed: BTreeSet<Vec<u8>> = then.keys().chain(now.keys()).filter(differs).cloned().collect();
        let status = repository
            .status(Discard)?
            .untracked_files(gix::status::UntrackedFiles::Files)
            .tree_index_track_renames(gix::status::tree_index::TrackRenames::Disabled)
            .index_worktree_submodules(None);
        for item in status.into_iter(None)? {
            changed.insert(item?.location().to_vec());
        }
        Ok(changed.iter().map(|path| around.join(std::ffi::OsStr::from_bytes(path))).collect())
    };
    read().map_err(doing)
}

/// All files of a commit by their paths, with what they hold and how they are.
fn files(
    repository: &gix::Repository,
    commit: gix::ObjectId,
) -> Result<BTreeMap<Vec<u8>, (gix::ObjectId, u16)>, Failed> {
    let tree = repository.find_object(commit)?.peel_to_commit()?.tree()?;
    let entries = tree.traverse().breadthfirst.files()?;
    Ok(entries.into_iter().map(|entry| (entry.filepath.to_vec(), (entry.oid, entry.mode.value()))).collect())
}

fn find(repository: &gix::Repository, name: &str) -> Result<gix::ObjectId, Failed> {
    let commit = repository.rev_parse_single(name)?.object()?.peel_to_commit()?;
    // Without its tree the commit is of no use.
    commit.tree()?;
    Ok(commit.id)
}

fn write(from: &gix::Repository, commit: gix::ObjectId, room: &Path) -> Result<(), Failed> {
    facts(from, commit, &room.join(".git"))?;
    let to = gix::open_opts(room, gix::open::Options::isolated())?;
    let tree = to.find_commit(commit)?.tree_id()?.detach();
    let mut index = to.index_from_tree(&tree)?;
    let mut options = to.checkout_options(Source::IdMapping)?;
    options.destination_is_initially_empty = true;
    let never = AtomicBool::new(false);
    let objects = to.objects.clone().into_arc()?;
    let done = checkout(&mut index, room, objects, &Discard, &Discard, &never, options)?;
    let failed = done.errors.iter().map(|record| format!("`{}`: {}", record.path.to_str_lossy(), record.error));
    let failed =
        failed.chain(done.collisions.iter().map(|one| format!("`{}`: it is there twice", one.path.to_str_lossy())));
    let failed: Vec<String> = failed.take(MOST_TOLD).collect();
    if !failed.is_empty() {
        return Err(failed.join(", ").into());
    }
    index.write(Default::default())?;
    Ok(())
}

/// A repository that borrows its objects: HEAD is the commit, and all tags are there.
fn facts(from: &gix::Repository, commit: gix::ObjectId, git: &Path) -> Result<(), Failed> {
    fs::create_dir_all(git.join("objects/info"))?;
    fs::create_dir_all(git.join("refs"))?;
    let objects: PathBuf = fs::canonicalize(from.objects.store_ref().path())?;
    let borrowed = objects.as_os_str().as_bytes();
    if borrowed.contains(&b'\n') {
        return Err("the path of the repository has an end of a line in it".into());
    }
    fs::write(git.join("objects/info/alternates"), [borrowed, b"\n"].concat())?;
    let format = match from.object_hash() {
        gix::hash::Kind::Sha1 => "\trepositoryformatversion = 0\n".to_string(),
        other => format!("\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = {other}\n"),
    };
    fs::write(git.join("config"), format!("[core]\n\tbare = false\n{format}"))?;
    fs::write(git.join("HEAD"), format!("{commit}\n"))?;
    let mut tags = Vec::new();
    for reference in from.references()?.tags()? {
        let reference = reference?;
        if let Some(id) = reference.target().try_id() {
            tags.push((reference.name().as_bstr().to_vec(), id.to_owned()));
        }
    }
    tags.sort();
    let mut packed = fs::File::create_new(git.join("packed-refs"))?;
    for (name, id) in tags {
        packed.write_all(&[format!("{id} ").as_bytes(), &name, b"\n"].concat())?;
    }
    let shallow = from.shallow_file()?;
    if shallow.is_file() {
        fs::copy(shallow, git.join("shallow"))?;
    }
    Ok(())
}
