//! Stage 10: `stillframe check`.

use serde_json::json;

use super::prepare::prepare;
use super::session::Session;
use crate::error::Result;

/// Looks at manifest, inputs and base.
pub async fn run(session: &Session<'_>) -> Result<u8> {
    let prepared = prepare(session, None).await?;
    if session.terminal.json() {
        session.terminal.document(json!({ "ok": true }), &prepared.report)?;
    } else {
        session.terminal.report(&prepared.report);
    }
    Ok(0)
}
