//! The pipelines that `init --ci` writes: their shell lines are run as a CI service would, against a registry with passwords.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::git::git;
use crate::registry::Registry;
use crate::sigstore::{Rekor, Sigstore};
use crate::support::{Elf, Project};

/// The shell lines of a pipeline, in their order: `run:` of a workflow, items of GitLab's scripts, `sh` of Jenkins.
fn lines(text: &str) -> Vec<String> {
    let of = |line: &str| {
        let line = line.trim();
        let shell = line.strip_prefix("sh '").and_then(|line| line.strip_suffix('\''));
        let item = line.strip_prefix("- ").filter(|item| !item.contains(": ") && !item.contains("- if:"));
        let run = line.strip_prefix("run: ");
        run.or(shell).or(item).map(str::to_string)
    };
    text.lines().filter_map(of).collect()
}

/// A crate with a remote to push to, in a repository with a tag; its pipeline is written.
struct World {
    registry: Registry,
    sigstore: Sigstore,
    project: Project,
    file: &'static str,
}

impl World {
    async fn new(service: &str, file: &'static str) -> World {
        let registry = Registry::start().await;
        registry.basic("ann", "CANARY-password");
        let program = "target/x86_64-unknown-linux-musl/release/api";
        let project =
            Project::new().file("Cargo.toml", "[package]\nname = \"api\"\n").file(program, Elf::program().bytes());
        let name = format!("{}/acme/api", registry.name());
        project.run(["init", "--yes", "--ci", service, "--name", &name]).success();
        let sigstore = Sigstore::start();
        sigstore.write(&project.path(""), Rekor::V2, true);
        // The services of the test stand in for those of the world.
        let manifest = fs::read_to_string(project.path("image.toml")).unwrap();
        let services =
            "method = \"keyless\"\nsigning-config = \"signing_config.json\"\ntrusted-root = \"trusted_root.json\"";
        project.write("image.toml", manifest.replace("method = \"keyless\"", services));
        project.write(".gitignore", "/target\n/bin\n*.key\n*.sarif\n/receipt.json\n/.stillframe\n/tmp\n");
        for (name, script) in [
            ("cargo", "#!/bin/sh\ncase $1 in install|build) ;; *) exit 1 ;; esac\n".to_string()),
            ("stillframe", format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_stillframe"))),
        ] {
            project.write(&format!("bin/{name}"), script);
            fs::set_permissions(project.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir(project.path("tmp")).unwrap();
        git(&project, &["init", "-q"]);
        git(&project, &["add", "."]);
        git(&project, &["commit", "-qm", "one"]);
        git(&project, &["tag", "v1.2.0"]);
        World { registry, sigstore, project, file }
    }

    /// Runs all lines of the pipeline with these variables; the tags of the repository afterwards.
    fn run(&self, more: &[(&str, &str)]) -> Vec<String> {
        let text = fs::read_to_string(self.project.path(self.file)).unwrap();
        let lines = lines(&text);
        let said = |what: &str| lines.iter().any(|line| line.contains(what));
        assert!(said("stillframe check") || said("sarif check"), "{lines:?}");
        assert!(said("stillframe build") && said("stillframe release") && said("cargo build"), "{lines:?}");
        for line in &lines {
            let mut command = Command::new("sh");
            command.args(["-euc", line]).current_dir(self.project.path("")).env_clear();
            command.env("PATH", format!("{}:/usr/bin:/bin", self.project.path("bin").display()));
            command.env("HOME", self.project.home()).env("STILLFRAME_HOME", self.project.home().join("store"));
            command.env("RUNNER_TEMP", self.project.path("tmp")).env("WORKSPACE_TMP", self.project.path("tmp"));
            let done = command.envs(more.iter().copied()).output().unwrap();
            assert!(done.status.success(), "{line}\n{}", String::from_utf8_lossy(&done.stderr));
        }
        self.registry.shelf("acme/api").tags.into_keys().filter(|tag| !tag.starts_with("sha")).collect()
    }
}

const TAGS: [&str; 4] = ["1", "1.2", "1.2.0", "latest"];

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_of_github_builds_and_releases_keyless() {
    let world = World::new("github", ".github/workflows/image.yml").await;

    let token = world.sigstore.token("dev@example.com");
    let variables = [("GITHUB_ACTOR", "ann"), ("TOKEN", "CANARY-password"), ("SIGSTORE_ID_TOKEN", token.as_str())];
    assert_eq!(world.run(&variables), TAGS);
    assert!(world.sigstore.entries() > (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_of_gitlab_builds_and_releases_keyless() {
    let world = World::new("gitlab", ".gitlab-ci.yml").await;

    let token = world.sigstore.token("dev@example.com");
    let user = [("CI_REGISTRY_USER", "ann"), ("CI_REGISTRY_PASSWORD", "CANARY-password")];
    assert_eq!(world.run(&[&user[..], &[("SIGSTORE_ID_TOKEN", token.as_str())]].concat()), TAGS);
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_with_a_key_release_too() {
    for (service, file, user, password) in [
        ("forgejo", ".forgejo/workflows/image.yml", "GITHUB_ACTOR", "TOKEN"),
        ("jenkins", "Jenkinsfile", "REGISTRY_USR", "REGISTRY_PSW"),
    ] {
        let world = World::new(service, file).await;

        let made = world.project.run(["keygen", "--output-prefix", "tmp/ci"]).env("COSIGN_PASSWORD", "CANARY-key");
        made.success();
        let key = fs::read_to_string(world.project.path("tmp/ci.key")).unwrap();
        let variables = [
            (user, "ann"),
            (password, "CANARY-password"),
            ("COSIGN_PRIVATE_KEY", key.as_str()),
            ("COSIGN_PASSWORD", "CANARY-key"),
        ];
        assert_eq!(world.run(&variables), TAGS, "{service}");
    }
}
