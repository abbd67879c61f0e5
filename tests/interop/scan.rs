//! What a real package manager and real compilers put into an image is asked about by the right names; both cosigns find a report that
//! was attached.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::peers::{done, output, peer, registry, run, said};
use crate::project::{Project, digest};
use crate::sbom::programs;

/// A record that affects every version.
fn record(at: usize, ecosystem: &str, name: &str) -> Value {
    let ranges = json!([{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }] }]);
    let package = json!({ "ecosystem": ecosystem, "name": name });
    json!({ "id": format!("X-{at}"), "modified": "2026-01-01T00:00:00Z", "affected": [{ "package": package, "ranges": ranges }] })
}

/// Name and version of every package of one world that was found.
fn found(document: &Value, ecosystem: &str) -> BTreeSet<(String, String)> {
    let all = document["images"][0]["vulnerabilities"].as_array().unwrap().iter().map(|one| &one["package"]);
    let text = |value: &Value| value.as_str().unwrap().to_string();
    all.filter(|package| package["ecosystem"] == ecosystem)
        .map(|one| (text(&one["name"]), text(&one["version"])))
        .collect()
}

#[test]
fn packages_and_modules_are_asked_about_as_their_makers_name_them() {
    let project = Project::new(
        "[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"status\"\ndest = \"/var/lib/dpkg/status\"\n\
        [[file]]\nsrc = \"os-release\"\ndest = \"/etc/os-release\"\n\
        [[binary]]\nsrc = \"tiny\"\ndest = \"/app/tiny\"\n[[binary]]\nsrc = \"gopher\"\ndest = \"/app/gopher\"\n",
    );
    project.write("status", fs::read("/var/lib/dpkg/status").unwrap());
    project.write("os-release", fs::read("/etc/os-release").unwrap());
    programs(&project);
    // Of the same bytes: somebody may install something meanwhile.
    let database = project.out("dpkg");
    fs::create_dir_all(database.join("info")).unwrap();
    fs::copy(project.app().join("status"), database.join("status")).unwrap();
    let place = format!("--admindir={}", database.display());
    let format = "${source:Package} ${source:Version} ${db:Status-Status}\\n";
    let known = run("dpkg-query", [place.as_str(), "-W", "-f", format]);
    let installed = known.lines().filter_map(|line| line.strip_suffix(" installed")?.split_once(' '));
    let sources: BTreeSet<(String, String)> =
        installed.map(|(name, version)| (name.to_string(), version.to_string())).collect();
    assert!(sources.len() > 50);
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let release =
        release.lines().find_map(|line| line.strip_prefix("VERSION_ID=")).unwrap().trim_matches('"').to_string();
    let world = format!("Debian:{release}");
    let mut records: Vec<Value> = sources.iter().enumerate().map(|(at, (name, _))| record(at, &world, name)).collect();
    for (ecosystem, name) in [("crates.io", "itoa"), ("Go", "example.com/dep"), ("Go", "stdlib")] {
        records.push(record(records.len(), ecosystem, name));
    }
    for record in &records {
        project.write(&format!("db/{}.json", record["id"].as_str().unwrap()), record.to_string());
    }
    let scanned = project.run(&["--format", "json", "scan", "--db", "db"]);
    assert!(scanned.status.success(), "{}", said(&scanned));
    let document: Value = serde_json::from_slice(&scanned.stdout).unwrap();
    assert_eq!(found(&document, &world), sources);
    assert_eq!(found(&document, "crates.io").len(), 1);
    let told = run("go", ["version", "-m", project.app().join("gopher").to_str().unwrap()]);
    let library = told.split("go1").nth(1).unwrap().lines().next().unwrap();
    let expect = [("example.com/dep".to_string(), "1.2.3".to_string()), ("stdlib".to_string(), format!("1{library}"))];
    assert_eq!(found(&document, "Go"), BTreeSet::from(expect));
    assert_eq!(document["images"][0]["unknown"], json!([]));
}

#[test]
fn both_cosigns_find_a_report_that_was_attached() {
    let server = registry(None);
    let name = format!("{}/team/app", server.host);
    let project = Project::new(&format!("[image]\nname = \"{name}\"\nbase = \"scratch\"\nuser = \"1\"\n"));
    let reference = format!("{name}@{}", digest(&project.run(&["push"])));
    let of = |command: &mut Command| {
        command.current_dir(project.app()).env("HOME", project.room()).env("COSIGN_PASSWORD", "a password");
    };
    let mut keys = peer("cosign-2");
    of(keys.args(["generate-key-pair", "--output-key-prefix", "mine"]));
    done(&mut keys);
    let report =
        json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "a scanner" } }, "results": [] }] });
    project.write("report.sarif", report.to_string());
    let mut ours = project.command(&["scan", &reference, "--attach", "report.sarif", "--key", "mine.key"]);
    of(&mut ours);
    done(&mut ours);
    for which in ["cosign-2", "cosign-3"] {
        let verify = |kind: &str| {
            let mut theirs = peer(which);
            of(theirs
                .args(["verify-attestation", "--key", "mine.pub", "--insecure-ignore-tlog", "--type", kind])
                .arg(&reference));
            output(&mut theirs)
        };
        let verified = verify("vuln");
        assert!(verified.status.success(), "{which}: {}", said(&verified));
        assert!(!verify("spdxjson").status.success(), "{which} finds what was not attested");
    }
}
