//! Mirrors: asked first, never trusted.

use stillframe::registry::Which;

use super::stand::{Stand, noise};
use super::{How, Registry, Response, on};

#[tokio::test]
async fn a_mirror_is_asked_first_and_passed_over_when_it_fails() {
    let (registry, mirror) = (Registry::start().await, Registry::start().await);
    let digest = registry.image("app", "1");
    let bytes = noise(1000);
    let blob = registry.blob("app", &bytes);
    let hosts = format!("[host.\"{}\"]\nmirrors = [\"{}/copy\"]", registry.name(), mirror.name());
    let (stand, repository) = (Stand::hosts(&hosts), registry.repository("app"));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes);
    assert!(stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap().is_some());
    assert_eq!(mirror.told(), ["GET /v2/copy/app/blobs/DIGEST", "GET /v2/copy/app/manifests/DIGEST"]);
    mirror.blob("copy/app", &bytes);
    registry.forget();
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes);
    assert!(registry.told().is_empty());
}

#[tokio::test]
async fn a_mirror_that_lies_to_the_end_is_an_error() {
    let (registry, mirror) = (Registry::start().await, Registry::start().await);
    let bytes = noise(1000);
    let blob = registry.blob("app", &bytes);
    mirror.blob("app", &bytes);
    let hosts = format!("[host.\"{}\"]\nmirrors = [\"{}\"]", registry.name(), mirror.name());
    let (stand, repository) = (Stand::hosts(&hosts), registry.repository("app"));
    mirror.fault(on("GET", "/blobs/").times(1).reply(Response::new(200).body(noise(1001)[1..].to_vec())));
    let error = stand.blob(&repository, &blob).await.unwrap_err();
    assert!(format!("{error:?}").contains("other bytes than asked for"), "{error:?}");
    mirror.fault(on("GET", "/blobs/").times(1).how(How::Cut(300)));
    mirror.fault(on("GET", "/blobs/").status(404));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes, "begun at the mirror, ended at the registry");
}
