//! `[[archive]]` of a file (checks ARC-01 to ARC-19 from outside, REP-20).

use super::{Part, bzip2, gzip, tar, xz, zip, zstd};
use crate::support::{Base, Project, canonical, layout, on_scratch};

const SCRIPT: &[u8] = b"#!/bin/sh\n";

fn ui() -> Vec<Part<'static>> {
    vec![
        Part::Dir("ui-1.0/", 0o700),
        Part::File("ui-1.0/README", b"read me\n", 0o600),
        Part::Dir("ui-1.0/dist/", 0o775),
        Part::File("ui-1.0/dist/index.html", b"<p>\n", 0o4755),
        Part::Link("ui-1.0/dist/latest", "index.html"),
        Part::Hard("ui-1.0/dist/copy.html", "ui-1.0/dist/index.html"),
        Part::File("ui-1.0/dist/run.sh", SCRIPT, 0o644),
    ]
}

fn project(keys: &str, bytes: &[u8]) -> Project {
    on_scratch(&[("archive", &format!("src = 'ui.tar'; {keys}"))]).file("ui.tar", bytes)
}

#[test]
fn an_archive_is_put_into_a_directory() {
    let done = project("dest = '/app/ui'; strip = 1; owner = '7:8'", &gzip(&tar(&ui(), 1, 1000)));
    let image = done.build().image();
    assert_eq!(image.layer_names(), ["imports"]);
    let listing = [
        "d 0755 0:0 app",
        "d 0755 0:0 app/ui",
        "f 0644 7:8 app/ui/README",
        "d 0755 7:8 app/ui/dist",
        "f 0644 7:8 app/ui/dist/copy.html",
        "f 0644 7:8 app/ui/dist/index.html",
        "l 0777 7:8 app/ui/dist/latest -> index.html",
        "f 0755 7:8 app/ui/dist/run.sh",
    ];
    assert_eq!(image.listing(), listing);
    assert_eq!((image.text("app/ui/dist/copy.html"), image.text("app/ui/README")), ("<p>\n", "read me\n"));
    image.own().iter().for_each(|(_, layer)| canonical(layer));
}

#[test]
fn parts_of_an_archive_are_chosen() {
    let keys = "dest = '/'; strip = 1; include = ['dist/**']; exclude = ['*.html']; mode = '0400'; dir-mode = '0500'; layer = 'web'";
    let image = project(keys, &tar(&ui(), 1, 0)).build().image();
    assert_eq!(image.layer_names(), ["web"]);
    let listing = ["d 0500 0:0 dist", "l 0777 0:0 dist/latest -> index.html", "f 0400 0:0 dist/run.sh"];
    assert_eq!(image.listing(), listing);
}

#[test]
fn rep_20_a_packed_again_archive_gives_the_same_layer() {
    let keys = "dest = '/app'; strip = 1";
    let first = project(keys, &gzip(&tar(&ui(), 1, 1000)));
    let layer = |project: &Project| project.build().image().manifest["layers"].clone();
    let expect = layer(&first);
    let mut turned = ui();
    let hard = turned.remove(5);
    turned.reverse();
    turned.push(hard);
    let deep: Vec<Part> = ui().into_iter().filter(|part| !matches!(part, Part::Dir(..))).collect();
    let mut copied = ui();
    copied[5] = Part::File("ui-1.0/dist/copy.html", b"<p>\n", 0o644);
    for (what, bytes) in [
        ("times and owners", tar(&ui(), 1_700_000_000, 3_000_000)),
        ("order", xz(&tar(&turned, 5, 0))),
        ("no directories", zstd(&tar(&deep, 5, 0))),
        ("no hard links", bzip2(&tar(&copied, 5, 0))),
        ("another name in front", gzip(&tar(&ui(), 1, 1000)[..]).repeat(1)),
    ] {
        assert_eq!(layer(&project(keys, &bytes)), expect, "{what}");
    }
    // The modes in an archive say nothing, and neither does that it is a zip.
    let files: [(&str, &[u8]); 2] = [("x/a", b"1"), ("x/b/c", SCRIPT)];
    let parts = [Part::File("x/a", b"1", 0o777), Part::Dir("x/b", 0), Part::File("x/b/c", SCRIPT, 0)];
    assert_eq!(layer(&project(keys, &zip(&files))), layer(&project(keys, &tar(&parts, 9, 9))));
}

#[test]
fn an_archive_is_read_once_and_not_unpacked() {
    let project = project("dest = '/app'", &gzip(&tar(&ui(), 1, 0)));
    let digest = project.digest();
    let before = names(&project);
    assert_eq!(project.digest(), digest);
    assert_eq!(names(&project), before);
    assert_eq!(project.run(["--no-cache", "build"]).success().digest(), digest);
    assert_eq!(names(&project), before, "the same bytes have the same name");
    std::fs::remove_dir_all(project.store().join("blobs")).unwrap();
    assert_eq!(project.digest(), digest, "what is remembered is not all that is needed");
}

fn names(project: &Project) -> Vec<String> {
    crate::support::project::names(&project.store().join("blobs/sha256"))
}

#[test]
fn two_entries_share_an_archive() {
    let all = [
        ("archive", "src = 'ui.tar'; dest = '/a'; strip = 1; include = ['README']"),
        ("archive", "src = 'ui.tar'; dest = '/b'; strip = 2; include = ['run.sh']"),
        ("archive", "src = 'ui.tar'; dest = '/c'; platforms = ['linux/arm64']"),
    ];
    let project = on_scratch(&all).file("ui.tar", tar(&ui(), 1, 0));
    assert_eq!(
        project.build().image().listing(),
        ["d 0755 0:0 a", "f 0644 0:0 a/README", "d 0755 0:0 b", "f 0755 0:0 b/run.sh"]
    );
}

#[test]
fn imports_stand_below_files() {
    let all = [
        ("file", "dest = '/app/z'; content = 'z'"),
        ("archive", "src = 'ui.tar'; dest = '/app'; include = ['ui-1.0/README']"),
        ("binary", "src = 'ui.tar'; dest = '/app/bin'"),
        ("remove", "dest = '/usr/share/doc'"),
    ];
    let project = Project::new().file("ui.tar", tar(&ui(), 1, 0));
    let base = Base::debian().write(&project, "base");
    let manifest = crate::support::manifest(&base, &crate::support::tables(&all));
    let image = project.file("image.toml", manifest).build().image();
    assert_eq!(image.layer_names(), ["imports", "files", "binaries"]);
    let lowest = image.own()[0].1.listing();
    assert!(
        lowest.contains(&"d 0755 0:0 app".to_string()) && lowest.contains(&"f 0644 0:0 usr/share/.wh.doc".to_string()),
        "{lowest:?}"
    );
}

/// What is said of an archive that is refused, or of what is wrong with its items.
fn said(keys: &str, bytes: &[u8], code: i32) -> String {
    let project = project(keys, bytes);
    let done = project.run(["build", "-o", "oci:out"]).fails(code);
    assert!(!project.path("out").exists() && done.stderr.contains("--> image.toml:"), "{}", done.stderr);
    done.stderr
}

#[test]
fn arc_01_a_refusal_names_archive_entry_and_name() {
    let mut evil = tar(&[Part::File("ok", b"", 0), Part::File("aa/x", b"evil\n", 0)], 1, 0);
    evil[1024 - 512..][..4].copy_from_slice(b"../x");
    let sum: u32 = 256 + evil[512..1024].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        - evil[512 + 148..512 + 156].iter().map(|byte| u32::from(*byte)).sum::<u32>();
    evil[512 + 148..512 + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let told = said("dest = '/app'", &evil, 2);
    assert!(told.contains("the archive `ui.tar` is refused: entry 2, `../x`, leads out with `..`"), "{told}");
}

#[test]
fn what_cannot_be_taken_is_told_with_the_way_out() {
    let odd = [
        Part::Link("key", "/etc/shadow"),
        Part::Fifo("pipe"),
        Part::File(".wh.x", b"", 0),
        Part::File("a/x", b"", 0),
        Part::File("b/x", b"", 0),
    ];
    let bytes = tar(&odd, 1, 0);
    let told = said("dest = '/app'", &bytes, 2);
    for word in [
        "the link `key` in `ui.tar` leads out of the archive, to `/etc/shadow`",
        "`pipe` in `ui.tar` is a device or FIFO",
        "`exclude`",
    ] {
        assert!(told.contains(word), "`{word}`: {told}");
    }
    project("dest = '/app'; exclude = ['key', 'pipe', '.wh.x']", &bytes).build();
    assert!(said("dest = '/app'; include = ['a/y']", &bytes, 2).contains("`a/y` matches nothing in `ui.tar`"));
    assert!(said("dest = '/app'; strip = 5", &bytes, 2).contains("there is nothing to take in `ui.tar`"));
    assert!(said("dest = '/app'; strip = 1", &bytes, 2).contains("`a/x` and `b/x` in `ui.tar` become one path"));
    let done = project("dest = '/app'; include = ['.wh.x']", &bytes).run(["build"]).fails(2);
    assert!(done.stderr.contains("`/app/.wh.x` would delete files of the base"), "{}", done.stderr);
    assert!(said("dest = '/app'", b"no archive at all", 2).contains("the archive `ui.tar` is refused: at entry 1"));
}

#[test]
fn several_archives_are_refused_at_once() {
    let all = [
        ("archive", "src = 'a.tar'; dest = '/a'"),
        ("archive", "src = 'b.zip'; dest = '/b'"),
        ("archive", "src = 'c.tar'; dest = '/c'"),
    ];
    let project = on_scratch(&all).file("a.tar", "x").file("b.zip", "PK\x03\x04").file("c.tar", tar(&ui(), 1, 0));
    let findings = project.run(["--format", "json", "check"]).fails(2).findings();
    assert_eq!(findings, ["archive 5:7", "archive 8:7"]);
}

#[test]
fn a_sum_is_checked_where_one_is_said() {
    let bytes = tar(&ui(), 1, 0);
    let right = layout::digest(&bytes).split_off(7);
    project(&format!("dest = '/app'; sha256 = '{right}'"), &bytes).build();
    let told = said(&format!("dest = '/app'; sha256 = '{}'", "0".repeat(64)), &bytes, 2);
    assert!(told.contains(&format!("has the digest sha256:{right}, `sha256` says sha256:0000")), "{told}");
}

#[test]
fn lay_09_setuid_comes_from_the_manifest_only() {
    let bytes = tar(&[Part::File("su", b"x", 0o6755)], 1, 0);
    assert_eq!(project("dest = '/'", &bytes).build().image().listing(), ["f 0644 0:0 su"]);
    assert_eq!(project("dest = '/'; mode = '4755'", &bytes).build().image().listing(), ["f 4755 0:0 su"]);
}
