//! A scanner's report as an attestation of the image that it is about.

use serde_json::json;

use crate::registry::Registry;
use crate::support::Project;
use crate::support::project::Done;

/// A registry with the image `app:1`, and somebody with a key.
async fn world() -> (Registry, Project, String) {
    let registry = Registry::start().await;
    let digest = registry.image("app", "1").to_string();
    let project = Project::new();
    run(&project, &["keygen"]).expect(0);
    let name = format!("{}/app@{digest}", registry.name());
    (registry, project, name)
}

fn run(project: &Project, words: &[&str]) -> Done {
    project.run(words.iter().copied()).env("COSIGN_PASSWORD", "CANARY-password").ends()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_signed_and_found_again() {
    let (_registry, project, name) = world().await;
    let sarif = json!({
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "Scanner", "informationUri": "https://scanner.test", "version": "1.2.3" } },
            "results": [],
        }],
    });
    project.write("report.sarif", sarif.to_string());
    let done = run(&project, &["scan", &name, "--attach", "report.sarif", "--key", "cosign.key"]).expect(0);
    assert_eq!(done.stdout, format!("{name}\n"));
    let words = ["--format", "json", "verify", &name, "--key", "cosign.pub", "--attestation", "vuln"];
    let document = run(&project, &words).expect(0).json();
    let text = document.to_string();
    assert!(text.contains("\"uri\":\"https://scanner.test\"") && text.contains("\"version\":\"1.2.3\""), "{text}");
    let other = ["verify", &name, "--key", "cosign.pub", "--attestation", "spdx"];
    run(&project, &other).expect(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_s_own_document_can_be_attached() {
    let registry = Registry::start().await;
    let project = super::project("");
    run(&project, &["keygen"]).expect(0);
    run(&project, &["build", "-o", "oci:out"]).expect(0);
    let name = run(&project, &["copy", "oci:out", &format!("{}/app:1", registry.name())]).expect(0).stdout;
    let name = name.trim_end();
    let report = run(&project, &["--format", "json", "scan", "--db", "db", name]).expect(0).stdout;
    project.write("report.json", report);
    run(&project, &["scan", name, "--attach", "report.json", "--key", "cosign.key"]).expect(0);
    let words = ["--format", "json", "verify", name, "--key", "cosign.pub", "--attestation", "vuln"];
    assert!(run(&project, &words).expect(0).stdout.contains("\"uri\": \"stillframe\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_needs_an_author_and_an_image_in_a_registry() {
    let (_registry, project, name) = world().await;
    project.write("report.json", json!({ "found": [] }).to_string());
    let attach =
        |rest: &[&str]| run(&project, &[&["scan"], rest, &["--attach", "report.json", "--key", "cosign.key"]].concat());
    let done = attach(&[&name]).expect(2);
    assert!(done.stderr.contains("--scanner"), "{}", done.stderr);
    attach(&[&name, "--scanner", "https://scanner.test@1"]).expect(0);
    attach(&["oci:out", "--scanner", "https://scanner.test@1"]).expect(2);
    // It is one or the other.
    attach(&[&name, "--severity", "high"]).expect(2);
}
