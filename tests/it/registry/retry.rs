//! When it is tried again and when not (checks REG-01 to REG-04, REG-33).

use std::time::Duration;

use stillframe::oci::media;
use stillframe::registry::{Pushed, Which};

use super::stand::{NOW, Stand, noise, tag};
use super::{How, Registry, Response, on};

fn busy(after: &str) -> Response {
    Response::error(429, "TOOMANYREQUESTS").header("Retry-After", after)
}

#[tokio::test]
async fn reg_01_a_busy_registry_is_waited_for() {
    for (method, path) in [
        ("GET", "/manifests/"),
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PATCH", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        let registry = Registry::start().await;
        let digest = registry.image("app", "1");
        registry.set(|model| model.most = (method == "PATCH").then_some((4 << 20, 413)));
        registry.fault(on(method, path).times(2).reply(busy("2")));
        let (stand, repository) = (Stand::new(), registry.repository("app"));
        let fetched = stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap().unwrap();
        let bytes = noise(5 << 20);
        let blob = stillframe::oci::Descriptor::of("x", &bytes);
        let pushed = stand.client.push_blob(&repository, &blob, &bytes::Bytes::from(bytes), &[]).await.unwrap();
        assert_eq!(pushed, Pushed::Uploaded);
        stand.client.push_manifest(&repository, Which::Tag(&tag("2")), media::MANIFEST, &fetched.bytes).await.unwrap();
        let asked: Vec<Duration> = stand.waits();
        assert_eq!(asked.len(), 2, "{method} {path}");
        assert!(asked.iter().all(|wait| (2.0..2.5).contains(&wait.as_secs_f64())), "{asked:?}");
        assert!(stand.said().contains("asks to come back in 2"));
        assert_eq!(registry.shelf("app").blobs[&blob.digest.to_string()].len(), 5 << 20);
    }
}

#[tokio::test]
async fn reg_02_the_asked_pause_is_capped_and_shown() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    let repository = registry.repository("app");
    assert_eq!(NOW, 784_111_777);
    for (after, range) in [
        ("3", 3.0..3.5),
        ("Sun, 06 Nov 1994 08:49:44 GMT", 7.0..8.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.5..0.6),
        ("86400", 300.0..331.0),
        ("-1", 0.2..0.6),
        ("garbage", 0.2..0.6),
    ] {
        registry.heal();
        registry.fault(on("GET", "/manifests/").times(1).reply(busy(after)));
        let stand = Stand::new();
        assert!(stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap().is_some());
        let waits = stand.waits();
        assert!(waits.len() == 1 && range.contains(&waits[0].as_secs_f64()), "{after} {waits:?}");
    }
    registry.heal();
    registry.fault(on("GET", "/manifests/").reply(busy("86400")));
    let stand = Stand::new();
    let error = stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains(&registry.name()) && text.contains("429") && text.contains("gave up"), "{text}");
    assert!(stand.waits().iter().sum::<Duration>() <= Duration::from_secs(900));
}

#[tokio::test]
async fn reg_03_stumbles_are_forgiven_but_not_for_ever() {
    for status in [500, 502, 503, 504, 408] {
        let registry = Registry::start().await;
        registry.image("app", "1");
        let (stand, repository) = (Stand::new(), registry.repository("app"));
        registry.fault(on("GET", "/manifests/").times(2).status(status));
        assert!(stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap().is_some());
        let waits = stand.waits();
        assert_eq!(waits.len(), 2);
        assert!(waits[0] < Duration::from_millis(501) && waits[1] <= Duration::from_millis(1001), "{waits:?}");
        registry.heal();
        registry.fault(on("GET", "/manifests/").reply(Response::error(status, "UNAVAILABLE")));
        registry.forget();
        let error = stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("6 attempts") && text.contains("the fault registry says UNAVAILABLE"), "{text}");
        assert_eq!(registry.log().len(), 6);
    }
    let registry = Registry::start().await;
    registry.image("app", "1");
    registry.fault(on("GET", "/manifests/").times(2).how(How::Nothing));
    let stand = Stand::new();
    assert!(stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await.unwrap().is_some());
}

#[tokio::test]
async fn reg_03_a_host_that_is_not_there_ends_soon() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("{}/app", listener.local_addr().unwrap());
    drop(listener);
    let stand = Stand::new();
    let error = stand.client.tags(&name.parse().unwrap()).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("3 attempts") && format!("{error:?}").contains("could not connect"),
        "{error:?}"
    );
}

#[tokio::test]
async fn reg_04_a_refusal_is_taken_at_its_word() {
    for status in [400, 403, 404, 405, 422] {
        let registry = Registry::start().await;
        let digest = registry.image("app", "1");
        let (stand, repository) = (Stand::new(), registry.repository("app"));
        let fetched = stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap().unwrap();
        registry.fault(on("*", "").status(status));
        registry.forget();
        let answer = stand.client.manifest(&repository, Which::Digest(&digest)).await;
        assert_eq!(answer.is_ok_and(|found| found.is_none()), status == 404);
        let pushed =
            stand.client.push_manifest(&repository, Which::Digest(&digest), media::MANIFEST, &fetched.bytes).await;
        assert!(pushed.is_err());
        assert_eq!(registry.told(), ["GET /v2/app/manifests/DIGEST", "PUT /v2/app/manifests/DIGEST"]);
        assert!(stand.waits().is_empty());
    }
}

#[tokio::test]
async fn reg_33_error_bodies_in_all_forms() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    for (body, how, shown) in [
        (
            r#"{"errors":[{"code":"DENIED","message":"no \u001b[31m way"}]}"#.to_string(),
            How::Whole,
            "DENIED: no \\u{1b}[31m way",
        ),
        ("<html><body>Go away</body></html>".into(), How::Whole, "403 Forbidden: Go away"),
        (String::new(), How::Whole, "403 Forbidden"),
        ("\x1b[31mred".repeat(100_000), How::Endless, "\\u{1b}[31mred"),
        ("half of it".into(), How::Cut(4), "403 Forbidden"),
    ] {
        registry.heal();
        let response = Response::new(403).header("Content-Length", body.len()).body(body.clone()).how(how.clone());
        registry.fault(on("GET", "").reply(if how == How::Endless {
            response.without("Content-Length")
        } else {
            response
        }));
        let error = stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap_err();
        let text = error.causes().join(" ");
        assert!(text.contains(shown) && !text.contains('\x1b') && text.len() < 2000, "{text}");
    }
    registry.heal();
    assert!(stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.unwrap().is_some());
}
