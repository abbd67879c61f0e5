//! `prune --remote` on a real registry with 500 tags, and what stays seen by cosign and crane; `run` on a real engine.

use std::collections::BTreeSet;
use std::process::Command;

use crate::peers::{done, peer, registry};
use crate::project::{Project, digest, program};

/// cosign in a project's directory, with a home and a password of its own.
fn cosign(project: &Project, words: &[&str]) {
    let mut command = peer("cosign-2");
    command.current_dir(project.app()).env("HOME", project.room()).env("COSIGN_PASSWORD", "a password").args(words);
    done(&mut command);
}

fn crane(words: &[&str]) -> String {
    done(peer("crane").args(words))
}

/// Pushes an image of two platforms, made on this day, under these tags.
fn push(project: &Project, name: &str, day: usize, tags: &[String]) -> String {
    let tags: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
    project.write("motd", format!("day {day}\n"));
    project.manifest(&format!(
        "[image]\nname = \"{name}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         created = \"2026-{:02}-{:02}T00:00:00Z\"\n[[file]]\nsrc = \"motd\"\ndest = \"/motd\"\nlayer = \"own\"\n\
         [[file]]\ndest = \"/shared\"\ncontent = \"shared by all\"\nlayer = \"shared\"\n[tags]\nfixed = [{}]\n",
        1 + day / 28,
        1 + day % 28,
        tags.join(", ")
    ));
    digest(&project.run(&["push"]))
}

#[test]
fn prune_leaves_what_stays_whole_and_signed_on_a_registry_with_500_tags() {
    let server = registry(None);
    let name = format!("{}/team/app", server.host);
    let project = Project::new("[image]\nbase = \"scratch\"\n");
    cosign(&project, &["generate-key-pair", "--output-key-prefix", "mine"]);
    let mut images = Vec::new();
    for day in 0..50 {
        let mut tags: Vec<String> = (0..9).map(|at| format!("build-{day}-{at}")).collect();
        tags.push(if day % 10 == 0 { format!("1.{day}.0") } else { format!("pr-{day}") });
        let digest = push(&project, &name, day, &tags);
        // A signature under a tag, a bundle that refers to it by the referrers tag.
        if day % 5 == 0 {
            let at = format!("{name}@{digest}");
            cosign(&project, &["sign", "-y", "--key", "mine.key", "--tlog-upload=false", "--recursive", &at]);
            let signed = project
                .command(&["sign", &at, "--key", "mine.key", "--signature-format", "bundle"])
                .env("COSIGN_PASSWORD", "a password")
                .output()
                .unwrap();
            assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        }
        images.push((day, digest));
    }
    let tags = |()| -> BTreeSet<String> { crane(&["ls", &name]).lines().map(str::to_string).collect() };
    let before = tags(());
    assert!(before.len() >= 500, "{}", before.len());
    let words = ["prune", "--remote", &name, "--keep-last", "3", "--keep-semver"];
    let dry = project.run(&words);
    assert!(dry.status.success(), "{}", String::from_utf8_lossy(&dry.stderr));
    assert_eq!(tags(()), before);
    let pruned = project.run(&[&words[..], &["--yes"]].concat());
    assert!(pruned.status.success(), "{}", String::from_utf8_lossy(&pruned.stderr));
    let stays = |day: usize| day.is_multiple_of(10) || day >= 47;
    let after = tags(());
    let own: BTreeSet<usize> = after
        .iter()
        .filter_map(|tag| match tag.split(['-', '.']).collect::<Vec<_>>().as_slice() {
            ["build", day, _] | ["pr", day] | ["1", day, "0"] => Some(day.parse().unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(own, (0..50).filter(|day| stays(*day)).collect());
    for (day, digest) in &images {
        let at = format!("{name}@{digest}");
        if !stays(*day) {
            let gone = peer("crane").args(["manifest", &at]).output().unwrap();
            assert!(!gone.status.success(), "{day} is still there");
            assert!(!after.iter().any(|tag| tag.starts_with(&digest.replace(':', "-"))), "{day}");
            continue;
        }
        crane(&["validate", "--remote", &at]);
        if day % 5 == 0 {
            cosign(&project, &["verify", "--key", "mine.pub", "--insecure-ignore-tlog=true", &at]);
            let seen = project.run(&["verify", &at, "--key", "mine.pub", "--recursive"]);
            assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
        }
    }
    // The registry's own garbage collection takes nothing that stays, and there is nothing left to do.
    let again = project.run(&[&words[..], &["--yes"]].concat());
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("removed 0 tags"),
        "{}",
        String::from_utf8_lossy(&again.stdout)
    );
}

#[test]
fn run_is_docker_run_with_its_output_and_its_exit_code() {
    let project = Project::new("[image]\nbase = \"scratch\"\n").file("busybox", std::fs::read("/bin/busybox").unwrap());
    project.manifest(
        "[image]\nbase = \"scratch\"\nentrypoint = [\"/busybox\", \"sh\", \"-c\"]\n[[binary]]\nsrc = \"busybox\"\ndest = \"/busybox\"\n",
    );
    let docker = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    let run = |words: &[&str]| {
        let mut command: Command = project.command_of(&program(), words);
        command.env("DOCKER_HOST", &docker).env("PATH", crate::peers::path());
        command.output().unwrap()
    };
    let done = run(&["run", "-e", "WORD=hello", "--", "echo $WORD; exit 7"]);
    assert_eq!(done.status.code(), Some(7), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "hello\n");
}
