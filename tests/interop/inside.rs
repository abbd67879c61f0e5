//! What we say is inside of an image, beside what others make of it: umoci unpacks it, docker runs and exports it, skopeo reads it, bsdtar
//! lists it. On a real Debian with layers that remove, empty, replace and link.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::debian::debian;
use crate::layout::{list, text};
use crate::peers::{cache, done, peer, run, said, shell};
use crate::project::Project;

/// What is known of a path: type, mode, owner, size, target, time, content, and which paths share it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    kind: String,
    mode: String,
    owner: String,
    size: Option<u64>,
    target: Option<String>,
    seconds: Option<i64>,
    digest: Option<String>,
    twins: BTreeSet<Vec<u8>>,
}

type Facts = BTreeMap<Vec<u8>, Fact>;

/// A layout with three images: `debian`, `plain` with two layers more on top of it, and `odd` with a third, which links to a file of a lower
/// layer: umoci takes that, the Docker engine does not. Made once, kept in the cache.
fn odd() -> PathBuf {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let layout = cache().join("odd-layout-2");
        if layout.is_dir() {
            return layout;
        }
        let room = tempfile::tempdir_in(cache()).unwrap();
        let (debian, _) = debian();
        let script = format!(
            r#"
cp -a {} layout
umoci unpack --image layout:debian bundle
r=bundle/rootfs
rm -rf $r/usr/share/doc
rm -rf $r/usr/share/locale && mkdir $r/usr/share/locale && echo new >$r/usr/share/locale/only
chmod 0700 $r/usr/bin/tar
chown 7:8 $r/etc/issue
echo more >>$r/etc/debian_version
rm $r/etc/host.conf && mkdir $r/etc/host.conf && echo x >$r/etc/host.conf/inside
rm -rf $r/var/log/apt && ln -s /elsewhere $r/var/log/apt
ln $r/usr/bin/bash $r/usr/bin/bash-again
cp -p $r/usr/bin/bash $r/usr/local/bin/bash-copy
mknod $r/srv/null c 1 3 && mkfifo $r/srv/pipe && chmod 0600 $r/srv/pipe
printf x >"$r/srv/$(printf 'bad\377 name\n')"
umoci repack --image layout:plain bundle
python3 - <<'END'
import io, tarfile
out = tarfile.open("plain.tar", "w", format=tarfile.PAX_FORMAT)
def add(name, data=b"", kind=tarfile.REGTYPE, link="", mode=0o644, pax={{}}):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.size, entry.mtime = kind, link, mode, len(data), 1234567890
    entry.pax_headers = pax
    out.addfile(entry, io.BytesIO(data))
add("etc/cron.daily", kind=tarfile.DIRTYPE, mode=0o751)
add("etc/cron.daily/.wh..wh..opq")
add("etc/cron.daily/fresh", b"fresh")
add("usr/bin/.wh.sed")
add("opt/implied/deep/file", b"x" * 5000)
add("opt/setuid", b"s", mode=0o4755)
out.close()
out = tarfile.open("low.tar", "w", format=tarfile.PAX_FORMAT)
add("usr/bin/bash-low", kind=tarfile.LNKTYPE, link="usr/bin/bash")
out.close()
END
umoci raw add-layer --image layout:plain plain.tar
umoci tag --image layout:plain odd
umoci raw add-layer --image layout:odd low.tar
umoci gc --layout layout
"#,
            debian.display()
        );
        shell(room.path(), &script);
        fs::rename(room.path().join("layout"), &layout).unwrap();
        layout
    };
    LAYOUT.get_or_init(make).clone()
}

fn json(project: &Project, words: &[&str]) -> Value {
    let output = project.run(&[&["--format", "json"], words].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `files` says.
fn ours(project: &Project, reference: &str) -> Facts {
    let document = json(project, &["files", reference]);
    let mut facts = Facts::new();
    let mut first: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let name = |row: &Value| match row["pathBase64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => text(&row["path"]).as_bytes()[1..].to_vec(),
    };
    for row in list(&document["files"]) {
        let shared = row["hardlink"].as_str().map_or_else(|| text(&row["path"]), str::to_string);
        first.entry(shared).or_default().insert(name(&row));
    }
    for row in list(&document["files"]) {
        let shared = row["hardlink"].as_str().map_or_else(|| text(&row["path"]), str::to_string);
        let kind = text(&row["type"]);
        let fact = Fact {
            mode: if kind == "symlink" { String::new() } else { text(&row["mode"]) },
            owner: format!("{}:{}", row["uid"], row["gid"]),
            size: row["size"].as_u64(),
            target: row["target"].as_str().map(str::to_string),
            seconds: (kind == "file").then(|| text(&row["mtime"])).map(|time| seconds(&time)),
            digest: row["digest"].as_str().map(str::to_string),
            twins: if kind == "file" { first[&shared].clone() } else { BTreeSet::new() },
            kind,
        };
        facts.insert(name(&row), fact);
    }
    facts
}

/// The seconds of an RFC 3339 time, by `date`.
fn seconds(time: &str) -> i64 {
    thread_local! {
        static KNOWN: std::cell::RefCell<BTreeMap<String, i64>> = const { std::cell::RefCell::new(BTreeMap::new()) };
    }
    let known = KNOWN.with_borrow(|known| known.get(time).copied());
    known.unwrap_or_else(|| {
        let found = run("date", ["-d", time, "+%s"]).trim().parse().unwrap();
        KNOWN.with_borrow_mut(|known| known.insert(time.to_string(), found));
        found
    })
}

/// What stands on a disk.
fn on_disk(root: &Path) -> Facts {
    let format = r"%P\0%y\0%m\0%U:%G\0%s\0%l\0%T@\0%D.%i\0";
    let found = peer("find").arg(root).args(["-printf", format]).output().unwrap().stdout;
    let sums = shell(root, "find . -type f -print0 | sort -z | xargs -0 sha256sum -z | base64 -w0");
    let sums = STANDARD.decode(sums.trim()).unwrap();
    let sum = |line: &[u8]| (line[68..].to_vec(), format!("sha256:{}", String::from_utf8_lossy(&line[..64])));
    let sums: BTreeMap<Vec<u8>, String> =
        sums.split(|byte| *byte == 0).filter(|line| !line.is_empty()).map(sum).collect();
    let mut facts = Facts::new();
    let mut inodes: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let fields: Vec<&[u8]> = found.split(|byte| *byte == 0).collect();
    for row in fields.chunks_exact(8) {
        let word = |at: usize| String::from_utf8_lossy(row[at]).into_owned();
        let kind = match word(1).as_str() {
            "f" => "file",
            "d" => "directory",
            "l" => "symlink",
            "c" => "character-device",
            "b" => "block-device",
            "p" => "fifo",
            other => panic!("{other}"),
        };
        let file = kind == "file";
        if file {
            inodes.entry(word(7)).or_default().insert(row[0].to_vec());
        }
        let fact = Fact {
            kind: kind.to_string(),
            mode: if kind == "symlink" { String::new() } else { format!("{:0>4}", word(2)) },
            owner: word(3),
            size: file.then(|| word(4).parse().unwrap()),
            target: (kind == "symlink").then(|| word(5)),
            seconds: file.then(|| word(6).split('.').next().unwrap().parse().unwrap()),
            digest: file.then(|| sums[row[0]].clone()),
            twins: BTreeSet::from([word(7).into_bytes()]),
        };
        facts.insert(row[0].to_vec(), fact);
    }
    for fact in facts.values_mut() {
        let inode = String::from_utf8(fact.twins.pop_first().unwrap()).unwrap();
        fact.twins = if fact.kind == "file" { inodes[&inode].clone() } else { BTreeSet::new() };
    }
    facts
}

/// Panics with the first few differences.
fn agree(ours: &Facts, theirs: &Facts) {
    let paths: BTreeSet<&Vec<u8>> = ours.keys().chain(theirs.keys()).collect();
    let differs: Vec<_> = paths.into_iter().filter(|path| ours.get(*path) != theirs.get(*path)).collect();
    let shown: Vec<_> = differs
        .iter()
        .take(5)
        .map(|path| (path.escape_ascii().to_string(), ours.get(*path), theirs.get(*path)))
        .collect();
    assert!(differs.is_empty(), "{} paths differ: {shown:#?}", differs.len());
}

/// An image of the odd layout, unpacked by umoci.
fn unpacked(project: &Project, name: &str) -> PathBuf {
    let bundle = project.out(&format!("bundle-{name}"));
    run("umoci", ["unpack", "--image", &format!("{}:{name}", odd().display()), &bundle.display().to_string()]);
    bundle.join("rootfs")
}

fn reference(name: &str) -> String {
    format!("oci:{}:{name}", odd().display())
}

#[test]
fn files_are_those_that_umoci_unpacks() {
    let project = Project::new("");
    for name in ["debian", "plain", "odd"] {
        let theirs = on_disk(&unpacked(&project, name));
        let ours = ours(&project, &reference(name));
        assert!(ours.len() > 3000, "{}", ours.len());
        agree(&ours, &theirs);
    }
    let odd = ours(&project, &reference("odd"));
    assert_eq!(odd[&b"usr/bin/bash"[..]].twins.len(), 3, "one of the same layer, and one of the layer above");
    assert!(!odd.contains_key(&b"usr/bin/sed"[..]) && !odd.contains_key(&b"usr/share/doc"[..]));
    assert!(odd.keys().filter(|path| path.starts_with(b"etc/cron.daily/")).eq([&b"etc/cron.daily/fresh".to_vec()]));
}

#[test]
fn a_diff_is_that_of_the_two_unpacked_trees() {
    let project = Project::new("");
    let (before, after) = (on_disk(&unpacked(&project, "debian")), on_disk(&unpacked(&project, "odd")));
    let document = json(&project, &["diff", &reference("debian"), &reference("odd")]);
    let mut found: BTreeMap<&str, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut only_time = BTreeSet::new();
    for one in list(&document["files"]) {
        let path = match one["pathBase64"].as_str() {
            Some(encoded) => STANDARD.decode(encoded).unwrap(),
            None => text(&one["path"]).as_bytes()[1..].to_vec(),
        };
        let fields: Vec<String> =
            one["fields"].as_array().into_iter().flatten().map(|field| text(&field["field"])).collect();
        if fields == ["mtime"] {
            only_time.insert(path);
            continue;
        }
        let word = ["added", "removed", "changed"].into_iter().find(|word| one["change"] == **word).unwrap();
        found.entry(word).or_default().insert(path);
    }
    let only = |these: &Facts, those: &Facts| -> BTreeSet<Vec<u8>> {
        these.keys().filter(|path| !those.contains_key(*path)).cloned().collect()
    };
    assert_eq!(found["added"], only(&after, &before));
    assert_eq!(found["removed"], only(&before, &after));
    // A file whose other names came or went is a change of those names only, and of its first name.
    let content = |fact: &Fact| Fact { twins: BTreeSet::new(), seconds: None, ..fact.clone() };
    let changed: BTreeSet<Vec<u8>> = before
        .iter()
        .filter(|(path, fact)| after.get(*path).is_some_and(|after| content(after) != content(fact)))
        .map(|(path, _)| path.clone())
        .collect();
    assert_eq!(found["changed"], changed);
    // What differs in time only is known to both, but for directories, whose time is no matter of the layers.
    let touched = before.iter().filter(|(path, fact)| {
        after.get(*path).is_some_and(|after| content(after) == content(fact) && after.seconds != fact.seconds)
    });
    assert!(touched.map(|(path, _)| path).all(|path| only_time.contains(path)));
}

#[test]
fn documents_are_those_that_skopeo_reads() {
    let project = Project::new("");
    let reference = reference("odd");
    let skopeo = |words: &[&str]| run("skopeo", [&["inspect"], words, &[&reference]].concat());
    let inspect = |words: &[&str]| {
        let output = project.run(&[&["inspect", &reference], words].concat());
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(inspect(&["--raw"]).trim(), skopeo(&["--raw"]).trim());
    assert_eq!(inspect(&["--config"]).trim(), skopeo(&["--raw", "--config"]).trim());
    let theirs: Value = serde_json::from_str(&skopeo(&[])).unwrap();
    let ours = json(&project, &["inspect", &reference, "--verify"]);
    let layers = list(&ours["platforms"][0]["layers"]);
    assert_eq!((layers.len(), &theirs["Digest"]), (4, &ours["digest"]));
    let digests: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    assert_eq!(digests, list(&theirs["Layers"]).iter().collect::<Vec<_>>());
    assert_eq!(ours["platforms"][0]["platform"], format!("{}/{}", text(&theirs["Os"]), text(&theirs["Architecture"])));
    assert_eq!(ours["verified"], 10);
}

#[test]
fn bsdtar_reads_the_mtree_and_writes_the_same() {
    let project = Project::new("");
    let written = project.run(&["files", &reference("debian"), "--mtree"]);
    assert!(written.status.success(), "{}", said(&written));
    let file = project.out("ours.mtree");
    fs::write(&file, &written.stdout).unwrap();
    let (layout, _) = debian();
    let layer = &crate::layout::images(&layout)[0].layers[0];
    // Their names, in the order of the bytes, without `./` and the `/` of directories.
    let names = |archive: &Path| {
        let listed = done(peer("bsdtar").arg("-tf").arg(archive));
        let plain =
            |line: &str| line.trim_start_matches("./").trim_start_matches('.').trim_end_matches('/').to_string();
        listed.lines().map(plain).collect::<BTreeSet<String>>()
    };
    assert_eq!(names(&file), names(layer));
    let theirs = project.out("theirs.mtree");
    let options = "mtree:!all,type,mode,uid,gid,size,time,link,sha256,device";
    let source = format!("@{}", layer.display());
    run("bsdtar", ["-cf", theirs.to_str().unwrap(), "--format=mtree", "--options", options, &source]);
    let words = |path: &Path| {
        let read = fs::read_to_string(path).unwrap();
        let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in read.lines().filter(|line| !line.starts_with(['#', '/']) && !line.starts_with(". ")) {
            let mut words = line.split(' ');
            let name = words.next().unwrap().trim_end_matches('/').replace("\\133", "[");
            // Both may write one number in several ways; a hard link has no content of its own to bsdtar.
            let value = |word: &str| match word.split_once('=') {
                Some(("mode", mode)) => format!("mode={}", mode.trim_start_matches('0')),
                Some(("time", time)) => format!("time={}", time.split('.').next().unwrap()),
                _ => word.to_string(),
            };
            let known = ["type", "mode", "uid", "gid", "time", "link", "size", "sha256digest"];
            let kept = words.filter(|word| known.contains(&word.split('=').next().unwrap()));
            lines.insert(name, kept.map(value).collect());
        }
        lines
    };
    let (ours, theirs) = (words(&file), words(&theirs));
    let keys = |these: &BTreeMap<String, BTreeSet<String>>| these.keys().cloned().collect::<BTreeSet<_>>();
    let odd: Vec<String> = keys(&ours).symmetric_difference(&keys(&theirs)).cloned().collect();
    assert_eq!(odd, Vec::<String>::new());
    let mut same = 0;
    for (name, words) in &theirs {
        let whole = words.iter().any(|word| word.starts_with("sha256digest=")) || !words.contains("type=file");
        if whole {
            assert_eq!(&ours[name], words, "{name}");
            same += 1;
        }
    }
    assert!(same > 3000, "{same}");
}

/// An image that the engine built on ours, which goes with it.
struct Built(String);

impl Drop for Built {
    fn drop(&mut self) {
        let _ = peer("docker").args(["rmi", "--force", &self.0, &format!("{}-base", self.0)]).output();
    }
}

/// Lets the engine build on the plain image: what it writes are overlayfs's own whiteouts and opaque directories.
fn built(project: &Project) -> Built {
    let name = format!("stillframe.test/inside-{}", std::process::id());
    let archive = project.out("odd.tar");
    let to = format!("docker-archive:{}:{name}-base", archive.display());
    run("skopeo", ["copy", "--quiet", &reference("plain"), &to]);
    run("docker", ["load", "--quiet", "--input", archive.to_str().unwrap()]);
    let context = project.out("context");
    fs::create_dir_all(&context).unwrap();
    let recipe = format!(
        "FROM {name}-base\n\
         LABEL a=b\n\
         RUN rm -rf /usr/share/bash-completion /etc/issue.net\n\
         RUN rm -rf /var/lib/dpkg/triggers && mkdir -m 0711 /var/lib/dpkg/triggers && echo new >/var/lib/dpkg/triggers/x\n\
         RUN ln /usr/bin/find /usr/bin/find-again && chmod 0700 /usr/bin/grep\n\
         RUN rm /etc/motd && mkdir /etc/motd && echo x >/etc/motd/y\n\
         ENV X=\"a b\"\n\
         CMD [\"/bin/true\"]\n"
    );
    fs::write(context.join("Dockerfile"), recipe).unwrap();
    let mut build = peer("docker");
    build.env("DOCKER_BUILDKIT", "0").args(["build", "--network", "none", "--quiet", "--tag", &name]).arg(&context);
    done(&mut build);
    Built(name)
}

#[test]
fn history_and_files_are_those_of_docker() {
    let project = Project::new("");
    let image = built(&project);
    let saved = project.out("saved.tar");
    run("docker", ["save", "--output", saved.to_str().unwrap(), &image.0]);
    let reference = format!("docker-archive:{}", saved.display());
    // The history: the engine shows the newest first.
    let format = "{{.Size}}\t{{.CreatedBy}}\t{{.Comment}}";
    let theirs = run("docker", ["history", "--no-trunc", "--human=false", "--format", format, &image.0]);
    let mut theirs: Vec<String> = theirs.lines().map(str::to_string).collect();
    theirs.reverse();
    let steps = list(&json(&project, &["history", &reference])["history"]);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let ours: Vec<String> = steps
        .iter()
        .map(|step| format!("{}\t{}\t{}", step["size"], word(&step["createdBy"]), word(&step["comment"])))
        .collect();
    assert_eq!(ours, theirs);
    assert!(ours.len() > 8, "{ours:#?}");
    // The files: those of a container of it, but for what the engine puts into every one.
    let container = run("docker", ["create", "--network", "none", &image.0]).trim().to_string();
    let exported = project.out("exported.tar");
    run("docker", ["export", "--output", exported.to_str().unwrap(), &container]);
    run("docker", ["rm", &container]);
    let put = |path: &[u8]| {
        let names = [".dockerenv", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];
        let below: [&[u8]; 3] = [b"dev", b"proc", b"sys"];
        names.iter().any(|name| name.as_bytes() == path)
            || below.iter().any(|room| path.strip_prefix(*room).is_some_and(|rest| rest.is_empty() || rest[0] == b'/'))
    };
    let mut theirs = BTreeMap::new();
    let mut archive = tar::Archive::new(fs::File::open(&exported).unwrap());
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path_bytes().into_owned();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        let path = path.strip_suffix(b"/").unwrap_or(path).to_vec();
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Link => "file",
            tar::EntryType::Directory => "directory",
            tar::EntryType::Symlink => "symlink",
            tar::EntryType::Char => "character-device",
            tar::EntryType::Block => "block-device",
            tar::EntryType::Fifo => "fifo",
            other => panic!("{other:?}"),
        };
        let mode = if kind == "symlink" { String::new() } else { format!("{:04o}", header.mode().unwrap() & 0o7777) };
        let owner = format!("{}:{}", header.uid().unwrap(), header.gid().unwrap());
        if !path.is_empty() && path != b"." && !put(&path) {
            theirs.insert(path, (kind.to_string(), mode, owner));
        }
    }
    let ours = ours_of(&project, &reference, put);
    assert!(theirs.len() > 3000, "{}", theirs.len());
    let different: Vec<_> = ours.iter().filter(|(path, fact)| theirs.get(*path) != Some(fact)).take(5).collect();
    assert!(different.is_empty(), "{different:?}");
    assert_eq!(ours.len(), theirs.len());
    assert!(theirs.keys().any(|path| path == b"var/lib/dpkg/triggers/x"));
    assert!(!theirs.keys().any(|path| path == b"var/lib/dpkg/triggers/Lock"));
}

/// Type, mode and owner of each path, as `files` says.
fn ours_of(
    project: &Project,
    reference: &str,
    put: impl Fn(&[u8]) -> bool,
) -> BTreeMap<Vec<u8>, (String, String, String)> {
    let facts = ours(project, reference).into_iter().filter(|(path, _)| !path.is_empty() && !put(path));
    facts.map(|(path, fact)| (path, (fact.kind, fact.mode, fact.owner))).collect()
}
