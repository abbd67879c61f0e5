//! Stage 5: how layers lie over each other, and how paths are walked.

use crate::source::fixture::{Fixture, Layer, Tar};
use crate::source::{FileIndex, Kind, Obstacle, Parent};

fn merged(layers: impl IntoIterator<Item = Tar>) -> FileIndex {
    let layers: Vec<Layer> = layers.into_iter().map(Layer::plain).collect();
    Fixture::new().files(&layers).unwrap()
}

/// The paths with what they are: `d`irectory, `f`ile of this size from this layer, `l`ink, `o`ther.
fn shown(index: &FileIndex) -> String {
    let show = |(path, node): (&[u8], &crate::source::Node)| {
        let kind = match &node.kind {
            Kind::Directory => format!("d{}", node.layer),
            Kind::File { size } => format!("f{size}@{}", node.layer),
            Kind::Link(target) => format!("l{}", target.escape_ascii()),
            Kind::Other => "o".to_string(),
        };
        format!("{} {kind}", path.escape_ascii())
    };
    index.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn below() -> Tar {
    Tar::new().dir("d").file("d/a", "1").file("d/e/b", "22").file("d-x", "").file("f", "")
}

#[test]
fn layers_lie_over_each_other() {
    let table = [
        (Tar::new().file(".wh.f", ""), "d d0, d-x f0@0, d/a f1@0, d/e d0, d/e/b f2@0"),
        (Tar::new().file(".wh.d", ""), "d-x f0@0, f f0@0"),
        (Tar::new().file(".wh.d", "").file("d/n", ""), "d d1, d-x f0@0, d/n f0@1, f f0@0"),
        (Tar::new().file("d/n", "").file(".wh.d", ""), "d d1, d-x f0@0, d/n f0@1, f f0@0"),
        (Tar::new().file("d/.wh.e", ""), "d d0, d-x f0@0, d/a f1@0, f f0@0"),
        (Tar::new().file("no/.wh.e", ""), "d d0, d-x f0@0, d/a f1@0, d/e d0, d/e/b f2@0, f f0@0"),
        (Tar::new().file("d/n", "").file("d/.wh..wh..opq", ""), "d d0, d-x f0@0, d/n f0@1, f f0@0"),
        (Tar::new().dir("d").file("d/.wh..wh..opq", ""), "d d1, d-x f0@0, f f0@0"),
        (Tar::new().file(".wh..wh..opq", "").file("n", ""), "n f0@1"),
        (Tar::new().file("d", "333"), "d f3@1, d-x f0@0, f f0@0"),
        (Tar::new().link("d", "t"), "d lt, d-x f0@0, f f0@0"),
        (Tar::new().dir("d"), "d d1, d-x f0@0, d/a f1@0, d/e d0, d/e/b f2@0, f f0@0"),
        (Tar::new().file("d/e/c", ""), "d d0, d-x f0@0, d/a f1@0, d/e d0, d/e/b f2@0, d/e/c f0@1, f f0@0"),
        (Tar::new().file("f/x", ""), "d d0, d-x f0@0, d/a f1@0, d/e d0, d/e/b f2@0, f d1, f/x f0@1"),
        (Tar::new().hard("h", "d/a").file(".wh.d", ""), "d-x f0@0, f f0@0, h f1@1"),
        (Tar::new().file("f/.wh.x", "").file("d-x", "1"), "d d0, d-x f1@1, d/a f1@0, d/e d0, d/e/b f2@0, f f0@0"),
    ];
    for (above, expect) in table {
        assert_eq!(shown(&merged([below(), above])), expect);
    }
}

#[test]
fn a_path_below_a_link_of_a_lower_layer_is_taken_as_it_stands() {
    let index = merged([Tar::new().dir("usr/bin").link("bin", "usr/bin"), Tar::new().file("bin/x", "")]);
    assert_eq!(shown(&index), "bin d1, bin/x f0@1, usr d0, usr/bin d0");
}

#[test]
fn parents_are_resolved() {
    let index = merged([Tar::new()
        .dir("usr/lib")
        .link("lib", "usr/lib")
        .link("out", "../../usr/../lib")
        .link("new", "/opt/new")
        .link("a", "b")
        .link("b", "a")
        .link("self", "self/x")
        .file("file", "")
        .link("tofile", "file")]);
    let real = |path: &str, missing: &[&str]| Parent::Real {
        path: path.to_string(),
        missing: missing.iter().map(|path| path.to_string()).collect(),
    };
    let blocked = |at: &str, why| Parent::Blocked { at: at.to_string(), why };
    for (path, expect) in [
        ("/lib/x", real("usr/lib/x", &[])),
        ("x", real("x", &[])),
        ("/lib", real("lib", &[])),
        ("lib/x/y/z", real("usr/lib/x/y/z", &["usr/lib/x", "usr/lib/x/y"])),
        ("out/x", real("usr/lib/x", &[])),
        ("new/x", real("opt/new/x", &["opt", "opt/new"])),
        ("new/../x", real("opt/x", &["opt"])),
        ("a/x", blocked("b", Obstacle::Loop)),
        ("file/x", blocked("file", Obstacle::NoDirectory)),
        ("file/x/y", blocked("file", Obstacle::NoDirectory)),
        ("tofile/x", blocked("file", Obstacle::NoDirectory)),
    ] {
        match (index.resolve_parent(path), expect) {
            (Parent::Blocked { why, .. }, Parent::Blocked { why: Obstacle::Loop, .. }) => {
                assert_eq!(why, Obstacle::Loop, "{path}");
            }
            (found, expect) => assert_eq!(found, expect, "{path}"),
        }
    }
    assert!(matches!(index.resolve_parent("self/x"), Parent::Blocked { why: Obstacle::Loop, .. }));
    assert_eq!(index.resolve("tofile").as_deref(), Some("file"));
    assert_eq!(index.resolve("/lib/").as_deref(), Some("usr/lib"));
    assert_eq!(index.resolve("/").as_deref(), Some(""));
    assert_eq!(index.resolve("../../..").as_deref(), Some(""));
    for absent in ["a", "new", "lib/no", "file/x"] {
        assert_eq!(index.resolve(absent), None, "{absent}");
    }
}

#[test]
fn forty_links_are_followed_and_not_one_more() {
    let mut tar = Tar::new().file("l0", "");
    for hop in 1..=41 {
        tar = tar.link(&format!("l{hop}"), &format!("l{}", hop - 1));
    }
    let index = merged([tar]);
    assert_eq!(index.resolve("l40").as_deref(), Some("l0"));
    assert_eq!(index.resolve("l41"), None);
}

#[test]
fn children_are_listed() {
    let index = merged([below()]);
    let names = |path: &str| {
        index.children(path).map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names("/"), ["d", "d-x", "f"]);
    assert_eq!(names("d"), ["a", "e"]);
    assert_eq!(names("d/e/"), ["b"]);
    assert!(names("f").is_empty());
    assert!(names("no").is_empty());
    assert!(FileIndex::empty().children("").next().is_none());
}
