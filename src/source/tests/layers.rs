//! Stage 5: how one layer is read.

use std::fs;

use tar::{EntryType, Header};

use super::refused;
use crate::error::Kind;
use crate::oci::{Digest, media};
use crate::source::fixture::{Fixture, Layer, Tar, gzip, wait, zstd};
use crate::source::{self, FileIndex, fetch, files};

fn read(tar: Tar) -> crate::error::Result<FileIndex> {
    Fixture::new().files(&[Layer::plain(tar)])
}

fn names(index: &FileIndex) -> Vec<String> {
    index.iter().map(|(path, _)| path.escape_ascii().to_string()).collect()
}

#[test]
fn every_compression_under_every_name() {
    let tar = Tar::new().file("etc/passwd", "app:x:10:20::/:\n").bytes();
    let half = tar.len() / 2;
    let members = |bytes: &[u8]| [gzip(&bytes[..half]), gzip(&bytes[half..])].concat();
    let frames = |bytes: &[u8]| [zstd(&bytes[..half]), zstd(&bytes[half..])].concat();
    let skippable = |bytes: &[u8]| [&b"\x50\x2a\x4d\x18\x02\0\0\0xx"[..], &zstd(bytes)].concat();
    type Pack<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let packs: [Pack; 6] = [&<[u8]>::to_vec, &gzip, &zstd, &members, &frames, &skippable];
    for pack in packs {
        for named in
            [media::LAYER, media::LAYER_GZIP, media::LAYER_ZSTD, "application/vnd.docker.image.rootfs.diff.tar.gzip"]
        {
            let index = Fixture::new().files(&[Layer::packed(&tar, named, pack)]).unwrap();
            assert_eq!(index.user("app"), Some((10, 20)));
        }
    }
}

#[test]
fn a_diff_id_that_is_not_true_is_refused_con_04() {
    let fixture = Fixture::new();
    let good = Layer::plain(Tar::new().file("a", "1"));
    let wrong = Layer { diff_id: Digest::of(b"wrong"), ..good.clone() };
    for _ in 0..2 {
        refused(
            fixture.files(std::slice::from_ref(&wrong)),
            &[&wrong.diff_id.to_string(), &good.diff_id.to_string(), "diff ID"],
        );
    }
    fixture.files(&[good]).unwrap();
}

#[test]
fn a_layer_is_read_to_its_end_con_03() {
    let tar = Tar::new().file("a", "1").bytes();
    let longer = [&tar[..], b"garbage after the end"].concat();
    let truly = Layer::packed(&longer, media::LAYER_GZIP, gzip);
    assert_eq!(Fixture::new().files(std::slice::from_ref(&truly)).unwrap().len(), 1);
    let lying = Layer { diff_id: Digest::of(&tar), ..truly };
    refused(Fixture::new().files(&[lying]), &["diff ID"]);
}

#[test]
fn what_is_cut_off_is_refused() {
    let tar = Tar::new().file("a", &"1".repeat(5000)).bytes();
    for cut in [100, 700, 5000] {
        let tar = &tar[..cut];
        refused(Fixture::new().files(&[Layer::packed(tar, media::LAYER, <[u8]>::to_vec)]), &["is refused", "cut off"]);
    }
    let cut = |pack: fn(&[u8]) -> Vec<u8>| {
        move |tar: &[u8]| {
            let mut bytes = pack(tar);
            bytes.truncate(bytes.len() - 6);
            bytes
        }
    };
    refused(Fixture::new().files(&[Layer::packed(&tar, media::LAYER_GZIP, cut(gzip))]), &["is refused"]);
    refused(Fixture::new().files(&[Layer::packed(&tar, media::LAYER_ZSTD, cut(zstd))]), &["is refused"]);
    let without_end = Layer::packed(&tar[..tar.len() - 1024], media::LAYER, <[u8]>::to_vec);
    assert_eq!(Fixture::new().files(&[without_end]).unwrap().len(), 1);
    assert!(Fixture::new().files(&[Layer::packed(b"", media::LAYER, gzip)]).unwrap().is_empty());
}

#[test]
fn names_are_made_plain() {
    let long = "d/".repeat(100) + "file";
    let index = read(Tar::new().dir("./").file("./a", "").file("/b", "").dir("c//./d/").file(&long, "x")).unwrap();
    for name in ["a", "b", "c", "c/d", long.as_str()] {
        assert!(index.get(name).is_some(), "{name}");
    }
    for name in ["../x", "a/../../x", "..", "a/.."] {
        refused(read(Tar::new().file(name, "")), &["leads out"]);
    }
    let too_long = "d/".repeat(2100) + "file";
    refused(read(Tar::new().file(&too_long, "x")), &["4204 bytes, 4096 are allowed"]);
}

#[test]
fn facts_of_headers() {
    let tar = Tar::new()
        .raw("./", EntryType::Directory, b"", |header| {
            header.set_mode(0o700);
            header.set_uid(7);
        })
        .raw("su", EntryType::Regular, b"12345", |header| {
            header.set_mode(0o104755);
            header.set_gid(4_000_000_000);
        })
        .raw("null", EntryType::Char, b"", |_| {})
        .raw("pipe", EntryType::Fifo, b"", |_| {})
        .raw("blank", EntryType::Regular, b"", |header| {
            header.as_old_mut().uid = [0; 8];
            header.as_old_mut().mode = *b"        ";
        })
        .link("l", "../x/y");
    let index = read(tar).unwrap();
    let root = index.get("/").unwrap();
    assert_eq!((root.mode, root.uid), (0o700, 7));
    let su = index.get("su").unwrap();
    assert_eq!((&su.kind, su.mode, su.gid, su.layer), (&source::Kind::File { size: 5 }, 0o4755, 4_000_000_000, 0));
    assert_eq!(index.get("null").unwrap().kind, source::Kind::Other);
    assert_eq!(index.get("pipe").unwrap().kind, source::Kind::Other);
    assert_eq!(index.get("blank").unwrap().mode, 0);
    assert_eq!(index.get("l").unwrap().kind, source::Kind::Link(b"../x/y"[..].into()));
}

#[test]
fn only_files_have_data_whatever_a_header_says() {
    // As engines read it: what stands behind such a header is the next entry, not its data.
    for (name, kind, flag) in [
        ("d/", EntryType::Regular, 0),
        ("d", EntryType::Directory, b'5'),
        ("d", EntryType::Symlink, b'2'),
        ("d", EntryType::Fifo, b'6'),
    ] {
        let sized = |header: &mut Header| {
            header.set_size(512);
            header.as_old_mut().linkflag = [flag];
        };
        let index = read(Tar::new().raw(name, kind, b"", sized).file("inner", "")).unwrap();
        assert_eq!(names(&index), ["d", "inner"], "{kind:?}");
    }
    let index = read(Tar::new().raw("f", EntryType::Regular, b"", |header| header.set_size(512)).file("inner", ""));
    assert_eq!(names(&index.unwrap()), ["f"]);
}

#[test]
fn headers_that_lie_are_refused() {
    type Edit = fn(&mut Header);
    let edits: [(Edit, &str); 4] = [
        (|header| header.set_uid(1 << 32), "no 32-bit number"),
        (|header| header.as_old_mut().uid = *b"xxxxxxxx", "numeric field"),
        (|header| header.set_entry_type(EntryType::new(b'V')), "unknown type"),
        (|header| header.set_size(u64::MAX), "too large"),
    ];
    for (edit, words) in edits {
        refused(read(Tar::new().raw("x", EntryType::Regular, b"", edit).file("y", "")), &["is refused", words]);
    }
    let mut bytes = Tar::new().file("x", "").bytes();
    bytes[0] = b'y';
    refused(Fixture::new().files(&[Layer::packed(&bytes, media::LAYER, <[u8]>::to_vec)]), &["the sum of a header"]);
    refused(read(Tar::new().raw("x", EntryType::GNULongName, &vec![b'x'; 2 << 20], |_| {})), &["1048576 are allowed"]);
    refused(read(Tar::new().pax(&[("path", b"x")])), &["describes a next entry"]);
}

#[test]
fn extended_headers_say_more() {
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", b"\x01\n\x02"),
            ("path", "dir/\u{e9}".as_bytes()),
            ("uid", b"70000"),
        ])
        .file("short", "12")
        .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.name", b"holes"), ("GNU.sparse.realsize", b"9000")])
        .file("GNUSparseFile.0/holes", "map")
        .raw("global", EntryType::XGlobalHeader, b"11 path=no\n", |_| {})
        .file("last", "");
    let index = read(tar).unwrap();
    assert_eq!(names(&index), ["dir", "dir/\\xc3\\xa9", "holes", "last"]);
    assert_eq!(index.get("dir/\u{e9}").unwrap().uid, 70000);
    assert_eq!(index.get("holes").unwrap().kind, source::Kind::File { size: 9000 });
}

#[test]
fn a_sparse_file_is_a_file() {
    let tar = Tar::new()
        .raw("holes", EntryType::GNUSparse, b"", |header| {
            let gnu = header.as_gnu_mut().unwrap();
            gnu.set_is_extended(true);
            gnu.set_real_size(1 << 30);
        })
        .raw_block([0; 512])
        .file("next", "");
    let index = read(tar).unwrap();
    assert_eq!(index.get("holes").unwrap().kind, source::Kind::File { size: 1 << 30 });
    assert!(index.get("next").is_some());
}

#[test]
fn hard_links_are_what_they_link_to() {
    let tar = Tar::new().file("a", "123").link("l", "a").hard("b", "./a").hard("c", "/b").hard("k", "l");
    let index = read(tar).unwrap();
    assert_eq!(index.get("b"), index.get("a"));
    assert_eq!(index.get("c"), index.get("a"));
    assert_eq!(index.get("k"), index.get("l"));
    refused(read(Tar::new().hard("x", "absent")), &["`x` is a hard link to `absent`"]);
    refused(read(Tar::new().dir("d").hard("x", "d")), &["hard link to the directory `d`"]);
    refused(read(Tar::new().hard("x", "../a")), &["leads out"]);
}

#[test]
fn in_one_layer_links_are_followed_and_the_last_one_counts() {
    let tar =
        Tar::new().dir("usr/bin").link("bin", "usr/bin").file("bin/sh", "1").link("lib", "/usr/lib").file("lib/x", "");
    let index = read(tar).unwrap();
    assert_eq!(names(&index), ["bin", "lib", "usr", "usr/bin", "usr/bin/sh", "usr/lib", "usr/lib/x"]);
    let index = read(Tar::new().file("d/x", "").file("d", "1").file("e", "1").file("e", "22")).unwrap();
    assert_eq!(names(&index), ["d", "e"]);
    assert_eq!(index.get("e").unwrap().kind, source::Kind::File { size: 2 });
    refused(read(Tar::new().file("d", "").file("d/x", "")), &["`d` is no directory"]);
    refused(read(Tar::new().link("a", "b").link("b", "a").file("a/x", "")), &["leads in a circle"]);
    for name in [".wh.", "a/.wh..", ".wh..."] {
        refused(read(Tar::new().file(name, "")), &["whiteout of no name"]);
    }
    let index = read(Tar::new().file(".wh..wh.plnk/1.2", "xyz").hard("a", ".wh..wh.plnk/1.2").file(".wh..wh.aufs", ""));
    assert_eq!(names(&index.unwrap()), ["a"]);
}

#[test]
fn a_layer_is_read_once_in_its_life() {
    let fixture = Fixture::new();
    let layers = [
        Layer::plain(
            Tar::new().dir("x").file("etc/passwd", "a:x:1:2::/:\n").file("gone", "").link("l", "t").hard("h", "gone"),
        ),
        Layer::plain(Tar::new().file(".wh.gone", "").file("x/.wh..wh..opq", "").hard("lower", "h")),
    ];
    let base = fixture.base(&fixture.reference(fixture.image("linux/amd64", &layers).digest)).unwrap();
    let first = wait(files(&fixture.ctx, &base)).unwrap();
    fs::remove_dir_all(fixture.layout()).unwrap();
    fs::remove_dir_all(fixture.store().join("blobs")).unwrap();
    assert_eq!(wait(files(&fixture.ctx, &base)).unwrap(), first);
    let odd = Digest::of(&layers[0].blob);
    fixture.ctx.store.remember("layer-files-2", &odd, b"odd");
    refused(wait(files(&fixture.ctx, &base)), &["holds no blob"]);
}

#[test]
fn reading_stops_when_it_is_asked_to() {
    let fixture = Fixture::new();
    let layer = Layer::plain(Tar::new().file("large", &"x".repeat(1 << 20)));
    let base = fixture.base(&fixture.reference(fixture.image("linux/amd64", &[layer]).digest)).unwrap();
    wait(fetch(&fixture.ctx, &base, base.layers().next().unwrap().0)).unwrap();
    fixture.ctx.cancel.set(Kind::Terminated);
    assert_eq!(wait(files(&fixture.ctx, &base)).unwrap_err().kind(), Kind::Terminated);
}

#[test]
fn texts_are_found_behind_links() {
    let fixture = Fixture::new();
    let layers = [
        Layer::plain(Tar::new().file("nix/users", "a:x:1:2::/:\n").file("nix/groups", "wheel:x:5:\n")),
        Layer::plain(Tar::new().link("etc", "real").link("real/passwd", "/nix/users").hard("real/group", "nix/groups")),
        Layer::plain(Tar::new().file("usr/lib/os-release", "ID=x\n").link("real/os-release", "../usr/lib/os-release")),
    ];
    let base = fixture.base(&fixture.reference(fixture.image("linux/amd64", &layers).digest)).unwrap();
    for round in 0..2 {
        let index = wait(files(&fixture.ctx, &base)).unwrap();
        assert_eq!((index.user("a"), index.user("b"), index.user_by_id(1)), (Some((1, 2)), None, Some(("a", 2))));
        assert_eq!((index.group("wheel"), index.group_by_id(5), index.group("a")), (Some(5), Some("wheel"), None));
        assert_eq!(index.os_release("ID").as_deref(), Some("x"));
        if round == 0 {
            fs::remove_dir_all(fixture.layout()).unwrap();
            fs::remove_dir_all(fixture.store().join("blobs")).unwrap();
        }
    }
    let large = Layer::plain(Tar::new().file("etc/passwd", &"x".repeat((1 << 20) + 1)));
    refused(Fixture::new().files(&[large]), &["`etc/passwd`", "1048577 bytes, 1048576 are allowed"]);
}

#[test]
fn two_hundred_thousand_entries() {
    let mut tar = Tar::new();
    for directory in 0..400 {
        for file in 0..500 {
            tar = tar.file(&format!("usr/share/{directory}/{file}"), "");
        }
    }
    let fixture = Fixture::new();
    let layer = Layer::packed(&tar.bytes(), media::LAYER_GZIP, gzip);
    let index = fixture.files(&[layer]).unwrap();
    assert_eq!(index.len(), 200_402);
    assert_eq!(index.children("usr/share").count(), 400);
}
