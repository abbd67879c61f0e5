//! Stage 10: a scanner's report, signed as an attestation of the image (`docs/scan.md`).

use std::path::Path;

use super::super::args::With;
use super::super::session::Session;
use super::super::sign;
use crate::error::Result;
use crate::source::Place;
use crate::trust::scan::report::{TYPE, predicate};

/// Signs a report of any scanner that writes SARIF or JSON.
pub async fn run(
    session: &Session<'_>,
    place: &Place,
    report: &Path,
    scanner: Option<&str>,
    with: &With,
) -> Result<u8> {
    let predicate = predicate(report, scanner)?;
    sign::attest_predicate(session, place, TYPE, &predicate, with).await
}
