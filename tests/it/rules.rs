//! May it go out: every rule once where it finds something and once where it does not, at its line of the manifest, in JSON and in SARIF
//! (checks SEC-01, SEC-02).

use std::collections::BTreeSet;

use insta::{Settings, assert_snapshot};
use serde_json::{Value, json};
use stillframe::manifest::rules;

use crate::imports::{Part, gzip, tar, zip};
use crate::registry::Registry;
use crate::support::project::Done;
use crate::support::{Base, Project, dir, file};

/// Holds a text against the one of this name in the folder `rules`.
fn snapshot(name: &str, text: String) {
    let mut settings = Settings::new();
    settings.set_snapshot_path("rules");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_snapshot!(name, text));
}

/// What all manifests here begin with, up to the lines below `[image]`.
fn head(base: &str) -> String {
    format!("schema = 1\n[image]\nbase = \"{base}\"\n")
}

/// A project on `scratch` whose user is not root, with these lines below `[image]`.
fn on_scratch(lines: &str) -> Project {
    Project::of(&format!("{}user = \"1\"\n{lines}", head("scratch")))
}

/// The same on a base.
fn on(base: &Base, lines: &str) -> Project {
    let project = Project::new();
    let written = base.write(&project, "base");
    project.file("image.toml", format!("{}user = \"1\"\n{lines}", head(&written)))
}

/// A file of the manifest with this destination and these further lines.
fn item(dest: &str, more: &str) -> String {
    format!("[[file]]\ndest = \"{dest}\"\ncontent = \"x\"\n{more}\n")
}

fn check(project: &Project) -> Done {
    project.run(["--format", "json", "check"]).ends()
}

/// The findings of a code as `severity line`.
fn found(done: &Done, code: &str) -> Vec<String> {
    let document = done.json();
    let all = document["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == code);
    all.map(|finding| format!("{} {}", finding["severity"].as_str().unwrap(), finding["place"]["line"])).collect()
}

/// A rule, what fires it (with severity and line), and what does not.
struct Case {
    code: &'static str,
    fires: Project,
    says: &'static str,
    passes: Project,
}

fn case(code: &'static str, fires: Project, says: &'static str, passes: Project) -> Case {
    Case { code, fires, says, passes }
}

fn old_base(created: &str) -> Base {
    Base::of([dir("etc"), file("etc/motd", "below\n")]).rest(json!({ "created": created }))
}

/// All rules but those that a manifest of this version cannot break, which have tests of their own.
fn cases() -> Vec<Case> {
    let token = format!("ghp_{}", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
    let root = |lines: &str| Project::of(&format!("{}{lines}", head("scratch")));
    let tables = |name: &str, keys: &str| format!("[[{name}]]\n{keys}\n");
    let long = |bytes: usize| "0123456789abcdef".repeat(bytes / 16);
    let copies = |limit: &str| {
        let project = on_scratch(&format!("[[file]]\nsrc = \"t\"\ndest = \"/t\"\n[check]\nmax-wasted = \"{limit}\"\n"));
        project.file("t/a", long(8192)).file("t/b", long(8192)).file("t/c", long(8192).to_uppercase())
    };
    let base = Base::debian();
    let setuid = Base::of([dir("bin"), file("bin/su", "x").owned(0o4755, 0, 0)]);
    let opened = |mode: &str| item("/data", &format!("mode = \"{mode}\""));
    let mut cases = vec![
        case("root-user", root(""), "error 3", root("user = \"1\"\n")),
        case("root-user", root("user = \"0:1\"\n"), "error 4", root("[check]\nroot-user = \"allow\"\n")),
        case(
            "max-size",
            on(&base, "[check]\nmax-size = \"1B\"\n"),
            "error 6",
            on(&base, "[check]\nmax-size = \"1MiB\"\n"),
        ),
        case(
            "max-layer-size",
            on(&base, "[check]\nmax-layer-size = { limit = \"1B\", level = \"warn\" }\n"),
            "warning 6",
            on(&base, "[check]\nmax-layer-size = \"small\"\n"),
        ),
        case(
            "max-layers",
            on(&base, &format!("{}[check]\nmax-layers = {{ limit = 1, level = \"deny\" }}\n", item("/a", ""))),
            "error 10",
            on(&base, &format!("{}[check]\nmax-layers = 2\n", item("/a", ""))),
        ),
        case(
            "required-labels",
            on_scratch("[labels]\na = \" \"\n[check]\nrequired-labels = [\n\"b\",\n\"a\"]\n"),
            "error 9 error 10",
            on(&base, "[check]\nrequired-labels = [\"vendor\"]\n"),
        ),
        case(
            "secret-values",
            on_scratch("[env]\nA = \"b\"\nDB_PASSWORD = \"hunter2\"\n"),
            "warning 7",
            on_scratch("[env]\nDB_PASSWORD_FILE = \"/run/secrets/db\"\n"),
        ),
        case(
            "max-base-age",
            on(&old_base("2020-01-01T00:00:00.5Z"), "created = \"2020-04-01T00:00:00Z\"\n[check]\nmax-base-age = 90\n"),
            "error 3",
            on(&old_base("2020-01-02T00:00:00.5Z"), "created = \"2020-04-01T00:00:00Z\"\n[check]\nmax-base-age = 90\n"),
        ),
        case(
            "max-base-age",
            on(&old_base("1970-01-01T00:00:00Z"), "created = \"2020-04-01T00:00:00Z\"\n[check]\nmax-base-age = 90\n"),
            "warning 7",
            on(&old_base("1970-01-01T00:00:00Z"), "[check]\nmax-layers = 90\n"),
        ),
        case(
            "unused-allow",
            on_scratch("[check]\nsetuid = { level = \"allow\", reason = \"gone\", paths = [\"/ping\"] }\n"),
            "warning 6",
            on_scratch("[check]\nsetuid = \"deny\"\n"),
        ),
        case("secrets", on_scratch(&item("/app/.env", "")), "error 6", on_scratch(&item("/app/.env.example", ""))),
        case(
            "secrets",
            on_scratch("[[file]]\nsrc = \"t\"\ndest = \"/t\"\n").file("t/notes.txt", format!("a\nb {token}\n")),
            "error 7",
            on_scratch("[[file]]\nsrc = \"t\"\ndest = \"/t\"\n").file("t/notes.txt", &token[..20]),
        ),
        case(
            "setuid",
            on_scratch(&item("/su", "mode = \"4755\"")),
            "warning 6",
            on_scratch(&item("/su", "mode = \"0755\"")),
        ),
        case("setuid", on(&setuid, "[check]\nsetuid = \"deny\"\n"), "error 3", on(&setuid, "")),
        case("world-writable", on_scratch(&opened("0666")), "warning 6", on_scratch(&opened("0664"))),
        case(
            "world-writable",
            on_scratch(&tables("dir", "dest = \"/tmp\"\nmode = \"0777\"")),
            "warning 6",
            on_scratch(&tables("dir", "dest = \"/tmp\"\nmode = \"1777\"")),
        ),
        case(
            "devices",
            on(&Base::of([dir("dev"), file("dev/pipe", "").pipe()]), &item("/a", "")),
            "warning 3",
            on(&Base::of([dir("dev"), file("dev/pipe", "").pipe()]), &tables("remove", "dest = \"/dev/pipe\"")),
        ),
        case(
            "max-file-size",
            on_scratch("[[file]]\nsrc = \"a\"\ndest = \"/a\"\n[check]\nmax-file-size = \"16B\"\n").file("a", long(32)),
            "error 7",
            on_scratch("[[file]]\nsrc = \"a\"\ndest = \"/a\"\n[check]\nmax-file-size = \"16B\"\n").file("a", long(16)),
        ),
        case("max-wasted", copies("8191B"), "error 9", copies("8192B")),
        case(
            "max-wasted",
            on(&base, &format!("{}[check]\nmax-wasted = \"1B\"\n", item("/etc/motd", ""))),
            "error 10",
            on(&base, &format!("{}[check]\nmax-wasted = \"1B\"\n", item("/etc/other", ""))),
        ),
        case(
            "forbidden-paths",
            on(&base, &format!("{}[check]\nforbidden-paths = [\"/usr/share/doc\", \"*.map\"]\n", item("/a.map", ""))),
            "error 3 error 6",
            on(
                &base,
                &format!(
                    "{}[check]\nforbidden-paths = [\"/usr/share/doc\", \"*.map\"]\n",
                    tables("remove", "dest = \"/usr/share/doc\"")
                ),
            ),
        ),
        case(
            "required-paths",
            on(&base, "[check]\nrequired-paths = [\"/usr/share/zoneinfo\"]\n"),
            "error 6",
            on(&base, "[check]\nrequired-paths = [\"/etc/os-release\", \"README\"]\n"),
        ),
        case(
            "case",
            on_scratch("[[file]]\nsrc = \"t\"\ndest = \"/t\"\n").file("t/A", "").file("t/a", ""),
            "warning 7",
            on_scratch("[[file]]\nsrc = \"t\"\ndest = \"/t\"\n").file("t/A", "").file("t/b", ""),
        ),
    ];
    cases.extend(files());
    cases.push(case("vulnerabilities", old_package("2-1"), "error 11", old_package("1-1")));
    cases
}

/// A package in version 1-1, and a record of a vulnerability that ends with this version.
fn old_package(fixed: &str) -> Project {
    let file = |dest: &str, content: &str| format!("[[file]]\ndest = \"{dest}\"\ncontent = \"{content}\"\n");
    let system = file("/etc/os-release", "ID=debian\\nVERSION_ID=12\\n");
    let status = "Package: openssl\\nStatus: install ok installed\\nVersion: 1-1\\n";
    let gate = "[check.vulnerabilities]\ndatabase = \"db\"\n";
    let ranges = json!([{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": fixed }] }]);
    let package = json!({ "ecosystem": "Debian:12", "name": "openssl" });
    let record = json!({
        "id": "CVE-2026-1", "affected": [{ "package": package, "ranges": ranges }],
        "database_specific": { "severity": "HIGH" },
    });
    on_scratch(&format!("{system}{}{gate}", file("/var/lib/dpkg/status", status))).file("db/1.json", record.to_string())
}

/// What must hold of files: each key once.
fn files() -> Vec<Case> {
    let with = |keys: &str| {
        let checked = format!("[[check.file]]\npath = \"/a\"\n{keys}\n");
        on_scratch(&format!("[[file]]\nsrc = \"a\"\ndest = \"/a\"\nowner = \"5:6\"\n{checked}"))
            .file("a", "# one\ntwo\n")
    };
    let all = [
        ("mode = \"0755\"", "mode = \"0644\""),
        ("owner = \"5\"", "owner = \"5:6\""),
        ("contains = \"three\"", "contains = \"two\""),
        ("starts-with = \"two\"", "starts-with = \"# \""),
        ("matches = \"^o\"", "matches = \"^t[wo]+$\""),
    ];
    let mut cases: Vec<Case> = all.into_iter().map(|(no, yes)| case("file", with(no), "error 9", with(yes))).collect();
    let at = |path: &str, keys: &str| on(&Base::debian(), &format!("[[check.file]]\npath = \"{path}\"\n{keys}\n"));
    cases.push(case("file", at("/etc/none", ""), "error 5", at("/etc/motd", "mode = \"0644\"\nowner = \"0:0\"")));
    cases.push(case("file", at("/etc/motd", "contains = \"debian\""), "error 5", at("/lib", "")));
    cases
}

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_else() {
    let mut tried = BTreeSet::new();
    for Case { code, fires, says, passes } in cases() {
        tried.insert(code);
        let done = check(&fires);
        assert_eq!(found(&done, code).join(" "), says, "{code}: {}", done.stdout);
        let denied = says.contains("error");
        assert_eq!(done.code, Some(if denied { 4 } else { 0 }), "{code}: {}", done.stdout);
        let other = check(&passes);
        assert_eq!((found(&other, code), other.code), (Vec::new(), Some(0)), "{code}: {}", other.stdout);
        let log: Value = fires.run(["--format", "sarif", "check"]).ends().json();
        let results = log["runs"][0]["results"].as_array().unwrap();
        let line = |result: &Value| {
            let level = result["level"].as_str().unwrap();
            format!("{level} {}", result["locations"][0]["physicalLocation"]["region"]["startLine"])
        };
        let lines: Vec<String> = results.iter().filter(|result| result["ruleId"] == code).map(line).collect();
        assert_eq!(lines.join(" "), says, "{code}: {log}");
        // What is refused is refused before anything is made, or else before anything is shipped.
        if denied {
            assert_eq!(
                found(&fires.run(["--format", "json", "build", "-o", "oci:out"]).fails(4), code).join(" "),
                says
            );
            assert!(!fires.path("out").exists(), "{code}");
        }
    }
    let elsewhere = ["user-name", "unpinned-base", "unsigned-base"];
    // What programs are judged by is tried in `programs.rs`, with programs.
    let programs = ["entrypoint", "wrong-machine", "link", "missing-loader", "missing-library", "library-version"];
    let of_programs = |code: &str| programs.contains(&code) || ["missing-interpreter", "odd-program"].contains(&code);
    for rule in rules::all() {
        let elsewhere = elsewhere.contains(&rule.code) || of_programs(rule.code);
        assert!(tried.contains(rule.code) || elsewhere, "nothing tries `{}`", rule.code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_base_is_told_where_the_manifest_asks() {
    let registry = Registry::start().await;
    let project = Project::new();
    Base::debian().write(&project, "base");
    let name = format!("{}/base", registry.name());
    let digest = project.run(["copy", "oci:base", &format!("{name}:1")]).success().digest();
    let manifest = format!("{}user = \"1\"\n", head(&format!("{name}@{digest}")));
    project.write("image.toml", &manifest);
    assert!(found(&check(&project), "unsigned-base").is_empty());
    project.write("image.toml", format!("{manifest}[check]\nunsigned-base = \"deny\"\n"));
    assert_eq!(found(&check(&project), "unsigned-base"), ["error 3"]);
    project.write("image.toml", format!("{}user = \"1\"\n[check]\nunsigned-base = \"deny\"\n", head("scratch")));
    assert!(found(&check(&project), "unsigned-base").is_empty());
}

#[test]
fn a_base_without_its_digest_is_told_with_the_same_code() {
    let project = Project::of(&format!("{}user = \"1\"\n", head("localhost:1/base:1")));
    let done = project.run(["--offline", "--format", "json", "check"]).fails(2);
    assert_eq!(found(&done, "unpinned-base"), ["error 3"]);
}

/// What the build knows only after packing is refused too, before anything is shipped.
#[test]
fn what_only_a_build_can_tell_is_refused_by_it() {
    let lines = |limit: &str| format!("[[file]]\nsrc = \"a\"\ndest = \"/a\"\n[check]\nmax-size = \"{limit}\"\n");
    let mut state = 1u32;
    let mut next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    let noise: Vec<u8> = (0..9000).map(&mut next).collect();
    let large = on_scratch(&lines("4KiB")).file("a", &noise);
    let done = large.run(["--format", "json", "check"]).success();
    assert_eq!(found(&done, "max-size"), ["note 9"], "{}", done.stdout);
    let done = large.run(["--format", "json", "build", "-o", "oci:out"]).fails(4);
    assert_eq!(found(&done, "max-size"), ["error 9"]);
    assert!(!large.path("out").exists());
    large.run(["plan"]).fails(4);
    on_scratch(&lines("10KiB")).file("a", &noise).run(["build"]).success();
}

#[test]
fn what_is_allowed_is_shown_with_its_reason() {
    let allow = "[check]\nsecrets = [\n  { level = \"allow\", reason = \"a test key\", paths = [\"/app/.env\"] },\n  { level = \"warn\" },\n]\n";
    let project = on_scratch(&format!("{}{}{allow}", item("/app/.env", ""), item("/app/.netrc", "")));
    let done = check(&project);
    assert_eq!(
        (found(&done, "secrets").join(" "), done.code),
        ("note 6 warning 10".into(), Some(0)),
        "{}",
        done.stdout
    );
    assert_eq!(done.json()["findings"][0]["allowed"], "a test key");
    let log: Value = project.run(["--format", "sarif", "check"]).success().json();
    let suppressed = &log["runs"][0]["results"][0]["suppressions"];
    assert_eq!(*suppressed, json!([{ "kind": "inSource", "justification": "a test key" }]));
    snapshot("allowed", project.run(["check"]).success().stderr);
    let built = project.run(["build"]).success().stderr;
    assert!(built.contains("a test key") && built.matches("holds").count() == 2, "each is told once: {built}");
}

#[test]
fn what_is_allowed_has_a_reason() {
    let project = |line: &str| on_scratch(&format!("[check]\n{line}\n"));
    for line in [
        "setuid = \"allow\"",
        "setuid = { level = \"allow\" }",
        "setuid = { level = \"allow\", reason = \" \" }",
        "root-user = { level = \"allow\" }",
        "secrets = [{ level = \"allow\", paths = [\"/a\"] }]",
    ] {
        let done = project(line).run(["--format", "json", "check"]).fails(2);
        assert_eq!(done.findings().len(), 1, "{line}: {}", done.stdout);
        assert!(done.findings()[0].starts_with("reason 6:"), "{line}: {}", done.stdout);
    }
    for line in [
        "setuid = \"never\"",
        "setuid = 1",
        "max-size = \"60\"",
        "max-size = 60",
        "max-layers = \"60\"",
        "max-layers = 0",
        "max-size = { level = \"warn\" }",
        "forbidden-paths = \"a\"",
        "forbidden-paths = [\"a{\"]",
        "required-labels = []",
        "root-user = { level = \"deny\", paths = [\"/a\"] }",
        "unpinned-base = \"allow\"",
        "file = [{ path = \"a\" }]",
        "file = [{ path = \"/a\", matches = \"(\" }]",
        "file = [{ path = \"/a\", owner = \"root\" }]",
    ] {
        let done = project(line).run(["--format", "json", "check"]).fails(2);
        assert!(done.findings().iter().all(|finding| finding.contains(" 6:")), "{line}: {}", done.stdout);
    }
}

#[test]
fn sec_01_a_copied_tree_with_secrets_in_it() {
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nnot one\n";
    let project = on_scratch("[[file]]\nsrc = \"tree\"\ndest = \"/srv\"\n")
        .file("tree/.env", "A=b\n")
        .file("tree/.env.example", "A=\n")
        .file("tree/.git/HEAD", "ref: refs/heads/main\n")
        .file("tree/.git/config", "")
        .file("tree/.docker/config.json", "{}\n")
        .file("tree/home/id_ed25519", key)
        .file("tree/home/id_ed25519.pub", "ssh-ed25519 AAAA\n")
        .file("tree/index.html", "");
    snapshot("sec_01", project.run(["check"]).fails(4).stderr);
    project.run(["build", "-o", "oci:out"]).fails(4);
    let allow = "[check]\nsecrets = { level = \"allow\", reason = \"a fixture\" }\n";
    let manifest = std::fs::read_to_string(project.path("image.toml")).unwrap();
    project.write("image.toml", manifest + allow);
    assert_eq!(project.run(["check"]).success().stderr.matches("a fixture").count(), 4);
}

#[test]
fn sec_02_values_that_look_like_keys() {
    let key = format!("AKIA{}", "IOSFODNN7EXAMPLE");
    let lines = format!(
        "[env]\nAWS_ACCESS_KEY_ID = \"{key}\"\n[labels]\nkey = \"\"\"\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n\"\"\"\n\
         [annotations]\nnote = \"token {key}\"\n"
    );
    let project = on_scratch(&lines);
    let done = project.run(["check"]).success();
    assert!(!done.stderr.contains(&key) && !done.stderr.contains("MIIE"), "{}", done.stderr);
    snapshot("sec_02", done.stderr);
    project.write("image.toml", format!("{}user = \"1\"\n{lines}[check]\nsecret-values = \"deny\"\n", head("scratch")));
    project.run(["build"]).fails(4);
}

/// Secrets count that come out of an archive, by their names and by their content, and the archive's line is told.
#[test]
fn secrets_inside_of_archives_count() {
    let token = ["token ghp", "_Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy"].concat();
    let (name, content): (&[u8], &[u8]) = (b"A=b\n", token.as_bytes());
    let files = [("a/.env", name), ("a/notes.txt", content), ("a/index.html", b"<p>")];
    let parts = files.map(|(path, bytes)| Part::File(path, bytes, 0o644));
    let packed = gzip(&tar(&parts, 0, 0));
    let zipped = zip(&files);
    for (file, bytes) in [("a.tar.gz", packed), ("a.zip", zipped)] {
        let lines = format!("[[archive]]\nsrc = \"{file}\"\ndest = \"/app\"\n");
        let project = on_scratch(&lines).file(file, bytes);
        let done = check(&project);
        assert_eq!((found(&done, "secrets"), done.code), (vec!["error 7".into(), "error 7".into()], Some(4)), "{file}");
        assert!(!done.stdout.contains(&token), "{}", done.stdout);
        project.run(["build", "-o", "oci:out"]).fails(4);
        assert!(!project.path("out").exists());
        let chosen = on_scratch(&format!("{lines}exclude = [\"**/.env\", \"**/notes.txt\"]\n"));
        chosen.file(file, std::fs::read(project.path(file)).unwrap()).run(["check"]).success();
    }
}

/// Secrets of rendered templates and of inline content count; those that are not rendered into it do not.
#[test]
fn secrets_of_what_is_rendered_count() {
    let token = format!("ghp_{}", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
    let rest = "[[file]]\nsrc = \"a.conf\"\ndest = \"/a.conf\"\ntemplate = true\n";
    let manifest = format!("{}user = \"1\"\n{rest}[vars]\ntoken = {{ from = \"env:T\" }}\n", head("scratch"));
    let project = Project::of(&manifest).file("a.conf", "token = {{ token }}\n");
    project.run(["check"]).env("T", "none").success();
    let done = project.run(["check"]).env("T", &token).fails(4);
    assert!(
        done.stderr.contains("`/a.conf` holds a GitHub token, line 1") && !done.stderr.contains(&token),
        "{}",
        done.stderr
    );
    project.run(["build"]).env("T", &token).fails(4);
    let inline = on_scratch(&format!("[[file]]\ndest = \"/a\"\ncontent = \"{token}\"\n"));
    assert_eq!(found(&check(&inline), "secrets"), ["error 6"]);
}

/// The essentials of SARIF 2.1.0; the whole schema is held against it in tests/interop.
#[test]
fn sarif_says_what_a_code_scanner_needs() {
    let project = on_scratch(&format!("{}[check]\nsetuid = \"deny\"\n", item("/su", "mode = \"4755\"")));
    let done = project.run(["--format", "sarif", "check"]).fails(4);
    assert!(done.stderr.is_empty(), "{}", done.stderr);
    let log = done.json();
    assert_eq!((&log["version"], &log["runs"][0]["tool"]["driver"]["name"]), (&json!("2.1.0"), &json!("stillframe")));
    let run = &log["runs"][0];
    let result = &run["results"][0];
    let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
    assert_eq!((&rule["id"], &result["ruleId"]), (&json!("setuid"), &json!("setuid")));
    assert!(rule["help"]["text"].as_str().unwrap().len() > 50 && rule["shortDescription"]["text"].is_string());
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "image.toml");
    assert_eq!(place["region"], json!({ "startLine": 6, "startColumn": 8, "endLine": 6, "endColumn": 13 }));
    assert_eq!(run["invocations"][0]["exitCode"], 4);
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    // What is no finding ended the run; a mistake of the manifest is a result too.
    let gone = Project::new().run(["--format", "sarif", "check"]).fails(2).json();
    assert_eq!(gone["runs"][0]["invocations"][0]["executionSuccessful"], false);
    let wrong = on_scratch("wrkdir = \"/\"\n").run(["--format", "sarif", "check"]).fails(2).json();
    assert_eq!(wrong["runs"][0]["results"][0]["ruleId"], "unknown-key");
    on_scratch("").run(["--format", "sarif", "build"]).fails(2);
}

#[test]
fn a_rule_is_explained() {
    let done = Project::new().run(["check", "--explain", "root-user"]).success();
    snapshot("explained", done.stdout);
    let json = Project::new().run(["--format", "json", "check", "--explain", "secrets"]).success().json();
    assert_eq!((&json["code"], &json["default"]), (&json!("secrets"), &json!("deny")));
    let done = Project::new().run(["check", "--explain", "secretz"]).fails(2);
    assert!(done.stderr.contains("did you mean `secrets`?"), "{}", done.stderr);
}
