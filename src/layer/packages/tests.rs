//! Stage 6: how packages are laid out, on small ones made here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Laid, lay};
use crate::error::{Place, Report, Severity, Text};
use crate::layer::tree::{Body, Content};
use crate::manifest::{Family, Packages};
use crate::oci::Digest;
use crate::plan::Package;
use crate::source::{FileIndex, Member, MemberBody, Stretch, Unpacked};

fn place() -> Place {
    Place { text: Arc::new(Text { path: "image.toml".into(), text: "[packages.debian]\n".into() }), span: 1..16 }
}

/// A package with files as lines of `path`, `path/`, `path -> target` or `path !` for a device, and control files.
fn package(name: &str, files: &[&str], control: &[(&str, &str)]) -> Unpacked {
    let member = |line: &&str| {
        let (path, body, mode) = match (line.split_once(" -> "), line.strip_suffix('/'), line.strip_suffix(" !")) {
            (Some((path, target)), ..) => (path, MemberBody::Link(target.into()), 0o777),
            (_, Some(path), _) => (path, MemberBody::Directory, 0o755),
            (.., Some(path)) => (path, MemberBody::Device, 0o600),
            _ => (*line, MemberBody::File(Stretch { blob: Digest::of(name.as_bytes()), start: 0, size: 1 }), 0o644),
        };
        Member { path: path.into(), body, mode, uid: 0, gid: 0 }
    };
    let digest = Digest::of(name.as_bytes());
    let (family, version, architecture) = (Family::Debian, "1".to_string(), "amd64".to_string());
    let package = Package { family, name: name.into(), version, architecture, url: String::new(), size: 1, digest };
    let texts = |all: &[(&str, &str)], control: bool| -> BTreeMap<String, Vec<u8>> {
        let of = all.iter().filter(|(path, _)| path.contains('/') != control);
        of.map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect()
    };
    Unpacked {
        package,
        members: files.iter().map(member).collect(),
        control: texts(control, true),
        texts: texts(control, false),
        sums: BTreeMap::new(),
        replaces: BTreeSet::new(),
    }
}

fn laid(packages: &[Unpacked], exclude: &[&str]) -> (Laid, Report) {
    let wanted = Packages {
        family: Family::Debian,
        sources: Vec::new(),
        install: Vec::new(),
        recommends: false,
        exclude: exclude.iter().map(|glob| (glob.to_string(), place())).collect(),
        place: place(),
    };
    let mut report = Report::default();
    let laid = lay(packages, &wanted, &FileIndex::empty(), "", &mut report);
    (laid, report)
}

/// The files as lines.
fn shown(laid: &Laid) -> Vec<String> {
    let line = |(path, file): (&String, &super::File)| match &file.body {
        Body::Directory => format!("{path}/"),
        Body::Link(target) => format!("{path} -> {target}"),
        Body::File(Content::Inline(text)) => format!("{path} = {}", String::from_utf8_lossy(text).escape_debug()),
        Body::File(_) | Body::Whiteout => path.clone(),
    };
    laid.files.iter().map(line).collect()
}

#[test]
fn old_places_lead_into_usr_and_their_links_are_there() {
    let files = [
        "lib/",
        "lib/x86_64-linux-gnu/libc.so.6",
        "lib64/ld.so -> /lib/x",
        "usr/lib/x/",
        "bin/sh -> dash",
        "sbin/init",
    ];
    let merged = package("base-files", &["bin -> usr/bin", "lib64 -> usr/lib64"], &[]);
    for packages in [vec![package("a", &files, &[])], vec![package("a", &files, &[]), merged]] {
        let (laid, report) = laid(&packages, &[]);
        assert!(report.all().is_empty());
        assert_eq!(
            shown(&laid),
            [
                "bin -> usr/bin",
                "lib -> usr/lib",
                "lib64 -> usr/lib64",
                "sbin -> usr/sbin",
                "usr/bin/sh -> dash",
                "usr/lib/",
                "usr/lib/x/",
                "usr/lib/x86_64-linux-gnu/libc.so.6",
                "usr/lib64/ld.so -> /lib/x",
                "usr/sbin/init",
            ]
        );
    }
}

#[test]
fn links_of_packages_are_followed_and_stay() {
    let first = package("first", &["var/run -> /run", "opt/a -> ../srv/b", "loop -> loop"], &[]);
    let second = package("second", &["var/run/", "var/run/x", "opt/a/y"], &[]);
    let (laid, report) = laid(&[first.clone(), second], &[]);
    assert!(report.all().is_empty());
    let top = ["bin -> usr/bin", "lib -> usr/lib"];
    let rest = ["loop -> loop", "opt/a -> ../srv/b", "run/x", "sbin -> usr/sbin", "srv/b/y", "var/run -> /run"];
    assert_eq!(shown(&laid), [&top[..], &rest[..]].concat());
    let (_, report) = self::laid(&[first, package("lost", &["loop/x"], &[])], &[]);
    assert!(report.errors().next().unwrap().message.contains("lead in a circle"));
}

#[test]
fn two_packages_with_one_file_are_refused_unless_one_replaces() {
    let (one, mut two) = (package("one", &["etc/x", "etc/"], &[]), package("two", &["etc/x", "etc/"], &[]));
    let (_, report) = laid(&[one.clone(), two.clone()], &[]);
    let messages: Vec<&str> = report.errors().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, ["the packages `one` and `two` both have `/etc/x`"]);
    two.replaces.insert("one".into());
    for packages in [vec![one.clone(), two.clone()], vec![two.clone(), one]] {
        let (laid, report) = laid(&packages, &[]);
        assert!(report.all().is_empty());
        let Body::File(Content::Stored(ref stretch)) = laid.files["etc/x"].body else { panic!() };
        assert_eq!(stretch.blob, Digest::of(b"two"));
    }
    let (_, report) = laid(&[package("odd", &["dev/null !"], &[])], &[]);
    assert!(report.errors().next().unwrap().message.contains("a device"));
    assert!(laid(&[package("odd", &["dev/null !"], &[])], &["dev"]).1.all().is_empty());
}

#[test]
fn what_is_excluded_is_left_out_with_all_below() {
    let files = ["usr/", "usr/share/doc/a/copyright", "usr/share/man/man1/a.1", "usr/share/a", "bin/a"];
    let (laid, _) = laid(
        &[package("a", &files, &[("control", "Package: a\n")])],
        &["usr/share/doc/**", "/usr/share/man", "usr/bin/a"],
    );
    let kept: Vec<String> =
        shown(&laid).into_iter().filter(|line| line.starts_with("usr") || line.starts_with("var")).collect();
    assert_eq!(kept, ["usr/", "usr/share/a", "var/lib/dpkg/status.d/a = Package: a\\n"]);
}

#[test]
fn accounts_and_certificates_are_made_and_packages_recorded() {
    let base = package(
        "base-passwd",
        &["usr/share/base-passwd/passwd.master"],
        &[
            ("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n"),
            ("usr/share/base-passwd/group.master", "root:*:0:\n"),
        ],
    );
    let certificates = package(
        "ca-certificates",
        &["usr/share/ca-certificates/b.crt", "usr/share/ca-certificates/a.crt"],
        &[
            ("usr/share/ca-certificates/b.crt", "B"),
            ("usr/share/ca-certificates/a.crt", "A\n"),
            ("usr/share/ca-certificates/gone.crt", "GONE\n"),
            ("control", "Package: ca-certificates\n"),
            ("md5sums", "0 x\n"),
        ],
    );
    let (laid, _) = laid(&[base, certificates], &[]);
    assert_eq!(laid.passwd.as_deref(), Some(&b"root:*:0:0:root:/root:/bin/bash\n"[..]));
    assert_eq!(laid.group.as_deref(), Some(&b"root:*:0:\n"[..]));
    let shown = shown(&laid);
    for line in [
        "etc/ssl/certs/ca-certificates.crt = A\\nB\\n",
        "usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt",
        "var/lib/dpkg/status.d/ca-certificates = Package: ca-certificates\\n",
        "var/lib/dpkg/status.d/ca-certificates.md5sums = 0 x\\n",
    ] {
        assert!(shown.contains(&line.to_string()), "{line} in {shown:?}");
    }
}

#[test]
fn pkg_04_what_was_not_run_is_told_with_what_it_means() {
    let users = "#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n  adduser --system x || true\nfi\n# chown x\n";
    let links = "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk \\\n  /usr/bin/mawk 5 --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz\n";
    let service = "#!/bin/sh\nif deb-systemd-invoke start x; then deb-systemd-helper enable x; fi\n";
    let packages = [
        package("ca-certificates", &[], &[("postinst", "#!/bin/sh\nmkdir x")]),
        package("mawk", &[], &[("postinst", links)]),
        package("program", &[], &[("preinst", "\x7fELF")]),
        package("quiet", &[], &[("prerm", "#!/bin/sh\nuseradd x")]),
        package("service", &[], &[("postinst", service), ("config", "#!/bin/sh\n")]),
        package("users", &[], &[("postinst", users)]),
    ];
    let (_, report) = laid(&packages, &[]);
    let told: Vec<(Severity, &str)> = report.all().iter().map(|one| (one.severity, one.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (Severity::Warning, "not run: postinst of the package `mawk`"),
            (Severity::Warning, "not run: preinst of the package `program`"),
            (Severity::Warning, "not run: postinst of the package `users`"),
            (Severity::Note, "not run: scripts of 2 packages that an image does not miss"),
        ]
    );
    let help = |at: usize| report.all()[at].help.join("\n");
    assert!(help(0).contains("`dest = \"/usr/bin/awk\"` and `target = \"/usr/bin/mawk\"`"), "{}", help(0));
    assert!(help(2).contains("users and groups were not made") && !help(2).contains("owners"), "{}", help(2));
    assert!(
        help(3).contains("ca-certificates (postinst): `/etc/ssl/certs")
            && help(3).contains("service (postinst, config)")
    );
}
