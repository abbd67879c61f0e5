//! Stage 10: `stillframe pull`, `stillframe copy`, `stillframe save` and `stillframe load`.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{Copy, Pull, Save};
use super::session::Session;
use crate::error::{Error, Report, Result};
use crate::oci::json::canonical;
use crate::oci::{Platform, Reference};
use crate::ship::{self, Carried, Carry, Goal, Pushed};
use crate::source::{self, Place};

/// Fetches an image; what belongs to it stays where it is.
pub async fn pull(session: &Session<'_>, options: &Pull) -> Result<u8> {
    let goals = if options.output.is_empty() { vec![Goal::Store] } else { options.output.clone() };
    if let Some(goal) = goals.iter().find(|goal| matches!(goal, Goal::Registry(_))) {
        return Err(Error::usage(format!("`pull` does not write to registries, but `-o {goal}` says so"))
            .hint(format!("run `stillframe copy {} {goal}`", options.reference)));
    }
    let (carry, carried) = bring(session, &options.reference, &goals, options.platform.as_ref(), false).await?;
    tell(session, &carry, carried, None)
}

/// Carries an image to other places.
pub async fn copy(session: &Session<'_>, options: &Copy) -> Result<u8> {
    let referrers = !options.no_referrers;
    let (carry, carried) =
        bring(session, &options.source, &options.destinations, options.platform.as_ref(), referrers).await?;
    for carried in &carried {
        if let Goal::Registry(Reference { tag: None, digest: None, .. }) = &carried.goal {
            session.ctx.note(format!("`{}` names no tag, so the image is there by its digest only", carried.goal));
        }
        let single = matches!(carried.goal, Goal::Store | Goal::DockerArchive(..) | Goal::Docker | Goal::Podman);
        if single && !carry.attached.is_empty() {
            session.ctx.note(format!("`{}` cannot hold signatures and attestations; they stay behind", carried.goal));
        }
    }
    tell(session, &carry, carried, options.receipt.as_deref())
}

/// Writes an image to a file.
pub async fn save(session: &Session<'_>, options: &Save) -> Result<u8> {
    let file = options.file.clone();
    let goal = if options.docker { Goal::DockerArchive(file, None) } else { Goal::Archive(file, None) };
    let (carry, carried) = bring(session, &options.reference, &[goal], options.platform.as_ref(), false).await?;
    tell(session, &carry, carried, None)
}

/// Takes all images of a file into the store.
pub async fn load(session: &Session<'_>, file: &Path) -> Result<u8> {
    let mut documents = Vec::new();
    let mut lines = String::new();
    for place in source::within(&session.ctx, file).await? {
        let (carry, carried) = bring(session, &place, &[Goal::Store], None, false).await?;
        documents.push(document(&carry, &carried));
        lines += &text(&carry, &carried);
    }
    if session.terminal.json() {
        session.terminal.document(json!({ "images": documents }), &Report::default())?;
    } else {
        session.terminal.result(&lines)?;
    }
    Ok(0)
}

async fn bring(
    session: &Session<'_>,
    place: &Place,
    goals: &[Goal],
    platform: Option<&Platform>,
    referrers: bool,
) -> Result<(Carry, Vec<Carried>)> {
    let carry = ship::open_all(&session.ctx, place, platform, referrers).await?;
    let carried = ship::carry(&session.ctx, &carry, goals).await?;
    Ok((carry, carried))
}

fn tell(session: &Session<'_>, carry: &Carry, carried: Vec<Carried>, receipt: Option<&Path>) -> Result<u8> {
    let told = document(carry, &carried);
    if let Some(path) = receipt {
        ship::receipt(path, &canonical(&told))?;
    }
    if session.terminal.json() {
        session.terminal.document(told, &Report::default())?;
    } else {
        session.terminal.result(&text(carry, &carried))?;
    }
    Ok(0)
}

/// One line for each destination, which names the image there.
fn text(carry: &Carry, carried: &[Carried]) -> String {
    carried.iter().map(|one| format!("{}\n", reference(carry, &one.goal))).collect()
}

/// The image at its destination, by its digest.
fn reference(carry: &Carry, goal: &Goal) -> String {
    let digest = carry.image.digest();
    match goal {
        Goal::Registry(reference) => format!("{}@{digest}", reference.repository),
        Goal::Layout(path, _) => format!("oci:{}@{digest}", path.display()),
        Goal::Archive(path, _) => format!("oci-archive:{}@{digest}", path.display()),
        Goal::Store => match (carry.image.repository(), carry.image.names.first()) {
            (Some(name), _) => format!("{name}@{digest}"),
            (None, Some(name)) => format!("{}@{digest}", name.repository),
            (None, None) => digest.to_string(),
        },
        Goal::DockerArchive(..) | Goal::Docker | Goal::Podman => digest.to_string(),
    }
}

fn document(carry: &Carry, carried: &[Carried]) -> Value {
    let attached = carry.attached.iter().map(|(image, subject, tag)| {
        json!({
            "digest": image.root.digest,
            "mediaType": image.root.media_type,
            "subject": subject.as_ref().map(|subject| subject.digest),
            "tag": tag.as_ref().map(|tag| tag.as_str()),
        })
    });
    let destination = |one: &Carried| {
        json!({
            "destination": one.goal.to_string(),
            "reference": reference(carry, &one.goal),
            "pushed": one.pushed.as_ref().map(Pushed::to_json),
        })
    };
    json!({
        "digest": carry.image.root.digest,
        "mediaType": carry.image.root.media_type,
        "size": carry.image.root.size,
        "names": carry.image.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "referrers": attached.collect::<Vec<_>>(),
        "destinations": carried.iter().map(destination).collect::<Vec<_>>(),
    })
}
