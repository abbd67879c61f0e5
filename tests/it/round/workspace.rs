//! Several images of one workspace.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::git::git;
use crate::registry::Registry;
use crate::support::project::names;
use crate::support::{Base, Project, file, rooted};

const ROOT: &str = "schema = 1\n[workspace]\nmembers = [\"services/*\"]\n";

/// A workspace of so many images on two bases of a registry; each has a file of its own, and all share one that lies beside them.
fn workspace(project: &Project, registry: &Registry, count: usize) {
    project.write("image.toml", ROOT);
    project.write("shared/motd", "shared by all\n");
    let bases = ["one", "two"].map(|name| {
        let written = Base::of([file(&format!("etc/{name}"), name)]).write(project, &format!("bases/{name}"));
        let at = format!("{}/base/{name}:1", registry.name());
        let digest = written.rsplit('@').next().unwrap().to_string();
        project.run(["copy", &written, &at]).success();
        format!("{at}@{digest}")
    });
    for at in 0..count {
        let manifest = format!(
            "schema = 1\n[image]\nname = \"{}/acme/service-{at:02}\"\nbase = \"{}\"\ncreated = \"fixed\"\n\
             [[file]]\nsrc = \"own\"\ndest = \"/own\"\nlayer = \"own\"\n\
             [[file]]\nsrc = \"../../shared/motd\"\ndest = \"/etc/motd\"\nlayer = \"shared\"\n[tags]\nfixed = [\"1\"]\n",
            registry.name(),
            bases[at % 2]
        );
        project.write(&format!("services/{at:02}/image.toml"), rooted(&manifest));
        project.write(&format!("services/{at:02}/own"), format!("service {at}\n"));
    }
    std::fs::create_dir_all(project.path(".git")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_images_that_share_two_bases_are_built_at_once() {
    let (project, registry) = (Project::new(), Registry::start().await);
    workspace(&project, &registry, 50);
    project.run(["prune", "--all"]).success();
    registry.forget();
    let said = project.run(["-v", "--format", "json", "build", "--all", "--receipt", "receipt.json"]).success();
    let done = said.json();
    // Each distinct layer was packed once: that of all by the first image.
    let told = |layer: &str, how: &str| {
        said.stderr.lines().filter(|line| line.trim_start().starts_with(&format!("layer {layer}: {how}"))).count()
    };
    let (own, shared) = (told("own", "packed, "), told("shared", "packed, "));
    assert_eq!((own, shared, told("own", "known")), (50, 1, 0), "{}", said.stderr);
    let images = done["images"].as_array().unwrap();
    assert_eq!(images.len(), 50);
    // Each base was fetched once, whoever needed it first.
    for name in ["one", "two"] {
        assert_eq!(
            registry.count("GET", &format!("/v2/base/{name}/manifests/sha256:")),
            1,
            "{name}: {:?}",
            registry.told()
        );
    }
    // 50 layers of their own and one that all share.
    let layers: BTreeSet<&str> = images
        .iter()
        .flat_map(|image| image["images"][0]["layers"].as_array().unwrap())
        .filter(|layer| !layer["name"].is_null())
        .map(|layer| layer["digest"].as_str().unwrap())
        .collect();
    assert_eq!(layers.len(), 51);
    let receipt: Value = serde_json::from_slice(&std::fs::read(project.path("receipt.json")).unwrap()).unwrap();
    assert_eq!(receipt["images"].as_array().unwrap().len(), 50);
    assert_eq!(receipt["references"].as_array().unwrap().len(), 50);
    // One alone is the same image.
    let alone = project.run(["-f", "services/07", "build"]).success().digest();
    assert_eq!(images[7]["digest"], alone);
    // The parts of a matrix are the whole.
    let mut parts = Vec::new();
    for part in 1..=3 {
        let lines = project.run(["build", "--all", "--shard", &format!("{part}/3")]).success().stdout;
        parts.extend(lines.lines().map(str::to_string).collect::<Vec<_>>());
    }
    parts.sort();
    let mut whole: Vec<String> =
        receipt["references"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_string()).collect();
    whole.sort();
    assert_eq!(parts, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_all_sends_nothing_where_one_of_them_is_wrong() {
    let (project, registry) = (Project::new(), Registry::start().await);
    workspace(&project, &registry, 3);
    let wrong = std::fs::read_to_string(project.path("services/02/image.toml")).unwrap();
    project.write("services/02/image.toml", wrong.replace("src = \"own\"", "src = \"owm\""));
    registry.forget();
    let done = project.run(["push", "--all"]).fails(2);
    assert!(done.stderr.contains("services/02/image.toml:7"), "{}", done.stderr);
    assert_eq!(registry.count("PUT", ""), 0);
    // A check looks at all of them, whatever is wrong with one.
    project.write("services/00/image.toml", "schema = 2\n");
    let done = project.run(["check", "--all"]).fails(2);
    assert!(
        done.stderr.contains("services/00/image.toml") && done.stderr.contains("services/02/image.toml"),
        "{}",
        done.stderr
    );
    for at in ["00", "02"] {
        std::fs::remove_file(project.path(&format!("services/{at}/image.toml"))).unwrap();
    }
    assert_eq!(project.run(["push", "--all"]).success().stdout.lines().count(), 1);
    assert_eq!(registry.shelf("acme/service-01").tags.len(), 1);
    let plan = project.run(["--format", "json", "plan", "--all"]).fails(10).json();
    assert_eq!(plan["images"][0]["manifest"], "./services/01/image.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_changed_since_a_commit_is_built() {
    let (project, registry) = (Project::new(), Registry::start().await);
    std::fs::remove_dir_all(project.path(".git")).ok();
    workspace(&project, &registry, 4);
    std::fs::remove_dir_all(project.path(".git")).unwrap();
    project.write(".gitignore", "out\n");
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-q", "-m", "first"]);
    let built = |since: &str| {
        let done = project.run(["--format", "json", "build", "--changed-since", since]).success().json();
        let name = |image: &Value| {
            image["manifest"].as_str().unwrap()["./services/".len()..].split('/').next().unwrap().to_string()
        };
        done["images"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(built("HEAD"), Vec::<String>::new());
    // Not committed, not even added; and ignored files do not count.
    project.write("services/01/new", "x");
    project.write("services/02/out", "x");
    assert_eq!(built("HEAD"), ["01"]);
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-q", "-m", "second"]);
    assert_eq!(built("HEAD"), Vec::<String>::new());
    assert_eq!(built("HEAD~1"), ["01"]);
    // What lies outside of all members belongs to those that name it.
    project.write("shared/motd", "another");
    assert_eq!(built("HEAD"), ["00", "01", "02", "03"]);
    project.write("shared/nobody", "x");
    git(&project, &["checkout", "-q", "shared/motd"]);
    assert_eq!(built("HEAD"), Vec::<String>::new());
    let done = project.run(["build", "--changed-since", "no-such-commit"]).fails(2);
    assert!(done.stderr.contains("`no-such-commit` is not in this clone"), "{}", done.stderr);
}

#[test]
fn mistakes_of_a_workspace_have_their_places() {
    let project = Project::new().file("api/image.toml", rooted("schema = 1\n[image]\nbase = \"scratch\"\n"));
    let check = |members: &str, expected: &str| {
        project.write("image.toml", format!("schema = 1\n[workspace]\nmembers = {members}\n"));
        let done = project.run(["check", "--all"]).fails(2);
        assert!(done.stderr.contains(expected), "{members}: {}", done.stderr);
    };
    check("[\"apo\"]", "no manifest is in `apo`");
    check("[\"apo\"]", "image.toml:3:12");
    check("[\"../api\"]", "a member is a directory below the workspace");
    check("[\"**\"]", "every directory below");
    check("[]", "members");
    check("[\"api\"]\nexclued = [\"x\"]", "did you mean `exclude`?");
    project.write("image.toml", ROOT.replace("services/*", "api"));
    let done = project.run(["build"]).fails(2);
    assert!(done.stderr.contains("root of a workspace") && done.stderr.contains("--all"), "{}", done.stderr);
    let done = project.run(["-f", "api", "build", "--all"]).fails(2);
    assert!(done.stderr.contains("is no root of a workspace"), "{}", done.stderr);
    let done = project.run(["build", "--all", "-o", "oci:out"]).fails(2);
    assert!(done.stderr.contains("takes one image"), "{}", done.stderr);
    project.run(["build", "--all"]).success();
    project.write("image.toml", format!("{}exclude = [\"api\"]\n", ROOT.replace("services/*", "*")));
    assert_eq!(project.run(["--format", "json", "build", "--all"]).success().json()["images"], json!([]));
    assert_eq!(names(&project.path("api")), ["image.toml"]);
}
