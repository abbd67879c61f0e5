//! stillframe's own image: `imagefile.toml`, made by stillframe of its own static program, pushed, and run.

use std::fs;
use std::path::Path;

use crate::peers::{registry, run};
use crate::project::{Project, digest, release};

#[test]
fn the_image_of_this_repository_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = registry(None);
    let name = format!("{}/tools/stillframe", server.host);
    let project = Project::new("");
    fs::remove_file(project.app().join("image.toml")).unwrap();
    for file in ["imagefile.toml", "LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(root.join(file), project.app().join(file)).unwrap();
    }
    let below = project.app().join("target/x86_64-unknown-linux-musl/release");
    fs::create_dir_all(&below).unwrap();
    fs::copy(release(), below.join("stillframe")).unwrap();
    project.write(".gitignore", "/target\n");
    let app = project.app().display().to_string();
    let git = |words: &[&str]| {
        let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-C", app.as_str()];
        run("git", who.iter().chain(words));
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "A release"]);
    git(&["tag", "v0.1.0"]);
    let words = ["push", "--set", &format!("name={name}")];
    let pushed = digest(&project.run(&words));
    assert_eq!(digest(&project.run(&words)), pushed);
    let image = format!("{name}@{pushed}");
    run("crane", ["validate", "--remote", &image]);
    assert_eq!(run("crane", ["digest", &format!("{name}:0.1")]).trim(), pushed);
    run("docker", ["pull", "--quiet", &image]);
    let said = run("docker", ["run", "--rm", "--network", "none", "--read-only", &image, "--version"]);
    let user = run("docker", ["image", "inspect", "--format", "{{.Config.User}}", &image]);
    run("docker", ["rmi", "--force", &image]);
    assert_eq!(said.trim(), concat!("stillframe ", env!("CARGO_PKG_VERSION")));
    assert_eq!(user.trim(), "65532:65532");
}
