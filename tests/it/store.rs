//! The store as several processes, damage and read-only disks see it: checks STA-04 to STA-11 through the command line.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::project::{Running, names};
use super::support::{Base, Project, manifest, scratch};

/// Somebody who owns nothing.
const NOBODY: u32 = 65534;

/// A project on a base with a layer of its own.
fn project() -> Project {
    let project = Project::new().file("tree/a", "a".repeat(100_000)).file("tree/b", "b");
    let base = Base::debian().layer([super::support::file("etc/upper", "u")]).write(&project, "base");
    let rest = "created = \"fixed\"\n[[file]]\nsrc = \"tree\"\ndest = \"/lib/tree\"\n";
    project.file("image.toml", manifest(&base, rest))
}

#[test]
fn sta_06_eight_builds_at_once_on_a_cold_store() {
    for _ in 0..3 {
        let project = project();
        let running: Vec<Running> = (0..8).map(|_| project.run(["build"]).start()).collect();
        let mut digests: Vec<String> = running.into_iter().map(|one| one.ends().expect(0).digest()).collect();
        digests.dedup();
        assert_eq!(digests.len(), 1);
        assert_eq!(names(&project.store().join("tmp")), Vec::<String>::new());
        assert_eq!(project.build().digest(), digests[0]);
    }
}

#[test]
fn many_processes_write_one_layout() {
    for _ in 0..3 {
        let project = project();
        let start = |_| project.run(["build", "-o", "oci:out", "-o", "oci-archive:out.tar"]).start();
        let running: Vec<Running> = (0..4).map(start).collect();
        for one in running {
            one.ends().expect(0);
        }
        assert_eq!(project.layout("out").digest(), project.digest());
        assert_eq!(project.names(""), ["base", "image.toml", "out", "out.tar", "tree"]);
    }
}

/// Spoils a blob of the store.
fn spoil(path: &Path, way: usize) {
    let bytes = fs::read(path).unwrap();
    let other = path.parent().unwrap().join("other");
    let without = |path: &Path| fs::remove_file(path).unwrap();
    match way {
        0 => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
        1 => fs::write(path, b"").unwrap(),
        2 => fs::write(path, bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).unwrap(),
        3 => fs::write(path, [&bytes[..], b"more"].concat()).unwrap(),
        4 => fs::write(path, b"another blob").unwrap(),
        5 => {
            fs::rename(path, &other).unwrap();
            symlink(&other, path).unwrap();
        }
        6 => {
            without(path);
            fs::create_dir(path).unwrap();
        }
        _ => {
            without(path);
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }
    }
}

#[test]
fn sta_04_and_05_a_spoilt_blob_is_made_or_fetched_again() {
    let plain = project().digest();
    for way in 0..8 {
        let project = project();
        project.build();
        let blobs = project.store().join("blobs/sha256");
        let all = names(&blobs);
        assert!(!all.is_empty());
        all.iter().for_each(|name| spoil(&blobs.join(name), way));
        fs::remove_dir_all(project.path("out")).unwrap();
        assert_eq!(project.build().digest(), plain, "way {way}");
    }
}

#[test]
fn sta_04_memos_that_are_spoilt_are_not_believed() {
    let project = project();
    let plain = project.digest();
    let mut spoilt = 0;
    let memo = project.store().join("memo");
    for kind in names(&memo) {
        for name in names(&memo.join(&kind)) {
            let path = memo.join(&kind).join(name);
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
            spoilt += 1;
        }
    }
    assert!(spoilt > 0);
    assert_eq!(project.digest(), plain);
}

/// For root: gives the project to somebody whom modes bind, with a copy of the program beside it. Others are bound as they are.
fn unprivileged(project: &Project) -> Option<(u32, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let around = project.path("").parent().unwrap().to_path_buf();
    let program = around.join("program");
    fs::copy(env!("CARGO_BIN_EXE_stillframe"), &program).unwrap();
    for directory in directories(&around) {
        let inside = names(&directory).into_iter().map(|name| directory.join(name));
        inside.chain([directory.clone()]).for_each(|path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap());
    }
    Some((NOBODY, program))
}

#[test]
fn sta_11_a_read_only_store_serves_what_it_has() {
    let project = project();
    let user = unprivileged(&project);
    let run = |words: &[&str]| {
        let run = project.run(words);
        if let Some((user, program)) = &user { run.user(*user, program) } else { run }
    };
    let digest = run(&["build"]).success().digest();
    let store = project.store();
    let close = |mode: u32| {
        for directory in directories(&store) {
            fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    close(0o555);
    assert_eq!(run(&["plan"]).fails(10).stderr, "");
    assert_eq!(run(&["build", "-o", "oci:out"]).success().digest(), digest);
    assert_eq!(project.layout("out").digest(), digest);
    project.write("tree/new", "not in the store");
    let done = run(&["build"]).fails(5);
    assert!(done.stderr.contains("writing to the store") && done.stderr.contains("STILLFRAME_HOME"), "{}", done.stderr);
    close(0o755);
    run(&["build"]).success();
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let inner = names(root).into_iter().map(|name| root.join(name)).filter(|path| path.is_dir());
    inner.flat_map(|path| directories(&path)).chain([root.to_path_buf()]).collect()
}

#[test]
fn sta_11_a_store_that_cannot_be_made_says_where() {
    let project = Project::of(&scratch("[[file]]\ndest = \"/x\"\ncontent = \"x\""));
    fs::create_dir_all(project.store()).unwrap();
    fs::write(project.store().join("tmp"), "a file").unwrap();
    let done = project.run(["build"]).fails(5);
    assert!(done.stderr.contains("writing to the store `") && done.stderr.contains("v1"), "{}", done.stderr);
    fs::remove_file(project.store().join("tmp")).unwrap();
    project.run(["build"]).success();
}

#[test]
fn sta_08_who_waits_says_so_and_goes_on_when_the_holder_dies() {
    let project = project();
    let digest = project.build().digest();
    let here = File::open(project.path("out")).unwrap();
    here.lock().unwrap();
    let mut waiting = project.run(["build", "-o", "oci:out"]).start();
    assert_eq!(waiting.says(), "waiting: another stillframe is writing `out`");
    drop(here);
    assert_eq!(waiting.ends().expect(0).digest(), digest);

    // The same with a process that is killed, where the system has the program for it.
    let mut holder = Command::new("flock");
    holder.args(["-o", ".", "cat"]).current_dir(project.path("out"));
    holder.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut holder) = holder.spawn() else { return };
    while File::open(project.path("out")).unwrap().try_lock().is_ok() {
        std::thread::yield_now();
    }
    let mut waiting = project.run(["build", "-o", "oci:out"]).start();
    assert_eq!(waiting.says(), "waiting: another stillframe is writing `out`");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(waiting.ends().expect(0).digest(), digest);
}
