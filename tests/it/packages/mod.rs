//! Packages of a distribution: from a signed mirror that runs here to an image, and everything that may go wrong on the way.

mod alpine;
mod apk;
mod build;
pub mod examples;
mod golden;
mod pins;
mod repo;
mod trust;
mod update;

use repo::{Deb, Repo, Said, deb};

use crate::support::Project;

/// A repository with a small world in it.
fn world() -> Vec<Deb> {
    vec![
        deb(
            "app",
            "1.0-1",
            "Depends: libapp (>= 1.0), data | other-data",
            &[
                ("usr/", ""),
                ("usr/bin/", ""),
                ("usr/bin/app", "#!/bin/sh\n"),
                ("usr/bin/su", "\x7fELF"),
                ("etc/app.conf", "app\n"),
                ("usr/share/doc/app/copyright", "free\n"),
            ],
        )
        .script("md5sums", "0  usr/bin/app\n")
        .script("postinst", "#!/bin/sh\nadduser --system app\n"),
        deb(
            "libapp",
            "1.0-1",
            "",
            &[
                ("lib/x86_64-linux-gnu/libapp.so.1.0", "\x7fELF"),
                ("lib/x86_64-linux-gnu/libapp.so.1 -> libapp.so.1.0", ""),
            ],
        ),
        Deb { architecture: "all", ..deb("data", "2:3", "", &[("usr/share/app/data", "data\n")]) },
        deb("other-data", "1", "Conflicts: data", &[("usr/share/app/data", "other\n")]),
        deb(
            "base-passwd",
            "1",
            "",
            &[
                (
                    "usr/share/base-passwd/passwd.master",
                    "root:*:0:0:root:/root:/bin/bash\nwww-data:*:33:33:www-data:/var/www:/usr/sbin/nologin\n",
                ),
                ("usr/share/base-passwd/group.master", "root:*:0:\nwww-data:*:33:\n"),
            ],
        ),
    ]
}

/// A manifest for packages of a mirror; the rest follows below `[packages.debian]`.
fn manifest(image: &str, mirror: &str, rest: &str) -> String {
    format!(
        "schema = 1\n[image]\nbase = \"scratch\"\n{image}\n[packages.debian]\nmirror = \"{mirror}\"\nsuite = \"bookworm\"\nkeyring = \"keys.asc\"\n{rest}\n[check]\nroot-user = \"allow\"\n"
    )
}

/// A project with this manifest and the repository's keyring.
fn project(repo: &Repo, rest: &str) -> Project {
    Project::of(&manifest("", &repo.mirror.url(), rest)).file("keys.asc", repo.keyring())
}

/// A repository with the small world, published as usual.
fn usual() -> Repo {
    let repo = Repo::start();
    repo.publish("", &Said::default(), &world());
    repo
}
