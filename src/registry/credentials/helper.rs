//! Stage 4: credential helpers, the only programs that are ever run. A helper's name and a server in, a credential out, or the
//! word that it has none. Bounded in time and in what it may say; what it says on stderr is never shown.

use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;

use super::Credential;
use crate::error::{Error, Result};
use crate::registry::program::{Failed, Program, Ran, is_name};

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
    let program = format!("docker-credential-{helper}");
    let ran = Program { name: &program, most: MOST_BYTES, search, patience }.run(&[action], input).await;
    let error = match ran {
        Ok(Ran { success, output }) => return Ok((program, success, output)),
        Err(Failed::Missing) => {
            Error::usage(format!("the credential helper `{program}` is not in the `PATH` or cannot be executed"))
                .hint(format!("install `{program}`, or take it out of the file that names it"))
        }
        Err(Failed::Start(cause)) => {
            by_hand(&program, format!("the credential helper `{program}` does not start")).because(cause)
        }
        Err(Failed::Broke(cause)) => {
            by_hand(&program, format!("the credential helper `{program}` failed")).because(cause)
        }
        Err(Failed::Slow) => {
            let limit = patience.as_secs_f32();
            by_hand(&program, format!("the credential helper `{program}` did not answer within {limit} s"))
        }
    };
    Err(error)
}

/// The error for a helper that does not do its work, and the way out.
fn by_hand(program: &str, message: String) -> Error {
    Error::usage(message).hint(format!(
        "run `{program} get` by hand to see why (what it prints may be secret and is not shown here), or take it out of the file that names it"
    ))
}

/// What a helper's output means; nothing of it is ever in an error.
pub(in crate::registry) fn judge(program: &str, success: bool, output: &[u8]) -> Result<Option<Credential>> {
    if output.len() as u64 > MOST_BYTES {
        let told = format!("the credential helper `{program}` printed over {MOST_BYTES} bytes, which is the limit");
        return Err(by_hand(program, told));
    }
    if !success {
        if String::from_utf8_lossy(output).trim() == NOTHING {
            return Ok(None);
        }
        return Err(by_hand(program, format!("the credential helper `{program}` failed")));
    }
    let said: Said = serde_json::from_slice(output).map_err(|_| {
        by_hand(program, format!("the credential helper `{program}` printed something that is not its JSON"))
    })?;
    if said.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(match said.username.as_str() {
        TOKEN_USER => Credential::Identity { user: String::new(), token: said.secret },
        _ => Credential::Password { user: said.username, password: said.secret },
    }))
}

/// Refuses what is no name of a helper or could be more than one line of input.
pub(in crate::registry) fn check(helper: &str, server: &str) -> Result<()> {
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
