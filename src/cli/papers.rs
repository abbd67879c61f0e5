//! Stage 10: `stillframe sbom` and `stillframe provenance`.

use std::sync::Arc;

use serde_json::Value;

use super::args::{Provenance, Sbom};
use super::prepare::{Made, Prepared, aside, make, prepare};
use super::session::{Session, builder};
use crate::error::{Error, Result};
use crate::layer::{self, Found, Known};
use crate::manifest::Manifest;
use crate::oci::json::canonical;
use crate::plan::Plan;
use crate::trust;
use crate::trust::provenance::{self, Builder, Facts};

/// Prints the bill of materials of the image that the manifest makes, for one platform.
pub async fn sbom(session: &Session<'_>, options: &Sbom) -> Result<u8> {
    let prepared = prepare(session, options.platform.as_ref()).await?;
    if let [first, _, ..] = prepared.plan.images.as_slice() {
        return Err(Error::usage("a bill of materials is about one platform, the image has several")
            .hint(format!("choose one, as in `--platform {}`", first.platform)));
    }
    session.terminal.report(&prepared.report);
    let made = make(session, prepared).await?;
    made.blobs.make_own(&session.ctx).await?;
    let name = made.target.names.first();
    for paper in trust::bills(&session.ctx, &made.artifact, &made.bases, &made.imports, &[options.bill], name).await? {
        print(session, &paper.predicate)?;
    }
    Ok(0)
}

/// Prints how the image that the manifest makes is made.
pub async fn provenance(session: &Session<'_>, options: &Provenance) -> Result<u8> {
    let prepared = prepare(session, None).await?;
    session.terminal.report(&prepared.report);
    let asked = Asked::of(&prepared);
    let made = make(session, prepared).await?;
    let builder = named(options.builder_id.as_deref());
    print(session, &origin(session, &made, &asked, builder).await?)?;
    Ok(0)
}

/// The builder by the name that a person gave it, else as the CI job says.
pub fn named(id: Option<&str>) -> Builder {
    id.map_or_else(builder, |id| Builder { id: id.to_string(), source: builder().source })
}

fn print(session: &Session<'_>, document: &Value) -> Result<()> {
    session.terminal.result(&(String::from_utf8_lossy(&canonical(document)).into_owned() + "\n"))
}

/// What of a plan is needed once its images are made.
pub struct Asked {
    manifest: Arc<Manifest>,
    plan: Arc<Plan>,
    known: Arc<Known>,
    found: Arc<Vec<Vec<Found>>>,
}

impl Asked {
    /// The part of a plan that is told of.
    pub fn of(prepared: &Prepared) -> Asked {
        let Prepared { manifest, plan, known, found, .. } = prepared;
        Asked { manifest: manifest.clone(), plan: plan.clone(), known: known.clone(), found: found.clone() }
    }
}

/// The provenance of what was made.
pub async fn origin(session: &Session<'_>, made: &Made, asked: &Asked, builder: Builder) -> Result<Value> {
    let (task, manifest, found) = (session.ctx.clone(), asked.manifest.clone(), asked.found.clone());
    let known = asked.known.clone();
    let inputs = aside(&session.ctx, move || layer::inputs(&task, &manifest, &found, &known)).await?;
    Ok(provenance::provenance(&Facts {
        manifest: &asked.manifest,
        plan: &asked.plan,
        bases: &made.bases,
        inputs: &inputs,
        set: session.options.set.iter().map(|(name, _)| name.clone()).collect(),
        builder,
    }))
}
