//! Stage 10: what the command line asks of a build. A session in; what is prepared, made and judged out.

use super::session::Session;
use crate::build::{self, Request};
pub use crate::build::{Made, Prepared, aside};
use crate::error::{Report, Result};
use crate::oci::Platform;
use crate::plan::Plan;
use crate::source;
use std::path::PathBuf;
use std::sync::Arc;

/// What is known of an image that is made again.
#[derive(Clone, Debug, Default)]
pub struct Again {
    /// Its platform, if it is for one only.
    pub only: Option<Platform>,
    /// Its time, in seconds since 1970.
    pub created: Option<i64>,
    /// Its manifest, if that is not the one that the command line names.
    pub file: Option<PathBuf>,
}

/// Reads the manifest and looks at all inputs; every mistake comes at once.
pub async fn prepare(session: &Session<'_>, only: Option<&Platform>) -> Result<Prepared> {
    prepare_again(session, &Again { only: only.cloned(), ..Again::default() }).await
}

/// The same for an image that is made again.
pub async fn prepare_again(session: &Session<'_>, again: &Again) -> Result<Prepared> {
    let Again { only, created, file } = again.clone();
    let asked = session.request();
    let manifest = file.unwrap_or_else(|| asked.manifest.clone());
    build::prepare(&session.ctx, &Request { manifest, platform: only, created, ..asked }).await
}

/// The bases of all images.
pub async fn bases(session: &Session<'_>, plan: &Plan) -> Result<Vec<Arc<source::Base>>> {
    build::bases(&session.ctx, &session.request(), plan).await
}

/// Packs the layers and puts the images together; nothing is judged.
pub async fn make(session: &Session<'_>, prepared: Prepared) -> Result<Made> {
    build::make(&session.ctx, prepared).await
}

/// Judges what is prepared, packs it and judges what was made; shows what was found and does not end the work.
pub async fn judged(session: &Session<'_>, prepared: Prepared) -> Result<Made> {
    build::judged(&session.ctx, prepared, &|report: &Report| session.terminal.report(report)).await
}
