//! Stage 4: when to try again. A failed attempt in, a pause and the right to another one out, or the end. Waits, and says so.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use tokio::time::Instant;

use super::settings::{Clock, Patience};
use crate::error::{Error, Result};
use crate::event::{Cancel, Event, Sink};

/// How often a stop is asked for while waiting.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Why an attempt did not come to an end.
pub enum Stop {
    /// Another attempt would fail in the same way.
    Fatal(Error),
    /// Another attempt may succeed.
    Again {
        /// What happened.
        error: Error,
        /// The status, where the server answered at all.
        status: Option<StatusCode>,
        /// The pause that the server asked for.
        asked: Option<Duration>,
        /// Whether not even a connection came about.
        unreachable: bool,
    },
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Fatal(error)
    }
}

impl Stop {
    /// A broken connection.
    pub fn broken(error: Error) -> Stop {
        Stop::Again { error, status: None, asked: None, unreachable: false }
    }

    /// The same, with a sentence in front.
    pub fn context(self, doing: impl Into<String>) -> Stop {
        match self {
            Stop::Fatal(error) => Stop::Fatal(error.context(doing)),
            Stop::Again { error, status, asked, unreachable } => {
                Stop::Again { error: error.context(doing), status, asked, unreachable }
            }
        }
    }

    /// The error, when nobody tries again.
    pub fn into_error(self) -> Error {
        match self {
            Stop::Fatal(error) | Stop::Again { error, .. } => error,
        }
    }

    /// Whether the server said that it did not even look at the request.
    pub fn is_put_off(&self) -> bool {
        matches!(self, Stop::Again { status: Some(StatusCode::TOO_MANY_REQUESTS), .. })
    }
}

/// The attempts at one thing.
pub struct Turns<'a> {
    who: &'a str,
    patience: Patience,
    clock: &'a Clock,
    sink: &'a Sink,
    cancel: &'a Cancel,
    attempts: u32,
    weight: u32,
    spent: Duration,
    /// When the attempt began that is under way, where that counts.
    since: Option<Instant>,
}

impl<'a> Turns<'a> {
    /// No attempt so far; `who` is the host, for messages.
    pub(super) fn new(
        who: &'a str,
        patience: Patience,
        clock: &'a Clock,
        sink: &'a Sink,
        cancel: &'a Cancel,
    ) -> Turns<'a> {
        Turns { who, patience, clock, sink, cancel, attempts: 0, weight: 0, spent: Duration::ZERO, since: None }
    }

    /// Forgets failures, because something came of the last attempt.
    pub fn progressed(&mut self) {
        self.weight = 0;
    }

    /// The same, but the time that failed attempts take counts as pauses do.
    pub(super) fn timed(self) -> Turns<'a> {
        Turns { since: Some(Instant::now()), ..self }
    }

    /// Waits before the next attempt, or ends with the error of the last one.
    pub async fn after(&mut self, stop: Stop) -> Result<()> {
        self.attempts += 1;
        let (error, status, asked, unreachable) = match stop {
            Stop::Fatal(error) => return Err(error),
            Stop::Again { error, status, asked, unreachable } => (error, status, asked, unreachable),
        };
        // A host that cannot be reached at all is more often misspelt than away.
        self.weight += if asked.is_some() { 0 } else { 1 + u32::from(unreachable) };
        let pause = match asked {
            Some(asked) => {
                let asked = asked.min(self.patience.longest_asked).max(self.patience.first_pause);
                asked + asked.mul_f64(chance() / 10.0)
            }
            None => {
                let doubled = self.patience.first_pause.saturating_mul(1 << self.weight.saturating_sub(1).min(16));
                doubled.min(self.patience.longest_pause).mul_f64(0.5 + chance() / 2.0)
            }
        };
        self.spent += self.since.map_or(Duration::ZERO, |since| since.elapsed());
        if self.weight >= self.patience.attempts || self.spent + pause > self.patience.budget {
            let times =
                if self.attempts == 1 { "1 attempt".to_string() } else { format!("{} attempts", self.attempts) };
            return Err(error.context(format!("gave up on `{}` after {times}", self.who)));
        }
        let reason = match status {
            Some(status) if self.since.is_none() => status.to_string(),
            None if self.since.is_none() => error.message().to_string(),
            // Several services stand behind one name: the reason says which one it is.
            _ => std::iter::once(error.message().to_string()).chain(error.causes()).collect::<Vec<_>>().join(": "),
        };
        let why = if asked.is_some() {
            format!("`{}` asks to come back in {:.1} s ({reason})", self.who, pause.as_secs_f64())
        } else {
            format!("`{}` failed ({reason}), next attempt in {:.1} s", self.who, pause.as_secs_f64())
        };
        (self.sink)(Event::Wait { why });
        self.spent += pause;
        unless_cancelled(self.cancel, (self.clock.pause)(pause)).await?;
        self.since = self.since.map(|_| Instant::now());
        Ok(())
    }
}

/// Goes on with a future until it ends or a stop is asked for.
pub(super) async fn unless_cancelled<T>(cancel: &Cancel, future: impl Future<Output = T>) -> Result<T> {
    let mut future = std::pin::pin!(future);
    loop {
        cancel.check()?;
        if let Ok(value) = tokio::time::timeout(TICK, &mut future).await {
            return Ok(value);
        }
    }
}

/// A number from 0 to 1, so that many clients do not come back at the same moment.
fn chance() -> f64 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// The pause that a `Retry-After` header asks for: seconds or an HTTP date; `None` for what is neither.
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let seconds = u64::try_from(date.as_second()).ok()?;
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    Some(then.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reg_02_retry_after_in_all_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("2", Some(2)),
            (" 86400 ", Some(86400)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
            ("Mon, 06 Nov 1950 08:49:30 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now).map(|pause| pause.as_secs()), expected, "{text:?}");
        }
        assert!(retry_after("99999999999999999999999", now).is_some());
    }
}
