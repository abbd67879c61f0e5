//! Stage 4: a blob that a registry takes over from another of its repositories, without a byte sent. Two repositories and a digest in,
//! whether it worked out, for `probe`; and for `upload`, where it did not work out before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};

use super::Client;
use super::failure;
use super::hosts::Endpoint;
use super::manifests::agreed;
use super::origin::{Origin, Via};
use super::scope::Scopes;
use super::wire::{Call, Reply};
use crate::error::{Error, Result};
use crate::oci::{Digest, Repository};

/// How a registry takes the wish to mount.
pub(super) enum Mount {
    /// The blob is there.
    Done,
    /// It opened an upload instead, which was given up.
    Opened,
    /// It does not do that.
    Refused(Error),
}

/// What came of a mount from a repository before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// An upload was opened instead: that costs nothing if the blob is lacking, and is in vain if it is there.
    Opened,
    /// It was refused.
    Refused,
}

/// Where mounts did not work, for as long as the client lives: registry and source.
#[derive(Default)]
pub(super) struct Doubts(Mutex<BTreeMap<(Origin, String), Doubt>>);

impl Doubts {
    /// What came of mounts from there.
    pub fn of(&self, origin: &Origin, source: &str) -> Option<Doubt> {
        let doubts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.get(&(origin.clone(), source.to_string())).copied()
    }

    /// Takes note of it.
    pub fn add(&self, origin: &Origin, source: &str, doubt: Doubt) {
        let mut doubts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.insert((origin.clone(), source.to_string()), doubt);
    }
}

impl Client {
    pub(super) async fn mount_at(&self, endpoint: &Endpoint, digest: &Digest, source: &Repository) -> Result<Mount> {
        let scopes = endpoint.push().and(&Scopes::repository(&source.path, "pull"));
        let call =
            endpoint.call(Method::POST, &format!("blobs/uploads/?mount={digest}&from={}", source.path), &scopes)?;
        let reply = self.0.fetch(&call, failure::MOST_BYTES).await?;
        match reply.status {
            StatusCode::CREATED => agreed(&reply, digest).map(|()| Mount::Done),
            StatusCode::ACCEPTED => {
                self.give_up(endpoint, &call, &reply).await;
                Ok(Mount::Opened)
            }
            _ => Ok(Mount::Refused(reply.refusal())),
        }
    }

    /// Ends an upload that is not needed; nobody minds if that fails.
    pub(super) async fn give_up(&self, endpoint: &Endpoint, call: &Call<'_>, reply: &Reply) {
        if let Ok(leg) = self.located(endpoint, reply).await {
            self.0.farewell(&Call { method: Method::DELETE, leg, ..call.clone() }).await;
        }
    }

    /// Where an upload goes on.
    pub(super) async fn located(&self, endpoint: &Endpoint, reply: &Reply) -> Result<super::origin::Leg> {
        let text = reply.header(LOCATION.as_str()).ok_or_else(|| Error::remote("there is no `Location` header"))?;
        let settings = &self.0.settings;
        endpoint.home.follow(&reply.leg.url, text, Via::Upload, &settings.hosts, &settings.names).await
    }
}
