//! Stage 4: authentication. A challenge and a credential in, an `Authorization` value out. Asks token servers, through the same choke
//! point as everything else; keeps tokens in memory only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::challenge::{self, Challenge};
use super::credentials::{Credential, Found};
use super::origin::{Leg, Via};
use super::retry::Stop;
use super::scope::Scopes;
use super::wire::{Call, Payload, Wire};
use crate::error::{Error, Result};
use crate::event::Event;

/// Largest answer of a token server, in bytes.
const MOST_BYTES: u64 = 256 << 10;
/// Longest token, in bytes; it has to fit into a header.
const MOST_TOKEN: usize = 64 << 10;
/// How long a token lasts when its server does not say, and at least (distribution, "Token Authentication").
const SHORTEST: Duration = Duration::from_secs(60);
/// How much earlier a token is renewed than it ends.
const MARGIN: Duration = Duration::from_secs(10);
/// Most tokens kept for one registry.
const MOST_TOKENS: usize = 256;

/// What is known about one registry.
#[derive(Default)]
pub(super) struct Known {
    way: Option<Way>,
    found: BTreeMap<String, Found>,
    tokens: Vec<Token>,
}

/// How a registry wants to be convinced.
#[derive(Clone)]
enum Way {
    Basic,
    Bearer { realm: Leg, service: Option<String> },
}

struct Token {
    path: String,
    scopes: Scopes,
    value: HeaderValue,
    ends: Instant,
}

#[derive(Deserialize)]
struct Answered {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

impl Wire {
    fn known(&self, call: &Call<'_>) -> Arc<Mutex<Known>> {
        let mut all = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(all.entry(call.home.origin.clone()).or_default())
    }

    /// The `Authorization` to send at once, if the registry is known to want one.
    pub(super) async fn authorization(&self, call: &Call<'_>) -> Result<Option<HeaderValue>, Stop> {
        let known = self.known(call);
        let mut known = known.lock().await;
        let Some(way) = known.way.clone() else { return Ok(None) };
        let found = self.found(&mut known, call).await?;
        match way {
            Way::Basic => Ok(found.credential.as_ref().and_then(basic).transpose()?),
            Way::Bearer { realm, service } => {
                self.bearer(&mut known, call, &realm, service.as_deref(), &Scopes::default(), &found).await.map(Some)
            }
        }
    }

    /// A better `Authorization` after a 401; `None` if there is none, so that the 401 stands.
    pub(super) async fn renew(
        &self,
        call: &Call<'_>,
        from: &Url,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Stop> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges = challenge::read(texts);
        let by = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let known = self.known(call);
        let mut known = known.lock().await;
        let found = self.found(&mut known, call).await?;
        if let Some((challenge, realm)) = by("bearer").and_then(|one| one.parameter("realm").map(|realm| (one, realm)))
        {
            let hosts = &self.settings.hosts;
            let realm = call.home.follow(from, realm, Via::Realm, hosts, &self.settings.names).await?;
            return self.renew_bearer(&mut known, call, challenge, realm, used, &found).await;
        }
        if by("basic").is_some() && !used.is_some_and(|used| used.as_bytes().starts_with(b"Basic ")) {
            known.way = Some(Way::Basic);
            return Ok(found.credential.as_ref().and_then(basic).transpose()?);
        }
        Ok(None)
    }

    async fn renew_bearer(
        &self,
        known: &mut Known,
        call: &Call<'_>,
        challenge: &Challenge,
        realm: Leg,
        used: Option<&HeaderValue>,
        found: &Found,
    ) -> Result<Option<HeaderValue>, Stop> {
        let service = challenge.parameter("service").map(str::to_string);
        let asked = Scopes::read(challenge.parameter("scope").unwrap_or_default());
        // Tokens are kept in the order of their age: what is older than one that was refused is no better.
        if let Some(at) = known.tokens.iter().position(|token| Some(&token.value) == used) {
            known.tokens.drain(..=at);
        }
        known.way = Some(Way::Bearer { realm: realm.clone(), service: service.clone() });
        let value = self.bearer(known, call, &realm, service.as_deref(), &asked, found).await?;
        // A token that is set by hand cannot be renewed.
        Ok((Some(&value) != used).then_some(value))
    }

    /// Where the credential that was used came from, in words, and how to get another one.
    pub(super) async fn hint(&self, call: &Call<'_>, error: Error) -> Error {
        let known = self.known(call);
        let known = known.lock().await;
        let name = &call.home.name;
        let login = format!("run `stillframe login {name}`");
        match known.found.get(call.path) {
            Some(Found { credential: Some(_), told }) => {
                error.hint(format!("the credential came from {told} and was not accepted; {login} to renew it"))
            }
            Some(Found { credential: None, told }) => {
                error.hint(format!("no credential for `{name}` was found ({told}); {login}"))
            }
            None => error.hint(login),
        }
    }

    async fn found(&self, known: &mut Known, call: &Call<'_>) -> Result<Found> {
        if let Some(found) = known.found.get(call.path) {
            return Ok(found.clone());
        }
        let registry = call.home.name.parse()?;
        let found = self.settings.credentials.find(&registry, call.path, self.settings.patience.helper).await?;
        (self.sink)(Event::Detail { text: format!("credential for `{}`: {}", call.home.name, found.told) });
        known.found.insert(call.path.to_string(), found.clone());
        Ok(found)
    }

    async fn bearer(
        &self,
        known: &mut Known,
        call: &Call<'_>,
        realm: &Leg,
        service: Option<&str>,
        asked: &Scopes,
        found: &Found,
    ) -> Result<HeaderValue, Stop> {
        if let Some(Credential::Bearer(token)) = &found.credential {
            return Ok(word("Bearer", token)?);
        }
        let now = Instant::now();
        known.tokens.retain(|token| token.ends > now);
        let wanted = asked.clone().and(call.scopes);
        let fits = |token: &&Token| token.path == call.path && token.scopes.cover(&wanted);
        if let Some(token) = known.tokens.iter().find(fits) {
            return Ok(token.value.clone());
        }
        let answered = match self.ask(call, realm, service, &wanted, found).await {
            // The scope of another repository (for a mount) may be more than this credential can have.
            Err(Stop::Fatal(_)) if *asked != wanted && !asked.texts().is_empty() => {
                self.ask(call, realm, service, asked, found).await?
            }
            other => other?,
        };
        let text = [answered.token, answered.access_token].into_iter().flatten().find(|token| !token.is_empty());
        let text =
            text.ok_or_else(|| Error::remote(format!("the token server of `{}` sent no token", call.home.name)))?;
        let value = word("Bearer", &text)?;
        let lasts = answered.expires_in.filter(|seconds| *seconds > 0.0 && *seconds < 1e9).unwrap_or_default();
        let ends = now + Duration::from_secs_f64(lasts).max(SHORTEST) - MARGIN;
        if known.tokens.len() >= MOST_TOKENS {
            known.tokens.remove(0);
        }
        known.tokens.push(Token { path: call.path.to_string(), scopes: wanted, value: value.clone(), ends });
        Ok(value)
    }

    /// Asks a token server: OAuth2 where we hold a refresh token, and the older GET where that does not work.
    async fn ask(
        &self,
        call: &Call<'_>,
        realm: &Leg,
        service: Option<&str>,
        scopes: &Scopes,
        found: &Found,
    ) -> Result<Answered, Stop> {
        let mut basic_word = found.credential.as_ref().and_then(basic).transpose()?;
        if let Some(Credential::Identity { user, token }) = &found.credential {
            let form = form(service, scopes, token);
            let headers =
                HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
            let post =
                Call { method: Method::POST, payload: Payload::Bytes(form.into()), headers, ..token_call(call, realm) };
            let reply = self.send(&post, realm, None).await?.reply(MOST_BYTES).await?;
            match reply.status {
                StatusCode::OK => return answered(call, &reply.body),
                StatusCode::NOT_FOUND
                | StatusCode::UNAUTHORIZED
                | StatusCode::BAD_REQUEST
                | StatusCode::METHOD_NOT_ALLOWED => {
                    let name = if user.is_empty() { "<token>" } else { user };
                    basic_word = Some(word("Basic", &STANDARD.encode(format!("{name}:{token}")))?);
                }
                _ => return Err(refused(call, found, reply.stop(self))),
            }
        }
        let mut leg = realm.clone();
        {
            let mut query = leg.url.query_pairs_mut();
            query.extend_pairs(service.map(|service| ("service", service)));
            query.extend_pairs(scopes.texts().iter().map(|scope| ("scope", scope)));
        }
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        headers.extend(basic_word.map(|word| (AUTHORIZATION, word)));
        let get = Call { headers, ..token_call(call, &leg) };
        let reply = self.send(&get, &leg, None).await?.reply(MOST_BYTES).await?;
        if reply.status != StatusCode::OK {
            return Err(refused(call, found, reply.stop(self)));
        }
        answered(call, &reply.body)
    }
}

fn refused(call: &Call<'_>, found: &Found, stop: Stop) -> Stop {
    let Stop::Fatal(error) = stop else { return stop };
    let name = &call.home.name;
    let error = error.context(format!("the token server of `{name}` refused"));
    Stop::Fatal(match &found.credential {
        Some(_) => {
            error.hint(format!("the credential came from {}; run `stillframe login {name}` to renew it", found.told))
        }
        None => {
            error.hint(format!("no credential for `{name}` was found ({}); run `stillframe login {name}`", found.told))
        }
    })
}

fn token_call<'a>(call: &Call<'a>, realm: &Leg) -> Call<'a> {
    Call {
        method: Method::GET,
        leg: realm.clone(),
        home: call.home,
        path: call.path,
        scopes: call.scopes,
        headers: HeaderMap::new(),
        payload: Payload::None,
    }
}

fn answered(call: &Call<'_>, body: &[u8]) -> Result<Answered, Stop> {
    // The cause could quote a token.
    serde_json::from_slice(body).map_err(|_| {
        Error::remote(format!("the token server of `{}` sent something that is not its JSON", call.home.name)).into()
    })
}

fn form(service: Option<&str>, scopes: &Scopes, token: &str) -> String {
    let mut url = Url::parse("http://form.invalid/").ok();
    if let Some(url) = &mut url {
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("grant_type", "refresh_token").append_pair("client_id", "stillframe");
        pairs.extend_pairs(service.map(|service| ("service", service)));
        pairs.append_pair("scope", &scopes.texts().join(" ")).append_pair("refresh_token", token);
    }
    url.and_then(|url| url.query().map(str::to_string)).unwrap_or_default()
}

fn basic(credential: &Credential) -> Option<Result<HeaderValue>> {
    match credential {
        Credential::Password { user, password } => Some(word("Basic", &STANDARD.encode(format!("{user}:{password}")))),
        Credential::Identity { .. } | Credential::Bearer(_) => None,
    }
}

fn word(scheme: &str, text: &str) -> Result<HeaderValue> {
    if text.len() > MOST_TOKEN {
        return Err(Error::remote(format!("a token has {} bytes, the limit is {MOST_TOKEN}", text.len())));
    }
    let mut value = HeaderValue::from_str(&format!("{scheme} {text}"))
        .map_err(|_| Error::remote("a token holds characters that cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}
