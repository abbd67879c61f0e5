//! Stage 5: which images a file holds. A path in, one place for each of its images out. Reads layouts and archives.

use std::path::Path;

use super::{docker, find};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, media};
use crate::plan;
use crate::source::blob::blocking;
use crate::source::place::{Place, Spot};

/// All images of a layout, an OCI archive or an archive of `docker save`; what it is is seen in it.
pub async fn within(ctx: &Ctx, path: &Path) -> Result<Vec<Place>> {
    let spot = Spot { path: path.to_path_buf(), name: None, digest: None };
    if path.is_dir() {
        let index = find::index(&spot, plan::Base::Layout).await?;
        return Ok(each(&index.manifests, |digest| Place::Layout(Spot { digest: Some(digest), ..spot.clone() })));
    }
    let (store, file, cancel) = (ctx.store.clone(), path.to_path_buf(), ctx.cancel.clone());
    let names = blocking(move || docker::names(&store, &file, &cancel)).await?;
    let found = match names {
        docker::Names::Layout => {
            let index = find::index(&spot, plan::Base::Archive).await?;
            each(&index.manifests, |digest| Place::Archive(Spot { digest: Some(digest), ..spot.clone() }))
        }
        docker::Names::Images(1) => vec![Place::DockerArchive(path.to_path_buf(), None)],
        docker::Names::Images(count) => {
            let one = |at| Place::DockerArchive(path.to_path_buf(), Some(format!("{}{at}", docker::AT)));
            (0..count).map(one).collect()
        }
    };
    match found.is_empty() {
        true => Err(Error::usage(format!("`{}` holds no image", path.display()))),
        false => Ok(found),
    }
}

/// The named entries, each digest once; all of them where none has a name. What refers to an image is no image.
fn each(entries: &[Descriptor], place: impl Fn(Digest) -> Place) -> Vec<Place> {
    let name = |entry: &Descriptor| entry.annotations.get(media::REF_NAME).cloned();
    let tagged = |entry: &&Descriptor| name(entry).is_some_and(|name| !name.starts_with("sha256-"));
    let mut found: Vec<Digest> = entries.iter().filter(tagged).map(|entry| entry.digest).collect();
    if found.is_empty() {
        found = entries.iter().map(|entry| entry.digest).collect();
    }
    let mut once: Vec<Digest> = Vec::new();
    for digest in found {
        if !once.contains(&digest) {
            once.push(digest);
        }
    }
    once.into_iter().map(place).collect()
}
