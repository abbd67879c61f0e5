//! `resolve`: digests in YAML, and every other byte as it was.

use serde_json::Value;

use crate::registry::Registry;
use crate::support::{Project, rooted};

/// A workspace of two images, pushed to this registry.
fn project(registry: &str) -> Project {
    let manifest = |name: &str| {
        rooted(&format!(
            "schema = 1\n[image]\nname = \"{registry}/acme/{name}\"\nbase = \"scratch\"\ncreated = \"fixed\"\n\
             [[file]]\ndest = \"/{name}\"\ncontent = \"{name}\"\n[tags]\nfixed = [\"1.2\"]\n"
        ))
    };
    Project::new()
        .file("image.toml", "schema = 1\n[workspace]\nmembers = [\"api\", \"web\"]\n")
        .file("api/image.toml", manifest("api"))
        .file("web/image.toml", manifest("web"))
}

/// The digests of both images.
fn digests(project: &Project) -> [String; 2] {
    ["api", "web"].map(|name| project.run(["-f", name, "build"]).success().digest())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_of_many_documents_keeps_every_other_byte() {
    let registry = Registry::start().await;
    let project = project(&registry.name());
    let mut text = String::from("\u{feff}# A long file.\n");
    let mut count = 0;
    while text.lines().count() < 2000 {
        count += 1;
        let (quote, image) = (["", "'", "\""][count % 3], ["api", "web"][count % 2]);
        text += &format!(
            "---\napiVersion: apps/v1   # stillframe://{image} in a comment\nkind: Deployment\nmetadata: {{name: x{count}, labels: {{\"ü\": 'é'}}}}\r\n\
             spec:\n    template:\n        spec:\n            containers:\n            -   image:   {quote}stillframe://{image}{quote}   # kept\n\
             \x20               args: [\"--other=stillframe://{image}\", plain]\n                command: |\n                  #!/bin/sh\n\
             \x20                 echo \"it's # no comment\"\n...\n\n"
        );
    }
    project.write("k8s.yaml", &text);
    let done = project.run(["resolve", "-f", "k8s.yaml"]).success();
    let digests = digests(&project);
    let mut expected = String::new();
    for line in text.split_inclusive('\n') {
        let (code, comment) = line.split_at(line.find(" # ").unwrap_or(line.len()));
        let mut code = code.to_string();
        for (name, digest) in ["api", "web"].iter().zip(&digests) {
            code = code.replace(&format!("stillframe://{name}"), &format!("{}/acme/{name}@{digest}", registry.name()));
        }
        expected += &(code + comment);
    }
    assert!(done.stdout == expected, "another byte has changed");
    assert_eq!(done.stdout.lines().count(), text.lines().count());
    // Each image was pushed once, however often it is named.
    for name in ["api", "web"] {
        assert_eq!(registry.count("PUT", &format!("/v2/acme/{name}/manifests/sha256:")), 1);
        assert_eq!(registry.shelf(&format!("acme/{name}")).tags.len(), 1);
    }
}

#[test]
fn kustomize_and_helm_take_the_parts_that_they_want() {
    let project = project("r.test");
    let [api, web] = digests(&project);
    let kustomize = "images:\n- name: api\n  newName: stillframe://api#name\n  digest: stillframe://api#digest\n";
    let values = "web:\n  image: {repository: stillframe://web#name, tag: \"stillframe://web#tag\", digest: 'stillframe://web#digest'}\n";
    project.write("k8s/a.yaml", kustomize);
    project.write("k8s/values.yml", values);
    project.write("k8s/notes.txt", "stillframe://nothing");
    let done = project.run(["resolve", "--no-push", "--file=k8s"]).success();
    let expected = format!(
        "images:\n- name: api\n  newName: r.test/acme/api\n  digest: {api}\n---\nweb:\n  image: {{repository: r.test/acme/web, tag: \"1.2\", digest: '{web}'}}\n"
    );
    assert_eq!(done.stdout, expected);
    let json = project.run(["--format", "json", "resolve", "--no-push", "-f", "k8s/a.yaml"]).success().json();
    assert_eq!(json["images"].as_array().unwrap().len(), 1);
    assert!(json["files"][0]["text"].as_str().unwrap().contains(&api));
}

#[test]
fn unknown_images_are_told_all_at_once_with_their_places() {
    let project = project("r.test");
    project.write("a.yaml", "x: stillframe://apii\ny:\n  - {image: \"stillframe://wbe\"}\n");
    project.write("b.yaml", "x: stillframe://nowhere-near-it\n");
    let done = project.run(["--format", "json", "resolve", "-f", "a.yaml", "-f", "b.yaml"]).fails(2);
    let document = done.json();
    let findings = document["findings"].as_array().unwrap();
    let one = |finding: &Value| {
        let place = &finding["place"];
        format!(
            "{}:{}:{} {}",
            place["file"].as_str().unwrap_or_default(),
            place["line"],
            place["column"],
            finding["help"][0]
        )
    };
    let told: Vec<String> = findings.iter().map(one).collect();
    assert_eq!(
        told,
        [
            "a.yaml:1:4 \"did you mean `api`?\"",
            "a.yaml:3:14 \"did you mean `web`?\"",
            "b.yaml:1:4 \"known are: api, web\""
        ]
    );
    project.write("b.yaml", "a: [1\n");
    let done = project.run(["resolve", "-f", "b.yaml"]).fails(2);
    assert!(done.stderr.contains("b.yaml:1:7"), "{}", done.stderr);
    project.run(["resolve", "-f", "missing.yaml"]).fails(2);
}

#[test]
fn templates_are_rendered_with_the_images() {
    let project = project("r.test");
    let [api, web] = digests(&project);
    project.write("t.yaml", "a: {{ images.api.reference }}\nb: {{ images['web'].digest }}\nc: {{ images.api.tag }} # {{ images.api.name }}\n");
    let done = project.run(["resolve", "--no-push", "--render", "-f", "t.yaml"]).success();
    assert_eq!(done.stdout, format!("a: r.test/acme/api@{api}\nb: {web}\nc: 1.2 # r.test/acme/api\n"));
    project.write("t.yaml", "a: {{ image.digest }}\n");
    let done = project.run(["-f", "api", "resolve", "--no-push", "--render", "-f", "t.yaml"]).success();
    assert_eq!(done.stdout, format!("a: {api}\n"));
    project.write("t.yaml", "ok: 1\na: {{ images.apo.digest }}\n");
    let done = project.run(["resolve", "--no-push", "--render", "-f", "t.yaml"]).fails(2);
    assert!(done.stderr.contains("t.yaml:2:"), "{}", done.stderr);
}
