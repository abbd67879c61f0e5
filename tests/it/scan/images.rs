//! What is scanned: the work tree, layouts, archives, the store and registries, whole, with the programs of the base.

use serde_json::{Value, json};

use super::{ALL, DPKG, database, found, project, record, records};
use crate::attest::elf::{elf, rust};
use crate::registry::Registry;
use crate::support::{Base, Project, dir, executable, file, link, manifest};

fn scan(project: &Project, words: &[&str]) -> Value {
    let words = [&["--format", "json", "scan", "--db", "db"], words].concat();
    project.run(words).success().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_scanned_wherever_it_is() {
    let project = project("");
    let registry = Registry::start().await;
    let remote = format!("{}/acme/server:1", registry.name());
    let digest = project.digest();
    project.run(["build", "-o", "oci:out", "-o", "oci-archive:out.tar", "-o", "docker-archive:docker.tar"]).success();
    project.run(["copy", "oci:out", &remote]).success();
    for place in [
        "",
        "oci:out",
        "oci-archive:out.tar",
        "docker-archive:docker.tar",
        &digest,
        "store:registry.test/acme/server",
        &remote,
    ] {
        let words: Vec<&str> = [place].into_iter().filter(|place| !place.is_empty()).collect();
        let document = scan(&project, &words);
        assert_eq!(found(&document), ALL, "{place}");
        assert_eq!(document["images"][0]["platform"], "linux/amd64", "{place}");
        if place != "docker-archive:docker.tar" {
            assert_eq!(document["images"][0]["digest"], digest, "{place}");
        }
    }
    let first = &scan(&project, &["oci:out"])["images"][0]["vulnerabilities"][0];
    assert_eq!(first["package"], json!({ "ecosystem": "Debian:12", "name": "openssl", "version": "3.0.11-1" }));
    assert_eq!(first["installed"][0]["purl"], "pkg:deb/debian/libssl3@3.0.11-1%2Bb1?arch=amd64&distro=debian-12");
    assert_eq!((&first["score"], &first["names"]), (&json!(7.5), &json!(["CVE-2026-1", "DEBIAN-CVE-2026-1"])));
}

#[test]
fn what_is_found_is_shown_as_a_table() {
    let project = project("");
    let done = project.run(["scan", "--db", "db"]).success();
    let expect = "\
severity  vulnerability  package                    fixed in  where          what
high 7.5  CVE-2026-1     openssl 3.0.11-1           3.0.13-1  libssl3        it stops
medium    CVE-2026-2     time 0.1.40                0.2.23    /app/server
low       GO-2026-1      github.com/acme/lib 1.2.3  -         /usr/bin/tool
not asked about: crates that did not come from crates.io: `server`
not asked about: Go modules without a version: `example.com/acme`
3 vulnerabilities in 5 packages: 1 high, 1 medium, 1 low (4 records, the newest 2026-01-01T00:00:00Z)
";
    assert_eq!(done.stdout, expect);
}

#[test]
fn everything_is_a_result_in_sarif() {
    let project = project("");
    let sarif = |words: &[&str], code: i32| {
        let words = [&["--format", "sarif", "scan", "--db", "db"], words].concat();
        project.run(words).fails(code).json()["runs"][0].clone()
    };
    let levels = |run: &Value| {
        let results = run["results"].as_array().unwrap().clone();
        results.iter().map(|one| one["level"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let run = sarif(&[], 0);
    assert_eq!(levels(&run), ["warning", "warning", "warning"]);
    let first = &run["results"][0];
    assert!(first["message"]["text"].as_str().unwrap().starts_with("`openssl` 3.0.11-1 has CVE-2026-1 (high, 7.5)"));
    let uri = &first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!((uri, &first["ruleId"]), (&json!("registry.test/acme/server"), &json!("vulnerabilities")));
    let run = sarif(&["--severity", "medium"], 4);
    assert_eq!(levels(&run), ["error", "error", "warning"]);
    assert_eq!(run["invocations"][0]["exitCode"], 4);
}

#[test]
fn every_platform_is_scanned_or_the_one_that_is_wanted() {
    let project = Project::new();
    let base = Base::debian()
        .layer([dir("var"), dir("var/lib"), dir("var/lib/dpkg"), file("var/lib/dpkg/status", DPKG)])
        .write_index(&project, "base");
    let platforms = "platforms = [\"linux/amd64\", \"linux/arm64\"]";
    project.write("image.toml", manifest(&base, platforms));
    database(&project, "db", &records());
    project.run(["build", "-o", "oci:out"]).success();
    assert_eq!(scan(&project, &[])["images"].as_array().unwrap().len(), 2);
    let document = scan(&project, &["oci:out"]);
    let platforms: Vec<&str> =
        document["images"].as_array().unwrap().iter().map(|image| image["platform"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(found(&scan(&project, &["--platform", "linux/arm64", "oci:out"])), ALL[..1]);
    assert!(project.run(["scan", "--db", "db", "oci:out"]).success().stdout.starts_with("linux/amd64\nseverity"));
}

#[test]
fn programs_count_as_they_are_seen_through_all_layers() {
    let old = || elf(&[rust(super::CRATES)]);
    let new = || elf(&[rust(&super::CRATES.replace("0.1.40", "0.3.0"))]);
    let base = || Base::of([dir("usr"), dir("usr/bin"), link("bin", "usr/bin"), executable("bin/a", old())]);
    let check = |base: Base, expect: &[&str]| {
        let project = Project::new();
        base.write(&project, "base");
        database(&project, "db", &records());
        assert_eq!(found(&scan(&project, &["oci:base"])), expect);
    };
    let hit = &ALL[1..2];
    check(base(), hit);
    // Replaced, removed, below a removed directory.
    check(base().layer([dir("usr"), dir("usr/bin"), executable("usr/bin/a", new())]), &[]);
    check(base().layer([dir("usr"), dir("usr/bin"), file("usr/bin/.wh.a", "")]), &[]);
    check(base().layer([file(".wh.usr", "")]), &[]);
    // A newer one somewhere else does not help.
    check(base().layer([executable("b", new())]), hit);
}

#[test]
fn alpine_is_asked_about_by_origin_and_in_apk_s_order() {
    let installed = "P:libcrypto3\nV:3.1.4-r5\nA:x86_64\no:openssl\n\nP:busybox\nV:1.36.1-r15\nA:x86_64\no:busybox\n";
    let project = Project::new();
    let os = "ID=alpine\nVERSION_ID=3.20.3\n";
    Base::of([
        dir("etc"),
        file("etc/os-release", os),
        dir("lib"),
        dir("lib/apk"),
        dir("lib/apk/db"),
        file("lib/apk/db/installed", installed),
    ])
    .write(&project, "base");
    let high = json!({ "database_specific": { "severity": "HIGH" } });
    database(
        &project,
        "db",
        &[
            record("ALPINE-CVE-2026-1", "Alpine:v3.20", "openssl", Some("3.1.4-r10"), high.clone()),
            record("ALPINE-CVE-2026-2", "Alpine:v3.20", "openssl", Some("3.1.4_rc1-r9"), high.clone()),
            record("ALPINE-CVE-2026-3", "Alpine:v3.19", "busybox", None, high.clone()),
            record("ALPINE-CVE-2026-4", "Alpine:v3.20", "libcrypto3", None, high),
        ],
    );
    let document = scan(&project, &["oci:base"]);
    assert_eq!(found(&document), ["ALPINE-CVE-2026-1 high 3.1.4-r10"]);
    assert_eq!(document["images"][0]["vulnerabilities"][0]["installed"][0]["name"], "libcrypto3");
}

#[test]
fn what_cannot_be_asked_about_is_said() {
    let check = |entries: Vec<crate::support::base::Entry>, expect: &str, last: &str| {
        let project = Project::new();
        Base::of(entries).write(&project, "base");
        database(&project, "db", &records());
        let done = project.run(["scan", "--db", "db", "oci:base"]).success();
        let lines: Vec<&str> = done.stdout.lines().collect();
        assert_eq!(lines.first(), Some(&expect), "{}", done.stdout);
        assert!(lines.last().unwrap().starts_with(last), "{}", done.stdout);
        // Somebody who asks for a gate gets none that is open for want of knowledge.
        let code = if expect.starts_with("not known") { 4 } else { 0 };
        project.run(["scan", "--db", "db", "--severity", "critical", "oci:base"]).fails(code);
        project.run(["scan", "--db", "db", "--severity", "critical", "--unknown", "warn", "oci:base"]).success();
    };
    let os = |text: &str| vec![dir("etc"), file("etc/os-release", text)];
    let nothing = "nothing in the image says what it is made of, so nothing could be asked";
    check(
        os("ID=fedora\nVERSION_ID=40\n"),
        "not known: its distribution, `fedora 40`, is not one whose packages can be listed",
        nothing,
    );
    check(
        os("ID=alpine\nVERSION_ID=3.20.1\n"),
        "not known: it is made of `alpine 3.20.1`, but lists no packages",
        nothing,
    );
    check(vec![file("readme", "hello")], &format!("{nothing} (4 records, the newest 2026-01-01T00:00:00Z)"), nothing);
    let mut entries = os("ID=debian\nVERSION_ID=13\n");
    entries.extend([dir("var"), dir("var/lib"), dir("var/lib/dpkg"), file("var/lib/dpkg/status", DPKG)]);
    let strange = "not known: the database has no record of `Debian:13`, of which it has 2 packages";
    check(entries, strange, "no known vulnerability in what could be asked of 2 packages");
    let broken = elf(&[(".dep-v0", b"no zlib".to_vec())]);
    let project = Project::new();
    Base::of([executable("app", broken)]).write(&project, "base");
    database(&project, "db", &records());
    let done = project.run(["scan", "--db", "db", "--severity", "low", "oci:base"]).fails(4);
    assert!(done.stdout.starts_with("deny not known: what `/app` was built from cannot be read"), "{}", done.stdout);
}
