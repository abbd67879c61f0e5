//! Stage 9: tags of registries. Wishes and the image's digest in; decisions and set tags out. Asks first, sets last, and sets nothing
//! where one tag is refused.

use futures_util::stream::{self, StreamExt};

use super::push::{AT_ONCE, Freight, all_of, set};
use super::pushed::{Pushed, Tagged, Target};
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
    listed(ctx, target, name, now(ctx, name, target.tags.tags().collect()).await?).await
}

/// The same with the list of all tags, where that decides something.
async fn listed(ctx: &Ctx, target: &Target, name: &Repository, mut known: Known) -> Result<Known> {
    if target.tags.asks_for_list() {
        known.tags = ctx.registries.tags(name).await?;
        if let (Some((tag, _)), true) = (known.now.first_key_value(), known.tags.is_empty()) {
            return Err(Error::remote(format!("`{name}` has the tag `{tag}`, but lists no tags at all"))
                .hint("without the list a shared tag could go back to an older release"));
        }
    }
    Ok(known)
}

/// What tags say now: one HEAD for each. The first one alone, so that what it takes to be let in is known to all others.
async fn now(ctx: &Ctx, name: &Repository, tags: Vec<&Tag>) -> Result<Known> {
    let ask = |tag: Tag| async move {
        ctx.cancel.check()?;
        let now = ctx.registries.head(name, Which::Tag(&tag)).await?;
        Ok::<_, Error>(now.map(|digest| (tag, digest)))
    };
    let mut tags = tags.into_iter().cloned();
    let mut known = Known::default();
    if let Some(first) = tags.next() {
        known.now.extend(ask(first).await?);
    }
    let rest = all_of(ctx, stream::iter(tags).map(ask).buffered(AT_ONCE)).await?;
    known.now.extend(rest.into_iter().flatten());
    Ok(known)
}

/// What the tags of all repositories say, before anything is sent.
pub async fn look(ctx: &Ctx, target: &Target) -> Result<Vec<Known>> {
    let mut all = Vec::new();
    for name in &target.names {
        all.push(now(ctx, name, target.tags.tags().collect()).await?);
    }
    Ok(all)
}

/// Fails, before anything is sent, where a tag is refused that can be told already.
pub async fn foresee(ctx: &Ctx, target: &Target, digest: &Digest) -> Result<()> {
    let mut all = Vec::new();
    for name in &target.names {
        all.push(now(ctx, name, target.tags.once().collect()).await?);
    }
    foresee_from(&all, target, digest)
}

/// The same by what the tags were seen to say. Without the list of all tags only those of single releases can be told of.
pub fn foresee_from(all: &[Known], target: &Target, digest: &Digest) -> Result<()> {
    let mut refused = Report::default();
    for (name, known) in target.names.iter().zip(all) {
        let once = |tag: &Tag| target.tags.once().any(|once| once == tag);
        let now = known.now.iter().filter(|(tag, _)| once(tag)).map(|(tag, digest)| (tag.clone(), *digest));
        let known = Known { now: now.collect(), ..Known::default() };
        refuse(name, &target.tags.decide(&known, digest, target.leave), &mut refused);
    }
    refused.pass().map(|_| ())
}

/// Whether what the tags were seen to say decides all that is to be decided: they say what was made, or nobody shares them and the last
/// writer is right.
fn is_settled(target: &Target, known: &Known, digest: &Digest) -> bool {
    target.tags.is_plain() || target.tags.tags().all(|tag| known.now.get(tag) == Some(digest))
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
/// `seen` is what the tags said before the content was sent: where that settles it, nobody is asked again.
pub async fn set_all(
    ctx: &Ctx,
    freight: &Freight<'_>,
    target: &Target,
    pushed: &mut [Pushed],
    seen: Option<&[Known]>,
) -> Result<()> {
    let digest = freight.root()?.descriptor.digest;
    let seen = |at: usize| seen.map(|seen| &seen[at]).filter(|known| is_settled(target, known, &digest));
    let mut all = Vec::new();
    let mut refused = Report::default();
    for (at, pushed) in pushed.iter().enumerate() {
        let known = match seen(at) {
            Some(seen) => listed(ctx, target, &pushed.name, seen.clone()).await?,
            None => known(ctx, target, &pushed.name).await?,
        };
        let decisions = target.tags.decide(&known, &digest, target.leave);
        refuse(&pushed.name, &decisions, &mut refused);
        all.push(decisions);
    }
    refused.pass()?;
    for at in 0..pushed.len() {
        let name = pushed[at].name.clone();
        if at > 0 && seen(at).is_none() {
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

/// Looks again at the tags that were set and that releases share or own, as a third party does: what they lead to is fetched and hashed. One that belongs to a higher
/// release, which others tagged in the meantime, is given to that release; one that went from the highest release to another is set again; a
/// version that others released too is an error.
async fn settle(ctx: &Ctx, freight: &Freight<'_>, target: &Target, pushed: &mut Pushed) -> Result<()> {
    let (name, digest) = (pushed.name.clone(), freight.root()?.descriptor.digest);
    let looking = |error: Error| error.context(format!("looking again at the tags of `{name}`, which were set"));
    if target.tags.is_plain() {
        return Ok(());
    }
    for round in 0..MOST_ROUNDS {
        let written: Vec<&Tagged> = pushed.tags.iter().filter(|tagged| is_ours(tagged)).collect();
        if written.is_empty() {
            return Ok(());
        }
        if round > 0 {
            ctx.registries.settle().await?;
        }
        let others = target.tags.tags().filter(|tag| !written.iter().any(|tagged| tagged.tag == **tag)).collect();
        let mut known = now(ctx, &name, others).await.map_err(looking)?;
        for tagged in written {
            let found = ctx.registries.current(&name, &tagged.tag).await.map_err(looking)?;
            known.now.extend(found.map(|found| (tagged.tag.clone(), found.digest)));
        }
        let known = listed(ctx, target, &name, known).await.map_err(looking)?;
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
