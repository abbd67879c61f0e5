//! Stage 10: upkeep of registries: `stillframe tags ls`, `stillframe tags rm` and `stillframe prune --remote`. Dry unless it is said.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::args::{Prune, Tags};
use super::inside::count;
use super::session::Session;
use crate::error::{Error, Report, Result};
use crate::manifest::grammar::nearest;
use crate::oci::{Digest, Reference, Repository, Tag};
use crate::registry::Which;
use crate::ship::upkeep::{Deleted, Rules, Verdicts, delete, judge, survey};

/// How many tags are looked up at once.
const AT_ONCE: usize = 8;

/// Lists or removes tags.
pub async fn tags(session: &Session<'_>, options: &Tags) -> Result<u8> {
    match options {
        Tags::Ls { name, digests } => list(session, name, *digests).await,
        Tags::Rm { references, with_image, yes } => remove(session, references, *with_image, *yes).await,
    }
}

async fn list(session: &Session<'_>, name: &Repository, digests: bool) -> Result<u8> {
    let ctx = &session.ctx;
    let tags = ctx.registries.tags(name).await?;
    let look = |tag: Tag| async move {
        ctx.cancel.check()?;
        let says = if digests { ctx.registries.head(name, Which::Tag(&tag)).await? } else { None };
        Ok::<_, Error>((tag, says))
    };
    let all: Vec<(Tag, Option<Digest>)> =
        stream::iter(tags.into_iter().map(look)).buffered(AT_ONCE).try_collect().await?;
    if session.terminal.json() {
        let one = |(tag, says): &(Tag, Option<Digest>)| json!({ "tag": tag.as_str(), "digest": says });
        let document = json!({ "name": name.to_string(), "tags": all.iter().map(one).collect::<Vec<Value>>() });
        session.terminal.document(document, &Report::default())?;
        return Ok(0);
    }
    let line = |(tag, says): &(Tag, Option<Digest>)| match says {
        Some(says) => format!("{tag} {says}\n"),
        None => format!("{tag}\n"),
    };
    session.terminal.result(&all.iter().map(line).collect::<String>())?;
    Ok(0)
}

/// Removes tags by their names: the tag alone, or the image too.
async fn remove(session: &Session<'_>, references: &[Reference], with_image: bool, yes: bool) -> Result<u8> {
    let mut wanted: BTreeMap<&Repository, BTreeSet<Tag>> = BTreeMap::new();
    for reference in references {
        match (&reference.tag, &reference.digest) {
            (Some(tag), None) => drop(wanted.entry(&reference.repository).or_default().insert(tag.clone())),
            _ => {
                return Err(Error::usage(format!("`{reference}` names no tag, or a digest beside it"))
                    .hint("write REPO:TAG; a digest alone is no tag"));
            }
        }
    }
    for (name, tags) in &wanted {
        there(session, name, tags).await?;
    }
    if with_image {
        for (name, tags) in wanted {
            let rules = Rules { only: Some(tags), ..Rules::default() };
            upkeep(session, name, &rules, false, yes).await?;
        }
        return Ok(0);
    }
    let all: Vec<String> =
        wanted.iter().flat_map(|(name, tags)| tags.iter().map(move |tag| format!("{name}:{tag}"))).collect();
    for (name, tags) in wanted.iter().filter(|_| yes) {
        for tag in tags {
            session.ctx.cancel.check()?;
            session.ctx.registries.delete_tag(name, tag).await.map_err(|error| {
                error.hint("many registries cannot delete a tag alone; `--with-image` deletes what it leads to, unless something else needs it")
            })?;
        }
    }
    let word = if yes { "removed" } else { "would remove" };
    if session.terminal.json() {
        session.terminal.document(json!({ "dryRun": !yes, "removed": all }), &Report::default())?;
    } else {
        session.terminal.result(&all.iter().map(|one| format!("{word} {one}\n")).collect::<String>())?;
        again(session, yes);
    }
    Ok(0)
}

/// All mistakes in the names of tags at once.
async fn there(session: &Session<'_>, name: &Repository, tags: &BTreeSet<Tag>) -> Result<()> {
    let known = session.ctx.registries.tags(name).await?;
    let missing: Vec<&Tag> = tags.iter().filter(|tag| !known.contains(tag)).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let list: Vec<String> = missing.iter().map(|tag| format!("`{tag}`")).collect();
    let what = if missing.len() == 1 { "tag" } else { "tags" };
    let error = Error::usage(format!("`{name}` has no {what} {}", list.join(", ")));
    Err(match nearest(first.as_str(), known.iter().map(Tag::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("`stillframe tags ls {name}` lists them")),
    })
}

/// Removes the tags that no rule keeps, and what only they need.
pub async fn prune(session: &Session<'_>, name: &Repository, options: &Prune) -> Result<u8> {
    let keep = &options.keep;
    let younger = match options.older_than {
        Some(age) => {
            let age = jiff::SignedDuration::try_from(age).map_err(|_| Error::usage("the age is too great"))?;
            Some(session.ctx.registries.now().checked_sub(age).unwrap_or(jiff::Timestamp::MIN))
        }
        None => None,
    };
    if keep.keep_last.is_none() && !keep.keep_semver && keep.keep.is_empty() && younger.is_none() {
        return Err(Error::usage("without a rule for what stays, every tag would go")
            .hint("say at least one of `--keep-last N`, `--keep-semver`, `--keep REGEX`, `--older-than AGE`"));
    }
    let times = keep.keep_last.is_some() || younger.is_some();
    let rules =
        Rules { last: keep.keep_last, semver: keep.keep_semver, patterns: keep.keep.clone(), younger, only: None };
    upkeep(session, name, &rules, times, options.yes).await
}

async fn upkeep(session: &Session<'_>, name: &Repository, rules: &Rules, times: bool, yes: bool) -> Result<u8> {
    let graph = survey(&session.ctx, name, times).await?;
    let verdicts = judge(&graph, rules);
    let deleted = match yes && !verdicts.delete.is_empty() {
        true => delete(&session.ctx, name, &verdicts).await?,
        false => Deleted::default(),
    };
    if session.terminal.json() {
        session.terminal.document(document(name, &verdicts, &deleted, yes), &Report::default())?;
    } else {
        session.terminal.result(&text(name, &verdicts, &deleted, yes))?;
        again(session, yes);
    }
    match deleted.failed.into_iter().next() {
        None => Ok(0),
        Some((digest, error)) => Err(error
            .context(format!("deleting `{name}@{digest}`"))
            .hint("what could be deleted is; the same command again tries the rest")
            .hint("some registries allow no deletion, or only in their settings; `stillframe doctor` tells")),
    }
}

fn again(session: &Session<'_>, yes: bool) {
    if !yes {
        session.ctx.note("nothing was removed; run it again with `--yes`");
    }
}

fn text(name: &Repository, verdicts: &Verdicts, deleted: &Deleted, yes: bool) -> String {
    let word = if yes { "removed" } else { "would remove" };
    let mut text = String::new();
    for one in &verdicts.tags {
        let left = deleted.failed.iter().any(|(digest, _)| *digest == one.digest);
        text += &match &one.stays {
            Some(why) => format!("kept {name}:{} ({why})\n", one.tag),
            None if left => format!("not removed {name}:{} {}\n", one.tag, one.digest),
            None => format!("{word} {name}:{} {}\n", one.tag, one.digest),
        };
    }
    let tags = verdicts.tags.iter().filter(|one| one.stays.is_none()).count() as u64;
    let manifests = if yes { deleted.gone.len() } else { verdicts.delete.len() } as u64;
    text + &format!(
        "{word} {} of {}, {}\n",
        count(tags, "tag", "tags"),
        verdicts.tags.len(),
        count(manifests, "manifest", "manifests")
    )
}

fn document(name: &Repository, verdicts: &Verdicts, deleted: &Deleted, yes: bool) -> Value {
    let tag = |one: &crate::ship::upkeep::Verdict| json!({ "tag": one.tag.as_str(), "digest": one.digest, "kept": one.stays.is_some(), "why": one.stays });
    let failed = |(digest, error): &(Digest, Error)| json!({ "digest": digest, "error": error.message() });
    json!({
        "name": name.to_string(),
        "dryRun": !yes,
        "tags": verdicts.tags.iter().map(tag).collect::<Vec<_>>(),
        "delete": verdicts.delete,
        "deleted": deleted.gone,
        "failed": deleted.failed.iter().map(failed).collect::<Vec<_>>(),
    })
}
