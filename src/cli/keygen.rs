//! Stage 10: `stillframe keygen`.

use serde_json::json;

use super::args::Keygen;
use super::prompt;
use super::session::{Session, variable};
use crate::error::{Error, Report, Result};
use crate::trust::keys::{self, Outside};

/// Makes a pair of keys as cosign makes them.
pub async fn run(session: &Session<'_>, options: &Keygen) -> Result<u8> {
    let password = match (Outside { variable: &variable, search: None }).password()? {
        Some(password) => password,
        None if prompt::possible() => {
            let once = prompt::ask(session, "a password for the private key: ", true).await?;
            let twice = prompt::ask(session, "the same again: ", true).await?;
            if once != twice {
                return Err(Error::usage("the two passwords differ, nothing was written"));
            }
            once
        }
        None => prompt::stdin_line().await?,
    };
    if password.is_empty() {
        session.ctx.note("the password is empty: whoever reads the private key can sign with it");
    }
    let (private, public) = keys::write(&options.output_prefix, &keys::make(&password)?)?;
    let (private, public) = (private.display().to_string(), public.display().to_string());
    if session.terminal.json() {
        session.terminal.document(json!({ "private": private, "public": public }), &Report::default())?;
    } else {
        session.terminal.result(&format!("{private}\n{public}\n"))?;
    }
    Ok(0)
}
