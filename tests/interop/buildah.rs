//! Dockerfiles that run nothing, imported and built here and built by `buildah bud`: the same files and the same config.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value};

#[allow(dead_code, reason = "shared with tests/it, which imports all of them")]
#[path = "../it/dockerfiles/cases.rs"]
mod cases;

use cases::{CASES, Case};

use crate::peers::{done, peer, run, said};
use crate::project::Project;

/// The parts of a config that a Dockerfile decides.
const FIELDS: [&str; 9] =
    ["User", "Env", "Entrypoint", "Cmd", "WorkingDir", "ExposedPorts", "Volumes", "Labels", "StopSignal"];

/// The context of a case, with the modes that a checkout gives.
fn context(case: &Case) -> Project {
    let mut project = Project::new("");
    fs::remove_file(project.app().join("image.toml")).unwrap();
    project = project.file("Dockerfile", case.text);
    for (path, content) in case.files {
        project = project.file(path, content);
        let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(project.app().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    run("find", [project.app().to_str().unwrap(), "-type", "d", "-exec", "chmod", "0755", "{}", "+"]);
    project
}

/// Its manifest, made from the Dockerfile.
fn import(project: &Project, case: &Case) {
    let init = project.run(&["init", "--from", "Dockerfile"]);
    assert!(init.status.success(), "{}: {}", case.name, said(&init));
    let text = fs::read_to_string(project.app().join("image.toml")).unwrap();
    let rules = "[check]\nmissing-interpreter = { level = \"allow\", reason = \"a test of other things\" }\n";
    let text = if text.contains("\n[check]\n") {
        text.replace("\n[check]\n", &format!("\n{rules}"))
    } else {
        text + "\n" + rules
    };
    project.write("image.toml", text);
}

/// What buildah makes of it, as a layout.
fn theirs(project: &Project, name: &str) -> std::path::PathBuf {
    let (root, runroot, out) = (project.out("buildah"), project.out("buildah-run"), project.out("theirs"));
    let buildah = |words: &[&str]| {
        let mut command = peer("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(&root).arg("--runroot").arg(&runroot);
        done(command.args(words).current_dir(project.app()).env("BUILDAH_ISOLATION", "chroot"))
    };
    buildah(&["bud", "--identity-label=false", "--quiet", "--tag", name, "."]);
    buildah(&["push", "--quiet", name, &format!("oci:{}:latest", out.display())]);
    out
}

/// The files of the image in a layout, as umoci unpacks them: path → type, mode, owner, target and content.
fn files(project: &Project, layout: &Path, name: &str) -> BTreeMap<String, String> {
    let bundle = project.out(name);
    run("umoci", ["unpack", "--image", &format!("{}:latest", layout.display()), bundle.to_str().unwrap()]);
    let root = bundle.join("rootfs");
    let facts = run("find", [root.to_str().unwrap(), "-mindepth", "1", "-printf", "%P\\t%y %m %U:%G %l\\n"]);
    let mut all = BTreeMap::new();
    for line in facts.lines() {
        let (path, facts) = line.split_once('\t').unwrap();
        let at = root.join(path);
        let content =
            if at.symlink_metadata().unwrap().is_file() { fs::read_to_string(at).unwrap() } else { String::new() };
        all.insert(path.to_string(), format!("{facts} {content:?}"));
    }
    all
}

/// The config of the image in a layout, as far as a Dockerfile decides it; what is empty counts as not there. The order of variables means
/// nothing, a signal may be written without its SIG, and `MAINTAINER`, which they keep outside of the config, is a label here.
fn config(layout: &Path) -> Map<String, Value> {
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |digest: &Value| read(&layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/")));
    let manifest = blob(&read(&layout.join("index.json"))["manifests"][0]["digest"]);
    let mut config = blob(&manifest["config"]["digest"])["config"].clone();
    if let Some(env) = config["Env"].as_array_mut() {
        env.sort_by_key(ToString::to_string);
    }
    if let Some(signal) = config["StopSignal"].as_str().filter(|signal| !signal.starts_with("SIG")) {
        config["StopSignal"] = format!("SIG{signal}").into();
    }
    if let Some(labels) = config["Labels"].as_object_mut() {
        labels.remove("org.opencontainers.image.authors");
    }
    let there = |name: &&str| {
        let value = &config[*name];
        !(value.is_null()
            || value == ""
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty))
    };
    FIELDS.into_iter().filter(there).map(|name| (name.to_string(), config[name].clone())).collect()
}

#[test]
fn what_runs_nothing_becomes_what_buildah_makes_of_it() {
    let mut odd = Vec::new();
    // The buildah of this suite is older than here-documents.
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.builds && !case.text.contains("<<")).collect();
    assert!(cases.len() >= 10);
    for case in cases {
        let project = context(case);
        let theirs = theirs(&project, &format!("stillframe-test-{}", case.name));
        import(&project, case);
        let (ours, _) = project.layout("ours");
        let (left, right) = (files(&project, &ours, "left"), files(&project, &theirs, "right"));
        for path in left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>() {
            if left.get(path) != right.get(path) {
                odd.push(format!("{}: {path}: {:?}, theirs {:?}", case.name, left.get(path), right.get(path)));
            }
        }
        let (left, right) = (config(&ours), config(&theirs));
        for field in FIELDS.into_iter().filter(|field| left.get(*field) != right.get(*field)) {
            odd.push(format!("{}: {field}: {:?}, theirs {:?}", case.name, left.get(field), right.get(field)));
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n"));
}
