//! Stage 4: a blob that a registry takes over from another of its repositories, without a byte sent. Two repositories and a digest in,
//! whether it worked out. An upload that the registry opens instead is given up at once.

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};

use super::Client;
use super::failure;
use super::hosts::Endpoint;
use super::manifests::agreed;
use super::origin::Via;
use super::scope::Scopes;
use super::wire::{Call, Reply};
use crate::error::{Error, Result};
use crate::event::Event;
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

impl Client {
    /// Tries to mount a blob; `false` where that does not work, whatever the reason: then it is to be uploaded.
    pub async fn mount_blob(&self, repository: &Repository, digest: &Digest, source: &Repository) -> Result<bool> {
        if repository.registry != source.registry {
            return Ok(false);
        }
        let endpoint = self.writer(repository);
        match self.mount_at(&endpoint, digest, source).await {
            Ok(Mount::Done) => Ok(true),
            Ok(Mount::Opened) => Ok(false),
            Ok(Mount::Refused(error)) | Err(error) => {
                self.0.cancel.check()?;
                (self.0.sink)(Event::Detail { text: format!("no mount from `{source}`: {error:?}") });
                Ok(false)
            }
        }
    }

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
