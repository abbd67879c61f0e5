//! `update` of what stands in the manifest itself: only digests change, every other byte stays.

use std::fs;

use crate::registry::Registry;
use crate::support::{Base, Project, dir, file};

/// Publishes an image with this content under a tag, and gives its digest.
fn publish(project: &Project, registry: &Registry, name: &str, content: &str) -> String {
    let layout = format!("layout-{content}");
    Base::of([dir("etc"), file("etc/motd", content)]).write(project, &layout);
    project.run(["copy", &format!("oci:{layout}"), &format!("{}/{name}", registry.name())]).success().digest()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pins_of_a_manifest_change() {
    let registry = Registry::start().await;
    let project = Project::new();
    let host = registry.name();
    let (one, tools) =
        (publish(&project, &registry, "base:1", "one"), publish(&project, &registry, "tools:stable", "tools"));
    let text = format!(
        "# A comment, and odd spacing\r\nschema=1\r\n\r\n[image]   # here\r\n  base   =   '{host}/base:1@{one}'   # the base\r\n\
         user = '1'\r\nplatforms = [\"linux/amd64\",]\r\n\r\n[[copy]]\r\nfrom = \"{host}/tools:stable@{tools}\"\r\nsrc = \"/etc/motd\"\r\ndest = \"/tools\"\r\n\
         \r\n\r\n# the end, without a line feed"
    );
    project.write("image.toml", &text);
    let now = || fs::read_to_string(project.path("image.toml")).unwrap();
    assert_eq!(project.run(["update"]).success().stdout, "nothing has moved\n");
    assert_eq!(now(), text);
    let two = publish(&project, &registry, "base:1", "two");
    let newer = publish(&project, &registry, "tools:stable", "newer");
    let shown = project.run(["outdated"]).success().stdout;
    let pins: String = shown.lines().filter(|line| !line.starts_with(' ')).map(|line| format!("{line}\n")).collect();
    assert_eq!(pins, format!("base {host}/base:1 {one} -> {two}\ncopy {host}/tools:stable {tools} -> {newer}\n"));
    assert_eq!(now(), text);
    project.run(["update", "--dry-run"]).success();
    assert_eq!(now(), text);
    let said = project.run(["update", "base"]).success().stdout;
    assert_eq!(said.lines().filter(|line| !line.starts_with(' ')).count(), 1, "{said}");
    assert_eq!(now(), text.replace(&one, &two));
    project.run(["update", "tools"]).success();
    assert_eq!(now(), text.replace(&one, &two).replace(&tools, &newer));
    project.run(["build"]).success();
    let done = project.run(["update", "bse"]).fails(2);
    assert!(done.stderr.contains("nothing in the manifest is called `bse`"), "{}", done.stderr);
    let done = project.run(["update", "packages"]).fails(2);
    assert!(done.stderr.contains("has no `[packages]`"), "{}", done.stderr);
    assert!(!project.path("image.lock").exists(), "nothing needs a lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn lck_01_a_base_whose_tag_moved_is_the_pinned_one_until_update() {
    let registry = Registry::start().await;
    let project = Project::new();
    let one = publish(&project, &registry, "base:1", "one");
    let text = format!(
        "schema = 1\n[image]\nbase = \"{}/base:1@{one}\"\nuser = \"1\"\ncreated = \"fixed\"\n",
        registry.name()
    );
    project.write("image.toml", &text);
    let before = project.run(["--locked", "build"]).success().digest();
    let two = publish(&project, &registry, "base:1", "two");
    assert_eq!(project.run(["--locked", "build"]).success().digest(), before);
    assert_eq!(project.run(["--locked", "--no-cache", "build"]).success().digest(), before);
    let shown = project.run(["update", "--dry-run"]).success().stdout;
    assert!(shown.contains(&format!("{one} -> {two}")), "{shown}");
    assert_eq!(project.run(["build"]).success().digest(), before);
    project.run(["update"]).success();
    assert_ne!(project.run(["--locked", "build"]).success().digest(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_pinned_yet_gets_its_digest() {
    let registry = Registry::start().await;
    let project = Project::new();
    let digest = publish(&project, &registry, "base:1", "one");
    let text = format!(
        "schema = 1\n[vars]\ntag = {{ default = \"1\" }}\n[image]\nbase = \"{}/base:{{{{ tag }}}}\"\nuser = \"1\"\n",
        registry.name()
    );
    project.write("image.toml", &text);
    project.run(["build"]).fails(2);
    let done = project.run(["update"]).fails(2);
    assert!(done.stderr.contains("cannot be written"), "a template at the end may hold the digest: {}", done.stderr);
    project.write("image.toml", text.replace("{{ tag }}", "1"));
    let said = project.run(["update"]).success().stdout;
    assert!(said.contains(&format!("not pinned -> {digest}")), "{said}");
    project.run(["build"]).success();
    project.write("image.toml", text.replace("{{ tag }}", "gone"));
    let done = project.run(["update"]).fails(2);
    assert!(done.stderr.contains("has no tag `gone`") && done.stderr.contains("image.toml:5"), "{}", done.stderr);
    assert_eq!(project.run(["--offline", "update"]).fails(3).code, Some(3));
}

/// A base for two platforms with these packages, half of them in dpkg's database and half of them in apk's.
fn base(project: &Project, registry: &Registry, packages: &[(&str, &str)]) -> String {
    let (status, database) = packages.split_at(packages.len() / 2);
    let status: String = status
        .iter()
        .map(|(name, version)| format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n"))
        .collect();
    let database: String = database.iter().map(|(name, version)| format!("P:{name}\nV:{version}\n\n")).collect();
    let base = Base::of([file("var/lib/dpkg/status", &status), file("lib/apk/db/installed", &database)]);
    let name = format!("{}-layout", packages.len());
    base.write_several(project, &name);
    let to = format!("{}/base:1", registry.name());
    project.run(["copy", &format!("oci:{name}"), &to]).success().digest()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_in_a_base_is_told_with_sizes_and_packages() {
    let registry = Registry::start().await;
    let project = Project::new();
    let old = base(&project, &registry, &[("openssl", "3.0.15-1"), ("tzdata", "2025a"), ("zlib", "1")]);
    let name = format!("{}/base:1", registry.name());
    let text = format!(
        "schema = 1\n[image]\nbase = \"{name}@{old}\"\nuser = \"1\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n"
    );
    project.write("image.toml", &text);
    assert_eq!(project.run(["outdated"]).success().stdout, "nothing has moved\n");
    let new = base(&project, &registry, &[("bash", "5"), ("openssl", "3.0.20-1"), ("zlib", "1"), ("x", "2")]);
    let shown = project.run(["outdated"]).success().stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], format!("base {name} {old} -> {new}"));
    for (line, platform) in lines[1..3].iter().zip(["amd64", "arm64"]) {
        let (sizes, more) = line.strip_suffix(')').unwrap().split_once(" bytes (").unwrap();
        let (before, after) = sizes.strip_prefix(&format!("  linux/{platform}: ")).unwrap().split_once(" -> ").unwrap();
        let number = |text: &str| text.parse::<i64>().unwrap();
        assert_eq!(number(after) - number(before), number(more), "{line}");
        assert_ne!(number(more), 0, "{line}");
    }
    let both = "(linux/amd64, linux/arm64)";
    let packages = [
        format!("bash new 5 {both}"),
        format!("openssl 3.0.15-1 -> 3.0.20-1 {both}"),
        format!("tzdata 2025a is gone {both}"),
        format!("x new 2 {both}"),
    ];
    assert_eq!(lines[3..], packages.map(|line| format!("  package {line}")));
    let document = project.run(["--format", "json", "outdated"]).success().json();
    let amd64 = &document["pins"][0]["platforms"][0];
    assert_eq!(
        (amd64["platform"].as_str(), amd64["packages"][1]["new"].as_str()),
        (Some("linux/amd64"), Some("3.0.20-1"))
    );
    assert_ne!(amd64["new"].as_u64().unwrap(), amd64["old"].as_u64().unwrap());
    // The old one is gone from the registry: that says nothing of the new one.
    let lost = format!("sha256:{}", "a".repeat(64));
    project.write("image.toml", text.replace(&old, &lost));
    let shown = project.run(["update"]).success().stdout;
    assert!(shown.contains(&format!("{lost} -> {new}")), "{shown}");
    assert!(shown.contains("  linux/amd64: what moved in it is not known: looking into the old base: "), "{shown}");
    assert_eq!(fs::read_to_string(project.path("image.toml")).unwrap(), text.replace(&old, &new));
}
