//! SIGINT and SIGTERM while the program talks to a registry (check STA-03): exit code, temporaries, open uploads, locks.

use rustix::process::{Pid, Signal, kill_process};

use super::stand::noise;
use super::{How, Registry, on};
use crate::support::project::{Running, names};
use crate::support::{Project, scratch, tables};

const SIGNALS: [(Signal, i32, &str); 2] = [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")];

fn signal(running: &Running, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap(), signal).unwrap();
}

/// A project of three layers, one of them large, that goes to a registry.
fn project(registry: &Registry) -> Project {
    let manifest = scratch(&format!("name = \"{}/app\"\ncompression = \"none\"", registry.name()));
    let files = [
        ("file", "src = 'large'; dest = '/large'"),
        ("file", "dest = '/one'; content = '1'; layer = 'one'"),
        ("file", "dest = '/two'; content = '2'; layer = 'two'"),
    ];
    Project::of(&(manifest + &tables(&files))).file("large", noise(6 << 20))
}

/// Nothing of a run that was stopped is left, and nobody holds a lock: the same run, undisturbed, goes through.
fn leaves_nothing(project: &Project, outside: &[&str]) {
    assert!(names(&project.store().join("tmp")).is_empty(), "{:?}", names(&project.store().join("tmp")));
    assert_eq!(project.names(""), outside);
}

#[tokio::test(flavor = "multi_thread")]
async fn sta_03_a_stopped_push_gives_back_every_upload() {
    // Before the whole body came, and after it; the registry has four uploads open each time.
    for held in [true, false] {
        for (kind, code, word) in SIGNALS {
            let registry = Registry::start().await;
            let project = project(&registry);
            let slow = on("PUT", "/uploads/");
            registry.fault(if held { slow.hold_body(1) } else { slow.how(How::Silence) });
            let running = project.run(["-v", "push"]).start();
            registry.saw(4, "PUT", "/uploads/").await;
            signal(&running, kind);
            let done = running.ends().expect(code);
            assert!(done.stderr.contains(word) && done.stdout.is_empty(), "{}{}", done.stderr, done.stdout);
            assert_eq!(registry.count("DELETE", "/uploads/"), 4, "{held} {word}: {:?}", registry.told());
            assert!(registry.lock().model.uploads.is_empty(), "{held} {word}");
            assert!(registry.shelf("app").tags.is_empty());
            leaves_nothing(&project, &["image.toml", "large"]);
            registry.heal();
            let done = project.run(["push"]).success();
            assert!(!done.stderr.contains("another stillframe"), "{}", done.stderr);
            assert_eq!(registry.shelf("app").blobs.len(), 4);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sta_03_a_stopped_pull_leaves_nothing() {
    let registry = Registry::start().await;
    project(&registry).run(["push"]).success();
    let digest = registry.shelf("app").manifests.keys().next().unwrap().clone();
    let source = format!("{}/app@{digest}", registry.name());
    for output in ["store", "oci:out", "oci-archive:out.tar", "docker-archive:out.tar"] {
        for (kind, code, word) in SIGNALS {
            let project = Project::new();
            registry.forget();
            registry.heal();
            registry.fault(on("GET", "/blobs/").how(How::Stall(1)));
            let running = project.run(["-v", "pull", &source, "-o", output]).start();
            registry.saw(1, "GET", "/blobs/").await;
            signal(&running, kind);
            let done = running.ends().expect(code);
            assert!(done.stderr.contains(word) && done.stdout.is_empty(), "{output}: {}", done.stderr);
            leaves_nothing(&project, &[]);
            registry.heal();
            let done = project.run(["pull", &source, "-o", output]).success();
            assert!(!done.stderr.contains("another stillframe"), "{}", done.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sta_03_a_stop_while_waiting_to_come_back_ends_at_once() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    registry.fault(on("GET", "/manifests/").reply(super::Response::error(429, "X").header("Retry-After", "300")));
    for (kind, code, _) in SIGNALS {
        let project = Project::new();
        let mut running = project.run(["pull", &format!("{}/app:1", registry.name())]).start();
        while !running.says().contains("asks to come back") {}
        signal(&running, kind);
        running.ends().expect(code);
        leaves_nothing(&project, &[]);
    }
}
