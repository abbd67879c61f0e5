//! What provenance and bills of materials say of archives and other images.

use serde_json::{Value, json};

use super::{Part, tar};
use crate::support::{Base, Project, file, layout, scratch, tables};

fn project() -> (Project, String, String) {
    let bytes = tar(&[Part::File("a", b"a", 0o644)], 1, 0);
    let project = Project::new().file("ui.tar", &bytes);
    let image = Base::of([file("x", "x")]).write(&project, "tools");
    let all = [
        ("archive", "src = 'ui.tar'; dest = '/a'".to_string()),
        ("archive", "src = 'ui.tar'; dest = '/b'".to_string()),
        ("copy", format!("from = '{image}'; src = '/x'; dest = '/x'")),
    ];
    let all: Vec<(&str, &str)> = all.iter().map(|(name, keys)| (*name, keys.as_str())).collect();
    let digest = image.split_once('@').unwrap().1.to_string();
    (
        project.file("image.toml", scratch(&format!("created = \"fixed\"\n{}", tables(&all)))),
        layout::digest(&bytes),
        digest,
    )
}

#[test]
fn archives_and_images_are_inputs() {
    let (project, archive, image) = project();
    let found = project.run(["provenance"]).success().json();
    let all = found["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let one = |name: &str| all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {all:?}"));
    assert_eq!(one("ui.tar")["digest"]["sha256"], archive[7..]);
    assert_eq!(one("oci:tools")["digest"]["sha256"], image[7..]);
    assert_eq!(all.len(), 3, "each once");
}

#[test]
fn archives_and_images_stand_in_bills_of_materials() {
    let (project, archive, image) = project();
    let bill = |kind: &str| project.run(["sbom", "--type", kind]).success().json();
    let spdx = bill("spdx");
    let packages = spdx["packages"].as_array().unwrap();
    let one = |name: &str| packages.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(one("ui.tar")["checksums"], json!([{"algorithm": "SHA256", "checksumValue": archive[7..]}]));
    assert_eq!(one("oci:tools")["checksums"][0]["checksumValue"], image[7..]);
    let from =
        |link: &&Value| link["relationshipType"] == "GENERATED_FROM" && link["spdxElementId"] == "SPDXRef-Image-0";
    let links: Vec<&Value> =
        spdx["relationships"].as_array().unwrap().iter().filter(from).map(|link| &link["relatedSpdxElement"]).collect();
    assert_eq!(links, [&one("oci:tools")["SPDXID"], &one("ui.tar")["SPDXID"]]);
    let cyclonedx = bill("cyclonedx");
    let components = cyclonedx["components"].as_array().unwrap();
    let kinds: Vec<(&str, &str)> =
        components.iter().map(|one| (one["name"].as_str().unwrap(), one["type"].as_str().unwrap())).collect();
    assert_eq!(kinds[..2], [("oci:tools", "container"), ("ui.tar", "file")]);
}
