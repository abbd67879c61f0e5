//! Stage 10: `stillframe build` and `stillframe push`.

use std::path::Path;
use std::pin::pin;

use serde_json::{Value, json};

use super::args::{Build, Push};
use super::prepare::{Made, Prepared, judged, prepare};
use super::session::Session;
use super::{ci, several, targets};
use crate::error::{Error, Result};
use crate::image::Artifact;
use crate::layer;
use crate::oci::json::canonical;
use crate::plan::{Leave, Plan};
use crate::ship::{self, Ahead, Cargo, Destination, Pushed, Target};

/// Assembles the image and sends it to its destinations.
pub async fn run(session: &Session<'_>, options: &Build) -> Result<u8> {
    if options.several.wanted() {
        return several::build(session, options).await;
    }
    let destinations = if options.output.is_empty() { vec![Destination::Store] } else { options.output.clone() };
    let leave = options.leaves.leave();
    ship_all(session, options.platform.as_ref(), destinations, leave, options.receipt.as_deref()).await
}

/// Assembles the image and pushes it.
pub async fn push(session: &Session<'_>, options: &Push) -> Result<u8> {
    if options.several.wanted() {
        return several::push(session, options).await;
    }
    ship_all(session, None, vec![Destination::Registry], options.leaves.leave(), options.receipt.as_deref()).await
}

async fn ship_all(
    session: &Session<'_>,
    platform: Option<&crate::oci::Platform>,
    destinations: Vec<Destination>,
    leave: Leave,
    receipt: Option<&Path>,
) -> Result<u8> {
    let prepared = prepare(session, platform).await?;
    targets::check(&prepared.plan, &destinations, receipt)?;
    let (mut made, ahead) = match destinations.as_slice() {
        [Destination::Registry] => together(session, prepared, leave).await?,
        _ => (judged(session, prepared).await?, None),
    };
    made.target.leave = leave;
    let pushed = send(session, &made, ahead.as_ref(), &destinations).await?;
    if let Some(path) = receipt {
        ship::receipt(path, &canonical(&document(&made, &pushed)))?;
    }
    if session.terminal.json() {
        session.terminal.document(document(&made, &pushed), &made.report)?;
    } else {
        session.terminal.result(&lines(&made))?;
    }
    ci::told(session, &[&made]);
    Ok(0)
}

/// Makes the image and sends each layer of it while the next one is packed.
async fn together(session: &Session<'_>, mut prepared: Prepared, leave: Leave) -> Result<(Made, Option<Ahead>)> {
    let ctx = &session.ctx;
    let (told, waiting) = layer::done();
    prepared.told = Some(told);
    let Plan { names, tags, .. } = &*prepared.plan;
    let target = Target { names: names.clone(), tags: tags.clone(), leave, ..Target::default() };
    let (mut making, mut going) = (pin!(judged(session, prepared)), pin!(ship::ahead(ctx, &target, waiting)));
    let mut gone = None;
    let made = loop {
        tokio::select! {
            made = &mut making => break made,
            ahead = &mut going, if gone.is_none() => gone = Some(ahead),
        }
    };
    let sending = |error: Error| error.context("sending the image to `registry`");
    match (made, gone) {
        (Ok(made), Some(gone)) => Ok((made, Some(gone.map_err(sending)?))),
        (Ok(made), None) => Ok((made, Some(going.await.map_err(sending)?))),
        (Err(error), gone) => {
            // After a stop uploads are given back; after any other failure nobody waits for them.
            if gone.is_none() && ctx.cancel.check().is_err() {
                let _ = going.await;
            }
            Err(error)
        }
    }
}

/// Sends what was made to all destinations; what registries took.
pub async fn send(
    session: &Session<'_>,
    made: &Made,
    ahead: Option<&Ahead>,
    destinations: &[Destination],
) -> Result<Vec<Pushed>> {
    if destinations.contains(&Destination::Registry) {
        made.target.tags.notes.iter().for_each(|note| session.ctx.note(note.clone()));
    }
    let cargo = Cargo { artifact: &made.artifact, blobs: &made.blobs, target: &made.target, ahead };
    let mut pushed = Vec::new();
    for destination in destinations {
        session.ctx.cancel.check()?;
        let sent = ship::send(&session.ctx, &cargo, destination).await;
        pushed.extend(sent.map_err(|error| error.context(format!("sending the image to `{destination}`")))?);
    }
    Ok(pushed)
}

/// One line for each name: `NAME@sha256:…`.
pub fn lines(made: &Made) -> String {
    let digest = made.artifact.digest();
    match made.target.names.as_slice() {
        [] => format!("{digest}\n"),
        names => names.iter().map(|name| format!("{name}@{digest}\n")).collect(),
    }
}

/// What was made and pushed, for machines.
pub fn document(made: &Made, pushed: &[Pushed]) -> Value {
    let digest = made.artifact.digest();
    let names: Vec<String> = made.target.names.iter().map(ToString::to_string).collect();
    let references: Vec<String> = names.iter().map(|name| format!("{name}@{digest}")).collect();
    json!({
        "digest": digest,
        "mediaType": made.artifact.root.descriptor.media_type,
        "size": made.artifact.root.descriptor.size,
        "names": names,
        "references": references,
        "tags": made.target.tags.tags().map(|tag| tag.as_str()).collect::<Vec<_>>(),
        "images": images(&made.artifact),
        "pushed": pushed.iter().map(Pushed::to_json).collect::<Vec<_>>(),
    })
}

/// The images of an artifact, for machines.
pub fn images(artifact: &Artifact) -> Vec<Value> {
    let image = |image: &crate::image::Image| {
        let layer = |layer: &crate::image::Layer| {
            json!({
                "name": layer.name,
                "mediaType": layer.descriptor.media_type,
                "digest": layer.descriptor.digest,
                "size": layer.descriptor.size,
                "diffId": layer.diff_id,
            })
        };
        json!({
            "platform": image.platform.to_string(),
            "digest": image.manifest.descriptor.digest,
            "config": image.config.descriptor.digest,
            "layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
        })
    };
    artifact.images.iter().map(image).collect()
}
