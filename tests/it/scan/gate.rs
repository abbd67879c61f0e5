//! What keeps an image from going out: `[check.vulnerabilities]` in `check`, `build` and `release`, its permissions and OpenVEX.

use serde_json::json;

use super::{database, project, record};
use crate::support::Project;

/// A gate over the records of `db`.
const GATE: &str = "[check.vulnerabilities]\ndatabase = \"db\"\n";

#[test]
fn an_image_with_known_vulnerabilities_does_not_go_out() {
    let project = project(GATE);
    for words in
        [&["check"][..], &["build"], &["build", "-o", "oci:out"], &["push"], &["release", "--no-sign", "--allow-dirty"]]
    {
        let done = project.run(words).fails(4);
        assert!(done.stderr.contains("`openssl` 3.0.11-1 has CVE-2026-1 (high, 7.5)"), "{words:?}: {}", done.stderr);
        assert!(done.stderr.contains("3.0.13-1 does not have it"), "{}", done.stderr);
        assert!(done.stderr.contains("image.toml:10:1"), "{}", done.stderr);
        assert!(!done.stderr.contains("CVE-2026-2"), "medium is below the gate: {}", done.stderr);
        assert_eq!(done.stdout, "");
    }
    assert!(!project.path("out").exists());
    let findings = project.run(["--format", "json", "check"]).fails(4).findings();
    assert_eq!(findings, ["vulnerabilities 10:1"]);
}

#[test]
fn the_gate_stands_where_the_manifest_says() {
    let check = |gate: &str, code: i32, count: usize| {
        let project = project(&format!("{GATE}{gate}"));
        let done = project.run(["--format", "json", "check"]).fails(code);
        let findings = done.json()["findings"].as_array().unwrap().clone();
        let errors = findings.iter().filter(|finding| finding["severity"] == "error").count();
        assert_eq!(errors, count, "{gate}: {findings:?}");
    };
    check("severity = \"critical\"\n", 0, 0);
    check("severity = \"high\"\n", 4, 1);
    check("severity = \"medium\"\n", 4, 2);
    check("severity = \"low\"\n", 4, 3);
}

#[test]
fn nothing_is_asked_where_the_manifest_does_not_ask() {
    // There is no database in the store, and none is missed.
    project("").run(["check"]).success();
    let done = project("[check.vulnerabilities]\n").run(["check"]).fails(5);
    assert!(done.stderr.contains("there is no database of vulnerabilities"), "{}", done.stderr);
    assert!(done.stderr.contains("update-db"), "{}", done.stderr);
}

#[test]
fn a_permission_lets_through_with_its_reason_until_its_last_day() {
    let allow = |rest: &str| {
        let project = project(&format!(
            "{GATE}[[check.vulnerabilities.allow]]\nid = \"CVE-2026-1\"\nreason = \"never called\"\n{rest}"
        ));
        project.run(["check"]).ends()
    };
    let done = allow("").expect(0);
    assert!(done.stderr.contains("never called"), "{}", done.stderr);
    allow("package = \"openssl\"\n").expect(0);
    let done = allow("package = \"tzdata\"\n").expect(4);
    assert!(done.stderr.contains("the permission for `CVE-2026-1` is not needed any more"), "{}", done.stderr);
    // The image is of 2026-06-01, whatever day it is.
    allow("until = \"2026-06-01\"\n").expect(0);
    let done = allow("until = \"2026-05-31\"\n").expect(4);
    assert!(done.stderr.contains("the permission for `CVE-2026-1` ended on 2026-05-31"), "{}", done.stderr);
    assert!(done.stderr.contains("image.toml:12:1"), "{}", done.stderr);
}

#[test]
fn the_day_is_that_of_the_image_and_a_scan_s_is_today() {
    let until = |day: &str| {
        format!(
            "{GATE}[[check.vulnerabilities.allow]]\nid = \"CVE-2026-1\"\nreason = \"never called\"\nuntil = \"{day}\"\n"
        )
    };
    let fixed = |day: &str| {
        let project = project(&until(day));
        let manifest = std::fs::read_to_string(project.path("image.toml")).unwrap();
        project.write("image.toml", manifest.replace("created = \"2026-06-01T00:00:00Z\"\n", ""));
        project
    };
    let epoch = |seconds: &str| fixed("2026-05-31").run(["check"]).env("SOURCE_DATE_EPOCH", seconds).ends().code;
    assert_eq!(epoch("1780185600"), Some(0), "2026-05-31");
    assert_eq!(epoch("1780272000"), Some(4), "2026-06-01");
    // Without a commit and without the variable no day is known.
    let done = fixed("2026-05-31").run(["check"]).success();
    assert!(done.stderr.contains("nothing says which day it is"), "{}", done.stderr);
    let scan = |day: &str| {
        let project = project(&until("2026-05-31"));
        project.run(["scan", "--today", day]).ends()
    };
    let open = scan("2026-05-31").expect(0);
    assert!(open.stdout.contains("CVE-2026-1 in openssl: allowed until 2026-05-31: never called"), "{}", open.stdout);
    scan("2026-06-01").expect(4);
    // Today is far behind the first day of an age that is over.
    project(&until("2001-01-01")).run(["scan"]).fails(4);
    project(&until("9999-12-31")).run(["scan"]).success();
}

#[test]
fn openvex_documents_clear_with_their_justification() {
    let project = project(&format!("{GATE}vex = [\"vex.json\"]\n"));
    let vex = |status: &str| {
        json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.test/vex/1", "author": "ACME",
            "timestamp": "2026-05-01T00:00:00Z", "version": 1,
            "statements": [{
                "vulnerability": { "name": "CVE-2026-1" }, "status": status,
                "products": [{ "@id": "pkg:oci/server", "subcomponents": [{ "@id": "pkg:deb/debian/libssl3" }] }],
                "justification": "vulnerable_code_not_in_execute_path",
            }],
        })
    };
    let missing = project.run(["check"]).fails(2);
    assert!(missing.stderr.contains("there is no file `PROJECT/vex.json`"), "{}", missing.stderr);
    project.write("vex.json", vex("not_affected").to_string());
    let done = project.run(["check"]).success();
    assert!(done.stderr.contains("vulnerable_code_not_in_execute_path"), "{}", done.stderr);
    let document = project.run(["--format", "json", "scan"]).success().json();
    let verdict = &document["images"][0]["vulnerabilities"][0]["verdict"];
    assert_eq!((&verdict["what"], &verdict["status"]), (&json!("cleared"), &json!("not_affected")));
    project.write("vex.json", vex("affected").to_string());
    project.run(["check"]).fails(4);
    // On the command line, for any image.
    project.write("other.json", vex("fixed").to_string().replace("2026-05-01", "2026-05-02"));
    project.run(["scan", "--vex", "other.json"]).success();
    project.run(["scan", "--vex", "image.toml"]).fails(2);
}

#[test]
fn what_is_not_known_is_refused_unless_it_is_only_to_be_told() {
    let strange = |rest: &str| {
        let project = project(&format!("[check.vulnerabilities]\ndatabase = \"other\"\n{rest}"));
        database(&project, "other", &[record("X-1", "Alpine:v3.20", "openssl", None, json!({}))]);
        project.run(["check"]).ends()
    };
    let done = strange("").expect(4);
    assert!(done.stderr.contains("it is not known whether the image has vulnerabilities"), "{}", done.stderr);
    assert!(done.stderr.contains("has no record of `Debian:12`"), "{}", done.stderr);
    let done = strange("unknown = \"warn\"\n").expect(0);
    assert!(done.stderr.contains("warning"), "{}", done.stderr);
}

#[test]
fn both_platforms_are_asked_about_and_told_once() {
    let project = project(GATE);
    let manifest = std::fs::read_to_string(project.path("image.toml")).unwrap();
    let scratch = manifest.lines().map(|line| match line.starts_with("base =") {
        true => "base = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]",
        false => line,
    });
    project.write(
        "image.toml",
        scratch.collect::<Vec<_>>().join("\n") + "\nseverity = \"medium\"\n[check]\nwrong-machine = \"warn\"\n",
    );
    let mut findings = project.run(["--format", "json", "check"]).fails(4).findings();
    findings.retain(|finding| !finding.starts_with("wrong-machine")); // one program for both
    assert_eq!(findings, ["vulnerabilities 11:1"]);
}

#[test]
fn mistakes_of_the_table_have_their_places() {
    let check = |lines: &str, expect: &[&str]| {
        let project = Project::of(&format!("schema = 1\n[image]\nbase = \"scratch\"\n{lines}"));
        let findings = project.run(["--format", "json", "check"]).fails(2).findings();
        assert_eq!(findings, expect, "{lines}");
    };
    check(
        "[check.vulnerabilities]\nseverity = \"huge\"\nunknown = \"allow\"\nodd = 1\n",
        &["value 5:12", "value 6:11", "unknown-key 7:1"],
    );
    let allow = "[[check.vulnerabilities.allow]]\n";
    check(&format!("{allow}id = \"CVE-1\"\n"), &["missing-key 4:1"]);
    check(&format!("{allow}id = \"CVE-1\"\nreason = \" \"\n"), &["reason 4:1"]);
    check(&format!("{allow}id = \"CVE-1\"\nreason = \"x\"\nuntil = \"30.6.2027\"\n"), &["value 7:9"]);
    check("[check]\nvulnerabilities = \"deny\"\n", &["type 5:19"]);
}
