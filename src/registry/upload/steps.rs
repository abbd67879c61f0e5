//! Stage 4: the single requests of an upload. A session in, what became of it out.

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::{Session, Upload, Way};
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::registry::failure::{self, header};
use crate::registry::manifests::{DIGEST, agreed};
use crate::registry::retry::Stop;
use crate::registry::wire::{Call, Payload, Reply};

/// The header in which a registry says how small a piece may be.
pub(in crate::registry) const LEAST: &str = "oci-chunk-min-length";
/// The smallest piece that is tried.
pub(super) const SMALLEST: u64 = 64 << 10;
/// The largest piece that a registry may demand.
pub(in crate::registry) const LARGEST: u64 = 1 << 30;

/// What one request of an upload came to.
pub(super) enum Step {
    /// The registry has the blob.
    Done,
    /// So many more bytes are stored.
    On(u64),
    /// The body was too large.
    Smaller,
    /// The session is lost.
    Anew(Error),
}

impl Upload<'_> {
    /// Makes pieces smaller; `false` when there is no smaller one.
    pub(super) fn smaller(&mut self, session: &Session) -> bool {
        let least = session.least.max(SMALLEST.min(self.wire.settings.patience.chunk));
        let next = match self.way {
            Way::Whole => self.wire.settings.patience.chunk,
            Way::Pieces(most) if most > least => most / 4,
            Way::Pieces(_) => return false,
        };
        self.way = Way::Pieces(next.max(least));
        true
    }

    /// Ends a session with a PUT that carries `length` bytes, and makes sure that the registry has the right ones.
    pub(super) async fn put(&self, session: &mut Session, length: u64) -> Result<Step, Stop> {
        let digest = &self.descriptor.digest;
        let mut leg = session.leg.clone();
        let query = leg.url.query().unwrap_or_default().to_string();
        let wanted = format!("digest={digest}");
        let escaped = wanted.replacen("sha256:", "sha256%3A", 1);
        if !query.split('&').any(|pair| pair == wanted || pair.eq_ignore_ascii_case(&escaped)) {
            let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
            leg.url.set_query(Some(&[kept.join("&"), wanted].join(if kept.is_empty() { "" } else { "&" })));
        }
        let mut call = self.session_call(Method::PUT, &leg)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if length > 0 {
            call.payload = Payload::Piece { content: self.content, offset: 0, length };
        }
        let reply = self.wire.attempt(&call).await?.reply(failure::MOST_BYTES).await?;
        match reply.status {
            StatusCode::CREATED if reply.header(DIGEST).is_some_and(|text| text.parse::<Digest>().is_ok()) => {
                agreed(&reply, digest)?;
                Ok(Step::Done)
            }
            status if status.is_success() => match self.is_there().await? {
                true => Ok(Step::Done),
                false => Err(Error::remote(format!(
                    "the registry answered the upload with {status}, but does not hold the blob {digest}"
                ))
                .into()),
            },
            StatusCode::PAYLOAD_TOO_LARGE if length > 0 => Ok(Step::Smaller),
            StatusCode::RANGE_NOT_SATISFIABLE if length > 0 => Ok(Step::Smaller),
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => Ok(Step::Anew(reply.refusal())),
            // Pieces that were counted in different ways do not add up to the blob.
            StatusCode::BAD_REQUEST if session.at > 0 && length == 0 && self.miscounts => {
                Ok(Step::Anew(reply.refusal()))
            }
            _ => Err(self.refused(&call, reply).await),
        }
    }

    /// Sends the next piece.
    pub(super) async fn patch(&mut self, session: &mut Session, most: u64) -> Result<Step, Stop> {
        let (from, size) = (session.at, self.descriptor.size);
        let length = most.max(session.least).min(size - from);
        let mut call = self.session_call(Method::PATCH, &session.leg)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let range = HeaderValue::from_str(&format!("{from}-{}", from + length - 1));
        call.headers.insert(CONTENT_RANGE, range.map_err(|_| Error::bug("a range cannot be sent"))?);
        call.payload = Payload::Piece { content: self.content, offset: from, length };
        let reply = self.wire.attempt(&call).await?.reply(failure::MOST_BYTES).await?;
        match reply.status {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::CREATED => {}
            StatusCode::PAYLOAD_TOO_LARGE => return Ok(Step::Smaller),
            StatusCode::RANGE_NOT_SATISFIABLE => return self.unsatisfied(session, most, reply).await,
            StatusCode::NOT_FOUND => return Ok(Step::Anew(reply.refusal())),
            _ => return Err(self.refused(&call, reply).await),
        }
        if let Some(leg) = self.located(&reply.leg, &reply.headers).await? {
            session.leg = leg;
        }
        session.least = session.least.max(least(&reply.headers));
        let sent = from + length;
        session.at = match stored(&reply.headers) {
            Some(count) if count > from && count <= sent && !self.miscounts => count,
            Some(count) if count > sent => {
                return Ok(Step::Anew(Error::remote(format!(
                    "the registry holds {count} bytes, but {sent} were sent"
                ))));
            }
            // A count that stands still although the piece was accepted: some registries never raise it (ECR).
            Some(count) if count < sent => {
                self.miscounts = true;
                sent
            }
            _ => sent,
        };
        Ok(Step::On(session.at - from))
    }

    /// A 416 to a piece: the registry is elsewhere, or the piece was too large for it.
    async fn unsatisfied(&mut self, session: &mut Session, most: u64, reply: Reply) -> Result<Step, Stop> {
        let before = session.at;
        if self.resume(session).await? && session.at != before && !self.miscounts {
            return Err(Stop::broken(reply.refusal()));
        }
        if self.miscounts || most <= SMALLEST {
            return Ok(Step::Anew(reply.refusal()));
        }
        Ok(Step::Smaller)
    }

    /// Asks where a session stands; `false` if it cannot be gone on with.
    pub(super) async fn resume(&mut self, session: &mut Session) -> Result<bool> {
        if self.miscounts {
            return Ok(false);
        }
        let call = self.session_call(Method::GET, &session.leg)?;
        let Ok(reply) = self.wire.fetch(&call, failure::MOST_BYTES).await else {
            self.wire.cancel.check()?;
            return Ok(false);
        };
        if !matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::ACCEPTED) {
            return Ok(false);
        }
        if let Some(leg) = self.located(&reply.leg, &reply.headers).await? {
            session.leg = leg;
        }
        // Without a count, or with that of a first byte that may be none, only a new session is sure.
        match stored(&reply.headers) {
            Some(count) if count > 1 && count <= self.descriptor.size => {
                session.at = count;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn refused(&self, call: &Call<'_>, reply: Reply) -> Stop {
        match reply.stop(self.wire) {
            Stop::Fatal(error) if reply.status == StatusCode::UNAUTHORIZED && reply.leg.own => {
                Stop::Fatal(self.wire.hint(call, error).await)
            }
            stop => stop,
        }
    }
}

/// How many bytes a `Range` header counts (`0-LAST`).
pub(in crate::registry) fn stored(headers: &HeaderMap) -> Option<u64> {
    let text = header(headers, RANGE.as_str())?.trim();
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    if first != "0" {
        return None;
    }
    last.parse::<u64>().ok()?.checked_add(1)
}

/// The smallest piece that a registry takes, by its word.
pub(in crate::registry) fn least(headers: &HeaderMap) -> u64 {
    header(headers, LEAST).and_then(|text| text.trim().parse().ok()).unwrap_or(0).min(LARGEST)
}
