//! Stage 10: SIGINT and SIGTERM. A command's future in, its result out; a signal asks all work to stop and waits a moment for it.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::session::Session;
use crate::error::{Error, Kind, Result};

/// How long work may take to clean up after a signal.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a command until it ends or a signal comes.
pub async fn guarded(session: &Session<'_>, command: impl Future<Output = Result<u8>>) -> Result<u8> {
    let failed = |cause| Error::io("listening for signals", cause);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::pin!(command);
    let kind = tokio::select! {
        done = &mut command => return done,
        _ = interrupt.recv() => Kind::Interrupted,
        _ = terminate.recv() => Kind::Terminated,
    };
    session.cancel.set(kind);
    let stopped = Err(Error::new(kind, if kind == Kind::Terminated { "terminated" } else { "interrupted" }));
    match tokio::time::timeout(GRACE, &mut command).await {
        Ok(Ok(code)) => Ok(code),
        _ => stopped,
    }
}
