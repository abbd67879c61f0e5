//! Stage 8: who we are. What the surroundings hold in, an identity token for the certificate authority out. In this order: a token
//! that was given, `SIGSTORE_ID_TOKEN`, cosign's token file, GitHub, other services that run jobs, and a person at the terminal.
//! Asks the identity provider; a token goes into no message.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use sigstore_sign::oidc::{
    AuthCallback, AuthMode, AuthOptions, HtmlTemplates, IdentityToken, OAuthClient, OAuthConfig, SecretString,
};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::trust::root;

/// Where cosign looks for a token.
const FILE: &str = "/var/run/sigstore/cosign/oidc-token";
/// Whom a token must be for.
const AUDIENCE: &str = "sigstore";
/// Most bytes of a token or of an answer that holds one.
const MOST_BYTES: usize = 64 << 10;
/// How long a person may take to sign in.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a service that runs jobs is asked for a token.
const ATTEMPTS: u32 = 3;

/// Shows a person where to sign in, and reads the code that they were given there.
pub type Ask = Arc<dyn Fn(&str) -> io::Result<String> + Send + Sync>;

/// Where tokens come from.
pub struct Source {
    given: Option<Given>,
    github: Option<(String, String)>,
    ask: Option<Ask>,
}

enum Given {
    Text(String),
    File(PathBuf),
}

/// What GitHub answers.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl Source {
    /// What the surroundings hold. `given` is the file of a token; `ask` is there where a person can be asked.
    pub fn new(given: Option<&Path>, variable: &dyn Fn(&str) -> Option<OsString>, ask: Option<Ask>) -> Source {
        let text = |name: &str| {
            variable(name).and_then(|value| value.into_string().ok()).filter(|value| !value.trim().is_empty())
        };
        let given = match given {
            Some(path) => Some(Given::File(path.to_path_buf())),
            None => text("SIGSTORE_ID_TOKEN")
                .map(Given::Text)
                .or_else(|| Path::new(FILE).is_file().then(|| Given::File(FILE.into()))),
        };
        let github = text("ACTIONS_ID_TOKEN_REQUEST_URL").zip(text("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        Source { given, github, ask }
    }

    /// A token that has not expired.
    pub async fn token(&self, ctx: &Ctx, issuer: Option<&str>) -> Result<IdentityToken> {
        let token = match (&self.given, &self.github) {
            (Some(Given::Text(text)), _) => read(text)?,
            (Some(Given::File(path)), _) => read(&root::read(path)?)?,
            (None, Some((url, bearer))) => github(ctx, url, bearer).await?,
            (None, None) => self.other(ctx, issuer).await?,
        };
        if token.is_expired() {
            return Err(Error::usage(format!(
                "the identity token of {} expired at {}",
                token.identity(),
                token.expiration()
            ))
            .hint("get a new one; they last for some minutes only"));
        }
        Ok(token)
    }

    async fn other(&self, ctx: &Ctx, issuer: Option<&str>) -> Result<IdentityToken> {
        let found = IdentityToken::detect_ambient().await;
        let found = found.map_err(|cause| {
            Error::remote("asking the service that runs this job for an identity token").because(cause)
        })?;
        match (found, &self.ask, issuer) {
            (Some(token), ..) => Ok(token),
            (None, Some(ask), Some(issuer)) => interactive(ctx, issuer, ask.clone()).await,
            (None, Some(_), None) => Err(Error::usage("the signing config names no place to sign in")
                .hint("give a token with `--identity-token FILE` or in `SIGSTORE_ID_TOKEN`")),
            (None, None, _) => Err(Error::usage("nothing says who we are: there is no identity token")
                .hint("in a job on GitHub give it the permission `id-token: write`; on GitLab declare `id_tokens` with `SIGSTORE_ID_TOKEN`")
                .hint("else give a token with `--identity-token FILE`, or sign in at a terminal")),
        }
    }
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
    let client = ctx.registries.service(url).map_err(|error| error.context(doing))?;
    let mut last = Error::remote(doing);
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            ctx.registries.pause(Duration::from_secs(u64::from(attempt))).await?;
        }
        let request =
            client.get(format!("{url}{joint}audience={AUDIENCE}")).header("Authorization", format!("bearer {bearer}"));
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(cause) => {
                last = Error::remote(doing).because(cause.without_url());
                continue;
            }
        };
        let status = response.status();
        if !status.is_success() {
            last = Error::remote(doing).because(Error::remote(format!("it answered {status}")));
            if status.is_server_error() {
                continue;
            }
            return Err(last);
        }
        let mut body = Vec::new();
        while let Some(piece) =
            response.chunk().await.map_err(|cause| Error::remote(doing).because(cause.without_url()))?
        {
            body.extend_from_slice(&piece);
            if body.len() > MOST_BYTES {
                return Err(Error::remote(doing)
                    .because(Error::remote(format!("over {MOST_BYTES} bytes came, which is the limit"))));
            }
        }
        let wrong = |_| Error::remote(doing).because(Error::remote("what came is not its JSON"));
        let Answer { value } = serde_json::from_slice(&body).map_err(wrong)?;
        return read(&value);
    }
    Err(last)
}

/// A person who signs in with a browser of theirs, anywhere, and brings the code back.
struct Person {
    ask: Ask,
    url: Mutex<String>,
}

impl HtmlTemplates for Person {}

impl AuthCallback for Person {
    fn auth_url_ready(&self, url: &str, _: AuthMode) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url.to_string();
    }

    fn prompt_for_code(&self) -> io::Result<SecretString> {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.ask)(&url).map(|code| SecretString::new(code.trim()))
    }
}

async fn interactive(ctx: &Ctx, issuer: &str, ask: Ask) -> Result<IdentityToken> {
    let doing = format!("signing in at `{issuer}`");
    let client = OAuthClient::with_http_client(OAuthConfig::dex(issuer), ctx.registries.service(issuer)?);
    let person = Person { ask, url: Mutex::default() };
    let options = AuthOptions::new().with_force_oob(true);
    // On a thread of its own: it blocks while the person types.
    let task = tokio::spawn(async move { client.authenticate_with_options(person, options).await });
    tokio::select! {
        done = task => {
            let done = done.map_err(|cause| Error::bug("a thread broke down").because(cause))?;
            done.map_err(|cause| Error::remote(doing).because(cause))
        }
        waited = ctx.registries.pause(PATIENCE) => {
            waited?;
            Err(Error::usage(format!("nobody signed in within {} minutes", PATIENCE.as_secs() / 60)).context(doing))
        }
    }
}
