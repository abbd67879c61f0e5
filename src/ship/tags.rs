//! Stage 9: tags of registries. Wishes and the image's digest in; decisions and set tags out. Asks first, sets last, and sets nothing
//! where one tag is refused.

use super::push::{Freight, Pushed, Tagged, Target, set};
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Report, Result};
use crate::event::Event;
use crate::oci::{Digest, Repository, Tag};
use crate::plan::{Decision, Fate, Known};
use crate::registry::Which;

/// Fate happens to each tag of a repository, as things stand there now.
pub async fn judge(ctx: &Ctx, target: &Target, name: &Repository, digest: &Digest) -> Result<Vec<Decision>> {
    let mut known = now(ctx, name, target.tags.tags()).await?;
    if target.tags.asks_for_list() {
        known.tags = ctx.registries.tags(name).await?;
    }
    Ok(target.tags.decide(&known, digest, target.leave))
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
        for (done, decision) in all[at].iter().enumerate() {
            ctx.cancel.check()?;
            let tagged = one(ctx, freight, &name, decision).await.map_err(|error| {
                let here = all[at][done..].iter().map(|decision| (&name, decision));
                let after = pushed[at + 1..].iter().zip(&all[at + 1..]);
                let after =
                    after.flat_map(|(pushed, decisions)| decisions.iter().map(|decision| (&pushed.name, decision)));
                unfinished(error, &here.chain(after).collect::<Vec<_>>(), &digest)
            })?;
            pushed[at].tags.extend(tagged);
        }
    }
    Ok(())
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
        Fate::Kept(tag) => (Some(tag), "kept", None),
        Fate::Created(tag) => (Some(tag), set(ctx, freight, name, tag).await?, None),
        Fate::Moved(tag, from) => (Some(tag), set(ctx, freight, name, tag).await?, Some(*from)),
    };
    let why = if decision.why.is_empty() { String::new() } else { format!(", because {}", decision.why) };
    let text = format!("tag {name}:{}: {how}{why}", decision.name);
    ctx.say(if how == "kept" { Event::Note { text } } else { Event::Detail { text } });
    Ok(tag.map(|tag| Tagged { tag: tag.clone(), how, from, why: decision.why.clone() }))
}
