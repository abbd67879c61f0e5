//! Stage 9: images as one tar file. An artifact in; an OCI layout archive or a `docker load` archive out, whole or absent.
//! The archive's own bytes depend on the artifact and its names only.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::blobs::{Blob, Blobs, checked};
use super::layout::{LAYOUT, Load, index};
use super::{Cargo, local_names, temporary};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::values::FIXED;
use crate::oci::media::Compression;
use crate::oci::{Digest, json as canonical, media};

/// Writes an OCI layout as a tar archive.
pub async fn oci(ctx: &Ctx, loads: &[Load<'_>], path: &Path) -> Result<()> {
    let mut files =
        vec![File::of("oci-layout", LAYOUT), File::of("index.json", &canonical::canonical(&index(loads, None)))];
    let mut blobs: BTreeMap<Digest, (&Load<'_>, &Blob)> = BTreeMap::new();
    for load in loads {
        blobs.extend(load.list.iter().map(|blob| (blob.descriptor.digest, (load, blob))));
    }
    for (digest, (load, blob)) in blobs {
        if load.blobs.is_foreign(ctx, &blob.descriptor).await? {
            continue;
        }
        files.push(file(ctx, load.blobs, format!("blobs/sha256/{}", digest.hex()), blob).await?);
    }
    write(ctx, path, files).await
}

/// Writes an archive for `docker load` and `podman load`; takes one platform.
pub async fn docker(ctx: &Ctx, cargo: &Cargo<'_>, path: &Path) -> Result<()> {
    let files = docker_files(ctx, cargo).await?;
    write(ctx, path, files).await
}

/// The files of a `docker load` archive. Layers that old engines cannot decompress are stored plain; diff IDs and the config,
/// which name the image there, are the same either way.
pub async fn docker_files(ctx: &Ctx, cargo: &Cargo<'_>) -> Result<Vec<File>> {
    let [image] = cargo.artifact.images.as_slice() else {
        return Err(Error::bug("an archive for docker takes one platform"));
    };
    let config = format!("{}.json", image.config.descriptor.digest.hex());
    let mut files = vec![File::of(&config, &image.config.bytes)];
    let mut names = Vec::new();
    for layer in &image.layers {
        let compression = media::layer(&layer.descriptor.media_type);
        let plain = compression == Some(Compression::Zstd);
        let digest = if plain { layer.diff_id.0 } else { layer.descriptor.digest };
        let ending = if compression == Some(Compression::Gzip) { "tar.gz" } else { "tar" };
        let name = format!("{}.{ending}", digest.hex());
        if !names.contains(&name) {
            let blob = Blob { descriptor: layer.descriptor.clone(), bytes: None };
            let made = file(ctx, cargo.blobs, name.clone(), &blob).await?;
            files.push(if plain { inflate(ctx, made, &digest).await? } else { made });
        }
        names.push(name);
    }
    let tags = local_names(cargo.target);
    let list = json!([{ "Config": config, "RepoTags": tags, "Layers": names }]);
    files.push(File::of("manifest.json", &canonical::canonical(&list)));
    Ok(files)
}

/// One file of an archive.
pub struct File {
    name: String,
    size: u64,
    bytes: Box<dyn Read + Send>,
}

impl File {
    fn of(name: &str, bytes: &[u8]) -> File {
        let size = bytes.len() as u64;
        File { name: name.to_string(), size, bytes: Box::new(std::io::Cursor::new(bytes.to_vec())) }
    }
}

async fn file(ctx: &Ctx, blobs: &Blobs, name: String, blob: &Blob) -> Result<File> {
    if let Some(bytes) = &blob.bytes {
        return Ok(File::of(&name, bytes));
    }
    let bytes = checked(blobs.open(ctx, &blob.descriptor).await?, &blob.descriptor);
    Ok(File { name, size: blob.descriptor.size, bytes: Box::new(bytes) })
}

/// Puts the plain bytes of a zstd layer into the store and reads them from there.
async fn inflate(ctx: &Ctx, file: File, diff_id: &Digest) -> Result<File> {
    let (store, diff_id) = (ctx.store.clone(), *diff_id);
    let work = tokio::task::spawn_blocking(move || {
        let failed = |cause| Error::io("decompressing a layer", cause);
        let mut draft = store.draft()?;
        let mut plain = zstd::Decoder::new(file.bytes).map_err(failed)?;
        std::io::copy(&mut plain, &mut draft).map_err(failed)?;
        let size = draft.finish(Some(&diff_id))?.size;
        match store.open(&diff_id)? {
            Some((bytes, _)) => Ok(File { name: file.name, size, bytes: Box::new(bytes) }),
            None => Err(Error::local(format!("the layer {diff_id} has gone from the store"))),
        }
    });
    work.await.map_err(|cause| Error::bug("a thread broke down").because(cause))?
}

async fn write(ctx: &Ctx, path: &Path, files: Vec<File>) -> Result<()> {
    let mut target = temporary::file(path)?;
    let cancel = ctx.cancel.clone();
    let work = tokio::task::spawn_blocking(move || {
        if let Err(cause) = pour(files, &mut target) {
            cancel.check()?;
            return Err(target.failed(cause));
        }
        cancel.check()?;
        target.publish()
    });
    work.await.map_err(|cause| Error::bug("a thread broke down").because(cause))?
}

/// Writes the files as a tar.
pub fn pour(files: Vec<File>, target: &mut dyn Write) -> std::io::Result<()> {
    let mut builder = Builder::new(std::io::BufWriter::with_capacity(1 << 20, target));
    for mut file in files {
        let mut header = Header::new_ustar();
        header.set_path(&file.name)?;
        header.set_size(file.size);
        header.set_mode(0o644);
        header.set_mtime(FIXED as u64);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        builder.append(&header, &mut file.bytes)?;
    }
    builder.into_inner()?.flush()
}
