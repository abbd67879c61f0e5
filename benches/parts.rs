//! How long the parts take: `cargo bench --bench parts [NAME]`. Whole commands, beside peers and limits, are measured by `bench/run`.

use std::path::Path;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use stillframe::oci::{Digest, Reference};
use stillframe::registry::Settings;
use stillframe::{Ctx, Destination, Request, build, event, ship};

fn main() {
    divan::main();
}

/// A project of so many files of 4 KiB, which compress as text does.
fn project(room: &Path, files: usize) {
    let words = ["the ", "image ", "layer ", "of ", "digest ", "a ", "file ", "\n"];
    for at in 0..files {
        let directory = room.join(format!("tree/{:03}", at / 100));
        std::fs::create_dir_all(&directory).expect("room");
        let text: String = (0..900).map(|word: usize| words[word.wrapping_mul(at + 7) % words.len()]).collect();
        std::fs::write(directory.join(format!("{at}.txt")), &text[..text.len().min(4096)]).expect("room");
    }
    let text = "schema = 1\n[image]\nbase = \"scratch\"\nuser = \"1000\"\ncreated = \"fixed\"\n\
                [[file]]\nsrc = \"tree\"\ndest = \"/tree\"\n";
    std::fs::write(room.join("image.toml"), text).expect("room");
}

fn made(room: &Path, home: &Path) -> Digest {
    let settings = Settings { offline: true, ..Settings::default() };
    let ctx = Ctx::new(home, settings, event::nowhere()).expect("a context");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let made = build(&ctx, &Request::new(room)).await.expect("an image");
        ship(&ctx, &made, &Destination::Store).await.expect("room");
        made.digest()
    })
}

#[divan::bench(args = [100, 1000, 5000])]
fn cold(bencher: Bencher<'_, '_>, files: usize) {
    let room = tempfile::tempdir().expect("room");
    project(room.path(), files);
    let home = || tempfile::tempdir().expect("room");
    bencher.counter(ItemsCount::new(files)).with_inputs(home).bench_values(|home| made(room.path(), home.path()));
}

#[divan::bench(args = [100, 1000, 5000])]
fn nothing_changed(bencher: Bencher<'_, '_>, files: usize) {
    let (room, home) = (tempfile::tempdir().expect("room"), tempfile::tempdir().expect("room"));
    project(room.path(), files);
    made(room.path(), home.path());
    bencher.counter(ItemsCount::new(files)).bench(|| made(room.path(), home.path()));
}

#[divan::bench(args = ["imagefile.toml", "examples/website/image.toml", "examples/distroless/image.toml"])]
fn a_plan_of(bencher: Bencher<'_, '_>, path: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let request = Request::new(file);
    bencher.bench(|| black_box(request.plan().is_ok()));
}

#[divan::bench]
fn a_digest_of_a_mebibyte(bencher: Bencher<'_, '_>) {
    let bytes = vec![7_u8; 1 << 20];
    bencher.counter(BytesCount::new(bytes.len())).bench(|| Digest::of(black_box(&bytes)));
}

#[divan::bench]
fn a_reference(bencher: Bencher<'_, '_>) {
    let text = format!("registry.example.com:5000/team/app:1.2.3@sha256:{}", "a".repeat(64));
    bencher.bench(|| black_box(&text).parse::<Reference>().is_ok());
}
