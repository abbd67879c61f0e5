//! The fault registry on its own, to be vetted with real clients: `FAULT_REGISTRY=127.0.0.1:5005 cargo test --test it serve -- --ignored`.

use bytes::Bytes;
use stillframe::oci::{Descriptor, Digest, Repository, media};
use stillframe::registry::{Pushed, PushedManifest, Which};

use super::stand::{Stand, noise, tag};
use super::{Model, Registry};

#[tokio::test]
#[ignore = "runs until it is killed, for vetting with crane, oras and skopeo"]
async fn serve() {
    let address = std::env::var("FAULT_REGISTRY").unwrap_or_else(|_| "127.0.0.1:5005".into());
    let mut model = Model::new();
    model.referrers = std::env::var_os("FAULT_REGISTRY_NO_REFERRERS").is_none();
    let registry = Registry::listen(&address, model, None).await;
    if let Ok(word) = std::env::var("FAULT_REGISTRY_TOKENS") {
        registry.bearer("user", &word);
    }
    std::future::pending::<()>().await;
}

/// Our client against somebody else's registry: `PEER_REGISTRY=localhost:5000 cargo test --test it peer -- --ignored`.
#[tokio::test]
#[ignore = "needs a real registry, named in PEER_REGISTRY"]
async fn peer() {
    let name = std::env::var("PEER_REGISTRY").unwrap();
    let repository: Repository = format!("{name}/still/app").parse().unwrap();
    let other: Repository = format!("{name}/still/other").parse().unwrap();
    for chunk in [None, Some(1 << 20)] {
        let stand = Stand::with(|settings| settings.patience.chunk = chunk.unwrap_or(4 << 20));
        let client = &stand.client;
        client.check(&repository.registry).await.unwrap();
        let bytes = noise((5 << 20) + chunk.unwrap_or(0) as usize);
        let layer = Descriptor::of(media::LAYER, &bytes);
        let config = Descriptor::of(media::CONFIG, b"{}");
        let content = Bytes::from(bytes.clone());
        client.push_blob(&repository, &layer, &content, &[]).await.unwrap();
        client.push_blob(&repository, &config, &Bytes::from_static(b"{}"), &[]).await.unwrap();
        assert_eq!(client.push_blob(&repository, &layer, &content, &[]).await.unwrap(), Pushed::AlreadyThere);
        client.push_blob(&other, &layer, &content, std::slice::from_ref(&repository)).await.unwrap();
        let manifest = |subject: Option<&Descriptor>| {
            let value = serde_json::json!({
                "schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [layer], "subject": subject,
            });
            serde_json::to_vec(&value).unwrap()
        };
        let image = manifest(None);
        let digest = Digest::of(&image);
        let pushed = client.push_manifest(&repository, Which::Tag(&tag("1")), media::MANIFEST, &image).await.unwrap();
        assert_eq!(pushed, PushedManifest::Created { subject: false });
        assert_eq!(client.head(&repository, Which::Tag(&tag("1"))).await.unwrap(), Some(digest));
        let fetched = client.manifest(&repository, Which::Digest(&digest)).await.unwrap().unwrap();
        assert_eq!((fetched.bytes, fetched.media_type.as_deref()), (image.clone(), Some(media::MANIFEST)));
        assert_eq!(stand.blob(&repository, &layer).await.unwrap(), bytes);
        assert!(client.tags(&repository).await.unwrap().contains(&tag("1")));
        let subject = Descriptor::of(media::MANIFEST, &image);
        client.add_referrer(&repository, &subject, media::MANIFEST, &manifest(Some(&subject))).await.unwrap();
        assert_eq!(client.referrers(&repository, &digest).await.unwrap().len(), 1);
        assert!(client.manifest(&repository, Which::Digest(&Digest::of(b"none"))).await.unwrap().is_none());
    }
}
