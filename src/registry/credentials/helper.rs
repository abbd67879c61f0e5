//! Stage 4: credential helpers. A helper's name and a server in, a credential out, or the
//! word that it has none. Bounded in time and in what it may say; what it says on stderr is never shown.

use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;

use super::Credential;
use crate::error::{Error, Result};
use crate::registry::program::{Failed, Program, is_name};

/// Most bytes that a helper may print.
const MOST_BYTES: u64 = 1 << 20;
/// What helpers print when they hold nothing for a server (docker-credential-helpers, credentials/error.go).
const NOTHING: &str = "credentials not found in native keychain";
/// The user that stands for an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks a helper for the credential of a server.
pub(super) async fn get(
    helper: &str,
    server: &str,
    search: Option<&OsString>,
    patience: Duration,
) -> Result<Option<Credential>> {
    let input = format!("{server}\n");
    let (program, success, output) = run(helper, "get", server, input.as_bytes(), search, patience).await?;
    judge(&program, success, &output)
}

/// Gives a helper a credential to keep.
pub(super) async fn store(
    helper: &str,
    server: &str,
    user: &str,
    secret: &str,
    search: Option<&OsString>,
    patience: Duration,
) -> Result<()> {
    let input = serde_json::json!({ "ServerURL": server, "Username": user, "Secret": secret }).to_string();
    let (program, success, _) = run(helper, "store", server, input.as_bytes(), search, patience).await?;
    if success {
        return Ok(());
    }
    Err(Error::usage(format!("the credential helper `{program}` did not keep the credential"))
        .hint(format!("run `{program} store` by hand to see why, or take it out of the file that names it")))
}

/// Makes a helper forget what it holds for a server; that it holds nothing is no failure.
pub(super) async fn erase(helper: &str, server: &str, search: Option<&OsString>, patience: Duration) -> Result<()> {
    if get(helper, server, search, patience).await?.is_none() {
        return Ok(());
    }
    let input = format!("{server}\n");
    let (program, success, _) = run(helper, "erase", server, input.as_bytes(), search, patience).await?;
    if success {
        return Ok(());
    }
    Err(Error::usage(format!("the credential helper `{program}` did not erase the credential"))
        .hint(format!("run `{program} erase` by hand to see why")))
}

/// Runs a helper: its program, whether it succeeded and what it printed.
async fn run(
    helper: &str,
    action: &str,
    server: &str,
    input: &[u8],
    search: Option<&OsString>,
    patience: Duration,
) -> Result<(String, bool, Vec<u8>)> {
    check(helper, server)?;
    let name = format!("docker-credential-{helper}");
    let program = Program { what: "credential helper", name: &name, most: MOST_BYTES, search, patience };
    let missing = format!("install `{name}`, or take it out of the file that names it");
    let (success, output) = program.run(&[action], input).await.map_err(|error| match error {
        Failed::Missing(error) => error.hint(missing),
        Failed::Other(error) => error,
    })?;
    Ok((name, success, output))
}

fn judge(program: &str, success: bool, output: &[u8]) -> Result<Option<Credential>> {
    if output.len() as u64 > MOST_BYTES {
        return Err(Error::usage(format!(
            "the credential helper `{program}` printed over {MOST_BYTES} bytes, which is the limit"
        )));
    }
    if !success {
        if String::from_utf8_lossy(output).trim() == NOTHING {
            return Ok(None);
        }
        return Err(Error::usage(format!("the credential helper `{program}` failed"))
            .hint("run it by hand to see why; what it prints may be secret and is not shown here"));
    }
    let said: Said = serde_json::from_slice(output).map_err(|_| {
        Error::usage(format!("the credential helper `{program}` printed something that is not its JSON"))
    })?;
    if said.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(match said.username.as_str() {
        TOKEN_USER => Credential::Identity { user: String::new(), token: said.secret },
        _ => Credential::Password { user: said.username, password: said.secret },
    }))
}

fn check(helper: &str, server: &str) -> Result<()> {
    if !is_name(helper) {
        return Err(Error::usage(format!(
            "`{}` is not the name of a credential helper: letters, digits, `.`, `_` and `-` only, a letter or digit first",
            helper.escape_debug()
        )));
    }
    if server.is_empty() || server.chars().any(char::is_control) {
        return Err(Error::usage(format!(
            "`{}` is not a server that a helper can be asked for",
            server.escape_debug()
        )));
    }
    Ok(())
}
