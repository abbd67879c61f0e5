//! Stage 10: `stillframe login` and `stillframe logout`. No secret is ever printed.

use serde_json::json;

use super::args::Login;
use super::prompt;
use super::session::Session;
use crate::error::{Error, Report, Result};
use crate::oci::Registry;
use crate::registry::credentials::{Credential, Kept};

/// Keeps a credential once the registry has taken it.
pub async fn login(session: &Session<'_>, options: &Login) -> Result<u8> {
    let host = &options.host;
    let (user, password) = asked(session, options).await?;
    let credential = Credential::Password { user: user.clone(), password: password.clone() };
    let client = session.client_with(host, credential)?;
    let ping = client.ping(host).await.map_err(|cause| refused(host, &user, cause))?;
    if ping.challenge.is_none() {
        session.ctx.note(format!("`{host}` asks for no credential, so it could not be tried; it is kept as it is"));
    }
    let kept = session.source.keep(host, &user, &password, session.patience().helper).await?;
    let place = match &kept {
        Kept::Helper(program) => format!("the helper `{program}`"),
        Kept::Plain(path) => {
            session.ctx.note(format!(
                "the password stands as plain text in `{}`; a credential helper (`credsStore`) would keep it better",
                path.display()
            ));
            format!("`{}`", path.display())
        }
    };
    let found = session.source.trail(host, "", session.patience().helper).await;
    if let Some(look) =
        found.iter().find(|look| look.used && !place.contains(&look.place) && matches!(kept, Kept::Plain(_)))
    {
        session.ctx.note(format!("{} is looked at first and has another credential: {}", look.place, look.told));
    }
    if session.terminal.json() {
        let told =
            json!({ "registry": host.as_str(), "account": user, "kept": place, "tried": ping.challenge.is_some() });
        session.terminal.document(told, &Report::default())?;
    } else {
        session.terminal.result(&format!("{host}\n"))?;
        session.ctx.note(format!("logged in to `{host}` as `{user}`; the credential is kept in {place}"));
    }
    Ok(0)
}

/// The account and the password, from options, stdin or a terminal.
async fn asked(session: &Session<'_>, options: &Login) -> Result<(String, String)> {
    let how = "pipe the password in: `stillframe login HOST -u USER --password-stdin < FILE`";
    let possible = prompt::possible();
    let user = match &options.username {
        Some(user) => user.clone(),
        None if possible && !options.password_stdin => prompt::ask(session, "account: ", false).await?,
        None => return Err(Error::usage("the account is not named, and nobody can be asked").hint(how)),
    };
    let password = match options.password_stdin {
        true => prompt::stdin_line().await?,
        false if possible => prompt::ask(session, "password (not shown): ", true).await?,
        false => return Err(Error::usage("there is no password, and nobody can be asked").hint(how)),
    };
    if user.is_empty() || user.contains([':', '\n', '\r', '\0']) {
        return Err(Error::usage("the account must not be empty, nor hold `:` or the end of a line"));
    }
    if password.is_empty() || password.contains(['\n', '\r', '\0']) {
        return Err(Error::usage("the password must not be empty, nor hold the end of a line"));
    }
    Ok((user, password))
}

fn refused(host: &Registry, user: &str, cause: Error) -> Error {
    let error = Error::remote(format!("`{host}` did not take the credential of `{user}`; nothing was kept"));
    error
        .because(cause)
        .hint("check account and password; many registries want an access token in the password's place")
}

/// Forgets a credential.
pub async fn logout(session: &Session<'_>, host: &Registry) -> Result<u8> {
    let told = session.source.forget(host, session.patience().helper).await?;
    let left = session.source.trail(host, "", session.patience().helper).await;
    if let Some(look) = left.iter().find(|look| look.used) {
        session.ctx.note(format!("{} still has a credential for `{host}`; take it out there", look.place));
    }
    match told.as_slice() {
        [] => session.ctx.note(format!("no credential for `{host}` was kept")),
        told => session.ctx.note(format!("forgotten in {}", told.join(", "))),
    }
    if session.terminal.json() {
        session.terminal.document(json!({ "registry": host.as_str(), "forgotten": told }), &Report::default())?;
    } else {
        session.terminal.result(&format!("{host}\n"))?;
    }
    Ok(0)
}
