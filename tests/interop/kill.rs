//! A kill or a fault at every call that changes files: the next run gives the right image without help, and what was there stays whole.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

use crate::layout::{self, images};
use crate::peers::{output, peer, said};
use crate::project::{Project, digest, noise, program, refused};

/// The calls that leave something behind. strace counts each of them by itself in each thread.
const CALLS: [&str; 8] = ["write", "fsync", "rename", "mkdir", "unlink", "openat", "flock", "chmod,fchmod,ftruncate"];
/// More calls of one kind than a build makes in one thread.
const MANY: u32 = 400;

fn small() -> Project {
    Project::new(
        r#"
[image]
base = "scratch"
[[file]]
src = "tree"
dest = "/tree"
[[file]]
src = "noise"
dest = "/noise"
layer = "noise"
"#,
    )
    .file("tree/a", "a")
    .file("tree/b/c", "c")
    .file("noise", noise(1_200_000, 5))
}

/// A build into a layout with a fault in it: what strace is to inject.
fn injected(project: &Project, inject: &str, destination: &str) -> Output {
    let mut command = peer("strace");
    project.prepare(&mut command);
    let log = project.out("strace");
    command.args(["-f", "-qq", "-e", &format!("inject={inject}"), "-o"]).arg(log).arg(program());
    output(command.args(["build", "-o", destination]))
}

/// Whether a run under strace was killed, itself or as seen by it.
fn killed(output: &Output) -> bool {
    output.status.signal() == Some(9) || output.status.code() == Some(137)
}

/// Kills at the n-th call for all n, with `check` after each kill, until a run ends by itself.
fn at_every_call(project: &Project, out: &Path, before: impl Fn(), check: impl Fn(&str)) {
    let destination = format!("oci:{}", out.display());
    for call in CALLS {
        let mut ended = false;
        for at in 1..MANY {
            before();
            let output = injected(project, &format!("{call}:signal=KILL:when={at}"), &destination);
            let what = format!("{call} {at}");
            check(&what);
            if !killed(&output) {
                digest(&output);
                ended = true;
                break;
            }
        }
        assert!(ended, "{call}: more than {MANY} calls");
    }
}

#[test]
fn a_kill_at_any_call_leaves_a_store_that_works() {
    let project = small();
    let (_, right) = project.layout("right");
    let out = project.out("out");
    let fresh = || {
        project.forget();
        let _ = fs::remove_dir_all(&out);
    };
    at_every_call(&project, &out, fresh, |what| {
        if out.exists() {
            assert_eq!(layout::digest(&out), right, "{what}: a layout that is there is whole");
            images(&out);
        }
        let (again, digest) = project.layout("out");
        assert_eq!(digest, right, "{what}");
        images(&again);
    });
    let left: Vec<_> = fs::read_dir(project.room()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "temporaries are left: {left:?}");
}

#[test]
fn a_kill_at_any_call_leaves_an_old_layout_whole() {
    let (project, out) = (small(), small().out("unused"));
    drop(out);
    let out = project.out("out");
    let (kept, old) = project.layout("kept");
    project.write("tree/a", "another a");
    let (_, new) = project.layout("new");
    let restore = || {
        let _ = fs::remove_dir_all(&out);
        crate::peers::run("cp", [Path::new("-a"), &kept, &out]);
    };
    at_every_call(&project, &out, restore, |what| {
        let found = layout::digest(&out);
        assert!(found == old || found == new, "{what}: {found}");
        images(&out);
    });
}

#[test]
fn a_fault_half_way_leaves_an_old_layout_whole() {
    let project = small();
    let (kept, old) = project.layout("out");
    project.write("tree/a", "another a");
    let destination = format!("oci:{}", kept.display());
    for (call, error) in [("fsync", "EIO"), ("rename", "EIO"), ("fsync", "ENOSPC"), ("rename", "ENOSPC")] {
        for at in 1..MANY {
            let output = injected(&project, &format!("{call}:error={error}:when={at}"), &destination);
            images(&kept);
            if output.status.success() {
                assert!(at > 1, "{call} is never called");
                assert_ne!(digest(&output), old);
                assert_eq!(layout::digest(&kept), digest(&output));
                break;
            }
            refused(&output, 5, &["error"]);
            assert!(at + 1 < MANY);
        }
        // Back to the old image for the next fault.
        project.write("tree/a", "a");
        assert_eq!(project.build(&destination), old);
        project.write("tree/a", "another a");
    }
}

#[test]
fn a_failed_flush_is_a_failure() {
    let project = small();
    for destination in ["oci", "oci-archive", "docker-archive"] {
        let out = project.out(destination);
        let to = format!("{destination}:{}", out.display());
        refused(&injected(&project, "fsync,fdatasync:error=EIO", &to), 5, &["writing", "Input/output error"]);
        assert!(!out.exists(), "{destination}");
        project.build(&to);
        assert!(out.exists(), "{destination}");
    }
}

#[test]
fn a_write_that_finds_no_space_is_a_failure() {
    let project = small();
    let (_, right) = project.layout("right");
    let out = project.out("out.tar");
    let to = format!("oci-archive:{}", out.display());
    let mut failures = 0;
    for at in 1..40 {
        project.forget();
        let _ = fs::remove_file(&out);
        let output = injected(&project, &format!("write:error=ENOSPC:when={at}"), &to);
        assert!(!said(&output).contains("panicked"), "{at}: {}", said(&output));
        if output.status.success() {
            assert_eq!(digest(&output), right, "{at}");
        } else {
            assert!(!out.exists(), "{at}");
            failures += 1;
        }
    }
    assert!(failures > 2, "{failures} writes failed");
}

#[test]
fn locks_that_do_not_work_are_a_warning() {
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS"] {
        let project = small();
        let (_, right) = project.layout("right");
        project.forget();
        let out = project.out("out");
        let output = injected(&project, &format!("flock:error={error}"), &format!("oci:{}", out.display()));
        assert_eq!(digest(&output), right, "{error}");
        assert!(said(&output).contains("locks do not work"), "{error}: {}", said(&output));
        images(&out);
    }
}
