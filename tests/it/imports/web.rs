//! `[[archive]]` from the web: fetched once, resumed, verified (check LCK-05).

use super::{Part, gzip, tar};
use crate::registry::{How, On, Registry, Response, on};
use crate::support::{Project, layout, scratch};

/// Serves these bytes, whole or the part that is asked for.
fn file(path: &str, bytes: &[u8]) -> On {
    let bytes = bytes.to_vec();
    on("GET", path).edit(move |request, _| {
        let from = request
            .header("range")
            .and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        match from {
            None => Response::new(200).header("ETag", "\"one\"").body(bytes.clone()),
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                Response::new(206).header("Content-Range", range).body(&bytes[from..])
            }
        }
    })
}

fn ui() -> Vec<u8> {
    let noise: Vec<u8> = (0..200_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    gzip(&tar(&[Part::File("ui/index.html", b"<p>\n", 0o644), Part::File("ui/noise", &noise, 0o644)], 1, 0))
}

fn project(url: &str, bytes: &[u8]) -> Project {
    let sum = layout::digest(bytes).split_off(7);
    let table = format!("[[archive]]\nurl = \"{url}\"\nsha256 = \"{sum}\"\ndest = \"/app\"\nstrip = 1\n");
    Project::of(&scratch(&table))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_once() {
    let registry = Registry::start().await;
    let bytes = ui();
    registry.fault(file("/files/ui.tar.gz", &bytes));
    let project = project(&format!("{}/files/ui.tar.gz?token=x", registry.url()), &bytes);
    let done = project.run(["--offline", "build"]).fails(3);
    assert!(done.stderr.contains("`--offline` forbids") && done.stderr.contains("image.toml:5:7"), "{}", done.stderr);
    let digest = project.digest();
    assert_eq!(registry.log().len(), 1);
    assert_eq!(registry.log()[0].header("authorization"), None);
    for words in [["--offline", "build"], ["--no-cache", "build"]] {
        assert_eq!(project.run(words).success().digest(), digest);
    }
    assert_eq!(registry.log().len(), 1, "the store has it");
    assert_eq!(project.build().image().text("app/index.html"), "<p>\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_is_resumed() {
    let registry = Registry::start().await;
    let bytes = ui();
    let half = bytes.len() / 2;
    let whole = bytes.clone();
    registry.fault(
        on("GET", "/ui")
            .times(1)
            .edit(move |_, _| Response::new(200).header("ETag", "\"one\"").body(whole.clone()).how(How::Cut(half))),
    );
    registry.fault(file("/ui", &bytes));
    project(&format!("{}/ui", registry.url()), &bytes).build();
    let log = registry.log();
    let second = (log[1].header("range"), log[1].header("if-range"));
    assert_eq!((log.len(), second), (2, (Some(format!("bytes={half}-").as_str()), Some("\"one\""))));
    // A server that gives the whole again is fine too.
    registry.heal();
    registry.forget();
    let whole = bytes.clone();
    registry
        .fault(on("GET", "/ui").times(1).edit(move |_, _| Response::new(200).body(whole.clone()).how(How::Cut(half))));
    let whole = bytes.clone();
    registry.fault(on("GET", "/ui").edit(move |_, _| Response::new(200).body(whole.clone()).how(How::Chunked)));
    project(&format!("{}/ui", registry.url()), &bytes).build();
    assert_eq!(registry.log().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lck_05_a_file_that_changed_is_refused() {
    let registry = Registry::start().await;
    let (bytes, other) = (ui(), gzip(&tar(&[Part::File("ui/evil", b"evil", 0o644)], 1, 0)));
    registry.fault(file("/ui.tar.gz", &other));
    let url = format!("{}/ui.tar.gz", registry.url());
    let project = project(&url, &bytes);
    let done = project.run(["build"]).fails(3);
    for word in [layout::digest(&bytes), layout::digest(&other), url] {
        assert!(done.stderr.contains(&word), "`{word}`: {}", done.stderr);
    }
    let kept = crate::support::project::names(&project.store().join("blobs/sha256"));
    assert_eq!(kept, Vec::<String>::new(), "nothing of it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_told() {
    let registry = Registry::start().await;
    let bytes = ui();
    for (status, code, word) in
        [(404, 3, "404"), (401, 3, "without credentials"), (403, 3, "without credentials"), (204, 3, "204")]
    {
        registry.heal();
        registry.fault(on("GET", "/ui").reply(Response::new(status).header("WWW-Authenticate", "Basic realm=\"x\"")));
        let project = project(&format!("{}/ui", registry.url()), &bytes);
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#, registry.name(), "dXNlcjpDQU5BUlktcGFzcw==");
        std::fs::create_dir_all(project.home().join(".docker")).unwrap();
        std::fs::write(project.home().join(".docker/config.json"), config).unwrap();
        let done = project.run(["build"]).fails(code);
        assert!(done.stderr.contains(word) && done.stderr.contains("image.toml:5:7"), "{status}: {}", done.stderr);
    }
    let sent = registry.log();
    assert!(
        sent.iter().all(|request| request.header("authorization").is_none()),
        "no credential of a registry is sent"
    );
    assert_eq!(sent.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn net_01_redirects_keep_the_rules() {
    let (registry, elsewhere) = (Registry::start().await, Registry::start().await);
    let bytes = ui();
    elsewhere.fault(file("/real", &bytes));
    for (to, fine) in [
        (format!("{}/real", elsewhere.url()), true),
        ("http://169.254.169.254/real".into(), false),
        ("ftp://x.test/".into(), false),
    ] {
        registry.heal();
        registry.fault(on("GET", "/ui").reply(Response::new(302).header("Location", &to)));
        let run = project(&format!("{}/ui", registry.url()), &bytes).run(["build"]).ends();
        assert_eq!(run.code, Some(if fine { 0 } else { 3 }), "{to}: {}", run.stderr);
    }
    let project = project("http://files.test/ui.tar.gz", &bytes);
    let done = project.run(["build"]).fails(2);
    assert!(done.stderr.contains("plain http is spoken to this machine only"), "{}", done.stderr);
}

#[test]
fn urls_and_sums_are_checked_before_anything_is_asked() {
    let check = |keys: &str, words: &[&str]| {
        let table = format!("[[archive]]\n{}\ndest = \"/app\"\n", keys.replace('\'', "\""));
        let done = Project::of(&scratch(&table)).run(["--offline", "check"]).fails(2);
        words.iter().for_each(|word| assert!(done.stderr.contains(word), "`{word}`: {}", done.stderr));
    };
    let sum = "0".repeat(64);
    check("url = 'https://a.test/x.tar'", &["what is fetched needs `sha256`", "`sha256sum`"]);
    check(&format!("url = 'ftp://a.test/x.tar'\nsha256 = '{sum}'"), &["it is neither http nor https"]);
    check(&format!("url = 'https://me@a.test/x.tar'\nsha256 = '{sum}'"), &["it holds a user or a password"]);
    check("url = 'https://a.test/x.tar'\nsha256 = '123'", &["`123` is no SHA-256, which has 64 hex digits"]);
    check(&format!("src = 'x.tar'\nurl = 'https://a.test/x.tar'\nsha256 = '{sum}'"), &["`src` and `url` stand in one"]);
    check("strip = 1", &["an `[[archive]]` needs `src` or `url`"]);
    check("src = 'x.tar'", &["`x.tar` does not exist"]);
    check("src = '.'", &["`.` is a directory", "use `[[file]]` to copy a directory"]);
}
