//! Stage 8: who we are. What the surroundings hold in, an identity token for the certificate authority out. In this order: a token that
//! was given, the CI service that runs this job (GitHub, Buildkite, CircleCI), `SIGSTORE_ID_TOKEN` (GitLab), cosign's token file, and
//! a person at the terminal. Asks the identity provider, or the CI service's program; a token goes into no message.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use sigstore_sign::oidc::IdentityToken;

use super::person;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::registry::Ask;
use crate::registry::program::{Failed, Program, Ran};
use crate::trust::root;

/// Where cosign looks for a token.
pub const FILE: &str = "/var/run/sigstore/cosign/oidc-token";
/// Whom a token must be for.
const AUDIENCE: &str = "sigstore";
/// Most bytes of a token, or of an answer that holds one.
const MOST_BYTES: u64 = 64 << 10;
/// How long a service that runs jobs is asked for a token while it does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks a person for the code that they were given at this address; the answer, or that they do not want to.
pub type Person<'a> = Box<dyn Fn(String) -> BoxFuture<'a, Result<String>> + Send + Sync + 'a>;

/// Where tokens come from.
pub struct Source<'a> {
    from: From,
    /// Where programs are looked for, in place of the `PATH`.
    search: Option<OsString>,
    person: Option<Person<'a>>,
}

/// The first of them that is there.
enum From {
    Text(String),
    File(PathBuf),
    GitHub {
        url: String,
        bearer: String,
    },
    Program(&'static str, &'static [&'static str]),
    /// GitHub runs the job, and does not let it have tokens.
    Nowhere {
        forbidden: bool,
    },
}

/// What GitHub answers.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl<'a> Source<'a> {
    /// What the surroundings hold: `given` is a token or the file of one, `variable` the environment, `file` where cosign looks.
    pub fn new(
        given: Option<&str>,
        variable: &dyn Fn(&str) -> Option<OsString>,
        file: &Path,
        search: Option<OsString>,
        person: Option<Person<'a>>,
    ) -> Source<'a> {
        let text = |name: &str| {
            variable(name).and_then(|value| value.into_string().ok()).filter(|value| !value.trim().is_empty())
        };
        let runs = |name: &str| text(name).is_some_and(|value| value == "true");
        let github = text("ACTIONS_ID_TOKEN_REQUEST_URL").zip(text("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        let from = if let Some(given) = given {
            if is_token(given) { From::Text(given.to_string()) } else { From::File(given.into()) }
        } else if let Some((url, bearer)) = github {
            From::GitHub { url, bearer }
        } else if runs("BUILDKITE") {
            From::Program("buildkite-agent", &["oidc", "request-token", "--audience", AUDIENCE])
        } else if runs("CIRCLECI") {
            From::Program("circleci", &["run", "oidc", "get", "--root-issuer", "--claims", r#"{"aud":"sigstore"}"#])
        } else if let Some(token) = text("SIGSTORE_ID_TOKEN") {
            From::Text(token)
        } else if file.is_file() {
            From::File(file.to_path_buf())
        } else {
            From::Nowhere { forbidden: runs("GITHUB_ACTIONS") }
        };
        Source { from, search, person }
    }

    /// Whether there is somebody at all who could be asked; nothing is asked yet.
    pub fn ready(&self) -> Result<()> {
        match (&self.from, &self.person) {
            (From::Nowhere { forbidden }, None) => Err(nobody(*forbidden)),
            _ => Ok(()),
        }
    }

    /// A token that has not expired; `issuer` is where people sign in.
    pub async fn token(&self, ctx: &Ctx, issuer: Option<&str>) -> Result<IdentityToken> {
        let token = match (&self.from, &self.person, issuer) {
            (From::Text(text), ..) => read(text)?,
            (From::File(path), ..) => read(&root::read(path)?)?,
            (From::GitHub { url, bearer }, ..) => github(ctx, url, bearer).await?,
            (From::Program(name, words), ..) => read(&self.program(ctx, name, words).await?)?,
            (From::Nowhere { .. }, Some(person), Some(issuer)) => person::sign_in(ctx, issuer, person).await?,
            (From::Nowhere { .. }, Some(_), None) => {
                return Err(Error::usage("the signing config names no place to sign in")
                    .hint("give a token with `--identity-token FILE` or in `SIGSTORE_ID_TOKEN`"));
            }
            (From::Nowhere { forbidden }, None, _) => return Err(nobody(*forbidden)),
        };
        // Before anybody is asked, since what they say about it is less clear.
        if token.expiration() <= ctx.registries.now() {
            let error = Error::usage(format!("the identity token expired at {}", token.expiration()));
            return Err(error.hint("get a new one: they last for minutes only"));
        }
        Ok(token)
    }

    /// What a program of a CI service prints.
    async fn program(&self, _: &Ctx, name: &str, words: &[&str]) -> Result<String> {
        let failed = |what: &str| Error::local(format!("asking `{name}` for an identity token: {what}"));
        let program = Program { name, most: MOST_BYTES, search: self.search.as_ref(), patience: PATIENCE };
        let ran = program.run(words, b"").await.map_err(|error| match error {
            Failed::Missing => failed("it is not in the `PATH`"),
            Failed::Start(cause) | Failed::Broke(cause) => failed("it does not run").because(cause),
            Failed::Slow => failed(&format!("it did not answer within {} s", PATIENCE.as_secs())),
        })?;
        let Ran { success, output } = ran;
        match success {
            true => String::from_utf8(output).map_err(|_| failed("it did not print a token")),
            false => Err(failed("it failed").hint("run it by hand to see why; what it prints is secret")),
        }
    }
}

/// Whether a text is a token, and not the name of a file with one.
fn is_token(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    let parts: Vec<&str> = text.trim().split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(letter)) && text.len() > 64
}

fn nobody(forbidden: bool) -> Error {
    let error = Error::usage("nothing says who we are: there is no identity token");
    if forbidden {
        return error.hint("give the job the permission `id-token: write`");
    }
    error
        .hint("in a job on GitHub: give it the permission `id-token: write`; on GitLab: declare `id_tokens` with `SIGSTORE_ID_TOKEN`")
        .hint("else give a token with `--identity-token FILE`, or sign in at a terminal; or sign with a key: `--key cosign.key`")
}

fn read(text: &str) -> Result<IdentityToken> {
    // The cause is not told: it may hold parts of the token.
    IdentityToken::from_jwt(text.trim())
        .map_err(|_| Error::usage("the identity token is not a JSON web token with an issuer, a subject and an expiry"))
}

/// Asks GitHub, which gives a job with the permission `id-token: write` a way to tokens.
async fn github(ctx: &Ctx, url: &str, bearer: &str) -> Result<IdentityToken> {
    let doing = "asking GitHub for an identity token";
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}audience={AUDIENCE}");
    let (accept, bearer) = ("application/json", Some(bearer));
    let ask = Ask { url: &url, body: None, accept, bearer, most: MOST_BYTES };
    let told = ctx.registries.ask_patiently(&ask, PATIENCE).await.map_err(|error| error.context(doing))?;
    let body = told.success().map_err(|error| error.context(doing))?;
    let wrong = |_| Error::remote(format!("{doing}: what came is not its JSON"));
    let Answer { value } = serde_json::from_slice(&body).map_err(wrong)?;
    read(&value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Which source is taken in an environment.
    fn taken(given: Option<&str>, environment: &[(&str, &str)], file: &Path) -> String {
        let environment: BTreeMap<&str, &str> = environment.iter().copied().collect();
        let variable = |name: &str| environment.get(name).map(OsString::from);
        match Source::new(given, &variable, file, None, None).from {
            From::Text(text) => text,
            From::File(path) => path.display().to_string(),
            From::GitHub { url, .. } => url,
            From::Program(name, _) => name.to_string(),
            From::Nowhere { forbidden } => format!("nowhere {forbidden}"),
        }
    }

    #[test]
    fn the_first_source_in_the_order_counts() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("token");
        let missing = room.path().join("missing");
        std::fs::write(&file, "x").unwrap();
        let github = [("ACTIONS_ID_TOKEN_REQUEST_URL", "https://h.test/"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")];
        let all = [&github[..], &[("BUILDKITE", "true"), ("CIRCLECI", "true"), ("SIGSTORE_ID_TOKEN", "text")]].concat();
        let token = format!("{}.e30.c2ln", "a".repeat(80));
        assert_eq!(taken(Some(&token), &all, &file), token);
        assert_eq!(taken(Some("some/file"), &all, &file), "some/file");
        assert_eq!(taken(None, &all, &file), "https://h.test/");
        assert_eq!(taken(None, &all[1..], &file), "buildkite-agent");
        assert_eq!(taken(None, &all[3..], &file), "circleci");
        assert_eq!(taken(None, &all[4..], &file), "text");
        assert_eq!(taken(None, &[("SIGSTORE_ID_TOKEN", " ")], &file), file.display().to_string());
        assert_eq!(taken(None, &[("GITHUB_ACTIONS", "true")], &missing), "nowhere true");
        assert_eq!(taken(None, &[("BUILDKITE", "false")], &missing), "nowhere false");
    }
}
