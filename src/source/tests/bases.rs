//! Stage 5: how one image is chosen and what is refused of it.

use serde_json::{Value, json};

use super::refused;
use crate::error::Kind;
use crate::oci::{Descriptor, Digest, media};
use crate::plan;
use crate::source::fixture::{Fixture, Layer, Tar, platform, wait};
use crate::source::{base, files};

fn layer() -> Layer {
    Layer::plain(Tar::new().file("hello", "hello"))
}

#[test]
fn scratch_is_empty() {
    let fixture = Fixture::new();
    let scratch = wait(base(&fixture.ctx, &plan::Base::Scratch, &platform("linux/arm/v7"))).unwrap();
    assert_eq!((scratch.layers().len(), scratch.named, scratch.descriptor.as_ref()), (0, None, None));
    assert_eq!(scratch.image.platform(), platform("linux/arm/v7"));
    assert!(wait(files(&fixture.ctx, &scratch)).unwrap().is_empty());
}

#[test]
fn a_platform_is_chosen_from_an_index() {
    let fixture = Fixture::new();
    let amd = fixture.image("linux/amd64", &[layer()]);
    let arm = fixture.image("linux/arm64/v8", &[]);
    let mut attestation = fixture.image("linux/amd64", &[]);
    attestation.annotations.insert("vnd.docker.reference.type".into(), "attestation-manifest".into());
    let mut unknown = fixture.image("unknown/unknown", &[]);
    unknown.media_type = media::MANIFEST.into();
    let mut artifact = amd.clone();
    artifact.artifact_type = Some("application/x".into());
    let index = fixture.index(&[attestation, unknown, artifact, arm.clone(), amd.clone()]);
    let reference = fixture.reference(index.digest);
    let found = fixture.base(&reference).unwrap();
    assert_eq!(found.descriptor.unwrap().digest, amd.digest);
    assert_eq!(found.named, Some(index.digest));
    let found = wait(base(&fixture.ctx, &reference, &platform("linux/arm64"))).unwrap();
    assert_eq!(found.descriptor.unwrap().digest, arm.digest);
    let missing = wait(base(&fixture.ctx, &reference, &platform("linux/s390x")));
    assert_eq!(missing.as_ref().unwrap_err().kind(), Kind::Usage);
    refused(missing, &["`linux/s390x`", "`linux/amd64`, `linux/arm64/v8`"]);
}

#[test]
fn indexes_may_stand_in_each_other_to_a_depth() {
    let fixture = Fixture::new();
    let mut child = fixture.image("linux/amd64", &[layer()]);
    for depth in 0..5 {
        child = fixture.index(&[child]);
        let found = fixture.base(&fixture.reference(child.digest));
        if depth <= 3 {
            found.unwrap();
        } else {
            refused(found, &["more than 3 deep"]);
        }
    }
}

#[test]
fn a_child_without_a_platform_is_asked_for_its_config() {
    let fixture = Fixture::new();
    let silent = |mut child: Descriptor| {
        child.platform = None;
        child
    };
    let arm = silent(fixture.image("linux/arm64", &[]));
    let amd = silent(fixture.image("linux/amd64", &[]));
    let artifact = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": Descriptor::of("application/vnd.oci.empty.v1+json", b"{}"), "layers": []});
    let artifact = fixture.document(&artifact);
    let index = fixture.index(&[artifact.clone(), arm.clone(), amd.clone()]);
    let found = fixture.base(&fixture.reference(index.digest)).unwrap();
    assert_eq!(found.descriptor.unwrap().digest, amd.digest);
    refused(fixture.base(&fixture.reference(fixture.index(&[arm]).digest)), &["there are `linux/arm64`"]);
    refused(fixture.base(&fixture.reference(fixture.index(&[]).digest)), &["it holds no image"]);
    refused(fixture.base(&fixture.reference(artifact.digest)), &["is no image", "vnd.oci.empty"]);
}

#[test]
fn a_single_image_must_be_for_the_platform() {
    let fixture = Fixture::new();
    let arm = fixture.image("linux/arm64", &[layer()]);
    refused(
        fixture.base(&fixture.reference(arm.digest)),
        &["is an image for `linux/arm64`, not for `linux/amd64`", "digest of the index"],
    );
    let found = wait(base(&fixture.ctx, &fixture.reference(arm.digest), &platform("linux/arm64/v8")));
    assert_eq!(found.unwrap().named, Some(arm.digest));
}

#[test]
fn config_and_manifest_must_fit_con_05() {
    let fixture = Fixture::new();
    let layers = [layer(), layer()];
    for count in [0, 1, 3] {
        let mut config = fixture.config("linux/amd64", &layers);
        config["rootfs"]["diff_ids"] = vec![json!(layers[0].diff_id); count].into();
        let digest = fixture.document(&fixture.manifest(&config, &layers)).digest;
        let words = format!("it has 2 layers, but its config names {count} diff IDs");
        refused(fixture.base(&fixture.reference(digest)), &[&words]);
    }
    let digest = fixture.image("linux/amd64", &layers).digest;
    assert_eq!(fixture.base(&fixture.reference(digest)).unwrap().layers().len(), 2);
}

#[test]
fn what_is_no_layer_is_refused_con_11() {
    let fixture = Fixture::new();
    let odd = Layer { media_type: "application/vnd.in-toto+json".into(), ..layer() };
    let digest = fixture.image("linux/amd64", &[layer(), odd]).digest;
    refused(fixture.base(&fixture.reference(digest)), &["vnd.in-toto+json", "no layer of files", "attestations"]);
}

#[test]
fn sizes_must_be_true_con_14() {
    let fixture = Fixture::new();
    let image = fixture.manifest(&fixture.config("linux/amd64", &[layer()]), &[layer()]);
    let build = |edit: &dyn Fn(&mut Value)| {
        let mut manifest = image.clone();
        edit(&mut manifest);
        let fresh = Fixture::new();
        fresh.manifest(&fresh.config("linux/amd64", &[layer()]), &[layer()]);
        let digest = fresh.document(&manifest).digest;
        let base = fresh.base(&fresh.reference(digest))?;
        wait(files(&fresh.ctx, &base))
    };
    build(&|_| {}).unwrap();
    for size in [1, 1000] {
        let words = format!("its descriptor says {size}");
        refused(build(&|manifest| manifest["config"]["size"] = size.into()), &[&words]);
        refused(build(&|manifest| manifest["layers"][0]["size"] = size.into()), &[&words]);
    }
    refused(build(&|manifest| manifest["config"]["size"] = (1u64 << 40).into()), &["8388608 are allowed"]);
    let fixture = Fixture::new();
    let mut child = fixture.image("linux/amd64", &[]);
    child.size += 1;
    refused(fixture.base(&fixture.reference(fixture.index(&[child]).digest)), &["its descriptor says"]);
}

#[test]
fn a_base_in_the_store_needs_nothing_else() {
    let fixture = Fixture::new();
    let index = fixture.index(&[fixture.image("linux/amd64", &[layer()])]);
    let pinned = format!("localhost:1/x@{}", index.digest).parse::<crate::oci::Reference>().unwrap().pinned().unwrap();
    let remote = plan::Base::Registry(pinned);
    refused(fixture.base(&remote), &["localhost:1/x"]);
    let local = fixture.base(&fixture.reference(index.digest)).unwrap();
    std::fs::remove_dir_all(fixture.layout()).unwrap();
    assert_eq!(fixture.base(&remote).unwrap().image, local.image);
}

#[test]
fn a_document_must_be_what_it_is_called() {
    let fixture = Fixture::new();
    let image = fixture.image("linux/amd64", &[]);
    std::fs::write(fixture.path(&image.digest), b"{}").unwrap();
    refused(fixture.base(&fixture.reference(image.digest)), &["has other bytes"]);
    refused(fixture.base(&fixture.reference(fixture.blob(b"{}"))), &["neither `manifests` nor `layers`"]);
    let absent = Digest::of(b"absent");
    refused(fixture.base(&fixture.reference(absent)), &["holds no blob", &absent.to_string()]);
}
