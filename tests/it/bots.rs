//! What `docs/updates.md` tells a bot to look for finds the pins of real manifests, and nothing else.

use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

/// The configuration of the page, as the bot reads it.
fn configuration() -> Value {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/updates.md")).unwrap();
    let block = page.split("```text\n").find(|block| block.contains("customManagers")).unwrap();
    serde_json::from_str(block.split("```").next().unwrap()).unwrap()
}

fn pattern(value: &Value) -> Regex {
    Regex::new(value.as_str().unwrap().trim_matches('/')).unwrap()
}

#[test]
fn renovate_finds_every_pin_and_no_other_line() {
    let manager = &configuration()["customManagers"][0];
    let files = pattern(&manager["managerFilePatterns"][0]);
    for (path, wanted) in
        [("image.toml", true), ("services/api/image.toml", true), ("my-image.toml", false), ("image.toml.bak", false)]
    {
        assert_eq!(files.is_match(path), wanted, "{path}");
    }
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let manifest = format!(
        "schema = 1\n[image]\n# base = a comment without a pin\nbase   = \"gcr.io/distroless/static:nonroot@sha256:{one}\" # why\n\
         name = \"registry.example.com/acme/api\"\n[[copy]]\nfrom='localhost:5000/tools/go:1.25@sha256:{two}'\nsrc = \"/x\"\ndest = \"/x\"\n\
         [[copy]]\nfrom = \"oci:tools@sha256:{two}\"\n[[copy]]\nfrom = \"oci:build/tools@sha256:{two}\"\n[[copy]]\nfrom = \"registry.example.com/untagged@sha256:{two}\"\n"
    );
    let strings = pattern(&manager["matchStrings"][0]);
    let found: Vec<[String; 3]> = strings
        .captures_iter(&manifest)
        .map(|found| ["depName", "currentValue", "currentDigest"].map(|name| found[name].to_string()))
        .collect();
    let wanted = [
        ["gcr.io/distroless/static", "nonroot", &format!("sha256:{one}")],
        ["localhost:5000/tools/go", "1.25", &format!("sha256:{two}")],
    ];
    assert_eq!(found, wanted.map(|pin| pin.map(String::from)));
    assert_eq!(manager["datasourceTemplate"], "docker");
}
