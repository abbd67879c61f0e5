//! What a CI service is told: outputs, a summary, annotations at lines, variables for the jobs that follow; and the action of this
//! repository, whose shell lines are run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Project, scratch};

fn project() -> Project {
    Project::of(&scratch(
        "name = \"registry.test/acme/api\"\n[[file]]\ndest = \"/x\"\ncontent = \"x\"\n[tags]\nfixed = [\"edge\"]",
    ))
}

#[test]
fn a_workflow_gets_outputs_a_summary_and_variables() {
    let project = project().file("out.txt", "before=1\n");
    let run = project.run(["build"]).env("GITHUB_OUTPUT", "out.txt").env("GITHUB_STEP_SUMMARY", "summary.md");
    let digest = run.env("STILLFRAME_DOTENV", "image.env").success().digest();
    let image = format!("registry.test/acme/api@{digest}");
    let outputs = format!("before=1\nimage={image}\ndigest={digest}\ntags=edge\nimages={image}\n");
    assert_eq!(fs::read_to_string(project.path("out.txt")).unwrap(), outputs);
    let summary = fs::read_to_string(project.path("summary.md")).unwrap();
    assert!(summary.contains(&format!("| `{image}` | `edge` | `linux/amd64` |")), "{summary}");
    let dotenv = fs::read_to_string(project.path("image.env")).unwrap();
    assert_eq!(dotenv.lines().next(), Some(format!("STILLFRAME_IMAGE={image}").as_str()));
    assert!(dotenv.contains("STILLFRAME_TAGS=edge\n"), "{dotenv}");
}

#[test]
fn a_service_that_cannot_be_told_is_no_failure() {
    let done = project().run(["build"]).env("GITHUB_OUTPUT", "nowhere/out.txt").success();
    assert!(done.stderr.contains("`nowhere/out.txt` of `GITHUB_OUTPUT` was not written"), "{}", done.stderr);
}

#[test]
fn findings_are_annotations_of_a_workflow() {
    let project = Project::of("schema = 1\n[image]\nbase = \"scratch\"\n[[file]]\ndst = \"/x\"\ncontent = \"50%\"\n");
    let done = project.run(["check"]).env("GITHUB_ACTIONS", "true").fails(2);
    let line = done.stderr.lines().find(|line| line.starts_with("::error ")).unwrap_or_default();
    assert!(line.starts_with("::error file=image.toml,line=5,col=1,title="), "{}", done.stderr);
    assert!(line.contains("`dst`"), "{line}");
    assert!(!project.run(["check"]).fails(2).stderr.contains("::error"));
}

/// The shell lines of the action, run as its runner does.
#[test]
fn the_action_of_this_repository_installs_logs_in_and_runs() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml")).unwrap();
    let project = project();
    for (name, script) in [
        ("stillframe", format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_stillframe"))),
        ("cargo", "#!/bin/sh\nexit 1\n".to_string()),
    ] {
        project.write(&format!("bin/{name}"), script);
        fs::set_permissions(project.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (_, script) = text.split_once("run: |\n").unwrap();
    let install = text.lines().find_map(|line| line.trim().strip_prefix("run: command")).unwrap();
    for (command, code) in [("build -o oci:out", 0), ("check --explain nothing", 2), ("--format json check", 0)] {
        for script in [format!("command{install}"), script.to_string()] {
            let mut shell = Command::new("bash");
            shell
                .args(["-eo", "pipefail", "-c", &script])
                .current_dir(project.path(""))
                .env_clear()
                .env("COMMAND", command);
            shell.env("PATH", format!("{}:/usr/bin:/bin", project.path("bin").display())).env("VERSION", "");
            shell.env("HOME", project.home()).env("GITHUB_OUTPUT", project.path("outputs"));
            let done = shell.output().unwrap();
            let wanted = if script.starts_with("command") { 0 } else { code };
            assert_eq!(done.status.code(), Some(wanted), "{script}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
    assert!(fs::read_to_string(project.path("outputs")).unwrap().contains("digest=sha256:"));
    for output in ["image", "images", "digest", "tags"] {
        assert!(text.contains(&format!("steps.run.outputs.{output} }}}}")), "{output}");
    }
}
