//! A real Debian as a base, laid out by other programs: debootstrap and umoci. What we put on it lands where a person means it to,
//! changes nothing that it was not told to, and runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::layout::{images, judge, text};
use crate::peers::{cache, peer, run, shell};
use crate::project::{Project, refused};

/// The suite that is installed.
const SUITE: &str = "bookworm";

/// An OCI layout with Debian in it and its digest; made once, kept in the cache.
pub fn debian() -> (PathBuf, String) {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    let layout = LAYOUT.get_or_init(|| {
        let layout = cache().join(format!("{SUITE}-layout"));
        if !layout.is_dir() {
            make(&layout);
        }
        layout
    });
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    (layout.clone(), text(&index["manifests"][0]["digest"]))
}

fn make(layout: &Path) {
    let room = tempfile::tempdir_in(cache()).unwrap();
    let script = format!(
        r#"
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | LC_ALL=C sort -u | sed -n 1p)
debootstrap --variant=minbase {SUITE} rootfs "$mirror" >debootstrap.log 2>&1 || {{ tail -n 30 debootstrap.log >&2; exit 1; }}
rm -rf rootfs/var/cache/apt/archives/*.deb rootfs/var/lib/apt/lists/*
tar --sort=name --mtime=@0 --numeric-owner --xattrs -C rootfs -cf rootfs.tar .
umoci init --layout layout
umoci new --image layout:debian
umoci config --image layout:debian --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --config.cmd /bin/bash
umoci raw add-layer --image layout:debian rootfs.tar
umoci gc --layout layout
"#
    );
    shell(room.path(), &script);
    fs::rename(room.path().join("layout"), layout).unwrap();
}

/// A project on Debian, with this manifest below its `base`.
fn project(image: &str, rest: &str) -> Project {
    let (layout, digest) = debian();
    let project = Project::new(&format!("[image]\nbase = \"oci:debian@{digest}\"\n{image}\n{rest}"));
    run("cp", [Path::new("-a"), &layout, &project.app().join("debian")]);
    project
}

/// Builds, lets the judge see our layers, and unpacks with umoci; the root of the tree.
fn unpacked(project: &Project) -> PathBuf {
    let (out, _) = project.layout("out");
    let image = &images(&out)[0];
    judge(image, 1);
    let bundle = project.out("bundle");
    run("umoci", ["unpack", "--image", &format!("{}:latest", out.display()), &bundle.display().to_string()]);
    bundle.join("rootfs")
}

/// The base itself, unpacked.
fn untouched(project: &Project) -> PathBuf {
    let bundle = project.out("untouched");
    let image = format!("{}:debian", debian().0.display());
    run("umoci", ["unpack", "--image", &image, &bundle.display().to_string()]);
    bundle.join("rootfs")
}

/// Each path of a tree with its type, mode, owner, size and target.
pub fn tree(root: &Path) -> Vec<String> {
    let listed = run("find", [root.as_os_str(), "-printf".as_ref(), "%P %y %m %U:%G %s %l\\n".as_ref()]);
    // A directory's size is the file system's affair.
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        if words.get(1) == Some(&"d") {
            words[4] = "-";
        }
        words.join(" ")
    };
    let mut lines: Vec<String> = listed.lines().map(line).collect();
    lines.sort();
    lines
}

/// What is only in the first, and what is only in the second.
pub fn differences(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| those.binary_search(line).is_err()).cloned().collect::<Vec<_>>()
    };
    (only(before, after), only(after, before))
}

#[test]
fn a_file_below_a_link_of_the_base_lands_at_the_links_target() {
    let project = project("", "[[file]]\ndest = \"/lib/x/y\"\ncontent = \"below a link\"\n");
    let root = unpacked(&project);
    assert_eq!(fs::read_link(root.join("lib")).unwrap(), Path::new("usr/lib"));
    assert_eq!(fs::read_to_string(root.join("usr/lib/x/y")).unwrap(), "below a link");
    let (gone, new) = differences(&tree(&untouched(&project)), &tree(&root));
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(new, ["usr/lib/x d 755 0:0 - ", "usr/lib/x/y f 644 0:0 12 "]);
}

#[test]
fn names_of_users_are_looked_up_in_the_base() {
    let rest = "[[file]]\ndest = \"/srv/page\"\ncontent = \"page\"\nowner = \"www-data\"\n";
    let project = project("user = \"www-data\"", rest);
    let root = unpacked(&project);
    let config = &images(&project.out("out"))[0].config;
    assert_eq!(config["config"]["User"], "33:33");
    let page = tree(&root).into_iter().find(|line| line.starts_with("srv/page ")).unwrap();
    assert_eq!(page, "srv/page f 644 33:33 4 ");
    let unknown = self::project("user = \"no-such-user\"", "");
    refused(&unknown.run(&["check"]), 2, &["no-such-user"]);
}

#[test]
fn directories_of_the_base_change_only_when_told() {
    let files = "[[file]]\ndest = \"/var/mail/new\"\ncontent = \"\"\n[[file]]\ndest = \"/tmp/new\"\ncontent = \"\"\n";
    let project = project("", files);
    let before = tree(&untouched(&project));
    let (gone, new) = differences(&before, &tree(&unpacked(&project)));
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(new.len(), 2, "{new:?}");
    let told = self::project("", "[[dir]]\ndest = \"/srv\"\nmode = \"0700\"\nowner = \"33:33\"\nreplace = true\n");
    let (gone, new) = differences(&before, &tree(&unpacked(&told)));
    assert_eq!((gone, new), (vec!["srv d 755 0:0 - ".into()], vec!["srv d 700 33:33 - ".into()]));
}

#[test]
fn a_directory_that_is_there_already_stays_as_it_is() {
    let project = project("", "[[dir]]\ndest = \"/srv\"\n[[file]]\ndest = \"/srv/new\"\ncontent = \"\"\n");
    let (gone, new) = differences(&tree(&untouched(&project)), &tree(&unpacked(&project)));
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(new, ["srv/new f 644 0:0 0 "]);
}

#[test]
fn what_is_removed_is_hidden_and_nothing_else() {
    let project = project("", "[[remove]]\ndest = \"/usr/share/doc\"\n[[remove]]\ndest = \"/etc/motd\"\n");
    // The smallest Debian has no `/etc/motd` to begin with in some releases; then it is an error that says so.
    let before = tree(&untouched(&project));
    if !before.iter().any(|line| line.starts_with("etc/motd ")) {
        refused(&project.run(&["build"]), 2, &["/etc/motd"]);
        let manifest = fs::read_to_string(project.app().join("image.toml")).unwrap();
        project.write("image.toml", manifest.replace("/etc/motd", "/etc/issue"));
    }
    let (gone, new) = differences(&before, &tree(&unpacked(&project)));
    assert!(new.is_empty(), "{new:?}");
    let hidden = |line: &String| {
        line.starts_with("usr/share/doc ") || line.starts_with("usr/share/doc/") || line.starts_with("etc/")
    };
    assert!(gone.len() > 10 && gone.iter().all(hidden), "{gone:?}");
    assert_eq!(gone.iter().filter(|line| line.starts_with("etc/")).count(), 1, "{gone:?}");
}

#[test]
fn a_dynamic_program_runs_on_it() {
    let name = format!("stillframe.test/dynamic-{}", std::process::id());
    let image = format!("name = \"{name}\"\nentrypoint = [\"/app/hello\"]\nuser = \"www-data\"\nworkdir = \"/tmp\"");
    let rest = "[env]\nPATH = { prepend = \"/app\" }\nGREETING = \"hello\"\n[[binary]]\nsrc = \"hello\"\ndest = \"/app/hello\"\nlink = \"dynamic\"\n";
    let project = project(&image, rest);
    crate::docker::compile(&project.app().join("hello"), &[]);
    project.build("docker");
    let said = run("docker", ["run", "--rm", "--network", "none", &name, "debian"]);
    let path =
        run("docker", ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", &name, "-c", "echo $PATH"]);
    let _ = peer("docker").args(["rmi", "--force", &name]).output();
    assert_eq!(said, "hello debian 33:33 /tmp writes\n");
    assert_eq!(path, "/app:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
}
