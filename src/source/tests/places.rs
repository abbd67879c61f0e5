//! Stage 5: layouts as directories and as archives.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::refused;
use crate::oci::Digest;
use crate::source::fixture::{Fixture, Layer, Tar, gzip, wait, zstd};
use crate::source::{fetch, files};

fn layers() -> [Layer; 2] {
    [Layer::plain(Tar::new().file("a", "1")), Layer::plain(Tar::new().file("b", "2"))]
}

#[test]
fn an_archive_is_read_where_it_stands() {
    let fixture = Fixture::new();
    let image = fixture.image("linux/amd64", &layers());
    let reference = fixture.archive(image.digest, <[u8]>::to_vec);
    fs::remove_dir_all(fixture.layout()).unwrap();
    let base = fixture.base(&reference).unwrap();
    assert_eq!(wait(files(&fixture.ctx, &base)).unwrap().len(), 2);
    let descriptor = base.layers().last().unwrap().0;
    wait(fetch(&fixture.ctx, &base, descriptor)).unwrap();
    assert!(fixture.ctx.store.open(&descriptor.digest).unwrap().is_some());
}

#[test]
fn an_archive_that_is_compressed_or_cut_is_refused() {
    let fixture = Fixture::new();
    let image = fixture.image("linux/amd64", &layers());
    refused(fixture.base(&fixture.archive(image.digest, gzip)), &["is compressed", "`gunzip`"]);
    refused(fixture.base(&fixture.archive(image.digest, zstd)), &["is compressed", "`unzstd`"]);
    refused(
        fixture.base(&fixture.archive(image.digest, |tar| tar[..700].to_vec())),
        &["reading `oci-archive:layout.tar`"],
    );
    fixture.base(&fixture.archive(image.digest, <[u8]>::to_vec)).unwrap();
}

#[test]
fn a_blob_must_be_a_plain_file_con_12() {
    let fixture = Fixture::new();
    let image = fixture.image("linux/amd64", &layers());
    let (blob, outside) = (fixture.path(&image.digest), fixture.layout().join("outside"));
    fs::rename(&blob, &outside).unwrap();
    symlink(&outside, &blob).unwrap();
    refused(fixture.base(&fixture.reference(image.digest)), &["is refused", "no plain file", "cp -rL"]);
    refused(fixture.base(&fixture.archive(image.digest, <[u8]>::to_vec)), &["is refused", "no plain file"]);
    fs::remove_file(&blob).unwrap();
    fs::create_dir(&blob).unwrap();
    refused(fixture.base(&fixture.reference(image.digest)), &["no plain file"]);
    fs::remove_dir(&blob).unwrap();
    fs::rename(&outside, &blob).unwrap();
    let blobs = fixture.layout().join("blobs");
    fs::rename(&blobs, fixture.layout().join("elsewhere")).unwrap();
    symlink("elsewhere", &blobs).unwrap();
    refused(fixture.base(&fixture.reference(image.digest)), &["no plain file"]);
    fs::remove_file(&blobs).unwrap();
    fs::rename(fixture.layout().join("elsewhere"), &blobs).unwrap();
    fixture.base(&fixture.reference(image.digest)).unwrap();
}

#[test]
fn a_missing_blob_says_what_is_there() {
    let fixture = Fixture::new();
    let image = fixture.image("linux/amd64", &layers());
    let absent = Digest::of(b"absent");
    refused(fixture.base(&fixture.reference(absent)), &["holds no blob", "no `index.json`"]);
    let index = json!({"schemaVersion": 2, "manifests": [image]});
    fs::write(fixture.layout().join("index.json"), index.to_string()).unwrap();
    let there = image.digest.to_string();
    refused(fixture.base(&fixture.reference(absent)), &["holds no blob", &there]);
    refused(fixture.base(&fixture.archive(absent, <[u8]>::to_vec)), &["holds no blob", &there]);
}

#[test]
fn a_damaged_layer_is_not_kept() {
    let fixture = Fixture::new();
    let layers = layers();
    let base = fixture.base(&fixture.reference(fixture.image("linux/amd64", &layers).digest)).unwrap();
    let digest = Digest::of(&layers[1].blob);
    let mut bytes = layers[1].blob.clone();
    bytes[600] ^= 1;
    fs::write(fixture.path(&digest), bytes).unwrap();
    refused(wait(files(&fixture.ctx, &base)), &[&digest.short(), "has other bytes"]);
    assert_eq!(fixture.ctx.store.size(&digest), None);
    fixture.blob(&layers[1].blob);
    assert_eq!(wait(files(&fixture.ctx, &base)).unwrap().len(), 2);
}
