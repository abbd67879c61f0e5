//! Stage 4: services beside registries: certificate authorities, transparency logs, timestamp authorities, identity providers. One
//! request in, its answer out, bounded in time and size; what may come back is told apart from what stays refused. A bearer token
//! goes only to the address that it is meant for (there are no redirects), and is in no message.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::Client;
use super::failure::{self, header, request, transport, words};
use super::origin::Origin;
use super::retry::{Stop, Turns, retry_after, unless_cancelled};
use super::settings::Patience;
use crate::error::{Error, Result};
use crate::event::Event;

/// The first pause while a service is away; the next ones double.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A request to a service.
pub struct Ask<'a> {
    /// Where to.
    pub url: &'a str,
    /// What is sent (POST) and of which media type; nothing: GET.
    pub body: Option<(&'static str, Bytes)>,
    /// The media type that is wanted.
    pub accept: &'static str,
    /// A token that says who asks.
    pub bearer: Option<&'a str>,
    /// Most bytes of the answer.
    pub most: u64,
}

/// What a service said.
pub struct Told {
    /// The status.
    pub status: u16,
    /// Where the header `Location` leads.
    pub location: Option<String>,
    /// The body; of a refusal its beginning.
    pub body: Vec<u8>,
    what: String,
    secret: Option<String>,
}

impl Client {
    /// Sends a request once. What another attempt may change is a [`Stop::Again`]; any other answer is for the caller to judge.
    pub async fn ask(&self, ask: &Ask<'_>) -> Result<Told, Stop> {
        let client = self.service(ask.url)?;
        let url = Url::parse(ask.url).map_err(|cause| Error::usage("a service has no URL").because(cause))?;
        let method = if ask.body.is_some() { Method::POST } else { Method::GET };
        let what = request(&method, &url);
        let mut builder = client.request(method.clone(), url.clone()).header(ACCEPT, ask.accept);
        if let Some((kind, bytes)) = &ask.body {
            builder = builder.header(CONTENT_TYPE, *kind).body(bytes.clone());
        }
        if let Some(token) = ask.bearer {
            builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let broken = |cause: reqwest::Error| {
            let (error, again, unreachable) = transport(&method, &url, cause);
            if again { Stop::Again { error, status: None, asked: None, unreachable } } else { Stop::Fatal(error) }
        };
        let mut response = unless_cancelled(&self.0.cancel, builder.send()).await?.map_err(broken)?;
        let status = response.status();
        (self.0.sink)(Event::Detail { text: format!("{what}: {status}") });
        let most = if status.is_success() { ask.most } else { ask.most.min(failure::MOST_BYTES) };
        let mut body = Vec::new();
        while let Some(piece) = unless_cancelled(&self.0.cancel, response.chunk()).await?.map_err(broken)? {
            body.extend_from_slice(&piece);
            if body.len() as u64 <= most {
                continue;
            }
            if status.is_success() {
                let error = Error::remote(format!("{what} was answered with over {most} bytes, which is the limit"));
                return Err(Stop::Fatal(error));
            }
            body.truncate(most as usize);
            break;
        }
        let location = header(response.headers(), LOCATION.as_str()).map(str::to_string);
        let asked = header(response.headers(), RETRY_AFTER.as_str())
            .and_then(|text| retry_after(text, (self.0.settings.clock.now)()));
        let told = Told { status: status.as_u16(), location, body, what, secret: ask.bearer.map(str::to_string) };
        match status.as_u16() {
            408 | 425 | 429 | 500 | 502..=599 => {
                Err(Stop::Again { error: told.refusal(), status: Some(status), asked, unreachable: false })
            }
            _ => Ok(told),
        }
    }

    /// The attempts at something that services have to do, for as long as `patience` says; `who` is for messages.
    pub fn turns<'a>(&'a self, who: &'a str, patience: Duration) -> Turns<'a> {
        let settings = &self.0.settings;
        // Not how often counts, but how long.
        let patience =
            Patience { attempts: u32::MAX, first_pause: FIRST_PAUSE, budget: patience, ..settings.patience.clone() };
        Turns::new(who, patience, &settings.clock, &self.0.sink, &self.0.cancel).timed()
    }

    /// Sends a request until it has an answer that will stay, for as long as `patience` says.
    pub async fn ask_patiently(&self, ask: &Ask<'_>, patience: Duration) -> Result<Told> {
        let name = Url::parse(ask.url).ok().and_then(|url| Origin::of(&url)).map(|origin| origin.name());
        let name = name.unwrap_or_default();
        let mut turns = self.turns(&name, patience);
        loop {
            match self.ask(ask).await {
                Ok(told) => return Ok(told),
                Err(stop) => turns.after(stop).await?,
            }
        }
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        Timestamp::try_from((self.0.settings.clock.now)()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Told {
    /// The body, if the service did what it was asked for.
    pub fn success(self) -> Result<Vec<u8>> {
        match (200..300).contains(&self.status) {
            true => Ok(self.body),
            false => Err(self.refusal()),
        }
    }

    /// The error for an answer that was not wanted.
    pub fn refusal(&self) -> Error {
        let status = StatusCode::from_u16(self.status).map_or(self.status.to_string(), |status| status.to_string());
        let mut words = words(&self.body);
        if let Some(secret) = &self.secret {
            // What it says may hold what it was sent.
            words = words.replace(secret.as_str(), "…");
        }
        let told = if words.is_empty() { String::new() } else { format!(": {words}") };
        Error::remote(format!("{} was answered with {status}{told}", self.what))
    }
}
