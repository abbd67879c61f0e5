//! Stage 8: which records speak of what is in an image. Tables of contents, records and answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::*;
use super::{image, record, scan_of};
use crate::manifest::Rating;
use crate::oci::Digest;
use crate::trust::sbom::{How, Inventory, Part, What};

/// Each vulnerability as `ID package fixed`.
fn found(records: &[Value]) -> Vec<String> {
    let told = |one: &Vulnerability| {
        let sure = if one.unsure.is_some() { " unsure" } else { "" };
        format!("{} {} {}{sure}", one.id, one.package.name, one.fixed.as_deref().unwrap_or("-"))
    };
    scan_of(image(), records).vulnerabilities.iter().map(told).collect()
}

#[test]
fn packages_are_asked_about_by_the_names_of_their_world() {
    let asked: Vec<String> =
        image().asked.keys().map(|asked| format!("{} {} {}", asked.ecosystems[0], asked.name, asked.version)).collect();
    let expect = [
        "Debian:12 openssl 3.0.11-1",
        "Debian:12 tzdata 2024a-0",
        "Go github.com/Acme/Lib 1.2.3+incompatible",
        "Go stdlib 1.21.0-rc.2",
        "crates.io time 0.1.40",
    ];
    assert_eq!(asked, expect);
    let contents = image();
    let openssl = contents.asked.values().next().unwrap();
    assert_eq!(openssl.parts.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["libssl3", "openssl"]);
    assert_eq!(contents.private, ["crates that did not come from crates.io: `own`"]);
    assert!(contents.blind.is_empty());
}

#[test]
fn each_world_is_matched_by_its_own_names_and_order() {
    let none = json!({});
    let check = |ecosystem: &str, name: &str, fixed: Option<&str>, hit: bool| {
        let found = found(&[record("X-1", ecosystem, name, fixed, none.clone())]);
        let expect = if hit { vec![format!("X-1 {name} {}", fixed.unwrap_or("-"))] } else { Vec::new() };
        assert_eq!(found, expect, "{ecosystem} {name} {fixed:?}");
    };
    check("Debian:12", "openssl", Some("3.0.11-1+deb12u1"), true);
    check("Debian:12", "openssl", Some("3.0.11-1"), false);
    check("Debian:12", "openssl", Some("3.0.11-1~bpo1"), false);
    check("Debian:12", "openssl", None, true);
    check("Debian", "openssl", None, true);
    check("Debian:11", "openssl", None, false);
    check("Ubuntu:22.04:LTS", "openssl", None, false);
    check("Debian:12", "libssl3", None, false);
    check("Debian:12", "OpenSSL", None, false);
    check("crates.io", "time", Some("0.2.0"), true);
    check("crates.io", "time", Some("0.1.40"), false);
    check("crates.io", "helper", None, false);
    check("crates.io", "own", None, false);
    check("npm", "time", None, false);
    check("Go", "github.com/Acme/Lib", Some("1.2.4"), true);
    check("Go", "github.com/Acme/Lib", Some("1.2.3"), false);
    check("Go", "stdlib", Some("1.21.0-rc.3"), true);
    check("Go", "stdlib", Some("1.21.0-rc.2"), false);
}

#[test]
fn what_was_taken_back_counts_no_more() {
    let withdrawn = json!({ "withdrawn": "2026-01-01T00:00:00Z" });
    assert_eq!(found(&[record("X-1", "Debian:12", "openssl", None, withdrawn)]), [""; 0]);
}

#[test]
fn records_that_share_a_name_are_one_vulnerability() {
    let records = [
        record(
            "GHSA-aaaa",
            "crates.io",
            "time",
            Some("0.2.23"),
            json!({ "aliases": ["CVE-2020-1", "RUSTSEC-2020-0071"], "database_specific": { "severity": "MODERATE" } }),
        ),
        record(
            "RUSTSEC-2020-0071",
            "crates.io",
            "time",
            Some("0.2.0"),
            json!({ "aliases": ["CVE-2020-1"], "summary": "a race" }),
        ),
        record("RUSTSEC-2021-9", "crates.io", "time", None, json!({})),
    ];
    assert_eq!(found(&records), ["CVE-2020-1 time 0.2.23", "RUSTSEC-2021-9 time -"]);
    let scan = scan_of(image(), &records);
    let first = &scan.vulnerabilities[0];
    assert_eq!((first.gravity.rating, first.summary.as_str()), (Some(Rating::Medium), "a race"));
    assert_eq!(first.names.len(), 3);
}

#[test]
fn a_notice_on_several_is_told_with_each_of_them() {
    let notice = |fixed| record("DSA-1", "Debian:12", "openssl", fixed, json!({ "upstream": ["CVE-1", "CVE-2"] }));
    let single =
        |cve: &str| record(&format!("DEBIAN-{cve}"), "Debian:12", "openssl", None, json!({ "upstream": [cve] }));
    let fixed = Some("3.0.12-1");
    assert_eq!(
        found(&[notice(fixed), single("CVE-1"), single("CVE-2")]),
        ["CVE-1 openssl 3.0.12-1", "CVE-2 openssl 3.0.12-1"]
    );
    // Where one of them has no record of its own, the notice stands for itself.
    assert_eq!(found(&[notice(fixed), single("CVE-1")]), ["CVE-1 openssl -", "DSA-1 openssl 3.0.12-1"]);
}

#[test]
fn the_gravest_come_first() {
    let graded = |id: &str, word: &str| {
        record(id, "Debian:12", "openssl", None, json!({ "database_specific": { "severity": word } }))
    };
    let records =
        [graded("A", "low"), graded("B", "odd"), graded("C", "critical"), graded("D", "high"), graded("E", "high")];
    let ids: Vec<String> = scan_of(image(), &records).vulnerabilities.into_iter().map(|one| one.id).collect();
    assert_eq!(ids, ["C", "D", "E", "A", "B"]);
}

#[test]
fn worlds_that_the_database_does_not_know_are_not_free_of_vulnerabilities() {
    let unknown = |records: &[Value]| scan_of(image(), records).strange;
    let all = BTreeMap::from([("Debian:12".to_string(), 2), ("Go".to_string(), 2), ("crates.io".to_string(), 1)]);
    assert_eq!(unknown(&[]), all);
    let some = [
        record("A", "Debian:12", "other", None, json!({})),
        record("B", "Go", "other", None, json!({ "withdrawn": "2026-01-01T00:00:00Z" })),
        record("C", "npm", "time", None, json!({})),
    ];
    assert_eq!(unknown(&some), BTreeMap::from([("crates.io".to_string(), 1)]));
    // A record without a release says nothing of one.
    assert_eq!(unknown(&[record("A", "Debian", "other", None, json!({}))]), all);
}

fn inventory(system: Option<(&str, Option<&str>)>, packages: usize) -> Inventory {
    let mut inventory = Inventory::new(Part::new(What::Image, "image"), Digest::of(b""), String::new());
    if let Some((id, version)) = system {
        inventory.add(0, How::Contains, Part { version: version.map(str::to_string), ..Part::new(What::System, id) });
    }
    for at in 0..packages {
        let part = Part { version: Some("1".into()), ..Part::new(What::Package, format!("p{at}")) };
        inventory.add(0, How::Contains, part);
    }
    inventory
}

#[test]
fn a_distribution_that_cannot_be_asked_about_is_named() {
    let check = |system, packages, expect: &str| {
        let contents = contents(&inventory(system, packages), &[]);
        assert_eq!(contents.blind.join("|"), expect, "{system:?} {packages}");
    };
    check(None, 0, "");
    check(None, 2, "its 2 packages are of a distribution that it does not name");
    check(Some(("debian", Some("12"))), 1, "");
    check(Some(("debian", Some("12"))), 0, "it is made of `debian 12`, but lists no packages");
    check(Some(("fedora", Some("40"))), 0, "its distribution, `fedora 40`, is not one whose packages can be listed");
    check(
        Some(("raspbian", Some("12"))),
        3,
        "its distribution, `raspbian 12`, is none that is known here, so its 3 packages are not",
    );
    check(
        Some(("debian", None)),
        1,
        "its distribution, `debian`, is none that is known here, so its 1 packages are not",
    );
    let unread = contents(&inventory(None, 0), &[("/app".into(), "its list is broken".into())]);
    assert_eq!(unread.blind, ["what `/app` was built from cannot be read: its list is broken"]);
}
