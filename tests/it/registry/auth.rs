//! Whose word goes where (checks AUT-01 to AUT-06 and AUT-11 to AUT-15).

use std::collections::BTreeMap;

use bytes::Bytes;
use stillframe::oci::{Descriptor, media};
use stillframe::registry::credentials::{Credential, Source};
use stillframe::registry::{Pushed, Which};

use super::stand::{self, Stand, noise, password_for, tag};
use super::{Guard, How, Registry, Request, Response, on};

const USER: &str = "user";
const WORD: &str = "CANARY-word";

/// No request here may carry a credential.
fn no_authorization(registry: &Registry) {
    let log = registry.log();
    assert!(!log.is_empty(), "it was asked");
    assert!(log.iter().all(|request| request.header("authorization").is_none()), "{log:?}");
}

fn redirect(status: u16, to: &str) -> impl Fn(&Request, Response) -> Response + Send + 'static {
    let to = to.to_string();
    move |request, response| match response.status {
        200 => Response::new(status).header("Location", format!("{to}{}?signature=CANARY-signed", request.path)),
        _ => response,
    }
}

#[tokio::test]
async fn a_private_repository_is_read_and_written() {
    for bearer in [true, false] {
        let registry = Registry::start().await;
        let digest = registry.image("app", "1");
        if bearer {
            registry.bearer(USER, WORD)
        } else {
            registry.basic(USER, WORD)
        };
        let repository = registry.repository("app");
        let stand = Stand::user(&registry.name(), USER, WORD);
        let fetched = stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap().unwrap();
        stand.client.push_manifest(&repository, Which::Tag(&tag("2")), media::MANIFEST, &fetched.bytes).await.unwrap();
        stand.client.check(&registry.registry()).await.unwrap();
        let wrong = Stand::user(&registry.name(), USER, "wrong").client.check(&registry.registry()).await;
        assert!(wrong.is_err());
        let refused = registry.log().len();
        stand.client.push_manifest(&repository, Which::Tag(&tag("3")), media::MANIFEST, &fetched.bytes).await.unwrap();
        assert_eq!(registry.log().len(), refused + 1, "what is known is not asked for again");
        for (stand, hint) in [
            (Stand::new(), "no credential for"),
            (Stand::user(&registry.name(), USER, "wrong"), "the credential came from the given credential"),
        ] {
            let pushed =
                stand.client.push_manifest(&repository, Which::Tag(&tag("2")), media::MANIFEST, &fetched.bytes).await;
            let error = pushed.unwrap_err();
            let hints = error.hints().join("\n");
            assert!(hints.contains(hint) && hints.contains("stillframe login"), "{error:?} {hints}");
        }
    }
}

#[tokio::test]
async fn aut_01_a_redirect_to_another_host_gets_no_credential() {
    for status in [301, 302, 303, 307, 308] {
        let (registry, storage) = (Registry::start().await, Registry::start().await);
        let bytes = noise(1000);
        let blob = registry.blob("app", &bytes);
        storage.blob("app", &bytes);
        registry.basic(USER, WORD);
        registry.fault(on("GET", "/blobs/").edit(redirect(status, &storage.url())));
        storage.fault(on("*", "").edit(|request, response| match request.header("authorization") {
            Some(_) => Response::error(400, "TWO_CREDENTIALS"),
            None => response,
        }));
        let stand = Stand::user(&registry.name(), USER, WORD);
        assert_eq!(stand.blob(&registry.repository("app"), &blob).await.unwrap(), bytes);
        no_authorization(&storage);
    }
}

#[tokio::test]
async fn aut_01_redirects_are_counted() {
    let registry = Registry::start().await;
    let blob = registry.blob("app", b"x");
    registry.fault(on("GET", "/blobs/").edit(|request, _| Response::new(307).header("Location", &request.path)));
    let error = Stand::new().blob(&registry.repository("app"), &blob).await.unwrap_err();
    assert!(format!("{error:?}").contains("redirected over 10 times"), "{error:?}");
}

#[tokio::test]
async fn aut_03_an_upload_elsewhere_gets_no_credential() {
    let (registry, storage) = (Registry::start().await, Registry::start().await);
    registry.bearer(USER, WORD);
    let bytes = noise(1000);
    let digest = Descriptor::of("x", &bytes);
    storage.fault(on("PUT", "/elsewhere").reply(Response::new(201).header("Docker-Content-Digest", digest.digest)));
    let location = format!("{}/elsewhere?_state=1", storage.url());
    registry.fault(on("POST", "/uploads/").edit(move |_, response| match response.status {
        202 => response.header("Location", &location),
        _ => response,
    }));
    let stand = Stand::user(&registry.name(), USER, WORD);
    let body = Bytes::from(bytes);
    let pushed = stand.client.push_blob(&registry.repository("app"), &digest, &body, &[]).await.unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    no_authorization(&storage);
    registry.heal();
    assert_eq!(
        stand.client.push_blob(&registry.repository("app"), &digest, &body, &[]).await.unwrap(),
        Pushed::Uploaded
    );
}

#[tokio::test]
async fn aut_04_foreign_layers_are_not_fetched_from_elsewhere() {
    let (registry, elsewhere) = (Registry::start().await, Registry::start().await);
    let mut blob = Descriptor::of(media::LAYER_GZIP, b"foreign");
    blob.rest.insert("urls".into(), serde_json::json!([format!("{}/layer", elsewhere.url())]));
    let stand = Stand::user(&registry.name(), USER, WORD);
    let error = stand.blob(&registry.repository("app"), &blob).await.unwrap_err();
    assert!(error.hints()[0].contains("foreign layer"), "{:?}", error.hints());
    assert!(elsewhere.log().is_empty());
    registry.blob("app", b"foreign");
    assert!(stand.blob(&registry.repository("app"), &blob).await.is_ok());
}

#[tokio::test]
async fn aut_05_a_challenge_from_elsewhere_gets_nothing() {
    let (registry, storage) = (Registry::start().await, Registry::start().await);
    registry.bearer(USER, WORD);
    let blob = registry.blob("app", b"x");
    let realm = format!("{}/token", registry.url());
    storage.set(|model| model.guard = Guard::Bearer { realm, user: USER.into(), password: WORD.into() });
    registry.fault(on("GET", "/blobs/").edit(redirect(307, &storage.url())));
    let stand = Stand::user(&registry.name(), USER, WORD);
    assert!(stand.blob(&registry.repository("app"), &blob).await.is_err());
    no_authorization(&storage);
    assert_eq!(registry.count("GET", "/token"), 1);
}

#[tokio::test]
async fn aut_06_each_registry_gets_its_own_word() {
    let (one, two) = (Registry::start().await, Registry::start().await);
    let credentials =
        |registry: &Registry, word: &str| Credential::Password { user: registry.name(), password: word.into() };
    let fixed = BTreeMap::from([(one.name(), credentials(&one, "1")), (two.name(), credentials(&two, "2"))]);
    let stand = Stand::with(|settings| settings.credentials = Source { fixed, ..Source::default() });
    for (registry, word) in [(&one, "1"), (&two, "2")] {
        registry.image("app", "1");
        registry.basic(&registry.name(), word);
        assert!(stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn aut_11_a_token_that_ends_in_an_upload_is_renewed() {
    let registry = Registry::start().await;
    registry.bearer(USER, WORD);
    registry.set(|model| model.most = Some((4 << 20, 413)));
    let revoking = registry.clone();
    registry.fault(on("PATCH", "/uploads/").skip(1).times(1).edit(move |_, response| {
        let revoking = revoking.clone();
        // After this answer: no token is good any more.
        std::thread::spawn(move || revoking.revoke());
        response
    }));
    registry.fault(on("PATCH", "/uploads/").times(1).how(How::Whole));
    let bytes = noise(14 << 20);
    let blob = Descriptor::of("x", &bytes);
    let stand = Stand::user(&registry.name(), USER, WORD);
    let pushed = stand.client.push_blob(&registry.repository("app"), &blob, &Bytes::from(bytes.clone()), &[]).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    assert_eq!(registry.shelf("app").blobs[&blob.digest.to_string()], bytes);
    assert_eq!(registry.count("GET", "/token"), 2);
    assert!(stand.waits().is_empty());
}

#[tokio::test]
async fn aut_12_tokens_come_in_many_forms() {
    for answer in [
        r#"{"token":"TOKEN"}"#,
        r#"{"access_token":"TOKEN"}"#,
        r#"{"token":"TOKEN","access_token":"TOKEN","expires_in":300}"#,
        r#"{"token":"","access_token":"TOKEN"}"#,
        r#"{"token":"TOKEN","expires_in":0}"#,
        r#"{"token":"TOKEN","expires_in":-5,"issued_at":"never"}"#,
        r#"{"token":"TOKEN","expires_in":1e300}"#,
    ] {
        let registry = Registry::start().await;
        registry.image("app", "1");
        registry.bearer(USER, WORD);
        registry.fault(on("GET", "/token").edit(|_, response| {
            let text = String::from_utf8_lossy(&response.body).into_owned();
            let token = text.split('"').find(|part| part.starts_with("CANARY")).unwrap_or_default().to_string();
            Response::new(200).body(answer.replace("TOKEN", &token))
        }));
        let (stand, repository) = (Stand::user(&registry.name(), USER, WORD), registry.repository("app"));
        for _ in 0..3 {
            assert!(stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap().is_some(), "{answer}");
        }
        assert_eq!(registry.count("GET", "/token"), 1, "{answer}");
    }
    for answer in ["{}", "[]", "nonsense", r#"{"token":"a\nb"}"#, r#"{"token":7}"#, ""] {
        let registry = Registry::start().await;
        registry.image("app", "1");
        registry.bearer(USER, WORD);
        registry.fault(on("GET", "/token").reply(Response::new(200).body(answer)));
        let stand = Stand::user(&registry.name(), USER, WORD);
        assert!(stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await.is_err(), "{answer}");
    }
    // A token that is never good enough ends, too.
    let registry = Registry::start().await;
    registry.image("app", "1");
    registry.bearer(USER, WORD);
    registry.fault(on("GET", "/token").reply(Response::new(200).body(r#"{"token":"bad","expires_in":0}"#)));
    let stand = Stand::user(&registry.name(), USER, WORD);
    assert!(stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await.is_err());
    assert!(registry.count("GET", "/token") <= 3);
}

#[tokio::test]
async fn aut_13_identity_tokens_work_with_old_and_new_token_servers() {
    for status in [None, Some(404), Some(401), Some(400), Some(405)] {
        let registry = Registry::start().await;
        registry.image("app", "1");
        registry.bearer(USER, WORD);
        if let Some(status) = status {
            registry.fault(on("POST", "/token").status(status));
        }
        let credential = Credential::Identity { user: USER.into(), token: WORD.into() };
        let fixed = BTreeMap::from([(registry.name(), credential)]);
        let stand = Stand::with(|settings| settings.credentials = Source { fixed, ..Source::default() });
        assert!(stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await.unwrap().is_some());
        assert_eq!(registry.count("POST", "/token"), 1);
        assert_eq!(registry.count("GET", "/token"), usize::from(status.is_some()));
    }
}

#[tokio::test]
async fn aut_14_missing_scopes_are_asked_for_first() {
    let registry = Registry::start().await;
    registry.bearer(USER, WORD);
    registry.image("app", "1");
    let (stand, repository) = (Stand::user(&registry.name(), USER, WORD), registry.repository("app"));
    assert!(stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap().is_some());
    // A mount needs the right to pull from its source, too.
    let blob = registry.blob("other", b"content");
    let sources = [registry.repository("other")];
    let pushed = stand.client.push_blob(&repository, &blob, &Bytes::from_static(b"content"), &sources).await.unwrap();
    assert_eq!(pushed, Pushed::Mounted);
    let token = registry.log().into_iter().rfind(|request| request.path == "/token").unwrap();
    assert_eq!(token.all("scope"), ["repository:app:pull,push", "repository:other:pull"]);
    // Another scope than expected, in an answer to a good token.
    registry.fault(on("DELETE", "/manifests/").times(1).reply(Response::error(401, "DENIED").header(
        "WWW-Authenticate",
        format!("bearer realm=\"{}/token\",service=\"a,b\",error=insufficient_scope,scope=\"repository:app:delete special:x:y\"", registry.url()),
    )));
    assert!(stand.client.delete_tag(&repository, &tag("1")).await.unwrap());
    let token = registry.log().into_iter().rfind(|request| request.path == "/token").unwrap();
    assert_eq!(token.all("scope"), ["repository:app:delete,pull,push", "special:x:y"]);
    assert_eq!(token.parameter("service").as_deref(), Some("a,b"));
    // A token server that does not know the source refuses the scope; then the mount is left out.
    registry.revoke();
    registry.fault(on("GET", "secret").reply(Response::error(400, "invalid_scope")));
    let other = Descriptor::of("x", b"other");
    let sources = [registry.repository("secret")];
    let pushed = stand.client.push_blob(&repository, &other, &Bytes::from_static(b"other"), &sources).await.unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
}

#[tokio::test]
async fn aut_15_no_secret_is_ever_said() {
    let (registry, storage) = (Registry::start().await, Registry::start().await);
    registry.bearer(USER, WORD);
    let bytes = noise(100_000);
    let blob = registry.blob("app", &bytes);
    storage.blob("app", &bytes);
    let name = registry.name();
    let stand = Stand::with(|settings| settings.credentials = password_for(&name, USER, WORD));
    let repository = registry.repository("app");
    registry.fault(on("GET", "/blobs/").edit(redirect(307, &storage.url())));
    storage.fault(on("GET", "/blobs/").times(1).how(How::Cut(500)));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes);
    storage.fault(on("GET", "/blobs/").status(403));
    let mut said = format!("{:?}", stand.blob(&repository, &blob).await.unwrap_err());
    let more = Descriptor::of("x", b"more");
    registry.fault(on("PUT", "/uploads/").times(1).how(How::Nothing));
    stand.client.push_blob(&repository, &more, &Bytes::from_static(b"more"), &[]).await.unwrap();
    registry.fault(on("PUT", "/uploads/").status(400));
    let other = Descriptor::of("x", b"other");
    said += &format!(
        "{:?}",
        stand.client.push_blob(&repository, &other, &Bytes::from_static(b"other"), &[]).await.unwrap_err()
    );
    registry.fault(on("PUT", "/manifests/").how(How::Silence));
    let hasty = Stand::with(|settings| {
        stand::hasty(settings);
        settings.credentials = password_for(&name, USER, WORD);
    });
    let slow = hasty.client.push_manifest(&repository, Which::Tag(&tag("1")), media::INDEX, b"{}").await;
    said += &format!("{:?}{:?}", slow.unwrap_err(), Credential::Bearer("CANARY-x".into()));
    said += &(stand.said() + &hasty.said());
    assert!(said.contains("uploads/") && !said.contains("CANARY"), "{said}");
}
