//! Stage 10: `stillframe sbom`.

use super::args::{Bill, Sbom};
use super::prepare::{make, prepare};
use super::session::Session;
use crate::error::{Error, Result};
use crate::oci::json::canonical;
use crate::trust::sbom::{Format, look};

/// Prints the bill of materials of the image that the manifest makes, for one platform.
pub async fn run(session: &Session<'_>, options: &Sbom) -> Result<u8> {
    let prepared = prepare(session, options.platform.as_ref()).await?;
    if let [first, _, ..] = prepared.plan.images.as_slice() {
        return Err(Error::usage("a bill of materials is about one platform, the image has several")
            .hint(format!("choose one, as in `--platform {}`", first.platform)));
    }
    session.terminal.report(&prepared.report);
    let made = make(session, prepared).await?;
    let format = match options.kind {
        Bill::Spdx => Format::Spdx,
        Bill::Cyclonedx => Format::CycloneDx,
    };
    for (image, base) in made.artifact.images.iter().zip(&made.bases) {
        let inventory = look(&session.ctx, image, base, made.target.names.first()).await?;
        let document = String::from_utf8_lossy(&canonical(&format.document(&inventory))).into_owned();
        session.terminal.result(&(document + "\n"))?;
    }
    Ok(0)
}
