//! The daily commands, run against registries in this process, layouts, archives and the store.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use stillframe::oci::{Digest, media};

use crate::registry::{Registry, on};
use crate::support::layout::{Layout, digest};
use crate::support::{Base, Project, dir, file};

/// What must never be shown; each run is searched for it.
const CANARY: &str = "CANARY-3f9c";

/// A project with a layout of two platforms, one of them in an index of its own, and an attestation.
fn project() -> (Project, String) {
    let project = Project::new();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = digest(bytes);
        project.write(&format!("base/blobs/sha256/{}", &digest[7..]), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let child = |text: &str, architecture: &str| {
        let reference = Base::of([dir("etc"), file("etc/motd", text)]).write(&project, "base");
        let digest = reference.rsplit('@').next().unwrap().to_string();
        let size = fs::metadata(project.path(&format!("base/blobs/sha256/{}", &digest[7..]))).unwrap().len();
        json!({"mediaType": media::MANIFEST, "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let index = |children: Value| {
        let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": children});
        put(media::INDEX, index.to_string().as_bytes())
    };
    let (amd64, arm64) = (child("amd64", "amd64"), child("arm64", "arm64"));
    let config = put(media::CONFIG, b"{}");
    let statement = put("application/vnd.in-toto+json", b"{\"predicate\":{}}");
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [statement]});
    let mut attestation = put(media::MANIFEST, manifest.to_string().as_bytes());
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let root = index(json!([amd64, index(json!([arm64])), attestation]));
    project.write("base/index.json", json!({"schemaVersion": 2, "manifests": [root]}).to_string());
    let whole = root["digest"].as_str().unwrap().to_string();
    (project, whole)
}

/// A project with a layout of one platform.
fn single() -> (Project, String) {
    let project = Project::new();
    let reference = Base::of([dir("etc"), file("etc/motd", "hello\n")]).write(&project, "base");
    let whole = reference.rsplit('@').next().unwrap().to_string();
    (project, whole)
}

/// A small artifact that refers to a digest.
fn referrer(registry: &Registry, repository: &str, tag: &str, subject: &str, size: usize, text: &str) -> Digest {
    let blob = registry.blob(repository, text.as_bytes());
    let config = registry.blob(repository, b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": "application/test",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config.digest, "size": 2},
        "layers": [{"mediaType": "application/test", "digest": blob.digest, "size": blob.size}],
        "subject": {"mediaType": media::MANIFEST, "digest": subject, "size": size},
    });
    registry.manifest(repository, tag, media::MANIFEST, manifest.to_string().as_bytes())
}

#[test]
fn an_image_goes_round_and_keeps_its_digest() {
    let (project, whole) = project();
    let copied = project.run(["copy", "oci:base", "oci:lay:v1", "oci-archive:a.tar", "store"]).success();
    assert_eq!(copied.stdout, format!("oci:lay@{whole}\noci-archive:a.tar@{whole}\n{whole}\n"));
    for (from, to) in [("oci:lay:v1", "oci:1"), ("oci-archive:a.tar", "oci:2"), (whole.as_str(), "oci:3")] {
        project.run(["pull", from, "-o", to]).success();
        assert_eq!(Layout::open(&project.path(&to[4..])).digest(), whole, "{from}");
    }
    assert_eq!(Layout::open(&project.path("lay")).index["manifests"][0]["annotations"][media::REF_NAME], "v1");
    project.run(["save", &whole, "s.tar"]).success();
    assert_eq!(project.run(["load", "s.tar"]).success().digest(), whole);
    assert_eq!(project.run(["load", "lay"]).success().digest(), whole, "a layout is loaded too");
}

#[test]
fn an_archive_for_engines_takes_one_platform_and_can_be_loaded() {
    let (project, _) = project();
    let refused = project.run(["save", "--docker", "oci:base", "d.tar"]).fails(2);
    assert!(refused.stderr.contains("--platform"), "{}", refused.stderr);
    assert!(!project.path("d.tar").exists());
    let one = project.run(["save", "--docker", "--platform", "linux/arm64", "oci:base", "d.tar"]).success().digest();
    let loaded = project.run(["load", "d.tar"]).success().digest();
    // The manifest is made anew, from what the archive holds; config and layers are the same.
    let layers = |reference: &str, to: &str| {
        project.run(["pull", reference, "-o", &format!("oci:{to}")]).success();
        let image = Layout::open(&project.path(to)).image();
        (image.manifest["layers"].clone(), image.manifest["config"]["digest"].clone())
    };
    assert_eq!(layers(&loaded, "1"), layers(&format!("oci:base@{one}"), "2"));
}

#[test]
fn an_archive_that_lies_is_refused() {
    let layer = b"not what the config says".to_vec();
    let write = |project: &Project, diff_id: &str| {
        let config =
            json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
        let list = json!([{"Config": "c.json", "Layers": ["x/layer.tar"], "RepoTags": ["acme/app:1"]}]);
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in [
            ("c.json", config.to_string().into_bytes()),
            ("x/layer.tar", layer.clone()),
            ("manifest.json", list.to_string().into_bytes()),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, bytes.as_slice()).unwrap();
        }
        project.write("d.tar", builder.into_inner().unwrap());
    };
    let project = Project::new();
    write(&project, &digest(b"something else"));
    let refused = project.run(["load", "d.tar"]).fails(2);
    assert!(refused.stderr.contains("is refused"), "{}", refused.stderr);
    write(&project, &digest(&layer));
    let loaded = project.run(["load", "d.tar"]).success();
    assert!(loaded.stdout.starts_with("docker.io/acme/app@sha256:"), "{}", loaded.stdout);
    project.run(["pull", "store:acme/app:1", "-o", "oci:out"]).success();
    project.run(["pull", "store:acme/app:2", "-o", "oci:out2"]).fails(5);
    project.run(["load", "nothing.tar"]).fails(5);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_keeps_digests_and_carries_what_belongs_to_an_image() {
    let (project, whole) = single();
    let (from, to) = (Registry::start().await, Registry::start().await);
    to.set(|model| model.referrers = false);
    let source = format!("{}/acme/app:1", from.name());
    project.run(["copy", "oci:base", &source]).success();
    let size = from.shelf("acme/app").manifests[&whole].1.len();
    let sbom = referrer(&from, "acme/app", "sbom", &whole, size, "sbom");
    let above = referrer(&from, "acme/app", "above", &sbom.to_string(), 1, "signature of the sbom");
    let signature = from.image("acme/app", &format!("{}.sig", whole.replace(':', "-")));

    let target = format!("{}/new/app:2", to.name());
    let done = project.run(["--format", "json", "copy", &source, &target]).success().json();
    let shelf = to.shelf("new/app");
    for digest in [whole.clone(), sbom.to_string(), above.to_string(), signature.to_string()] {
        let ours = from.shelf("acme/app").manifests[&digest].clone();
        assert_eq!(shelf.manifests.get(&digest), Some(&ours), "{digest}");
    }
    assert_eq!(shelf.tags["2"], whole);
    assert_eq!(shelf.tags[&format!("{}.sig", whole.replace(':', "-"))], signature.to_string());
    let list = &shelf.manifests[&shelf.tags[&whole.replace(':', "-")]].1;
    let list: Value = serde_json::from_slice(list).unwrap();
    assert_eq!(list["manifests"][0]["digest"], sbom.to_string(), "the registry has no API, so the tag lists it");
    assert_eq!(done["referrers"].as_array().unwrap().len(), 3);

    let last = to.log().into_iter().rfind(|request| request.method == "PUT").unwrap();
    assert!(last.path.ends_with("/manifests/2"), "the tag comes last, not {}", last.path);
    to.forget();
    project.run(["copy", "--no-referrers", &source, &target]).success();
    assert_eq!(to.count("POST", "/blobs/uploads/"), 0, "nothing is uploaded that is there");
    project.run(["copy", "--no-referrers", &source, &format!("{}/bare/app:1", to.name())]).success();
    assert_eq!(to.shelf("bare/app").manifests.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_mounts_within_a_registry() {
    let (project, whole) = project();
    let registry = Registry::start().await;
    let at = |name: &str| format!("{}/{name}", registry.name());
    project.run(["copy", "oci:base", &at("a:1")]).success();
    registry.forget();
    let done = project.run(["--format", "json", "copy", &at("a:1"), &at("b:1"), &at("c:1")]).success().json();
    assert!(registry.count("POST", "mount=") > 0);
    assert_eq!(registry.count("PUT", "/blobs/uploads/"), 0, "{:?}", registry.told());
    let objects = done["destinations"][0]["pushed"]["objects"].as_array().unwrap().clone();
    assert!(objects.iter().any(|object| object["how"] == "mounted"), "{objects:?}");
    assert_eq!((&registry.shelf("b").tags["1"], &registry.shelf("c").tags["1"]), (&whole, &whole));

    registry.set(|model| model.mounts = false);
    project.run(["copy", &at("a:1"), &at("d:1")]).success();
    assert_eq!(registry.shelf("d").tags["1"], whole, "without mounts the bytes are sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lies_moves_no_tag() {
    let (project, _) = single();
    let (from, to) = (Registry::start().await, Registry::start().await);
    let (source, target) = (format!("{}/a:1", from.name()), format!("{}/b:1", to.name()));
    project.run(["copy", "oci:base", &source]).success();
    from.fault(on("GET", "/blobs/").edit(|_, response| {
        let mut body = response.body.clone();
        if let Some(byte) = body.first_mut() {
            *byte ^= 1;
        }
        response.body(body)
    }));
    let other = Project::new();
    other.run(["copy", &source, &target]).fails(3);
    assert!(to.shelf("b").tags.is_empty());
    from.heal();
    other.run(["copy", &source, &target]).success();
    assert_eq!(to.shelf("b").tags.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_moves_no_bytes() {
    let project = Project::new();
    let registry = Registry::start().await;
    let digest = registry.image("acme/app", "1").to_string();
    let name = format!("{}/acme/app", registry.name());
    let done = project.run(["tag", &format!("{name}:1"), "1.0", "stable"]).success();
    assert_eq!(done.stdout, format!("{name}@{digest}\n"));
    assert_eq!(registry.shelf("acme/app").tags["stable"], digest);
    assert_eq!(registry.count("*", "blobs"), 0);
    assert_eq!(registry.count("GET", "/blobs/"), 0);
    registry.image("acme/app", "2");
    registry.blob("acme/app", b"x");
    registry.set(|model| model.immutable = true);
    project.run(["tag", &format!("{name}@{digest}"), "stable"]).success();
    project.run(["tag", &format!("{name}:none"), "x"]).fails(3);
    project.run(["tag", "oci:out", "x"]).fails(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_keeps_only_what_the_registry_takes() {
    let project = Project::new().file("right", format!("{CANARY}\n")).file("wrong", format!("not-{CANARY}\n"));
    let registry = Registry::start().await;
    registry.basic("ann", CANARY).image("acme/app", "1");
    let name = registry.name();
    let login = |from: &str| {
        let run = project.run(["login", &name, "-u", "ann", "--password-stdin"]);
        run.env("DOCKER_CONFIG", project.path("docker")).after(&format!("exec < {from}"))
    };
    let pull = || project.run(["pull", &format!("{name}/acme/app:1")]).env("DOCKER_CONFIG", project.path("docker"));
    login("wrong").fails(3);
    assert!(!project.path("docker/config.json").exists(), "nothing is kept that was not taken");
    pull().fails(3);
    let done = login("right").success();
    assert!(done.stderr.contains("plain text"), "{}", done.stderr);
    let mode = fs::metadata(project.path("docker/config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    pull().success();
    let doctor = project.run(["-vv", "--format", "json", "doctor", &format!("{name}/acme/app:1")]);
    let doctor = doctor.env("DOCKER_CONFIG", project.path("docker")).success();
    assert!(doctor.stdout.contains("ann"), "the account is named: {}", doctor.stdout);
    project.run(["logout", &name]).env("DOCKER_CONFIG", project.path("docker")).success();
    pull().fails(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_without_anybody_to_ask_says_how() {
    let project = Project::new();
    let refused = project.run(["login", "registry.test"]).fails(2);
    assert!(refused.stderr.contains("--password-stdin"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_what_a_registry_can_do() {
    let project = Project::new();
    let registry = Registry::start().await;
    registry.image("acme/app", "1");
    let ask = || {
        let done = project.run(["--format", "json", "doctor", &format!("{}/acme/app:1", registry.name())]).success();
        let checks = done.json()["checks"].as_array().unwrap().clone();
        let one = |check: &Value| format!("{} {}", check["what"].as_str().unwrap(), check["state"].as_str().unwrap());
        checks.iter().map(one).collect::<Vec<_>>()
    };
    let before = registry.shelf("acme/app").blobs.len();
    let told = ask();
    for line in ["ping ok", "manifest HEAD ok", "referrers API ok", "chunked upload ok", "mount ok", "delete ok"] {
        assert!(told.contains(&line.to_string()), "{line}: {told:?}");
    }
    assert_eq!(registry.shelf("acme/app").blobs.len(), before, "nothing is left behind");
    registry.set(|model| (model.referrers, model.mounts) = (false, false));
    registry.fault(on("PATCH", "/blobs/uploads/").status(405));
    registry.fault(on("DELETE", "/manifests/").status(405));
    let told = ask();
    for line in ["referrers API no", "chunked upload no", "mount no", "delete no"] {
        assert!(told.contains(&line.to_string()), "{line}: {told:?}");
    }
    // What could not be found out is not a no.
    registry.heal();
    for (method, path, status) in
        [("GET", "/referrers/", 418), ("POST", "/uploads/", 401), ("DELETE", "/manifests/", 404)]
    {
        registry.fault(on(method, path).status(status));
    }
    let told = ask();
    for line in ["referrers API unknown", "chunked upload unknown", "mount unknown", "delete unknown"] {
        assert!(told.contains(&line.to_string()), "{line}: {told:?}");
    }
    project.run(["doctor"]).success();
    project.run(["doctor", "127.0.0.1:1"]).fails(3);
}
