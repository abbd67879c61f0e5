//! Stage 4: a repository of a registry as a shared cache. A blob lies there under a manifest of its own with the tag `blob-HEX`, so that the
//! registry does not take it for garbage.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Repository, Tag, json, media};
use crate::registry::{Body, Client, PushedManifest, Which};
use crate::store::Elsewhere;

/// What a manifest that holds a blob says it is.
const KIND: &str = "application/vnd.stillframe.shared.v1";
/// The media type of a blob of which nothing is known but its digest.
const PLAIN: &str = "application/octet-stream";
/// The config of an artifact that has none (OCI image specification, "Guidance for an Empty Descriptor").
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

/// A repository.
pub(super) struct Shelf {
    name: String,
    repository: Repository,
    takes: bool,
    client: Client,
}

/// A file that is sent, again if need be.
struct Content(File);

impl Body for Content {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = self.0.try_clone()?;
        file.seek(io::SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

impl Shelf {
    /// The repository, asked by this client.
    pub fn new(name: &str, repository: Repository, takes: bool, client: Client) -> Shelf {
        Shelf { name: name.to_string(), repository, takes, client }
    }

    async fn read(&self, digest: &Digest, sink: &mut (dyn Write + Send)) -> Result<bool> {
        let Some(found) = self.client.manifest(&self.repository, Which::Tag(&tag(digest)?)).await? else {
            return Ok(false);
        };
        let document: serde_json::Value = serde_json::from_slice(&found.bytes)
            .map_err(|cause| Error::remote(format!("the tag of {digest} names no manifest")).because(cause))?;
        let layer = serde_json::from_value::<Descriptor>(document["layers"][0].clone()).ok();
        let Some(descriptor) = layer.filter(|layer| layer.digest == *digest) else {
            return Err(Error::remote(format!("the tag of {digest} names something else")));
        };
        self.client.blob(&self.repository, &descriptor, sink).await?;
        Ok(true)
    }

    async fn write(&self, digest: &Digest, size: u64, file: File) -> Result<()> {
        let tag = tag(digest)?;
        if self.client.head(&self.repository, Which::Tag(&tag)).await?.is_some() {
            return Ok(());
        }
        let blob = Descriptor::new(PLAIN, *digest, size);
        let config = Descriptor::new(EMPTY.0, Digest::of(EMPTY.1), EMPTY.1.len() as u64);
        self.client.push_blob(&self.repository, &blob, &Content(file), &[]).await?;
        self.client.push_blob(&self.repository, &config, &Bytes::from_static(EMPTY.1), &[]).await?;
        let manifest = json::canonical(&json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": KIND, "config": config, "layers": [blob]
        }));
        match self.client.push_manifest(&self.repository, Which::Tag(&tag), media::MANIFEST, &manifest).await? {
            PushedManifest::Missing(_) => Err(Error::remote(format!("the registry lost {digest} at once"))),
            _ => Ok(()),
        }
    }
}

fn tag(digest: &Digest) -> Result<Tag> {
    format!("blob-{}", digest.hex()).parse()
}

impl Elsewhere for Shelf {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes(&self) -> bool {
        self.takes
    }

    fn get<'a>(
        &'a self,
        digest: &'a Digest,
        _: Option<u64>,
        sink: &'a mut (dyn Write + Send),
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.read(digest, sink))
    }

    fn put<'a>(&'a self, digest: &'a Digest, size: u64, file: File) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(digest, size, file))
    }
}
