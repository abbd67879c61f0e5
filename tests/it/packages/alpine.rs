//! Packages of Alpine: from a signed mirror that runs here to an image, and what is not believed on the way.

use aws_lc_rs::rsa::{KeyPair, KeySize};

use super::apk::{Apk, INDEX, KEY, Over, Repo, apk, public};
use crate::support::{Base, Project, file};

const BUILT: i64 = 1_750_000_000;

pub fn world() -> Vec<Apk> {
    vec![
        apk(
            "app",
            "1.0-r0",
            "D:so:libapp.so.1 busybox>=1.36 !hostile\n",
            "license = MIT\nreplaces = busybox\n",
            &[("usr/", ""), ("usr/bin/", ""), ("usr/bin/app", "#!/bin/sh\n"), ("etc/motd", "app\n")],
        )
        .script(".post-install", "#!/bin/sh\naddgroup -S app\n"),
        apk("libapp", "2.0-r1", "p:so:libapp.so.1=1.0.0\n", "", &[("lib/libapp.so.1", "\x7fELF")]),
        apk(
            "busybox",
            "1.36.1-r2",
            "",
            "license = GPL-2.0-only\n",
            &[
                ("bin/busybox", "\x7fELF"),
                ("bin/su", "\x7fELF"),
                ("etc/motd", "busybox\n"),
                ("etc/busybox-paths.d/busybox", "bin/ls\n/usr/bin/env\n../evil\n"),
            ],
        )
        .script(".trigger", "#!/bin/sh\n/bin/busybox --install -s\n"),
        apk("app-doc", "1.0-r0", "D:app\n", "", &[("usr/share/doc/app", "doc\n")]),
        apk("app-openrc", "1.0-r0", "i:app=1.0-r0 busybox\n", "", &[("etc/init.d/app", "#!/bin/sh\n")]),
        apk("hostile", "1-r0", "", "", &[]),
        apk(
            "layout",
            "1-r0",
            "",
            "",
            &[
                ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nguest:x:405:100::/:/sbin/nologin\n"),
                ("etc/group", "root:x:0:\nusers:x:100:\n"),
            ],
        ),
    ]
}

pub fn manifest(mirror: &str, rest: &str) -> String {
    format!(
        "schema = 1\n[image]\nbase = \"scratch\"\n[packages.alpine]\nmirror = \"{mirror}\"\nbranch = \"v1\"\nkeyring = \"keys/{KEY}\"\n{rest}\n[check]\nroot-user = \"allow\"\n"
    )
}

fn project(repo: &Repo, rest: &str) -> Project {
    Project::of(&manifest(&repo.mirror.url(), rest)).file(&format!("keys/{KEY}"), repo.key())
}

#[test]
fn packages_are_laid_out_and_recorded_as_apk_would() {
    for over in [Over::Sha1, Over::Sha256] {
        let repo = Repo::start(over, BUILT, &world());
        let rest = "install = [\"app\", \"layout\"]\n[[file]]\ndest = \"/srv/x\"\ncontent = \"x\"\nowner = \"guest\"\n";
        let project = project(&repo, rest);
        let said = project.run(["update"]).success().stdout;
        let names: Vec<&str> = said.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(names, ["app", "app-openrc", "busybox", "layout", "libapp"]);
        let layout = project.build();
        let image = layout.image();
        assert_eq!(
            image.listing().iter().filter(|line| !line.starts_with('d')).cloned().collect::<Vec<_>>(),
            [
                "f 0755 0:0 bin/busybox",
                "l 0777 0:0 bin/ls -> /bin/busybox",
                "f 4755 0:0 bin/su",
                "f 0644 0:0 etc/apk/world",
                "f 0644 0:0 etc/busybox-paths.d/busybox",
                "f 0644 0:0 etc/group",
                "f 0755 0:0 etc/init.d/app",
                "f 0644 0:0 etc/motd",
                "f 0644 0:0 etc/passwd",
                "f 0644 0:0 lib/apk/db/installed",
                "f 0755 0:0 lib/libapp.so.1",
                "f 0755 0:0 usr/bin/app",
                "l 0777 0:0 usr/bin/env -> /bin/busybox",
                "f 0644 405:100 srv/x",
            ]
        );
        assert_eq!((image.text("etc/motd"), image.text("etc/apk/world")), ("app\n", "app\nlayout\n"));
        let database = image.text("lib/apk/db/installed");
        // The sums are what `openssl dgst -sha1 -binary | base64` says of `app` and `#!/bin/sh` with their line feeds.
        let first = database.split("\n\n").next().unwrap();
        let lines: Vec<&str> =
            first.lines().filter(|line| !line.starts_with("C:") && !line.starts_with("S:")).collect();
        assert_eq!(
            lines,
            [
                "P:app",
                "V:1.0-r0",
                "A:x86_64",
                "L:MIT",
                "r:busybox",
                "F:etc",
                "R:motd",
                "Z:Q1jUlBFM5GgjVLh6phJ1oAorU/c6c=",
                "F:usr",
                "F:usr/bin",
                "R:app",
                "a:0:0:755",
                "Z:Q1vZcb7IgUmVZFihD8nF7LPrmd1FI=",
            ]
        );
        assert!(database.contains("\nR:su\na:0:0:4755\n"), "{database}");
        assert_eq!(database.matches("P:").count(), 5);
    }
}

#[test]
fn the_bases_own_packages_stay_in_the_database() {
    let repo = Repo::start(Over::Sha1, BUILT, &world());
    let project = Project::new().file(&format!("keys/{KEY}"), repo.key());
    let records = "P:busybox\nV:1.37.0-r0\nA:x86_64\nF:bin\nR:busybox\n\n";
    let base =
        Base::of([file("lib/apk/db/installed", records), file("etc/apk/world", "busybox\n")]).write(&project, "base");
    let text = manifest(&repo.mirror.url(), "install = [\"app\"]").replace("\"scratch\"", &format!("\"{base}\""));
    project.write("image.toml", text);
    let said = project.run(["update"]).success().stdout;
    assert!(said.contains("package app ") && !said.contains("busybox"), "{said}");
    let layout = project.build();
    let database = layout.image().text("lib/apk/db/installed").to_string();
    let names: Vec<&str> = database.lines().filter_map(|line| line.strip_prefix("P:")).collect();
    assert_eq!(names, ["busybox", "app", "app-openrc", "libapp"]);
    let bill = project.run(["sbom"]).success().stdout;
    assert!(bill.contains("pkg:apk/alpine/app@1.0-r0") && bill.contains("pkg:apk/alpine/busybox@1.37.0-r0"));
}

#[test]
fn relations_and_conflicts_are_those_of_apk() {
    let repo = Repo::start(Over::Sha1, BUILT, &world());
    let done = project(&repo, "install = [\"app\", \"hostile\"]").run(["update"]).fails(2);
    assert!(done.stderr.contains("cannot be installed together"), "{}", done.stderr);
    let done = project(&repo, "install = [\"apq\", \"app>2\"]").run(["update"]).fails(2);
    assert!(
        done.stderr.contains("did you mean `app`?") && done.stderr.contains("there is only 1.0-r0"),
        "{}",
        done.stderr
    );
    project(&repo, "install = [\"busybox~1.36\"]").run(["update"]).success();
    project(&repo, "install = [\"busybox~1.3\"]").run(["update"]).fails(2);
}

#[test]
fn pkg_01_and_03_an_index_is_believed_only_with_its_signature_and_not_older_than_before() {
    let repo = Repo::start(Over::Sha1, BUILT, &world());
    let project = project(&repo, "install = [\"busybox\"]");
    let good = repo.mirror.get(INDEX);
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (bytes, code) in
        [(damaged, 4), (good[..good.len() - 9].to_vec(), 4), (b"no index".to_vec(), 4), (Vec::new(), 4)]
    {
        repo.mirror.put(INDEX, bytes);
        let done = project.run(["update"]).fails(code);
        assert!(done.stderr.contains("APKINDEX"), "{}", done.stderr);
    }
    repo.mirror.put(INDEX, good);
    let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
    project.write(&format!("keys/{KEY}"), public(&other));
    let done = project.run(["update"]).fails(4);
    assert!(done.stderr.contains(&format!("the signature of `{KEY}` is wrong")), "{}", done.stderr);
    let text = std::fs::read_to_string(project.path("image.toml")).unwrap();
    project.write("image.toml", text.replace(&format!("keys/{KEY}"), "keys/other.rsa.pub"));
    project.write("keys/other.rsa.pub", repo.key());
    let done = project.run(["update"]).fails(4);
    assert!(done.stderr.contains("there is no file of this name in `keyring`"), "{}", done.stderr);
    project.write("image.toml", text);
    project.write(&format!("keys/{KEY}"), repo.key());
    project.run(["update"]).success();
    repo.publish(Over::Sha256, BUILT - 1, &world());
    let done = project.run(["update"]).fails(4);
    assert!(done.stderr.contains("older than the locked one"), "{}", done.stderr);
    project.run(["update", "--allow-older"]).success();
}

/// A package must be the one that its index knows, to the last byte, when it is locked and when it is built.
#[test]
fn pkg_02_a_package_is_the_one_that_its_index_knows() {
    let repo = Repo::start(Over::Sha1, BUILT, &world());
    let path = "v1/main/x86_64/busybox-1.36.1-r2.apk";
    let good = repo.mirror.get(path);
    let other = Apk { files: vec![("bin/busybox", "evil")], ..world()[2].clone() };
    let mut bytes = other.bytes().0;
    bytes.resize(good.len(), 0);
    let mut last = good.clone();
    *last.last_mut().unwrap() ^= 1;
    let mut front = good.clone();
    front[good.len() / 2] ^= 1;
    for bad in [bytes, last.clone(), front, good[1..].to_vec()] {
        repo.mirror.put(path, bad);
        project(&repo, "install = [\"busybox\"]").run(["update"]).fails(3);
    }
    repo.mirror.put(path, good);
    let project = project(&repo, "install = [\"busybox\"]");
    project.run(["update"]).success();
    repo.mirror.put(path, last);
    let fresh = Project::of(&std::fs::read_to_string(project.path("image.toml")).unwrap())
        .file("image.lock", std::fs::read(project.path("image.lock")).unwrap());
    let done = fresh.run(["build"]).fails(3);
    assert!(done.stderr.contains(path), "{}", done.stderr);
    project.run(["--offline", "build"]).success();
}

#[test]
fn two_distributions_in_one_image_are_refused() {
    let repo = Repo::start(Over::Sha1, BUILT, &world());
    let text = manifest(&repo.mirror.url(), "install = [\"app\"]");
    let both = format!("{text}[packages.debian]\nmirror = \"http://127.0.0.1\"\nsuite = \"x\"\ninstall = [\"a\"]\n");
    let done = Project::of(&both).run(["check"]).fails(2);
    assert!(done.stderr.contains("packages of one distribution, not of two"), "{}", done.stderr);
}
