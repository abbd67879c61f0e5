//! Stage 4, the wire: distribution API, authentication, retries, uploads, referrers. The only HTTP to registries.
//! Repositories, digests and bytes in; verified bytes, digests and answers out. May use the network, read credential files and
//! `registries.toml`, and run credential helpers and other programs that are named to it.
//!
//! ```text
//! settings   what the client is told          hosts        registries.toml
//! origin     the choke point for addresses    credentials  whose word to give
//! challenge, scope, auth   from a 401 to a token
//! transport  connections    body  streams     retry   when to try again     failure  errors in words
//! wire       one request: authorised, redirected, repeated, bounded
//! manifests, blobs, upload, mount, tags, referrers   the API
//! download   a file from anywhere on the web, by the same rules
//! files      files of a mirror, whose digests something signed tells
//! probe      what a registry can do, for `doctor` and `login`
//! service    services beside registries       program      programs that are asked for something
//! fuzzing    doors to the readers of a server's words
//! ```

mod auth;
mod blobs;
mod body;
mod challenge;
pub mod credentials;
mod download;
mod failure;
mod files;
pub(crate) mod fuzzing;
mod hosts;
mod manifests;
mod mount;
mod origin;
mod probe;
pub mod program;
mod referrers;
mod retry;
mod scope;
mod service;
mod settings;
mod tags;
mod transport;
mod upload;
mod wire;

pub use body::Body;
pub use download::Newer;
pub use hosts::{Host, Hosts};
pub use manifests::{Fetched, PushedManifest, Which};
pub use probe::{Ability, Can, Grant, Ping, Way};
pub use referrers::Attached;
pub use retry::{Stop, Turns};
pub use service::{Ask, Told};
pub use settings::{Clock, Names, Patience, Pause, Settings};
pub use upload::{Begun, Opened, Pushed};

use std::sync::{Arc, Mutex};

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::error::{Error, Result};
use crate::event::{Cancel, Sink};
use crate::oci::{Registry, Repository};
use hosts::Endpoint;
use scope::Scopes;
use transport::Transports;
use wire::{Call, Payload, Wire};

/// The one client for all registries. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Wire>);

impl Client {
    /// A client; nothing is asked before it is used.
    pub fn new(settings: Settings, sink: Sink, cancel: Cancel) -> Result<Client> {
        let (transports, doubts) = (Transports::default(), mount::Doubts::default());
        Ok(Client(Arc::new(Wire { settings, sink, cancel, known: Mutex::default(), doubts, transports })))
    }

    /// Asks a registry whether it is one and lets us in; for `login`.
    pub async fn check(&self, registry: &Registry) -> Result<()> {
        let context = |cause: Error| cause.context(format!("asking `{registry}`"));
        let (home, scopes) = (self.0.settings.hosts.home(registry), Scopes::default());
        let leg = home.leg("/v2/").map_err(context)?;
        let (headers, payload) = (HeaderMap::new(), Payload::None);
        let call = Call { method: Method::GET, leg, home: &home, path: "", scopes: &scopes, headers, payload };
        let reply = self.0.fetch(&call, failure::MOST_BYTES).await.map_err(context)?;
        if reply.status.is_success() { Ok(()) } else { Err(context(reply.refusal())) }
    }

    fn readers(&self, repository: &Repository) -> Vec<Endpoint> {
        self.0.settings.hosts.readers(repository)
    }

    fn writer(&self, repository: &Repository) -> Endpoint {
        self.0.settings.hosts.writer(repository)
    }
}

impl Endpoint {
    /// A request below `/v2/REPOSITORY/` without a body.
    fn call<'a>(&'a self, method: Method, rest: &str, scopes: &'a Scopes) -> Result<Call<'a>> {
        let leg = self.home.leg(&format!("/v2/{}/{rest}", self.path))?;
        let (home, path) = (&self.home, self.path.as_str());
        Ok(Call { method, leg, home, path, scopes, headers: HeaderMap::new(), payload: Payload::None })
    }

    fn pull(&self) -> Scopes {
        Scopes::repository(&self.path, "pull")
    }

    fn push(&self) -> Scopes {
        Scopes::repository(&self.path, "pull,push")
    }
}
