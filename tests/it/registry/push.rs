//! Writing manifests and tags: the tag comes last and says what we said (checks REG-23 to REG-27).

use bytes::Bytes;
use stillframe::error::Result;
use stillframe::oci::{Descriptor, Digest, Repository, media};
use stillframe::registry::{Pushed, PushedManifest, Which};

use super::stand::{Stand, digest, tag};
use super::{Registry, Response, on};

/// An image of one blob, and an index of two such images; pushed as `ship` does.
struct Image {
    blobs: Vec<Vec<u8>>,
    manifests: Vec<Vec<u8>>,
    index: Vec<u8>,
}

impl Image {
    fn new(seed: u8) -> Image {
        let blobs: Vec<Vec<u8>> = (0..2).map(|at| vec![seed, at, 7, 7]).collect();
        let manifest = |blob: &Vec<u8>| {
            let blob = Descriptor::of(media::CONFIG, blob);
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[]}}"#,
                media::MANIFEST, blob.media_type, blob.digest, blob.size
            )
            .into_bytes()
        };
        let manifests: Vec<Vec<u8>> = blobs.iter().map(manifest).collect();
        let entry = |bytes: &Vec<u8>| {
            format!(r#"{{"mediaType":"{}","digest":"{}","size":{}}}"#, media::MANIFEST, digest(bytes), bytes.len())
        };
        let entries: Vec<String> = manifests.iter().map(entry).collect();
        let index =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media::INDEX, entries.join(","));
        Image { blobs, manifests, index: index.into_bytes() }
    }

    fn digest(&self) -> Digest {
        digest(&self.index)
    }

    async fn push(&self, stand: &Stand, repository: &Repository, name: &str) -> Result<PushedManifest> {
        for blob in &self.blobs {
            let descriptor = Descriptor::of("x", blob);
            stand.client.push_blob(repository, &descriptor, &Bytes::from(blob.clone()), &[]).await?;
        }
        for manifest in &self.manifests {
            let which = digest(manifest);
            stand.client.push_manifest(repository, Which::Digest(&which), media::MANIFEST, manifest).await?;
        }
        stand.client.push_manifest(repository, Which::Digest(&self.digest()), media::INDEX, &self.index).await?;
        stand.client.push_manifest(repository, Which::Tag(&tag(name)), media::INDEX, &self.index).await
    }
}

#[tokio::test]
async fn reg_23_the_tag_is_the_last_thing_written() {
    let registry = Registry::start().await;
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let (old, new) = (Image::new(1), Image::new(2));
    old.push(&stand, &repository, "latest").await.unwrap();
    registry.fault(on("PUT", "/manifests/latest").status(500));
    assert!(new.push(&stand, &repository, "latest").await.is_err());
    assert_eq!(registry.shelf("app").tags["latest"], old.digest().to_string());
    registry.heal();
    registry.forget();
    new.push(&stand, &repository, "latest").await.unwrap();
    assert_eq!(registry.shelf("app").tags["latest"], new.digest().to_string());
    assert_eq!(registry.count("POST", "/uploads/"), 0, "no blob is sent again");
}

#[tokio::test]
async fn reg_24_children_go_before_parents_and_only_the_index_has_a_tag() {
    let registry = Registry::start().await;
    let stand = Stand::new();
    let pushed = Image::new(1).push(&stand, &registry.repository("app"), "1").await.unwrap();
    assert_eq!(pushed, PushedManifest::Created { subject: false });
    let puts: Vec<String> = registry.told().into_iter().filter(|line| line.starts_with("PUT")).collect();
    let (blob, manifest) = ("PUT /v2/app/blobs/uploads/SESSION", "PUT /v2/app/manifests/DIGEST");
    assert_eq!(puts, [blob, blob, manifest, manifest, manifest, "PUT /v2/app/manifests/1"]);
}

#[tokio::test]
async fn reg_25_an_immutable_tag_that_says_the_same_is_fine() {
    let registry = Registry::start().await;
    registry.set(|model| model.immutable = true);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let (old, new) = (Image::new(1), Image::new(2));
    assert_eq!(old.push(&stand, &repository, "1").await.unwrap(), PushedManifest::Created { subject: false });
    assert_eq!(old.push(&stand, &repository, "1").await.unwrap(), PushedManifest::Unchanged);
    let text = format!("{:?}", new.push(&stand, &repository, "1").await.unwrap_err());
    assert!(text.contains("immutable"), "{text}");
    assert!(text.contains(&old.digest().to_string()) && text.contains(&new.digest().to_string()), "{text}");
    registry.fault(on("PUT", "/manifests/1").reply(Response::error(409, "CONFLICT")));
    assert_eq!(old.push(&stand, &repository, "1").await.unwrap(), PushedManifest::Unchanged);
    registry.heal();
    registry.fault(on("PUT", "/manifests/1").reply(Response::error(403, "DENIED")));
    let text = format!("{:?}", old.push(&stand, &repository, "1").await.unwrap_err());
    assert!(text.contains("DENIED"), "a missing right is no immutable tag: {text}");
}

#[tokio::test]
async fn reg_26_content_that_a_registry_only_thinks_to_have_is_named() {
    let registry = Registry::start().await;
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let image = Image::new(1);
    let blob = Descriptor::of("x", &image.blobs[0]);
    registry.fault(on("HEAD", "/blobs/").reply(Response::new(200)));
    let which = digest(&image.manifests[0]);
    let body = Bytes::from(image.blobs[0].clone());
    let put = async || {
        stand
            .client
            .push_manifest(&repository, Which::Digest(&which), media::MANIFEST, &image.manifests[0])
            .await
            .unwrap()
    };
    assert_eq!(stand.client.push_blob(&repository, &blob, &body, &[]).await.unwrap(), Pushed::AlreadyThere);
    assert_eq!(put().await, PushedManifest::Missing(vec![blob.digest]));
    assert_eq!(stand.client.push_blob_anew(&repository, &blob, &body).await.unwrap(), Pushed::Uploaded);
    assert_eq!(put().await, PushedManifest::Created { subject: false });
}

#[tokio::test]
async fn reg_27_a_manifest_that_no_registry_takes_is_not_sent() {
    let registry = Registry::start().await;
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let make = |length: usize| {
        format!(
            r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"small":"x","large":"{}"}}}}"#,
            "x".repeat(length)
        )
        .into_bytes()
    };
    let error = stand.client.push_manifest(&repository, Which::Tag(&tag("1")), media::INDEX, &make(4 << 20)).await;
    let error = error.unwrap_err();
    assert!(error.hints()[0].contains("`annotations.large`"), "{:?}", error.hints());
    assert!(registry.log().is_empty());
    let fits = stand.client.push_manifest(&repository, Which::Tag(&tag("1")), media::INDEX, &make(3 << 20)).await;
    assert!(fits.is_ok());
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    assert!(stand.client.delete_tag(&repository, &tag("1")).await.unwrap());
    assert!(!stand.client.delete_tag(&repository, &tag("1")).await.unwrap());
    assert!(stand.client.delete_manifest(&repository, &digest).await.unwrap());
    assert!(!stand.client.delete_manifest(&repository, &digest).await.unwrap());
    registry.fault(on("DELETE", "").status(405));
    let error = stand.client.delete_manifest(&repository, &digest).await.unwrap_err();
    assert_eq!(error.hints(), ["this registry does not let clients delete"]);
}
