//! Keyless signatures and logs, against the mock sigstore.

use stillframe::error::Kind;
use stillframe::event::Cancel;
use stillframe::manifest::Form;
use stillframe::oci::{Descriptor, media};
use stillframe::trust::root::Roots;
use stillframe::trust::sign::{Signer, Source, sign_image};

use super::World;
use crate::registry::on;
use crate::registry::stand::Stand;
use crate::sigstore::{Flaw, Rekor, Sigstore};
use crate::support::project::Done;

const DEV: &str = "dev@example.com";
const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// A world with a sigstore, and its files in the project.
struct Scene {
    world: World,
    sigstore: Sigstore,
}

impl Scene {
    async fn new(rekor: Rekor, stamps: bool) -> Scene {
        let (world, sigstore) = (World::new().await, Sigstore::start());
        let (root, config) = (sigstore.trusted_root(), sigstore.signing_config(rekor, stamps));
        world.project.write("root.json", root);
        world.project.write("config.json", config);
        world.project.write("token", sigstore.token(DEV));
        Scene { world, sigstore }
    }

    fn sign(&self, words: &[&str]) -> Done {
        let services = ["--trusted-root", "root.json", "--signing-config", "config.json"];
        self.world.sign(&[words, &services].concat())
    }

    fn keyless(&self, words: &[&str]) -> Done {
        self.sign(&[&["--keyless", "--identity-token", "token"], words].concat())
    }

    fn verify(&self, identity: &str) -> Done {
        let issuer = self.sigstore.url();
        self.world.verify(&["--identity", identity, "--issuer", issuer, "--trusted-root", "root.json"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_identity_signs_verifies_with_every_kind_of_log() {
    for (rekor, stamps, layers) in [(Rekor::V1, false, 1), (Rekor::V1, true, 1), (Rekor::V2, true, 0)] {
        let scene = Scene::new(rekor, stamps).await;
        let done = scene.keyless(&[]).expect(0);
        assert_eq!(done.stderr.contains("only bundles are written"), layers == 0, "{}", done.stderr);
        scene.verify(DEV).expect(0);
        scene.verify("mallory@example.com").expect(4);
        assert_eq!(scene.world.legacy(&scene.world.digest, "sig").len(), layers);
        if layers == 1 {
            let legacy = Scene::new(rekor, stamps).await;
            legacy.keyless(&["--signature-format", "legacy"]).expect(0);
            assert!(legacy.world.bundles(&legacy.world.digest).is_empty());
            legacy.verify(DEV).expect(0);
            legacy.verify("mallory@example.com").expect(4);
        } else {
            assert!(scene.keyless(&["--signature-format", "legacy"]).expect(2).stderr.contains("first generation"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_signature_goes_into_a_log_where_that_is_asked_for() {
    for (rekor, stamps) in [(Rekor::V1, false), (Rekor::V1, true), (Rekor::V2, true), (Rekor::V2, false)] {
        let scene = Scene::new(rekor, stamps).await;
        scene.sign(&["--key", "cosign.key"]).expect(0);
        let (old, new) = scene.sigstore.entries();
        assert!(old + new > 0, "{rekor:?}");
        scene.world.verify(&["--key", "cosign.pub"]).expect(0);
        let logged = ["--key", "cosign.pub", "--require-log", "--trusted-root", "root.json"];
        scene.world.verify(&logged).expect(0);
        scene.sign(&["--key", "cosign.key"]).expect(0);
        assert_eq!(scene.world.bundles(&scene.world.digest).len(), 1);
    }
    let scene = Scene::new(Rekor::V1, true).await;
    scene.world.sign(&["--key", "cosign.key"]).expect(0);
    assert_eq!(scene.sigstore.entries(), (0, 0), "no log was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_from_the_surroundings_in_their_order() {
    let scene = Scene::new(Rekor::V1, false).await;
    let services = ["--trusted-root", "root.json", "--signing-config", "config.json", "--signature-format", "bundle"];
    let reference = format!("{}:1", scene.world.name());
    let run = |env: &[(&str, String)]| {
        let mut run = scene.world.run(&[&["sign", reference.as_str(), "--keyless"], &services[..]].concat());
        for (name, value) in env {
            run = run.env(name, value);
        }
        run.ends()
    };
    let nobody = run(&[]).expect(2);
    assert!(nobody.stderr.contains("nothing says who we are") && nobody.stderr.contains("id-token: write"));
    let github: Vec<(&str, String)> = scene.sigstore.env(WORKFLOW);
    run(&github).expect(0);
    scene.verify(WORKFLOW).expect(0);
    scene.verify("other@example.com").expect(4);
    let mut both = github.clone();
    both.push(("SIGSTORE_ID_TOKEN", scene.sigstore.token("other@example.com")));
    run(&both).expect(0);
    scene.verify("other@example.com").expect(0);
    let expired = scene.sigstore.odd_token(DEV, serde_json::json!({"exp": 1}));
    let done = run(&[("SIGSTORE_ID_TOKEN", expired.clone())]).expect(2);
    assert!(done.stderr.contains("expired") && !done.stderr.contains(&expired[expired.len() - 30..]));
    let elsewhere = scene.sigstore.odd_token(DEV, serde_json::json!({"aud": "elsewhere"}));
    assert!(run(&[("SIGSTORE_ID_TOKEN", elsewhere)]).expect(3).stderr.contains("its audience must be `sigstore`"));
    run(&[("SIGSTORE_ID_TOKEN", "canary".into())]).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_never_goes_out() {
    for (flaw, rekor) in [
        (Flaw::WrongSct, Rekor::V1),
        (Flaw::UnknownAuthority, Rekor::V1),
        (Flaw::ExpiredCertificate, Rekor::V1),
        (Flaw::WrongSet, Rekor::V1),
        (Flaw::OtherEntry, Rekor::V1),
        (Flaw::WrongProof, Rekor::V2),
        (Flaw::WrongStamp, Rekor::V2),
        (Flaw::UnknownStamp, Rekor::V2),
    ] {
        let scene = Scene::new(rekor, true).await;
        scene.sigstore.fault(flaw);
        let done = scene.keyless(&[]);
        assert!(matches!(done.code, Some(3 | 4)), "{flaw:?}: {}", done.stderr);
        assert!(scene.world.bundles(&scene.world.digest).is_empty(), "{flaw:?}");
        assert!(scene.world.legacy(&scene.world.digest, "sig").is_empty(), "{flaw:?}");
        scene.sigstore.heal();
        scene.keyless(&[]).expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_13_a_log_that_refuses_leaves_the_image_unsigned_and_a_rerun_signs_once() {
    let scene = Scene::new(Rekor::V1, true).await;
    scene.sigstore.fault(on("POST", "/api/v1/log/entries").status(400));
    for words in [&["--keyless", "--identity-token", "token"][..], &["--key", "cosign.key"]] {
        let done = scene.sign(words).expect(3);
        assert!(done.stderr.contains("is there, but not signed"), "{}", done.stderr);
        assert!(done.stderr.contains("run the same command again"), "{}", done.stderr);
        assert!(scene.world.bundles(&scene.world.digest).is_empty());
    }
    scene.sigstore.heal();
    scene.sign(&["--key", "cosign.key"]).expect(0);
    scene.sign(&["--key", "cosign.key"]).expect(0);
    assert_eq!(
        (scene.world.bundles(&scene.world.digest).len(), scene.world.legacy(&scene.world.digest, "sig").len()),
        (1, 1)
    );
}

/// A signer and a context whose pauses take no time.
fn patient(scene: &Scene) -> (tempfile::TempDir, Stand, stillframe::ctx::Ctx, Signer) {
    let (home, stand) = (tempfile::tempdir().unwrap(), Stand::new());
    let sink = stillframe::event::nowhere();
    let ctx = stillframe::ctx::Ctx {
        store: stillframe::store::Store::new(home.path(), true, sink.clone()),
        registries: stand.client.clone(),
        sink,
        jobs: std::num::NonZeroUsize::MIN,
        cancel: Cancel::default(),
    };
    let files = scene.sigstore.write(&scene.world.project.path("."), Rekor::V1, true);
    let roots = Roots::read(&std::fs::read_to_string(files.trust_config).unwrap(), "the mock").unwrap();
    let token = scene.world.project.path("token");
    let signer = Signer::keyless(Source::new(Some(&token), &|_| None, None), roots).unwrap();
    (home, stand, ctx, signer)
}

fn image(scene: &Scene) -> Descriptor {
    let shelf = scene.world.registry.shelf("app");
    Descriptor::of(media::MANIFEST, &shelf.manifests[&scene.world.digest].1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_for_a_while_is_waited_for() {
    let scene = Scene::new(Rekor::V1, true).await;
    let (_home, stand, ctx, signer) = patient(&scene);
    let repository = scene.world.registry.repository("app");
    for path in ["/api/v2/signingCert", "/api/v1/log/entries", "/api/v1/timestamp"] {
        scene.sigstore.fault(on("POST", path).times(2).status(503));
    }
    let (image, none) = (image(&scene), Default::default());
    sign_image(&ctx, &signer, &repository, &image, Form::Bundle, &none).await.unwrap();
    assert!(stand.waits().len() >= 6, "{:?}", stand.waits());
    // Away for good: minutes of patience, then the end, and nothing in the registry.
    scene.sigstore.fault(on("POST", "/api/v1/log/entries").status(503));
    let before = stand.waits().len();
    let error = sign_image(&ctx, &signer, &repository, &image, Form::Both, &none).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Remote);
    assert!(error.message().contains("is there, but not signed"), "{error:?}");
    assert!(error.causes().iter().any(|cause| cause.starts_with("gave up after")), "{error:?}");
    let waited: std::time::Duration = stand.waits()[before..].iter().sum();
    assert!((240..=300).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(scene.world.bundles(&scene.world.digest).len(), 1);
}
