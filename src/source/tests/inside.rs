//! Stage 5: what is seen in a layer, and whether an image is what its digests say.

use tar::EntryType;

use super::refused;
use crate::error::{Kind, Result};
use crate::oci::{Descriptor, DiffId, Digest, media};
use crate::source::fixture::{Fixture, Layer, Tar, gzip, wait};
use crate::source::inside::{Attribute, Body, Holder, Inside, Wrong, all_inside, verify};
use crate::source::{Place, Spot, open};

fn place(fixture: &Fixture, digest: Digest) -> Place {
    Place::Layout(Spot { path: fixture.layout(), name: None, digest: Some(digest) })
}

/// A layout's image has to be listed in its index.
fn listed(fixture: &Fixture, layers: &[Layer]) -> Place {
    let image = fixture.image("linux/amd64", layers);
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [image]});
    std::fs::write(fixture.layout().join("index.json"), index.to_string()).unwrap();
    place(fixture, image.digest)
}

fn seen(fixture: &Fixture, layers: &[Layer]) -> Result<Vec<Inside>> {
    let place = listed(fixture, layers);
    wait(async {
        let image = open(&fixture.ctx, &place).await?;
        let layers: Vec<(Descriptor, DiffId)> = layers
            .iter()
            .map(|layer| (Descriptor::of(&layer.media_type, &layer.blob), DiffId(layer.diff_id)))
            .collect();
        all_inside(&fixture.ctx, &Holder::Image(Box::new(image)), &layers).await
    })
}

fn one(tar: Tar) -> Inside {
    seen(&Fixture::new(), &[Layer::plain(tar)]).unwrap().remove(0)
}

#[test]
fn an_entry_has_content_time_and_attributes() {
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let long = vec![7; 300];
    let pax: [(&str, &[u8]); 3] =
        [("mtime", b"12.5"), ("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.long", &long)];
    let tar = Tar::new()
        .pax(&pax)
        .file("a", "hello")
        .raw("old", EntryType::Regular, b"", |header| header.set_mtime(5))
        .raw("before", EntryType::Regular, b"", |header| {
            let mut field = [0xff; 12];
            field[11] = 0xfe;
            header.as_old_mut().mtime = field;
        })
        .raw("none", EntryType::Regular, b"", |header| header.as_old_mut().mtime = *b"no number!!!")
        .raw("null", EntryType::Char, b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .raw("disk", EntryType::Block, b"", |header| header.set_device_major(8).unwrap())
        .raw("pipe", EntryType::Fifo, b"", |_| {});
    let inside = one(tar);
    let held = |path: &str| &inside.held[path.as_bytes()];
    let Body::File(content) = &held("a").body else { panic!() };
    assert_eq!((content.size, content.digest, content.sparse), (5, Digest::of(b"hello"), false));
    assert_eq!(held("a").modified, Some((12, 500_000_000)));
    let attributes: Vec<_> = held("a").xattrs.values().cloned().collect();
    assert_eq!(attributes, [Attribute::Value(capability[..].into()), Attribute::Digest(Digest::of(&long))]);
    assert_eq!(held("old").modified, Some((5, 0)));
    assert_eq!(held("before").modified, Some((-2, 0)));
    assert_eq!(held("none").modified, None);
    assert_eq!(held("null").body, Body::Character(1, 3));
    assert_eq!(held("disk").body, Body::Block(8, 0));
    assert_eq!(held("pipe").body, Body::Fifo);
}

#[test]
fn the_texts_that_builds_keep_are_hashed_whole_too() {
    let passwd = "root:x:0:0::/:\n".repeat(9000);
    let inside = one(Tar::new().file("etc/passwd", &passwd).link("lib", "usr/lib").file("lib/x", "1"));
    let Body::File(content) = &inside.held[&b"etc/passwd"[..]].body else { panic!() };
    assert_eq!(content.digest, Digest::of(passwd.as_bytes()));
    assert_eq!(inside.held[&b"etc"[..]].body, Body::Implied);
    assert_eq!(inside.held[&b"etc"[..]].modified, None);
    // Below a link of its own layer, as runtimes put it.
    assert!(matches!(inside.held[&b"usr/lib/x"[..]].body, Body::File(_)));
}

#[test]
fn hard_links_share_a_content() {
    let tar = Tar::new().file("a", "one").hard("b", "a").hard("c", "./b").file("a", "two").hard("low", "elsewhere");
    let inside = one(tar);
    let content = |path: &str| match &inside.held[path.as_bytes()].body {
        Body::File(content) => (content.digest, content.twin.as_deref().map(<[u8]>::to_vec)),
        other => panic!("{other:?}"),
    };
    assert_eq!(content("a"), (Digest::of(b"two"), None));
    assert_eq!(content("b"), (Digest::of(b"one"), Some(b"a".to_vec())));
    assert_eq!(content("c"), (Digest::of(b"one"), Some(b"a".to_vec())));
    assert_eq!(inside.held[&b"low"[..]].body, Body::Lower(b"elsewhere"[..].into()));
    let tree = crate::image::inside::merge(&[one(Tar::new().file("elsewhere", "low")), inside]).unwrap();
    let inode = |path: &str| tree.nodes[path.as_bytes()].inode;
    assert_eq!(inode("b"), inode("c"));
    assert_ne!(inode("a"), inode("b"));
    assert_eq!(inode("low"), inode("elsewhere"));
}

#[test]
fn a_layer_is_read_once_and_remembered() {
    let fixture = Fixture::new();
    let layers = [Layer::plain(Tar::new().file("a", "1")), Layer::plain(Tar::new().file(".wh.a", "").dir("d"))];
    let first = seen(&fixture, &layers).unwrap();
    for layer in &layers {
        std::fs::remove_file(fixture.path(&Digest::of(&layer.blob))).unwrap();
        let kept = fixture.store().join("blobs/sha256").join(Digest::of(&layer.blob).hex());
        std::fs::remove_file(kept).unwrap();
    }
    let layers_again: Vec<_> =
        layers.iter().map(|layer| (Descriptor::of(&layer.media_type, &layer.blob), DiffId(layer.diff_id))).collect();
    let image = wait(open(&fixture.ctx, &place(&fixture, fixture_root(&fixture)))).unwrap();
    let again = wait(all_inside(&fixture.ctx, &Holder::Image(Box::new(image)), &layers_again)).unwrap();
    assert_eq!(first, again);
}

fn fixture_root(fixture: &Fixture) -> Digest {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture.layout().join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_diff_id_that_is_not_true_is_refused_here_too_con_04() {
    let good = Layer::plain(Tar::new().file("a", "1"));
    let wrong = Layer { diff_id: Digest::of(b"wrong"), ..good };
    let fixture = Fixture::new();
    for _ in 0..2 {
        let found = seen(&fixture, std::slice::from_ref(&wrong));
        refused(found, &[&wrong.diff_id.to_string(), "diff ID"]);
    }
}

#[test]
fn what_is_no_layer_of_files_is_not_listed() {
    let odd = Layer::packed(b"{}", "application/vnd.in-toto+json", <[u8]>::to_vec);
    assert_eq!(seen(&Fixture::new(), &[odd]).unwrap_err().kind(), Kind::Usage);
}

/// What `verify` finds wrong with the image of a layout.
fn wrong(fixture: &Fixture, place: &Place) -> Result<(usize, Vec<Wrong>)> {
    wait(async {
        let image = open(&fixture.ctx, place).await?;
        verify(&fixture.ctx, &image).await
    })
}

#[test]
fn every_digest_is_derived_again_con_04() {
    let layers = || {
        let tar = Tar::new().file("a", &"text ".repeat(1000)).bytes();
        [Layer::packed(&tar, media::LAYER_GZIP, gzip), Layer::plain(Tar::new().file("b", "1"))]
    };
    let fixture = Fixture::new();
    let place = listed(&fixture, &layers());
    // The manifest, the config, two layers, two diff IDs.
    assert_eq!(wrong(&fixture, &place).unwrap(), (6, Vec::new()));
    // What the store knows already is no proof: the layout's own bytes are read.
    let path = fixture.path(&Digest::of(&layers()[0].blob));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (_, found) = wrong(&fixture, &place).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].why.contains("other bytes"), "{found:?}");
    std::fs::remove_file(&path).unwrap();
    let (_, found) = wrong(&fixture, &place).unwrap();
    assert!(found.len() == 1 && found[0].why.contains("holds no blob"), "{found:?}");
}

#[test]
fn every_diff_id_that_is_not_true_is_told_con_04() {
    let fixture = Fixture::new();
    let lie = |text: &str| Layer { diff_id: Digest::of(text.as_bytes()), ..Layer::plain(Tar::new().file(text, "1")) };
    let place = listed(&fixture, &[lie("a"), Layer::plain(Tar::new().file("b", "1")), lie("c")]);
    let (count, found) = wrong(&fixture, &place).unwrap();
    assert_eq!((count, found.len()), (8, 2), "{found:?}");
    assert!(found.iter().all(|wrong| wrong.why.contains("diff ID")), "{found:?}");
}

#[test]
fn a_config_of_another_count_of_layers_is_told_con_05() {
    let fixture = Fixture::new();
    let layer = Layer::plain(Tar::new().file("a", "1"));
    let config = fixture.config("linux/amd64", &[layer.clone(), layer.clone()]);
    let image = fixture.document(&fixture.manifest(&config, &[layer]));
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [image]});
    std::fs::write(fixture.layout().join("index.json"), index.to_string()).unwrap();
    let (_, found) = wrong(&fixture, &place(&fixture, image.digest)).unwrap();
    assert!(found.len() == 1 && found[0].why.contains("2 diff IDs"), "{found:?}");
}
