//! Stage 4: one request and its answer: authorised, redirected, repeated, bounded. A call in, an answer out.
//! The only place where requests to registries are sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use tokio::time::Instant;

use super::auth::Known;
use super::body::{self, Body, Pace, Sent, seconds};
use super::failure::{self, header, refusal, request};
use super::mount::Doubts;
use super::origin::{Home, Leg, Origin, Via};
use super::retry::{Stop, TICK, Turns, retry_after, unless_cancelled};
use super::scope::Scopes;
use super::settings::{Patience, Settings};
use super::transport::Transports;
use crate::error::{Error, Result};
use crate::event::{Cancel, Event, Sink};

/// Most redirects of one request.
const MOST_REDIRECTS: u32 = 10;
/// Most new tokens for one request.
const MOST_RENEWALS: u32 = 2;

/// How long a request may take that only tidies up.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(3);

/// What all requests share.
pub(super) struct Wire {
    pub settings: Settings,
    pub sink: Sink,
    pub cancel: Cancel,
    pub known: Mutex<BTreeMap<Origin, Arc<tokio::sync::Mutex<Known>>>>,
    pub doubts: Doubts,
    pub transports: Transports,
}

/// What a request carries.
#[derive(Clone)]
pub(super) enum Payload<'a> {
    /// Nothing.
    None,
    /// Something small.
    Bytes(Bytes),
    /// `length` bytes of some content from `offset` on.
    Piece { content: &'a dyn Body, offset: u64, length: u64 },
}

/// One request.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub method: Method,
    pub leg: Leg,
    pub home: &'a Home,
    /// The repository's path, which decides the credential.
    pub path: &'a str,
    pub scopes: &'a Scopes,
    pub headers: HeaderMap,
    pub payload: Payload<'a>,
}

impl Call<'_> {
    /// The request in words.
    pub fn name(&self) -> String {
        request(&self.method, &self.leg.url)
    }
}

/// An answer whose body is still on the wire.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Where it came from in the end.
    pub leg: Leg,
    method: Method,
    response: Response,
    patience: Patience,
    cancel: Cancel,
    pace: Pace,
}

/// An answer with its body.
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub leg: Leg,
    pub body: Vec<u8>,
    method: Method,
}

impl Wire {
    /// Sends a request until it has an answer that is not a transient fault, and reads it whole: at most `limit` bytes.
    pub async fn fetch(&self, call: &Call<'_>, limit: u64) -> Result<Reply> {
        let mut turns = self.turns(call.home);
        loop {
            let stop = match self.attempt(call).await {
                Ok(answer) => match answer.reply(limit).await {
                    Ok(reply) => return self.finished(call, reply).await,
                    Err(stop) => stop,
                },
                Err(stop) => stop,
            };
            turns.after(stop).await?;
        }
    }

    /// Sends a request until it has an answer that is not a transient fault; the body is left to the caller.
    pub async fn open(&self, call: &Call<'_>) -> Result<Answer> {
        let mut turns = self.turns(call.home);
        loop {
            match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(stop) => turns.after(stop).await?,
            }
        }
    }

    /// A 401 that stands is an error, whatever was asked.
    async fn finished(&self, call: &Call<'_>, reply: Reply) -> Result<Reply> {
        if reply.status == StatusCode::UNAUTHORIZED {
            let error = reply.refusal();
            return Err(if reply.leg.own { self.hint(call, error).await } else { error });
        }
        Ok(reply)
    }

    /// The attempts at something that a host has to do.
    pub fn turns<'a>(&'a self, home: &'a Home) -> Turns<'a> {
        let Settings { patience, clock, .. } = &self.settings;
        Turns::new(&home.name, patience.clone(), clock, &self.sink, &self.cancel)
    }

    /// Sends a request once, but for steps of the protocol: authorisation and redirects.
    pub async fn attempt(&self, call: &Call<'_>) -> Result<Answer, Stop> {
        let mut leg = call.leg.clone();
        let mut authorization = if leg.own { self.authorization(call).await? } else { None };
        let (mut renewals, mut redirects) = (0, 0);
        loop {
            let answer = self.send(call, &leg, authorization.as_ref().filter(|_| leg.own)).await?;
            if answer.status == StatusCode::UNAUTHORIZED && leg.own && renewals < MOST_RENEWALS {
                renewals += 1;
                match self.renew(call, &leg.url, &answer.headers, authorization.as_ref()).await? {
                    Some(better) => authorization = Some(better),
                    None => return Ok(answer),
                }
                // Reading the rest of a small answer keeps its connection.
                let _ = answer.reply(failure::MOST_BYTES).await;
                continue;
            }
            let Some(next) = redirect(call, &answer) else { return self.judge(answer).await };
            redirects += 1;
            if redirects > MOST_REDIRECTS {
                return Err(Error::remote(format!("{} was redirected over {MOST_REDIRECTS} times", call.name())).into());
            }
            let hosts = &self.settings.hosts;
            leg = call.home.follow(&leg.url, &next, Via::Redirect, hosts, &self.settings.names).await?;
            drop(answer);
        }
    }

    /// Sends a request whose answer nobody waits for long, even after a stop was asked for.
    pub async fn farewell(&self, call: &Call<'_>) {
        let Ok(client) = self.transports.client(&self.settings, call.home, &call.leg) else { return };
        let authorization = if call.leg.own { self.authorization(call).await.ok().flatten() } else { None };
        let mut builder = client.request(call.method.clone(), call.leg.url.clone()).timeout(FAREWELL);
        builder = authorization.into_iter().fold(builder, |builder, word| builder.header(AUTHORIZATION, word));
        let _ = builder.send().await;
    }

    /// Sorts out the statuses that ask to come back.
    async fn judge(&self, answer: Answer) -> Result<Answer, Stop> {
        match answer.status.as_u16() {
            408 | 429 | 500 | 502 | 503 | 504 => Err(answer.reply(failure::MOST_BYTES).await?.stop(self)),
            _ => Ok(answer),
        }
    }

    /// Sends one request and waits for the head of its answer.
    pub async fn send(&self, call: &Call<'_>, leg: &Leg, authorization: Option<&HeaderValue>) -> Result<Answer, Stop> {
        self.cancel.check()?;
        let what = request(&call.method, &leg.url);
        if self.settings.offline {
            return Err(Error::remote(format!("{what} needs the network, which `--offline` forbids")).into());
        }
        let sent = Sent::default();
        let client = self.transports.client(&self.settings, call.home, leg)?;
        let mut builder = client
            .request(call.method.clone(), leg.url.clone())
            .headers(call.headers.clone())
            .header(ACCEPT_ENCODING, "identity");
        let mut total = 0;
        builder = match &call.payload {
            Payload::None if matches!(call.method, Method::POST | Method::PUT | Method::PATCH) => builder.body(""),
            Payload::None => builder,
            Payload::Bytes(bytes) => builder.body(bytes.clone()),
            Payload::Piece { content, offset, length } => {
                total = *length;
                let reader =
                    content.open(*offset).map_err(|cause| Error::io(format!("reading the body of {what}"), cause))?;
                builder.header(CONTENT_LENGTH, *length).body(body::stream(reader, *length, sent.clone()))
            }
        };
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        let outcome = self.watch(builder.send(), &sent, total, &what).await?;
        if let Some(cause) = sent.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Error::io(format!("reading the body of {what}"), cause).into());
        }
        let response = outcome.map_err(|cause| {
            let (error, again, unreachable) = failure::transport(&call.method, &leg.url, cause);
            if again { Stop::Again { error, status: None, asked: None, unreachable } } else { Stop::Fatal(error) }
        })?;
        (self.sink)(Event::Detail { text: format!("{what}: {}", response.status()) });
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            leg: leg.clone(),
            method: call.method.clone(),
            response,
            patience: self.settings.patience.clone(),
            cancel: self.cancel.clone(),
            pace: Pace::start(),
        })
    }

    /// Waits for an answer as long as bytes go out fast enough, and then not too long.
    async fn watch<T>(&self, future: impl Future<Output = T>, sent: &Sent, total: u64, what: &str) -> Result<T, Stop> {
        let patience = &self.settings.patience;
        let (mut seen, mut last, mut pace) = (0, Instant::now(), Pace::start());
        let mut future = std::pin::pin!(future);
        loop {
            self.cancel.check()?;
            if let Ok(value) = tokio::time::timeout(TICK.min(patience.idle), &mut future).await {
                return Ok(value);
            }
            let count = sent.count.load(std::sync::atomic::Ordering::Relaxed);
            if count != seen {
                last = Instant::now();
            }
            let slow = if count < total { pace.moved(count - seen, patience) } else { None };
            seen = count;
            let limit = if total > 0 && count >= total { patience.answer } else { patience.idle + patience.connect };
            let idle =
                (last.elapsed() > limit).then(|| format!("nothing came by for {}, which is the limit", seconds(limit)));
            if let Some(why) = slow.or(idle) {
                return Err(Stop::broken(Error::remote(format!("{what} was given up: {why}"))));
            }
        }
    }
}

/// Where a redirect leads, if the answer is one that may be followed.
fn redirect(call: &Call<'_>, answer: &Answer) -> Option<String> {
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    let follows = match answer.status.as_u16() {
        301..=303 => reads,
        307 | 308 => true,
        _ => false,
    };
    if !follows {
        return None;
    }
    header(&answer.headers, LOCATION.as_str()).map(str::to_string)
}

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Stop> {
        let what = request(&self.method, &self.leg.url);
        let next = tokio::time::timeout(self.patience.idle, self.response.chunk());
        let next = match unless_cancelled(&self.cancel, next).await? {
            Ok(next) => next,
            Err(_) => {
                let limit = seconds(self.patience.idle);
                return Err(Stop::broken(Error::remote(format!(
                    "{what} was given up: nothing came by for {limit}, which is the limit"
                ))));
            }
        };
        let bytes = next
            .map_err(|cause| Stop::broken(Error::remote(format!("{what} broke off")).because(cause.without_url())))?;
        let count = bytes.as_ref().map_or(0, Bytes::len) as u64;
        match self.pace.moved(count, &self.patience) {
            Some(why) if bytes.is_some() => Err(Stop::broken(Error::remote(format!("{what} was given up: {why}")))),
            _ => Ok(bytes),
        }
    }

    /// The answer with its body: at most `limit` bytes. Of a failure only the beginning is read.
    pub async fn reply(mut self, limit: u64) -> Result<Reply, Stop> {
        let failed = !self.status.is_success();
        let limit = if failed { limit.min(failure::MOST_BYTES) } else { limit };
        let mut body = Vec::new();
        loop {
            let piece = match self.piece().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                // The status is known, its explanation is a courtesy.
                Err(_) if failed => break,
                Err(stop) => return Err(stop),
            };
            body.extend_from_slice(&piece);
            if body.len() as u64 > limit {
                if failed {
                    body.truncate(limit as usize);
                    break;
                }
                let what = request(&self.method, &self.leg.url);
                return Err(
                    Error::remote(format!("{what} was answered with over {limit} bytes, which is the limit")).into()
                );
            }
        }
        let Answer { status, headers, leg, method, .. } = self;
        Ok(Reply { status, headers, leg, body, method })
    }
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The error for a status that ends the work.
    pub fn refusal(&self) -> Error {
        refusal(&self.method, &self.leg.url, self.status, &self.body)
    }

    /// The error for a status that may ask to come back.
    pub fn stop(&self, wire: &Wire) -> Stop {
        let transient = matches!(self.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
        if !transient {
            return Stop::Fatal(self.refusal());
        }
        let asked = self.header(RETRY_AFTER.as_str()).and_then(|text| retry_after(text, (wire.settings.clock.now)()));
        Stop::Again { error: self.refusal(), status: Some(self.status), asked, unreachable: false }
    }
}
