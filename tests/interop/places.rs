//! The same inputs in other places and surroundings: one digest (REP-03, REP-04, REP-05, REP-08).

use std::fs;
use std::path::Path;

use crate::layout::images;
use crate::peers::{Mount, done, peer, run, shell};
use crate::project::{Project, digest, program, varied};

/// How often a shuffled directory is read.
const SHUFFLES: usize = 20;

/// Builds what lies in `inputs` with the store and the environment of `project`.
fn built(project: &Project, inputs: &Path) -> String {
    project.forget();
    let out = project.out("out");
    let _ = fs::remove_dir_all(&out);
    let mut command =
        project.command(&["-f", &inputs.display().to_string(), "build", "-o", &format!("oci:{}", out.display())]);
    let digest = digest(&command.output().unwrap());
    images(&out);
    digest
}

#[test]
fn the_order_of_directories_is_nothing() {
    let project = varied("gzip");
    let right = built(&project, &project.app());
    let shuffled = project.out("shuffled");
    for round in 0..SHUFFLES {
        fs::create_dir_all(&shuffled).unwrap();
        let app = project.app().display().to_string();
        let mixed = shuffled.display().to_string();
        run("disorderfs", ["--shuffle-dirents=yes", "--multi-user=no", "--quiet", &app, &mixed]);
        let _mount = Mount::of(&shuffled);
        assert_eq!(built(&project, &shuffled), right, "round {round}");
    }
}

/// A file system in a file: how it is made, and how large it is.
fn in_a_file(project: &Project, kind: &str, make: &[&str], size: u64) -> Result<Mount, String> {
    let image = project.out(&format!("{kind}.img"));
    fs::File::create(&image).unwrap().set_len(size).unwrap();
    let (program, options) = make.split_first().unwrap();
    done(peer(program).args(options).arg(&image));
    Mount::new(&["-o", "loop", "-t", kind, &image.display().to_string()], &project.out(kind))
}

fn squashed(project: &Project) -> Result<Mount, String> {
    let image = project.out("squashfs.img").display().to_string();
    run("mksquashfs", [&project.app().display().to_string(), &image, "-quiet", "-no-progress"]);
    Mount::new(&["-o", "loop,ro", "-t", "squashfs", &image], &project.out("squashfs"))
}

/// An overlay whose files lie below, and one of them above.
fn overlaid(project: &Project) -> Result<(Mount, Mount), String> {
    let memory = Mount::memory("64m", &project.out("upper"));
    shell(&project.out("upper"), "mkdir up work up/tree && cp -a ../app/tree/tool up/tree/tool");
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        project.app().display(),
        project.out("upper/up").display(),
        project.out("upper/work").display()
    );
    Ok((Mount::new(&["-t", "overlay", "-o", &options, "overlay"], &project.out("overlay"))?, memory))
}

#[test]
fn the_file_system_is_nothing() {
    let project = varied("gzip");
    let right = built(&project, &project.app());
    let mut tried = Vec::new();
    let mut judge = |kind: &str, mount: Result<(), String>, copy: bool| match mount {
        Err(why) => eprintln!("this machine does not mount {kind}: {}", why.trim()),
        Ok(()) => {
            if copy {
                shell(&project.out(kind), "cp -a ../app/. .");
            }
            assert_eq!(built(&project, &project.out(kind)), right, "{kind}");
            tried.push(kind.to_string());
        }
    };
    let mut mounts = Vec::new();
    let makers: [(&str, &[&str], u64); 3] = [
        ("ext4", &["mkfs.ext4", "-q"], 64 << 20),
        ("xfs", &["mkfs.xfs", "-q"], 400 << 20),
        ("btrfs", &["mkfs.btrfs", "-q"], 160 << 20),
    ];
    for (kind, make, size) in makers {
        let mount = in_a_file(&project, kind, make, size).map(|mount| mounts.push(mount));
        judge(kind, mount, true);
    }
    mounts.push(Mount::memory("64m", &project.out("tmpfs")));
    judge("tmpfs", Ok(()), true);
    judge("squashfs", squashed(&project).map(|mount| mounts.push(mount)), false);
    let overlay = overlaid(&project);
    judge("overlay", overlay.as_ref().map(drop).map_err(Clone::clone), false);
    drop(overlay);
    eprintln!("one digest on {}", tried.join(", "));
    assert!(tried.len() >= 3, "only {tried:?} could be mounted");
}

#[test]
fn umask_and_checkout_modes_are_nothing() {
    let project = varied("gzip");
    let right = built(&project, &project.app());
    for (files, programs) in [("0644", "0755"), ("0664", "0775"), ("0600", "0700"), ("0444", "0555")] {
        let modes = format!(
            "find . -type d -exec chmod {programs} {{}} + ; find . -type f ! -perm /111 -exec chmod {files} {{}} + ; find . -type f -perm /111 -exec chmod {programs} {{}} +"
        );
        shell(&project.app(), &modes);
        for umask in ["000", "022", "027", "077"] {
            project.forget();
            let mut command = peer("sh");
            project.prepare(&mut command);
            let out = project.out("out.tar");
            let script = format!("umask {umask}; exec \"$0\" build -o oci-archive:{}", out.display());
            command.arg("-c").arg(script).arg(program());
            assert_eq!(digest(&command.output().unwrap()), right, "{files} {umask}");
        }
    }
}

#[test]
fn the_surroundings_are_nothing() {
    const CANARY: &str = "canary-of-interop";
    let project = varied("none");
    let right = built(&project, &project.app());
    let surroundings: [&[(&str, &str)]; 4] = [
        &[("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu")],
        &[("LC_ALL", "C"), ("TZ", "UTC+13"), ("USER", CANARY), ("LOGNAME", CANARY), ("HOSTNAME", CANARY)],
        &[("CARGO_HOME", CANARY), ("GIT_AUTHOR_NAME", CANARY), ("EDITOR", CANARY), ("TERM", CANARY)],
        &[("COLUMNS", "1"), ("NO_COLOR", "1"), ("CI", "true"), ("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")],
    ];
    for variables in surroundings {
        project.forget();
        let out = project.out("varied");
        let home = project.out(CANARY);
        let mut command = peer("unshare");
        project.prepare(&mut command);
        command.env("HOME", &home).envs(variables.iter().copied());
        let script = format!("hostname {CANARY}; umask 077; exec setarch -R \"$0\" build -o oci:{}", out.display());
        command.args(["-u", "sh", "-c", &script]).arg(program());
        assert_eq!(digest(&command.output().unwrap()), right, "{variables:?}");
        images(&out);
        let found = peer("grep").args(["-r", "-l", CANARY]).arg(&out).output().unwrap();
        assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stdout));
        fs::remove_dir_all(&out).unwrap();
    }
}

/// All variations of reprotest but two: it changes user and host name through sudo, which `rep_08` and the test below do by themselves.
#[test]
fn rep_02_reprotest_finds_no_difference() {
    let project = varied("gzip");
    let room = tempfile::tempdir().unwrap();
    let copy = room.path().join("inputs");
    done(peer("cp").arg("-a").arg(project.app()).arg(&copy));
    let script = format!(
        "STILLFRAME_HOME=$PWD/.store {} -q build -o oci:.out && rm -rf .store && chmod -R u=rwX,go=rX .out && \
         tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf out.tar .out",
        program().display()
    );
    let mut reprotest = peer("reprotest");
    reprotest.args(["--min-cpus", "2", "--vary=-user_group,-domain_host", "-s"]).arg(&copy).arg(script).arg("out.tar");
    let said = done(&mut reprotest);
    assert!(said.contains("No differences in ./out.tar"), "{said}");
}

#[test]
fn rep_02_another_user_builds_the_same() {
    let project = varied("gzip");
    let ours = project.build("oci:ours");
    let room = tempfile::tempdir().unwrap();
    done(peer("cp").arg("-a").arg(project.app()).arg(room.path().join("inputs")));
    done(peer("cp").arg(program()).arg(room.path().join("program")));
    done(peer("chmod").args(["-R", "a+rX"]).arg(room.path()));
    done(peer("chmod").arg("777").arg(room.path()));
    let mut theirs = peer("setpriv");
    theirs.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(room.path().join("program"));
    theirs.arg("-f").arg(room.path().join("inputs")).arg("build");
    theirs.env("STILLFRAME_HOME", room.path().join("store")).env("HOME", "/nonexistent").env("USER", "nobody");
    assert_eq!(digest(&theirs.output().unwrap()), ours);
}
