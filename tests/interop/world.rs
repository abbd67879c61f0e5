//! What the program does to the world while it works, and what the world may do to its inputs: strace and other writers watch it.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::layout::images;
use crate::peers::{Mount, done, output, peer, run, said};
use crate::project::{Project, digest, noise, program, refused, release, varied};

/// Longest time until a file is opened.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_command_is_run() {
    let project = varied("gzip");
    let log = project.out("log");
    let out = format!("oci:{}", project.out("out").display());
    for arguments in [vec!["check"], vec!["plan"], vec!["build", "-o", out.as_str()]] {
        let mut command = peer("strace");
        project.prepare(&mut command);
        command.args(["-f", "-qq", "-e", "trace=execve,execveat", "-o"]).arg(&log).arg(program()).args(&arguments);
        done(&mut command);
        let calls = fs::read_to_string(&log).unwrap();
        assert_eq!(calls.lines().count(), 1, "{arguments:?}: {calls}");
    }
}

#[test]
fn nothing_is_written_but_store_and_output() {
    let project = varied("gzip");
    let (log, out) = (project.out("log"), project.out("result"));
    fs::create_dir(&out).unwrap();
    let mut command = peer("strace");
    project.prepare(&mut command);
    let calls = "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,chmod,fchmodat,connect";
    command.args(["-f", "-qq", "-e", calls, "-o"]).arg(&log).arg(program());
    command.args(["build", "-o", &format!("oci:{}", out.join("layout").display())]);
    done(&mut command);
    for line in fs::read_to_string(&log).unwrap().lines() {
        let opens = line.contains("open");
        let writes = !opens || ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| line.contains(flag));
        let ours = [project.home(), out.clone()].iter().any(|room| line.contains(&format!("\"{}", room.display())));
        assert!(!writes || ours || !line.contains('"') || line.contains("/dev/null"), "{line}");
        assert!(!line.contains("connect("), "{line}");
    }
}

/// A project with one large file, so that there is time to spoil it.
fn large() -> Project {
    let project = Project::new("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"large\"\ndest = \"/large\"\n");
    project.write("large", "");
    fs::OpenOptions::new().write(true).open(project.app().join("large")).unwrap().set_len(3 << 30).unwrap();
    project
}

/// Waits until the program has the file open.
fn opened(child: &mut Child, file: &Path) {
    let fds = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the file was seen open");
        let open = fs::read_dir(&fds).into_iter().flatten().flatten();
        if open.flat_map(|fd| fs::read_link(fd.path())).any(|target| target == file) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the file was not opened");
}

fn spoiled(spoil: impl Fn(&Path)) {
    let project = large();
    let file = project.app().join("large");
    let out = project.out("out.tar");
    let mut command = project.command(&["build", "-o", &format!("oci-archive:{}", out.display())]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    opened(&mut child, &file);
    spoil(&file);
    refused(&child.wait_with_output().unwrap(), 5, &["changed while it was read", "large"]);
    assert!(!out.exists());
    assert_eq!(fs::read_dir(project.room()).unwrap().count(), 2, "only `app` and `home` are there");
}

#[test]
fn a_file_that_grows_is_noticed() {
    spoiled(|file| OpenOptions::new().append(true).open(file).unwrap().write_all(b"more").unwrap());
}

#[test]
fn a_file_that_shrinks_is_noticed() {
    spoiled(|file| OpenOptions::new().write(true).open(file).unwrap().set_len(3 << 29).unwrap());
}

#[test]
fn a_file_that_is_rewritten_at_its_size_is_noticed() {
    spoiled(|file| {
        let mut file = OpenOptions::new().write(true).open(file).unwrap();
        file.seek(SeekFrom::Start(1 << 20)).unwrap();
        file.write_all(b"other").unwrap();
    });
}

#[test]
fn a_file_that_is_replaced_is_noticed_or_read_whole() {
    // The old file stays open and whole; only its link count changes, and with that its facts.
    spoiled(|file| {
        let new = file.with_extension("new");
        fs::write(&new, "new").unwrap();
        fs::rename(&new, file).unwrap();
    });
}

#[test]
fn special_files_are_refused_at_once() {
    type Make = fn(&Path);
    let kinds: [(&str, Make); 4] = [
        ("FIFO", |path| drop(run("mkfifo", [path]))),
        ("socket", |path| drop(UnixListener::bind(path).unwrap())),
        ("device", |path| drop(done(peer("mknod").arg(path).args(["c", "1", "5"])))),
        ("device", |path| drop(done(peer("mknod").arg(path).args(["b", "7", "200"])))),
    ];
    for (word, make) in kinds {
        for source in ["tree", "tree/odd"] {
            let project =
                Project::new(&format!("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"{source}\"\ndest = \"/x\"\n"))
                    .file("tree/plain", "plain");
            make(&project.app().join("tree/odd"));
            let mut command = peer("timeout");
            project.prepare(&mut command);
            let output = output(command.arg("5").arg(program()).arg("build"));
            refused(&output, 2, &[word, "tree/odd"]);
        }
    }
}

#[test]
fn what_stands_for_a_blob_in_the_store_is_not_followed() {
    type Squat = fn(&Path);
    let squatters: [(&str, Squat); 5] = [
        ("a link", |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a FIFO", |path| drop(run("mkfifo", [path]))),
        ("a device", |path| drop(done(peer("mknod").arg(path).args(["c", "1", "5"])))),
        ("another's file", |path| {
            fs::write(path, "bytes of another").unwrap();
            chown(path, Some(1234), Some(1234)).unwrap();
        }),
    ];
    for (name, squat) in squatters {
        let project = varied("gzip");
        let (_, right) = project.layout("first");
        for blob in fs::read_dir(project.home().join("v1/blobs/sha256")).unwrap() {
            let path = blob.unwrap().path();
            fs::remove_file(&path).unwrap();
            squat(&path);
        }
        let mut command = peer("timeout");
        project.prepare(&mut command);
        let out = project.out("second");
        let destination = format!("oci:{}", out.display());
        let built = output(command.arg("30").arg(program()).args(["build", "-o", &destination]));
        assert!(built.status.success(), "{name}: {}", said(&built));
        assert_eq!(digest(&built), right, "{name}");
        images(&out);
    }
}

#[test]
fn temporaries_are_made_beside_their_target() {
    let project = Project::new("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"file\"\ndest = \"/file\"\n")
        .file("file", noise(2_000_000, 3));
    let elsewhere = project.out("elsewhere");
    let _mount = Mount::memory("64k", &elsewhere);
    for destination in ["oci", "oci-archive", "docker-archive"] {
        let log = project.out("log");
        let mut command = peer("strace");
        project.prepare(&mut command);
        command.env("TMPDIR", &elsewhere).args([
            "-f",
            "-qq",
            "-Z",
            "-e",
            "trace=rename,renameat,renameat2,link,linkat",
        ]);
        command.arg("-o").arg(&log).arg(program());
        command.args(["build", "-o", &format!("{destination}:{}", project.out(destination).display())]);
        done(&mut command);
        let failed = fs::read_to_string(&log).unwrap();
        assert!(!failed.contains("EXDEV"), "{failed}");
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// The calls of a build, by strace.
fn calls(project: &Project, words: &[&str], which: &str) -> String {
    calls_of(&program(), project, words, which)
}

fn calls_of(program: &Path, project: &Project, words: &[&str], which: &str) -> String {
    let log = project.out("log");
    let mut command = peer("strace");
    project.prepare(&mut command);
    command.args(["-f", "-qq", "-e", &format!("trace={which}"), "-o"]).arg(&log).arg(program).args(words);
    done(&mut command);
    fs::read_to_string(&log).unwrap()
}

/// Counts that do not depend on the machine: without a change no file is opened and each is looked at once; with one, that one is read.
#[test]
fn a_build_reads_only_what_changed() {
    const FILES: usize = 2000;
    let project = Project::new("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"tree\"\ndest = \"/t\"\n");
    let directory = project.app().join("tree");
    for at in 0..FILES {
        let path = directory.join(format!("d{}", at % 20));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(format!("file-{at}")), format!("content {at:06}")).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    let opened = |log: &str| log.lines().filter(|line| line.contains("/file-") && line.contains("open")).count();
    let cold = calls(&project, &["build"], "open,openat,openat2");
    assert!(
        (FILES..=2 * FILES).contains(&opened(&cold)),
        "cold, each is looked into once and read once: {}",
        opened(&cold)
    );
    std::thread::sleep(Duration::from_millis(100));
    done(project.command(&["build"]).arg("-q"));
    let idle = calls(&project, &["build"], "open,openat,openat2,newfstatat,statx,read,write,rename,renameat2");
    assert_eq!(opened(&idle), 0, "nothing changed");
    let looks = idle.lines().filter(|line| line.contains("\"file-")).count();
    assert_eq!(looks, FILES, "each file is looked at once");
    let blobs = idle.lines().filter(|line| line.contains("open") && line.contains("/blobs/")).count();
    assert_eq!(blobs, 0, "no blob is read");
    assert!(!idle.contains("rename"), "nothing is written: {idle}");
    fs::write(directory.join("d3/file-3"), "CONTENT 000003").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let one = calls(&project, &["build"], "open,openat,openat2");
    let asked = one.lines().filter(|line| line.contains("/file-3\"") && line.contains("open")).count();
    assert!((2..=3).contains(&asked), "it is looked into, read for its digest and packed: {asked}");
}

/// How a cold build grows with files, in system calls for each: a look at its state; open, look, read the first bytes and close, to see what it is;
/// and to pack it open, look, read all, look again and close.
#[test]
fn each_small_file_takes_ten_system_calls() {
    const FILES: usize = 1000;
    const EACH: usize = 10;
    let count = |files: usize| {
        let project = Project::new("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"tree\"\ndest = \"/t\"\n");
        for at in 0..files {
            project.write(&format!("tree/file-{at:05}"), format!("content {at:06}"));
        }
        let which = "open,openat,openat2,read,pread64,readv,lseek,fstat,newfstatat,statx,close,fcntl,mmap,munmap";
        let log = calls_of(&release(), &project, &["build", "--jobs", "2"], which);
        log.lines().filter(|line| !line.contains("resumed>")).count()
    };
    let (few, many) = (count(FILES), count(2 * FILES));
    let slope = (many - few) as f64 / FILES as f64;
    assert!(slope < EACH as f64 + 0.5, "{slope} calls for each file");
}
