//! Golden digests of whole images (check REP-14): manifest, config and layers of each manifest in each compression. Format 1 is
//! frozen: a line that was released never changes and never goes; `src/layer/golden.rs` has those of single layers.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::imports::{self, Part};
use super::support::layout::digest;
use super::support::{Base, Elf, Project, bytes, dir, file, idle, link, manifest};

/// Each with a name; sources are those of [`project`].
const FIXTURES: [(&str, &str, &str); 21] = [
    ("nothing", "", ""),
    ("file", "", "[[file]]\ndest = \"/etc/motd\"\ncontent = \"hello\\n\"\n"),
    ("tree", "", "[[file]]\nsrc = \"tree\"\ndest = \"/srv/\"\n"),
    (
        "program",
        "entrypoint = [\"/app\"]\n",
        "[[binary]]\nsrc = \"tree/run\"\ndest = \"/app\"\ncapabilities = [\"cap_net_bind_service\"]\n",
    ),
    (
        "modes",
        "",
        "[[dir]]\ndest = \"/tmp\"\nmode = \"1777\"\n[[file]]\ndest = \"/s\"\ncontent = \"\"\nmode = \"4755\"\n",
    ),
    (
        "users",
        "user = \"a\"\n",
        "[[user]]\nname = \"a\"\nuid = 3000000\n[[group]]\nname = \"g\"\ngid = 7\nmembers = [\"a\"]\n",
    ),
    ("links", "", "[[symlink]]\ndest = \"/usr/bin/x\"\ntarget = \"../../app\"\n"),
    ("names", "", "[[file]]\ndest = \"/ä/日本/x y\"\ncontent = \"\"\n"),
    (
        "layers",
        "",
        "[[file]]\ndest = \"/b\"\ncontent = \"b\"\nlayer = \"second\"\n[[file]]\ndest = \"/a\"\ncontent = \"a\"\n[[binary]]\nsrc = \"tree/run\"\ndest = \"/c\"\n",
    ),
    (
        "config",
        "cmd = [\"x\", \"y z\"]\nworkdir = \"/w\"\nports = [\"80\", \"53/udp\"]\nvolumes = [\"/v\"]\nstop-signal = \"SIGINT\"\n",
        "[env]\nB = \"2\"\nA = \"1\"\n[labels]\n\"k.b\" = \"ü\"\n\"k.a\" = \"<&>\\\"\"\n",
    ),
    (
        "annotations",
        "",
        "[annotations]\nboth = \"1\"\n[annotations.index]\nindex = \"2\"\n[annotations.manifest]\nmanifest = \"3\"\n",
    ),
    (
        "platforms",
        "platforms = [\"linux/arm64\", \"linux/amd64\", \"linux/arm/v7\"]\n",
        "[[file]]\ndest = \"/p\"\ncontent = \"{{ platform.arch }}{{ platform.variant }}\"\n",
    ),
    (
        "archive",
        "",
        "[[file]]\ndest = \"/app/f\"\ncontent = \"f\"\n[[archive]]\nsrc = \"ui.tar.xz\"\ndest = \"/app\"\nstrip = 1\nexclude = [\"no\"]\n",
    ),
    ("image", "", "[[copy]]\nfrom = \"TOOLS\"\nsrc = \"/opt\"\ndest = \"/o\"\n"),
    ("certificates", "", "[trust-store]\nsrc = \"ca.pem\"\n"),
    ("twins", "hard-links = true\n", "[[file]]\nsrc = \"twins\"\ndest = \"/t\"\n"),
    ("level", "compression-level = 9\n", "[[file]]\nsrc = \"twins\"\ndest = \"/t\"\n"),
    ("skeleton", "user = \"a\"\n", "[skeleton]\n[[user]]\nname = \"a\"\nuid = 7\nhome = \"/home/a\"\n"),
    (
        "health",
        "cmd = [\"/x\"]\n",
        "[healthcheck]\ncommand = [\"/x\", \"--well\"]\ninterval = \"30s\"\ntimeout = \"1m30s\"\nretries = 3\n",
    ),
    ("libraries", "", "[[binary]]\nsrc = \"linked\"\ndest = \"/app\"\nlibs = \"copy\"\nlibs-from = \"ROOT\"\n"),
    (
        "base",
        "unset = [\"cmd\"]\n",
        "ports = [\"53/udp\"]\n[env]\nPATH = { append = \"/b\" }\n[[file]]\ndest = \"/etc/motd\"\ncontent = \"\"\nreplace = true\n[[remove]]\ndest = \"/usr/share/doc\"\n",
    ),
];

#[test]
fn rep_14_golden_digests_of_images() {
    let project = Project::new().file("tree/run", "#!/bin/sh\n").file("tree/a/b.txt", "b").symlink("tree/a/c", "b.txt");
    let parts = [
        Part::Dir("ui/", 0o700),
        Part::File("ui/b", b"#!/bin/sh\n", 0),
        Part::File("ui/a", b"a", 0o777),
        Part::Link("ui/l", "a"),
        Part::Hard("ui/h", "ui/b"),
        Part::File("ui/no", b"no", 0),
    ];
    let project = project.file("ui.tar.xz", imports::xz(&imports::tar(&parts, 7, 7)));
    let project = project.file("ca.pem", include_str!("golden/ca.pem"));
    let project = project.file("twins/a", "twin\n".repeat(1000)).file("twins/b", "twin\n".repeat(1000));
    let run = file("opt/t/run", "x").owned(0o4711, 3, 3);
    let tools = Base::of([dir("opt").owned(0o700, 3, 3), dir("opt/t").owned(0o1777, 3, 3), run, link("opt/l", "/x")]);
    let tools = tools.write(&project, "tools");
    let loader = Elf::library("libc.musl-x86_64.so.1").bytes();
    let root = Base::of([dir("lib"), bytes("lib/ld-musl-x86_64.so.1", 0o755, loader)]).write(&project, "root");
    let linked = Elf::program().pie().loader("/lib/ld-musl-x86_64.so.1").needs("libc.musl-x86_64.so.1");
    let project = project.file("linked", linked.bytes());
    // Its own digest stands in the manifests that are made on it, so no encoder of the tests may have a say in it.
    let below = Base::of([
        dir("etc"),
        file("etc/motd", "below\n"),
        dir("usr"),
        dir("usr/share"),
        dir("usr/share/doc"),
        file("usr/share/doc/README", "read me\n"),
        link("lib", "usr/lib"),
    ]);
    let below = below.compressed("none").config(json!({
        "Env": ["PATH=/usr/bin", "LANG=C"],
        "Cmd": ["bash"],
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {"vendor": "below"},
        "StopSignal": "SIGQUIT",
    }));
    let below = below.write(&project, "below");
    let mut all = String::new();
    for (name, image, rest) in FIXTURES {
        for compression in ["gzip", "zstd", "none"] {
            if image.contains("level") && compression == "none" {
                continue;
            }
            let head = format!("created = \"2026-01-31T12:00:00Z\"\ncompression = \"{compression}\"\n{image}");
            let rest = rest.replace("TOOLS", &tools).replace("ROOT", &root);
            let base = if name == "base" { &below } else { "scratch" };
            project.write("image.toml", idle(&manifest(base, &format!("{head}{rest}"))));
            let made = project.run(["--format", "json", "build"]).success().json();
            all += &format!("{name} {compression} {}\n", made["digest"].as_str().unwrap());
            for image in made["images"].as_array().unwrap() {
                let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();
                all += &format!("  {} manifest {}\n", word(&image["platform"]), word(&image["digest"]));
                all += &format!("    config {}\n", word(&image["config"]));
                for layer in image["layers"].as_array().unwrap() {
                    let name = layer["name"].as_str().unwrap_or("(of the base)");
                    all += &format!("    {name} {}\n", word(&layer["digest"]));
                }
            }
        }
    }
    assert_golden("images", &all);
}

/// Asserts that these are the lines of a file of golden digests, which is written by hand and by nothing else.
#[track_caller]
pub fn assert_golden(name: &str, found: &str) {
    let expected = text(&format!("tests/it/golden/{name}.txt"));
    let differ = |(at, (found, expected)): (usize, (&str, &str))| {
        (found != expected).then(|| format!("line {}: `{found}`, not `{expected}`", at + 1))
    };
    if let Some(what) = found.lines().zip(expected.lines()).enumerate().find_map(differ) {
        panic!("{name}: {what}\n{FROZEN}");
    }
    let more: Vec<&str> = found.lines().skip(expected.lines().count()).collect();
    assert!(found.len() >= expected.len(), "{name}: lines at the end are missing\n{FROZEN}");
    assert!(more.is_empty(), "{name}: new fixtures go to the end of the file, with these lines:\n{}", more.join("\n"));
}

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

const FROZEN: &str = "format 1 is frozen: what was released never changes. Undo what changed these bytes. Other bytes are another \
                      format, with another number and golden digests of its own (`docs/format-1.md`, *Frozen*).";

/// Files of golden digests: how many lines were released, and the digest of these. Lines that follow may be added; they are released by
/// taking them in here.
const RELEASED: [(&str, usize, &str); 3] = [
    ("src/layer/golden.txt", 49, "sha256:909eec59efccad0fae9a15b44f57ec44015b68843f10bf7a3cc0e3e5534a4e72"),
    ("tests/it/golden/images.txt", 269, "sha256:4df155a592f8290afe685e5ba2a4fd99c98bdf9139357efdaa55684530556d73"),
    ("tests/it/golden/packages.txt", 18, "sha256:a70103f64f85b997450b846c7440bf4b5ccc0766868367296cf15457481ba6f5"),
];

#[test]
fn rep_14_format_1_is_frozen() {
    let found = RELEASED.map(|(path, count, _)| {
        let lines: String = text(path).lines().take(count).map(|line| format!("{line}\n")).collect();
        (path, lines.lines().count(), digest(lines.as_bytes()))
    });
    for ((path, count, found), (_, released, expected)) in found.iter().zip(RELEASED) {
        assert_eq!((*count, found.as_str()), (released, expected), "{path}: {FROZEN}");
    }
}
