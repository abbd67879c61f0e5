//! `[[copy]]` from other images: what is taken, how it looks, and which layers are read for it.

use stillframe::oci::media;

use crate::registry::Registry;
use crate::support::{Base, Project, dir, file, layout, link, manifest, tables};

/// A project with the image `tools`, and one `[[copy]]` from it.
fn project(image: &Base, keys: &str) -> Project {
    let project = Project::new();
    let reference = image.write(&project, "tools");
    let table = tables(&[("copy", &format!("from = '{reference}'; {keys}"))]);
    project.file("image.toml", manifest("scratch", &table))
}

fn tools() -> Base {
    Base::of([
        dir("usr"),
        dir("usr/lib").owned(0o755, 0, 0),
        file("usr/lib/libz.so.1.3", "\x7fELF z").owned(0o644, 0, 0),
        link("usr/lib/libz.so.1", "libz.so.1.3"),
        link("lib", "usr/lib"),
        dir("opt").owned(0o700, 5, 5),
        dir("opt/tool").owned(0o2750, 5, 5),
        file("opt/tool/run", "#!/bin/sh\n").owned(0o4711, 5, 5),
        file("opt/tool/secret", "s").owned(0o600, 5, 5),
        link("opt/tool/out", "/etc/tool"),
        file("opt/old", "old"),
    ])
    .layer([dir("opt"), file("opt/.wh.old", ""), dir("opt/tool/data"), file("opt/tool/data/x", "upper")])
}

#[test]
fn a_file_is_taken_through_the_links_of_its_image() {
    let image = project(&tools(), "src = '/lib/libz.so.1'; dest = '/lib/'").build().image();
    assert_eq!(image.layer_names(), ["imports"]);
    assert_eq!(image.listing(), ["d 0755 0:0 lib", "f 0644 0:0 lib/libz.so.1"]);
    let image = project(&tools(), "src = '/opt/tool/run'; dest = '/run'; mode = '4755'; owner = '7'").build().image();
    assert_eq!(image.listing(), ["f 4755 7:7 run"]);
}

#[test]
fn a_directory_keeps_modes_and_links_and_nothing_else() {
    let project = project(&tools(), "src = '/opt/tool'; dest = '/tool'");
    let done = project.run(["build", "-o", "oci:out"]).success();
    assert!(
        done.stderr.contains("warning[host-mode]") && done.stderr.contains("`run` in `/opt/tool of oci:tools@"),
        "{}",
        done.stderr
    );
    let listing = [
        "d 0755 0:0 tool",
        "d 0755 0:0 tool/data",
        "f 0644 0:0 tool/data/x",
        "l 0777 0:0 tool/out -> /etc/tool",
        "f 0711 0:0 tool/run",
        "f 0600 0:0 tool/secret",
    ];
    assert_eq!(project.layout("out").image().listing(), listing);
    let keys = "src = '/opt'; dest = '/o'; exclude = ['secret', 'out', 'data']; dir-mode = '0500'; mode = '0400'; owner = '1:2'";
    let image = self::project(&tools(), keys).build().image();
    assert_eq!(image.listing(), ["d 0755 0:0 o", "d 0500 1:2 o/tool", "f 0400 1:2 o/tool/run"], "a whiteout hides");
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let check = |keys: &str, words: &[&str]| {
        let done = project(&tools(), keys).run(["build"]).fails(2);
        words.iter().for_each(|word| assert!(done.stderr.contains(word), "`{word}`: {}", done.stderr));
    };
    check(
        "src = '/opt/tool/rum'; dest = '/x'",
        &["`/opt/tool/rum` does not exist in `oci:tools@", "did you mean `/opt/tool/run`?"],
    );
    check("src = '/optt/tool'; dest = '/x'", &["did you mean `/opt`?"]);
    check("src = '/opt/old'; dest = '/x'", &["does not exist"]);
    check("src = '/opt/tool/run/'; dest = '/x'", &["is no directory of"]);
    check("src = '/opt/tool'; dest = '/x'; include = ['*.so']", &["`*.so` matches nothing in `/opt/tool of oci:tools"]);
    check("src = '/opt/tool/run'; dest = '/x'; include = ['*.so']", &["has nothing to choose from"]);
    check("src = 'opt'; dest = '/x'", &["it must be absolute"]);
    let done =
        Project::of(&manifest("scratch", "[[copy]]\nfrom = \"registry.test/go:1\"\nsrc = \"/a\"\ndest = \"/a\""));
    let done = done.run(["--offline", "build"]).fails(2);
    assert!(done.stderr.contains("the image `registry.test/go:1` lacks its digest"), "{}", done.stderr);
    let done = Project::of(&manifest("scratch", "[[copy]]\nfrom = \"scratch\"\nsrc = \"/a\"\ndest = \"/a\""))
        .run(["build"])
        .fails(2);
    assert!(done.stderr.contains("`scratch` is no image"), "{}", done.stderr);
}

#[test]
fn each_platform_takes_from_its_own() {
    let project = Project::new();
    let index = tools().write_index(&project, "tools");
    let one = format!("from = '{index}'; src = '/etc/arch'; dest = '/arch'");
    let fixed = format!("from = '{index}'; src = '/etc/arch'; dest = '/fixed'; platform = 'linux/arm64'");
    let rest =
        format!("platforms = [\"linux/amd64\", \"linux/arm64\"]\n{}", tables(&[("copy", &one), ("copy", &fixed)]));
    let project = project.file("image.toml", manifest("scratch", &rest));
    let layout = project.build();
    for arch in ["amd64", "arm64"] {
        let image = layout.image_for("linux", arch);
        assert_eq!((image.text("arch"), image.text("fixed")), (arch, "arm64"));
    }
}

/// Puts an image into a registry: one layer for each tar, the lowest first.
fn push(registry: &Registry, layers: &[Vec<u8>]) -> (String, Vec<String>) {
    let ids: Vec<String> = layers.iter().map(|tar| layout::digest(tar)).collect();
    let config =
        serde_json::json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}});
    let config = registry.blob("tools", &serde_json::to_vec(&config).unwrap());
    let descriptors: Vec<_> = layers
        .iter()
        .map(|tar| {
            let blob = registry.blob("tools", &super::gzip(tar));
            serde_json::json!({"mediaType": media::LAYER_GZIP, "digest": blob.digest, "size": blob.size})
        })
        .collect();
    let config = serde_json::json!({"mediaType": media::CONFIG, "digest": config.digest, "size": config.size});
    let document =
        serde_json::json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": descriptors});
    let digest = registry.manifest("tools", "1", media::MANIFEST, &serde_json::to_vec(&document).unwrap());
    let names = descriptors.iter().map(|layer| layer["digest"].as_str().unwrap().to_string()).collect();
    (format!("{}/tools@{digest}", registry.name()), names)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_layers_that_are_needed_are_fetched() {
    use super::Part::{Dir, File};
    let registry = Registry::start().await;
    let large = vec![7; 4 << 20];
    let layers = [
        super::tar(&[Dir("usr", 0o755), File("usr/large", &large, 0o644), File("usr/tool", b"old", 0o755)], 1, 0),
        super::tar(&[Dir("app", 0o755), File("app/.wh..wh..opq", b"", 0), File("app/a", b"a", 0o644)], 1, 0),
        super::tar(
            &[Dir("app", 0o755), File("app/b", b"b", 0o644), Dir("usr", 0o755), File("usr/tool", b"new", 0o755)],
            1,
            0,
        ),
        super::tar(&[Dir("etc", 0o755), File("etc/x", b"x", 0o644)], 1, 0),
    ];
    let (reference, digests) = push(&registry, &layers);
    let fetched = |registry: &Registry| -> Vec<usize> {
        (0..digests.len()).filter(|at| registry.count("GET", &digests[*at]) > 0).collect()
    };
    for (src, needed) in
        [("/etc/x", vec![3]), ("/usr/tool", vec![2, 3]), ("/app", vec![1, 2, 3]), ("/usr", vec![0, 1, 2, 3])]
    {
        let table = tables(&[("copy", &format!("from = '{reference}'; src = '{src}'; dest = '/x'"))]);
        let project = Project::of(&manifest("scratch", &table));
        registry.forget();
        let digest = project.digest();
        assert_eq!(fetched(&registry), needed, "{src}");
        // What was listed and taken once is known.
        registry.forget();
        for digest in &digests {
            let _ = std::fs::remove_file(project.store().join("blobs/sha256").join(&digest[7..]));
        }
        assert_eq!(project.run(["--offline", "build"]).success().digest(), digest, "{src}");
        assert_eq!(registry.log().len(), 0);
    }
    // Another file of a layer that was listed fetches that layer alone.
    let table = |src: &str| tables(&[("copy", &format!("from = '{reference}'; src = '{src}'; dest = '/x'"))]);
    let project = Project::of(&manifest("scratch", &table("/usr/large")));
    project.digest();
    for digest in &digests {
        let _ = std::fs::remove_file(project.store().join("blobs/sha256").join(&digest[7..]));
    }
    registry.forget();
    project.write("image.toml", manifest("scratch", &table("/app")));
    project.digest();
    assert_eq!(fetched(&registry), [1, 2]);
}
