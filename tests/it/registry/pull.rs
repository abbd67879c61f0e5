//! Reading manifests and blobs: nothing is used that was not verified (checks CON, REG-17 to REG-22, LIM).

use std::time::Duration;

use stillframe::oci::{Descriptor, Document, media};
use stillframe::registry::Which;

use super::stand::{Stand, digest, hasty, noise, tag};
use super::{How, Registry, Response, mute, on};

#[tokio::test]
async fn a_manifest_comes_by_tag_and_by_digest() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    for which in [Which::Tag(&tag("1")), Which::Digest(&digest)] {
        let fetched = stand.client.manifest(&repository, which).await.unwrap().unwrap();
        assert_eq!(fetched.digest, digest);
        assert!(Document::read(&fetched.bytes, fetched.media_type.as_deref(), "x").is_ok());
        assert_eq!(stand.client.head(&repository, which).await.unwrap(), Some(digest));
    }
    assert_eq!(stand.client.manifest(&repository, Which::Tag(&tag("2"))).await.unwrap(), None);
    assert_eq!(stand.client.head(&repository, Which::Tag(&tag("2"))).await.unwrap(), None);
}

#[tokio::test]
async fn con_01_one_flipped_byte_is_refused() {
    let registry = Registry::start().await;
    let bytes = noise(100_000);
    let blob = registry.blob("app", &bytes);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes);
    registry.fault(on("GET", "/blobs/").edit(|_, mut response| {
        response.body[50_000] ^= 1;
        response
    }));
    let error = stand.blob(&repository, &blob).await.unwrap_err();
    assert_eq!(error.kind().exit_code(), 3);
    let text = format!("{error:?}");
    let mut flipped = bytes.clone();
    flipped[50_000] ^= 1;
    assert!(text.contains(&blob.digest.to_string()) && text.contains(&digest(&flipped).to_string()), "{text}");
}

#[tokio::test]
async fn con_02_a_cut_blob_is_resumed() {
    let registry = Registry::start().await;
    let bytes = noise(200_000);
    let blob = registry.blob("app", &bytes);
    registry.fault(on("GET", "/blobs/").times(1).how(How::Cut(100_000)));
    let stand = Stand::new();
    assert_eq!(stand.blob(&registry.repository("app"), &blob).await.unwrap(), bytes);
    let log = registry.log();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].header("range"), Some("bytes=100000-"));
    assert_eq!(stand.waits().len(), 1);
}

#[tokio::test]
async fn con_03_what_comes_after_the_blob_counts() {
    let registry = Registry::start().await;
    let bytes = noise(10_000);
    let blob = registry.blob("app", &bytes);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    assert!(stand.blob(&repository, &blob).await.is_ok());
    registry.fault(on("GET", "/blobs/").edit(|_, mut response| {
        response.body.extend_from_slice(b"more");
        response.how(How::Chunked)
    }));
    let error = stand.blob(&repository, &blob).await.unwrap_err();
    assert!(format!("{error:?}").contains("more than the 10000 bytes"), "{error:?}");
}

#[tokio::test]
async fn con_08_and_09_a_manifest_has_one_type() {
    let registry = Registry::start().await;
    registry.image("app", "good");
    let both = br#"{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}"#;
    registry.manifest("app", "both", media::MANIFEST, both);
    let text = String::from_utf8(registry.shelf("app").manifests.values().next_back().unwrap().1.clone()).unwrap();
    registry.manifest("app", "liar", media::INDEX, format!("{text} ").as_bytes());
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    for (name, fine) in [("good", true), ("both", false), ("liar", false)] {
        let fetched = stand.client.manifest(&repository, Which::Tag(&tag(name))).await.unwrap().unwrap();
        let document = Document::read(&fetched.bytes, fetched.media_type.as_deref(), name);
        assert_eq!(document.is_ok(), fine, "{name}");
    }
}

#[tokio::test]
async fn con_14_a_wrong_size_is_refused_before_reading() {
    let registry = Registry::start().await;
    let blob = registry.blob("app", &noise(1000));
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    for size in [999, 1001, 0] {
        let wrong = Descriptor { size, ..blob.clone() };
        let mut bytes = Vec::new();
        let error = stand.client.blob(&repository, &wrong, &mut bytes).await.unwrap_err();
        assert!(format!("{error:?}").contains("announces 1000 bytes"), "{error:?}");
        assert!(bytes.is_empty());
    }
    assert_eq!(stand.blob(&repository, &blob).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn reg_17_head_of_a_manifest_falls_back_to_its_bytes() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    for status in [403, 405, 400] {
        registry.heal();
        registry.fault(on("HEAD", "/manifests/").status(status));
        assert_eq!(stand.client.head(&repository, Which::Tag(&tag("1"))).await.unwrap(), Some(digest));
    }
    registry.heal();
    registry.fault(on("HEAD", "/manifests/").edit(|_, response| response.without("Docker-Content-Digest")));
    assert_eq!(stand.client.head(&repository, Which::Tag(&tag("1"))).await.unwrap(), Some(digest));
    registry.heal();
    registry.fault(on("HEAD", "/blobs/").status(405));
    let blob = registry.blob("app", b"x");
    assert!(stand.client.has_blob(&repository, &blob.digest).await.unwrap());
    assert!(!stand.client.has_blob(&repository, &super::stand::digest(b"y")).await.unwrap());
    registry.heal();
    registry.fault(on("HEAD", "/blobs/").status(403));
    assert!(stand.client.has_blob(&repository, &blob.digest).await.is_err(), "unknown is not no");
}

#[tokio::test]
async fn reg_18_a_header_is_no_proof() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    registry.fault(
        on("GET", "/manifests/sha256").edit(|_, response| response.body(r#"{"schemaVersion":2,"manifests":[]}"#)),
    );
    let error = stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap_err();
    assert!(format!("{error:?}").contains("other content"), "{error:?}");
    registry.heal();
    registry.fault(
        on("GET", "/manifests/1")
            .edit(|_, response| response.header("Docker-Content-Digest", super::stand::digest(b"x"))),
    );
    assert!(stand.client.manifest(&repository, Which::Tag(&tag("1"))).await.is_err());
    registry.heal();
    assert!(stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap().is_some());
}

#[tokio::test]
async fn reg_19_lengths_of_head_do_not_matter() {
    let registry = Registry::start().await;
    let bytes = noise(5000);
    let blob = registry.blob("app", &bytes);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    registry.fault(on("HEAD", "/blobs/").edit(|_, response| response.header("Content-Length", 77)));
    assert!(stand.client.has_blob(&repository, &blob.digest).await.unwrap());
    registry.fault(on("GET", "/blobs/").times(1).how(How::Chunked));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes);
    registry.heal();
    registry.fault(on("GET", "/blobs/").edit(|_, mut response| {
        response.body[7] ^= 1;
        response.how(How::Chunked)
    }));
    assert!(stand.blob(&repository, &blob).await.is_err());
}

#[tokio::test]
async fn reg_20_a_packed_blob_is_unpacked_and_verified() {
    let registry = Registry::start().await;
    let bytes = noise(50_000);
    let blob = registry.blob("app", &bytes);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let pack = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let packed = move |bytes: Vec<u8>| Response::new(200).header("Content-Encoding", "gzip").body(pack(&bytes));
    registry.fault(on("GET", "/blobs/").times(1).reply(packed(bytes.clone())));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes);
    assert_eq!(registry.log()[0].header("accept-encoding"), Some("identity"));
    registry.fault(on("GET", "/blobs/").times(1).reply(packed(noise(50_001)[1..].to_vec())));
    assert!(stand.blob(&repository, &blob).await.is_err());
    registry.fault(on("GET", "/blobs/").times(1).reply(packed(vec![0; 10_000_000])));
    assert!(stand.blob(&repository, &blob).await.is_err(), "a bomb");
    // A storage that labels the blob's own bytes: the length tells.
    registry.fault(on("GET", "/blobs/").times(1).edit(|_, response| response.header("Content-Encoding", "gzip")));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes);
}

#[tokio::test]
async fn reg_21_every_wait_is_bounded() {
    let registry = Registry::start().await;
    let blob = registry.blob("app", &noise(100_000));
    let stand = Stand::hasty();
    let repository = registry.repository("app");
    for (how, limit) in [
        (How::DripHead(Duration::from_millis(50)), "nothing came by for"),
        (How::Drip(1, Duration::from_millis(50)), "bytes per second"),
        (How::Silence, "nothing came by for"),
        (How::Stall(500), "nothing came by for"),
    ] {
        registry.heal();
        registry.fault(on("GET", "/blobs/").how(how.clone()));
        let error = stand.blob(&repository, &blob).await.unwrap_err();
        assert!(format!("{error:?}").contains(limit), "{how:?} {error:?}");
        assert!(format!("{error:?}").contains("2 attempts"), "{how:?} {error:?}");
    }
    registry.heal();
    assert!(Stand::new().blob(&repository, &blob).await.is_ok());
    // A TLS handshake that is never answered.
    let (address, _mute) = mute().await;
    let hosts = format!("[host.\"127.0.0.1:{}\"]\nhttp = false", address.port());
    let stand = Stand::with(|settings| {
        hasty(settings);
        settings.hosts = stillframe::registry::Hosts::read(&hosts, "x", std::path::Path::new("/")).unwrap();
    });
    let error = stand.blob(&format!("127.0.0.1:{}/app", address.port()).parse().unwrap(), &blob).await.unwrap_err();
    assert!(format!("{error:?}").contains("could not connect within the time limit"), "{error:?}");
}

#[tokio::test]
async fn reg_22_a_broken_download_goes_on_where_it_was() {
    let registry = Registry::start().await;
    let bytes = noise(100_000);
    let blob = registry.blob("app", &bytes);
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let again = |how: How| {
        registry.heal();
        registry.fault(on("GET", "/blobs/").times(1).how(how));
    };
    again(How::Cut(60_000));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes, "206");
    again(How::Reset(60_000));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes, "206 after a reset");
    again(How::Cut(60_000));
    let whole = Response::new(200).body(bytes.clone());
    registry.fault(on("GET", "/blobs/").times(1).reply(whole));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), bytes, "200 to a range");
    for range in ["bytes 0-99999/100000", "bytes 60001-99999/100000", "bytes 60000-99999/99999", "nonsense", ""] {
        again(How::Cut(60_000));
        registry.fault(on("GET", "/blobs/").times(1).edit(move |_, response| response.header("Content-Range", range)));
        let error = stand.blob(&repository, &blob).await.unwrap_err();
        assert!(format!("{error:?}").contains("another part"), "{range} {error:?}");
    }
    // It breaks again and again, but always after some way.
    let long = noise(12 << 20);
    let blob = registry.blob("app", &long);
    registry.heal();
    registry.fault(on("GET", "/blobs/").times(9).how(How::Cut((1 << 20) + 100)));
    assert_eq!(stand.blob(&repository, &blob).await.unwrap(), long);
}

#[tokio::test]
async fn lim_01_endless_answers_end() {
    let registry = Registry::start().await;
    let blob = registry.blob("app", &noise(1000));
    let digest = registry.image("app", "1");
    registry.bearer("user", "CANARY-word");
    registry.fault(on("GET", "/token").times(1).how(How::Endless));
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    let error = stand.blob(&repository, &blob).await.unwrap_err();
    assert!(format!("{error:?}").contains("over 262144 bytes"), "{error:?}");
    registry.heal();
    registry.fault(on("GET", "").how(How::Endless));
    registry.set(|model| model.guard = super::Guard::Open);
    let stand = Stand::new();
    let error = stand.blob(&repository, &blob).await.unwrap_err();
    assert!(format!("{error:?}").contains("more than the 1000 bytes"), "{error:?}");
    let error = stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap_err();
    assert!(format!("{error:?}").contains("over 4194304 bytes"), "{error:?}");
    let error = stand.client.tags(&repository).await.unwrap_err();
    assert!(format!("{error:?}").contains("over 16777216 bytes"), "{error:?}");
    let error = stand.client.referrers(&repository, &digest).await.unwrap_err();
    assert!(format!("{error:?}").contains("over 16777216 bytes"), "{error:?}");
    registry.heal();
    registry.fault(on("GET", "").reply(Response::new(400).body("x".repeat(1000)).how(How::Endless)));
    let error = stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap_err();
    assert!(format!("{error:?}").len() < 2000);
    registry.heal();
    assert!(stand.client.manifest(&repository, Which::Digest(&digest)).await.unwrap().is_some());
}

#[tokio::test]
async fn lim_02_large_indexes_and_manifests_are_refused() {
    let registry = Registry::start().await;
    let entry = |count: usize| {
        let one = format!(r#"{{"mediaType":"m","digest":"{}","size":1}}"#, digest(b"x"));
        vec![one; count].join(",")
    };
    registry.manifest(
        "app",
        "index",
        media::INDEX,
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entry(10_001)).as_bytes(),
    );
    registry.manifest(
        "app",
        "small",
        media::INDEX,
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entry(1000)).as_bytes(),
    );
    registry.manifest(
        "app",
        "huge",
        media::INDEX,
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entry(100_000)).as_bytes(),
    );
    let (stand, repository) = (Stand::new(), registry.repository("app"));
    for (name, limit) in [("index", Some("10000")), ("small", None), ("huge", Some("4194304"))] {
        let document = match stand.client.manifest(&repository, Which::Tag(&tag(name))).await {
            Ok(fetched) => Document::read(&fetched.unwrap().bytes, None, name),
            Err(error) => Err(error),
        };
        match limit {
            Some(limit) => assert!(format!("{:?}", document.unwrap_err()).contains(limit)),
            None => assert!(document.is_ok()),
        }
    }
}

#[tokio::test]
async fn a_stop_is_noticed_while_waiting() {
    let registry = Registry::start().await;
    let blob = registry.blob("app", &noise(1000));
    registry.fault(on("GET", "/blobs/").how(How::Silence));
    let stand = Stand::with(|settings| settings.patience.idle = Duration::from_secs(100));
    let cancel = stand.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.set(stillframe::error::Kind::Interrupted);
    });
    let error = stand.blob(&registry.repository("app"), &blob).await.unwrap_err();
    assert_eq!(error.kind().exit_code(), 130);
}

#[tokio::test]
async fn offline_asks_nobody() {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1");
    let stand = Stand::with(|settings| settings.offline = true);
    assert!(stand.client.manifest(&registry.repository("app"), Which::Digest(&digest)).await.is_err());
    assert!(registry.log().is_empty());
}

#[tokio::test]
async fn a_break_after_the_last_byte_does_not_matter() {
    let registry = Registry::start().await;
    let bytes = noise(1000);
    let blob = registry.blob("app", &bytes);
    let unended = [b"3e8\r\n", bytes.as_slice()].concat();
    let cut = Response::new(200).header("Transfer-Encoding", "chunked").body(unended).how(How::Cut(2000));
    registry.fault(on("GET", "/blobs/").times(1).reply(cut));
    assert_eq!(Stand::new().blob(&registry.repository("app"), &blob).await.unwrap(), bytes);
}

#[tokio::test]
async fn all_work_can_move_between_threads() {
    fn moves<T: Send>(_: T) {}
    let (stand, registry) = (Stand::new(), Registry::start().await);
    let (repository, blob) = (registry.repository("app"), registry.blob("app", b"x"));
    let (mut sink, body, name) = (Vec::new(), bytes::Bytes::from_static(b"x"), tag("1"));
    moves(stand.client.blob(&repository, &blob, &mut sink));
    moves(stand.client.push_blob(&repository, &blob, &body, &[]));
    moves(stand.client.manifest(&repository, Which::Tag(&name)));
    moves(stand.client.push_manifest(&repository, Which::Tag(&name), media::INDEX, b"{}"));
    moves(stand.client.add_referrer(&repository, &blob, media::MANIFEST, b"{}"));
    moves(stand.client.referrers(&repository, &blob.digest));
    moves(stand.client.tags(&repository));
}
