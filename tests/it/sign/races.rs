//! Two who sign at once (check SIG-14).

use stillframe::manifest::{Form, KeyRef};
use stillframe::oci::{Descriptor, media};
use stillframe::trust::keys::{Key, Outside};
use stillframe::trust::sign::{Signer, sign_image};

use super::{PASSWORD, World};
use crate::registry::stand::Stand;

async fn signer(world: &World, file: &str) -> Signer {
    let outside = Outside { variable: &|name| (name == "COSIGN_PASSWORD").then(|| PASSWORD.into()), search: None };
    let reference = KeyRef::File(world.project.path(file));
    let key = Key::open(&reference, &outside, async |_| panic!("the password is there")).await.unwrap();
    Signer::key(key)
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_14_two_signers_at_once_lose_nothing() {
    let world = World::new().await;
    world.registry.set(|model| model.referrers = false);
    let repository = world.registry.repository("app");
    // Pauses are real here, but short: the second look must come after the other's write.
    let stand = Stand::with(|settings| {
        settings.clock = stillframe::registry::Clock::system();
        settings.patience.settle = std::time::Duration::from_millis(100);
    });
    let home = tempfile::tempdir().unwrap();
    let sink = stillframe::event::nowhere();
    let ctx = stillframe::ctx::Ctx {
        store: stillframe::store::Store::new(home.path(), true, sink.clone()),
        registries: stand.client.clone(),
        sink,
        jobs: std::num::NonZeroUsize::MIN,
        cancel: Default::default(),
    };
    let (one, two) = (signer(&world, "cosign.key").await, signer(&world, "other.key").await);
    for round in 0..20 {
        let config = world.registry.blob("app", format!("{{\"round\":{round}}}").as_bytes());
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"x","digest":"{}","size":{}}},"layers":[]}}"#,
            media::MANIFEST,
            config.digest,
            config.size
        );
        let digest =
            world.registry.manifest("app", &format!("r{round}"), media::MANIFEST, manifest.as_bytes()).to_string();
        let image = Descriptor::of(media::MANIFEST, manifest.as_bytes());
        let none = Default::default();
        let (left, right) = tokio::join!(
            sign_image(&ctx, &one, &repository, &image, Form::Both, &none),
            sign_image(&ctx, &two, &repository, &image, Form::Both, &none),
        );
        let (left, right) = (left.unwrap(), right.unwrap());
        assert_eq!(world.legacy(&digest, "sig").len(), 2, "round {round}");
        let list = world.tagged(&digest.replace(':', "-")).unwrap();
        let list = list["manifests"].as_array().unwrap();
        for signed in [left, right] {
            let manifest = signed.bundle.unwrap().0.to_string();
            let entry = list.iter().find(|entry| entry["digest"] == manifest.as_str()).unwrap();
            assert_eq!(entry["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
            assert_eq!(entry["annotations"]["dev.sigstore.bundle.predicateType"], super::SIGN);
        }
    }
}
