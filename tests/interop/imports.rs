//! Archives and other images, judged by other readers: Python's tarfile, bsdtar, GNU tar (ARC-21); strace (ARC-06); tar and unzip on real
//! trees; a registry that notes which blobs are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use stillframe::ctx::Ctx;
use stillframe::event::{Cancel, nowhere};
use stillframe::oci::{Digest, media};
use stillframe::registry::{Client, Settings};
use stillframe::source::member::{Body, Member};
use stillframe::store::{Memory, Store};

use crate::peers::{checkout, done, peer, registry, run, said, shell};
use crate::project::{Project, program, refused};

/// How many archives are made up, and how many of them must be taken, so that the comparison says something.
const MADE_UP: usize = 1500;
const LEAST_TAKEN: usize = 200;

fn ctx(home: &Path) -> Ctx {
    let registries = Client::new(Settings::default(), nowhere(), Cancel::default()).unwrap();
    Ctx {
        store: Store::new(home, Memory::Off, nowhere()),
        registries,
        sink: nowhere(),
        jobs: NonZeroUsize::MIN,
        cancel: Cancel::default(),
    }
}

/// One entry as its header says it, and the headers before it.
#[derive(Clone, Debug)]
struct Made {
    name: usize,
    kind: usize,
    target: usize,
    data: usize,
    format: usize,
    odd: usize,
    before: usize,
}

const NAMES: [&str; 16] = [
    "a",
    "b",
    "a/b",
    "a/b/c",
    "./a",
    "d/",
    "d/e",
    "d//f",
    "d/./g",
    "ü",
    "a/",
    "h",
    "../x",
    "/abs",
    "x",
    "deep/er/and/deeper/x",
];

fn made() -> impl Strategy<Value = Vec<Made>> {
    let one = (0..NAMES.len(), 0usize..14, 0..NAMES.len(), 0usize..4, 0usize..4, 0usize..24, 0usize..16).prop_map(
        |(name, kind, target, data, format, odd, before)| Made { name, kind, target, data, format, odd, before },
    );
    prop::collection::vec(one, 1..5)
}

/// A header block with a right sum, and the data behind it.
fn block(name: &str, kind: u8, target: &str, data: &[u8], format: usize, odd: usize) -> Vec<u8> {
    let mut block = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, b"0000644\x000000000\x000000000\0");
    let size = match odd {
        1 => format!("{:o} ", data.len() + 512),
        2 => format!("{:>11o} ", data.len()),
        3 => "-1".into(),
        _ => format!("{:011o}", data.len()),
    };
    put(124, size.as_bytes());
    if odd == 4 {
        put(124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, data.len() as u8]);
    }
    put(136, b"14000000000\0");
    block[156] = kind;
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(157, &target.as_bytes()[..target.len().min(100)]);
    match format {
        0 => put(257, b"ustar\x0000"),
        1 => put(257, b"ustar  \0"),
        2 => {}
        _ => {
            put(257, b"ustar\x0000");
            put(345, b"pre");
        }
    }
    if odd == 5 {
        put(345, b"xyz");
    }
    put(148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{:06o}\0 ", sum + u32::from(odd == 6)).as_bytes());
    let mut bytes = [&block[..], data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
    format!("{length} {key}={value}\n")
}

fn tar(all: &[Made]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for made in all {
        let (name, target) = (NAMES[made.name], NAMES[made.target]);
        let data = ["", "1", "some text", "0123456789abcdef"][made.data].as_bytes();
        let kind = *b"0000000051255\x007".get(made.kind).unwrap_or(&b'3');
        let data = if b"0\x007".contains(&kind) || made.odd == 7 { data } else { b"" };
        let extended = match made.before {
            1 => Some(record("path", "pax/name")),
            2 => Some(record("size", &data.len().to_string())),
            3 => Some(record("linkpath", target)),
            4 => Some(record("path", name) + &record("path", "other")),
            5 => Some(record("mtime", "1.5") + &record("uid", "70000")),
            6 => Some("9 path=x".into()),
            _ => None,
        };
        if let Some(records) = extended {
            bytes.extend(block("pax", b'x', "", records.as_bytes(), 0, 0));
        }
        if made.before == 7 {
            bytes.extend(block("pax", b'g', "", record("comment", "hello").as_bytes(), 0, 0));
        }
        if matches!(made.before, 2 | 8) && made.odd > 15 {
            bytes.extend(block("././@LongLink", b'L', "", b"gnu/long/name\0", 1, 0));
        }
        let target = if b"12".contains(&kind) { target } else { "" };
        // The size of an extended header counts, whatever the other one says.
        let odd = if made.before == 2 && made.odd == 8 { 1 } else { made.odd };
        bytes.extend(block(name, kind, target, data, made.format, odd));
    }
    bytes.extend([0; 1024]);
    bytes
}

/// What we find, by path: the kind, the size of a file, the target of a link.
fn ours(members: &[Member]) -> BTreeMap<String, (char, u64, String)> {
    let one = |member: &Member| {
        let what = match &member.body {
            Body::File(stretch) => ('f', stretch.size, String::new()),
            Body::Directory => ('d', 0, String::new()),
            Body::Link(target) => ('l', 0, target.clone()),
            Body::Device => ('o', 0, String::new()),
        };
        (member.path.clone(), what)
    };
    members.iter().map(one).collect()
}

/// What another reader lists, with the directories that it does not name, and hard links as what they lead to.
fn theirs(list: &Value) -> BTreeMap<String, (char, u64, String)> {
    let mut found = BTreeMap::new();
    for entry in list.as_array().unwrap() {
        let text = |at: usize| entry[at].as_str().unwrap().to_string();
        let (path, kind) = (text(0), text(1).chars().next().unwrap());
        for (end, _) in path.match_indices('/') {
            found.entry(path[..end].to_string()).or_insert(('d', 0, String::new()));
        }
        let what = match kind {
            'f' => ('f', entry[2].as_u64().unwrap(), String::new()),
            'l' => ('l', 0, text(3)),
            'h' => {
                let target = text(3).split('/').filter(|part| !["", "."].contains(part)).collect::<Vec<_>>().join("/");
                found.get(&target).cloned().unwrap_or(('?', 0, target))
            }
            kind => (kind, 0, String::new()),
        };
        if path != "." && !path.is_empty() {
            found.insert(path, what);
        }
    }
    found
}

#[test]
fn arc_21_other_readers_find_what_we_find() {
    let (room, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ctx, mut runner, strategy) = (ctx(home.path()), TestRunner::deterministic(), made());
    let mut taken = BTreeMap::new();
    for number in 0..MADE_UP {
        let all = strategy.new_tree(&mut runner).unwrap().current();
        let bytes = tar(&all);
        let path = room.path().join(format!("{number:05}.tar"));
        fs::write(&path, &bytes).unwrap();
        let file = fs::File::open(&path).unwrap();
        match stillframe::source::archive::read(&ctx, "x.tar", &Digest::of(&bytes), file, || Ok(())) {
            Ok(members) => drop(taken.insert(format!("{number:05}.tar"), (all, ours(&members)))),
            Err(error) => {
                assert_eq!(error.kind().exit_code(), 2, "{error:?}");
                fs::remove_file(&path).unwrap();
            }
        }
    }
    assert!(taken.len() > LEAST_TAKEN && taken.len() < MADE_UP - LEAST_TAKEN, "{} were taken", taken.len());
    let judge = checkout().join("tests/judges/list_archives.py");
    let found: Value = serde_json::from_str(&done(peer("python3").arg(judge).arg(room.path()))).unwrap();
    for (file, (all, ours)) in &taken {
        for (reader, list) in found[file].as_object().unwrap() {
            assert!(!list.is_null(), "{reader} refuses {file}: {all:?}\n{ours:?}");
            assert_eq!(theirs(list), *ours, "{reader} {file}: {all:?}");
        }
    }
}

/// How many zips are spoiled, and how many of them must be taken all the same.
const SPOILED: usize = 4000;
const LEAST_KEPT: usize = 100;

/// The paths in a zip, directories with a `/` behind, and what files hold, in hex.
fn zipped(ctx: &Ctx, members: &[Member]) -> BTreeMap<String, Option<String>> {
    let one = |member: &Member| match &member.body {
        Body::File(stretch) => {
            let (mut file, _) = ctx.store.open(&stretch.blob).unwrap().unwrap();
            file.seek(SeekFrom::Start(stretch.start)).unwrap();
            let mut bytes = Vec::new();
            file.take(stretch.size).read_to_end(&mut bytes).unwrap();
            (member.path.clone(), Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
        _ => (format!("{}/", member.path), None),
    };
    members.iter().map(one).collect()
}

#[test]
fn arc_14_other_readers_find_what_we_find_in_zips() {
    let (room, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ctx = ctx(home.path());
    let seeds = checkout().join("fuzz/corpus/zip");
    let mut seeds: Vec<_> = fs::read_dir(seeds).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|path| fs::read(path).unwrap()).collect();
    let seeds: Vec<&Vec<u8>> = seeds.iter().filter(|bytes| (40..20_000).contains(&bytes.len())).collect();
    let spoil = (0..seeds.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3));
    let (mut runner, mut kept) = (TestRunner::deterministic(), BTreeMap::new());
    for number in 0..SPOILED {
        let (seed, spoils) = spoil.new_tree(&mut runner).unwrap().current();
        let mut bytes = seeds[seed].clone();
        for (at, byte) in spoils {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let name = format!("{number:05}.zip");
        let path = room.path().join(&name);
        fs::write(&path, &bytes).unwrap();
        let file = fs::File::open(&path).unwrap();
        match stillframe::source::archive::read(&ctx, "x.zip", &Digest::of(&bytes), file, || Ok(())) {
            Ok(members) if !members.is_empty() && bytes.starts_with(b"PK") => {
                kept.insert(name, zipped(&ctx, &members));
            }
            _ => fs::remove_file(&path).unwrap(),
        }
    }
    assert!(kept.len() > LEAST_KEPT && kept.len() < SPOILED - LEAST_KEPT, "{} were taken", kept.len());
    let judge = checkout().join("tests/judges/list_zips.py");
    let found: Value = serde_json::from_str(&done(peer("python3").arg(judge).arg(room.path()))).unwrap();
    for (file, ours) in &kept {
        for (reader, list) in found[file].as_object().unwrap() {
            assert!(!list.is_null(), "{reader} refuses {file}: {ours:?}");
            let mut theirs: BTreeMap<String, Option<String>> = serde_json::from_value(list.clone()).unwrap();
            for path in list.as_object().unwrap().keys() {
                for (end, _) in path.match_indices('/') {
                    theirs.entry(path[..=end].to_string()).or_insert(None);
                }
            }
            assert_eq!(theirs, *ours, "{reader} {file}");
        }
    }
}

/// Archives that other programs were once led astray by, made by Python as somebody who means harm would.
const EVIL: &str = r#"
import io, struct, tarfile, zipfile
def tar(name, *entries):
    with tarfile.open(name, "w", format=tarfile.GNU_FORMAT) as archive:
        for path, kind, target, data in entries:
            info = tarfile.TarInfo(path)
            info.type, info.linkname, info.size = kind, target, len(data)
            archive.addfile(info, io.BytesIO(data))
F, D, L, H = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
evil = b"canary-4711"
tar("dotdot.tar", ("../canary/x", F, "", evil))
tar("absolute.tar", (CANARY + "/x", F, "", evil))
tar("inner.tar", ("a/../../canary/x", F, "", evil))
tar("through.tar", ("d", L, CANARY, b""), ("d/f", F, "", evil))
tar("hard-up.tar", ("h", H, "../../etc/passwd", b""))
tar("hard-absolute.tar", ("h", H, "/etc/passwd", b""))
tar("hard-missing.tar", ("h", H, "missing", b""))
tar("root.tar", (".", L, CANARY, b""), ("f", F, "", evil))
tar("chmod.tar", ("d", L, CANARY, b""), ("d", D, "", b""))
tar("twice.tar", ("a", F, "", b"1"), ("a", F, "", b"2"))
tar("device.tar", ("null", tarfile.CHRTYPE, "", b""))
tar("link.tar", ("d", L, CANARY, b""))
def zipped(name, *entries):
    with zipfile.ZipFile(name, "w") as archive:
        for path, mode, data in entries:
            info = zipfile.ZipInfo(path)
            info.external_attr = mode << 16
            archive.writestr(info, data)
zipped("dotdot.zip", ("../canary/x", 0o100644, evil))
zipped("absolute.zip", (CANARY + "/x", 0o100644, evil))
zipped("link.zip", ("d", 0o120777, CANARY), ("d/f", 0o100644, evil))
zipped("twice.zip", ("a", 0o100644, b"1"), ("a", 0o100644, b"2"))
"#;

/// The calls that open, make, move or remove files, or change their modes.
const CALLS: &str = "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,chmod,fchmodat,mknod,mknodat,rmdir,truncate,chown,fchownat";

#[test]
fn arc_06_no_archive_reaches_the_file_system() {
    let project = Project::new("[image]\nbase = \"scratch\"\n");
    let canary = project.out("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("here"), "untouched").unwrap();
    let evil = format!("CANARY = {:?}\n{EVIL}", canary.to_str().unwrap());
    done(peer("python3").current_dir(project.app()).args(["-W", "ignore", "-c", &evil]));
    let mut archives: Vec<String> = fs::read_dir(project.app())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tar") || name.ends_with(".zip"))
        .collect();
    archives.sort();
    assert_eq!(archives.len(), 16);
    for archive in &archives {
        let table = format!("[image]\nbase = \"scratch\"\n[[archive]]\nsrc = \"{archive}\"\ndest = \"/app\"\n");
        project.manifest(&table);
        let (log, out) = (project.out("log"), project.out("out"));
        let mut command = peer("strace");
        project.prepare(&mut command);
        command.args(["-f", "-qq", "-e", CALLS, "-o"]).arg(&log).arg(program());
        command.args(["build", "-o", &format!("oci:{}", out.display())]);
        let output = command.output().unwrap();
        refused(&output, 2, &[archive]);
        writes_only_into(&fs::read_to_string(&log).unwrap(), &project.home(), archive);
        assert!(!out.exists(), "{archive}");
    }
    kept(&project);
    assert_eq!(fs::read_to_string(canary.join("here")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 1);
}

/// Everything that fuzzing has kept is read in one run, which writes nowhere but into the store.
fn kept(project: &Project) {
    let mut table = String::from("[image]\nbase = \"scratch\"\n");
    let mut count = 0;
    for target in ["archive", "tar", "zip"] {
        for entry in fs::read_dir(checkout().join("fuzz/corpus").join(target)).unwrap() {
            let name = format!("kept/{target}-{count}");
            project.write(&name, fs::read(entry.unwrap().path()).unwrap());
            table += &format!("[[archive]]\nsrc = \"{name}\"\ndest = \"/kept/{count}\"\n");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
    project.manifest(&table);
    let log = project.out("log");
    let mut command = peer("strace");
    project.prepare(&mut command);
    let output = command.args(["-f", "-qq", "-e", CALLS, "-o"]).arg(&log).arg(program()).arg("build").output().unwrap();
    refused(&output, 2, &["kept/zip-"]);
    writes_only_into(&fs::read_to_string(&log).unwrap(), &project.home(), "the kept corpus");
}

/// Each call that could change a file names one of the store.
fn writes_only_into(log: &str, home: &Path, what: &str) {
    for line in log.lines() {
        let writes = !line.contains("open") || ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| line.contains(flag));
        let ours = line.contains(&format!("\"{}", home.display()));
        assert!(!writes || ours || !line.contains('"') || line.contains("/dev/null"), "{what}: {line}");
    }
}

/// Archives that ask for more than they are: the name, what is said of it, and how Python makes it.
const BOMBS: [(&str, &str, &str); 8] = [
    ("zeros.tar.gz", "zeros follow behind the end", "bomb(name, b'', gzip.compress)"),
    ("file.tar.gz", "it unpacks to more than", "bomb(name, header(b'0', 4 << 30), gzip.compress)"),
    ("file.tar.xz", "it unpacks to more than", "bomb(name, header(b'0', 4 << 30), lzma.compress)"),
    ("file.tar.bz2", "it unpacks to more than", "bomb(name, header(b'0', 4 << 30), bz2.compress)"),
    ("file.tar.zst", "it unpacks to more than", "frames(name, header(b'0', 4 << 30))"),
    ("window.tar.zst", "at entry 1", "window(name, 31)"),
    ("claim.tar", "ends after", "claim(name, b'0', 1 << 62)"),
    ("pax.tar", "1048576 are allowed", "claim(name, b'x', 64 << 20)"),
];

const BOMBER: &str = r#"
import bz2, gzip, lzma, sys, tarfile
def header(kind, size):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)
def bomb(name, head, pack):
    with open(name, "wb") as out:
        out.write(pack(head))
        # Streams one behind the other are one stream: 4 GiB of zeros.
        out.write(pack(bytes(16 << 20)) * 256)
def frames(name, head):
    # RFC 8878: frames without a size, of raw blocks and of blocks that repeat one byte.
    def frame(*blocks):
        data = b"\x28\xb5\x2f\xfd\x00" + bytes([10 << 3])
        for at, (kind, size, bytes_) in enumerate(blocks):
            data += (size << 3 | kind << 1 | (at == len(blocks) - 1)).to_bytes(3, "little") + bytes_
        return data
    with open(name, "wb") as out:
        out.write(frame((0, 512, head)))
        out.write(frame(*[(1, 128 << 10, b"\0")] * 1024) * 32)
def window(name, bits):
    # One frame that asks for a window of so many bits, and has what could follow.
    with open(name, "wb") as out:
        out.write(b"\x28\xb5\x2f\xfd\x00" + bytes([bits - 10 << 3]))
        out.write((128 << 10 << 3 | 1 << 1).to_bytes(3, "little") + b"\0")
def claim(name, kind, size):
    with open(name, "wb") as out:
        out.write(header(kind, size) + bytes(10240))
name = sys.argv[1]
eval(sys.argv[2])
"#;

/// Runs a program and prints, in KiB, the most memory that it held.
const MEASURE: &str = "import resource, subprocess, sys\ncode = subprocess.run(sys.argv[1:]).returncode\nprint(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\nsys.exit(code)\n";

#[test]
fn arc_17_to_19_memory_and_disk_are_bounded() {
    let project = Project::new("");
    for (name, word, make) in BOMBS {
        done(peer("python3").current_dir(project.app()).args(["-c", BOMBER, name, make]));
        let table = format!("[image]\nbase = \"scratch\"\n[[archive]]\nsrc = \"{name}\"\ndest = \"/app\"\n");
        project.manifest(&table);
        let mut command = peer("python3");
        project.prepare(&mut command);
        let output = command.args(["-c", MEASURE]).arg(program()).arg("build").output().unwrap();
        refused(&output, 2, &[name, word]);
        let memory: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        assert!(memory < 200 << 10, "{name}: {memory} KiB");
        let kept: u64 =
            shell(project.room(), "mkdir -p home; du -s --block-size=1 home | cut -f1").trim().parse().unwrap();
        assert!(kept < 1 << 20, "{name}: {kept} bytes are left in the store");
    }
}

#[test]
fn real_trees_come_out_as_they_were_packed() {
    let project = Project::new("");
    let room = project.room();
    // Something real of this machine, without links that lead out of it and without odd files.
    shell(
        room,
        "mkdir -p tree/top; cp -rL /usr/lib/python3*/email tree/top/; cp -rL /usr/share/bash-completion tree/top/ || true; ln -s email tree/top/mail",
    );
    let packs = [
        ("tar", "tar -C tree -cf"),
        ("tar.gz", "tar -C tree -czf"),
        ("tar.xz", "tar -C tree -cJf"),
        ("tar.bz2", "tar -C tree -cjf"),
        ("tar.zst", "tar -C tree --zstd -cf"),
        ("pax.tar", "tar -C tree --format=pax -cf"),
        ("bsd.tar", "bsdtar -C tree -cf"),
        ("bsd-pax.tar.xz", "bsdtar -C tree --format=pax -cJf"),
    ];
    let mut layers = BTreeSet::new();
    for (name, command) in packs {
        shell(room, &format!("{command} app/{name} top"));
        let table =
            format!("[image]\nbase = \"scratch\"\n[[archive]]\nsrc = \"{name}\"\ndest = \"/data\"\nstrip = 1\n");
        project.manifest(&table);
        let (out, _) = project.layout(&format!("out-{name}"));
        let image = crate::layout::images(&out).remove(0);
        layers.insert(image.manifest["layers"].to_string());
        if name == "tar" {
            let bundle = project.out("bundle");
            run(
                "umoci",
                ["unpack", "--rootless", "--image", &format!("{}:latest", out.display()), bundle.to_str().unwrap()],
            );
            shell(room, "diff -r --no-dereference tree/top bundle/rootfs/data");
        }
    }
    assert_eq!(layers.len(), 1, "the same files make the same layer, whoever packed them");
    // A zip has no links.
    shell(room, "rm tree/top/mail; tar -C tree -cf app/plain.tar top");
    let zip = "import os, zipfile\nwith zipfile.ZipFile('app/plain.zip', 'w', zipfile.ZIP_DEFLATED) as archive:\n  for at, _, names in os.walk('tree/top'):\n    archive.write(at, os.path.relpath(at, 'tree'))\n    [archive.write(os.path.join(at, name), os.path.relpath(os.path.join(at, name), 'tree')) for name in names]\n";
    done(peer("python3").current_dir(room).args(["-c", zip]));
    let digests: Vec<String> = ["plain.tar", "plain.zip"]
        .iter()
        .map(|name| {
            let table = format!("[image]\nbase = \"scratch\"\n[[archive]]\nsrc = \"{name}\"\ndest = \"/data\"\n");
            project.manifest(&table);
            project.build(&format!("oci:{}", project.out(name).display()))
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn the_certificates_of_a_distribution_are_taken_whole() {
    let bundle = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
    let count = bundle.matches("BEGIN CERTIFICATE").count();
    let project =
        Project::new("[image]\nbase = \"scratch\"\n[trust-store]\nsrc = \"ca.pem\"\n").file("ca.pem", &bundle);
    let (out, _) = project.layout("out");
    let bundle = project.out("bundle");
    run("umoci", ["unpack", "--rootless", "--image", &format!("{}:latest", out.display()), bundle.to_str().unwrap()]);
    let listed = shell(
        project.room(),
        "openssl storeutl -noout -certs bundle/rootfs/etc/ssl/certs/ca-certificates.crt; cd bundle/rootfs/etc; \
         for place in pki/tls/certs/ca-bundle.crt ssl/cert.pem ssl/ca-bundle.pem pki/tls/cacert.pem; do cmp $place ssl/certs/ca-certificates.crt; done",
    );
    assert!(listed.contains(&format!("Total found: {count}")), "{listed}");
}

/// A tar of one file, written in pieces: `size` bytes of no pattern.
fn large(path: &Path, size: u64) {
    let script = "import io, os, sys, tarfile\nclass Noise(io.RawIOBase):\n  def read(self, count=-1): return os.urandom(count)\ninfo = tarfile.TarInfo('srv/large')\ninfo.size = int(sys.argv[2])\nwith tarfile.open(sys.argv[1], 'w') as archive: archive.addfile(info, Noise())\n";
    done(peer("python3").args(["-c", script]).arg(path).arg(size.to_string()));
}

#[test]
fn a_tree_out_of_a_gigabyte_is_taken_without_it() {
    let server = registry(None);
    let project = Project::new("");
    let room = project.room();
    large(&room.join("0.tar"), 1 << 30);
    shell(
        room,
        "mkdir -p app-tree/app/sub etc-tree/etc; echo one > app-tree/app/one; echo two > app-tree/app/sub/two; touch app-tree/app/.wh..wh..opq; \
         echo x > etc-tree/etc/x; tar -C app-tree -cf 1.tar app; tar -C etc-tree -cf 2.tar etc; mkdir -p layout/blobs/sha256",
    );
    let mut descriptors = Vec::new();
    let blobs = room.join("layout/blobs/sha256");
    for name in ["0.tar", "1.tar", "2.tar"] {
        let sum = run("sha256sum", [room.join(name)])[..64].to_string();
        let size = fs::metadata(room.join(name)).unwrap().len();
        fs::rename(room.join(name), blobs.join(&sum)).unwrap();
        descriptors.push(json!({"mediaType": media::LAYER, "digest": format!("sha256:{sum}"), "size": size}));
    }
    let put = |value: &Value, media_type: &str| {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::of(&bytes);
        fs::write(blobs.join(digest.hex()), &bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let ids: Vec<&Value> = descriptors.iter().map(|layer| &layer["digest"]).collect();
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}});
    let config = put(&config, media::CONFIG);
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": descriptors});
    let manifest = put(&manifest, media::MANIFEST);
    fs::write(room.join("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(room.join("layout/index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    let to = format!("docker://{}/large:1", server.host);
    run(
        "skopeo",
        [
            "copy",
            "--quiet",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &format!("oci:{}", room.join("layout").display()),
            &to,
        ],
    );
    fs::remove_dir_all(room.join("layout")).unwrap();

    let reference = format!("{}/large@{}", server.host, manifest["digest"].as_str().unwrap());
    let before = fs::read_to_string(server.log()).unwrap().len();
    project.write(
        "image.toml",
        format!(
            "schema = 1\n[image]\nbase = \"scratch\"\nuser = \"1\"\n[[copy]]\nfrom = \"{reference}\"\nsrc = \"/app\"\ndest = \"/app\"\n\
             [[copy]]\nfrom = \"{reference}\"\nsrc = \"/etc/x\"\ndest = \"/x\"\n"
        ),
    );
    let (out, _) = project.layout("out");
    let image = crate::layout::images(&out).remove(0);
    crate::layout::judge(&image, 0);
    let log = fs::read_to_string(server.log()).unwrap().split_off(before);
    for (at, layer) in descriptors.iter().enumerate() {
        let digest = layer["digest"].as_str().unwrap();
        let asked = log.lines().any(|line| line.contains("GET") && line.contains(digest));
        assert_eq!(asked, at > 0, "layer {at}: {log}");
    }
    let stored: u64 = shell(&project.home(), "du -sb . | cut -f1").trim().parse().unwrap();
    assert!(stored < 1 << 20, "{stored} bytes are in the store");
}

#[test]
fn a_file_out_of_an_image_of_a_gibibyte_fetches_only_its_own_layer() {
    let server = registry(None);
    let of = "[image]\nname = \"HOST/tools\"\nbase = \"scratch\"\ncompression = \"none\"\n\
              [[file]]\nsrc = \"large\"\ndest = \"/large\"\nlayer = \"large\"\n\
              [[file]]\nsrc = \"tree\"\ndest = \"/opt/tools\"\nlayer = \"tools\"\n";
    let from = Project::new(&of.replace("HOST", &server.host))
        .file("tree/bin/tool", "#!/bin/sh\n")
        .file("tree/data", "data\n");
    fs::File::create(from.app().join("large")).unwrap().set_len(1 << 30).unwrap();
    let pushed = from.run(&["--format", "json", "push"]);
    assert!(pushed.status.success(), "{}", said(&pushed));
    let pushed: Value = serde_json::from_slice(&pushed.stdout).unwrap();
    let reference = pushed["references"][0].as_str().unwrap();
    let taken = format!(
        "[image]\nbase = \"scratch\"\n[[copy]]\nfrom = \"{reference}\"\nsrc = \"/opt/tools/bin/tool\"\ndest = \"/tool\"\n"
    );
    let project = Project::new(&taken);
    project.build(&format!("oci:{}", project.out("out").display()));
    let held = |layer: &Value| {
        let digest = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
        project.home().join("v1/blobs/sha256").join(digest).exists()
    };
    let layers = pushed["images"][0]["layers"].as_array().unwrap();
    let held: Vec<(&str, bool)> = layers.iter().map(|layer| (layer["name"].as_str().unwrap(), held(layer))).collect();
    assert_eq!(held, [("large", false), ("tools", true)]);
    let room = run("du", ["-sk", project.home().to_str().unwrap()]);
    let kibibytes: u64 = room.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kibibytes < 1024, "{kibibytes} KiB in the store");
}
