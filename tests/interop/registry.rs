//! A real registry, `docker-registry`: what we push is what others see, and what others pushed is a base for us.

use std::fs;

use serde_json::Value;

use crate::layout::{images, text};
use crate::peers::{Server, done, output, peer, registry, run, said};
use crate::project::{Project, digest, noise, refused};
use crate::servers::{AUTH, LOGIN};

/// A project that is pushed to a repository; `image` is more of its `[image]`.
fn project(repository: &str, image: &str) -> Project {
    Project::new(&format!(
        r#"
[image]
name = "{repository}"
{image}
[[file]]
src = "data"
dest = "/data"
[[file]]
dest = "/etc/motd"
content = "pushed\n"
layer = "motd"
"#
    ))
    .file("data", noise(2_000_000, 21))
}

/// A directory with a `config.json` that knows the registry.
fn login(project: &Project, server: &Server) -> String {
    let directory = project.out("docker");
    fs::create_dir_all(&directory).unwrap();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{AUTH}"}}}}}}"#, server.host);
    fs::write(directory.join("config.json"), config).unwrap();
    directory.display().to_string()
}

#[test]
fn others_see_what_we_push() {
    let server = registry(None);
    let name = format!("{}/team/app", server.host);
    let project = project(&name, "base = \"scratch\"");
    let digest = digest(&project.run(&["push"]));
    let reference = format!("{name}@{digest}");
    assert_eq!(run("crane", ["digest", &reference]).trim(), digest);
    let validated = run("crane", ["validate", "--remote", &reference]);
    assert!(validated.contains("PASS"), "{validated}");
    let raw = run("skopeo", ["inspect", "--tls-verify=false", "--raw", &format!("docker://{reference}")]);
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    let seen = run("oras", ["manifest", "fetch", "--plain-http", "--descriptor", &reference]);
    assert!(seen.contains(&digest), "{seen}");
    // Again: nothing is sent that is there.
    let receipt = project.out("receipt.json");
    let again = project.run(&["push", "--receipt", &receipt.display().to_string()]);
    assert_eq!(crate::project::digest(&again), digest);
    let receipt = fs::read_to_string(receipt).unwrap();
    assert!(receipt.contains("already there") && !receipt.contains("uploaded"), "{receipt}");
}

#[test]
fn several_platforms_make_an_index() {
    let server = registry(None);
    let name = format!("{}/several", server.host);
    let project = project(&name, "base = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]");
    let digest = digest(&project.run(&["push"]));
    let reference = format!("{name}@{digest}");
    let index: Value = serde_json::from_str(&run("crane", ["manifest", &reference])).unwrap();
    let media_type = text(&index["mediaType"]);
    assert_eq!(media_type, "application/vnd.oci.image.index.v1+json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    for platform in ["linux/amd64", "linux/arm64"] {
        let config = run("crane", ["config", "--platform", platform, &reference]);
        assert!(config.contains(platform.rsplit('/').next().unwrap()), "{config}");
    }
    assert!(run("crane", ["validate", "--remote", &reference]).contains("PASS"));
}

#[test]
fn a_registry_with_passwords_lets_in_who_knows_one() {
    let server = registry(Some(LOGIN));
    let name = format!("{}/private/app", server.host);
    let project = project(&name, "base = \"scratch\"");
    let stranger = project.run(&["push"]);
    refused(&stranger, 3, &[&server.host]);
    let docker = login(&project, &server);
    let pushed = output(project.command(&["-vv", "push"]).env("DOCKER_CONFIG", &docker));
    let digest = digest(&pushed);
    assert!(!said(&pushed).contains(LOGIN.1) && !said(&pushed).contains(AUTH), "a secret was shown");
    let seen = done(peer("crane").env("DOCKER_CONFIG", &docker).args(["digest", &format!("{name}@{digest}")]));
    assert_eq!(seen.trim(), digest);
}

#[test]
fn what_others_pushed_is_a_base() {
    for login_needed in [false, true] {
        let server = registry(login_needed.then_some(LOGIN));
        let below = project("unused.test/base", "base = \"scratch\"");
        let (layout, _) = below.layout("layout");
        let base = format!("{}/base", server.host);
        let mut copy = peer("skopeo");
        copy.args(["copy", "--quiet", "--dest-tls-verify=false", "--format", "v2s2"]);
        if login_needed {
            copy.arg("--dest-creds").arg(format!("{}:{}", LOGIN.0, LOGIN.1));
        }
        done(copy.arg(format!("oci:{}:latest", layout.display())).arg(format!("docker://{base}:1")));
        let docker = login(&below, &server);
        let pinned = done(peer("crane").env("DOCKER_CONFIG", &docker).args(["digest", &format!("{base}:1")]));
        let above = Project::new(&format!(
            "[image]\nname = \"{}/above\"\nbase = \"{base}:1@{}\"\n[[file]]\ndest = \"/etc/above\"\ncontent = \"above\"\n",
            server.host,
            pinned.trim()
        ));
        let out = above.out("out");
        let mut build = above.command(&["build", "-o", &format!("oci:{}", out.display())]);
        digest(&output(build.env("DOCKER_CONFIG", &docker)));
        let (image, base_image) = (&images(&out)[0], &images(&layout)[0]);
        let descriptors = |image: &crate::layout::Image| {
            let layers = image.manifest["layers"].as_array().unwrap().clone();
            layers.iter().map(|layer| (layer["digest"].clone(), layer["size"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(descriptors(image)[..2], descriptors(base_image), "the layers of the base pass unchanged");
        assert_eq!(image.layers.len(), 3);
        let pushed = digest(&output(above.command(&["push"]).env("DOCKER_CONFIG", &docker)));
        let reference = format!("{}/above@{pushed}", server.host);
        let valid = done(peer("crane").env("DOCKER_CONFIG", &docker).args(["validate", "--remote", &reference]));
        assert!(valid.contains("PASS"), "{valid}");
    }
}

#[test]
fn con_13_two_blobs_of_one_layer_are_two_blobs() {
    let server = registry(None);
    let layer = "[[file]]\nsrc = \"data\"\ndest = \"/data\"\n";
    let below = Project::new(&format!("[image]\nname = \"{}/below\"\nbase = \"scratch\"\n{layer}", server.host));
    let below = below.file("data", noise(200_000, 51));
    let base = digest(&below.run(&["push"]));
    let name = format!("{}/above", server.host);
    let above = Project::new(&format!(
        "[image]\nname = \"{name}\"\nbase = \"{}/below@{base}\"\ncompression = \"zstd\"\n{layer}",
        server.host
    ))
    .file("data", noise(200_000, 51));
    let pushed = digest(&above.run(&["push"]));
    let reference = format!("{name}@{pushed}");
    let manifest: Value = serde_json::from_str(&run("crane", ["manifest", &reference])).unwrap();
    let config: Value = serde_json::from_str(&run("crane", ["config", &reference])).unwrap();
    let (layers, ids) = (manifest["layers"].as_array().unwrap(), config["rootfs"]["diff_ids"].as_array().unwrap());
    assert_eq!((layers.len(), ids.len()), (2, 2), "{manifest} {config}");
    assert_eq!(ids[0], ids[1], "one content");
    assert_ne!(layers[0]["digest"], layers[1]["digest"], "two blobs");
    let out = above.out("pulled");
    done(
        peer("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false"])
            .args([format!("docker://{reference}"), format!("oci:{}:1", out.display())]),
    );
    assert_eq!(images(&out)[0].layers.len(), 2);
}

#[test]
fn a_mirror_stands_in_for_a_registry_that_is_away() {
    let (mirror, away) = (registry(None), "127.0.0.1:1");
    let kept = project(&format!("{}/hub/team/app", mirror.host), "base = \"scratch\"");
    let digest = digest(&kept.run(&["push"]));
    let hosts = kept.out("registries.toml");
    let pull = |name: &str, hosts_text: String| {
        fs::write(&hosts, hosts_text).unwrap();
        let other = project("unused.test/app", "base = \"scratch\"");
        let reference = format!("{name}/team/app@{digest}");
        let out = format!("oci:{}", other.out("out").display());
        output(other.command(&["pull", &reference, "-o", &out]).env("STILLFRAME_REGISTRIES", &hosts))
    };
    let declared = format!("[host.\"{away}\"]\nmirrors = [\"{}/hub\"]\n", mirror.host);
    assert_eq!(crate::project::digest(&pull(away, declared.clone())), digest);
    // Without it the registry is away, and what the mirror has not is looked for at the registry.
    refused(&pull(away, format!("[host.\"{away}\"]\n")), 3, &[away, "could not connect"]);
    refused(&pull(away, declared.replace("/hub", "/nothing")), 3, &[away]);
}
