//! Stage 5: which tars are read, and which are refused.

use std::io::Write;

use tar::{EntryType, Header};

use super::{read, refused};
use crate::source::fixture::{Tar, gzip, zstd};

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// A header as it stands, with its sum; no data.
fn header(edit: impl FnOnce(&mut [u8; 512])) -> [u8; 512] {
    let mut header = Header::new_ustar();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.as_old_mut().name[0] = b'x';
    let mut block = *header.as_bytes();
    edit(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn every_compression_gives_the_same() {
    let tar = Tar::new()
        .dir("./")
        .dir("top")
        .file("top/a", "1")
        .link("top/l", "a")
        .hard("top/h", "./top/a")
        .file("b", "")
        .bytes();
    let expect = ["b = ", "top/", "top/a = 1", "top/h = 1", "top/l -> a"];
    let (one, two) = tar.split_at(700);
    let skippable = [&b"\x50\x2a\x4d\x18\x02\0\0\0xx"[..], &zstd(&tar)].concat();
    let filled = [&tar[..], &[0; 9000]].concat();
    let packed = [tar.clone(), gzip(&tar), zstd(&tar), xz(&tar), bzip2(&tar), skippable, filled];
    let several = [gzip, zstd, xz, bzip2].map(|pack: fn(&[u8]) -> Vec<u8>| [pack(one), pack(two)].concat());
    for bytes in packed.iter().chain(&several) {
        assert_eq!(read(bytes).unwrap().shown(), expect);
    }
}

#[test]
fn what_is_compressed_must_be_whole() {
    let tar = Tar::new().file("a", &"text ".repeat(1000)).bytes();
    for pack in [gzip, zstd, xz, bzip2] as [fn(&[u8]) -> Vec<u8>; 4] {
        let packed = pack(&tar);
        for (what, bytes) in [
            ("cut", packed[..packed.len() - 1].to_vec()),
            ("half", packed[..packed.len() / 2].to_vec()),
            ("followed", [&packed[..], b"x"].concat()),
            (
                "flipped",
                packed
                    .iter()
                    .enumerate()
                    .map(|(at, byte)| if at == packed.len() / 2 { byte ^ 1 } else { *byte })
                    .collect(),
            ),
        ] {
            let refused = read(&bytes).err().unwrap_or_else(|| panic!("{what} {:02x?}", &packed[..4]));
            assert_eq!(refused.kind(), crate::error::Kind::Usage, "{what}: {refused:?}");
        }
    }
}

#[test]
fn arc_01_names_that_lead_out_are_refused() {
    for name in ["../x", "a/../../x", "./../x", "..", "a/.."] {
        refused(&Tar::new().file("ok", "").file(name, "x").bytes(), &[&format!("entry 2, `{name}`, leads out")]);
    }
    refused(&Tar::new().file("/abs", "x").bytes(), &["entry 1, `/abs`, has an absolute name"]);
    let pax = Tar::new().pax(&[("path", b"../../x")]).file("fine", "");
    refused(&pax.bytes(), &["entry 1, `../../x`, leads out"]);
}

#[test]
fn arc_02_nothing_stands_below_a_link() {
    let link = Tar::new().link("d", "/tmp/canary");
    refused(&link.clone().file("d/f", "x").bytes(), &["entry 2, `d/f`, lies below entry 1, which is a link"]);
    refused(&link.clone().file("d/e/f", "x").bytes(), &["lies below entry 1"]);
    refused(&link.hard("h", "d").file("h/f", "x").bytes(), &["entry 3, `h/f`, lies below entry 2, which is a link"]);
    refused(&Tar::new().file("d/f", "x").link("d", "/tmp").bytes(), &["entry 2, `d`, is no directory, but entry 1"]);
    refused(&Tar::new().file("f", "").file("f/g", "").bytes(), &["lies below entry 1, which is no directory"]);
}

#[test]
fn arc_03_hard_links_lead_to_entries_before_them() {
    for target in ["../../etc/passwd", "/etc/passwd", "missing", "later", "", "dir"] {
        let tar = Tar::new().dir("dir").hard("h", target).file("later", "").bytes();
        refused(&tar, &["entry 2, `h`, is a hard link to"]);
    }
    let chain = Tar::new().file("a", "1").hard("b", "a").hard("c", "./b").bytes();
    assert_eq!(read(&chain).unwrap().shown(), ["a = 1", "b = 1", "c = 1"]);
}

#[test]
fn arc_04_the_root_is_no_link() {
    for name in [".", "./", "./."] {
        refused(&Tar::new().link(name, "/tmp").bytes(), &["entry 1"]);
    }
    refused(&Tar::new().link("./", "/").bytes(), &["entry 1"]);
    refused(&Tar::new().file(".", "x").bytes(), &["would be the root, and is no directory"]);
}

#[test]
fn arc_05_a_directory_does_not_take_the_place_of_a_link() {
    let twice =
        Tar::new().link("d", "/tmp/canary").raw("d/", EntryType::Directory, b"", |header| header.set_mode(0o777));
    refused(&twice.bytes(), &["entry 2, `d/`, has the same path as entry 1"]);
}

#[test]
fn arc_07_the_size_of_an_extended_header_counts() {
    let inner = Tar::new().file("smuggled.txt", "evil").bytes();
    let size = inner.len().to_string();
    let outer = Tar::new()
        .pax(&[("size", size.as_bytes())])
        .raw("outer.bin", EntryType::Regular, &inner, |header| header.set_size(0))
        .file("after.txt", "after");
    let shown = read(&outer.bytes()).unwrap().shown();
    assert_eq!(shown.len(), 2);
    assert!(shown[0] == "after.txt = after" && shown[1].starts_with("outer.bin = smuggled.txt"), "{shown:?}");
}

#[test]
fn arc_08_extended_headers_are_of_the_file() {
    let long = "n".repeat(120);
    let size = Tar::new().pax(&[("size", b"3")]).raw("././@LongLink", EntryType::GNULongName, long.as_bytes(), |_| {});
    let size = size.raw("short", EntryType::Regular, b"abc", |header| header.set_size(0)).file("z", "");
    assert_eq!(read(&size.bytes()).unwrap().shown(), [format!("{long} = abc"), "z = ".into()]);
    let both = Tar::new().pax(&[("path", b"one")]).raw("././@LongLink", EntryType::GNULongName, b"two\0", |_| {});
    refused(&both.file("three", "").bytes(), &["at entry 1: two headers describe one entry"]);
    let twice = Tar::new().pax(&[("uid", b"1")]).pax(&[("uid", b"2")]).file("a", "");
    refused(&twice.bytes(), &["two headers describe one entry"]);
    let last = Tar::new().file("a", "").pax(&[("path", b"b")]);
    refused(&last.bytes(), &["it ends after a header that describes a next entry"]);
}

#[test]
fn arc_09_a_malformed_record_refuses_all() {
    for records in [
        &b"99 path=x\n"[..],
        b"9 path x\n",
        b"10 path=x",
        b"+9 path=x\n",
        b"x",
        b"0 path=x\n",
        b"9 path=x\n\0\0\0",
        b"18446744073709551616 path=x\n",
    ] {
        let tar = Tar::new().file("a", "").raw("pax", EntryType::XHeader, records, |_| {}).file("b", "");
        refused(&tar.bytes(), &["at entry 2: an extended header in it is malformed"]);
    }
    for (record, why) in [
        (("size", &b"-1"[..]), "a number in an extended header is none"),
        (("size", b"1.5"), "a number in an extended header is none"),
        (("path", b"a\0b"), "holds a zero byte"),
        (("path", b""), "takes it back"),
        (("GNU.sparse.major", b"1"), "sparse file"),
    ] {
        refused(&Tar::new().pax(&[record]).file("b", "").bytes(), &[why]);
    }
    refused(&Tar::new().pax(&[("path", b"a"), ("path", b"b")]).file("c", "").bytes(), &["twice"]);
}

#[test]
fn arc_09_a_header_for_all_entries_holds_remarks_only() {
    let global = |key: &str, value: &[u8]| {
        let record = format!("{} {key}=", key.len() + value.len() + 5);
        let data = [record.as_bytes(), value, b"\n"].concat();
        Tar::new().raw("pax_global_header", EntryType::XGlobalHeader, &data, |_| {}).file("a", "1").bytes()
    };
    let commit = b"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890";
    assert_eq!(read(&global("comment", &commit[..40])).unwrap().shown(), ["a = 1"]);
    for key in ["path", "linkpath", "GNU.sparse.name"] {
        refused(&global(key, b"somewhere"), &["a header for all entries gives names or sizes"]);
    }
    refused(&global("size", b"1234567"), &["a header for all entries gives names or sizes"]);
}

#[test]
fn arc_10_a_path_stands_once() {
    let twice = Tar::new().file("a/b", "1").file("x", "").file("./a//b", "2");
    refused(&twice.bytes(), &["entry 3, `./a//b`, has the same path as entry 1"]);
    refused(&Tar::new().file("a", "1").hard("a", "a").bytes(), &["the same path as entry 1"]);
    refused(&Tar::new().file("a", "").dir("a").bytes(), &["the same path as entry 1"]);
    let other = Tar::new().dir("d").raw("d", EntryType::Directory, b"", |header| header.set_mode(0o700));
    refused(&other.bytes(), &["the same path as entry 1"]);
    assert_eq!(read(&Tar::new().file("d/a", "").dir("d").dir("d/").bytes()).unwrap().shown(), ["d/", "d/a = "]);
    assert_eq!(read(&Tar::new().file("A", "").file("a", "").bytes()).unwrap().members.len(), 2);
}

#[test]
fn arc_11_nothing_follows_the_end() {
    let one = Tar::new().file("a", "1").bytes();
    refused(&[&one[..], b"x"].concat(), &["something follows behind the end"]);
    refused(&[&one[..], &one].concat(), &["something follows behind the end"]);
    refused(&[&one[..], &[0; 2 << 20]].concat(), &["zeros follow behind the end"]);
    let (without, end) = one.split_at(one.len() - 1024);
    refused(without, &["it does not end with two blocks of zeros"]);
    refused(&[without, &end[..512]].concat(), &["it does not end with two blocks of zeros"]);
    refused(&[without, &end[..512], without, end].concat(), &["it does not end with two blocks of zeros"]);
    refused(&one[..600], &["at entry 2: it is cut off"]);
    refused(&one[..512], &["entry 1, `a`, ends after 0 of 1 bytes"]);
    for empty in [&b""[..], b"not a tar", b"PK"] {
        refused(empty, &["at entry 1"]);
    }
    assert!(read(&[0; 1024]).unwrap().members.is_empty());
}

#[test]
fn arc_12_headers_must_be_right() {
    let one = |edit: fn(&mut [u8; 512])| Tar::new().raw_block(header(edit)).bytes();
    assert_eq!(read(&one(|_| {})).unwrap().shown(), ["x = "]);
    for (tar, why) in [
        (one(|block| block[124..136].copy_from_slice(b"\x80\0\0\x01\0\0\0\0\0\0\0\0")), "too large"),
        (one(|block| block[124..136].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), "negative"),
        (one(|block| block[124..136].copy_from_slice(b"-0000000001\0")), "several ways"),
        (one(|block| block[108..116].copy_from_slice(b"00x0000\0")), "several ways"),
        (one(|block| block[257..265].copy_from_slice(b"ustar\x0011")), "formats"),
        (one(|block| block[257..265].copy_from_slice(b"PKzip  \0")), "formats"),
    ] {
        refused(&tar, &["at entry 1", why]);
    }
    let mut wrong = one(|_| {});
    wrong[0] = b'y';
    refused(&wrong, &["at entry 1: the sum of a header is wrong"]);
    let mut late = Tar::new().file("a", "1").file("b", "2").bytes();
    late[1024] ^= 1;
    refused(&late, &["at entry 2: the sum of a header is wrong"]);
}

#[test]
fn arc_13_only_files_directories_and_links() {
    for kind in [b'7', b'S', b'D', b'M', b'V', b'N', b'A', b'?', 0xff] {
        let tar = Tar::new().file("a", "").raw("odd", EntryType::new(kind), b"", |_| {}).bytes();
        refused(&tar, &["at entry 2: `odd`"]);
    }
    let devices = [EntryType::Char, EntryType::Block, EntryType::Fifo];
    let tar = devices
        .iter()
        .zip("abc".chars())
        .fold(Tar::new(), |tar, (kind, name)| tar.raw(&name.to_string(), *kind, b"", |_| {}));
    // They have no bytes, so they can be left out; who takes them is refused later.
    assert_eq!(read(&tar.bytes()).unwrap().shown(), ["a is a device", "b is a device", "c is a device"]);
    for (kind, name) in
        [(EntryType::Directory, "d"), (EntryType::Symlink, "l"), (EntryType::Link, "h"), (EntryType::Fifo, "p")]
    {
        refused(&Tar::new().raw(name, kind, b"data", |_| {}).bytes(), &["is no file, but has content"]);
    }
    refused(&Tar::new().file("a/", "").bytes(), &["a file whose name ends with `/`"]);
    refused(&Tar::new().link("a/", "b").bytes(), &["a link whose name ends with `/`"]);
    let old = |size: u64| {
        Tar::new()
            .raw("old/", EntryType::Regular, &b"x".repeat(size as usize), |header| header.as_old_mut().linkflag = [0])
    };
    assert_eq!(read(&old(0).bytes()).unwrap().shown(), ["old/"]);
    refused(&old(1).bytes(), &["a directory with content"]);
    let renamed = |name: &str, path: &[u8]| {
        Tar::new()
            .pax(&[("path", path)])
            .raw(name, EntryType::Regular, b"", |header| header.as_old_mut().linkflag = [0])
    };
    refused(&renamed("d/", b"f").bytes(), &["`f` has two names, of which one is that of a directory"]);
    refused(&renamed("f", b"d/").bytes(), &["has two names"]);
    assert_eq!(read(&renamed("d/", b"e/").bytes()).unwrap().shown(), ["e/"]);
}

#[test]
fn arc_16_names_are_kept_as_they_are_or_refused() {
    let odd = "line\nfeed\u{1b}[31m ü";
    assert_eq!(read(&Tar::new().file(odd, "").bytes()).unwrap().members[0].path, odd);
    refused(&Tar::new().file(odd, "").file(odd, "").bytes(), &["`line\\nfeed\\x1b[31m \\xc3\\xbc`, has the same path"]);
    let latin = Tar::new().raw("x", EntryType::Regular, b"", |header| header.as_old_mut().name[0] = 0xfc);
    refused(&latin.bytes(), &["entry 1, `\\xfc`, has a name that is no UTF-8"]);
    refused(&Tar::new().file("", "").bytes(), &["entry 1, ``, has no name"]);
    refused(&Tar::new().file(&"x".repeat(256), "").bytes(), &["has a part of more than 255 bytes"]);
    refused(&Tar::new().file(&"x/".repeat(2500), "").bytes(), &["4096"]);
    refused(&Tar::new().raw("l", EntryType::Symlink, b"", |_| {}).bytes(), &["entry 1, `l`, is a link to ``"]);
}

#[test]
fn gnu_headers_with_times_where_others_have_a_prefix_are_refused() {
    let tar = Tar::new().raw("x", EntryType::Regular, b"", |header| {
        header.as_gnu_mut().unwrap().set_atime(1_700_000_000);
    });
    refused(&tar.bytes(), &["at entry 1", "formats"]);
    let mut prefix = Header::new_ustar();
    prefix.as_ustar_mut().unwrap().prefix[..3].copy_from_slice(b"dir");
    prefix.as_old_mut().name[..1].copy_from_slice(b"a");
    prefix.set_size(0);
    prefix.set_mode(0);
    prefix.set_cksum();
    assert_eq!(read(&Tar::new().raw_block(*prefix.as_bytes()).bytes()).unwrap().shown(), ["dir/", "dir/a = "]);
}

#[test]
fn an_archive_is_read_once() {
    let tar = Tar::new().file("a", "1").link("b", "a").dir("c").raw("d", EntryType::Fifo, b"", |_| {}).bytes();
    let reading = read(&gzip(&tar)).unwrap();
    let (ctx, digest) = (&reading.fixture.ctx, crate::oci::Digest::of(&gzip(&tar)));
    // Only what is remembered can say so: this file is no archive.
    let again = || crate::source::archive::read(ctx, "x.tar", &digest, tempfile::tempfile().unwrap(), || Ok(()));
    assert_eq!(again().unwrap(), reading.members);
    std::fs::remove_dir_all(ctx.store.root().join("blobs")).unwrap();
    assert!(again().is_err(), "without the bytes of its files it is read again");
}
