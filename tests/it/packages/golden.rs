//! Golden digests of images with packages (checks REP-14 and REP-20): they change only with a new format. The packages are made here,
//! byte by byte the same; `docs/format-1.md` says how they are laid out.

use super::apk::{self, KEY, Over};
use super::repo::{Deb, Repo, Said, deb};
use crate::golden::assert_golden;
use crate::support::{Base, Project, dir, file};

/// Packages of Debian that touch every rule: places before the merge, links, setuid, records, accounts, certificates, `Replaces`.
fn debian() -> Vec<Deb> {
    let mut debs = super::world();
    debs.extend([
        Deb {
            architecture: "all",
            ..deb(
                "ca-certificates",
                "1",
                "",
                &[
                    ("usr/share/ca-certificates/b.crt", "second, without a line feed"),
                    ("usr/share/ca-certificates/a.crt", "first\n"),
                    ("usr/share/ca-certificates/README", "no certificate\n"),
                ],
            )
        },
        deb(
            "base-files",
            "12",
            "",
            &[
                ("bin/", ""),
                ("tmp/", ""),
                ("etc/debian_version", "12\n"),
                ("lib64 -> usr/lib64", ""),
                ("var/run -> /run", ""),
            ],
        ),
        deb("loader", "1", "", &[("lib64/ld.so", "\x7fELF"), ("sbin/ldconfig", "#!/bin/sh\n")]),
        deb("old", "1", "", &[("etc/x", "old\n"), ("var/run/old/pid", "")]),
        deb("young", "1", "Replaces: old (<< 2)", &[("etc/x", "young\n"), ("usr/share/man/man1/x.1", "left out\n")]),
    ]);
    debs
}

const DEBIAN: &str = "install = [\"app\", \"base-files\", \"base-passwd\", \"ca-certificates\", \"loader\", \"old\", \"young\"]\nexclude = [\"usr/share/man\", \"/usr/share/doc/**\"]\n";

/// What a build made: the digests of the image and of its layers.
fn made(project: &Project, name: &str) -> String {
    let made = project.run(["--format", "json", "build"]).success().json();
    let mut text = format!("{name} {}\n", made["digest"].as_str().unwrap());
    for image in made["images"].as_array().unwrap() {
        for layer in image["layers"].as_array().unwrap() {
            // Those of the base have no name.
            let Some(name) = layer["name"].as_str() else { continue };
            text += &format!("  {name} {} {}\n", layer["digest"].as_str().unwrap(), layer["diffId"].as_str().unwrap());
        }
    }
    text
}

#[test]
fn rep_14_golden_digests_of_packages() {
    let repo = Repo::start();
    repo.publish("", &Said::default(), &debian());
    let mut all = String::new();
    for compression in ["gzip", "zstd", "none"] {
        let head = format!("created = \"2026-01-31T12:00:00Z\"\ncompression = \"{compression}\"");
        let text = super::manifest(&head, &repo.mirror.url(), DEBIAN);
        let project = Project::of(&text).file("keys.asc", repo.keyring());
        project.run(["update"]).success();
        all += &made(&project, &format!("debian {compression}"));
        let record = "Package: libapp\nVersion: 1.5\nArchitecture: amd64\n";
        let base = Base::debian()
            .layer([
                dir("etc"),
                file("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
                file("var/lib/dpkg/status.d/libapp", record),
            ])
            .compressed("none");
        let base = base.write(&project, "base");
        project.write("image.toml", text.replace("\"scratch\"", &format!("\"{base}\"")));
        project.run(["update"]).success();
        all += &made(&project, &format!("debian on a base {compression}"));
        let repo = apk::Repo::start(Over::Sha256, 1_750_000_000, &super::alpine::world());
        let text = super::alpine::manifest(&repo.mirror.url(), "install = [\"app\", \"layout\"]")
            .replace("[image]", &format!("[image]\n{head}"));
        let project = Project::of(&text).file(&format!("keys/{KEY}"), repo.key());
        project.run(["update"]).success();
        all += &made(&project, &format!("alpine {compression}"));
    }
    assert_golden("packages", &all);
}
