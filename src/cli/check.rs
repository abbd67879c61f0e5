//! Stage 10: `stillframe check`.

use serde_json::json;

use super::prepare::prepare;
use super::session::Session;
use crate::build;
use crate::error::Result;

/// Looks at manifest, inputs and base, and judges what would be made.
pub async fn run(session: &Session<'_>) -> Result<u8> {
    let prepared = prepare(session, None).await?;
    let mut report = build::looked(&session.ctx, &prepared).await?;
    // What programs were built from is known once they are packed.
    if prepared.manifest.checks.vulnerabilities.is_some() {
        report = build::scanned(&session.ctx, prepared, report).await?;
    }
    if session.terminal.json() {
        session.terminal.document(json!({ "ok": true }), &report)?;
    } else {
        session.terminal.report(&report);
    }
    Ok(0)
}
