//! Stage 8: a person who signs in. Where people sign in and a way to ask one in, an identity token out. The person opens an address in a
//! browser of theirs, anywhere, and brings back a code (authorization code with PKCE, out of band); no browser is opened here.

use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use sigstore_sign::oidc::{
    AuthCallback, AuthMode, AuthOptions, HtmlTemplates, IdentityToken, OAuthClient, OAuthConfig, SecretString,
};
use tokio::runtime::Handle;

use super::token::Person;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::json::read;
use crate::registry::Ask;

/// Most bytes of what an identity provider says of itself.
const MOST_BYTES: u64 = 256 << 10;
/// How long an identity provider that is away is waited for: somebody sits there.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an identity provider says of itself (OpenID Connect Discovery 1.0, 4.2).
#[derive(Deserialize)]
struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

/// A person who is asked once.
struct Asked<'p, 'a> {
    person: &'p Person<'a>,
    url: Mutex<String>,
    /// Why there is no code; the crate would make one text of it.
    failed: &'p Mutex<Option<Error>>,
}

impl HtmlTemplates for Asked<'_, '_> {}

impl AuthCallback for Asked<'_, '_> {
    fn auth_url_ready(&self, url: &str, _: AuthMode) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url.to_string();
    }

    fn prompt_for_code(&self) -> io::Result<SecretString> {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The crate asks and waits; the question is ours, and can be interrupted.
        match wait((self.person)(url)) {
            Ok(code) => Ok(SecretString::new(code.trim())),
            Err(error) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(io::Error::other("nobody signed in"))
            }
        }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| Handle::current().block_on(future))
}

/// Lets a person sign in.
pub async fn sign_in(ctx: &Ctx, issuer: &str, person: &Person<'_>) -> Result<IdentityToken> {
    let doing = || format!("signing in at `{issuer}`");
    let provider = discover(ctx, issuer).await.map_err(|error| error.context(doing()))?;
    let config = OAuthConfig::new(&provider.authorization_endpoint, &provider.token_endpoint);
    let client = OAuthClient::with_http_client(config, ctx.registries.service(&provider.token_endpoint)?);
    let failed = Mutex::default();
    let asked = Asked { person, url: Mutex::default(), failed: &failed };
    let signed_in = client.authenticate_with_options(asked, AuthOptions::new().with_force_oob(true)).await;
    signed_in.map_err(|cause| match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => error,
        None => Error::remote(doing()).because(cause),
    })
}

/// Where an identity provider is to be asked for codes and tokens.
async fn discover(ctx: &Ctx, issuer: &str) -> Result<Provider> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let ask = Ask { url: &url, body: None, accept: "application/json", bearer: None, most: MOST_BYTES };
    let told = ctx.registries.ask_patiently(&ask, PATIENCE).await?;
    let provider: Provider = read(&told.success()?, "what the identity provider says of itself")?;
    match provider.issuer.trim_end_matches('/') == issuer.trim_end_matches('/') {
        true => Ok(provider),
        false => Err(Error::remote("the identity provider says that it is another one")),
    }
}
