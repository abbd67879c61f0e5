//! Writing blobs: they end with the right bytes or an error (checks REG-05 to REG-16).

use bytes::Bytes;
use stillframe::error::Result;
use stillframe::oci::Descriptor;
use stillframe::registry::Pushed;

use super::stand::{Stand, noise};
use super::{How, On, Registry, Response, on};

const MIB: usize = 1 << 20;

async fn push(registry: &Registry, stand: &Stand, bytes: &[u8]) -> Result<Pushed> {
    let blob = Descriptor::of("application/octet-stream", bytes);
    let body = Bytes::copy_from_slice(bytes);
    let pushed = stand.client.push_blob(&registry.repository("app"), &blob, &body, &[]).await?;
    let held = registry.shelf("app").blobs.get(&blob.digest.to_string()).cloned();
    assert!(held.is_some_and(|held| held == bytes), "success means that the registry holds the bytes");
    Ok(pushed)
}

/// Pushes to a registry with faults; the rest of the checks is the caller's.
async fn against(faults: Vec<On>, bytes: &[u8]) -> (Registry, Stand, Result<Pushed>) {
    let registry = Registry::start().await;
    for fault in faults {
        registry.fault(fault);
    }
    let stand = Stand::new();
    let pushed = push(&registry, &stand, bytes).await;
    (registry, stand, pushed)
}

#[tokio::test]
async fn a_blob_is_sent_once_and_whole() {
    let (registry, stand, pushed) = against(vec![], &noise(MIB)).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    let expected = ["HEAD /v2/app/blobs/DIGEST", "POST /v2/app/blobs/uploads/", "PUT /v2/app/blobs/uploads/SESSION"];
    assert_eq!(registry.told(), expected);
    assert_eq!(push(&registry, &stand, &noise(MIB)).await.unwrap(), Pushed::AlreadyThere);
    assert_eq!(push(&registry, &stand, b"").await.unwrap(), Pushed::Uploaded);
    let blob = Descriptor::of("x", &noise(MIB));
    let anew = stand.client.push_blob_anew(&registry.repository("app"), &blob, &Bytes::from(noise(MIB))).await;
    assert_eq!(anew.unwrap(), Pushed::Uploaded);
}

#[tokio::test]
async fn content_that_is_not_as_described_is_our_fault() {
    let registry = Registry::start().await;
    let stand = Stand::new();
    let blob = Descriptor { size: 2000, ..Descriptor::of("x", &noise(1000)) };
    let pushed = stand.client.push_blob(&registry.repository("app"), &blob, &Bytes::from(noise(1000)), &[]).await;
    assert_eq!(pushed.unwrap_err().kind().exit_code(), 5);
    let missing = std::path::PathBuf::from("/nonexistent/blob");
    let pushed = stand.client.push_blob(&registry.repository("app"), &blob, &missing, &[]).await;
    assert_eq!(pushed.unwrap_err().kind().exit_code(), 5);
    assert!(stand.waits().is_empty());
    assert!(registry.lock().model.uploads.is_empty(), "the session was given back");
}

#[tokio::test]
async fn reg_05_a_reset_in_the_middle_is_resumed() {
    let bytes = noise(MIB);
    let (registry, _, pushed) = against(vec![on("PUT", "/uploads/").times(1).cut_body(64 << 10)], &bytes).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    let patch = registry.log().into_iter().find(|request| request.method == "PATCH").unwrap();
    assert_eq!(patch.header("content-range"), Some("65536-1048575"));
    assert_eq!(registry.count("POST", "/uploads/"), 1);
    // A registry that forgot the session gets a new one.
    let faults = vec![on("PUT", "/uploads/").times(1).cut_body(64 << 10), on("GET", "/uploads/").status(404)];
    let (registry, _, pushed) = against(faults, &bytes).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    assert_eq!(registry.count("POST", "/uploads/"), 2);
}

#[tokio::test]
async fn reg_06_a_failed_piece_is_resumed() {
    let registry = Registry::start().await;
    registry.set(|model| model.most = Some((4 * MIB, 413)));
    registry.fault(on("PATCH", "/uploads/").skip(1).times(1).status(500));
    let stand = Stand::new();
    push(&registry, &stand, &noise(14 * MIB)).await.unwrap();
    assert_eq!(stand.waits().len(), 1);
    // The work was done before the 500.
    registry.heal();
    registry.fault(on("PATCH", "/uploads/").skip(1).times(1).edit(|_, _| Response::error(500, "UNKNOWN")));
    push(&registry, &stand, &noise(14 * MIB + 1)).await.unwrap();
    // Nothing of the session is left after the 500.
    registry.heal();
    registry.fault(on("PATCH", "/uploads/").skip(1).times(1).status(500));
    registry.fault(on("GET", "/uploads/").status(404));
    push(&registry, &stand, &noise(14 * MIB + 2)).await.unwrap();
}

#[tokio::test]
async fn reg_07_locations_are_followed_as_given() {
    let bytes = noise(1000);
    let digest = Descriptor::of("x", &bytes).digest;
    let registry = Registry::start().await;
    let (url, stand) = (registry.url(), Stand::new());
    let twice = format!("digest={digest}");
    let cases: Vec<(String, String)> = vec![
        (format!("{url}/v2/app/blobs/uploads/session-1"), twice.clone()),
        ("/v2/app/blobs/uploads/session-1".into(), twice.clone()),
        ("/v2/app/blobs/uploads/session-1?_state=a%2Fb%3D%3D".into(), format!("_state=a%2Fb%3D%3D&{twice}")),
        (format!("/v2/app/blobs/uploads/session-1?{twice}&x=1"), format!("{twice}&x=1")),
        ("/v2/app/blobs/uploads/session-1?".into(), twice.clone()),
    ];
    for (location, query) in cases {
        registry.heal();
        registry.set(|model| {
            model.shelves.clear();
            model.sessions = 0;
        });
        registry.fault(on("POST", "/uploads/").edit(move |_, response| response.header("Location", &location)));
        push(&registry, &stand, &bytes).await.unwrap();
        assert_eq!(registry.log().last().unwrap().query, query);
    }
}

#[tokio::test]
async fn reg_08_a_session_without_a_place_is_an_error() {
    let bytes = noise(1000);
    for (location, words) in [
        (None, "without a `Location` header"),
        (Some("http://["), "`Location` header that is not a URL"),
        (Some("ftp://x/"), "neither http nor https"),
    ] {
        let fault = on("POST", "/uploads/").edit(move |_, response| match location {
            Some(location) => response.header("Location", location),
            None => response.without("Location"),
        });
        let (_, _, pushed) = against(vec![fault], &bytes).await;
        let text = format!("{:?}", pushed.unwrap_err());
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn reg_09_a_piece_that_is_taken_in_part_is_completed() {
    let registry = Registry::start().await;
    registry.set(|model| model.most = Some((4 * MIB, 413)));
    registry.fault(on("PATCH", "/uploads/").times(1).keep_body(3 * MIB));
    push(&registry, &Stand::new(), &noise(9 * MIB)).await.unwrap();
    let ranges: Vec<String> = registry
        .log()
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.header("content-range").unwrap().to_string())
        .collect();
    assert_eq!(ranges, ["0-4194303", "3145728-7340031", "7340032-9437183"]);
}

#[tokio::test]
async fn reg_10_a_count_that_stands_still_does_not_matter() {
    let registry = Registry::start().await;
    registry.set(|model| model.most = Some((4 * MIB, 413)));
    registry.fault(on("PATCH", "").edit(|_, response| response.header("Range", format!("0-{}", 4 * MIB - 1))));
    push(&registry, &Stand::new(), &noise(14 * MIB)).await.unwrap();
    assert_eq!(registry.count("PATCH", ""), 4);
    // A registry that never stores anything ends, too.
    registry.heal();
    registry.fault(on("PATCH", "").keep_body(0));
    assert!(push(&registry, &Stand::new(), &noise(14 * MIB + 1)).await.is_err());
}

#[tokio::test]
async fn reg_11_large_bodies_are_cut_into_pieces() {
    for (most, status) in [(4 * MIB, 416), (4 * MIB, 413), (MIB, 413), (MIB + 5, 416), (200_000, 413)] {
        let registry = Registry::start().await;
        registry.set(|model| model.most = Some((most, status)));
        push(&registry, &Stand::new(), &noise(9 * MIB)).await.unwrap();
    }
    let registry = Registry::start().await;
    registry.set(|model| model.most = Some((10, 413)));
    let error = push(&registry, &Stand::new(), &noise(MIB)).await.unwrap_err();
    assert!(format!("{error:?}").contains("however small"), "{error:?}");
}

#[tokio::test]
async fn reg_12_no_piece_is_smaller_than_asked() {
    let registry = Registry::start().await;
    registry.set(|model| {
        model.most = Some((9 * MIB, 413));
        model.least = Some(8 * MIB);
    });
    push(&registry, &Stand::new(), &noise(20 * MIB)).await.unwrap();
    let sizes: Vec<usize> =
        registry.log().iter().filter(|request| request.method == "PATCH").map(|request| request.body.len()).collect();
    assert_eq!(sizes, [8 * MIB, 8 * MIB, 4 * MIB]);
}

#[tokio::test]
async fn reg_13_another_digest_is_a_failure() {
    let fault =
        on("PUT", "/uploads/").edit(|_, response| response.header("Docker-Content-Digest", super::stand::digest(b"x")));
    let (_, _, pushed) = against(vec![fault], &noise(1000)).await;
    assert!(format!("{:?}", pushed.unwrap_err()).contains("its digest is"));
}

#[tokio::test]
async fn reg_14_an_unusual_success_is_confirmed() {
    for status in [200, 202, 204, 201] {
        let bare = move |_: &_, response: Response| Response { status, ..response.without("Docker-Content-Digest") };
        let (registry, _, pushed) = against(vec![on("PUT", "/uploads/").edit(bare)], &noise(1000)).await;
        assert_eq!(pushed.unwrap(), Pushed::Uploaded);
        assert_eq!(registry.count("HEAD", "/blobs/"), 2);
        let (_, _, pushed) = against(vec![on("PUT", "/uploads/").reply(Response::new(status))], &noise(1000)).await;
        assert!(format!("{:?}", pushed.unwrap_err()).contains("does not hold the blob"));
    }
}

#[tokio::test]
async fn reg_15_a_lost_answer_is_no_lost_upload() {
    let (registry, _, pushed) = against(vec![on("PUT", "/uploads/").times(1).how(How::Nothing)], &noise(MIB)).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    assert_eq!(registry.count("PUT", "/uploads/"), 1);
    assert_eq!(registry.count("POST", "/uploads/"), 1);
}

#[tokio::test]
async fn reg_16_mounts_work_or_do_not_matter() {
    let bytes = noise(1000);
    let blob = Descriptor::of("x", &bytes);
    let mount = async |registry: &Registry| {
        registry.blob("other", &bytes);
        let sources = [registry.repository("other")];
        let body = Bytes::from(bytes.clone());
        Stand::new().client.push_blob(&registry.repository("app"), &blob, &body, &sources).await.unwrap()
    };
    let registry = Registry::start().await;
    assert_eq!(mount(&registry).await, Pushed::Mounted);
    assert_eq!(registry.told(), ["POST /v2/app/blobs/uploads/"], "the mount is enough");
    assert_eq!(mount(&registry).await, Pushed::Mounted, "though it is there already");
    let registry = Registry::start().await;
    registry.set(|model| model.mounts = false);
    assert_eq!(mount(&registry).await, Pushed::Uploaded);
    assert_eq!(registry.count("POST", "/uploads/"), 1, "the session is used");
    for status in [401, 403, 404, 405, 400] {
        let registry = Registry::start().await;
        registry.fault(on("POST", "mount=").status(status));
        assert_eq!(mount(&registry).await, Pushed::Uploaded, "{status}");
        assert!(registry.shelf("app").blobs.contains_key(&blob.digest.to_string()));
    }
}

#[tokio::test]
async fn reg_17_head_of_a_blob_that_fails_means_upload() {
    for status in [405, 403, 400, 501] {
        let (_, _, pushed) = against(vec![on("HEAD", "/blobs/").status(status)], &noise(1000)).await;
        assert_eq!(pushed.unwrap(), Pushed::Uploaded, "{status}");
    }
}

#[tokio::test]
async fn sta_03_a_stopped_upload_is_given_back() {
    let registry = Registry::start().await;
    registry.fault(on("PUT", "/uploads/").how(How::Silence));
    let stand = Stand::with(|settings| settings.patience.idle = std::time::Duration::from_secs(100));
    let cancel = stand.cancel.clone();
    let seen = registry.clone();
    tokio::spawn(async move {
        while seen.count("PUT", "/uploads/") == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        cancel.set(stillframe::error::Kind::Interrupted);
    });
    let error = push(&registry, &stand, &noise(1000)).await.unwrap_err();
    assert_eq!(error.kind().exit_code(), 130);
    assert_eq!(registry.count("DELETE", "/uploads/"), 1);
}
