//! `stillframe fmt`: one layout, the same image.

use std::fs;

use crate::support::Project;

const WILD: &str = "schema=1\n\n\n\n# what it is\n[image]\nbase=\"scratch\" # nothing\nuser   = \"7:7\"\n[[file]]\ndest=\"/x\"\ncontent='x'\n";

#[test]
fn a_manifest_is_set_out_and_makes_the_same_image() {
    let project = Project::of(WILD);
    let before = project.digest();
    assert_eq!(project.run(["fmt", "--check"]).fails(4).stdout, "image.toml\n");
    assert_eq!(fs::read_to_string(project.path("image.toml")).unwrap(), WILD);
    assert_eq!(project.run(["fmt"]).success().stdout, "image.toml\n");
    let text = fs::read_to_string(project.path("image.toml")).unwrap();
    assert!(text.contains("# what it is\n[image]\nbase = \"scratch\" # nothing\nuser = \"7:7\"\n"), "{text}");
    assert_eq!(project.run(["fmt", "--check"]).success().stdout, "");
    assert_eq!(project.digest(), before);
}

#[test]
fn what_is_no_toml_stays_as_it_is() {
    let project = Project::of("schema = \n");
    let done = project.run(["fmt"]).fails(2);
    assert!(done.stderr.contains("image.toml:1:"), "{}", done.stderr);
    assert_eq!(fs::read_to_string(project.path("image.toml")).unwrap(), "schema = \n");
}

#[test]
fn the_manifests_of_this_repository_are_set_out() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Project::new();
    let mut manifests: Vec<String> = fs::read_dir(root.join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("image.toml").display().to_string())
        .collect();
    manifests.push(root.join("imagefile.toml").display().to_string());
    manifests.sort();
    let words = [vec!["fmt".to_string(), "--check".into()], manifests].concat();
    let done = project.run(words).ends();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""));
}
