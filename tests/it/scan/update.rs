//! `update-db`: an archive is fetched whole or not at all, and nothing else asks the network.

use serde_json::json;
use stillframe::oci::Digest;

use super::{ALL, found, project, record, records, zipped};
use crate::http::{How, Response};
use crate::registry::{Registry, on};
use crate::support::project::names;
use crate::support::{Project, scratch};

/// Where a registry offers archives.
fn url(registry: &Registry) -> String {
    format!("http://{}/dump/{{ecosystem}}/all.zip", registry.name())
}

fn update(project: &Project, registry: &Registry, words: &[&str]) -> crate::support::project::Run {
    let url = url(registry);
    project.run([&["update-db", "--url", &url], words].concat())
}

/// The records of each world.
fn worlds() -> [(&'static str, Vec<serde_json::Value>); 4] {
    let all = records();
    [
        ("Debian", vec![all[0].clone(), all[3].clone()]),
        ("crates.io", vec![all[1].clone()]),
        ("Go", vec![all[2].clone()]),
        ("Alpine", vec![record("ALPINE-1", "Alpine:v3.20", "busybox", None, json!({}))]),
    ]
}

fn offer(registry: &Registry) {
    for (name, records) in worlds() {
        registry.fault(on("GET", format!("/dump/{name}/all.zip")).reply(Response::new(200).body(zipped(&records))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_fetched_and_scanned_without_the_network() {
    let registry = Registry::start().await;
    offer(&registry);
    let project = project("");
    let done = update(&project, &registry, &[]).success();
    let digest = |at: usize| Digest::of(&zipped(&worlds()[at].1));
    let expect = [("Alpine", 3, 1), ("Debian", 0, 2), ("Go", 2, 1), ("crates.io", 1, 1)]
        .map(|(name, at, count)| format!("{name}@{} ({count} records)\n", digest(at)));
    assert_eq!(done.stdout, expect.concat());
    let kept = names(&project.store().join("osv"));
    let files = ["Alpine.zip", "Debian.zip", "Go.zip", "crates.io.zip"].iter();
    assert_eq!(kept, files.flat_map(|file| [file.to_string(), format!("{file}.state")]).collect::<Vec<_>>());
    registry.forget();
    let document = project.run(["--offline", "--format", "json", "scan"]).success().json();
    assert_eq!(found(&document), ALL);
    assert_eq!(registry.log().len(), 0);
    let done = update(&project, &registry, &["--ecosystem", "Go"]).success();
    assert!(done.stdout.starts_with("Go@"), "{}", done.stdout);
    project.run(["--offline", "update-db"]).fails(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_still_has_is_not_fetched_again() {
    let registry = Registry::start().await;
    let body = zipped(&worlds()[2].1);
    registry.fault(on("GET", "/dump/Go").edit(move |request, _| {
        let known = request.header("if-none-match") == Some("\"one\"");
        let answer = Response::new(if known { 304 } else { 200 }).header("ETag", "\"one\"");
        if known { answer } else { answer.body(body.clone()) }
    }));
    let project = Project::new();
    let go = ["--ecosystem", "Go", "--db", "kept"];
    assert!(update(&project, &registry, &go).success().stdout.ends_with("(1 records)\n"));
    assert!(update(&project, &registry, &go).success().stdout.ends_with("(unchanged)\n"));
    // An archive that is not what was fetched is fetched again.
    project.write("kept/Go.zip", b"damaged");
    project.write("image.toml", scratch(""));
    let done = project.run(["scan", "--db", "kept"]).fails(5);
    assert!(done.stderr.contains("is not what was fetched"), "{}", done.stderr);
    assert!(update(&project, &registry, &go).success().stdout.ends_with("(1 records)\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_goes_on_where_it_was() {
    let registry = Registry::start().await;
    let many: Vec<_> =
        (0..400).map(|at| record(&format!("GO-{at}"), "Go", &format!("m{at}"), None, json!({}))).collect();
    let whole = zipped(&many);
    let body = whole.clone();
    registry.fault(
        on("GET", "/dump/Go").times(1).reply(
            Response::new(200)
                .header("ETag", "\"one\"")
                .header("Content-Length", whole.len())
                .body(whole.clone())
                .how(How::Cut(20_000)),
        ),
    );
    registry.fault(on("GET", "/dump/Go").edit(move |request, _| {
        assert_eq!((request.header("range"), request.header("if-range")), (Some("bytes=20000-"), Some("\"one\"")));
        let range = format!("bytes 20000-{}/{}", body.len() - 1, body.len());
        Response::new(206).header("ETag", "\"one\"").header("Content-Range", range).body(&body[20_000..])
    }));
    let project = Project::new();
    let done = update(&project, &registry, &["--ecosystem", "Go", "--db", "kept"]).success();
    assert_eq!(done.stdout, format!("Go@{} (400 records)\n", Digest::of(&whole)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_given_up_where_the_file_is_another_one() {
    let registry = Registry::start().await;
    let whole = zipped(&worlds()[2].1);
    let other = zipped(&[worlds()[2].1.clone(), vec![record("GO-9", "Go", "other", None, json!({}))]].concat());
    let first = Response::new(200).header("ETag", "\"one\"").header("Content-Length", whole.len()).body(whole.clone());
    registry.fault(on("GET", "/dump/Go").times(1).reply(first.how(How::Cut(100))));
    registry.fault(on("GET", "/dump/Go").reply(Response::new(200).header("ETag", "\"two\"").body(other.clone())));
    let project = Project::new();
    let go = ["--ecosystem", "Go", "--db", "kept"];
    let done = update(&project, &registry, &go).fails(3);
    assert!(done.stderr.contains("it changed while it was fetched"), "{}", done.stderr);
    assert_eq!(names(&project.path("kept")), [""; 0]);
    let done = update(&project, &registry, &go).success();
    assert_eq!(done.stdout, format!("Go@{} (2 records)\n", Digest::of(&other)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_database_leaves_the_old_one() {
    let registry = Registry::start().await;
    offer(&registry);
    let project = project("");
    update(&project, &registry, &[]).success();
    let before = std::fs::read(project.store().join("osv/Go.zip")).unwrap();
    let go = ["--ecosystem", "Go"];
    let foreign = zipped(&worlds()[0].1);
    for (answer, code) in [
        (Response::new(404), 3),
        (Response::new(200).body("<html>sign in</html>"), 3),
        (Response::new(200).body(foreign), 3),
        (Response::new(200).body(zipped(&[])), 3),
        (Response::new(200).header("Content-Length", 9_u64 << 40).body("x").how(How::Cut(1)), 3),
        (Response::new(302).header("Location", "http://169.254.169.254/all.zip"), 3),
        (Response::new(206).header("Content-Range", "bytes 0-0/1").body("x"), 3),
    ] {
        registry.heal();
        registry.fault(on("GET", "/dump/Go").reply(answer.clone()));
        let done = update(&project, &registry, &go).fails(code);
        assert!(done.stderr.contains("updating the vulnerabilities of `Go`"), "{answer:?}: {}", done.stderr);
        assert_eq!(std::fs::read(project.store().join("osv/Go.zip")).unwrap(), before, "{answer:?}");
        assert!(names(&project.store().join("osv")).iter().all(|name| !name.starts_with('.')), "{answer:?}");
    }
    let document = project.run(["--offline", "--format", "json", "scan"]).success().json();
    assert_eq!(found(&document), ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_is_that_of_the_archive_or_nothing_is_kept() {
    let registry = Registry::start().await;
    offer(&registry);
    let project = Project::new();
    let digest = Digest::of(&zipped(&worlds()[2].1)).to_string();
    let wrong = Digest::of(b"other").to_string();
    let done = update(&project, &registry, &["--ecosystem", "Go", "--db", "kept", "--digest", &wrong]).fails(3);
    assert!(done.stderr.contains(&format!("the archive is {digest}, but it must be {wrong}")), "{}", done.stderr);
    assert_eq!(names(&project.path("kept")), [""; 0]);
    update(&project, &registry, &["--ecosystem", "Go", "--db", "kept", "--digest", &digest]).success();
}

#[test]
fn words_that_make_no_sense_are_refused() {
    let project = Project::new();
    let digest = Digest::of(b"").to_string();
    for words in [
        &["update-db", "--digest", &digest][..],
        &["update-db", "--url", "https://h.test/all.zip"],
        &["update-db", "--url", "ftp://h.test/{ecosystem}", "--ecosystem", "Go"],
        &["update-db", "--url", "http://h.test/{ecosystem}", "--ecosystem", "Go"],
        &["update-db", "--url", "https://me:CANARY-word@h.test/{ecosystem}", "--ecosystem", "Go"],
        &["update-db", "--ecosystem", "../x"],
        &["update-db", "--ecosystem", ""],
        &["scan", "--severity", "huge"],
        &["scan", "--today", "soon"],
        &["scan", "--attach", "report.json"],
        &["scan", "--key", "cosign.key"],
    ] {
        let done = project.run(words).ends();
        assert_eq!(done.code, Some(2), "{words:?}: {}", done.stderr);
    }
}
