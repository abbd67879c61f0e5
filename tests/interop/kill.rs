//! A kill or a fault at every call that changes files: the next run gives the right image without help, and what was there stays whole.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

use crate::layout::{self, images};
use crate::peers::{output, peer, run, said};
use crate::project::{Project, digest, noise, program, refused};

/// The calls that leave something behind. strace counts each of them by itself in each thread.
const CALLS: [&str; 9] =
    ["write", "fsync", "rename", "renameat", "mkdir", "unlink", "openat", "flock", "chmod,fchmod,ftruncate"];
/// Longest time for one build with a fault in it, in seconds; what hangs ends with code 124.
const LONGEST: &str = "60";
/// Fewer kills than this in all would mean that the faults miss the program.
const FEW: u32 = 30;
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
    let mut command = peer("timeout");
    project.prepare(&mut command);
    let log = project.out("strace");
    command
        .args(["--kill-after=5", LONGEST, "strace", "-f", "-qq", "-e", &format!("inject={inject}"), "-o"])
        .arg(log)
        .arg(program());
    output(command.args(["build", "-o", destination]))
}

/// Whether a run under strace was killed, itself or as seen by it.
fn killed(output: &Output) -> bool {
    output.status.signal() == Some(9) || output.status.code() == Some(137)
}

/// Kills at the n-th call for all n, with `check` after each kill, until a run ends by itself.
fn at_every_call(project: &Project, out: &Path, before: impl Fn(), check: impl Fn(&str)) {
    let destination = format!("oci:{}", out.display());
    let mut kills = 0;
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
            kills += 1;
        }
        assert!(ended, "{call}: more than {MANY} calls");
    }
    assert!(kills > FEW, "only {kills} kills");
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
    let project = small();
    let out = project.out("out");
    let (kept, old) = project.layout("kept");
    project.write("tree/a", "another a");
    let (_, new) = project.layout("new");
    let restore = || {
        let _ = fs::remove_dir_all(&out);
        run("cp", [Path::new("-a"), &kept, &out]);
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
    let back = || {
        project.write("tree/a", "a");
        assert_eq!(project.build(&destination), old);
        project.write("tree/a", "another a");
    };
    // The store renames by `rename`, layouts by `renameat`; what is only remembered for the next time may fail.
    let calls = ["fsync", "renameat", "rename"];
    for (call, error) in calls.into_iter().flat_map(|call| [(call, "EIO"), (call, "ENOSPC")]) {
        let mut failures = 0;
        for at in 1..MANY {
            let output = injected(&project, &format!("{call}:error={error}:when={at}"), &destination);
            images(&kept);
            let hit = fs::read_to_string(project.out("strace")).unwrap().contains("(INJECTED)");
            if output.status.success() {
                // No such call any more, or one for what is only remembered for the next time.
                assert_ne!(digest(&output), old);
                assert_eq!(layout::digest(&kept), digest(&output));
                back();
            } else {
                refused(&output, 5, &["error"]);
                failures += 1;
            }
            if !hit {
                break;
            }
            assert!(at + 1 < MANY);
        }
        assert!(failures > 0 || call == "rename", "no fault of {call} is a failure");
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

/// A limit on the size of files makes a write fail in the middle, and only writes to files.
#[test]
fn a_write_that_fails_is_a_failure() {
    let project = small();
    let (_, right) = project.layout("right");
    for kind in ["oci", "oci-archive", "docker-archive"] {
        let out = project.out(kind);
        let (mut failures, to) = (0, format!("{kind}:{}", out.display()));
        for blocks in [0, 1, 2, 8, 64, 512, 1024, 1170, 1180, 4096] {
            project.forget();
            let _ = fs::remove_file(&out);
            let mut command = peer("bash");
            project.prepare(&mut command);
            let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" build -o {to}");
            let output = output(command.arg("-c").arg(script).arg(program()));
            if output.status.success() {
                assert_eq!(digest(&output), right, "{kind} {blocks}");
                break;
            }
            refused(&output, 5, &["File too large"]);
            assert!(!out.exists(), "{kind} {blocks}");
            failures += 1;
        }
        assert!((3..10).contains(&failures), "{kind}: {failures} writes failed");
    }
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
