//! Tags that are right: what `plan` says of them and what `push` does, with git and a registry.

use serde_json::Value;

use super::git::git;
use super::registry::{Registry, on};
use super::support::project::Done;
use super::support::{Project, rooted};

/// A repository of git whose image goes to `app` of this registry, with these lines under `[tags]`.
fn project(registry: &Registry, rules: &str) -> Project {
    let rules = if rules.is_empty() { String::new() } else { format!("[tags]\n{rules}\n") };
    let manifest = format!(
        "schema = 1\n[image]\nname = \"{}/app\"\nbase = \"scratch\"\n[[file]]\nsrc = \"x\"\ndest = \"/x\"\n{rules}",
        registry.name()
    );
    let project = Project::of(&rooted(&manifest)).file("x", "x");
    git(&project, &["init", "-q"]);
    commit(&project, "first");
    project
}

const USUAL: &str = "semver = [\"{{ version }}\", \"{{ major }}.{{ minor }}\", \"{{ major }}\"]\nsha = 12";

/// Commits a change of the image.
fn commit(project: &Project, content: &str) {
    project.write("x", content);
    git(project, &["add", "."]);
    git(project, &["commit", "-qm", content]);
}

/// Commits a change, gives it this tag and pushes.
fn release(project: &Project, tag: &str) -> String {
    commit(project, tag);
    git(project, &["tag", tag]);
    project.run(["push"]).success().digest()
}

/// The tags of a plan as `name what`.
fn tags(done: &Done) -> Vec<String> {
    let line = |tag: &Value| {
        let reference = tag["reference"].as_str().unwrap();
        format!("{} {}", reference.rsplit_once("/app:").unwrap().1, tag["what"].as_str().unwrap())
    };
    done.json()["tags"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_move_shared_tags_and_a_backport_does_not() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    let first = release(&project, "v1.2.0");
    let second = release(&project, "v1.3.0");
    git(&project, &["checkout", "-q", "-b", "maintenance", "v1.2.0"]);
    commit(&project, "a fix");
    git(&project, &["tag", "v1.2.1"]);
    let sha = tags(&project.run(["--format", "json", "plan"]).success());
    let (sha, rest): (Vec<String>, Vec<String>) = sha.into_iter().partition(|tag| tag.starts_with("sha-"));
    assert!(sha.len() == 1 && sha[0].ends_with(" created"), "{sha:?}");
    assert_eq!(rest, ["1.2.1 created", "1.2 moved", "1 kept", "latest kept"]);
    let text = project.run(["plan"]).success().stdout;
    assert!(text.contains(&format!("app:1.2 moved from {first}: 1.2.1 is the highest release\n")), "{text}");
    assert!(text.contains("app:latest kept: 1.3.0 is higher than 1.2.1\n"), "{text}");

    let done = project.run(["push", "--receipt", "../receipt.json"]).success();
    let backport = done.digest();
    let shelf = registry.shelf("app");
    let at = |tag: &str| shelf.tags[tag].clone();
    assert_eq!(
        [at("1.2.0"), at("1.3.0"), at("1.3"), at("1"), at("latest")],
        [first.clone(), second.clone(), second.clone(), second.clone(), second]
    );
    assert_eq!([at("1.2.1"), at("1.2")], [backport.clone(), backport]);
    let receipt = std::fs::read_to_string(project.path("../receipt.json")).unwrap();
    assert!(receipt.contains(&format!("\"from\":\"{first}\"")) && receipt.contains("\"how\":\"kept\""), "{receipt}");
    let puts: Vec<String> =
        registry.told().into_iter().filter(|line| line.starts_with("PUT") && line.contains("/manifests/1.2")).collect();
    assert_eq!(puts[puts.len() - 2..], ["PUT /v2/app/manifests/1.2.1", "PUT /v2/app/manifests/1.2"], "in this order");
    assert_eq!(tags(&project.run(["--format", "json", "plan"]).fails(10)).len(), 5, "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_version_is_never_overwritten_unless_it_is_said() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    let old = release(&project, "v1.0.0");
    commit(&project, "other");
    git(&project, &["tag", "-f", "v1.0.0"]);
    registry.forget();
    let done = project.run(["push"]).fails(4);
    assert!(
        done.stderr.contains("no tag `1.0.0` for") && done.stderr.contains(&format!("released as {old}")),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("--overwrite"), "{}", done.stderr);
    assert_eq!(registry.count("PUT", ""), 0, "nothing was sent");
    assert_eq!(registry.shelf("app").tags["1.0.0"], old);
    let plan = project.run(["plan"]).success().stdout;
    assert!(plan.contains("app:1.0.0 refused: it was released as"), "{plan}");
    let new = project.run(["push", "--overwrite"]).success().digest();
    assert_eq!(registry.shelf("app").tags["1.0.0"], new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dirty_tree_gets_no_tag_of_a_commit_unless_it_is_said() {
    let registry = Registry::start().await;
    let project = project(&registry, &format!("{USUAL}\nfixed = [\"edge\"]"));
    git(&project, &["tag", "v1.0.0"]);
    project.write("x", "changed");
    let done = project.run(["push"]).fails(4);
    assert!(done.stderr.contains("`x` is not committed") && done.stderr.contains("--allow-dirty"), "{}", done.stderr);
    assert!(registry.shelf("app").manifests.is_empty());
    project.run(["push", "--allow-dirty"]).success();
    assert!(registry.shelf("app").tags.contains_key("1.0.0"));
    let plain = Project::of(&rooted(&format!(
        "schema = 1\n[image]\nname = \"{}/plain\"\nbase = \"scratch\"\n[[file]]\nsrc = \"x\"\ndest = \"/x\"\n",
        registry.name()
    )))
    .file("x", "x");
    git(&plain, &["init", "-q"]);
    commit(&plain, "one");
    plain.write("x", "changed");
    let done = plain.run(["push"]).success();
    assert!(done.stderr.contains("there is no tag for the commit, because `x` is not committed"), "{}", done.stderr);
    assert!(registry.shelf("plain").tags.is_empty(), "without rules it is pushed by digest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_tags_that_cannot_be_read_moves_nothing() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    let old = release(&project, "v1.0.0");
    commit(&project, "more");
    git(&project, &["tag", "v1.0.1"]);
    registry.fault(on("GET", "/tags/list").status(403));
    let done = project.run(["push"]).fails(3);
    assert!(done.stderr.contains("listing the tags of"), "{}", done.stderr);
    let shelf = registry.shelf("app");
    assert_eq!((&shelf.tags["1"], shelf.tags.contains_key("1.0.1")), (&old, false));
    registry.heal();
    project.run(["push"]).success();
    assert!(registry.shelf("app").tags.contains_key("1.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reg_23_a_tag_that_cannot_be_set_is_told_with_all_that_remain() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    let old = release(&project, "v1.0.0");
    commit(&project, "more");
    git(&project, &["tag", "v1.1.0"]);
    registry.fault(on("PUT", "/manifests/1.1").status(500));
    let done = project.run(["push"]).fails(3);
    assert!(done.stderr.contains("not set yet: ") && done.stderr.contains("app:latest`"), "{}", done.stderr);
    assert_eq!(registry.shelf("app").tags["latest"], old);
    registry.heal();
    let new = project.run(["push"]).success().digest();
    assert_eq!(registry.shelf("app").tags["latest"], new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_is_said_plainly() {
    let registry = Registry::start().await;
    let origin = project(&registry, USUAL);
    release(&origin, "v1.3.0");
    commit(&origin, "older");
    git(&origin, &["tag", "v1.2.9"]);
    let clone = Project::new();
    let from = format!("file://{}", origin.path("").display());
    git(&clone, &["clone", "-q", "--depth=1", "--branch=v1.2.9", &from, "."]);
    let done = clone.run(["push"]).success();
    assert!(done.stderr.contains("this is a shallow clone"), "{}", done.stderr);
    let shelf = registry.shelf("app");
    assert_eq!(shelf.tags["latest"], shelf.tags["1.3.0"], "the registry knows the higher release");
    assert_eq!(shelf.tags["1.2"], shelf.tags["1.2.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn build_metadata_and_a_missing_git_are_refused() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    git(&project, &["tag", "v1.0.0+5"]);
    let done = project.run(["push"]).fails(4);
    assert!(done.stderr.contains("`v1.0.0+5` has build metadata"), "{}", done.stderr);
    assert!(done.stderr.contains("git tag v1.0.0"), "{}", done.stderr);
    project.run(["build"]).success();
    std::fs::remove_dir_all(project.path(".git")).unwrap();
    let done = project.run(["push"]).fails(2);
    assert!(done.stderr.contains("there is no git repository with a commit"), "{}", done.stderr);
    project.run(["check"]).success();
    assert!(registry.shelf("app").tags.is_empty());
}

#[test]
fn mistakes_of_tags_are_told_at_once_with_their_places() {
    let rules = "[tags]\nsemver = [\"{{ majr }}\", \"{{ version }}+x\", \"{{ version }}\"]\nsha = 4\nfixed = [\"a b\", \"latest\", \"x\", \"x\"]\nlatest = \"newest\"\nsevmer = []\n";
    let done = Project::of(&rooted(&format!("schema = 1\n[image]\nbase = \"scratch\"\n{rules}")))
        .run(["--format", "json", "check"])
        .fails(2);
    assert_eq!(
        done.findings(),
        [
            "template 5:15",
            "tag 5:25",
            "value 6:7",
            "tag 7:10",
            "conflict 7:17",
            "conflict 7:32",
            "value 8:10",
            "unknown-key 9:1"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reg_24_only_the_index_has_tags_and_they_come_last() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    let manifest = std::fs::read_to_string(project.path("image.toml")).unwrap();
    let platforms = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n[[file]]";
    project.write("image.toml", manifest.replacen("[[file]]", platforms, 1));
    registry.forget();
    let index = release(&project, "v1.2.3");
    let puts = registry.log().into_iter().filter(|request| request.method == "PUT");
    let puts: Vec<String> = puts.map(|request| request.path.replace("/v2/app/", "")).collect();
    let place = |path: &str| puts.iter().position(|put| put == path).unwrap_or_else(|| panic!("{path}: {puts:?}"));
    let root = place(&format!("manifests/{index}"));
    let (before, after) = puts.split_at(root);
    let blobs = before.iter().take_while(|put| put.starts_with("blobs/")).count();
    assert!(before[blobs..].iter().all(|put| put.starts_with("manifests/sha256:")), "{puts:?}");
    assert_eq!(before.len() - blobs, 2, "{puts:?}");
    let tags: Vec<&str> = after[1..].iter().map(|put| put.trim_start_matches("manifests/")).collect();
    assert!(tags[1].starts_with("sha-"), "{tags:?}");
    assert_eq!([&tags[..1], &tags[2..]].concat(), ["1.2.3", "1.2", "1", "latest"]);
    assert!(registry.shelf("app").tags.values().all(|says| *says == index));
}

#[tokio::test(flavor = "multi_thread")]
async fn reg_25_tags_that_cannot_be_changed_are_said_with_both_digests() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    let old = release(&project, "v1.0.0");
    registry.set(|model| model.immutable = true);
    registry.forget();
    assert_eq!(project.run(["push"]).success().digest(), old, "what they say already is fine");
    assert_eq!(registry.count("PUT", "/manifests/"), 0);
    commit(&project, "more");
    git(&project, &["tag", "v1.1.0"]);
    let done = project.run(["push"]).fails(3);
    let new = registry.shelf("app").tags["1.1.0"].clone();
    assert!(done.stderr.contains("immutable"), "{}", done.stderr);
    assert!(done.stderr.contains(&old) && done.stderr.contains(&new), "{}", done.stderr);
    assert!(done.stderr.contains("app:1`, ") && done.stderr.contains("app:latest`"), "{}", done.stderr);
    assert_eq!(registry.shelf("app").tags["latest"], old);
}

#[tokio::test(flavor = "multi_thread")]
async fn reg_28_and_29_a_higher_release_is_found_on_the_last_page_of_an_odd_list() {
    let registry = Registry::start().await;
    let project = project(&registry, USUAL);
    let old = release(&project, "v1.0.0");
    for tag in ["1.0.1", "0.9.9", "x", "sha256-00.sig", "1.9.0"] {
        registry.image("app", tag);
    }
    git(&project, &["checkout", "-q", "-b", "maintenance"]);
    commit(&project, "a fix");
    git(&project, &["tag", "v1.0.2"]);
    registry.set(|model| model.page = 1);
    let done = project.run(["push"]).success();
    assert!(done.stderr.contains("1.9.0 is higher than 1.0.2"), "{}", done.stderr);
    let shelf = registry.shelf("app");
    assert_eq!([&shelf.tags["1"], &shelf.tags["latest"]], [&old; 2]);
    assert_eq!(shelf.tags["1.0"], done.digest());
    // A list that goes in circles tells nothing, and moves nothing.
    git(&project, &["tag", "-d", "v1.0.2"]);
    commit(&project, "another fix");
    git(&project, &["tag", "v1.0.3"]);
    let link = "</v2/app/tags/list>; rel=\"next\"";
    registry.fault(on("GET", "/tags/list").edit(move |_, response| response.header("Link", link)));
    let before = registry.shelf("app").tags;
    project.run(["push"]).fails(3);
    assert_eq!(registry.shelf("app").tags, before);
}
