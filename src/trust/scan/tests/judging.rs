//! Stage 8: what is done about vulnerabilities: gates, permissions, OpenVEX. Tables of policies and verdicts.

use serde_json::{Value, json};

use super::super::*;
use super::{image, record, scan_of};
use crate::manifest::{Permission, Rating, Unknown, day};
use crate::oci::Digest;

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
        let messages: Vec<String> = judged.findings().into_iter().map(|finding| finding.message).collect();
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
        judged.findings().into_iter().map(|finding| finding.message).collect::<Vec<_>>().join("|")
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
