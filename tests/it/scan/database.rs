//! Where records are read from: directories and archives; what is broken, foreign or too large is refused.

use std::io::Write;

use serde_json::json;

use super::{ALL, found, project, record, records, zipped};
use crate::support::Project;

fn tarred(records: &[serde_json::Value]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for record in records {
        let mut header = tar::Header::new_ustar();
        let text = record.to_string();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, format!("all/{}.json", record["id"].as_str().unwrap()), text.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_database_is_a_directory_or_an_archive() {
    let project = project("");
    let (zip, tar) = (zipped(&records()), tarred(&records()));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    project.write("all.zip", &zip);
    project.write("all.tar", &tar);
    project.write("all.tar.gz", gzip.finish().unwrap());
    project.write("all.tar.zst", zstd::encode_all(tar.as_slice(), 1).unwrap());
    // One world an archive, below directories; what is no record is left alone.
    project.write("several/a/Debian.zip", zipped(&records()[..1]));
    project.write("several/b/rest.tar", tarred(&records()[1..3]));
    project.write("several/README.md", "hello");
    project.write("several/.hidden.json", "{");
    for path in ["db", "all.zip", "all.tar", "all.tar.gz", "all.tar.zst", "several"] {
        let document = project.run(["--format", "json", "scan", "--db", path]).success().json();
        assert_eq!(found(&document), ALL, "{path}");
        let count = if path == "several" { 3 } else { 4 };
        assert_eq!(document["images"][0]["database"]["records"], count, "{path}");
    }
    project.write("one.json", records()[0].to_string());
    let document = project.run(["--format", "json", "scan", "--db", "one.json", "--unknown", "warn"]).success().json();
    assert_eq!(found(&document), ALL[..1]);
}

#[test]
fn no_database_is_not_an_empty_one() {
    let project = project("");
    std::fs::create_dir(project.path("empty")).unwrap();
    project.write("empty.zip", zipped(&[]));
    for words in
        [&["scan"][..], &["scan", "--db", "missing"], &["scan", "--db", "empty"], &["scan", "--db", "empty.zip"]]
    {
        let done = project.run(words).fails(5);
        assert!(done.stderr.contains("there is no database of vulnerabilities"), "{words:?}: {}", done.stderr);
    }
}

#[test]
fn what_is_broken_is_refused_by_its_name() {
    let zip = zipped(&records());
    let cut = zip[..zip.len() / 2].to_vec();
    let mut flipped = zip.clone();
    flipped[60] ^= 0x55;
    let deep =
        format!("{{\"id\":\"X\",\"affected\":[],\"database_specific\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let deep_hit = record("X", "Debian:12", "openssl", None, json!({}))
        .to_string()
        .replace("\"id\"", &format!("\"database_specific\":{}{},\"id\"", "[".repeat(5000), "]".repeat(5000)));
    for (name, content, expect) in [
        ("cut.zip", cut, "the archive is broken"),
        ("flipped.zip", flipped, "flipped.zip"),
        ("text.zip", b"hello".to_vec(), "neither a record, nor a zip or tar archive"),
        ("half.json", b"{\"id\":".to_vec(), "it is no OSV record"),
        ("package.json", b"{\"name\":\"x\"}".to_vec(), "it is no OSV record: missing field `id`"),
        ("wrong.json", b"{\"id\":\"X\",\"affected\":{}}".to_vec(), "it is no OSV record"),
        ("nameless.json", b"{\"id\":\"\"}".to_vec(), "its `id` is empty"),
        ("deep_hit.json", deep_hit.into_bytes(), "it is no OSV record"),
    ] {
        let project = project("");
        project.write(&format!("db/{name}"), content);
        let done = project.run(["scan", "--db", "db"]).fails(5);
        assert!(done.stderr.contains(name) && done.stderr.contains(expect), "{name}: {}", done.stderr);
    }
    // What lies deep in a part that nobody reads does no harm.
    let project = project("");
    project.write("db/deep.json", deep);
    project.run(["scan", "--db", "db"]).success();
}

#[test]
fn a_scan_takes_little_memory_for_a_large_database() {
    let project = Project::new().file("server", crate::attest::elf::elf(&[crate::attest::elf::rust(super::CRATES)]));
    project.write(
        "image.toml",
        "schema = 1\n[image]\nbase = \"scratch\"\nuser = \"1\"\n[[binary]]\nsrc = \"server\"\ndest = \"/server\"\n",
    );
    // 3000 records of 20 kB, of which one is of interest: 60 MB of text.
    let mut many: Vec<_> = (0..3000)
        .map(|at| {
            let rest = json!({ "details": format!("{at} {}", "many words ".repeat(1800)) });
            record(&format!("X-{at}"), "crates.io", &format!("crate{at}"), None, rest)
        })
        .collect();
    many.push(records()[1].clone());
    project.write("all.zip", zipped(&many));
    // Address space, of which threads and the program itself take most.
    let done = project.run(["--format", "json", "scan", "--db", "all.zip"]).after("ulimit -v 600000").success();
    assert_eq!(found(&done.json()), ALL[1..2]);
}
