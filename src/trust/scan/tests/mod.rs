//! Stage 8: which records speak of what is in an image, and what is done about it. Tables of contents, records and answers.

use serde_json::{Value, json};

use super::matches::Matches;
use super::osv::{Record, Sketch};
use super::*;
use crate::oci::Digest;
use crate::trust::sbom::{How, Inventory, Language, Module, Part, What};

/// An image of Debian 12 with two packages of one source, and a program with a crate and a module.
fn image() -> Contents {
    let mut inventory = Inventory::new(Part::new(What::Image, "image"), Digest::of(b""), String::new());
    let system = Part { version: Some("12".into()), ..Part::new(What::System, "debian") };
    inventory.add(0, How::Contains, system);
    for (name, version, source) in [
        ("libssl3", "3.0.11-1+b1", Some("openssl (3.0.11-1)")),
        ("openssl", "3.0.11-1", None),
        ("tzdata", "2024a-0", None),
    ] {
        inventory.add(
            0,
            How::Contains,
            Part {
                version: Some(version.into()),
                source: source.map(str::to_string),
                purl: Some(format!("pkg:deb/debian/{name}@{version}?arch=amd64&distro=debian-12").replace('+', "%2B")),
                ..Part::new(What::Package, name)
            },
        );
    }
    let file = inventory.add(0, How::Contains, Part::new(What::File, "/app/server"));
    let module = |language, name: &str, version: Option<&str>, purl: bool, build| Module {
        language,
        name: name.into(),
        version: version.map(str::to_string),
        purl: purl.then(|| "pkg:x/y".to_string()),
        root: false,
        build,
        uses: Vec::new(),
    };
    inventory.add_modules(
        file,
        &[
            module(Language::Rust, "time", Some("0.1.40"), true, false),
            module(Language::Rust, "helper", Some("1.0.0"), true, true),
            module(Language::Rust, "own", Some("1.0.0"), false, false),
            module(Language::Go, "github.com/Acme/Lib", Some("v1.2.3+incompatible"), true, false),
            module(Language::Go, "stdlib", Some("1.21rc2"), true, false),
        ],
    );
    contents(&inventory, &[])
}

/// A record for one package, affected before a version.
fn record(id: &str, ecosystem: &str, name: &str, fixed: Option<&str>, rest: Value) -> Value {
    let kind = if ["Go", "crates.io"].contains(&ecosystem) { "SEMVER" } else { "ECOSYSTEM" };
    let mut events = vec![json!({ "introduced": "0" })];
    events.extend(fixed.map(|fixed| json!({ "fixed": fixed })));
    let mut record = json!({
        "id": id,
        "modified": "2026-01-01T00:00:00Z",
        "affected": [{ "package": { "ecosystem": ecosystem, "name": name }, "ranges": [{ "type": kind, "events": events }] }],
    });
    for (key, value) in rest.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn scan_of(contents: Contents, records: &[Value]) -> Scan {
    let mut matches = Matches::new(std::slice::from_ref(&contents));
    for record in records {
        let text = record.to_string();
        if matches.wants(&serde_json::from_str::<Sketch>(&text).unwrap()) {
            matches.take(&serde_json::from_str::<Record>(&text).unwrap()).unwrap();
        }
    }
    Scan {
        vulnerabilities: matches.of(&contents),
        strange: matches.unknown(&contents),
        database: Database { path: "db".into(), records: records.len() as u64, newest: None },
        contents,
    }
}

mod judging;
mod matching;
