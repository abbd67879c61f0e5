//! Stage 5: that an image read from its top says what the whole image says, reads no layer too many, and gives the right bytes.

use std::fs;
use std::io::{Read, Seek, SeekFrom};

use proptest::prelude::*;
use tar::EntryType;

use crate::ctx::Ctx;
use crate::source::fixture::{Fixture, Layer, Tar, gzip, wait};
use crate::source::{Base, FileIndex, Kind, Node, Strata, Stretch, files, parts};

fn image(fixture: &Fixture, layers: &[Layer]) -> Base {
    fixture.base(&fixture.reference(fixture.image("linux/amd64", layers).digest)).unwrap()
}

fn at(ctx: &Ctx, base: &Base, path: &str) -> Option<(String, Node)> {
    wait(Strata::new(ctx, base).at(path)).unwrap().map(|seat| (seat.path, seat.node))
}

/// What the stretches hold.
fn bytes(ctx: &Ctx, stretches: &[Stretch]) -> Vec<String> {
    let read = |stretch: &Stretch| {
        let (mut file, _) = ctx.store.open(&stretch.blob).unwrap().unwrap();
        file.seek(SeekFrom::Start(stretch.start)).unwrap();
        let mut text = String::new();
        file.take(stretch.size).read_to_string(&mut text).unwrap();
        text
    };
    stretches.iter().map(read).collect()
}

/// The texts of some files of an image.
fn texts(ctx: &Ctx, base: &Base, paths: &[&str]) -> Vec<String> {
    let wanted: Vec<_> = paths
        .iter()
        .map(|path| match at(ctx, base, path) {
            Some((_, Node { kind: Kind::File { size }, bytes: Some(bytes), .. })) => (bytes, size),
            other => panic!("{path}: {other:?}"),
        })
        .collect();
    bytes(ctx, &wait(parts(ctx, base, &wanted)).unwrap())
}

#[test]
fn layers_that_tell_nothing_are_not_fetched() {
    let fixture = Fixture::new();
    let lower = Layer::plain(Tar::new().dir("usr").file("usr/tool", "old").file("usr/low", "low"));
    let upper = Layer::plain(Tar::new().dir("usr").file("usr/tool", "new").link("bin", "usr").file("usr/.wh.gone", ""));
    let opaque = Layer::plain(Tar::new().dir("app").file("app/.wh..wh..opq", "").file("app/x", "x"));
    let base = image(&fixture, &[lower.clone(), upper.clone(), opaque.clone()]);
    fs::remove_file(fixture.path(&base.manifest.layers[0].digest)).unwrap();
    assert_eq!(texts(&fixture.ctx, &base, &["/bin/tool", "app/x", "usr/tool"]), ["new", "x", "new"]);
    assert_eq!(at(&fixture.ctx, &base, "usr/gone"), None, "a whiteout says so");
    let inside = wait(Strata::new(&fixture.ctx, &base).below("app")).unwrap();
    assert_eq!(inside.keys().map(|path| path.escape_ascii().to_string()).collect::<Vec<_>>(), ["x"]);
    for path in ["usr/low", "nothing"] {
        assert!(wait(Strata::new(&fixture.ctx, &base).at(path)).is_err(), "{path} may be in the lowest layer");
    }
    assert!(wait(Strata::new(&fixture.ctx, &base).below("usr")).is_err(), "and so may more of the directory");
}

#[test]
fn what_was_taken_is_remembered() {
    let fixture = Fixture::new();
    let tar = Tar::new().file("a", "first").file("b", "").file("c", "third").hard("d", "a").bytes();
    let layer = Layer::packed(&tar, crate::oci::media::LAYER_GZIP, gzip);
    let above = Layer::plain(Tar::new().hard("e", "c").dir("x"));
    let base = image(&fixture, &[layer.clone(), above]);
    let all = ["a", "b", "c", "d", "e"];
    assert_eq!(texts(&fixture.ctx, &base, &all), ["first", "", "third", "first", "third"]);
    for layer in &base.manifest.layers {
        fs::remove_file(fixture.path(&layer.digest)).unwrap();
        fs::remove_file(fixture.store().join("blobs/sha256").join(layer.digest.hex())).unwrap();
    }
    assert_eq!(texts(&fixture.ctx, &base, &all), ["first", "", "third", "first", "third"]);
}

#[test]
fn a_sparse_file_has_no_bytes_to_take() {
    let sparse =
        Tar::new().raw("hole", EntryType::GNUSparse, b"", |header| header.as_gnu_mut().unwrap().set_real_size(9));
    let fixture = Fixture::new();
    let base = image(&fixture, &[Layer::plain(sparse)]);
    let (_, node) = at(&fixture.ctx, &base, "hole").unwrap();
    assert_eq!((node.kind, node.bytes), (Kind::File { size: 9 }, None));
}

/// A step in the making of a layer.
fn step() -> impl Strategy<Value = (u8, usize, usize)> {
    (0u8..7, 0usize..PATHS.len(), 0usize..PATHS.len())
}

const PATHS: [&str; 8] = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "e/f/g", "h"];

fn layer(steps: &[(u8, usize, usize)]) -> Tar {
    steps.iter().fold(Tar::new(), |tar, (kind, path, other)| {
        let (path, other) = (PATHS[*path], PATHS[*other]);
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let within = |name: &str| if directory.is_empty() { name.to_string() } else { format!("{directory}/{name}") };
        match kind {
            0 | 1 => tar.file(path, other),
            2 => tar.dir(path),
            3 => tar.link(path, &format!("/{other}")),
            4 => tar.hard(path, other),
            5 => tar.file(&within(&format!(".wh.{name}")), ""),
            _ => tar.file(&within(".wh..wh..opq"), ""),
        }
    })
}

/// What a whole index has at a path.
fn whole(index: &FileIndex, path: &str) -> Option<(String, Kind)> {
    let real = index.resolve(path)?;
    let kind = index.get(&real)?.kind.clone();
    Some((real, kind))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_top_says_what_the_whole_says(layers in prop::collection::vec(prop::collection::vec(step(), 1..6), 1..4)) {
        let fixture = Fixture::new();
        let layers: Vec<Layer> = layers.iter().map(|steps| Layer::plain(layer(steps))).collect();
        let base = image(&fixture, &layers);
        // What contradicts itself is refused by either.
        if let Ok(index) = wait(files(&fixture.ctx, &base)) {
            for path in PATHS.iter().chain(&["a/b/c/x", "e/f/g/h", ""]) {
                let mut strata = Strata::new(&fixture.ctx, &base);
                let seat = wait(strata.at(path)).unwrap();
                prop_assert_eq!(seat.as_ref().map(|seat| (seat.path.clone(), seat.node.kind.clone())), whole(&index, path));
                let Some(seat) = seat else { continue };
                if !seat.path.is_empty() {
                    prop_assert_eq!(seat.node.bytes, index.get(&seat.path).unwrap().bytes, "{}", path);
                }
                if seat.node.kind == Kind::Directory {
                    let below = wait(strata.below(&seat.path)).unwrap();
                    let inside = |path: &[u8]| {
                        let prefix = if seat.path.is_empty() { String::new() } else { format!("{}/", seat.path) };
                        path.strip_prefix(prefix.as_bytes()).map(<[u8]>::to_vec)
                    };
                    let expect: Vec<_> = index.iter().filter_map(|(path, node)| Some((inside(path)?, node.kind.clone()))).collect();
                    prop_assert_eq!(below.into_iter().map(|(path, node)| (path.to_vec(), node.kind)).collect::<Vec<_>>(), expect);
                }
            }
        }
    }
}
