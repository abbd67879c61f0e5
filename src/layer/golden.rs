//! Stage 6: golden digests (check REP-14). They change only with a new format; what is written here was once released.

use std::collections::BTreeSet;

use super::known::Known;
use super::tests::{ALL, blob, ctx, directory, entry, inline, link, noise, prose, tree};
use super::tree::{Body, Entry, Mode, Tree};
use super::twins::twins;
use crate::oci::Digest;
use crate::oci::media::{Compression, Encoding};

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

/// The digests of the tree "levels" at each level, from 1 on.
const GZIP: &[&str] = &[
    "1ec424bc451164718d2b55ca71e80c4bb73e4249366bf56e541a0a243da8d24b",
    "f783d50cadb45fdc6fb9c09d03a65a707bff56bf960b024aa55f2ca13f4c0336",
    "d3f823712bce16e6b0d9635c1fb3f1a6b1615d31160ce058a30dd0bc325b6214",
    "ec0e9b7ca159b3dc698075676739c612aa31581b69a4c41cff9028ddbe1bdcfe",
    "ec75544d82319245ab224bbaa37089a4cecc729fb9ce9e99383b419e4f67a3f0",
    "1f875af61177c0710041ddf12d4c0f886c0d042d14a24c5b2f2c93d2dda3f5d2",
    "e9b0c8a663192cb61a449b84ca460330d1016dbb759d38c5e280b009d735d54c",
    "b8453250e33b04e85352dd1a529bce6f3fd45afe0801a550a252f0c7abc29809",
    "2365891353cf0934e50fbbcf4f845c90056e30ce2f3f4c4d9230e940aac6ebac",
    "302a3b1d1af24ed97b0bc3c45a358873d427a686dd1130de2dec1a6e534cd4ef",
    "be93f0626334bbf4a7fd612a8156d6064c04eb442ced8eb8acd630e750356c16",
    "a92d7f94ce6a9e5982c61131776f96bf8cb3326ae7c62d8ede3c81267a09869a",
];
const ZSTD: &[&str] = &[
    "aad87508b8475b6707d1e218291bd8a49b1e1a6b88342489be64c75981e654d3",
    "8d8a590e645fece4cdbb4cd896e378d48220d41b7abde38899dee2e1704f51be",
    "e62404c33d6f03bffda4e574afe1b3b32b00c9902baa631faefca0bb2e239694",
    "8acd58905236256580239167b3e9034647955858fac44a903a2f211b2abfe12f",
    "9dc42834efc11329a299bd2b5cac86748c54e589137367793fc3ea3ccac7567e",
    "6c88c0c9560a181f3c4b8ae7ef16ad1dddc271f0e0e6a1fd65577930a5726f32",
    "efde05e9e2bf87c0a4110b788cd82416471813ec9a30088961395732d4f30c13",
    "686e2a5e39f7915573758062a369f2d97bb2afa1d798113b5053c67709b1b7ca",
    "686e2a5e39f7915573758062a369f2d97bb2afa1d798113b5053c67709b1b7ca",
    "075441c99bddc03e92b9b6a77d0d03f3dd5cef1d9cb32275064588e51d5ac164",
    "b36f1f76abf09c882a265d68c999e60c0ba688271bbd7d3234919c79bc32840d",
    "b36f1f76abf09c882a265d68c999e60c0ba688271bbd7d3234919c79bc32840d",
    "0a86d179451540f30cb085b01d81be075845acd9d283d458aa703b841cac42fa",
    "3b692ac108dd00f2abe5d5247bfba98f486734a14d840bb3c9d78919690a9ed0",
    "c224f59d94d1de4de656a6b97d107924006f53bdc13cfe7060ee2f70cb75bb2a",
    "a1e28dd604a09016900845171f60879bbed35faa67bd77d5822a71d40bfd8fea",
    "f91408439b0cc0177b5d0089a189d29e67fc6f49320e9ad4360300d0568872af",
    "77c0f19bd4503175052c4e3051cd4fac9754550e5797c8bf1db74c35b437790a",
    "8a1f7d149ce8b54dc3c873c0506617894478136639b3ca91c5573bab46d3fe28",
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
        "equal files" => tree([
            ("a", inline(&prose(7, 4096))),
            ("b", Entry { uid: 7, ..inline(&prose(7, 4096)) }),
            ("c", by_content(&prose(7, 4096))),
            ("d", inline(&prose(7, 4096)[1..])),
            ("e", inline(&prose(7, 4096)[1..])),
            (&format!("{}/ü", a(120)), Entry { capabilities: 1 << 10, ..inline(&prose(8, 1 << 20)) }),
            (&format!("{}/ö", a(120)), Entry { capabilities: 1 << 10, ..inline(&prose(8, 1 << 20)) }),
            ("z", Entry { uid: 7, ..by_content(&prose(7, 4096)) }),
        ]),
        // Text, noise, and numbers that repeat far and near: each level finds something else.
        "levels" => {
            let numbers = |step: u32| (0..60_000u32).flat_map(move |n| (n / 7 * step % 4093).to_le_bytes());
            let table: Vec<u8> = numbers(3).chain(numbers(5)).chain(numbers(3)).collect();
            tree([("a", inline(&prose(5, 400_000))), ("b", inline(&table)), ("c", inline(&noise(6, 3000)))])
        }
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

/// The diff ID of the tree "equal files" with hard links, and the digests of its blobs: gzip, zstd.
const LINKED: [&str; 3] = [
    "bc3514338001fa1f42971909074dd290ea73699f6a14b03a2164218951160569",
    "c3cda9f52a0c5fc58f11c04ec48bbe5fbb88c9c25fa34707bd5f027e096834b7",
    "8905d71a57bf1c532d9daf7322809ce4cabc9d261c0f248e9bec018b6bb30e50",
];

#[test]
fn hard_links_have_their_own_bytes() {
    let home = tempfile::tempdir().unwrap();
    let (tree, known) = (make("equal files"), Known::default());
    let linked = || twins(&ctx(home.path()), &tree, &known).unwrap();
    let found = ALL.map(|compression| blob(linked(), compression).0.descriptor.digest.hex());
    assert_eq!(found, LINKED);
    assert_ne!(blob(&tree, Compression::None).0.descriptor.digest.hex(), LINKED[0]);
}

#[test]
fn each_level_has_its_own_bytes() {
    let tree = make("levels");
    let diff_id = blob(&tree, Compression::None).0.diff_id;
    for (kind, expected) in [(Compression::Gzip, GZIP), (Compression::Zstd, ZSTD)] {
        let found: Vec<String> = (1..=kind.most().unwrap())
            .map(|level| {
                let packed = blob(&tree, Encoding { kind, level }).0;
                assert_eq!(packed.diff_id, diff_id);
                packed.descriptor.digest.hex()
            })
            .collect();
        assert_eq!(found, expected, "{kind:?}");
        // Two levels of zstd may differ in the size of tables only, which such small blocks do not fill.
        assert!(found.iter().collect::<BTreeSet<_>>().len() >= 12, "levels that are one: {found:?}");
        let default = blob(&tree, kind).0.descriptor.digest.hex();
        assert_eq!(default, expected[usize::from(Encoding::from(kind).level) - 1]);
    }
}
