//! `release --all`: the images of a workspace are released together. Nothing is sent before all are made; no tag of any moves before all are
//! signed in every repository, and were seen to be.

use std::fs;

use serde_json::Value;

use super::{OLD, World};
use crate::git::git;
use crate::registry::on;

/// The repositories of the images.
const NAMES: [&str; 3] = ["app", "api", "web"];

/// The repository of [`World`], with a second and a third image in it.
async fn workspace() -> World {
    let world = World::new("bundle", "").await;
    let root = fs::read_to_string(world.project.path("image.toml")).unwrap();
    for name in &NAMES[1..] {
        let member = root
            .replace("/app\"", &format!("/{name}\""))
            .replace("\"x\"\n", "\"y\"\n")
            .replace("cosign.key", "../cosign.key");
        world.project.write(&format!("{name}/image.toml"), member);
        world.project.write(&format!("{name}/y"), name);
    }
    world.project.write("image.toml", format!("{root}[workspace]\nmembers = [\"api\", \"web\"]\n"));
    git(&world.project, &["add", "."]);
    git(&world.project, &["commit", "-qm", "more"]);
    git(&world.project, &["tag", "-f", "v1.1.0"]);
    reset(&world);
    world
}

/// Each registry as it was before: one older release of each image.
fn reset(world: &World) {
    world.reset();
    for name in &NAMES[1..] {
        let old = world.registry.image(name, OLD).to_string();
        world.registry.set(|model| {
            for tag in ["1", "latest"] {
                model.shelf(name).tags.insert(tag.into(), old.clone());
            }
        });
    }
    world.registry.forget();
}

fn tag(world: &World, name: &str, tag: &str) -> Option<String> {
    world.registry.shelf(name).tags.get(tag).cloned()
}

/// Whether the tags of any image moved.
fn moved(world: &World) -> bool {
    NAMES.iter().any(|name| {
        let old = tag(world, name, OLD);
        tag(world, name, "1.1.0").is_some() || ["1", "latest"].iter().any(|one| tag(world, name, one) != old)
    })
}

#[track_caller]
fn released(world: &World) {
    for name in NAMES {
        let digest = tag(world, name, "1.1.0").unwrap();
        assert_eq!(
            [tag(world, name, "1").unwrap(), tag(world, name, "latest").unwrap()],
            [digest.clone(), digest.clone()]
        );
        let reference = format!("{}/{name}@{digest}", world.registry.name());
        world.run(&["verify", &reference, "--key", "cosign.pub"]).success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_images_of_a_workspace_are_released_together() {
    let world = workspace().await;
    let done = world.run(&["release", "--all", "--receipt", "receipt.json"]).success();
    assert_eq!(done.stdout.lines().count(), 3, "{}", done.stdout);
    released(&world);
    let puts: Vec<String> = world.registry.told().into_iter().filter(|line| line.starts_with("PUT")).collect();
    let is_tag =
        |line: &String| ["1.1.0", "1", "latest"].iter().any(|tag| line.ends_with(&format!("/manifests/{tag}")));
    let first = puts.iter().position(is_tag).unwrap();
    assert!(puts[first..].iter().all(is_tag) && puts.len() - first == 9, "tags are the last thing written: {puts:#?}");
    let receipt: Value = serde_json::from_slice(&fs::read(world.project.path("receipt.json")).unwrap()).unwrap();
    let manifests: Vec<&str> =
        receipt["images"].as_array().unwrap().iter().map(|image| image["manifest"].as_str().unwrap()).collect();
    assert_eq!(manifests, ["./api/image.toml", "./image.toml", "./web/image.toml"]);
    assert!(receipt["images"].as_array().unwrap().iter().all(|image| image["signed"].as_array().unwrap().len() == 1));
    world.registry.forget();
    world.run(&["release", "--all"]).success();
    assert_eq!(world.registry.count("PUT", ""), 0, "a second run changes nothing: {:?}", world.registry.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_one_image_sends_nothing_of_any() {
    let world = workspace().await;
    world
        .project
        .write("web/image.toml", fs::read_to_string(world.project.path("web/image.toml")).unwrap() + "[env]\nA = 1\n");
    let said = world.run(&["release", "--all", "--allow-dirty"]).fails(2).stderr;
    assert!(said.contains("--> web/image.toml:18:5"), "{said}");
    assert_eq!(world.registry.count("P", ""), 0, "{:?}", world.registry.told());
    let said = world.run(&["release", "--all"]).fails(4).stderr;
    assert!(said.contains("the work tree is no commit"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_several_that_is_refused_at_any_write_moves_no_tag_before_all_are_signed() {
    let world = workspace().await;
    world.run(&["release", "--all"]).success();
    let writes = world.registry.count("PUT", "");
    assert!(writes > 20, "{writes}");
    let new = NAMES.map(|name| tag(&world, name, "1.1.0").unwrap());
    for at in 0..writes {
        reset(&world);
        world.registry.fault(on("PUT", "").skip(at).times(1).status(403));
        let done = world.run(&["release", "--all"]).ends();
        world.registry.heal();
        if moved(&world) {
            for (name, digest) in NAMES.iter().zip(&new) {
                let reference = format!("{}/{name}@{digest}", world.registry.name());
                world.run(&["verify", &reference, "--key", "cosign.pub"]).success();
            }
        }
        if done.code != Some(0) {
            assert_eq!(done.code, Some(3), "{at}: {}", done.stderr);
            assert!(done.stderr.contains("hint: "), "{at}: {}", done.stderr);
            world.run(&["release", "--all"]).success();
        }
        assert_eq!(NAMES.map(|name| tag(&world, name, "latest").unwrap()), new, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_job_prepares_of_several_another_signs_and_tags() {
    let world = workspace().await;
    world.run(&["release", "--all", "--prepare", "--receipt", "receipt.json"]).success();
    assert!(!moved(&world));
    let sign = ["sign", "--from", "receipt.json", "--key", "cosign.key"];
    assert_eq!(world.run(&sign).success().stdout.lines().count(), 3);
    released(&world);
    world.registry.forget();
    world.run(&["release", "--all"]).success();
    assert_eq!(world.registry.count("PUT", ""), 0, "it is the release that one job would have made");
}
