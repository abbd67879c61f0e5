//! Stage 4: what the client is told from outside: limits, hosts, credentials, names, the clock. Values in, values out; the clock is the only
//! thing that it may touch, and only to wait.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::credentials::Source;
use super::hosts::Hosts;
use crate::error::Result;

/// Everything that decides how the client behaves.
#[derive(Clone)]
pub struct Settings {
    /// Whether the network may not be used at all.
    pub offline: bool,
    /// Whether the system's proxy settings (`HTTPS_PROXY`, `NO_PROXY` …) are used; loopback never goes through one.
    pub proxies: bool,
    /// The `User-Agent` of each request.
    pub agent: String,
    /// Where credentials come from.
    pub credentials: Source,
    /// What `registries.toml` declares.
    pub hosts: Hosts,
    /// How long and how often.
    pub patience: Patience,
    /// Who knows the addresses of host names.
    pub names: Names,
    /// Who tells the time and waits.
    pub clock: Clock,
}

impl Default for Settings {
    /// Anonymous, no declared hosts, nothing from the environment but the proxy.
    fn default() -> Settings {
        Settings {
            offline: false,
            proxies: true,
            agent: concat!("stillframe/", env!("CARGO_PKG_VERSION")).to_string(),
            credentials: Source::default(),
            hosts: Hosts::default(),
            patience: Patience::default(),
            names: Names::System,
            clock: Clock::system(),
        }
    }
}

impl Settings {
    /// What the environment says: credential files, `registries.toml`, proxies.
    pub fn from_environment(offline: bool) -> Result<Settings> {
        let (credentials, hosts) = (Source::from_environment(), Hosts::from_environment()?);
        Ok(Settings { offline, credentials, hosts, ..Settings::default() })
    }
}

/// Bounds on every wait and every repetition.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For a connection, its TLS handshake included.
    pub connect: Duration,
    /// Without a single byte in either direction while an answer is awaited or a body goes by.
    pub idle: Duration,
    /// For an answer after a large body was sent: registries may hash it first.
    pub answer: Duration,
    /// Bytes per second that a body must keep up over one [`Patience::window`].
    pub slowest: u64,
    /// Over how long the rate is taken.
    pub window: Duration,
    /// How often one request is tried when the server does not say when to come back.
    pub attempts: u32,
    /// The first pause between two attempts; the next ones double.
    pub first_pause: Duration,
    /// The longest pause that we choose.
    pub longest_pause: Duration,
    /// The longest pause that a server may choose (`Retry-After`).
    pub longest_asked: Duration,
    /// All pauses of one request together.
    pub budget: Duration,
    /// How long a list of referrers under a tag is watched after a change, so that a writer at the same time loses nothing.
    pub settle: Duration,
    /// How long a credential helper may run.
    pub helper: Duration,
    /// The largest piece that is sent with one PATCH, where a registry does not take a blob whole.
    pub chunk: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(300),
            slowest: 1 << 10,
            window: Duration::from_secs(30),
            attempts: 6,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_asked: Duration::from_secs(300),
            budget: Duration::from_secs(900),
            settle: Duration::from_millis(1500),
            helper: Duration::from_secs(60),
            chunk: 4 << 20,
        }
    }
}

/// A pause that is under way.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The time of day (for `Retry-After` dates only) and the way to wait between attempts.
#[derive(Clone)]
pub struct Clock {
    /// Tells the time.
    pub now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Waits.
    pub pause: Arc<dyn Fn(Duration) -> Pause + Send + Sync>,
}

impl Clock {
    /// The real one.
    pub fn system() -> Clock {
        Clock { now: Arc::new(SystemTime::now), pause: Arc::new(|length| Box::pin(tokio::time::sleep(length))) }
    }
}

/// Who knows the addresses of host names.
#[derive(Clone, Debug)]
pub enum Names {
    /// The system's resolver.
    System,
    /// A table, for tests: the address that a name is taken to have, and the one that is dialled (port 0: the URL's).
    Fixed(Arc<BTreeMap<String, (IpAddr, SocketAddr)>>),
}

impl Names {
    /// The addresses of a name: what it is judged by, and what is dialled.
    pub(super) async fn resolve(&self, name: &str) -> std::io::Result<Vec<(IpAddr, SocketAddr)>> {
        match self {
            Names::System => {
                Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| (address.ip(), address)).collect())
            }
            Names::Fixed(table) => table
                .get(name)
                .map(|entry| vec![*entry])
                .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, "no such name")),
        }
    }
}
