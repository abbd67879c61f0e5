//! Stage 10: `stillframe check`.

use serde_json::json;

use super::judge::{early, judged};
use super::prepare::prepare;
use super::session::Session;
use crate::error::Result;

/// Looks at manifest, inputs and base, and judges what would be made.
pub async fn run(session: &Session<'_>) -> Result<u8> {
    let prepared = prepare(session, None).await?;
    // What a program was built from is known when it is packed.
    if prepared.manifest.checks.vulnerabilities.is_some() {
        let made = judged(session, prepared).await?;
        if session.terminal.json() {
            session.terminal.document(json!({ "ok": true }), &made.report)?;
        }
        return Ok(0);
    }
    let report = early(&prepared)?;
    if session.terminal.json() {
        session.terminal.document(json!({ "ok": true }), &report)?;
    } else {
        session.terminal.report(&report);
    }
    Ok(0)
}
