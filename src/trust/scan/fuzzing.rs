//! Stage 8: the doors to records of vulnerabilities and to OpenVEX for fuzzing (`crate::fuzzing`). Bytes in; a panic where a reader
//! breaks a promise.

use super::affected::{Answer, judge as judge_version};
use super::matches::Matches;
use super::osv::{Record, Sketch};
use super::packages::{Asked, Contents, Seen};
use super::vex::word;
use super::{Database, Policy, Product, Scan, document, judge, parse};
use crate::manifest::Rating;
use crate::oci::Digest;
use crate::versions::Scheme;

/// Most packages and versions of one record that are asked about.
const MOST: usize = 8;

/// An OSV record: what is taken from it is judged and told, and a version that mends it is not affected.
pub fn record(bytes: &[u8]) {
    let Ok(sketch) = serde_json::from_slice::<Sketch>(bytes) else { return };
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let mut contents = Contents::default();
    for affected in record.affected.iter().take(MOST) {
        let Some(package) = &affected.package else { continue };
        let scheme = match package.ecosystem.split(':').next() {
            Some("Debian") => Scheme::Dpkg,
            Some("Alpine") => Scheme::Apk,
            _ => Scheme::Semantic,
        };
        let events = affected.ranges.iter().flat_map(|range| &range.events);
        let named = events.flat_map(|event| [&event.introduced, &event.fixed, &event.last_affected]).flatten();
        for version in named.chain(&affected.versions).map(String::as_str).chain(["1", "1.0-1"]).take(MOST) {
            if let Answer::Yes(Some(fixed)) = judge_version(version, scheme, affected) {
                assert_eq!(judge_version(&fixed, scheme, affected), Answer::No, "{fixed}");
            }
            let (name, version) = (package.name.clone(), version.to_string());
            let asked = Asked { ecosystems: vec![package.ecosystem.clone()], name, version, scheme };
            contents.asked.insert(asked, Seen::default());
        }
    }
    let mut matches = Matches::new(std::slice::from_ref(&contents));
    if matches.wants(&sketch) {
        assert!(matches.take(&record).is_ok());
    }
    let (vulnerabilities, strange) = (matches.of(&contents), matches.unknown(&contents));
    let database = Database { path: "db".into(), records: 1, newest: sketch.modified };
    let scan = Scan { contents, vulnerabilities, strange, database };
    let policy = Policy { severity: Some(Rating::High), ..Policy::default() };
    let judged = judge(scan, &policy, &Product { digests: vec![Digest::of(b"")], name: None });
    assert!(document(&judged).is_object());
    for finding in judged.everything() {
        assert!(!finding.message.contains(char::is_control), "{:?}", finding.message);
    }
}

/// An OpenVEX document: what is cleared was said to be.
pub fn openvex(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(statements) = parse(text, "vex.json") else { return };
    let name = statements.first().and_then(|first| first.names.first().cloned()).unwrap_or_default();
    let vulnerability = super::Vulnerability {
        id: name.clone(),
        names: [name].into(),
        upstream: Default::default(),
        package: Asked {
            ecosystems: vec!["crates.io".to_string()],
            name: "time".to_string(),
            version: "0.1.40".to_string(),
            scheme: Scheme::Semantic,
        },
        seen: Seen::default(),
        fixed: None,
        gravity: Default::default(),
        summary: String::new(),
        page: None,
        unsure: None,
    };
    let product = Product { digests: vec![Digest::of(b"")], name: Some("registry.test/acme/server".to_string()) };
    if let Some(found) = word(&statements, &vulnerability, &product) {
        assert!(["fixed", "not_affected"].contains(&found.status.name()));
        assert!(!found.products.is_empty());
    }
}
