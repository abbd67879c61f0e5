//! Stage 8: the tests of what no manifest of this version can bring about, and of how grave a finding is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::error::Text;
use crate::layer::tree::Tree;
use crate::manifest::{self, Location, Outside};
use crate::oci::{self, Descriptor, media};
use crate::plan::Lock;

/// What is told of an image with this user, made by a manifest with these lines: `severity code`, and the reason if there is one.
fn told(user: &str, lines: &str) -> Vec<String> {
    let text = format!("schema = 1\n[image]\nbase = \"scratch\"\n{lines}");
    let text = Arc::new(Text { path: "image.toml".into(), text });
    let location = Location {
        text,
        file: PathBuf::from("/nowhere/image.toml"),
        directory: PathBuf::from("/nowhere"),
        around: PathBuf::from("/nowhere"),
        root: None,
    };
    let read = manifest::read(&location, &Outside { sets: &[], env: &|_| None });
    assert!(read.report.errors().next().is_none(), "{:?}", read.report.all());
    let plan = Plan::new(&read.manifest, &Lock::default());
    let manifest = oci::Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.into(),
        artifact_type: None,
        config: Descriptor::of(media::CONFIG, b"{}"),
        layers: Vec::new(),
        subject: None,
        annotations: BTreeMap::new(),
        rest: BTreeMap::new(),
    };
    let base = Base {
        reference: crate::plan::Base::Scratch,
        platform: plan.images[0].platform.clone(),
        image: oci::Image::default(),
        manifest,
        descriptor: None,
        named: None,
    };
    let (index, trees, contents) = (FileIndex::empty(), [Tree::new()], Contents::new());
    let natures = Natures::default();
    let seen = Seen {
        plan: &plan.images[0],
        base: &base,
        index: &index,
        user,
        trees: &trees,
        natures: &natures,
        contents: Some(&contents),
        asked: None,
        made: None,
    };
    let report = match check(&Subject { plan: &plan, images: vec![seen] }, Report::default()) {
        Ok(report) => report,
        Err(error) => {
            assert_eq!(error.kind().exit_code(), 4);
            error.report().unwrap().clone()
        }
    };
    let line = |finding: &Finding| {
        let reason = finding.allowed.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
        format!("{:?} {}{reason}", finding.severity, finding.code)
    };
    report.all().iter().map(line).collect()
}

#[test]
fn users() {
    let check = |user: &str, expect: &[&str]| assert_eq!(told(user, ""), expect, "{user}");
    for root in ["", "0", "0:0", "0:1000", "00", "root", "root:adm", "000:5"] {
        check(root, &["Error root-user"]);
    }
    for name in ["app", "app:0", "www-data"] {
        check(name, &["Error user-name"]);
    }
    for number in ["1", "65532", "65532:65532", "1000:0"] {
        check(number, &[]);
    }
}

#[test]
fn what_the_manifest_says_of_a_rule_counts() {
    let check = |lines: &str, expect: &[&str]| assert_eq!(told("", &format!("[check]\n{lines}\n")), expect, "{lines}");
    check("root-user = \"deny\"", &["Error root-user"]);
    check("root-user = \"warn\"", &["Warning root-user"]);
    check("root-user = \"allow\"", &[]);
    check("root-user = { level = \"allow\", reason = \"a shell\" }", &["Note root-user a shell"]);
    check("root-user = { level = \"warn\", reason = \"a shell\" }", &["Warning root-user"]);
    check("user-name = \"warn\"", &["Error root-user"]);
    let idle = "root-user = \"allow\"\nsetuid = { level = \"allow\", reason = \"none\" }";
    check(idle, &["Warning unused-allow"]);
    check(&format!("{idle}\nunused-allow = \"deny\""), &["Error unused-allow"]);
    check(&format!("{idle}\nunused-allow = {{ level = \"allow\", reason = \"later\" }}"), &["Note unused-allow later"]);
}
