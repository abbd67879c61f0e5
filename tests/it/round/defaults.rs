//! What the members of a workspace have in common: the defaults of its root.

use std::fs;

use serde_json::Value;

use crate::git::git;
use crate::registry::Registry;
use crate::support::{Base, Project, file};

/// A root whose defaults say something of every kind.
const ROOT: &str = "\
schema = 1
[workspace]
members = [\"services/*\"]
exclude = [\"services/alone\"]
[workspace.defaults.vars]
version = { default = \"1.0\" }
team    = { default = \"nobody\" }
[workspace.defaults.image]
base              = \"scratch\"
platforms         = [\"linux/amd64\", \"linux/arm64\"]
user              = \"65532\"
created           = \"fixed\"
compression       = \"zstd\"
compression-level = 7
ports             = [\"80/tcp\"]
hard-links        = true
[workspace.defaults.healthcheck]
command = [\"/shared\"]
retries = 3
[workspace.defaults.env]
LEVEL = \"info\"
ZONE  = \"UTC\"
[workspace.defaults.labels]
\"org.example.version\" = \"{{ version }}\"
\"org.example.team\"    = \"{{ team }}\"
[workspace.defaults.annotations]
both = \"a\"
[workspace.defaults.annotations.index]
one = \"i\"
[workspace.defaults.tags]
fixed = [\"shared\"]
[workspace.defaults.check]
max-layers = 1
max-size   = \"1MiB\"
entrypoint = { level = \"allow\", reason = \"a test of other things\" }
";

/// What a member says.
const MEMBER: &str = "\
schema = 1
[vars]
team = { default = \"api\" }
[image]
platforms = [\"linux/amd64\"]
ports     = []
hard-links = false
[healthcheck]
command = [\"/own\"]
[env]
LEVEL = \"debug\"
[labels]
own = \"{{ team }}\"
[annotations.manifest]
one = \"m\"
[check]
max-layers = 2
[[file]]
dest = \"/a\"
content = \"a\"
[[file]]
dest = \"/b\"
content = \"b\"
layer = \"b\"
";

/// The same image with all of it said in one place.
const WHOLE: &str = "\
schema = 1
[vars]
version = { default = \"1.0\" }
team = { default = \"api\" }
[image]
base = \"scratch\"
platforms = [\"linux/amd64\"]
user = \"65532\"
created = \"fixed\"
compression = \"zstd\"
compression-level = 7
[healthcheck]
command = [\"/own\"]
[env]
LEVEL = \"debug\"
ZONE = \"UTC\"
[labels]
own = \"{{ team }}\"
\"org.example.version\" = \"{{ version }}\"
\"org.example.team\" = \"{{ team }}\"
[annotations]
both = \"a\"
[annotations.index]
one = \"i\"
[annotations.manifest]
one = \"m\"
[[file]]
dest = \"/a\"
content = \"a\"
[[file]]
dest = \"/b\"
content = \"b\"
layer = \"b\"
[check]
entrypoint = { level = \"allow\", reason = \"a test of other things\" }
";

const SMALL: &str = "schema = 1\n[[file]]\ndest = \"/s\"\ncontent = \"s\"\n";

fn workspace() -> Project {
    Project::new()
        .file("image.toml", ROOT)
        .file("services/api/image.toml", MEMBER)
        .file("services/small/image.toml", SMALL)
        .file("whole/image.toml", WHOLE)
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn a_member_takes_what_it_does_not_say_and_is_the_same_image_however_it_is_built() {
    let project = workspace();
    let whole = project.run(["-f", "whole", "build"]).success().digest();
    let done = project.run(["--format", "json", "build", "--all"]).success().json();
    let digest = |at: usize| done["images"][at]["digest"].as_str().unwrap().to_string();
    assert_eq!(digest(0), whole);
    // Its place is found from anywhere.
    let small = digest(1);
    for (at, expected) in [("services/api", &whole), ("services/small", &small)] {
        assert_eq!(&project.run(["-f", at, "build"]).success().digest(), expected);
        assert_eq!(&project.run(["-f", &format!("./{at}/image.toml"), "build"]).success().digest(), expected);
        assert_eq!(&project.run(["build"]).cwd(&project.path(at)).success().digest(), expected);
        let absolute = project.path(at);
        assert_eq!(
            &project.run(["-f", absolute.to_str().unwrap(), "build"]).cwd("/".as_ref()).success().digest(),
            expected
        );
    }
    // The second member says nothing of platforms, so it has those of all.
    assert_eq!(done["images"][1]["images"].as_array().unwrap().len(), 2);
    // In a repository it is no other.
    git(&project, &["init", "-q"]);
    assert_eq!(project.run(["-f", "services/api", "build"]).success().digest(), whole);
}

#[test]
fn a_root_that_is_an_image_takes_its_own_defaults() {
    let project = workspace();
    let image = "[[file]]\ndest = \"/s\"\ncontent = \"s\"\n[image]\nstop-signal = \"SIGINT\"\n";
    project.write("image.toml", format!("{ROOT}{image}"));
    project.write("services/small/image.toml", format!("{SMALL}[image]\nstop-signal = \"SIGINT\"\n"));
    let root = project.run(["build"]).success().digest();
    assert_eq!(project.run(["-f", "services/small", "build"]).success().digest(), root);
    assert_eq!(
        project.run(["--format", "json", "build", "--all"]).success().json()["images"].as_array().unwrap().len(),
        3
    );
}

#[test]
fn a_plan_says_where_a_value_comes_from() {
    let project = workspace();
    let at = |part: &str| line_of(ROOT, part);
    let text = project.run(["-f", "services/api", "plan"]).success().stdout;
    let told: Vec<&str> = text.lines().filter(|line| line.starts_with("default ")).collect();
    for expected in [
        format!("default vars.version of image.toml:{}:1", at("version = {")),
        format!("default image.base of image.toml:{}:21", at("base  ")),
        format!("default labels.\"org.example.team\" of image.toml:{}:1", at("org.example.team")),
        format!("default annotations.index.one of image.toml:{}:1", at("one = \"i\"")),
        format!("default check.max-size of image.toml:{}:1", at("max-size")),
    ] {
        assert!(told.contains(&expected.as_str()), "{expected}: {told:#?}");
    }
    for own in
        ["vars.team", "image.platforms", "image.ports", "image.hard-links", "env.LEVEL", "healthcheck", "max-layers"]
    {
        assert!(!told.iter().any(|line| line.contains(own)), "{own}: {told:#?}");
    }
    let json = project.run(["--format", "json", "plan"]).cwd(&project.path("services/api")).success().json();
    let base = json["inherited"].as_array().unwrap().iter().find(|one| one["key"] == "image.base").unwrap();
    assert_eq!((&base["file"], &base["column"]), (&Value::from("../../image.toml"), &Value::from(21)));
    assert_eq!(
        project.run(["-f", "whole", "--format", "json", "plan"]).success().json()["inherited"],
        Value::Array(vec![])
    );
}

#[test]
fn mistakes_of_a_default_stand_at_the_root() {
    let project = workspace();
    let check = |before: &str, after: &str, expected: &[&str]| {
        let root = ROOT.replace(before, after);
        assert_ne!(root, ROOT);
        project.write("image.toml", &root);
        let done = project.run(["check"]).cwd(&project.path("services/small")).fails(2);
        for expected in expected {
            assert!(done.stderr.contains(expected), "{after}: {expected}: {}", done.stderr);
        }
        assert!(!done.stderr.contains("> image.toml:"), "{after}: {}", done.stderr);
    };
    let base = line_of(ROOT, "base  ");
    check("base  ", "bass  ", &[&format!("../../image.toml:{base}:1"), "did you mean `base`?"]);
    check("\"scratch\"", "\"a/b:1\"", &[&format!("../../image.toml:{base}:21"), "digest"]);
    check("linux/arm64", "linux/arm46", &[&format!("../../image.toml:{}:37", base + 1), "linux/arm64"]);
    check(
        "hard-links ",
        "name = \"a/b\"\nhard-links ",
        &["`name` is not known in `workspace.defaults.image`", "it is no default"],
    );
    check("{{ team }}", "{{ taem }}", &["../../image.toml:", "did you mean `team`?"]);
    check(
        "max-size   = \"1MiB\"",
        "max-size   = \"1Mi\"",
        &[&format!("../../image.toml:{}:14", line_of(ROOT, "max-size"))],
    );
    check("compression-level = 7", "compression-level = 70", &["../../image.toml:", "1 to 19"]);
    check(
        "[workspace.defaults.check]",
        "[[workspace.defaults.file]]\ndest = \"/a\"\ncontent = \"a\"\n[workspace.defaults.check]",
        &["`file` is not known in `workspace.defaults`", "it is no default"],
    );
    check("command = [\"/shared\"]\n", "", &["../../image.toml:", "`command`"]);
    // Where nobody names a base it is the member that lacks it.
    project.write("image.toml", ROOT.replace("base              = \"scratch\"\n", ""));
    let done = project.run(["check"]).cwd(&project.path("services/small")).fails(2);
    assert!(
        done.stderr.contains("the table `[image]` is missing") && !done.stderr.contains("../image.toml"),
        "{}",
        done.stderr
    );
    // A root that cannot be read is no workspace without defaults.
    project.write("image.toml", b"[workspace]\nmembers = [\"\xff\"]\n");
    let done = project.run(["check"]).cwd(&project.path("services/small")).fails(2);
    assert!(done.stderr.contains("is not UTF-8"), "{}", done.stderr);
}

#[test]
fn only_members_take_defaults() {
    let lacks = |project: &Project, at: &str| {
        let done = project.run(["-f", at, "check"]).fails(2);
        assert!(done.stderr.contains("`[image]` is missing"), "{at}: {}", done.stderr);
    };
    let project = workspace();
    for at in ["services/alone", "services/deep/er", "services/.hidden", "elsewhere"] {
        project.write(&format!("{at}/image.toml"), SMALL);
        lacks(&project, at);
    }
    // Another manifest beside the one that counts is no member, as `--all` does not build it.
    project.write("services/small/other.toml", SMALL);
    lacks(&project, "services/small/other.toml");
    project.run(["-f", "services/small", "check"]).success();
    // The root of a workspace is in no other one.
    project.write("services/root/image.toml", "schema = 1\n[workspace]\nmembers = [\"in\"]\n");
    project.write("services/root/in/image.toml", SMALL);
    project.run(["-f", "services/root", "check"]).fails(2);
    lacks(&project, "services/root/in");
    // One that does not count it is passed by, and the next one above is asked.
    project.write("services/image.toml", "schema = 1\n[workspace]\nmembers = [\"nobody\"]\n");
    project.run(["-f", "services/small", "check"]).success();
    // What lies outside of the repository is never looked at.
    fs::create_dir_all(project.path("services/small/.git")).unwrap();
    lacks(&project, "services/small");
}

#[test]
fn paths_of_defaults_count_from_the_root() {
    let project = workspace();
    let base = Base::of([file("etc/base", "base")]).write(&project, "bases/one");
    project.write(
        "image.toml",
        format!(
            "schema = 1\n[workspace]\nmembers = [\"services/*\"]\n[workspace.defaults.image]\nbase = \"{base}\"\nuser = \"1\"\n\
             [workspace.defaults.base.verify]\nkey = \"cosign.pub\"\n"
        ),
    );
    // The base is found, and nobody vouches for what is in no registry.
    project.run(["-f", "services/small", "build", "-o", "oci:out"]).success();
    assert_eq!(project.layout("out").image().layers.len(), 2);
    project.run(["build", "-o", "oci:again"]).cwd(&project.path("services/small")).success();
    assert_eq!(project.layout("services/small/again").digest(), project.layout("out").digest());
    // A base of the member's own counts from the member.
    let own = Base::of([file("etc/own", "own")]).write(&project, "services/small/own");
    let own = own.replace("services/small/", "");
    project.write("services/small/image.toml", format!("{SMALL}[image]\nbase = \"{own}\"\n"));
    project.run(["-f", "services/small", "build"]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_base_of_all_are_those_of_the_root() {
    let (project, registry) = (workspace(), Registry::start().await);
    let publish = |content: &str| {
        Base::of([file("etc/base", content)]).write(&project, &format!("bases/{content}"));
        project
            .run(["copy", &format!("oci:bases/{content}"), &format!("{}/base:1", registry.name())])
            .success()
            .digest()
    };
    let one = publish("one");
    project.run(["keygen"]).env("COSIGN_PASSWORD", "").success();
    let root = |digest: &str| {
        format!(
            "schema = 1\n[workspace]\nmembers = [\"services/*\"]\n\n[workspace.defaults.image]\nbase = \"{}/base:1@{digest}\" # of all\n\
             user = \"1\"\n[workspace.defaults.sign]\nmethod = \"key\"\nkey = \"cosign.key\"\n[workspace.defaults.attest]\nprovenance = true\n",
            registry.name()
        )
    };
    project.write("image.toml", root(&one));
    let member = format!("{SMALL}[image]\nname = \"{}/small\"\n", registry.name());
    project.write("services/small/image.toml", &member);
    let done = project.run(["release"]).cwd(&project.path("services/small")).env("COSIGN_PASSWORD", "").success();
    project.run(["verify", done.stdout.trim(), "--key", "cosign.pub"]).success();
    // What decided the image is told.
    let stated = project.run(["-f", "services/small", "provenance"]).success().json();
    let inputs = stated["buildDefinition"]["resolvedDependencies"].as_array().unwrap().clone();
    assert!(inputs.iter().any(|one| one["annotations"]["role"] == "workspace"), "{inputs:#?}");
    // The pin is moved where it stands, through a member and at the root.
    let now = || fs::read_to_string(project.path("image.toml")).unwrap();
    for (at, content) in [("services/small", "two"), (".", "three")] {
        let newest = publish(content);
        let shown = project.run(["-f", at, "outdated"]).success().stdout;
        assert!(shown.contains(&newest), "{shown}");
        project.run(["-f", at, "update"]).success();
        assert_eq!(now(), root(&newest));
        assert_eq!(fs::read_to_string(project.path("services/small/image.toml")).unwrap(), member);
        assert_eq!(project.run(["-f", at, "update"]).success().stdout, "nothing has moved\n");
    }
}

#[test]
fn a_change_of_the_defaults_is_one_of_each_member() {
    let project = workspace();
    git(&project, &["init", "-q"]);
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-q", "-m", "first"]);
    let count = || {
        project.run(["--format", "json", "build", "--changed-since", "HEAD"]).success().json()["images"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(), 0);
    project.write("image.toml", ROOT.replace("UTC", "CET"));
    assert_eq!(count(), 2);
}

#[test]
fn an_exception_for_all_may_be_idle_in_one() {
    let project = workspace();
    let allow = "secrets = { level = \"allow\", reason = \"demo\", paths = [\"/none\"] }\n";
    project.write("image.toml", format!("{ROOT}{allow}"));
    let done = project.run(["-f", "services/small", "check"]).success();
    assert!(!done.stderr.contains("unused-allow"), "{}", done.stderr);
    project.write("services/small/image.toml", format!("{SMALL}[check]\n{allow}"));
    let done = project.run(["-f", "services/small", "check"]).success();
    assert!(done.stderr.contains("unused-allow"), "{}", done.stderr);
}

#[test]
fn outside_of_a_repository_a_root_of_somebody_else_is_refused() {
    let project = workspace();
    // Giving a file away takes root; who cannot do it has no such workspace to fear of their own making.
    if std::os::unix::fs::chown(project.path("image.toml"), Some(12345), None).is_err() {
        return;
    }
    let done = project.run(["check"]).cwd(&project.path("services/small")).fails(2);
    assert!(done.stderr.contains("`../../image.toml` counts `image.toml` among its members"), "{}", done.stderr);
    // Where it does not count the manifest it is nobody's business.
    project.run(["-f", "whole", "check"]).success();
    git(&project, &["init", "-q"]);
    project.run(["-f", "services/small", "check"]).success();
}
