//! A large blob and a real registry: kills at any time (check STA-02), and little memory. The registry's log tells what it was asked.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peers::{Server, done, output, peer, registry, run, said};
use crate::project::{Project, digest, noise, program};
use crate::size::MEASURE;

/// How many runs are killed in all, and at most before one is let through.
const KILLS: u32 = 50;
const IN_A_ROW: u32 = 8;
/// Where the times of the kills begin.
const SEED: u64 = 0x5eed_57a0_2000_0001;
/// The large layer of the image whose push is killed, in bytes.
const LARGE: u64 = 1 << 30;
/// The most memory that pushing and pulling a blob of this size may take, in KiB.
const MOST_MEMORY: u64 = 100 << 10;
const HUGE: u64 = 4 << 30;
/// Longest time until the registry is done with what killed clients asked of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A number from 0 to 1 that looks random and is the same in each run.
fn chance(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1u64 << 53) as f64
}

/// A layout of an image; with a large layer, which is a hole in a file, or of small ones alone.
fn image(large: Option<u64>) -> (Project, String) {
    let layer = |name: &str| format!("[[file]]\nsrc = \"{name}\"\ndest = \"/{name}\"\nlayer = \"{name}\"\n");
    let mut manifest = "[image]\nbase = \"scratch\"\ncompression = \"none\"\n".to_string() + &layer("small");
    if large.is_some() {
        manifest += &(layer("large") + &layer("other"));
    }
    let project = Project::new(&manifest).file("small", noise(3_000_000, 3)).file("other", noise(20_000, 4));
    if let Some(large) = large {
        fs::File::create(project.app().join("large")).unwrap().set_len(large).unwrap();
    }
    let (_, digest) = project.layout("out");
    (project, digest)
}

/// The status of a HEAD request.
fn head(server: &Server, path: &str) -> u16 {
    let mut stream = TcpStream::connect(&server.host).unwrap();
    let accept = "application/vnd.oci.image.manifest.v1+json";
    write!(stream, "HEAD {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n", server.host)
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A registry whose uploads are watched.
struct Watch<'a> {
    server: &'a Server,
    /// All blobs of the image.
    blobs: Vec<String>,
    seen: usize,
}

impl Watch<'_> {
    /// Whether a repository holds a blob.
    fn holds(&self, repository: &str, digest: &str) -> bool {
        head(self.server, &format!("/v2/{repository}/blobs/{digest}")) == 200
    }

    /// Lets a repository hold a blob that another one holds, as an upload that nothing followed.
    fn link(&self, digest: &str, from: &str, to: &str) {
        let link = |repository: &str| {
            let layers = self.server.data().join("repositories").join(repository).join("_layers");
            layers.join(digest.replace(':', "/")).join("link")
        };
        fs::create_dir_all(link(to).parent().unwrap()).unwrap();
        fs::copy(link(from), link(to)).unwrap();
        assert!(self.holds(to, digest));
    }

    /// Takes away what killed runs sent in part, which nobody can use and which would be gigabytes: a registry does it
    /// now and then.
    fn sweep(&self, repository: &str) {
        let _ = fs::remove_dir_all(self.server.data().join("repositories").join(repository).join("_uploads"));
    }

    /// The blobs that a repository holds.
    fn there(&self, repository: &str) -> BTreeSet<String> {
        self.blobs.iter().filter(|digest| self.holds(repository, digest)).cloned().collect()
    }

    /// Waits until the registry has done with every request, also with those whose client was killed: it may take
    /// seconds to judge an upload that it has whole, and writes to its log when it is done.
    fn quiet(&self) {
        let port: u16 = self.server.host.rsplit(':').next().unwrap().parse().unwrap();
        let until = Instant::now() + PATIENCE;
        while connections(port) > 0 {
            assert!(Instant::now() < until, "the registry still works for a client that is gone");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.server.log()).unwrap().lines().map(str::to_string).collect()
    }

    /// Whatever is in the log from now on came later.
    fn mark(&mut self) {
        self.seen = self.lines().len();
    }

    /// Nothing that was there was sent since the mark.
    fn nothing_twice(&self, repository: &str, there: &BTreeSet<String>, what: &str) {
        let new = self.lines()[self.seen..].to_vec();
        let again: Vec<_> =
            uploads(&new, repository).into_iter().filter(|(digest, _)| there.contains(digest)).collect();
        assert!(again.is_empty(), "{what}: sent although it was there: {again:?}");
        let begun = new.iter().filter(|line| line.contains(&format!("\"POST /v2/{repository}/blobs/uploads/"))).count();
        assert!(begun <= self.blobs.len() - there.len(), "{what}: {begun} uploads, {} blobs were there", there.len());
    }
}

/// How many connections a server's end of a port holds open; the kernel's own remains of a closed one do not count.
fn connections(port: u16) -> usize {
    const OPEN: [&str; 2] = ["01", "08"];
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let open = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().is_some_and(|address| address.ends_with(&format!(":{port:04X}")));
        local && words.nth(1).is_some_and(|state| OPEN.contains(&state))
    };
    tables.iter().flat_map(|table| table.lines()).filter(open).count()
}

/// The uploads that were finished, well or not: digest and status.
fn uploads(lines: &[String], repository: &str) -> Vec<(String, u16)> {
    let one = |line: &String| {
        let (_, rest) = line.split_once(&format!("\"PUT /v2/{repository}/blobs/uploads/"))?;
        let (request, answer) = rest.split_once("\" ")?;
        let hex = request.split("digest=sha256").nth(1)?.trim_start_matches("%3A").trim_start_matches(':');
        Some((format!("sha256:{}", hex.get(..64)?), answer.split(' ').next()?.parse().ok()?))
    };
    lines.iter().filter_map(one).collect()
}

/// The blobs of an image in a layout, the largest first.
fn blobs(layout: &Path, digest: &str) -> Vec<String> {
    let path = layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
    let manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut all: Vec<&Value> = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]).collect();
    all.sort_by_key(|blob| std::cmp::Reverse(blob["size"].as_u64()));
    all.into_iter().map(|blob| blob["digest"].as_str().unwrap().to_string()).collect()
}

#[test]
fn sta_02_a_push_that_is_killed_at_any_time_can_be_repeated() {
    let server = registry(None);
    let ((old_project, old), (project, new)) = (image(None), image(Some(LARGE)));
    let layout = project.out("out");
    let mut watch = Watch { server: &server, blobs: blobs(&layout, &new), seen: 0 };
    let large = watch.blobs[0].clone();
    let source = format!("oci:{}", layout.display());
    let copy = |to: &str| project.command(&["copy", &source, &format!("{}/{to}:1", server.host)]);
    // Once without a kill, for the time that it takes; the second time, because the first one fills the store.
    digest(&output(&mut copy("first")));
    let started = Instant::now();
    digest(&output(&mut copy("second")));
    let mut whole = started.elapsed();
    let (mut state, mut kills, mut with_large) = (SEED, 0, 0);
    for lap in 0.. {
        let repository = format!("lap-{lap}");
        let target = format!("{}/{repository}:1", server.host);
        let old_source = format!("oci:{}", old_project.out("out").display());
        assert_eq!(digest(&old_project.run(&["copy", &old_source, &target])), old);
        if lap % 2 == 1 {
            // Chance hardly meets the moment when the large blob is there and the tag is not: this is what it leaves.
            watch.link(&large, "first", &repository);
        }
        for at in 0.. {
            watch.quiet();
            watch.sweep(&repository);
            let there = watch.there(&repository);
            with_large += u32::from(there.contains(&large));
            watch.mark();
            let mut child = copy(&repository).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let last = at >= IN_A_ROW || kills >= KILLS;
            let (pause, begun) = (whole.mul_f64(chance(&mut state).powi(2)), Instant::now());
            if at + 1 == IN_A_ROW {
                while child.try_wait().unwrap().is_none() && !watch.holds(&repository, &large) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            } else if !last {
                std::thread::sleep(pause);
            }
            if !last {
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            let took = begun.elapsed();
            let what = format!("seed {SEED:#x}, {repository}, run {at}, killed after {pause:?} of {whole:?}");
            let found = run("crane", ["digest", &target]).trim().to_string();
            assert!(found == old || found == new, "{what}: the tag leads to {found}");
            run("crane", ["validate", "--fast", "--remote", &target]);
            watch.nothing_twice(&repository, &there, &what);
            if output.status.code().is_some() {
                assert_eq!((digest(&output), found), (new.clone(), new.clone()), "{what}");
                // How fast the machine is may change; kills shall go on to meet the program.
                whole = if there.contains(&large) { whole } else { took };
                break;
            }
            kills += 1;
        }
        if kills >= KILLS {
            // Every byte, by another program (crane reads only layers that are compressed).
            let copied = format!("dir:{}", project.out("copied").display());
            run("skopeo", ["copy", "--quiet", "--src-tls-verify=false", &format!("docker://{target}"), &copied]);
            break;
        }
    }
    eprintln!("{kills} kills within {whole:?} each; {with_large} runs found the large blob there");
    assert!(with_large >= KILLS / IN_A_ROW / 2, "too few runs found the large blob there");
}

/// Runs the program and gives its peak of memory in KiB.
fn peak(project: &Project, arguments: &[&str]) -> (u64, Duration) {
    let started = Instant::now();
    let mut command = peer("python3");
    project.prepare(&mut command);
    let output = output(command.args(["-c", MEASURE]).arg(program()).args(arguments));
    assert!(output.status.success(), "{}", said(&output));
    (String::from_utf8_lossy(&output.stdout).trim().parse().unwrap(), started.elapsed())
}

#[test]
fn a_blob_of_four_gigabytes_is_pushed_and_pulled_in_little_memory() {
    let server = registry(None);
    let manifest = "base = \"scratch\"\ncompression = \"none\"\n[[file]]\nsrc = \"large\"\ndest = \"/large\"\n";
    let project = Project::new(&format!("[image]\nname = \"{}/app\"\n{manifest}", server.host));
    fs::File::create(project.app().join("large")).unwrap().set_len(HUGE).unwrap();
    let digest = digest(&project.run(&["build"]));
    let reference = format!("{}/app@{digest}", server.host);
    let pushed = peak(&project, &["push"]);
    done(peer("crane").args(["validate", "--fast", "--remote", &reference]));
    project.forget();
    let pulled = peak(&project, &["pull", &reference]);
    for (what, (peak, time)) in [("push", pushed), ("pull", pulled)] {
        eprintln!("{what} of 4 GiB: {} MiB at most, {} s", peak >> 10, time.as_secs());
        assert!(peak < MOST_MEMORY, "{what}: {} MiB", peak >> 10);
    }
}
