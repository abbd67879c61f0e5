//! Bills of materials, as the program prints them. That they follow their standards is judged by others, in `tests/interop`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::elf::{elf, go, rust};
use super::programs::{CRATES, MODULES};
use crate::support::{Base, Project, dir, file, manifest, scratch};

const DPKG: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9\n\n\
    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
const ITEMS: &str =
    "[[binary]]\nsrc = \"server\"\ndest = \"/app/server\"\n[[file]]\ndest = \"/etc/motd\"\ncontent = \"hello\\n\"\n";

fn project(base: impl FnOnce(&Project) -> String) -> Project {
    let project = Project::new().file("server", elf(&[rust(CRATES), go("go1.22.1", MODULES)]));
    let base = base(&project);
    project.file(
        "image.toml",
        manifest(&base, &format!("name = \"example.com/acme/server\"\ncreated = \"fixed\"\n{ITEMS}")),
    )
}

fn debian(project: &Project) -> String {
    Base::debian()
        .layer([dir("var"), dir("var/lib"), dir("var/lib/dpkg"), file("var/lib/dpkg/status", DPKG)])
        .write(project, "base")
}

fn bill(project: &Project, kind: &str) -> Value {
    project.run(["sbom", "--type", kind]).success().json()
}

/// Names with versions of all packages, or components, in their order.
fn listed(bill: &Value) -> Vec<String> {
    let (list, version) =
        if bill["packages"].is_array() { ("packages", "versionInfo") } else { ("components", "version") };
    let one = |part: &Value| match part[version].as_str() {
        Some(text) if !text.starts_with("sha256:") => format!("{} {text}", part["name"].as_str().unwrap()),
        _ => part["name"].as_str().unwrap().to_string(),
    };
    bill[list].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn an_image_on_debian_is_listed_whole() {
    let project = project(debian);
    let digest = project.digest();
    let spdx = bill(&project, "spdx");
    let packages = [
        "example.com/acme/server",
        "base",
        "debian 12",
        "libc6 2.36-9",
        "files",
        "binaries",
        "builder 1.0.0",
        "itoa 1.0.9",
        "server 0.3.0",
        "shared 0.1.0",
        "example.com/acme",
        "github.com/Acme/Lib v1.2.3",
        "example.com/new v1.1.0",
        "example.com/near",
        "stdlib 1.22.1",
    ];
    assert_eq!(listed(&spdx), packages);
    let [image, base, _, libc, files, ..] = spdx["packages"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!(image["versionInfo"], digest);
    let purl = format!("pkg:oci/server@{digest}?arch=amd64&repository_url=example.com%2Facme%2Fserver");
    assert_eq!(image["externalRefs"][0]["referenceLocator"], purl);
    assert!(base["versionInfo"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(libc["externalRefs"][0]["referenceLocator"], "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12");
    assert_eq!((&libc["licenseDeclared"], &files["filesAnalyzed"]), (&"NOASSERTION".into(), &true.into()));
    let names: Vec<&str> =
        spdx["files"].as_array().unwrap().iter().map(|file| file["fileName"].as_str().unwrap()).collect();
    assert_eq!(names, ["./etc/motd", "./app/server"]);
    // sha1sum and sha256sum of "hello\n".
    assert_eq!(spdx["files"][0]["checksums"][0]["checksumValue"], "f572d396fae9206628714fb2ce00f72e94f2258f");
    let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    assert_eq!(spdx["files"][0]["checksums"][1]["checksumValue"], sha256);
    // `sha1sum` of the one digest of the layer's one file.
    assert_eq!(
        files["packageVerificationCode"]["packageVerificationCodeValue"],
        "d4bb773a0da54b50d60e6089e12ed7e53c7e423c"
    );
    assert_eq!(spdx["creationInfo"]["created"], "1980-01-01T00:00:00Z");

    let cyclonedx = bill(&project, "cyclonedx");
    let components: Vec<&str> =
        packages[1..].iter().filter(|name| !["files", "binaries"].contains(name)).copied().collect();
    let found: Vec<String> = listed(&cyclonedx).into_iter().filter(|name| !name.starts_with('/')).collect();
    assert_eq!(found, components);
    assert_eq!(cyclonedx["metadata"]["component"]["purl"], purl);
}

#[test]
fn every_name_in_a_bill_leads_somewhere() {
    let project = project(debian);
    let spdx = bill(&project, "spdx");
    let parts = spdx["packages"].as_array().unwrap().iter().chain(spdx["files"].as_array().unwrap());
    let mut names: BTreeSet<&str> = parts.map(|part| part["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 15 + 2);
    names.insert("SPDXRef-DOCUMENT");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for link in spdx["relationships"].as_array().unwrap() {
        assert!(names.contains(link["spdxElementId"].as_str().unwrap()), "{link}");
        assert!(names.contains(link["relatedSpdxElement"].as_str().unwrap()), "{link}");
        *kinds.entry(link["relationshipType"].as_str().unwrap()).or_default() += 1;
    }
    let expect = [
        ("BUILD_DEPENDENCY_OF", 1),
        ("CONTAINS", 6),
        ("DEPENDS_ON", 4),
        ("DESCENDANT_OF", 1),
        ("DESCRIBES", 1),
        ("GENERATED_FROM", 2),
        ("STATIC_LINK", 6),
    ];
    assert_eq!(kinds, BTreeMap::from(expect));
    let cyclonedx = bill(&project, "cyclonedx");
    let components = cyclonedx["components"].as_array().unwrap();
    let all = components.iter().chain([&cyclonedx["metadata"]["component"]]);
    let refs: BTreeSet<&str> = all.map(|part| part["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(refs.len(), components.len() + 1);
    let dependencies = cyclonedx["dependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), refs.len());
    for entry in dependencies {
        assert!(refs.contains(entry["ref"].as_str().unwrap()));
        let needs = entry["dependsOn"].as_array().into_iter().flatten();
        assert!(needs.into_iter().all(|need| refs.contains(need.as_str().unwrap())), "{entry}");
    }
}

#[test]
fn two_builds_give_the_same_bytes_and_another_image_another_name() {
    let (one, two) = (project(debian), project(debian));
    for kind in ["spdx", "cyclonedx"] {
        let words = ["--jobs", "1", "sbom", "--type", kind];
        let first = one.run(words).success().stdout;
        assert_eq!(first, two.run(["sbom", "--type", kind]).env("TZ", "Asia/Tokyo").success().stdout);
        assert_eq!(first, one.run(["--no-cache", "sbom", "--type", kind]).success().stdout);
    }
    let name = |project: &Project| {
        (bill(project, "spdx")["documentNamespace"].clone(), bill(project, "cyclonedx")["serialNumber"].clone())
    };
    let before = name(&two);
    assert_eq!(name(&one), before);
    two.write("server", elf(&[]));
    let after = name(&two);
    assert!(after.0 != before.0 && after.1 != before.1);
    assert!(after.1.as_str().unwrap().starts_with("urn:uuid:"));
}

#[test]
fn apk_and_distroless_databases_are_read_and_a_hidden_one_is_not() {
    let apk = "P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\nP:busybox\nV:1.36-r1\n";
    let alpine = |project: &Project| {
        let base = Base::of([
            dir("etc"),
            file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n"),
            dir("lib"),
            dir("lib/apk"),
            dir("lib/apk/db"),
            file("lib/apk/db/installed", apk),
        ]);
        base.write(project, "base")
    };
    let spdx = bill(&project(alpine), "spdx");
    assert_eq!(listed(&spdx)[2..5], ["alpine 3.20.1", "musl 1.2.5-r0", "busybox 1.36-r1"]);
    assert_eq!(spdx["packages"][3]["licenseComments"], "the package database says: MIT");
    let purl = "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1";
    assert_eq!(spdx["packages"][3]["externalRefs"][0]["referenceLocator"], purl);

    let distroless = |project: &Project| {
        let entries = [dir("var"), dir("var/lib"), dir("var/lib/dpkg"), dir("var/lib/dpkg/status.d")];
        let base = Base::of(entries).layer([
            dir("var/lib/dpkg/status.d"),
            file("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\nArchitecture: all\n"),
            file("var/lib/dpkg/status.d/tzdata.md5sums", "Package: no\nVersion: 1\n"),
        ]);
        base.layer([file("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\n")]).write(project, "base")
    };
    assert_eq!(listed(&bill(&project(distroless), "spdx"))[2..5], ["tzdata 2024a", "base-files 12.4", "files"]);

    let hidden = project(debian);
    let text = std::fs::read_to_string(hidden.path("image.toml")).unwrap();
    hidden.write("image.toml", text + "[[remove]]\ndest = \"/var/lib/dpkg\"\n");
    assert!(!listed(&bill(&hidden, "spdx")).iter().any(|name| name.contains("libc6")));
}

#[test]
fn what_a_program_does_not_tell_is_noted_and_not_made_up() {
    let project = Project::of(&scratch(ITEMS)).file("server", elf(&[rust("{")]));
    let done = project.run(["sbom"]).success();
    assert!(done.stderr.contains("`/app/server` does not say what it was built from"), "{}", done.stderr);
    assert_eq!(listed(&done.json()), ["image", "files", "binaries"]);
    project.write("server", elf(&[]));
    assert_eq!(project.run(["sbom"]).success().stderr.lines().filter(|line| line.contains("does not say")).count(), 0);
}

#[test]
fn a_bill_is_about_one_platform() {
    let platforms =
        "platforms = [\"linux/amd64\", \"linux/arm64\"]\n[[file]]\ndest = \"/a\"\ncontent = \"{{ platform.arch }}\"";
    let project = Project::of(&scratch(platforms));
    assert!(project.run(["sbom"]).fails(2).stderr.contains("--platform linux/amd64"));
    let one = |platform: &str| project.run(["sbom", "--platform", platform]).success().json()["files"].clone();
    assert_ne!(one("linux/amd64"), one("linux/arm64"));
    let done = project.run(["sbom", "--type", "swid"]).fails(2);
    assert!(
        done.stderr.contains("known are `spdx` and `cyclonedx`") || done.stderr.contains("no kind of SBOM"),
        "{}",
        done.stderr
    );
}
