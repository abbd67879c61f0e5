//! Stage 10: the commit that an image was made from. A person's word or the image's provenance in, a work tree of the commit and the manifest
//! in it out.
//!
//! The provenance is not verified here, and need not be: it only says what to build, and what is shown is that the bytes are the same.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::prepare::aside;
use super::session::Session;
use crate::error::{Error, Result, printable};
use crate::manifest::locate::locate;
use crate::oci::Digest;
use crate::source::{self, Image, Revision};
use crate::trust::provenance::TYPE;
use crate::trust::verify::{Want, hearsay};

/// How many digits a commit's name has.
const DIGITS: [usize; 2] = [40, 64];

/// A work tree to build from.
pub struct Tree {
    /// The commit's files.
    pub revision: Revision,
    /// The manifest among them.
    pub file: PathBuf,
    /// The blobs of the attestations that named the commit.
    pub used: Vec<Digest>,
}

/// What provenance says of where an image came from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    commit: String,
    manifest: PathBuf,
    dirty: bool,
    set: Vec<String>,
}

/// The work tree of a commit: the one that is asked for, else (empty) the one that the provenance names.
pub async fn tree(session: &Session<'_>, image: &Image, asked: &str) -> Result<Tree> {
    let file = session.options.file.clone();
    let here = aside(&session.ctx, move || locate(&file)).await?;
    let own = here.directory.strip_prefix(&here.around).unwrap_or(Path::new(""));
    let own = own.join(Path::new(&here.text.path).file_name().unwrap_or_default());
    let (commit, manifest, used) = match asked {
        "" => {
            let (origin, used) = origin(session, image).await?;
            tell(session, &origin);
            (origin.commit, origin.manifest, used)
        }
        asked => (asked.to_string(), own, Vec::new()),
    };
    let around = here.around;
    let revision = aside(&session.ctx, move || source::revision(&around, &commit)).await?;
    let file = revision.path().join(manifest);
    Ok(Tree { revision, file, used })
}

/// What may make a difference although the commit is the right one.
fn tell(session: &Session<'_>, origin: &Origin) {
    if origin.dirty {
        let text = "the provenance says that the work tree was not its commit when the image was made";
        session.ctx.note(text);
    }
    let given = |name: &&String| session.options.set.iter().any(|(given, _)| given == *name);
    let lacking: Vec<String> =
        origin.set.iter().filter(|name| !given(name)).map(|name| format!("`{}`", printable(name))).collect();
    if !lacking.is_empty() {
        session
            .ctx
            .note(format!("the image was made with `--set` for {}, and here it is not given", lacking.join(", ")));
    }
}

/// What the provenance of an image says, if it says one thing.
async fn origin(session: &Session<'_>, image: &Image) -> Result<(Origin, Vec<Digest>)> {
    let way = |error: Error| error.hint("name the commit, as in `--revision=v1.2.3`");
    let Some(repository) = image.repository() else {
        return Err(way(Error::usage("the image is in no registry, and its provenance is looked for there")));
    };
    let digest = image.digest();
    let said = hearsay(&session.ctx, repository, &digest, &Want::Attestation(TYPE.to_string())).await?;
    let mut found: Vec<Origin> = Vec::new();
    let mut used = Vec::new();
    for (blob, claim) in said {
        if let Some(origin) = read(&claim.predicate) {
            used.push(blob);
            if !found.contains(&origin) {
                found.push(origin);
            }
        }
    }
    used.sort();
    used.dedup();
    match found.as_slice() {
        [one] => Ok((one.clone(), used)),
        [] => Err(way(Error::policy(format!("`{repository}@{digest}` has no provenance that names a commit of git")))),
        several => {
            let commits: Vec<&str> = several.iter().map(|origin| origin.commit.as_str()).collect();
            let text = format!("`{repository}@{digest}` is said to come from several places: {}", commits.join(", "));
            Err(way(Error::policy(text)))
        }
    }
}

/// The commit and the manifest in a predicate; none where it is not one of ours, or where what it says has not the right form.
fn read(predicate: &Value) -> Option<Origin> {
    let definition = &predicate["buildDefinition"];
    let sources = definition["resolvedDependencies"].as_array()?.iter();
    let source = sources
        .filter(|one| one["annotations"]["role"] == "source")
        .find(|one| one["digest"]["gitCommit"].is_string())?;
    let commit = source["digest"]["gitCommit"].as_str()?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let parameters = &definition["externalParameters"];
    let manifest = Path::new(parameters["manifest"].as_str()?);
    let inside = manifest.components().all(|part| matches!(part, Component::Normal(_)));
    if !DIGITS.contains(&commit.len()) || !commit.bytes().all(hex) || !inside || manifest.as_os_str().is_empty() {
        return None;
    }
    let set = parameters["set"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string);
    let dirty = source["annotations"]["dirty"] == true;
    Some(Origin { commit: commit.to_string(), manifest: manifest.to_path_buf(), dirty, set: set.collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_has_the_right_form_is_taken_from_provenance() {
        let predicate = |commit: &str, manifest: &str| {
            json!({"buildDefinition": {
                "externalParameters": {"manifest": manifest, "set": ["a"]},
                "resolvedDependencies": [
                    {"name": "image.toml", "annotations": {"role": "manifest"}},
                    {"name": "source", "digest": {"gitCommit": commit}, "annotations": {"role": "source", "dirty": true}},
                ],
            }})
        };
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let found = read(&predicate(commit, "services/api/image.toml")).unwrap();
        assert_eq!((found.commit.as_str(), found.dirty, found.set), (commit, true, vec!["a".to_string()]));
        for (commit, manifest) in [
            ("main", "image.toml"),
            (&commit[1..], "image.toml"),
            ("--output=x", "image.toml"),
            (commit, "../image.toml"),
            (commit, "/etc/image.toml"),
            (commit, "a/../../image.toml"),
            (commit, ""),
        ] {
            assert_eq!(read(&predicate(commit, manifest)), None, "{commit} {manifest}");
        }
        assert_eq!(read(&json!({})), None);
    }
}
