//! Stage 4, what a cache that several machines share can be: a folder, a repository of a registry, a bucket. An address in, an
//! [`Elsewhere`] out. May touch that folder, registries by their client, and the clients of buckets the network.
//!
//! Only what is named by its digest lies there: layers of bases, archives, packages. What was made of them is remembered on one machine only
//! (`docs/caching.md`): nobody could tell that it is right without making it again.

mod folder;
#[cfg(feature = "shared-cache")]
mod objects;
mod repository;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result, printable};
use crate::registry::Client;
use crate::store::Elsewhere;

/// Schemes of buckets, as their clients know them.
const BUCKETS: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];

/// What an address names: `file:///DIRECTORY`, `oci://REPOSITORY`, or with the feature `shared-cache` `s3://BUCKET/PREFIX`, `gs://…`, `az://…`.
/// With `reads_only` nothing is added to it. `None` where it needs a network and `offline` forbids that.
pub fn open(address: &str, reads_only: bool, offline: bool, client: &Client) -> Result<Option<Arc<dyn Elsewhere>>> {
    let wrong = |what: &str| {
        Error::usage(format!("`{}` is no shared cache: {what}", printable(address)))
            .hint("write `file:///DIRECTORY`, `oci://REGISTRY/REPOSITORY` or `s3://BUCKET/PREFIX`")
    };
    let (scheme, rest) = address.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
    if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err(Error::usage("the address of the shared cache holds credentials")
            .hint("give them to the program in the variables that its service knows, as AWS_ACCESS_KEY_ID"));
    }
    let takes = !reads_only;
    match scheme {
        "file" if Path::new(rest).is_absolute() => Ok(Some(Arc::new(folder::Folder::new(address, rest, takes)))),
        "file" => Err(wrong("the path is not absolute")),
        "oci" if offline => Ok(None),
        "oci" => {
            let repository = rest.parse().map_err(|error: Error| wrong(error.message()))?;
            Ok(Some(Arc::new(repository::Shelf::new(address, repository, takes, client.clone()))))
        }
        bucket if !BUCKETS.contains(&bucket) => Err(wrong("this scheme is not known")),
        _ if offline => Ok(None),
        _ => bucket(address, takes).map(Some),
    }
}

#[cfg(feature = "shared-cache")]
fn bucket(address: &str, takes: bool) -> Result<Arc<dyn Elsewhere>> {
    Ok(Arc::new(objects::Bucket::new(address, takes)?))
}

#[cfg(not(feature = "shared-cache"))]
fn bucket(address: &str, _: bool) -> Result<Arc<dyn Elsewhere>> {
    Err(Error::usage(format!(
        "`{}` cannot be a shared cache: this program was built without buckets",
        printable(address)
    ))
    .hint("build it with `--features shared-cache`, or use `file://` or `oci://`"))
}
