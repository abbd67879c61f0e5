//! `tags ls`, `tags rm` and `prune --remote`, on a registry in this process.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use stillframe::oci::{Digest, media};

use crate::registry::{Registry, on};
use crate::support::Project;

const APP: &str = "acme/app";

/// An image that was made on this day after 2026-01-01, with a layer of its own and one that all share.
fn image(registry: &Registry, tag: &str, day: usize, salt: &str) -> (Digest, usize) {
    let created = format!("2026-{:02}-{:02}T00:00:00Z", 1 + day / 28, 1 + day % 28);
    let config = json!({"os": "linux", "architecture": "amd64", "created": created, "salt": salt});
    let config = registry.blob(APP, config.to_string().as_bytes());
    let (own, shared) = (registry.blob(APP, salt.as_bytes()), registry.blob(APP, b"shared"));
    let layer = |digest: &Digest, size: u64| json!({"mediaType": media::LAYER, "digest": digest, "size": size});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": {"mediaType": media::CONFIG, "digest": config.digest, "size": config.size},
        "layers": [layer(&shared.digest, shared.size), layer(&own.digest, own.size)],
    });
    let bytes = manifest.to_string();
    (put(registry, tag, media::MANIFEST, &bytes), bytes.len())
}

/// Puts a document there; without a tag by its digest only.
fn put(registry: &Registry, tag: &str, kind: &str, text: &str) -> Digest {
    if !tag.is_empty() {
        return registry.manifest(APP, tag, kind, text.as_bytes());
    }
    let digest = Digest::of(text.as_bytes());
    registry.set(|model| {
        let shelf = model.shelf(APP);
        shelf.manifests.insert(digest.to_string(), (kind.to_string(), text.as_bytes().to_vec()));
    });
    digest
}

fn index(registry: &Registry, tag: &str, children: &[(Digest, usize)]) -> Digest {
    let child =
        |(digest, size): &(Digest, usize)| json!({"mediaType": media::MANIFEST, "digest": digest, "size": size});
    let children: Vec<Value> = children.iter().map(child).collect();
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": children});
    put(registry, tag, media::INDEX, &index.to_string())
}

/// Something that refers to a digest, or only lies under a tag that says so.
fn belonging(registry: &Registry, tag: &str, subject: Option<&Digest>, salt: &str) -> Digest {
    let (config, layer) = (registry.blob(APP, b"{}"), registry.blob(APP, salt.as_bytes()));
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": "application/test",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config.digest, "size": 2},
        "layers": [{"mediaType": "application/test", "digest": layer.digest, "size": layer.size}],
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({"mediaType": media::MANIFEST, "digest": subject, "size": 1});
    }
    put(registry, tag, media::MANIFEST, &manifest.to_string())
}

/// What is left, by tag and by digest.
fn left(registry: &Registry) -> (BTreeSet<String>, BTreeSet<String>) {
    let shelf = registry.shelf(APP);
    (shelf.tags.into_keys().collect(), shelf.manifests.into_keys().collect())
}

/// A repository of 500 tags and more: per round a version, an index of two platforms and a build of a branch, each signed in one way
/// or another, and all of them sharing a layer. Gives what has to stay: tags and digests.
fn large(registry: &Registry, api: bool) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut tags, mut digests) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..100 {
        // Versions stay by a rule, indexes of the last ten rounds by their time, builds of a branch go but for the last ten.
        let release = round % 10 == 0;
        let young = round >= 90;
        let mut note = |stays: bool, tag: &str, digest: &Digest| {
            if stays {
                tags.extend((!tag.is_empty()).then(|| tag.to_string()));
                digests.insert(digest.to_string());
            }
        };
        let children = ["amd64", "arm64"].map(|arch| image(registry, "", round, &format!("{round} {arch}")));
        let whole = if release { format!("1.{round}.0") } else { format!("build-{round}") };
        let list = index(registry, &whole, &children);
        let stays = release || young;
        note(stays, &whole, &list);
        children.iter().for_each(|(digest, _)| note(stays, "", digest));
        // The way of cosign: a tag made of the digest, for the index and for one image of it.
        let signature = format!("sha256-{}.sig", list.hex());
        note(stays, &signature, &belonging(registry, &signature, None, &format!("sig {round}")));
        // Something that refers, by the API or by its tag.
        let referrer = belonging(registry, "", Some(&children[0].0), &format!("sbom {round}"));
        note(stays, "", &referrer);
        if !api {
            let fallback = format!("sha256-{}", children[0].0.hex());
            let size = registry.shelf(APP).manifests[&referrer.to_string()].1.len();
            note(stays, &fallback, &index(registry, &fallback, &[(referrer, size)]));
        }
        // A tag of one platform's image: what it says may be needed by an index that stays.
        let single = format!("amd64-{round}");
        registry.set(|model| drop(model.shelf(APP).tags.insert(single.clone(), children[0].0.to_string())));
        note(stays, &single, &children[0].0);
        let (branch, _) = image(registry, &format!("pr-{round}"), round, &format!("pr {round}"));
        note(young, &format!("pr-{round}"), &branch);
    }
    (tags, digests)
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_removes_from_a_large_repository_exactly_what_the_rules_say() {
    for api in [true, false] {
        let (project, registry) = (Project::new(), Registry::start().await);
        registry.set(|model| (model.referrers, model.page) = (api, 150));
        let stays = large(&registry, api);
        let all = left(&registry);
        assert!(all.0.len() >= if api { 400 } else { 500 }, "{}", all.0.len());
        let name = format!("{}/{APP}", registry.name());
        // The last ten rounds: for each one, its index, its first image and the build of a branch are of one day.
        let words = ["prune", "--remote", &name, "--keep-last", "30", "--keep-semver"];
        let dry = project.run(words).success();
        assert!(dry.stderr.contains("run it again with `--yes`"), "{}", dry.stderr);
        assert_eq!((left(&registry), registry.count("DELETE", "")), (all, 0), "dry by default");
        let done = project.run(words.iter().chain(&["--yes"])).success();
        let now = left(&registry);
        assert_eq!(now.0, stays.0, "tags, referrers API: {api}");
        assert_eq!(now.1, stays.1, "digests, referrers API: {api}");
        assert_eq!(dry.stdout.replace("would remove", "removed"), done.stdout);
        // What stays is whole.
        for tag in ["1.0.0", "1.90.0", "build-99", "pr-95"] {
            project.run(["copy", &format!("{name}:{tag}"), &format!("oci:{tag}")]).success();
        }
        // Once more there is nothing left to do.
        registry.forget();
        project.run(words.iter().chain(&["--yes"])).success();
        assert_eq!(registry.count("DELETE", ""), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_wants_a_rule_and_takes_no_failed_answer_for_none() {
    let (project, registry) = (Project::new(), Registry::start().await);
    let name = format!("{}/{APP}", registry.name());
    image(&registry, "old", 1, "old");
    let done = project.run(["prune", "--remote", &name, "--yes"]).fails(2);
    assert!(done.stderr.contains("without a rule"), "{}", done.stderr);
    let words = ["prune", "--remote", &name, "--keep", "new", "--yes"];
    for path in ["/tags/list", "/referrers/", "/manifests/old"] {
        registry.fault(on("GET", path).status(403));
        project.run(words).fails(3);
        registry.heal();
        assert_eq!(registry.count("DELETE", ""), 0, "{path}");
    }
    // A registry that deletes nothing: said, with the exit code of a registry.
    registry.fault(on("DELETE", "/manifests/").status(405));
    let done = project.run(words).fails(3);
    assert!(done.stderr.contains("allow no deletion"), "{}", done.stderr);
    registry.heal();
    project.run(words).success();
    assert_eq!(left(&registry).0, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_where_a_tag_moves_meanwhile() {
    let (project, registry) = (Project::new(), Registry::start().await);
    let name = format!("{}/{APP}", registry.name());
    let (old, _) = image(&registry, "old", 1, "old");
    image(&registry, "keep", 2, "keep");
    // Between the survey and the deletion somebody gives an image a new name: the list of tags is read a second time then.
    let reads = AtomicUsize::new(0);
    registry.fault(on("GET", "/tags/list").edit(move |_, mut response| {
        if reads.fetch_add(1, Ordering::SeqCst) > 0 {
            let mut list: Value = serde_json::from_slice(&response.body).unwrap();
            list["tags"].as_array_mut().unwrap().push(json!("keep-too"));
            response.body = list.to_string().into_bytes();
        }
        response
    }));
    let done = project.run(["prune", "--remote", &name, "--keep", "keep.*", "--yes"]).fails(3);
    assert!(done.stderr.contains("`keep-too`") && done.stderr.contains("nothing was deleted"), "{}", done.stderr);
    assert!(left(&registry).1.contains(&old.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_listed_and_removed_by_name() {
    let (project, registry) = (Project::new(), Registry::start().await);
    let name = format!("{}/{APP}", registry.name());
    let (one, _) = image(&registry, "1.0.0", 1, "one");
    let (two, _) = image(&registry, "2.0.0", 2, "two");
    registry.set(|model| drop(model.shelf(APP).tags.insert("stable".into(), two.to_string())));
    assert_eq!(project.run(["tags", "ls", &name]).success().stdout, "1.0.0\n2.0.0\nstable\n");
    let listed = project.run(["--format", "json", "tags", "ls", "--digests", &name]).success().json();
    assert_eq!(listed["tags"][2], json!({"tag": "stable", "digest": two}));
    let at = |tag: &str| format!("{name}:{tag}");
    let done = project.run(["tags", "rm", &at("1.0.1")]).fails(2);
    assert!(done.stderr.contains("did you mean `1.0.0`?"), "{}", done.stderr);
    project.run(["tags", "rm", &format!("{name}@{one}")]).fails(2);
    assert_eq!(project.run(["tags", "rm", &at("2.0.0")]).success().stdout, format!("would remove {}\n", at("2.0.0")));
    assert_eq!(registry.count("DELETE", ""), 0);
    project.run(["tags", "rm", "--yes", &at("2.0.0")]).success();
    assert_eq!(left(&registry).0, BTreeSet::from(["1.0.0".into(), "stable".into()]));
    // With the image: only what nothing else needs.
    project.run(["tags", "rm", "--with-image", "--yes", &at("1.0.0")]).success();
    assert_eq!(left(&registry), (BTreeSet::from(["stable".into()]), BTreeSet::from([two.to_string()])));
}
