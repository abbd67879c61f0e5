//! Services of sigstore that are away (check SIG-13): they are waited for, and what was pushed stays pushed and unsigned until they are
//! back. What they took in already is not taken in twice.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::{Keyless, WHO};
use crate::http::{How, Response};
use crate::registry::on;
use crate::sigstore::Rekor;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_comes_back_is_waited_for() {
    for (rekor, path) in [
        (Rekor::V1, "/api/v2/signingCert"),
        (Rekor::V1, "/api/v1/log/entries"),
        (Rekor::V2, "/api/v2/log/entries"),
        (Rekor::V2, "/api/v1/timestamp"),
    ] {
        let keyless = Keyless::new(rekor, true).await;
        let busy = Response::error(503, "BUSY").header("Retry-After", "0");
        keyless.sigstore.fault(on("POST", path).times(1).reply(busy));
        let done = keyless.sign(&["-v", "--signature-format", "bundle"]).expect(0);
        assert!(done.stderr.contains("asks to come back") && done.stderr.contains(path), "{}", done.stderr);
        assert_eq!(keyless.sigstore.count("POST", path), 2);
        keyless.verify(WHO, &[]).expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_13_a_log_that_is_down_leaves_the_image_pushed_and_unsigned() {
    for (rekor, path) in [(Rekor::V1, "/api/v1/log/entries"), (Rekor::V2, "/api/v2/log/entries")] {
        let keyless = Keyless::new(rekor, true).await;
        keyless.sigstore.fault(on("POST", path).status(503));
        let failed = keyless.sign(&["--patience", "2s"]).expect(3);
        eprintln!("{}", failed.stderr);
        assert!(failed.stderr.contains("is pushed, not signed"), "{}", failed.stderr);
        assert!(failed.stderr.contains("run the same command again"), "{}", failed.stderr);
        assert!(keyless.sigstore.count("POST", path) > 1, "it was tried again");
        assert_eq!(keyless.beside(), (0, 0));
        keyless.verify(WHO, &[]).expect(4);

        keyless.sigstore.heal();
        keyless.sign(&[]).expect(0);
        let legacy = usize::from(rekor == Rekor::V1);
        assert_eq!(keyless.beside(), (1, legacy), "one signature");
        keyless.verify(WHO, &[]).expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_got_lost_makes_no_second_entry() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    // The log takes the entry in; what it says of it does not arrive.
    keyless.sigstore.fault(on("POST", "/api/v1/log/entries").times(1).how(How::Nothing));
    keyless.sign(&["--signature-format", "bundle"]).expect(0);
    assert_eq!(keyless.sigstore.entries(), (1, 0));
    assert_eq!(keyless.sigstore.count("GET", "/api/v1/log/entries/"), 1, "the entry that is there was fetched");
    keyless.verify(WHO, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_refused_is_not_tried_again() {
    for (rekor, path) in [(Rekor::V1, "/api/v1/log/entries"), (Rekor::V2, "/api/v1/timestamp")] {
        let keyless = Keyless::new(rekor, rekor == Rekor::V2).await;
        keyless.sigstore.fault(on("POST", path).status(400));
        let failed = keyless.sign(&[]).expect(3);
        assert!(failed.stderr.contains("400"), "{}", failed.stderr);
        assert_eq!(keyless.sigstore.count("POST", path), 1);
        assert_eq!(keyless.beside(), (0, 0));
    }
    let keyless = Keyless::new(Rekor::V1, false).await;
    keyless.sigstore.fault(on("POST", "/api/v1/log/entries").how(How::Endless));
    let failed = keyless.sign(&["--patience", "1s"]).expect(3);
    assert!(failed.stderr.contains("which is the limit"), "{}", failed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_takes_the_place_of_one_that_is_away() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = keyless.sigstore.signing_config(Rekor::V1, false);
    let mut config: Value = serde_json::from_str(&config).unwrap();
    let mut other = config["rekorTlogUrls"][0].clone();
    other["url"] = json!(format!("http://{away}"));
    other["operator"] = json!("a-first");
    other["validFor"]["start"] = json!("2025-06-01T00:00:00Z");
    config["rekorTlogUrls"].as_array_mut().unwrap().insert(0, other);
    let write = |config: &Value| keyless.world.project.write("signing_config.json", config.to_string());
    write(&config);
    keyless.sign(&["--patience", "0s"]).expect(0);
    keyless.verify(WHO, &[]).expect(0);
    // Where both must take part, both are waited for.
    config["rekorTlogConfig"] = json!({ "selector": "ALL" });
    write(&config);
    keyless.sign(&["--patience", "0s", "-a", "a=b"]).expect(3);
}
