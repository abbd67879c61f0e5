//! Known vulnerabilities: what `scan` finds in images wherever they are, what keeps an image from going out, and how a database is
//! fetched. All records are written here.

mod attach;
mod database;
mod gate;
mod images;
mod update;

use std::io::Write;

use serde_json::{Value, json};

use crate::attest::elf::{elf, go, rust};
use crate::support::{Base, Project, dir, executable, file, rooted};

/// A dpkg database with two packages of one source.
const DPKG: &str = "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl (3.0.11-1)\n\
    Version: 3.0.11-1+b1\n\nPackage: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2024a-0\n";
/// A program with a crate that is in need of repair.
const CRATES: &str = r#"{"packages":[{"name":"time","version":"0.1.40","source":"crates.io"},
    {"name":"server","version":"0.3.0","source":"local","dependencies":[0],"root":true}]}"#;
/// A program with a module that is, too.
const MODULES: &str =
    "path\texample.com/acme\nmod\texample.com/acme\t(devel)\t\ndep\tgithub.com/acme/lib\tv1.2.3\th1:x=\n";

/// A record: affected before a version, if there is one.
fn record(id: &str, ecosystem: &str, name: &str, fixed: Option<&str>, rest: Value) -> Value {
    let kind = if ["Go", "crates.io"].contains(&ecosystem) { "SEMVER" } else { "ECOSYSTEM" };
    let mut events = vec![json!({ "introduced": "0" })];
    events.extend(fixed.map(|fixed| json!({ "fixed": fixed })));
    let mut record = json!({
        "schema_version": "1.7.0", "id": id, "modified": "2026-01-01T00:00:00Z",
        "affected": [{ "package": { "ecosystem": ecosystem, "name": name }, "ranges": [{ "type": kind, "events": events }] }],
    });
    for (key, value) in rest.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

/// Records of all worlds that the images here are of: one vulnerability each of a package, a crate and a module, and one that was
/// taken back.
fn records() -> Vec<Value> {
    let high = json!([{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" }]);
    vec![
        record(
            "DEBIAN-CVE-2026-1",
            "Debian:12",
            "openssl",
            Some("3.0.13-1"),
            json!({ "upstream": ["CVE-2026-1"], "severity": high, "summary": "it stops" }),
        ),
        record(
            "RUSTSEC-2026-1",
            "crates.io",
            "time",
            Some("0.2.23"),
            json!({ "aliases": ["CVE-2026-2"], "database_specific": { "severity": "MODERATE" } }),
        ),
        record("GO-2026-1", "Go", "github.com/acme/lib", None, json!({ "database_specific": { "severity": "LOW" } })),
        record("DEBIAN-CVE-2026-9", "Debian:12", "tzdata", None, json!({ "withdrawn": "2026-01-02T00:00:00Z" })),
    ]
}

/// Puts records into a directory of the project, one file for each.
fn database(project: &Project, path: &str, records: &[Value]) {
    for record in records {
        project.write(&format!("{path}/{}.json", record["id"].as_str().unwrap()), record.to_string());
    }
}

/// The same as a zip archive, as the public databases offer them.
fn zipped(records: &[Value]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for record in records {
        let name = format!("{}.json", record["id"].as_str().unwrap());
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(record.to_string().as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A base of Debian 12 with packages, and with a Go program of its own.
fn debian() -> Base {
    Base::debian().layer([
        dir("var"),
        dir("var/lib"),
        dir("var/lib/dpkg"),
        file("var/lib/dpkg/status", DPKG),
        dir("usr"),
        dir("usr/bin"),
        executable("usr/bin/tool", elf(&[go("go1.22.1", MODULES)])),
    ])
}

/// A project that puts a Rust program on that base, with what is said of its check; its database lies in `db`.
fn project(check: &str) -> Project {
    let project = Project::new().file("server", elf(&[rust(CRATES)]));
    let base = debian().write(&project, "base");
    let manifest = format!(
        "schema = 1\n[image]\nbase = \"{base}\"\nname = \"registry.test/acme/server\"\ncreated = \"2026-06-01T00:00:00Z\"\nuser = \"1000\"\n\
         [[binary]]\nsrc = \"server\"\ndest = \"/app/server\"\n{check}"
    );
    project.write("image.toml", rooted(&manifest));
    database(&project, "db", &records());
    project
}

/// The vulnerabilities of a scan's only image, each as `ID severity fixed`.
fn found(document: &Value) -> Vec<String> {
    let images = document["images"].as_array().unwrap();
    assert_eq!(images.len(), 1, "{document}");
    let one = |one: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
        format!("{} {} {}", text(&one["id"]), text(&one["severity"]), text(&one["fixed"]))
    };
    images[0]["vulnerabilities"].as_array().unwrap().iter().map(one).collect()
}

/// All of [`records`] that the image of [`project`] has, gravest first.
const ALL: [&str; 3] = ["CVE-2026-1 high 3.0.13-1", "CVE-2026-2 medium 0.2.23", "GO-2026-1 low -"];
