//! `inspect`.

use std::fs;

use serde_json::{Value, json};
use stillframe::oci::media;

use super::{document, odd, project, short};
use crate::registry::Registry;
use crate::support::layout::digest;
use crate::support::{Base, Project, dir, file, manifest};

#[test]
fn one_image_is_shown_whole() {
    let project = Project::new();
    let reference = Base::debian().layer([file("x", "12345")]).write(&project, "deb");
    let told = project.run(["inspect", &reference]).success().stdout.replace(&reference, "REF");
    insta::assert_snapshot!(short(&told), @r#"
    REF
    digest      sha256:0f79
    media type  application/vnd.oci.image.manifest.v1+json
    platform    linux/amd64
    size        2.0 KiB over the wire, 318 B unpacked

    config
    digest       sha256:9985
    created      2024-01-02T03:04:05Z
    entrypoint   ["/entry"]
    cmd          ["bash"]
    workdir      /root
    stop signal  SIGQUIT
    ports        80/tcp
    volumes      /var/lib
    env          PATH=/usr/bin:/bin
    env          LANG=C

    labels
    kept    yes
    vendor  debian

    layers
    LAYER   WIRE  UNPACKED  TYPE  DIGEST                                                                   FROM
        1  798 B     313 B  gzip  sha256:35fd
        2  103 B       5 B  gzip  sha256:992c
    "#);
    let document = document(&project.run(["--format", "json", "inspect", &reference]).success(), "inspect");
    let image = &document["platforms"][0];
    assert_eq!(image["config"]["config"]["StopSignal"], "SIGQUIT");
    let layers = image["layers"].as_array().unwrap();
    let unpacked: u64 = layers.iter().map(|layer| layer["unpacked"].as_u64().unwrap()).sum();
    assert_eq!(image["unpacked"], json!(unpacked));
    let wire: u64 = layers.iter().map(|layer| layer["wire"].as_u64().unwrap()).sum();
    assert!(document["wire"].as_u64().unwrap() > wire);
}

#[test]
fn documents_are_printed_byte_for_byte() {
    let project = Project::new();
    let reference = odd().write_several(&project, "several");
    let blob =
        |digest: &str| fs::read_to_string(project.path(&format!("several/blobs/sha256/{}", &digest[7..]))).unwrap();
    let root = reference.rsplit('@').next().unwrap();
    assert_eq!(project.run(["inspect", &reference, "--raw"]).success().stdout, blob(root));
    let one = project.run(["inspect", &reference, "--raw", "--platform", "linux/arm64"]).success().stdout;
    let child: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one, blob(&digest(one.as_bytes())));
    let config = project.run(["inspect", &reference, "--config", "--platform", "linux/arm64"]).success().stdout;
    assert_eq!(config, blob(child["config"]["digest"].as_str().unwrap()));
    project.run(["inspect", &reference, "--config"]).fails(2);
    project.run(["inspect", &reference, "--config", "--raw"]).fails(2);
}

#[test]
fn platforms_stand_in_a_table() {
    let project = Project::new();
    odd().write_several(&project, "several");
    let told = project.run(["inspect", "oci:several"]).success().stdout;
    assert!(told.contains("PLATFORM") && told.contains("\nlinux/arm64  sha256:"), "{told}");
    assert!(!told.contains("entrypoint") && told.contains("`--platform linux/amd64` shows all of one"), "{told}");
    let document = document(&project.run(["--format", "json", "inspect", "oci:several"]).success(), "inspect");
    let platforms: Vec<&Value> = document["platforms"].as_array().unwrap().iter().map(|one| &one["platform"]).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    // What both share is sent once.
    let sum: u64 = document["platforms"].as_array().unwrap().iter().map(|one| one["wire"].as_u64().unwrap()).sum();
    assert!(document["wire"].as_u64().unwrap() < sum + document["size"].as_u64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_in_a_registry_are_read_when_asked() {
    let (project, reference) = project();
    let registry = Registry::start().await;
    let there = format!("{}/acme/odd:1", registry.name());
    project.run(["copy", &reference, &there]).success();
    let store = project.path("fresh");
    let inspect = |words: &[&str]| {
        let words = ["--format", "json", "inspect", &there].into_iter().chain(words.iter().copied());
        document(&project.run(words).env("STILLFRAME_HOME", &store).success(), "inspect")["platforms"][0].clone()
    };
    registry.forget();
    let first = inspect(&[]);
    assert_eq!((&first["unpacked"], &first["layers"][0]["unpacked"]), (&Value::Null, &Value::Null));
    assert_eq!(registry.count("GET", "/blobs/"), 1, "the config, and no layer");
    let text = project.run(["inspect", &there]).env("STILLFRAME_HOME", &store).success().stdout;
    assert!(text.contains("over the wire, unknown unpacked"), "{text}");
    let read = inspect(&["--unpacked"]);
    assert_eq!(read["unpacked"], 61);
    // What was read once is known.
    assert_eq!(inspect(&[])["unpacked"], 61);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_an_image_is_named_and_not_verified() {
    let registry = Registry::start().await;
    let (project, reference) = project();
    project.write("sbom.json", "{\"spdxVersion\": \"SPDX-2.3\"}");
    let name = format!("{}/app:1", registry.name());
    project.run(["copy", &reference, &name]).success();
    let image = reference.rsplit('@').next().unwrap();
    project.run(["keygen"]).env("COSIGN_PASSWORD", "").success();
    let sign = |words: &[&str]| {
        let words = words.iter().copied().chain([name.as_str(), "--key", "cosign.key"]);
        project.run(words).env("COSIGN_PASSWORD", "").success()
    };
    sign(&["sign"]);
    sign(&["attest", "--type", "spdxjson", "--predicate", "sbom.json"]);
    let other = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": "application/vnd.acme.notes",
        "config": registry.blob("app", b"{}"), "layers": [registry.blob("app", b"notes")],
        "subject": {"mediaType": media::MANIFEST, "digest": image, "size": registry.shelf("app").manifests[image].1.len()}});
    registry.manifest("app", "notes", media::MANIFEST, other.to_string().as_bytes());
    let document = document(&project.run(["--format", "json", "inspect", &name]).success(), "inspect");
    let mut found: Vec<String> = document["attached"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert_eq!(one["subject"], image);
            format!("{} {} {}", one["kind"].as_str().unwrap(), one["format"].as_str().unwrap(), one["says"])
        })
        .collect();
    found.sort();
    let spdx = "\"https://spdx.dev/Document\"";
    let expect = [
        "artifact referrer \"application/vnd.acme.notes\"".to_string(),
        format!("attestation bundle {spdx}"),
        format!("attestation legacy {spdx}"),
        "signature bundle \"https://sigstore.dev/cosign/sign/v1\"".to_string(),
        "signature legacy null".to_string(),
    ];
    assert_eq!(found, expect);
    let text = project.run(["inspect", &name]).success().stdout;
    assert!(text.contains("signatures and attestations (found, not verified)"), "{text}");
    registry.forget();
    let without = project.run(["--format", "json", "inspect", &name, "--no-referrers"]).success().json();
    assert_eq!((&without["attached"], registry.count("GET", "/referrers/")), (&json!([]), 0));
}

#[test]
fn attestations_in_an_index_are_named_too() {
    let project = Project::new();
    let base = Base::of([file("a", "1")]);
    let image = base.write(&project, "lay");
    let image = image.rsplit('@').next().unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = digest(bytes);
        project.write(&format!("lay/blobs/sha256/{}", &digest[7..]), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let mut statement = put("application/vnd.in-toto+json", b"{}");
    statement["annotations"] = json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"});
    let config =
        put(media::CONFIG, br#"{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}"#);
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [statement]});
    let mut child = put(media::MANIFEST, manifest.to_string().as_bytes());
    child["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    child["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image});
    let size = fs::metadata(project.path(&format!("lay/blobs/sha256/{}", &image[7..]))).unwrap().len();
    let platform = json!({"os": "linux", "architecture": "amd64"});
    let first = json!({"mediaType": media::MANIFEST, "digest": image, "size": size, "platform": platform});
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [first, child]});
    let root = put(media::INDEX, index.to_string().as_bytes());
    project.write("lay/index.json", json!({"schemaVersion": 2, "manifests": [root]}).to_string());
    let document = document(&project.run(["--format", "json", "inspect", "oci:lay", "--verify"]).success(), "inspect");
    assert_eq!(document["platforms"].as_array().unwrap().len(), 1);
    let found = &document["attached"][0];
    assert_eq!((&found["kind"], &found["format"]), (&json!("attestation"), &json!("index")));
    assert_eq!((&found["says"], &found["subject"]), (&json!("https://slsa.dev/provenance/v1"), &json!(image)));
}

#[test]
fn con_04_a_wrong_diff_id_is_found_by_inspect_verify() {
    let project = Project::new();
    let rest = json!({"rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "1".repeat(64))]}});
    let reference = Base::of([file("a", "1")]).rest(rest).write(&project, "lies");
    project.run(["inspect", "--raw", &reference]).success();
    for _ in 0..2 {
        let refused = project.run(["inspect", &reference, "--verify"]).fails(4);
        assert!(
            refused.stderr.contains("error[digest]") && refused.stderr.contains("its diff ID is"),
            "{}",
            refused.stderr
        );
        let refused = project.run(["--format", "json", "inspect", &reference, "--verify"]).fails(4);
        assert_eq!(refused.findings(), ["digest"]);
        // Reading the layer for anything else refuses it too, as a base does.
        project.run(["files", &reference]).fails(3);
    }
    let good = odd().write(&project, "good");
    let told = project.run(["inspect", &good, "--verify"]).success().stdout;
    assert!(told.contains("8 digests and diff IDs were derived again, all are right"), "{told}");
}

#[test]
fn a_byte_that_rots_in_a_layout_is_found_although_the_store_has_it_whole() {
    let (project, reference) = project();
    let document = document(&project.run(["--format", "json", "inspect", &reference]).success(), "inspect");
    for (what, name) in [
        ("layer", &document["platforms"][0]["layers"][1]["digest"]),
        ("config", &document["platforms"][0]["configDigest"]),
    ] {
        let path = project.path(&format!("odd/blobs/sha256/{}", &name.as_str().unwrap()[7..]));
        let whole = fs::read(&path).unwrap();
        let mut broken = whole.clone();
        broken[20] ^= 1;
        fs::write(&path, broken).unwrap();
        let refused = project.run(["inspect", &reference, "--verify"]).fails(4);
        assert!(refused.stderr.contains(name.as_str().unwrap()), "{what}: {}", refused.stderr);
        fs::write(&path, whole).unwrap();
    }
    project.run(["inspect", &reference, "--verify"]).success();
}

#[test]
fn the_work_tree_is_inspected_before_it_is_shipped() {
    let project = Project::of(&manifest("scratch", "user = \"7\"\n[[file]]\ndest = \"/x\"\ncontent = \"x\""));
    let document = document(&project.run(["--format", "json", "inspect"]).success(), "inspect");
    assert_eq!(document["digest"], project.digest());
    assert_eq!(document["platforms"][0]["config"]["config"]["User"], "7");
    let refused = project.run(["inspect", "--verify"]).fails(2);
    assert!(refused.stderr.contains("stillframe reproduce"), "{}", refused.stderr);
    let raw = project.run(["inspect", "--raw"]).success().stdout;
    assert_eq!(digest(raw.as_bytes()), project.digest());
    let other = Base::of([dir("a")]);
    other.write(&project, "other");
    project.run(["inspect", "oci:other", "--platform", "linux/arm64"]).success(); // one image is what it is
}

#[test]
fn what_is_no_image_is_shown_by_its_blobs() {
    let project = Project::new();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = digest(bytes);
        project.write(&format!("chart/blobs/sha256/{}", &digest[7..]), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let config = put("application/vnd.cncf.helm.config.v1+json", b"{}");
    let layer = put("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart");
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [layer]});
    let root = put(media::MANIFEST, manifest.to_string().as_bytes());
    project.write("chart/index.json", json!({"schemaVersion": 2, "manifests": [root]}).to_string());
    let document =
        document(&project.run(["--format", "json", "inspect", "oci:chart", "--verify"]).success(), "inspect");
    assert_eq!((&document["platforms"], document["verified"].as_u64()), (&json!([]), Some(3)));
    assert_eq!(document["blobs"][1]["digest"], layer["digest"]);
    let text = project.run(["inspect", "oci:chart"]).success().stdout;
    assert!(text.contains("blobs") && text.contains("application/vnd.cncf.helm.chart.content.v1.tar+gzip"), "{text}");
    let refused = project.run(["files", "oci:chart"]).fails(2);
    assert!(refused.stderr.contains("no image in it that could run"), "{}", refused.stderr);
}
