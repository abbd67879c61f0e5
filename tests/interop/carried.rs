//! What belongs to an image goes with it: `oras attach` hangs files on images, `stillframe copy` carries them from and to registries that
//! have the referrers API and registries that have not, and oras finds them there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::peers::{done, output};
use crate::project::{Project, digest};
use crate::servers::{Make, Place};

const TYPES: [&str; 2] = ["application/vnd.test.sbom", "application/vnd.test.note"];

/// An image for two platforms in a registry: its name, its digest and that of one platform.
fn image(place: &Place) -> (Project, String, String, String) {
    let name = place.name("team/app");
    let project = Project::new(&format!(
        "[image]\nname = \"{name}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[[file]]\ndest = \"/motd\"\ncontent = \"hello\"\n"
    ))
    .file("sbom.json", "{\"sbom\":true}\n")
    .file("note.txt", "a note\n");
    let whole = digest(&output(&mut place.ours(&project, &["push"])));
    let one = done(&mut place.crane(&["digest", "--platform", "linux/arm64", &format!("{name}@{whole}")]));
    (project, name, whole, one.trim().to_string())
}

/// Hangs a file on something, as oras does it.
fn attach(place: &Place, project: &Project, reference: &str, kind: &str, file: &str) {
    let mut command = place.oras(&["attach", "--no-tty", "--artifact-type", kind, reference, file]);
    done(command.current_dir(project.app()));
}

/// What oras finds: the digests and types of all that refers to something.
fn found(place: &Place, reference: &str) -> BTreeSet<(String, String)> {
    let told = done(&mut place.oras(&["discover", "--format", "json", reference]));
    let told: Value = serde_json::from_str(&told).unwrap();
    let all = told["referrers"].as_array().or(told["manifests"].as_array());
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let one = |one: &Value| (text(&one["digest"]), text(&one["artifactType"]));
    all.unwrap_or_else(|| panic!("{told}")).iter().map(one).collect()
}

/// What oras hung on an image is found by oras where `copy` took the image: beside it, and over a layout at registries of other makes.
fn goes_along(from: Make, to: &[Make]) {
    let source = Place::start(from);
    let (project, name, whole, one) = image(&source);
    let reference = format!("{name}@{whole}");
    attach(&source, &project, &reference, TYPES[0], "sbom.json:application/json");
    attach(&source, &project, &reference, TYPES[1], "note.txt:text/plain");
    attach(&source, &project, &format!("{name}@{one}"), TYPES[0], "sbom.json:application/json");
    let there = found(&source, &reference);
    assert_eq!(there.len(), 2, "{from:?}: {there:?}");
    let copy = |place: &Place, words: &[&str]| output(&mut place.ours(&project, &[&["copy"], words].concat()));

    let beside = source.name("team/beside");
    assert_eq!(digest(&copy(&source, &[&reference, &format!("{beside}:1")])), whole);
    carried(&source, &beside, &whole, &one, &there);
    let layout = format!("oci:{}:1", project.out("layout").display());
    assert_eq!(digest(&copy(&source, &[&reference, &layout])), whole);
    for make in to {
        let target = Place::start(*make);
        let name = target.name("other/app");
        assert_eq!(digest(&copy(&target, &[&layout, &format!("{name}:1")])), whole, "{from:?} to {make:?}");
        carried(&target, &name, &whole, &one, &there);
        // The fallback tag is kept exactly where the registry does not say that it has read the subject.
        let mut fallback = target.crane(&["digest", &format!("{name}:{}", whole.replace(':', "-"))]);
        assert_eq!(output(&mut fallback).status.success(), *make != Make::Ferro, "{make:?}");
    }

    // The neighbour: nothing goes along that is to stay.
    let bare = source.name("team/bare");
    digest(&copy(&source, &["--no-referrers", &reference, &format!("{bare}:1")]));
    assert_eq!(found(&source, &format!("{bare}@{whole}")), BTreeSet::new(), "{from:?}");
}

#[test]
fn what_oras_attached_goes_along_from_a_registry_without_the_referrers_api() {
    goes_along(Make::Plain, &[Make::Plain, Make::Ferro]);
}

#[test]
fn what_oras_attached_goes_along_from_a_registry_with_the_referrers_api() {
    goes_along(Make::Ferro, &[Make::Plain, Make::Crane]);
}

#[test]
fn what_oras_attached_goes_along_from_behind_nginx() {
    goes_along(Make::Tls, &[Make::Ferro]);
}

#[test]
fn what_oras_attached_goes_along_from_crane() {
    goes_along(Make::Crane, &[Make::Plain]);
}

fn carried(place: &Place, name: &str, whole: &str, one: &str, expected: &BTreeSet<(String, String)>) {
    assert_eq!(found(place, &format!("{name}@{whole}")), *expected, "{name}");
    let below = found(place, &format!("{name}@{one}"));
    assert_eq!(below.iter().map(|(_, kind)| kind.as_str()).collect::<Vec<_>>(), [TYPES[0]], "{name}");
    for (digest, _) in expected.iter().chain(&below) {
        assert_eq!(done(&mut place.crane(&["digest", &format!("{name}@{digest}")])).trim(), digest);
    }
}
