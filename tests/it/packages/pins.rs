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
    assert_eq!(shown, format!("base {host}/base:1 {one} -> {two}\ncopy {host}/tools:stable {tools} -> {newer}\n"));
    assert_eq!(now(), text);
    project.run(["update", "--dry-run"]).success();
    assert_eq!(now(), text);
    assert_eq!(project.run(["update", "base"]).success().stdout.lines().count(), 1);
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
