//! Stage 4: a bucket as a shared cache: S3 and what speaks like it, Google Cloud Storage, Azure. The crate reads credentials and endpoints from
//! the variables that each service knows (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` …).

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::buffered::BufWriter;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreExt, RetryConfig};

use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::store::Elsewhere;

/// How long a connection may take, how long no byte may come, and a request in all.
const WAITS: [(ClientConfigKey, &str); 3] =
    [(ClientConfigKey::ConnectTimeout, "10s"), (ClientConfigKey::ReadTimeout, "60s"), (ClientConfigKey::Timeout, "1h")];
/// How often a request is tried again, and how long in all.
const RETRIES: usize = 2;
const RETRYING: Duration = Duration::from_secs(30);
/// How many bytes are sent at once; S3 takes parts of 5 MiB at least.
const PART: usize = 8 << 20;

/// A bucket, or a part of one.
pub(super) struct Bucket {
    name: String,
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    takes: bool,
}

impl Bucket {
    /// The bucket that an address names; its variables are read from the environment.
    pub fn new(address: &str, takes: bool) -> Result<Bucket> {
        let wrong = |cause: object_store::Error| {
            Error::usage(format!("the shared cache `{}` cannot be opened", printable(address))).because(cause)
        };
        let (scheme, rest) = address.split_once("://").unwrap_or_default();
        let (_, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRYING, ..RetryConfig::default() };
        let objects: Arc<dyn ObjectStore> = match scheme {
            "s3" | "s3a" => {
                let builder = AmazonS3Builder::from_env().with_url(address).with_retry(retry);
                let builder = WAITS
                    .into_iter()
                    .fold(builder, |to, (key, wait)| to.with_config(AmazonS3ConfigKey::Client(key), wait));
                Arc::new(builder.build().map_err(wrong)?)
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(address).with_retry(retry);
                let builder = WAITS
                    .into_iter()
                    .fold(builder, |to, (key, wait)| to.with_config(GoogleConfigKey::Client(key), wait));
                Arc::new(builder.build().map_err(wrong)?)
            }
            _ => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(address).with_retry(retry);
                let builder = WAITS
                    .into_iter()
                    .fold(builder, |to, (key, wait)| to.with_config(AzureConfigKey::Client(key), wait));
                Arc::new(builder.build().map_err(wrong)?)
            }
        };
        let prefix = Path::parse(prefix).map_err(|cause| wrong(cause.into()))?;
        Ok(Bucket { name: address.to_string(), objects, prefix, takes })
    }

    fn place(&self, digest: &Digest) -> Path {
        self.prefix.clone().join("v1").join("sha256").join(digest.hex())
    }

    async fn read(&self, digest: &Digest, sink: &mut (dyn Write + Send)) -> Result<bool> {
        let doing = || format!("reading {digest} there");
        let found = match self.objects.get(&self.place(digest)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            found => found.map_err(|cause| Error::remote(doing()).because(cause))?,
        };
        let mut pieces = found.into_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|cause| Error::remote(doing()).because(cause))?;
            sink.write_all(&piece).map_err(|cause| Error::io(doing(), cause))?;
        }
        Ok(true)
    }

    async fn write(&self, digest: &Digest, mut file: File) -> Result<()> {
        let failed = |cause: object_store::Error| Error::remote(format!("writing {digest} there")).because(cause);
        let place = self.place(digest);
        match self.objects.head(&place).await {
            Err(object_store::Error::NotFound { .. }) => {}
            found => return found.map(drop).map_err(failed),
        }
        let mut writer = BufWriter::with_capacity(self.objects.clone(), place, PART);
        loop {
            let mut piece = Vec::new();
            let read = std::io::Read::by_ref(&mut file).take(1 << 20).read_to_end(&mut piece);
            read.map_err(|cause| Error::io(format!("reading {digest}"), cause))?;
            if piece.is_empty() {
                break;
            }
            writer.put(Bytes::from(piece)).await.map_err(failed)?;
        }
        let shut = tokio::io::AsyncWriteExt::shutdown(&mut writer).await;
        shut.map_err(|cause| Error::remote(format!("writing {digest} there")).because(cause))
    }
}

impl Elsewhere for Bucket {
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

    fn put<'a>(&'a self, digest: &'a Digest, _: u64, file: File) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(digest, file))
    }
}
