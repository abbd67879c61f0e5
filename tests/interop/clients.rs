//! One digest everywhere: what we push, crane, skopeo, oras and docker pull; what they push, we pull and copy. On each make of registry.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::layout::{digest as held, images};
use crate::peers::{done, output, peer};
use crate::project::{Project, digest, noise};
use crate::servers::{ALL, Make, Place};

const SINGLE: &str = "";
const SEVERAL: &str = "platforms = [\"linux/amd64\", \"linux/arm64\"]";

/// A project for a repository; `platforms` is a line of its `[image]`.
fn project(repository: &str, platforms: &str) -> Project {
    Project::new(&format!(
        r#"
[image]
name = "{repository}"
base = "scratch"
{platforms}
[[file]]
src = "data"
dest = "/data"
[[file]]
dest = "/etc/arch"
content = "{{{{ platform.arch }}}}\n"
layer = "motd"
"#
    ))
    .file("data", noise(300_000, 31))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The digest of what a layout holds under a name, else of the only thing in it: oras lists the children beside their parent.
fn named(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let name = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"].is_string();
    match (entries.iter().find(name), entries.as_slice()) {
        (Some(entry), _) | (None, [entry]) => entry["digest"].as_str().unwrap().to_string(),
        _ => panic!("{index}"),
    }
}

/// Forgets an image that the engine has got.
struct Forgotten(String);

impl Drop for Forgotten {
    fn drop(&mut self) {
        let _ = peer("docker").args(["rmi", "--force", &self.0]).output();
    }
}

fn others_pull(make: Make) {
    let place = Place::start(make);
    for (path, platforms) in [("team/single", SINGLE), ("team/several", SEVERAL)] {
        let name = place.name(path);
        let project = project(&name, platforms);
        let digest = digest(&output(&mut place.ours(&project, &["push"])));
        let reference = format!("{name}@{digest}");
        done(&mut place.ours(&project, &["tag", &reference, "1"]));
        let tagged = format!("{name}:1");
        let out = |name: &str| text(&project.out(name));

        assert_eq!(done(&mut place.crane(&["digest", &tagged])).trim(), digest, "{make:?}");
        assert!(done(&mut place.crane(&["validate", "--remote", &reference])).contains("PASS"), "{make:?}");
        done(&mut place.crane(&["pull", "--format", "oci", &tagged, &out("crane")]));
        done(&mut place.skopeo_copy(&[&format!("docker://{tagged}"), &format!("oci:{}:1", out("skopeo"))]));
        done(&mut place.oras_copy("from", &["--to-oci-layout", &tagged, &format!("{}:1", out("oras"))]));
        for client in ["crane", "skopeo", "oras"] {
            let out = project.out(client);
            assert_eq!(named(&out), digest, "{client} from {make:?}");
            images(&out);
        }
        done(&mut place.docker(&["pull", "--quiet", &tagged]));
        let _forgotten = Forgotten(tagged.clone());
        let seen = done(&mut place.docker(&["image", "inspect", "--format", "{{json .RepoDigests}}", &tagged]));
        assert!(seen.contains(&reference), "docker from {make:?}: {seen}");
    }
}

fn we_pull(make: Make) {
    let place = Place::start(make);
    for (path, platforms) in [("theirs/single", SINGLE), ("theirs/several", SEVERAL)] {
        let name = place.name(path);
        let project = project(&name, platforms);
        let (layout, digest) = project.layout("layout");
        let layout = text(&layout);
        let tagged = |client: &str| format!("{name}:{client}");
        done(&mut place.crane(&["push", "--index", &layout, &tagged("index")]));
        if platforms == SINGLE {
            done(&mut place.crane(&["push", &layout, &tagged("crane")]));
            let _forgotten = docker_push(&place, &project, &tagged("docker"));
            same_here(&place, &project, &name, "docker");
        } else {
            done(&mut place.crane(&["copy", &format!("{name}@{digest}"), &tagged("crane")]));
        }
        done(&mut place.skopeo_copy(&[&format!("oci:{layout}:latest"), &format!("docker://{}", tagged("skopeo"))]));
        done(&mut place.oras_copy("to", &["--from-oci-layout", &format!("{layout}:latest"), &tagged("oras")]));
        for client in ["crane", "skopeo", "oras"] {
            assert_eq!(same_here(&place, &project, &name, client), digest, "{client} to {make:?}");
        }
    }
}

/// Lets the engine push what it loaded; it makes its own manifest.
fn docker_push(place: &Place, project: &Project, tagged: &str) -> Forgotten {
    let archive = text(&project.out("docker.tar"));
    project.build(&format!("docker-archive:{archive}"));
    let loaded = done(&mut place.docker(&["load", "--quiet", "--input", &archive]));
    let id = loaded.trim().rsplit(' ').next().unwrap();
    done(&mut place.docker(&["tag", id, tagged]));
    done(&mut place.docker(&["push", "--quiet", tagged]));
    Forgotten(tagged.to_string())
}

/// Pulls what a client pushed and copies it to another repository; the digest, which is the same everywhere.
fn same_here(place: &Place, project: &Project, name: &str, client: &str) -> String {
    let tagged = format!("{name}:{client}");
    let theirs = done(&mut place.crane(&["digest", &tagged])).trim().to_string();
    let out = project.out(&format!("from-{client}"));
    let pulled = digest(&output(&mut place.ours(project, &["pull", &tagged, "-o", &format!("oci:{}", text(&out))])));
    assert_eq!(pulled, theirs, "{client}");
    assert_eq!(held(&out), theirs, "{client}");
    images(&out);
    let copy = format!("{name}-copy:{client}");
    let copied = digest(&output(&mut place.ours(project, &["copy", &tagged, &copy])));
    assert_eq!(copied, theirs, "{client}");
    assert_eq!(done(&mut place.crane(&["digest", &copy])).trim(), theirs, "{client}");
    theirs
}

macro_rules! makes {
    ($($name:ident: $make:ident),*) => {
        mod what_we_push_others_pull {
            $(#[test] fn $name() { super::others_pull(super::Make::$make); })*
        }
        mod what_others_push_we_pull {
            $(#[test] fn $name() { super::we_pull(super::Make::$make); })*
        }
        #[test]
        fn no_make_is_left_out() {
            assert_eq!([$(Make::$make),*], ALL);
        }
    };
}

makes! {
    from_docker_registry: Plain,
    from_docker_registry_with_passwords: Passwords,
    from_docker_registry_behind_nginx: Tls,
    from_ferro: Ferro,
    from_crane: Crane
}
