//! Provenance: everything that decided a byte, by its digest; nothing of the machine, and no value from outside.

use serde_json::{Value, json};

use crate::git::{committed, git};
use crate::support::{Base, Project, dir, manifest, scratch};

const ITEMS: &str = "[[file]]\nsrc = \"a.txt\"\ndest = \"/a\"\n[[file]]\nsrc = \"config\"\ndest = \"/etc/app\"\nexclude = [\"no\"]\n\
    [[file]]\nsrc = \"t.txt\"\ndest = \"/t\"\ntemplate = true\n";

fn project() -> Project {
    let project = Project::new().file("a.txt", "a\n").file("config/x", "1\n").file("config/no", "2\n");
    let base = Base::of([dir("etc")]).write(&project, "base");
    let text = manifest(&base, &format!("platforms = [\"linux/amd64\"]\n{ITEMS}"));
    let text = text.replacen("[image]", "[vars]\nsecret = { from = \"env:SECRET\", default = \"x\" }\n[image]", 1);
    project.file("t.txt", "t {{ secret }}\n").file(".gitignore", "/out\n").file("image.toml", text)
}

fn provenance(project: &Project, words: &[&str]) -> Value {
    project.run([words, &["provenance"]].concat()).success().json()
}

fn by_name<'a>(provenance: &'a Value, name: &str) -> &'a Value {
    let all = provenance["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} in {all:?}"))
}

#[test]
fn every_input_is_named_by_its_digest() {
    let project = committed(project());
    let found = provenance(&project, &[]);
    let names: Vec<&str> = found["buildDefinition"]["resolvedDependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["image.toml", "source", "base", "a.txt", "config", "t.txt"]);
    // sha256sum of "a\n" and of the template before it is rendered.
    let a = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
    assert_eq!(by_name(&found, "a.txt")["digest"], json!({ "sha256": a }));
    assert_eq!(by_name(&found, "t.txt")["digest"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(by_name(&found, "config")["digest"]["dirHash"].as_str().unwrap().len(), 64);
    assert_eq!(by_name(&found, "source")["annotations"]["dirty"], false);
    assert_eq!(by_name(&found, "source")["digest"]["gitCommit"].as_str().unwrap().len(), 40);
    assert_eq!(
        found["buildDefinition"]["externalParameters"],
        json!({"manifest": "image.toml", "platforms": ["linux/amd64"], "set": []})
    );
    assert_eq!(found["runDetails"]["builder"]["id"], "urn:stillframe:builder:unknown");

    // What is left out of a copy is no input; what is copied is.
    project.write("config/no", "3\n");
    assert_eq!(by_name(&provenance(&project, &[]), "config"), by_name(&found, "config"));
    assert_eq!(by_name(&provenance(&project, &[]), "source")["annotations"]["dirty"], true);
    project.write("config/x", "3\n");
    assert_ne!(by_name(&provenance(&project, &[]), "config"), by_name(&found, "config"));
    project.write("t.txt", "T {{ secret }}\n");
    assert_ne!(by_name(&provenance(&project, &[]), "t.txt"), by_name(&found, "t.txt"));
}

#[test]
fn sec_values_from_outside_are_never_told() {
    let project = project();
    let canary = "CANARY-41c9";
    let done = project.run(["--set", &format!("secret={canary}"), "provenance"]).env("SECRET", "CANARY-env").success();
    assert!(!format!("{}{}", done.stdout, done.stderr).contains("CANARY"));
    assert_eq!(done.json()["buildDefinition"]["externalParameters"]["set"], json!(["secret"]));
    // The value does decide the image.
    assert_ne!(
        project.run(["--set", "secret=1", "build"]).success().digest(),
        project.run(["--set", "secret=2", "build"]).success().digest()
    );
}

#[test]
fn neither_place_nor_time_is_told() {
    let (one, two) = (committed(project()), project());
    git(&two, &["init", "-q"]);
    git(&two, &["add", "."]);
    git(&two, &["commit", "-qm", "one"]);
    let run = |project: &Project| project.run(["provenance"]).env("TZ", "Asia/Tokyo").success().stdout;
    assert_eq!(run(&one), run(&two));
    assert!(!run(&one).contains("/tmp"));
    let from_above =
        one.run(["-f", one.path("").to_str().unwrap(), "provenance"]).cwd(std::path::Path::new("/")).success();
    assert_eq!(from_above.stdout, run(&one));
}

#[test]
fn the_builder_is_what_the_job_says_or_what_is_asked_for() {
    let project = Project::of(&scratch("[[file]]\ndest = \"/a\"\ncontent = \"a\""));
    let github = |project: &Project| {
        let run =
            project.run(["provenance"]).env("GITHUB_ACTIONS", "true").env("GITHUB_SERVER_URL", "https://github.com");
        run.env("GITHUB_WORKFLOW_REF", "acme/app/.github/workflows/release.yml@refs/tags/v1")
    };
    let builder = github(&project).success().json()["runDetails"]["builder"]["id"].clone();
    assert_eq!(builder, "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1");
    let asked = project.run(["provenance", "--builder-id", "https://example.com/ci"]).success().json();
    assert_eq!(asked["runDetails"]["builder"]["id"], "https://example.com/ci");
}

#[test]
fn attest_is_checked_with_the_rest_of_the_manifest() {
    let check = |attest: &str| {
        let project = Project::of(&scratch(&format!("[[file]]\ndest = \"/a\"\ncontent = \"a\"\n[attest]\n{attest}")));
        project.run(["--format", "json", "check"]).ends()
    };
    assert_eq!(check("sbom = [\"spdx\", \"cyclonedx\"]\nprovenance = true\n").code, Some(0));
    assert_eq!(check("sbom = []").code, Some(0));
    assert_eq!(check("sbom = [\"spxd\"]").findings(), ["value 8:9"]);
    assert_eq!(check("sbom = [\"spdx\", \"spdx\"]").findings(), ["conflict 8:17"]);
    assert_eq!(check("sbom = \"spdx\"").findings().len(), 1);
    assert_eq!(check("provenence = true").findings(), ["unknown-key 8:1"]);
}
