//! The examples with packages, of small repositories that are made and signed here: each is built twice, in two places and from two
//! mirrors, and is equal. `tests/interop/bases.rs` builds them of real packages and runs them.

use std::fs;

use super::apk::{self, KEY, Over, apk};
use super::repo::{Deb, Repo, Said, deb};
use crate::examples::{copy, prepared};
use crate::support::layout::Layout;
use crate::support::{Elf, Image, Project};

/// The examples that are built here.
pub const EXAMPLES: [&str; 6] = ["alpine", "distroless", "go-on-distroless", "nginx", "python", "rust-on-alpine"];

const CERTIFICATE: (&str, &str) = ("usr/share/ca-certificates/test/ca.crt", include_str!("../golden/ca.pem"));

/// What the Debian examples install, as small as can be, for two architectures.
fn debian() -> Vec<Deb> {
    let all = |deb: Deb| Deb { architecture: "all", ..deb };
    let mut debs = vec![
        all(deb(
            "base-files",
            "12.4",
            "",
            &[("etc/debian_version", "12.11\n"), ("etc/update-motd.d/10-uname", "#!/bin/sh\n")],
        )),
        all(deb("ca-certificates", "20230311", "Depends: openssl", &[CERTIFICATE])),
        all(deb(
            "tzdata",
            "2026b",
            "",
            &[("usr/share/zoneinfo/Europe/Berlin", "TZif2"), ("usr/share/doc/tzdata/changelog.gz", "x")],
        )),
        all(deb(
            "base-passwd",
            "3.6.1",
            "",
            &[
                (
                    "usr/share/base-passwd/passwd.master",
                    "root:*:0:0:root:/root:/bin/bash\nwww-data:*:33:33:www-data:/var/www:/usr/sbin/nologin\n",
                ),
                ("usr/share/base-passwd/group.master", "root:*:0:\nwww-data:*:33:\n"),
            ],
        )),
        all(deb(
            "nginx-common",
            "1.22",
            "",
            &[
                ("etc/nginx/nginx.conf", "user www-data;\n"),
                ("etc/nginx/mime.types", "types {}\n"),
                ("var/log/nginx/", ""),
            ],
        )),
    ];
    for architecture in ["amd64", "arm64"] {
        let own = |deb: Deb| Deb { architecture, ..deb };
        debs.extend([
            own(deb("libc6", "2.36", "", &[("lib/libc.so.6", "libc\n")])),
            own(deb("libssl3", "3.0.20", "Depends: libc6 (>= 2.34)", &[("usr/lib/libssl.so.3", "libssl\n")])),
            own(deb(
                "openssl",
                "3.0.20",
                "Depends: libssl3",
                &[("usr/bin/openssl", "openssl\n"), ("usr/lib/ssl/openssl.cnf", "\n")],
            )),
            own(deb("nginx", "1.22", "Depends: nginx-common", &[("usr/sbin/nginx", "\x7fELF")])),
            own(deb("python3.11-minimal", "3.11", "Depends: libc6", &[("usr/bin/python3.11", "\x7fELF")])),
            own(deb("python3", "3.11", "Depends: python3.11-minimal", &[("usr/bin/python3 -> python3.11", "")])),
        ]);
    }
    debs
}

fn repository(below: &str) -> Repo {
    let repo = Repo::start();
    repo.publish(below, &Said { architectures: &["amd64", "arm64"], ..Said::default() }, &debian());
    repo
}

/// A repository with what the Alpine example installs.
fn alpine() -> apk::Repo {
    let world = [
        apk("musl", "1.2.5-r0", "", "license = MIT\n", &[("lib/ld-musl-x86_64.so.1", "\x7fELF")]),
        apk(
            "busybox",
            "1.36.1-r2",
            "D:musl\n",
            "",
            &[("bin/busybox", "\x7fELF"), ("etc/busybox-paths.d/busybox", "/bin/sh\n/usr/bin/id\n")],
        ),
        apk("ca-certificates-bundle", "20240705-r0", "", "", &[("etc/ssl/certs/ca-certificates.crt", CERTIFICATE.1)]),
        apk(
            "alpine-baselayout-data",
            "3.6.5-r0",
            "",
            "",
            &[
                ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/sbin/nologin\n"),
                ("etc/group", "root:x:0:\nnobody:x:65534:\n"),
            ],
        ),
    ];
    apk::Repo::start(Over::Sha256, 1_750_000_000, &world)
}

/// The example as it stands, but for who signed the packages.
fn signed(example: &str, directory: &str, keyring: &str) -> Project {
    let project = prepared(example, directory);
    let text = fs::read_to_string(project.path("image.toml")).unwrap();
    project.write("image.toml", text.replacen("[packages.debian]\n", "[packages.debian]\nkeyring = \"keys.asc\"\n", 1));
    project.write("keys.asc", keyring);
    project
}

/// An example of Debian's packages, built twice: elsewhere, with an empty store, from another mirror, by the same lock.
fn twice(example: &str) -> (Project, Layout) {
    let (here, there) = (repository(""), repository("far/away"));
    let one = signed(example, "one", &here.keyring());
    one.run(["update"]).env("DEBIAN_MIRROR", here.mirror.url()).success();
    let lock = fs::read_to_string(one.path("image.lock")).unwrap();
    assert!(!lock.contains("127.0.0.1") && !lock.contains("://"), "a lock goes with any mirror: {lock}");
    let two = signed(example, "another place, ä", &there.keyring());
    two.write("image.lock", &lock);
    let away = format!("{}/far/away", there.mirror.url());
    let digests = [(&one, here.mirror.url(), "8"), (&two, away, "1")].map(|(project, mirror, jobs)| {
        let words = ["--locked", "--jobs", jobs, "build", "-o", "oci:out"];
        project.run(words).env("DEBIAN_MIRROR", mirror).success().digest()
    });
    assert_eq!(digests[0], digests[1], "{example}");
    assert!(
        there.mirror.asked().iter().all(|path| path.starts_with("far/away/pool/")),
        "a locked build reads no index"
    );
    let layout = one.layout("out");
    (one, layout)
}

/// The names of the packages that are recorded.
fn recorded(image: &Image) -> Vec<String> {
    image.listing().iter().filter_map(|line| Some(line.split_once("status.d/")?.1.to_string())).collect()
}

#[test]
fn distroless() {
    let (_project, layout) = twice("distroless");
    for architecture in ["amd64", "arm64"] {
        let names = ["base-files", "ca-certificates", "libc6", "libssl3", "openssl", "tzdata"];
        let image = layout.image_for("linux", architecture);
        assert_eq!(recorded(&image), names);
        assert!(image.text("var/lib/dpkg/status.d/libc6").contains(&format!("Architecture: {architecture}\n")));
        assert_eq!(image.text("etc/ssl/certs/ca-certificates.crt"), CERTIFICATE.1);
        assert!(image.text("etc/passwd").ends_with("nonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n"));
        let listing = image.listing().join("\n");
        assert!(listing.contains("usr/lib/libc.so.6") && listing.contains("lib -> usr/lib"), "{listing}");
        assert!(!listing.contains("changelog") && !listing.contains("motd"), "{listing}");
        assert_eq!(image.config["config"]["User"], "65532:65532");
    }
}

#[test]
fn nginx() {
    let (_project, layout) = twice("nginx");
    let image = layout.image();
    assert_eq!(recorded(&image), ["base-files", "base-passwd", "nginx", "nginx-common"]);
    assert!(image.text("etc/nginx/nginx.conf").contains("listen 8080;"));
    assert_eq!(image.layer_names(), ["packages", "files"]);
    assert_eq!(image.config["config"]["User"], "33:33");
}

#[test]
fn python() {
    let (_project, layout) = twice("python");
    let image = layout.image();
    assert!(image.listing().contains(&"l 0777 0:0 usr/bin/python3 -> python3.11".to_string()));
    assert!(image.text("app/server.py").contains("ThreadingHTTPServer"));
}

/// The Alpine example built, its layout beside it.
fn built_alpine(directory: &str) -> (Project, String) {
    let repo = alpine();
    let project = prepared("alpine", directory);
    let text = fs::read_to_string(project.path("image.toml")).unwrap();
    project.write("image.toml", text.replace("\"v3.20\"", "\"v1\""));
    project.write(&format!("keys/{KEY}"), repo.key());
    let run =
        |words: &[&str]| project.run(words).env("ALPINE_MIRROR", repo.mirror.url()).env("ALPINE_KEY", KEY).success();
    run(&["update"]);
    let digest = run(&["build", "-o", "oci:out"]).digest();
    (project, digest)
}

#[test]
fn alpine_image() {
    let ((one, first), (_, second)) = (built_alpine("one"), built_alpine("another place, ä"));
    assert_eq!(first, second);
    let layout = one.layout("out");
    let image = layout.image();
    assert_eq!(image.text("etc/apk/world"), "alpine-baselayout-data\nbusybox\nca-certificates-bundle\nmusl\n");
    assert!(image.listing().contains(&"l 0777 0:0 bin/sh -> /bin/busybox".to_string()), "{:?}", image.listing());
    assert_eq!(image.config["config"]["User"], "65534:65534");
}

#[test]
fn static_programs_on_the_bases() {
    let (alpine, alpine_digest) = built_alpine("base");
    let (distroless, layout) = twice("distroless");
    for example in ["rust-on-alpine", "go-on-distroless"] {
        let digests = ["one", "another place, ä"].map(|directory| {
            let project = prepared(example, directory);
            let base = match example {
                "rust-on-alpine" => {
                    copy(&alpine.path("out"), &project.path("base"));
                    alpine_digest.clone()
                }
                _ => {
                    // Go is no part of these tests: `tests/interop` compiles it.
                    project.write("clock", Elf::program().bytes());
                    copy(&distroless.path("out"), &project.path("base"));
                    layout.digest()
                }
            };
            let done = project.run(["build", "-o", "oci:out"]).env("BASE", base).success();
            let image = project.layout("out");
            assert_eq!(image.image().layer_names().last().map(String::as_str), Some("binaries"));
            done.digest()
        });
        assert_eq!(digests[0], digests[1], "{example}");
    }
}
