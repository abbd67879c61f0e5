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

#[test]
fn what_oras_attached_goes_along_from_every_make_to_every_make() {
    for from in [Make::Plain, Make::Tls, Make::Ferro, Make::Crane] {
        let source = Place::start(from);
        let (project, name, whole, one) = image(&source);
        attach(&source, &project, &format!("{name}@{whole}"), TYPES[0], "sbom.json:application/json");
        attach(&source, &project, &format!("{name}@{whole}"), TYPES[1], "note.txt:text/plain");
        attach(&source, &project, &format!("{name}@{one}"), TYPES[0], "sbom.json:application/json");
        let there = found(&source, &format!("{name}@{whole}"));
        assert_eq!(there.len(), 2, "{from:?}: {there:?}");

        // Beside it, and over a layout into registries of other makes.
        let beside = source.name("team/beside");
        let copied =
            digest(&output(&mut source.ours(&project, &["copy", &format!("{name}@{whole}"), &format!("{beside}:1")])));
        assert_eq!(copied, whole);
        carried(&source, &beside, &whole, &one, &there);
        let layout = format!("oci:{}:1", project.out("layout").display());
        done(&mut source.ours(&project, &["copy", &format!("{name}@{whole}"), &layout]));
        for to in [Make::Plain, Make::Ferro, Make::Crane] {
            let target = Place::start(to);
            let there_too = target.name("other/app");
            let copied = digest(&output(&mut target.ours(&project, &["copy", &layout, &format!("{there_too}:1")])));
            assert_eq!(copied, whole, "{from:?} to {to:?}");
            carried(&target, &there_too, &whole, &one, &there);
            let fallback = target.crane(&["digest", &format!("{there_too}:{}", whole.replace(':', "-"))]);
            let mut fallback = fallback;
            assert_eq!(output(&mut fallback).status.success(), !target.has_referrers(), "{to:?}: the fallback tag");
        }

        // The neighbour: nothing goes along that is to stay.
        let bare = source.name("team/bare");
        let words = ["copy", "--no-referrers", &format!("{name}@{whole}"), &format!("{bare}:1")];
        digest(&output(&mut source.ours(&project, &words)));
        assert_eq!(found(&source, &format!("{bare}@{whole}")), BTreeSet::new(), "{from:?}");
    }
}

fn carried(place: &Place, name: &str, whole: &str, one: &str, expected: &BTreeSet<(String, String)>) {
    assert_eq!(found(place, &format!("{name}@{whole}")), *expected, "{name}");
    let below = found(place, &format!("{name}@{one}"));
    assert_eq!(below.iter().map(|(_, kind)| kind.as_str()).collect::<Vec<_>>(), [TYPES[0]], "{name}");
    for (digest, _) in expected.iter().chain(&below) {
        assert_eq!(done(&mut place.crane(&["digest", &format!("{name}@{digest}")])).trim(), digest);
    }
}
