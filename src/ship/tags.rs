//! Stage 9: tags of registries. Wishes and the image's digest in; decisions and set tags out. Asks first, sets last, and sets nothing
//! where one tag is refused.

use super::push::{Freight, Pushed, Tagged, Target, set};
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Report, Result};
use crate::event::Event;
use crate::oci::{Digest, Document, Repository, Tag};
use crate::plan::{Decision, Fate, Known};
use crate::registry::{PushedManifest, Which};

/// How often tags are looked at again because somebody else changed them at the same time.
const MOST_ROUNDS: u32 = 10;
/// How a tag ended that belongs to a higher release.
const GIVEN: &str = "given away";

/// What happens to each tag of a repository, as things stand there now.
pub async fn judge(ctx: &Ctx, target: &Target, name: &Repository, digest: &Digest) -> Result<Vec<Decision>> {
    Ok(target.tags.decide(&known(ctx, target, name).await?, digest, target.leave))
}

/// What a repository has, as far as it decides something.
async fn known(ctx: &Ctx, target: &Target, name: &Repository) -> Result<Known> {
    let mut known = now(ctx, name, target.tags.tags()).await?;
    if target.tags.asks_for_list() {
        known.tags = ctx.registries.tags(name).await?;
        if let (Some((tag, _)), true) = (known.now.first_key_value(), known.tags.is_empty()) {
            return Err(Error::remote(format!("`{name}` has the tag `{tag}`, but lists no tags at all"))
                .hint("without the list a shared tag could go back to an older release"));
        }
    }
    Ok(known)
}

async fn now(ctx: &Ctx, name: &Repository, tags: impl Iterator<Item = &Tag>) -> Result<Known> {
    let mut known = Known::default();
    for tag in tags {
        ctx.cancel.check()?;
        let now = ctx.registries.head(name, Which::Tag(tag)).await?;
        known.now.extend(now.map(|digest| (tag.clone(), digest)));
    }
    Ok(known)
}

/// Fails, before anything is sent, where a tag is refused that can be told already.
pub async fn foresee(ctx: &Ctx, target: &Target, digest: &Digest) -> Result<()> {
    let mut refused = Report::default();
    for name in &target.names {
        let known = now(ctx, name, target.tags.once()).await?;
        refuse(name, &target.tags.decide(&known, digest, target.leave), &mut refused);
    }
    refused.pass().map(|_| ())
}

/// One finding for each reason to refuse tags of a repository.
fn refuse(name: &Repository, decisions: &[Decision], report: &mut Report) {
    let mut reasons = Vec::new();
    for decision in decisions {
        match &decision.what {
            Fate::Refused(refusal) if !reasons.contains(&refusal) => reasons.push(refusal),
            _ => {}
        }
    }
    for refusal in reasons {
        let alike = decisions.iter().filter(|decision| decision.what == Fate::Refused(refusal.clone()));
        let tags: Vec<String> = alike.map(|decision| format!("`{}`", decision.name)).collect();
        let word = if tags.len() == 1 { "tag" } else { "tags" };
        let message = format!("no {word} {} for `{name}`: {}", tags.join(", "), refusal.why);
        report.add(Finding::error("tag", message).kind(refusal.kind).help(&refusal.help));
    }
}

/// Sets the tags of all repositories, which hold the image already; `latest` last in each.
///
/// No registry can lock a tag, so others may release at the same time. Each repository is asked right before its tags are set, and again
/// after: whoever set a shared tag last sees the other's version, which was tagged before, and gives the tag to the higher one.
pub async fn set_all(ctx: &Ctx, freight: &Freight<'_>, target: &Target, pushed: &mut [Pushed]) -> Result<()> {
    let digest = freight.root()?.descriptor.digest;
    let mut all = Vec::new();
    let mut refused = Report::default();
    for pushed in pushed.iter() {
        let decisions = judge(ctx, target, &pushed.name, &digest).await?;
        refuse(&pushed.name, &decisions, &mut refused);
        all.push(decisions);
    }
    refused.pass()?;
    for at in 0..pushed.len() {
        let name = pushed[at].name.clone();
        if at > 0 {
            // The others took their time.
            let fresh = judge(ctx, target, &name, &digest).await.and_then(|fresh| {
                let mut refused = Report::default();
                refuse(&name, &fresh, &mut refused);
                refused.pass().map(|_| fresh)
            });
            all[at] = fresh.map_err(|error| unfinished(error, &rest(pushed, &all, at, 0), &digest))?;
        }
        for (done, decision) in all[at].iter().enumerate() {
            ctx.cancel.check()?;
            let tagged = one(ctx, freight, &name, decision).await;
            let tagged = tagged.map_err(|error| unfinished(error, &rest(pushed, &all, at, done), &digest))?;
            pushed[at].tags.extend(tagged);
        }
        settle(ctx, freight, target, &mut pushed[at]).await.map_err(|error| {
            let rest = rest(pushed, &all, at + 1, 0);
            if rest.is_empty() { error } else { unfinished(error, &rest, &digest) }
        })?;
    }
    Ok(())
}

/// Looks again at the tags that were set, as a third party does: what they lead to is fetched and hashed. One that belongs to a higher
/// release, which others tagged in the meantime, is given to that release; one that went from the highest release to another is set again; a
/// version that others released too is an error.
async fn settle(ctx: &Ctx, freight: &Freight<'_>, target: &Target, pushed: &mut Pushed) -> Result<()> {
    let (name, digest) = (pushed.name.clone(), freight.root()?.descriptor.digest);
    let looking = |error: Error| error.context(format!("looking again at the tags of `{name}`, which were set"));
    for round in 0..MOST_ROUNDS {
        let written: Vec<&Tagged> = pushed.tags.iter().filter(|tagged| is_ours(tagged)).collect();
        if written.is_empty() {
            return Ok(());
        }
        if round > 0 {
            ctx.registries.settle().await?;
        }
        let mut known = known(ctx, target, &name).await.map_err(looking)?;
        for tagged in written {
            let found = ctx.registries.current(&name, &tagged.tag).await.map_err(looking)?;
            known.now.remove(&tagged.tag);
            known.now.extend(found.map(|found| (tagged.tag.clone(), found.digest)));
        }
        let mut quiet = true;
        for decision in target.tags.decide(&known, &digest, target.leave) {
            let shared = decision.what.tag().is_some_and(|tag| target.tags.is_shared(tag));
            quiet &= !mend(ctx, freight, &known, decision, shared, pushed).await.map_err(looking)?;
        }
        if quiet {
            return Ok(());
        }
    }
    Err(Error::remote(format!("the tags of `{name}` did not stay as they were set, {MOST_ROUNDS} times in a row"))
        .hint("others may be at work; run the same command again"))
}

/// Whether a tag says what we wrote, if nobody else has written it since.
fn is_ours(tagged: &Tagged) -> bool {
    ["set", GIVEN].contains(&tagged.how)
}

/// What we wrote under a tag.
fn ours<'a>(pushed: &'a mut Pushed, tag: &Tag) -> Option<&'a mut Tagged> {
    pushed.tags.iter_mut().find(|one| one.tag == *tag && is_ours(one))
}

/// Mends what became of a tag that we wrote; whether there was something to mend.
async fn mend(
    ctx: &Ctx,
    freight: &Freight<'_>,
    known: &Known,
    decision: Decision,
    shared: bool,
    pushed: &mut Pushed,
) -> Result<bool> {
    let name = pushed.name.clone();
    match &decision.what {
        Fate::Refused(refusal) => {
            let what = format!("others set `{name}:{}` at the same time: {}", decision.name, refusal.why);
            Err(Error::policy(what).hint("two builds of one version are not the same; see `stillframe reproduce`"))
        }
        Fate::Kept { tag, over: Some(over) } => {
            let now = known.now.get(tag);
            let Some(tagged) = ours(pushed, tag).filter(|tagged| now.is_some() && tagged.to.as_ref() == now) else {
                return Ok(false);
            };
            let to = give(ctx, &name, tag, over, now).await?;
            if to.is_none() {
                return Ok(false);
            }
            let why = format!("{}, and was released at the same time", decision.why);
            ctx.note(format!("tag {name}:{tag}: given to {over}, because {why}"));
            *tagged = Tagged { how: GIVEN, to, why, ..tagged.clone() };
            Ok(true)
        }
        // Of a tag that no release shares, the last writer is right.
        Fate::Moved(_, _) if !shared => Ok(false),
        Fate::Created(tag) | Fate::Moved(tag, _) if ours(pushed, tag).is_some() => {
            set(ctx, freight, &name, tag).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Makes a tag say what another one says, and tells that; nothing where it does so now.
async fn give(ctx: &Ctx, name: &Repository, tag: &Tag, over: &Tag, now: Option<&Digest>) -> Result<Option<Digest>> {
    let found = ctx.registries.current(name, over).await?;
    let found = found.ok_or_else(|| Error::remote(format!("`{name}` lists the tag `{over}`, but lacks it")))?;
    if Some(&found.digest) == now {
        return Ok(None);
    }
    let document = Document::read(&found.bytes, found.media_type.as_deref(), &format!("`{name}:{over}`"))?;
    let kind = document.media_type().or(found.media_type.as_deref()).unwrap_or_default();
    match ctx.registries.push_manifest(name, Which::Tag(tag), kind, &found.bytes).await? {
        PushedManifest::Missing(_) => Err(Error::remote(format!("`{name}` lacks content of `{over}`"))),
        _ => Ok(Some(found.digest)),
    }
}

/// All that was to be set from here on: a repository, and the place of a decision in it.
fn rest<'a>(
    pushed: &'a [Pushed],
    all: &'a [Vec<Decision>],
    at: usize,
    done: usize,
) -> Vec<(&'a Repository, &'a Decision)> {
    let of = |(at, from): (usize, usize)| all[at][from..].iter().map(move |decision| (&pushed[at].name, decision));
    let here = (at < pushed.len()).then_some((at, done));
    here.into_iter().chain((at + 1..pushed.len()).map(|at| (at, 0))).flat_map(of).collect()
}

/// The error of a tag that could not be set, with all that was not set.
fn unfinished(error: Error, rest: &[(&Repository, &Decision)], digest: &Digest) -> Error {
    let to_set = |decision: &Decision| matches!(decision.what, Fate::Created(_) | Fate::Moved(..));
    let rest = rest.iter().filter(|(_, decision)| to_set(decision));
    let rest: Vec<String> = rest.map(|(name, decision)| format!("`{name}:{}`", decision.name)).collect();
    error
        .hint(format!("{digest} is in the registry; not set yet: {}", rest.join(", ")))
        .hint("run the same command again")
}

async fn one(ctx: &Ctx, freight: &Freight<'_>, name: &Repository, decision: &Decision) -> Result<Option<Tagged>> {
    let (tag, how, from) = match &decision.what {
        Fate::Skipped | Fate::Refused(_) => (None, "skipped", None),
        Fate::Same(tag) => (Some(tag), "unchanged", None),
        Fate::Kept { tag, .. } => (Some(tag), "kept", None),
        Fate::Created(tag) => (Some(tag), set(ctx, freight, name, tag).await?, None),
        Fate::Moved(tag, from) => (Some(tag), set(ctx, freight, name, tag).await?, Some(*from)),
    };
    let why = if decision.why.is_empty() { String::new() } else { format!(", because {}", decision.why) };
    let text = format!("tag {name}:{}: {how}{why}", decision.name);
    ctx.say(if how == "kept" { Event::Note { text } } else { Event::Detail { text } });
    let to = if how == "kept" { None } else { Some(freight.root()?.descriptor.digest) };
    Ok(tag.map(|tag| Tagged { tag: tag.clone(), how, from, to, why: decision.why.clone() }))
}
