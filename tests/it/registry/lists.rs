//! Lists: tags and referrers (checks REG-28 to REG-32, SIG-12 in part, SIG-14 in part).

use serde_json::json;
use stillframe::oci::{Descriptor, Digest, media};
use stillframe::registry::{Attached, Which};

use super::stand::{Stand, tag};
use super::{How, Registry, Response, on};

#[tokio::test]
async fn reg_28_pages_end() {
    let registry = Registry::start().await;
    for number in 0..25 {
        registry.image("app", &format!("t{number:02}"));
    }
    registry.set(|model| model.page = 10);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    assert_eq!(stand.client.tags(&repository).await.unwrap().len(), 25);
    assert_eq!(registry.log().len(), 3);
    let page = |link: String| Response::new(200).header("Link", link).body(r#"{"tags":["a"]}"#);
    registry.fault(on("GET", "/tags/").reply(page("</v2/app/tags/list>; rel=next".into())));
    let error = stand.client.tags(&repository).await.unwrap_err();
    assert!(format!("{error:?}").contains("in circles"), "{error:?}");
    registry.heal();
    registry.fault(on("GET", "/tags/").reply(page("<https://other.test/v2/app/tags/list?last=a>; rel=next".into())));
    let error = stand.client.tags(&repository).await.unwrap_err();
    assert!(format!("{error:?}").contains("at the registry itself only"), "{error:?}");
    registry.heal();
    registry.forget();
    registry.fault(on("GET", "/tags/").edit(|request, response| {
        let last: usize = request.parameter("last").and_then(|last| last.parse().ok()).unwrap_or(0);
        response.header("Link", format!("</v2/app/tags/list?last={}>; rel=next", last + 1))
    }));
    let error = stand.client.tags(&repository).await.unwrap_err();
    assert!(format!("{error:?}").contains("1000 pages"), "{error:?}");
    assert_eq!(registry.log().len(), 1000);
}

#[tokio::test]
async fn reg_29_odd_lists_are_tolerated() {
    let registry = Registry::start().await;
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let digest = format!("sha256:{}", "0".repeat(64));
    for (body, expected) in [
        (json!({"tags": ["b", null, digest, "a", "b", "é", 7]}), Some("a b")),
        (json!({"tags": null}), Some("")),
        (json!({"name": "app"}), Some("")),
        (json!({"tags": "a"}), None),
    ] {
        registry.heal();
        registry.fault(on("GET", "/tags/").reply(Response::new(200).body(body.to_string())));
        let tags = stand.client.tags(&repository).await.ok();
        let shown = tags.map(|tags| tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>().join(" "));
        assert_eq!(shown.as_deref(), expected, "{body}");
    }
}

/// A manifest with a subject, and the blob that it needs.
fn referrer(registry: &Registry, subject: &Descriptor, number: usize) -> Vec<u8> {
    let config = registry.blob("app", b"{}");
    json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": "application/x.signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config.digest, "size": 2},
        "layers": [], "annotations": {"number": number.to_string()},
        "subject": {"mediaType": media::MANIFEST, "digest": subject.digest, "size": subject.size},
    })
    .to_string()
    .into_bytes()
}

fn subject(registry: &Registry) -> (Descriptor, Digest) {
    let digest = registry.image("app", "1");
    let bytes = registry.shelf("app").manifests[&digest.to_string()].1.clone();
    (Descriptor::of(media::MANIFEST, &bytes), digest)
}

#[tokio::test]
async fn reg_30_without_the_api_the_tag_scheme_is_used() {
    let registry = Registry::start().await;
    registry.set(|model| model.referrers = false);
    let (subject, digest) = subject(&registry);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let bytes = referrer(&registry, &subject, 1);
    let attached = stand.client.add_referrer(&repository, &subject, media::MANIFEST, &bytes).await.unwrap();
    assert_eq!(attached, Attached::Tag);
    let html = || Response::new(200).header("Content-Type", "text/html").body("<html>Log in</html>");
    let mut answers: Vec<Response> = [404, 400, 405, 406].map(|status| Response::error(status, "X")).into();
    answers.push(html());
    answers.push(html().without("Content-Type"));
    answers.push(Response::new(303).header("Location", "/login"));
    for answer in answers {
        registry.heal();
        registry.fault(on("GET", "/login").reply(html()));
        registry.fault(on("GET", "/referrers/").reply(answer));
        let found = stand.client.referrers(&repository, &digest).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].digest, Digest::of(&bytes));
        assert_eq!(found[0].artifact_type.as_deref(), Some("application/x.signature"));
        assert_eq!(found[0].annotations["number"], "1");
    }
    assert!(stand.said().contains("no referrers API"));
}

#[tokio::test]
async fn the_api_is_used_where_there_is_one() {
    let registry = Registry::start().await;
    let (subject, digest) = subject(&registry);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    assert!(stand.client.referrers(&repository, &digest).await.unwrap().is_empty());
    for number in 0..2 {
        let bytes = referrer(&registry, &subject, number);
        let attached = stand.client.add_referrer(&repository, &subject, media::MANIFEST, &bytes).await.unwrap();
        assert_eq!(attached, Attached::Api);
    }
    assert_eq!(stand.client.referrers(&repository, &digest).await.unwrap().len(), 2);
    assert_eq!(registry.shelf("app").tags.len(), 1, "no fallback tag");
}

#[tokio::test]
async fn reg_31_a_failed_look_is_not_none() {
    let registry = Registry::start().await;
    let (_, digest) = subject(&registry);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    for fault in [
        on("GET", "/referrers/").status(429),
        on("GET", "/referrers/").status(500),
        on("GET", "/referrers/").status(403),
        on("GET", "/referrers/").how(How::Silence),
        on("GET", "/referrers/").how(How::Cut(10)),
        on("GET", "/referrers/").reply(Response::new(200).body("{\"manifests\":")),
    ] {
        registry.heal();
        registry.fault(fault);
        assert!(Stand::hasty().client.referrers(&repository, &digest).await.is_err());
    }
    registry.heal();
    registry.set(|model| model.referrers = false);
    registry.fault(on("GET", "/manifests/sha256-").status(500));
    assert!(stand.client.referrers(&repository, &digest).await.is_err());
    registry.heal();
    assert!(stand.client.referrers(&repository, &digest).await.unwrap().is_empty());
}

#[tokio::test]
async fn reg_32_the_subject_is_no_list_of_referrers() {
    let registry = Registry::start().await;
    registry.set(|model| model.referrers = false);
    let (subject, digest) = subject(&registry);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let bytes = registry.shelf("app").manifests[&digest.to_string()].1.clone();
    let name = format!("sha256-{}", digest.hex());
    registry.manifest("app", &name, media::MANIFEST, &bytes);
    assert!(stand.client.referrers(&repository, &digest).await.unwrap().is_empty());
    // Another image under that tag is a riddle, and never overwritten.
    registry.blob("app", b"{ }");
    let other = String::from_utf8(bytes).unwrap().replace("\"layers\"", " \"layers\"");
    registry.manifest("app", &name, media::MANIFEST, other.as_bytes());
    assert!(stand.client.referrers(&repository, &digest).await.is_err());
    let bytes = referrer(&registry, &subject, 1);
    assert!(stand.client.add_referrer(&repository, &subject, media::MANIFEST, &bytes).await.is_err());
    assert_eq!(registry.shelf("app").tags[&name], super::stand::digest(other.as_bytes()).to_string());
}

#[tokio::test]
async fn sig_14_a_writer_at_the_same_time_loses_nothing() {
    let registry = Registry::start().await;
    registry.set(|model| model.referrers = false);
    let (subject, digest) = subject(&registry);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let first = referrer(&registry, &subject, 1);
    stand.client.add_referrer(&repository, &subject, media::MANIFEST, &first).await.unwrap();
    // While we write, somebody who read the list before writes it without us.
    let name = format!("sha256-{}", digest.hex());
    let stale = registry.shelf("app").tags[&name].clone();
    let shelf = registry.clone();
    registry.fault(on("PUT", format!("/manifests/{name}")).times(2).edit(move |_, response| {
        let (shelf, name, stale) = (shelf.clone(), name.clone(), stale.clone());
        tokio::spawn(async move {
            shelf.set(|model| drop(model.shelf("app").tags.insert(name, stale)));
        });
        response
    }));
    let second = referrer(&registry, &subject, 2);
    let slow = Stand::with(|settings| {
        settings.clock.pause =
            std::sync::Arc::new(|_| Box::pin(tokio::time::sleep(std::time::Duration::from_millis(50))));
    });
    slow.client.add_referrer(&repository, &subject, media::MANIFEST, &second).await.unwrap();
    assert_eq!(stand.client.referrers(&repository, &digest).await.unwrap().len(), 2);
    assert_eq!(registry.count("PUT", "/manifests/sha256-"), 4);
    let which = tag(&format!("sha256-{}", digest.hex()));
    assert!(stand.client.manifest(&repository, Which::Tag(&which)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_registry_that_says_to_keep_the_list_and_has_none_is_not_believed() {
    let registry = Registry::start().await;
    registry.set(|model| model.referrers = false);
    let (subject, digest) = subject(&registry);
    let says = digest.to_string();
    registry.fault(on("PUT", "/manifests/sha256:").edit(move |_, response| response.header("OCI-Subject", &says)));
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let referrer = referrer(&registry, &subject, 1);
    let attached = stand.client.add_referrer(&repository, &subject, media::MANIFEST, &referrer).await.unwrap();
    assert_eq!(attached, Attached::Tag);
    assert_eq!(stand.client.referrers(&repository, &digest).await.unwrap().len(), 1);
    // One that cannot tell is asked again later, by whoever runs it again.
    registry.fault(on("GET", "/referrers/").status(403));
    assert!(stand.client.add_referrer(&repository, &subject, media::MANIFEST, &referrer).await.is_err());
}

#[tokio::test]
async fn a_page_of_tags_that_is_gone_is_not_the_end_of_the_list() {
    let registry = Registry::start().await;
    let digest = format!("sha256:{}", "0".repeat(64));
    let first = Response::new(200).body(json!({"tags": [digest]}).to_string());
    registry.fault(
        on("GET", "/tags/list").times(1).reply(first.header("Link", "</v2/app/tags/list?last=x>; rel=\"next\"")),
    );
    registry.fault(on("GET", "/tags/list?last=x").status(404));
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    assert!(stand.client.tags(&repository).await.is_err());
}
