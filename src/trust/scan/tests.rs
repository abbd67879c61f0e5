//! Stage 8: which records speak of what is in an image, and what is done about it. Tables of contents, records and answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::matches::Matches;
use super::osv::{Record, Sketch};
use super::*;
use crate::manifest::{Permission, Rating, Unknown, day};
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

fn permission(id: &str, package: Option<&str>, until: Option<&str>) -> Permission {
    let text = std::sync::Arc::new(crate::error::Text { path: "image.toml".into(), text: String::new() });
    Permission {
        id: id.into(),
        package: package.map(str::to_string),
        reason: "we never call it".into(),
        until: until.map(|until| day(until).unwrap()),
        place: crate::error::Place { text, span: 0..0 },
    }
}

fn product() -> Product {
    Product { digests: vec![Digest::of(b"image")], name: Some("registry.test/acme/server".into()) }
}

/// One vulnerability of `openssl`, high.
fn high() -> Scan {
    let rest = json!({ "upstream": ["CVE-1"], "database_specific": { "severity": "HIGH" } });
    let others = [record("A", "Go", "x", None, json!({})), record("B", "crates.io", "x", None, json!({}))];
    scan_of(image(), &[&[record("DEBIAN-CVE-1", "Debian:12", "openssl", Some("3.1"), rest)][..], &others].concat())
}

#[test]
fn the_gate_closes_from_its_gravity_on() {
    let check = |severity: Option<Rating>, scan: Scan, denied: bool| {
        let judged = judge(scan, &Policy { severity, ..Policy::default() }, &product());
        assert_eq!(judged.denies(), denied, "{severity:?}");
    };
    check(None, high(), false);
    check(Some(Rating::Critical), high(), false);
    check(Some(Rating::High), high(), true);
    check(Some(Rating::Negligible), high(), true);
}

#[test]
fn what_is_not_known_is_refused_unless_it_is_only_to_be_told() {
    let others = [record("A", "Go", "x", None, json!({})), record("B", "crates.io", "x", None, json!({}))];
    let unjudged =
        || scan_of(image(), &[&[record("X", "Debian:12", "openssl", None, json!({}))][..], &others].concat());
    let strange = || scan_of(image(), &others);
    let mut odd =
        record("X", "Debian:12", "openssl", Some("?"), json!({ "database_specific": { "severity": "HIGH" } }));
    odd["affected"][0]["versions"] = json!(["1"]);
    let unsure = || scan_of(image(), &[&[odd.clone()][..], &others].concat());
    assert!(unsure().vulnerabilities[0].unsure.is_some());
    for scan in [unjudged(), strange(), unsure()] {
        for (unknown, denied) in [(Unknown::Deny, true), (Unknown::Warn, false)] {
            let policy = Policy { severity: Some(Rating::High), unknown, ..Policy::default() };
            let judged = judge(scan.clone(), &policy, &product());
            assert_eq!(judged.denies(), denied, "{unknown:?} {:?}", judged.scan.vulnerabilities);
        }
        // Without a gate nothing is refused, but it is told.
        let judged = judge(scan, &Policy::default(), &product());
        assert!(!judged.denies());
        assert!(!judged.scan.vulnerabilities.is_empty() || !judged.scan.unknown().is_empty());
    }
}

#[test]
fn permissions_let_through_until_their_last_day() {
    let check = |permission: Permission, today: Option<&str>, expect: &str| {
        let policy = Policy {
            severity: Some(Rating::High),
            allow: vec![permission],
            today: today.map(|today| day(today).unwrap()),
            ..Policy::default()
        };
        let judged = judge(high(), &policy, &product());
        let messages: Vec<&str> = judged.findings().iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(if judged.denies() { "deny" } else { "allow" }, expect, "{today:?} {messages:?}");
    };
    check(permission("CVE-1", None, None), None, "allow");
    check(permission("DEBIAN-CVE-1", None, None), None, "allow");
    check(permission("CVE-1", Some("openssl"), None), None, "allow");
    check(permission("CVE-1", Some("libssl3"), None), None, "allow");
    check(permission("CVE-1", Some("tzdata"), None), None, "deny");
    check(permission("CVE-10", None, None), None, "deny");
    check(permission("CVE-1", None, Some("2026-06-30")), Some("2026-06-30"), "allow");
    check(permission("CVE-1", None, Some("2026-06-30")), Some("2026-07-01"), "deny");
    // Nobody says which day it is: it is told, not refused.
    check(permission("CVE-1", None, Some("2026-06-30")), None, "allow");
}

#[test]
fn permissions_that_ended_or_are_not_needed_are_told() {
    let said = |permission: Permission, today: Option<&str>| {
        let policy =
            Policy { allow: vec![permission], today: today.map(|today| day(today).unwrap()), ..Policy::default() };
        let judged = judge(high(), &policy, &product());
        judged.findings().iter().map(|finding| finding.message.clone()).collect::<Vec<_>>().join("|")
    };
    let ended = said(permission("CVE-1", None, Some("2026-06-30")), Some("2026-07-01"));
    assert_eq!(ended, "the permission for `CVE-1` ended on 2026-06-30");
    assert_eq!(said(permission("CVE-9", None, None), None), "the permission for `CVE-9` is not needed any more");
    assert!(said(permission("CVE-1", None, Some("2026-06-30")), None).contains("nothing says which day it is"));
}

/// The verdict on the one vulnerability, by OpenVEX statements.
fn by(statements: Value) -> Verdict {
    let text = json!({ "@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": statements });
    let statements = parse(&text.to_string(), "vex.json").unwrap();
    let policy = Policy { severity: Some(Rating::High), statements, ..Policy::default() };
    judge(high(), &policy, &product()).verdicts[0].clone()
}

fn statement(products: Value, rest: Value) -> Value {
    let mut statement = json!({
        "vulnerability": { "name": "CVE-1" }, "products": products, "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    });
    for (key, value) in rest.as_object().unwrap() {
        statement[key] = value.clone();
    }
    statement
}

#[test]
fn openvex_clears_what_it_speaks_of() {
    let digest = Digest::of(b"image");
    let check = |products: Value, cleared: bool| {
        let verdict = by(json!([statement(products.clone(), json!({}))]));
        let why = "vulnerable_code_not_in_execute_path".to_string();
        let expect = if cleared { Verdict::Cleared("not_affected", why, "vex.json".into()) } else { Verdict::Deny };
        assert_eq!(verdict, expect, "{products}");
    };
    // The image, by its package URL, its digest or its name.
    check(json!([{ "@id": format!("pkg:oci/server@{digest}?repository_url=registry.test%2Facme%2Fserver") }]), true);
    check(json!([{ "@id": format!("pkg:oci/server@{digest}") }]), true);
    check(json!([{ "@id": "pkg:oci/server" }]), true);
    check(json!([{ "@id": format!("registry.test/acme/server@{digest}") }]), true);
    check(json!([{ "@id": "registry.test/acme/server" }]), true);
    check(json!(["pkg:oci/server"]), true);
    check(json!([{ "@id": "pkg:oci/other" }]), false);
    check(json!([{ "@id": format!("pkg:oci/server@{}", Digest::of(b"other")) }]), false);
    check(json!([{ "@id": "pkg:oci/server?repository_url=elsewhere.test%2Fserver" }]), false);
    check(json!([]), false);
    // Parts of it.
    let part = |purl: &str| json!([{ "@id": "pkg:oci/server", "subcomponents": [{ "@id": purl }] }]);
    check(part("pkg:deb/debian/openssl"), true);
    check(part("pkg:deb/debian/openssl@3.0.11-1?arch=source"), true);
    check(part("pkg:deb/debian/tzdata"), false);
    check(part("pkg:deb/debian/openssl@9"), false);
    // The package itself.
    check(json!([{ "@id": "pkg:deb/debian/openssl?distro=debian-12" }]), true);
    check(json!([{ "identifiers": { "purl": "pkg:deb/debian/openssl" } }]), true);
    // One of two packages of that source is not enough.
    check(json!([{ "@id": "pkg:deb/debian/libssl3" }]), false);
    check(json!([{ "@id": "pkg:deb/debian/libssl3" }, { "@id": "pkg:deb/debian/openssl@3.0.11-1?arch=amd64" }]), true);
}

#[test]
fn the_latest_statement_counts() {
    let image = json!([{ "@id": "pkg:oci/server" }]);
    let at = |status: &str, time: Option<&str>| {
        let mut rest = json!({ "status": status });
        rest["timestamp"] = json!(time);
        statement(image.clone(), rest)
    };
    let cleared = |statements: Value| matches!(by(statements), Verdict::Cleared(..));
    assert!(cleared(json!([
        at("affected", Some("2026-01-01T00:00:00Z")),
        at("fixed", Some("2026-02-01T00:00:00.5Z"))
    ])));
    assert!(!cleared(json!([at("affected", Some("2026-03-01T00:00:00Z")), at("fixed", Some("2026-02-01T00:00:00Z"))])));
    assert!(!cleared(json!([at("not_affected", None), at("under_investigation", None)])));
    for names in [
        json!("CVE-1"),
        json!({ "@id": "https://nvd.nist.gov/vuln/detail/CVE-1" }),
        json!({ "name": "X", "aliases": ["CVE-1"] }),
    ] {
        assert!(cleared(json!([statement(image.clone(), json!({ "vulnerability": names }))])));
    }
    assert!(!cleared(json!([statement(image, json!({ "vulnerability": { "name": "CVE-10" } }))])));
}

#[test]
fn what_is_no_openvex_is_refused() {
    let whole = |statement: Value| json!({ "@context": "https://openvex.dev/ns", "statements": [statement] });
    let image = json!([{ "@id": "pkg:oci/server" }]);
    for wrong in [
        json!({}),
        json!({ "@context": "https://example.test", "statements": [] }),
        whole(json!({ "vulnerability": {}, "status": "fixed" })),
        whole(statement(image.clone(), json!({ "status": "harmless" }))),
        whole(statement(image.clone(), json!({ "justification": null }))),
    ] {
        let error = parse(&wrong.to_string(), "vex.json").unwrap_err();
        assert_eq!(error.kind().exit_code(), 2, "{wrong}");
    }
    // Why it is not affected can be said in words of one's own.
    let words = statement(image, json!({ "justification": null, "impact_statement": "it is off" }));
    assert!(parse(&whole(words).to_string(), "vex.json").is_ok());
}
