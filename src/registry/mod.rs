//! Stage 4, the wire: distribution API, authentication, retries, uploads, referrers. The only HTTP to registries.

use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Repository, Tag};

/// The one client for all registries. Cheap to clone.
#[derive(Clone)]
pub struct Client;

/// How a manifest is named.
pub enum Which<'a> {
    /// By a tag.
    Tag(&'a Tag),
    /// By its digest.
    Digest(&'a Digest),
}

/// A manifest or index as the registry gave it.
pub struct Fetched {
    /// The bytes, verified.
    pub bytes: Vec<u8>,
    /// The media type of the response.
    pub media_type: Option<String>,
    /// The digest of the bytes.
    pub digest: Digest,
}

impl Client {
    /// The manifest or index, verified; None if the registry says it does not exist.
    pub async fn manifest(&self, repository: &Repository, _which: Which<'_>) -> Result<Option<Fetched>> {
        Err(Error::remote(format!("`{repository}` cannot be reached")))
    }

    /// Streams a blob into `sink`, verified whole against the descriptor's digest and size; resumes inside.
    pub async fn blob(
        &self,
        repository: &Repository,
        _descriptor: &Descriptor,
        _sink: &mut (dyn std::io::Write + Send),
    ) -> Result<()> {
        Err(Error::remote(format!("`{repository}` cannot be reached")))
    }
}
