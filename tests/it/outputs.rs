//! Where images go: layouts, archives, several at once, and what is left after a failure.

use std::fs;
use std::io::Read;

use serde_json::{Value, json};

use super::support::layout::digest;
use super::support::{Base, Project, manifest, scratch};

/// A project whose file `content` decides its digest.
fn project(content: &str) -> Project {
    let rest = "created = \"fixed\"\n[[file]]\nsrc = \"content\"\ndest = \"/content\"\n";
    Project::of(&scratch(rest)).file("content", content)
}

#[test]
fn several_destinations_at_once() {
    let project = project("a");
    let done = project.run(["build", "-o", "oci:one", "-o", "oci:two", "-o", "oci-archive:three.tar"]).success();
    let digest = done.digest();
    assert_eq!([project.layout("one").digest(), project.layout("two").digest()], [digest.clone(), digest.clone()]);
    fs::create_dir(project.path("three")).unwrap();
    let archive = fs::File::open(project.path("three.tar")).unwrap();
    tar::Archive::new(archive).unpack(project.path("three")).unwrap();
    assert_eq!(project.layout("three").digest(), digest);
    project.run(["build", "-o", "oci:one", "-o", "oci:one", "-o", "store"]).success();
    project.run(["build", "-o", "oci:new", "-o", "oci:new"]).success();
    fs::remove_dir_all(project.path("new")).unwrap();
    assert_eq!(project.names(""), ["content", "image.toml", "one", "three", "three.tar", "two"]);
}

#[test]
fn a_layout_keeps_its_other_images() {
    let project = project("a");
    let first = project.build().digest();
    let mut index: Value = serde_json::from_slice(&fs::read(project.path("out/index.json")).unwrap()).unwrap();
    index["manifests"][0]["annotations"] = json!({"org.opencontainers.image.ref.name": "other"});
    project.write("out/index.json", index.to_string());
    project.write("content", "b");
    let layout = project.build();
    let names: Vec<(&Value, &Value)> = layout.index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["digest"], &entry["annotations"]["org.opencontainers.image.ref.name"]))
        .collect();
    assert_eq!(names, [(&json!(first), &json!("other")), (&json!(layout.digest()), &json!("latest"))]);
    project.write("content", "c");
    assert_eq!(project.build().index["manifests"].as_array().unwrap().len(), 2, "ours takes the place of ours");
}

#[test]
fn sta_14_a_failure_half_way_leaves_the_old_layout() {
    let project = project("a");
    let old = project.build().digest();
    project.write("content", "b");
    let new = project.run(["build", "-o", "oci:elsewhere"]).success().digest();
    let manifest = new.strip_prefix("sha256:").unwrap();
    fs::create_dir(project.path("out/blobs/sha256").join(manifest)).unwrap();
    let done = project.run(["build", "-o", "oci:out"]).fails(5);
    assert!(done.stderr.contains(manifest), "{}", done.stderr);
    assert_eq!(done.stdout, "");
    fs::remove_dir(project.path("out/blobs/sha256").join(manifest)).unwrap();
    assert_eq!(project.layout("out").digest(), old, "whole and valid");
    assert_eq!(project.build().digest(), new);
}

#[test]
fn a_damaged_blob_of_the_layout_is_written_again() {
    let project = project("a");
    let digest = project.build().digest();
    for name in project.names("out/blobs/sha256") {
        project.write(&format!("out/blobs/sha256/{name}"), "spoilt");
    }
    assert_eq!(project.build().digest(), digest);
}

#[test]
fn what_is_no_layout_is_refused() {
    let project =
        project("a").file("directory/file", "").file("file", "").file("odd/oci-layout", "").file("odd/index.json", "{");
    for to in ["oci:directory", "oci:file", "oci:odd", "oci-archive:directory", "docker-archive:directory"] {
        project.run(["build", "-o", to]).fails(5);
    }
    assert_eq!(
        (project.names("directory"), project.names("odd")),
        (vec!["file".into()], vec!["index.json".into(), "oci-layout".into()])
    );
    fs::create_dir(project.path("out")).unwrap();
    project.build();
}

#[test]
fn an_archive_for_docker() {
    for compression in ["gzip", "zstd", "none"] {
        let project = Project::new();
        let base = Base::debian().compressed(compression).write(&project, "base");
        let rest = format!(
            "name = \"registry.example.com/team/app\"\ncompression = \"{compression}\"\n[[file]]\ndest = \"/x\"\ncontent = \"x\"\n"
        );
        let project = project.file("image.toml", manifest(&base, &rest));
        let image = project.build().image();
        project.run(["build", "-o", "docker-archive:image.tar"]).success();
        let mut files = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(fs::File::open(project.path("image.tar")).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().to_str().unwrap().to_string(), bytes);
        }
        let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(list[0]["RepoTags"], json!(["registry.example.com/team/app:latest"]));
        let config = &files[list[0]["Config"].as_str().unwrap()];
        assert_eq!(json!(digest(config)), image.manifest["config"]["digest"]);
        let layers = list[0]["Layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        for (name, layer) in layers.iter().zip(&image.layers) {
            let bytes = &files[name.as_str().unwrap()];
            let mut plain = Vec::new();
            match compression {
                "gzip" => drop(flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap()),
                _ => plain.clone_from(bytes),
            }
            assert_eq!(digest(&plain), digest(&layer.tar), "{compression}");
        }
    }
}

#[test]
fn what_takes_one_platform_is_told_which() {
    let project = Project::of(&scratch("platforms = [\"linux/amd64\", \"linux/arm64\"]"));
    let done = project.run(["build", "-o", "docker-archive:image.tar"]).fails(2);
    assert!(done.stderr.contains("--platform"), "{}", done.stderr);
    project.run(["build", "-o", "oci:out", "-o", "docker-archive:image.tar"]).fails(2);
    assert_eq!(project.names(""), ["image.toml"]);
    project.run(["build", "--platform", "linux/arm64", "-o", "docker-archive:image.tar"]).success();
    project.run(["build", "-o", "oci-archive:both.tar"]).success();
}

#[test]
fn all_destinations_are_looked_at_before_anything_is_built() {
    let platforms = "platforms = [\"linux/amd64\", \"linux/arm64\"]";
    let project = Project::of(&scratch(&format!("{platforms}\n[[file]]\ndest = \"/x\"\ncontent = \"x\"")));
    let good = ["build", "-o", "oci:out"];
    let bad = ["-o", "registry", "-o", "docker", "-o", "oci:no/such/out", "--receipt", "none/receipt.json"];
    let done = project.run(good.iter().chain(&bad)).fails(2);
    for words in ["does not say where to push", "`--platform linux/amd64`", "`mkdir -p no/such`", "`mkdir -p none`"] {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    assert_eq!(done.stdout, "");
    for bad in [&bad[..2], &bad[2..4], &bad[4..6], &bad[6..]] {
        project.run(good.iter().chain(bad)).ends();
        assert_eq!(project.names(""), ["image.toml"], "{bad:?}");
        assert!(!project.store().join("blobs").exists(), "{bad:?}");
    }
    project.run(good.iter().chain(&["-o", "oci-archive:out/image.tar", "--receipt", "out/receipt.json"])).success();
    assert_eq!(project.names(""), ["image.toml", "out"]);
}
