//! Several repositories and several platforms: no tag of any says what is not signed there, with all its images, whatever fails.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use super::{OLD, World};
use crate::git::git;
use crate::http::How;
use crate::registry::on;

const NAMES: [&str; 2] = ["app", "other"];

/// A world whose release is an index of two images, in two repositories.
async fn world() -> World {
    let world = World::new("bundle", "").await;
    let manifest = std::fs::read_to_string(world.project.path("image.toml")).unwrap();
    let name = world.registry.name();
    let names = format!("name = [\"{name}/app\", \"{name}/other\"]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]");
    world.project.write("image.toml", manifest.replace(&format!("name = \"{name}/app\""), &names));
    git(&world.project, &["commit", "-qam", "two"]);
    git(&world.project, &["tag", "-f", "v1.1.0"]);
    reset(&world);
    world
}

fn reset(world: &World) {
    world.reset();
    let old = world.registry.image("other", OLD).to_string();
    world.registry.set(|model| {
        for tag in ["1", "latest"] {
            model.shelf("other").tags.insert(tag.into(), old.clone());
        }
    });
    world.registry.forget();
}

fn tags(world: &World, name: &str) -> BTreeMap<String, String> {
    let tags = world.registry.shelf(name).tags;
    tags.into_iter().filter(|(tag, _)| ["1.1.0", "1", "latest"].contains(&tag.as_str())).collect()
}

/// Every tag that moved says what is signed in its own repository with all its images, and then so is it in the other one.
#[track_caller]
fn holds(world: &World, at: &str) {
    for name in NAMES {
        let old = world.registry.shelf(name).tags[OLD].clone();
        let moved: Vec<String> = tags(world, name).into_values().filter(|digest| *digest != old).collect();
        if let Some(digest) = moved.first() {
            assert!(moved.iter().all(|other| other == digest), "{at}: {moved:?}");
            for name in NAMES {
                let reference = format!("{}/{name}@{digest}", world.registry.name());
                let done = world.run(&["verify", &reference, "--key", "cosign.pub", "--recursive"]).ends();
                assert_eq!(
                    done.code,
                    Some(0),
                    "{at}: a tag says {digest}, which is not signed in `{name}`: {}",
                    done.stderr
                );
            }
        }
    }
}

#[track_caller]
fn whole(world: &World, digest: &str, at: &str) {
    for name in NAMES {
        let all: Vec<String> = tags(world, name).into_values().collect();
        assert_eq!(all, [digest; 3].map(String::from), "{at} `{name}`");
    }
}

fn release(world: &World) -> String {
    let done = world.run(&["release"]).success();
    done.stdout.lines().next().unwrap().rsplit('@').next().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_at_any_write_of_two_repositories_no_tag_says_what_is_not_signed() {
    let world = world().await;
    let new = release(&world);
    whole(&world, &new, "at first");
    let count = world.registry.count("PUT", "");
    // Blobs, manifests and signatures of three documents, and three tags; all of it twice.
    assert!(count >= 2 * (3 + 3 * 2 + 3), "{:?}", world.registry.told());
    for at in 0..count {
        reset(&world);
        world.registry.fault(on("PUT", "").skip(at).times(1).status(403));
        let done = world.run(&["release"]).fails(3);
        holds(&world, &format!("request {at}"));
        let before = done.stderr.contains("no tag was moved");
        let old = world.registry.shelf("app").tags[OLD].clone();
        let still = NAMES.iter().all(|name| tags(&world, name).values().all(|now| *now == old));
        assert!(!before || still, "{at}: {}", done.stderr);
        assert!(before || done.stderr.contains("not set yet: "), "{at}: {}", done.stderr);
        world.registry.heal();
        assert_eq!(release(&world), new);
        whole(&world, &new, &format!("after request {at}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_of_two_repositories_no_tag_says_what_is_not_signed() {
    let world = world().await;
    let new = release(&world);
    let count = world.registry.count("PUT", "");
    for at in 0..count {
        reset(&world);
        world.registry.fault(on("PUT", "").skip(at).times(1).how(How::Silence));
        let running = world.run(&["release"]).start();
        while world.registry.count("PUT", "") <= at {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(Command::new("kill").args(["-9", &running.id().to_string()]).status().unwrap().success());
        assert_eq!(running.ends().code, None, "{at}");
        world.registry.heal();
        holds(&world, &format!("killed at request {at}"));
        assert_eq!(release(&world), new, "{at}");
        whole(&world, &new, &format!("after a kill at request {at}"));
    }
    holds(&world, "at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_another_one_took_while_the_first_repository_was_tagged_is_seen() {
    let world = world().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    world.registry.fault(on("PUT", "/v2/app/manifests/latest").times(1).until(&gate));
    let running = world.run(&["release"]).start();
    world.registry.saw(1, "PUT", "/v2/app/manifests/latest").await;
    let theirs = world.registry.image("other", "1.1.0").to_string();
    gate.notify_one();
    let done = tokio::task::spawn_blocking(move || running.ends()).await.unwrap().expect(4);
    assert!(done.stderr.contains(&format!("it was released as {theirs}")), "{}", done.stderr);
    assert!(done.stderr.contains("not set yet: "), "{}", done.stderr);
    assert_eq!(world.registry.shelf("other").tags["1.1.0"], theirs);
    assert_eq!(tags(&world, "other")["latest"], world.registry.shelf("other").tags[OLD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_the_index_that_was_deleted_is_pushed_again_before_anything_is_signed() {
    let world = world().await;
    let new = release(&world);
    let index: serde_json::Value = serde_json::from_slice(&world.registry.shelf("app").manifests[&new].1).unwrap();
    let child = index["manifests"][1]["digest"].as_str().unwrap().to_string();
    world.registry.set(|model| drop(model.shelf("app").manifests.remove(&child)));
    assert_eq!(release(&world), new);
    assert!(world.registry.shelf("app").manifests.contains_key(&child));
    holds(&world, "after an image was deleted");
}
