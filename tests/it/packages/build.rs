//! From a mirror to an image: what is laid out, what is recorded, and that a build reads the lock and nothing else.

use serde_json::Value;

use super::repo::{Deb, Packing, Repo, Said, deb};
use super::{manifest, project, usual, world};
use crate::support::Project;

#[test]
fn packages_are_laid_out_as_dpkg_would() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\", \"base-passwd\"]\nexclude = [\"usr/share/doc\"]");
    project.run(["update"]).success();
    let layout = project.build();
    assert_eq!(layout.image().layer_names(), ["packages"]);
    let listing = layout.image().listing();
    assert_eq!(
        listing,
        [
            "l 0777 0:0 bin -> usr/bin",
            "d 0755 0:0 etc",
            "f 0644 0:0 etc/app.conf",
            "f 0644 0:0 etc/group",
            "f 0644 0:0 etc/passwd",
            "l 0777 0:0 lib -> usr/lib",
            "l 0777 0:0 sbin -> usr/sbin",
            "d 0755 0:0 usr",
            "d 0755 0:0 usr/bin",
            "f 0755 0:0 usr/bin/app",
            "f 4755 0:0 usr/bin/su",
            "d 0755 0:0 usr/lib",
            "d 0755 0:0 usr/lib/x86_64-linux-gnu",
            "l 0777 0:0 usr/lib/x86_64-linux-gnu/libapp.so.1 -> libapp.so.1.0",
            "f 0755 0:0 usr/lib/x86_64-linux-gnu/libapp.so.1.0",
            "d 0755 0:0 usr/share",
            "d 0755 0:0 usr/share/app",
            "f 0644 0:0 usr/share/app/data",
            "d 0755 0:0 usr/share/base-passwd",
            "f 0644 0:0 usr/share/base-passwd/group.master",
            "f 0644 0:0 usr/share/base-passwd/passwd.master",
            "d 0755 0:0 var",
            "d 0755 0:0 var/lib",
            "d 0755 0:0 var/lib/dpkg",
            "d 0755 0:0 var/lib/dpkg/status.d",
            "f 0644 0:0 var/lib/dpkg/status.d/app",
            "f 0644 0:0 var/lib/dpkg/status.d/app.md5sums",
            "f 0644 0:0 var/lib/dpkg/status.d/base-passwd",
            "f 0644 0:0 var/lib/dpkg/status.d/data",
            "f 0644 0:0 var/lib/dpkg/status.d/libapp",
        ]
    );
    let record = "Package: libapp\nVersion: 1.0-1\nArchitecture: amd64\nDescription: libapp\n";
    assert_eq!(layout.image().text("var/lib/dpkg/status.d/libapp"), record);
}

#[test]
fn the_same_image_whatever_packs_the_packages_and_wherever_the_mirror_is() {
    let mut digests = Vec::new();
    for packing in [Packing::Plain, Packing::Gzip, Packing::Xz, Packing::Zstd] {
        let repo = Repo::start();
        repo.publish("deep/down", &Said { packing, by_hash: false, ..Said::default() }, &world());
        let url = format!("{}/deep/down/", repo.mirror.url());
        let project = Project::of(&manifest("", &url, "install = [\"app\"]")).file("keys.asc", repo.keyring());
        project.run(["update"]).success();
        digests.push(project.digest());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

#[test]
fn a_build_touches_no_index_and_an_offline_one_nothing() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    project.run(["update"]).success();
    repo.mirror.asked();
    let first = project.digest();
    let mut asked = repo.mirror.asked();
    asked.sort();
    assert_eq!(asked, ["pool/app_1.0-1_amd64.deb", "pool/data_2%3a3_all.deb", "pool/libapp_1.0-1_amd64.deb"]);
    let again = project.run(["--offline", "--locked", "build"]).success().digest();
    assert_eq!((again, repo.mirror.asked().len()), (first.clone(), 0));
    let other = Project::of(&std::fs::read_to_string(project.path("image.toml")).unwrap())
        .file("keys.asc", repo.keyring())
        .file("image.lock", std::fs::read(project.path("image.lock")).unwrap());
    let refused = other.run(["--offline", "build"]).fails(3);
    assert!(refused.stderr.contains("`--offline` forbids"), "{}", refused.stderr);
    assert_eq!(other.digest(), first, "an empty store, the same lock");
}

#[test]
fn each_platform_gets_its_own_packages() {
    let repo = Repo::start();
    let mut debs = world();
    debs.push(Deb { architecture: "arm64", ..deb("app", "1.0-1", "Depends: data", &[("usr/bin/app", "arm")]) });
    repo.publish("", &Said { architectures: &["amd64", "arm64"], ..Said::default() }, &debs);
    let text = manifest("platforms = [\"linux/amd64\", \"linux/arm64\"]", &repo.mirror.url(), "install = [\"app\"]");
    let project = Project::of(&text).file("keys.asc", repo.keyring());
    let said = project.run(["update"]).success().stdout;
    assert!(said.contains("package data new 2:3") && said.contains("linux/amd64, linux/arm64)"), "{said}");
    let layout = project.build();
    let names = |architecture: &str| -> Vec<String> {
        let image = layout.image_for("linux", architecture);
        let name = |line: String| Some(line.split_once("status.d/")?.1.to_string());
        image.listing().into_iter().filter_map(name).filter(|name| !name.contains("md5sums")).collect()
    };
    assert_eq!(names("amd64"), ["app", "data", "libapp"]);
    assert_eq!(names("arm64"), ["app", "data"]);
    let one = project.run(["build", "--platform", "linux/arm64"]).success();
    assert!(one.stdout.starts_with("sha256:"));
}

#[test]
fn users_of_packages_own_files_and_new_ones_join_them() {
    let repo = usual();
    let rest = "install = [\"base-passwd\"]\n[[file]]\ndest = \"/srv/page\"\ncontent = \"x\"\nowner = \"www-data\"\n[[user]]\nname = \"app\"\nuid = 1000\n";
    let project = Project::of(&manifest("user = \"app\"", &repo.mirror.url(), rest)).file("keys.asc", repo.keyring());
    project.run(["update"]).success();
    let layout = project.build();
    let image = layout.image();
    assert_eq!((image.entry("srv/page").uid, image.entry("srv/page").gid), (33, 33));
    let passwd = image.text("etc/passwd");
    assert!(passwd.starts_with("root:*:0:0:") && passwd.ends_with("app:x:1000:1000::/:/sbin/nologin\n"), "{passwd}");
    assert_eq!(image.config["config"]["User"], "1000:1000");
}

#[test]
fn the_bill_of_materials_lists_the_locked_packages_and_provenance_the_lock() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    project.run(["update"]).success();
    let bill = project.run(["sbom"]).success().json();
    let purls: Vec<&str> = bill["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| package["externalRefs"][0]["referenceLocator"].as_str())
        .filter(|purl| purl.starts_with("pkg:deb/"))
        .collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/app@1.0-1?arch=amd64",
            "pkg:deb/debian/data@2:3?arch=all",
            "pkg:deb/debian/libapp@1.0-1?arch=amd64"
        ]
    );
    let origin = project.run(["provenance"]).success().json();
    let names: Vec<&str> = origin["buildDefinition"]["resolvedDependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one: &Value| one["name"].as_str())
        .collect();
    assert!(names.contains(&"image.lock"), "{names:?}");
    assert!(names.iter().any(|name| name.ends_with("/pool/libapp_1.0-1_amd64.deb")), "{names:?}");
}

#[test]
fn pkg_04_scripts_are_never_run_but_told() {
    let repo = usual();
    let project = project(&repo, "install = [\"app\"]");
    project.run(["update"]).success();
    let findings = project.run(["--format", "json", "check"]).success().json();
    let first = &findings["findings"][0];
    assert_eq!((first["code"].as_str(), first["severity"].as_str()), (Some("not-run"), Some("warning")));
    assert_eq!(first["message"], "not run: postinst of the package `app`");
    assert!(first["help"].to_string().contains("[[user]]"));
}

#[test]
fn two_packages_with_one_file_need_a_word_from_one_of_them() {
    let repo = Repo::start();
    let one = deb("one", "1", "", &[("etc/x", "one\n")]);
    let two = deb("two", "1", "", &[("etc/x", "two\n")]);
    repo.publish("", &Said::default(), &[one.clone(), two.clone()]);
    let project = project(&repo, "install = [\"one\", \"two\"]");
    project.run(["update"]).success();
    let refused = project.run(["build"]).fails(2);
    assert!(refused.stderr.contains("the packages `one` and `two` both have `/etc/x`"), "{}", refused.stderr);
    repo.publish("", &Said::default(), &[one, Deb { fields: "Replaces: one (<< 2)", ..two }]);
    project.run(["update"]).success();
    let layout = project.build();
    assert_eq!(layout.image().text("etc/x"), "two\n");
}
