//! Names and digests are checked before any address or path is made of them (checks CON-06, CON-07, CON-10), through the program: whatever
//! is wrong by the grammar, the registry never sees it.

use stillframe::oci::media;

use super::Registry;
use super::stand::digest;
use crate::support::{Project, manifest};

/// Digests that are none.
fn wrong() -> [String; 9] {
    let hex = "ab".repeat(32);
    [
        "sha256:../../../tmp/x".into(),
        format!("sha256:{}", &hex[..63]),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha1:{}", &hex[..40]),
        "sha256:".into(),
        String::new(),
        format!("sha256:{hex}/../x"),
        format!("sha256:{hex} "),
        format!("sha256%3A{hex}"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn con_06_what_is_no_digest_reaches_no_address_and_no_path() {
    let registry = Registry::start().await;
    let right = registry.image("app", "1");
    let at = |digest: &str| format!("{}/app@{digest}", registry.name());
    let project = Project::new();
    for text in wrong() {
        for words in [vec!["pull"], vec!["copy"], vec!["save"], vec!["doctor"]] {
            let done = project.run(words.iter().copied().chain([at(&text).as_str(), "oci:x"])).fails(2);
            assert!(done.stdout.is_empty(), "{text}");
        }
        project.write("image.toml", manifest(&at(&text), ""));
        project.run(["build"]).fails(2);
    }
    assert!(registry.log().is_empty(), "{:?}", registry.told());
    // A manifest that holds one: only the manifest itself was asked for.
    let nul = format!("sha256:{}\\u0000", "ab".repeat(31));
    for text in wrong().into_iter().chain([nul]) {
        for place in ["config", "layer"] {
            let other = digest(b"{}").to_string();
            let (config, layer) = if place == "config" { (text.as_str(), &*other) } else { (&*other, text.as_str()) };
            let document = format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{}","digest":"{config}","size":2}},"layers":[{{"mediaType":"{}","digest":"{layer}","size":2}}]}}"#,
                media::CONFIG,
                media::LAYER
            );
            registry.manifest("app", "bad", media::MANIFEST, document.as_bytes());
            registry.forget();
            let project = Project::new();
            project.run(["pull", &format!("{}/app:bad", registry.name()), "-o", "oci:out"]).fails(3);
            assert_eq!(registry.told(), ["GET /v2/app/manifests/bad"], "{text:?}");
            assert!(project.names("").is_empty());
        }
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{text}","size":2}}]}}"#,
            media::MANIFEST
        );
        registry.manifest("app", "bad", media::INDEX, index.as_bytes());
        registry.forget();
        Project::new().run(["pull", &format!("{}/app:bad", registry.name())]).fails(3);
        assert_eq!(registry.told(), ["GET /v2/app/manifests/bad"], "{text:?}");
    }
    project.run(["pull", &at(&right.to_string())]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn con_07_what_is_no_reference_is_asked_for_nowhere() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    let host = registry.name();
    let project = Project::new();
    for (rest, rule) in [
        ("../x", "must be made of"),
        ("a//b", "is empty"),
        ("UPPER/x", "must be lower case"),
        ("%2e%2e/x", "must be made of"),
        ("a/../b", "must be made of"),
        ("app/", "is empty"),
        ("app:", "is empty"),
        ("app:-x", "must begin with"),
        ("app:a/b", "must be made of"),
        ("app?x=1", "must be made of"),
        ("app#x", "must be made of"),
        (&format!("app:{}", "t".repeat(129)), "128 are allowed"),
        (&"x".repeat(300), "255 characters"),
    ] {
        for words in [["pull", "-q"], ["doctor", "-q"]] {
            let done = project.run(words.into_iter().chain([&*format!("{host}/{rest}")])).fails(2);
            assert!(done.stderr.contains(rule), "{rest}: {}", done.stderr);
        }
        project.write("image.toml", manifest("scratch", &format!("name = \"{host}/{rest}\"")));
        project.run(["push"]).fails(2);
    }
    for name in ["host.test:99999/x", "host.test:0/x", "host..test/x", "ho_st.test/x", "[::1/x", "http://host.test/x"] {
        project.run(["pull", name]).fails(2);
    }
    assert!(registry.log().is_empty(), "{:?}", registry.told());
    project.run(["pull", &format!("{host}/app:1")]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn con_10_a_platform_that_is_not_there_is_never_another_one() {
    let registry = Registry::start().await;
    let entry = |arch: &str| {
        let config = registry.blob("app", arch.as_bytes());
        let image = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[]}}"#,
            media::CONFIG,
            config.digest,
            config.size
        );
        let digest = registry.manifest("app", arch, media::MANIFEST, image.as_bytes());
        let size = image.len();
        format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{arch}"}}}}"#,
            media::MANIFEST
        )
    };
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#, entry("arm64"), entry("s390x"));
    let index = registry.manifest("app", "many", media::INDEX, text.as_bytes());
    let name = format!("{}/app@{index}", registry.name());
    let project = Project::of(&manifest(&name, "platforms = [\"linux/amd64\"]"));
    let build = project.run(["build"]).fails(2);
    let pull = project.run(["pull", &name, "--platform", "linux/amd64"]).ends();
    assert_ne!(pull.code, Some(0));
    for done in [build, pull] {
        assert!(done.stderr.contains("linux/arm64") && done.stderr.contains("linux/s390x"), "{}", done.stderr);
    }
    project.run(["pull", &name, "--platform", "linux/s390x"]).success();
}
