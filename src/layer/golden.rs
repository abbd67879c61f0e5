//! Stage 6: golden digests (check REP-14). They change only with a new format; what is written here was once released.

use super::tests::{ALL, blob, directory, entry, inline, link, noise, prose, tree};
use super::tree::{Body, Entry, Mode, Tree};
use crate::oci::Digest;

/// A tree's name, its diff ID and the digests of its blobs: gzip, zstd.
type Golden = (&'static str, &'static str, &'static str, &'static str);

const GOLDEN: [Golden; 13] = [
    (
        "empty",
        "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        "62539018952ddec37a4fcf8d77171cfbcd5b21fc3520f32028cd9cfdae546a31",
        "475029fc2ab1f7150ea3ec148920e24d90c54bdd49a2a8afbed5f5127ef1f6fb",
    ),
    (
        "one file",
        "194a4d6994ed531f07de3f850e7f0f4980df6bce3a19b56484253e5826b9d57a",
        "6518fa1635dd9fb80582681d18a131de2fbb846a4c3872cc780a79e2de91ceb8",
        "ddbf8990709c5a383561ceca242482904acd443d1ded5f009a4ae26a0b34e643",
    ),
    (
        "empty directory",
        "7e5481b4f11702f01c862e38f4fa23ce11afc37978cb7b6aeb94a6822d3c6655",
        "131429e7daead857b68adb4b7127235bbe9be0c2cf56ee5703456fe1da58237a",
        "cb65a281d014fe4d51f2bdaf6c590bb3dd75bd52c7c0dae0e9b2408d2d5304cf",
    ),
    (
        "links",
        "0f231e7770108efd79f3077c73ad8e625f8dfc5cf031ecb44cbf259fc87203a8",
        "6b407b06f9c8bbdc35919079be091ca37d80b6a5faff6f3b096fdf0059e2b1bb",
        "aa3c521de225218d32fa152d9da98b258c11249f17f2044040add18aeedc4d3f",
    ),
    (
        "whiteouts",
        "53ec56ea5fcf3f5f02162a643a25428521f6041b8cabc067290083cc0e13bf9f",
        "82a473a519bb9763e865db932f579fa1f69968c80a2e740ca863eccd52c86da6",
        "62c931d978bc2ae1d296db96717a90202da155fa26244d96b9e80563cd48c979",
    ),
    (
        "long names",
        "a25b24646cc0c762cd7ef28a1f56b686d96292a11d86963bf46af8a189335e1f",
        "7ee9799b40e703bdc944c45e63e104792d0eb1b3add8d163c61c19db7192bf05",
        "8c9bf9cf08ed06e705283bc0e49f447843a1527d5a14bf0540449408c6ede31c",
    ),
    (
        "not ascii",
        "130e6deb02738d0d8318c4f07e1a81c5d0339b1d9ba45fb47663938eccfb675f",
        "b2d93dc01c0fe32841f2f20ace6a3967d5ddcf2cc240affd6f33b017b140156e",
        "ec67061cc91d4c54740d5a3ceb8b01ecaa1a9f847eb3491c7e66c7c7a9bcac52",
    ),
    (
        "capabilities",
        "b9e65e7a4e3c7c8734d51584fdd1a75167763b49cf9bdfe59c64ddc3beddfe9f",
        "450bd7d3fe56bdf9b6f5a8ceec30e2a4c92fb8205e5ef8027c2dd0ded67ebe01",
        "6c61edd453db772880542a5aa3d92c13598266c5c50e81d63f173f8b98ebc4b1",
    ),
    (
        "modes",
        "508a0413ba534def251e1ed894e42fe3a823845005ae3e54489b615e37671b42",
        "9c2723ee8bb4befc28bc79f22146f322501a69a369bf0643b0557d64af8a4dbd",
        "72b5f788763ff5dd2fa873549dd23303c98c2f045664435494db90fb432dad6f",
    ),
    (
        "owners",
        "052b3d959dc66eb7be4967a195a713bee9708f0362a2c9f43d5ca64a4c6c5ec4",
        "916811c303b9ccf249a2db77ccfb6fda27f2da0e1ef28d7e34974e173510207f",
        "bffa2222243c73e26796f2b6d8398fcdbf5646eab34b67bc21fdee44b55d7582",
    ),
    (
        "large",
        "de3704e20d720acac757424cbc6ab3dd45dbb79d62df7565906420546f4fcf09",
        "7069ec358d7945da7d3ac49c02dfe2e82b68a0496f73e2419c1617db71fec69c",
        "14053e5316477bb92c3425239bde3f9d57a2154537293b2448fe10d631b9d04d",
    ),
    (
        "many",
        "408752ca76f244e5aa4a01a0c4b0633dc843a0b07d666e7b72145224fc7b4406",
        "3e488811e544c0b059bda6dee8cdc71fbcbfb67d5cfc317dd4537de2da7fc0da",
        "5b26832639613b1455f64c1908e334223729b8190561c19c7a1261659e664b99",
    ),
    (
        "whole blocks",
        "bfe136e8fd45c536fcccae8851555309e5ffc2016bb9d19c0e80fb7c4f9e5752",
        "2b5b8826f666c32488217cafdf1850aaea6609930146a7d31210f2e497e1cecb",
        "11bc3465e0ede805146265ade745c11fa8f62a300d51c32ae120ab3ae247bc64",
    ),
];

fn by_content(bytes: &[u8]) -> Entry {
    Entry { mode: Mode::ByContent, ..inline(bytes) }
}

fn make(name: &str) -> Tree {
    let a = |count: usize| "a".repeat(count);
    match name {
        "empty" => Tree::new(),
        "one file" => tree([("hello.txt", inline(b"hello\n"))]),
        "empty directory" => tree([("srv", directory())]),
        "links" => tree([
            ("bin", link("usr/bin")),
            ("far", link(&format!("/{}", a(150)))),
            ("usr", directory()),
            ("usr/bin", directory()),
            ("usr/bin/é", link("../ü")),
        ]),
        "whiteouts" => tree([
            ("etc", directory()),
            ("etc/.wh.motd", entry(Body::Whiteout, 0o644)),
            ("var/.wh..wh..opq", entry(Body::Whiteout, 0o644)),
        ]),
        "long names" => tree([
            (&a(100), inline(b"100")),
            (&format!("{}b", a(100)), inline(b"101")),
            (&format!("{}/{}", a(154), a(100)), inline(b"255")),
            (&format!("{}/{}", a(155), a(100)), inline(b"256")),
            (&format!("c/{}", a(100)), directory()),
            (&format!("{}/z", "d/".repeat(2047) + "d"), inline(b"4097")),
        ]),
        "not ascii" => tree([("a\nb", inline(b"1")), ("grüße", directory()), ("grüße/\u{1f600}", inline(b"2"))]),
        "capabilities" => tree([("bin/server", Entry { capabilities: 1 << 10 | 1 << 40, ..inline(b"\x7fELF") })]),
        "modes" => tree([
            ("a.sh", by_content(b"#!/bin/sh\n")),
            ("b.txt", by_content(b"text")),
            ("elf", by_content(b"\x7fELF\x02\x01")),
            ("su", Entry { mode: Mode::Fixed(0o4755), ..inline(b"su") }),
            ("tmp", Entry { mode: Mode::Fixed(0o1777), ..directory() }),
        ]),
        "owners" => tree([
            ("a", Entry { uid: 65532, gid: 65532, ..inline(b"a") }),
            ("b", Entry { uid: 2_097_151, gid: 2_097_152, ..inline(b"b") }),
            ("c", Entry { uid: 3_000_000, gid: u32::MAX, ..directory() }),
        ]),
        "large" => tree([("a", inline(&[prose(1, 1 << 20), noise(2, 1 << 20), prose(3, 1 << 20)].concat()))]),
        "many" => (0..5000u64).map(|n| (format!("d{}/f{n}", n % 50), inline(&prose(n, (n % 700) as usize)))).collect(),
        // The tar's 1024 last bytes end with a block.
        "whole blocks" => tree([("a", inline(&noise(4, (1 << 20) - 512 - 1024)))]),
        other => panic!("no tree is named {other}"),
    }
}

#[test]
fn the_bytes_are_those_of_format_1() {
    let found = GOLDEN.map(|(name, ..)| {
        let tree = make(name);
        let [none, gzip, zstd] = ALL.map(|compression| {
            let (packed, bytes) = blob(&tree, compression);
            assert_eq!(packed.descriptor.digest, Digest::of(&bytes));
            (packed.descriptor.digest.hex(), packed.diff_id)
        });
        assert!([gzip.1, zstd.1].iter().all(|diff_id| *diff_id == none.1 && diff_id.0.hex() == none.0), "{name}");
        (name, none.0, gzip.0, zstd.0)
    });
    let expected =
        GOLDEN.map(|(name, diff_id, gzip, zstd)| (name, diff_id.to_string(), gzip.to_string(), zstd.to_string()));
    assert_eq!(found, expected);
}
