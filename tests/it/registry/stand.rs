//! A client on a test stand: short limits, a clock that only takes note, and ears for everything that it says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use stillframe::error::Result;
use stillframe::event::{Cancel, Event};
use stillframe::oci::{Descriptor, Digest, Repository, Tag};
use stillframe::registry::credentials::{Credential, Source};
use stillframe::registry::{Client, Clock, Hosts, Patience, Settings};

use crate::support::canary;

/// A client and what was heard of it.
pub struct Stand {
    pub client: Client,
    pub waits: Arc<Mutex<Vec<Duration>>>,
    pub events: Arc<Mutex<Vec<Event>>>,
    pub cancel: Cancel,
}

/// The moment that the stand's clock shows: Sun, 06 Nov 1994 08:49:37 GMT.
pub const NOW: u64 = 784_111_777;

/// Settings with short limits; pauses are noted in the list, not made.
pub fn settings(waits: &Arc<Mutex<Vec<Duration>>>) -> Settings {
    let waits = Arc::clone(waits);
    Settings {
        proxies: false,
        patience: Patience {
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(20),
            answer: Duration::from_secs(20),
            window: Duration::from_secs(20),
            ..Patience::default()
        },
        clock: Clock {
            now: Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)),
            pause: Arc::new(move |length| {
                waits.lock().unwrap().push(length);
                Box::pin(tokio::task::yield_now())
            }),
        },
        ..Settings::default()
    }
}

/// Makes all limits short, and the attempts two.
pub fn hasty(settings: &mut Settings) {
    let short = Duration::from_millis(200);
    let Patience { slowest, .. } = Patience::default();
    settings.patience = Patience {
        connect: short,
        idle: short,
        answer: short,
        window: short,
        slowest,
        attempts: 2,
        ..settings.patience.clone()
    };
}

impl Stand {
    /// An anonymous client.
    pub fn new() -> Stand {
        Stand::with(|_| {})
    }

    /// A client that gives up soon, for servers that never answer.
    pub fn hasty() -> Stand {
        Stand::with(hasty)
    }

    /// A client with other settings.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Stand {
        let waits = Arc::default();
        let mut settings = settings(&waits);
        change(&mut settings);
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let heard = Arc::clone(&events);
        let cancel = Cancel::default();
        let sink = Arc::new(move |event| heard.lock().unwrap().push(event));
        Stand { client: Client::new(settings, sink, cancel.clone()).unwrap(), waits, events, cancel }
    }

    /// A client with a user and a password for a registry.
    pub fn user(registry: &str, user: &str, password: &str) -> Stand {
        Stand::with(|settings| settings.credentials = password_for(registry, user, password))
    }

    /// A client with a `registries.toml`.
    pub fn hosts(text: &str) -> Stand {
        Stand::with(|settings| settings.hosts = Hosts::read(text, "registries.toml", Path::new("/")).unwrap())
    }

    /// Reads a blob into memory.
    pub async fn blob(&self, repository: &Repository, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.client.blob(repository, descriptor, &mut bytes).await?;
        Ok(bytes)
    }

    /// The pauses so far.
    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }

    /// All that was said so far, in one text.
    pub fn said(&self) -> String {
        format!("{:?}", self.events.lock().unwrap())
    }
}

impl Drop for Stand {
    /// Nothing that it said holds a secret.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            canary::silent(&self.said());
        }
    }
}

/// A source with one password.
pub fn password_for(registry: &str, user: &str, password: &str) -> Source {
    let credential = Credential::Password { user: user.into(), password: password.into() };
    Source { fixed: BTreeMap::from([(registry.to_string(), credential)]), ..Source::default() }
}

pub fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Bytes that do not repeat.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}
