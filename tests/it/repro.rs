//! The same bytes under all circumstances: checks REP-01 to REP-18 at the level of the command line.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::{prop_assert_eq, proptest};

use super::git::git;
use super::support::project::names;
use super::support::{Base, Project, manifest, rooted, scratch};

const ITEMS: &str = r#"
[env]
B = "2"
A = "1"
[labels]
z = "26"
"a.b" = "c"
[[file]]
src = "tree"
dest = "/srv/tree"
[[file]]
dest = "/etc/motd"
content = "hello {{ platform.arch }}\n"
layer = "late"
[[binary]]
src = "app"
dest = "/app"
[[user]]
name = "app"
uid = 1000
"#;

/// A project with a bit of everything in a directory of this name.
fn project(name: &str) -> Project {
    let project = Project::named(name)
        .file("app", b"\x7fELF app")
        .file("tree/a", "a".repeat(3000))
        .file("tree/sub/b", "b")
        .file("tree/sub/Ä ö", "c")
        .symlink("tree/link", "sub/b");
    let base = Base::debian().write_index(&project, "base");
    let rest = format!("platforms = [\"linux/amd64\", \"linux/arm64\"]\nuser = \"app\"\n{ITEMS}");
    project.file("image.toml", manifest(&base, &rest))
}

/// All files below a directory with their contents.
fn tree(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for name in names(directory) {
        let path = directory.join(&name);
        if path.is_dir() {
            all.extend(tree(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            all.push((name, fs::read(path).unwrap()));
        }
    }
    all
}

#[test]
fn rep_01_two_builds_are_equal_byte_for_byte() {
    let (one, two) = (project("one"), project("two"));
    one.build();
    two.build();
    assert_eq!(tree(&one.path("out")), tree(&two.path("out")));
    for kind in ["oci-archive", "docker-archive"] {
        let words = |project: &Project| {
            let to = format!("{kind}:file.tar");
            project.run(["build", "--platform", "linux/arm64", "-o", &to]).success();
            fs::read(project.path("file.tar")).unwrap()
        };
        assert_eq!(words(&one), words(&two), "{kind}");
    }
}

#[test]
fn rep_08_the_environment_does_not_count() {
    let plain = project("plain").digest();
    let odd = project("odd name with ünï and 'quotes'");
    let run = odd.run(["build", "-o", "oci:out"]).env("TZ", "Asia/Kathmandu").env("LANG", "tr_TR.UTF-8");
    let run = run.env("LC_ALL", "tr_TR.UTF-8").env("USER", "canary-user").env("HOSTNAME", "canary-host");
    assert_eq!(run.env("HOME", odd.path("canary-home")).success().digest(), plain);
    let unpacked = |bytes: &[u8]| {
        let mut all = Vec::new();
        let _ = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut all);
        all
    };
    for (name, bytes) in tree(&odd.path("out")) {
        for bytes in [unpacked(&bytes), bytes] {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(["canary", "Kathmandu", "tr_TR", "odd name"].iter().all(|word| !text.contains(word)), "{name}");
        }
    }
}

#[test]
fn rep_05_umask_and_host_modes_do_not_count() {
    let plain = project("plain").digest();
    for umask in ["umask 000", "umask 022", "umask 027", "umask 077"] {
        assert_eq!(project("other").run(["build"]).after(umask).success().digest(), plain, "{umask}");
    }
    for mode in [0o664, 0o644, 0o600, 0o755] {
        let other = project("other");
        for path in ["app", "tree/a", "tree/sub/b", "image.toml"] {
            fs::set_permissions(other.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(other.digest(), plain, "{mode:o}");
    }
}

#[test]
fn rep_06_times_of_the_inputs_do_not_count() {
    let project = project("project");
    let plain = project.digest();
    for seconds in [0, 1, 1_700_000_000, 4_000_000_000] {
        for path in ["app", "tree", "tree/a", "tree/sub/b", "image.toml"] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::open(project.path(path)).unwrap().set_modified(at).unwrap();
        }
        assert_eq!(project.digest(), plain);
        assert_eq!(project.run(["--no-cache", "build"]).success().digest(), plain);
    }
}

#[test]
fn rep_09_the_number_of_threads_does_not_count() {
    let large: Vec<u8> = (0u32..700_000).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for compression in ["gzip", "zstd", "none"] {
        let rest = format!("compression = \"{compression}\"\n[[file]]\nsrc = \"tree\"\ndest = \"/t\"");
        let project = Project::of(&scratch(&rest)).file("tree/large", &large).file("tree/small", "x");
        let one = |jobs: &str| {
            let run = project.run(["--no-cache", "--jobs", jobs, "build"]);
            run.env("STILLFRAME_HOME", project.path(&format!("store-{jobs}"))).success().digest()
        };
        let digests: BTreeSet<String> = ["1", "2", "8", "16"].into_iter().map(one).collect();
        assert_eq!(digests.len(), 1, "{compression}");
    }
    Project::of(&scratch("")).run(["--jobs", "0", "build"]).fails(2);
}

#[test]
fn rep_18_the_store_does_not_count() {
    let project = project("project");
    let blobs = project.store().join("blobs/sha256");
    let plain = project.digest();
    assert_eq!(project.digest(), plain, "warm");
    assert_eq!(project.run(["--no-cache", "build"]).success().digest(), plain, "not looked at");
    for (at, name) in names(&blobs).into_iter().enumerate() {
        if at % 2 == 0 {
            fs::remove_file(blobs.join(name)).unwrap();
        }
    }
    assert_eq!(project.digest(), plain, "half evicted");
    for path in all_files(&project.store()) {
        fs::write(path, "spoilt").unwrap();
    }
    assert_eq!(project.build().digest(), plain, "all spoilt");
    fs::remove_dir_all(project.store()).unwrap();
    assert_eq!(project.build().digest(), plain, "cold");
}

fn all_files(directory: &Path) -> Vec<std::path::PathBuf> {
    tree(directory).into_iter().map(|(path, _)| directory.join(path)).collect()
}

#[test]
fn the_way_to_the_manifest_does_not_count() {
    let project = project("project");
    let plain = project.digest();
    let absolute = project.path("image.toml");
    for (cwd, path) in [
        ("", "image.toml"),
        ("", "."),
        ("", "./tree/../image.toml"),
        ("", absolute.to_str().unwrap()),
        ("tree/sub", "../../image.toml"),
        ("tree/sub", "../.."),
        ("..", "project"),
        ("..", absolute.to_str().unwrap()),
    ] {
        let done = project.run(["-f", path, "build"]).cwd(&project.path(cwd)).success();
        assert_eq!(done.digest(), plain, "{path} from {cwd}");
    }
}

#[test]
fn rep_16_gzip_begins_with_ten_fixed_bytes() {
    let project = project("project");
    let layout = project.build();
    for architecture in ["amd64", "arm64"] {
        for (_, layer) in layout.image_for("linux", architecture).own() {
            assert_eq!(layer.blob[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        }
    }
}

#[test]
fn git_gives_the_time_and_nothing_else() {
    let rest = "[labels]\nsha = \"{{ git.short_sha }}\"\n[[file]]\nsrc = \"tree\"\ndest = \"/t\"";
    let project = Project::of(&scratch(rest)).file("tree/a", "a").file(".gitignore", "/out*\n*.log\n");
    git(&project, &["init", "-q"]);
    project.run(["build"]).fails(2); // there is no commit yet
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "one"]);
    let image = project.build().image();
    assert_eq!(image.config["created"], "2020-09-13T12:26:40Z");
    let sha = image.config["config"]["Labels"]["sha"].as_str().unwrap().to_string();
    assert_eq!(sha.len(), 12);

    project.write("debug.log", "ignored files are not dirt");
    let done = project.run(["build"]).success();
    assert_eq!((done.digest(), done.stderr.as_str()), (image.digest.clone(), ""));

    for dirt in ["new.txt", "tree/a"] {
        let before = fs::read(project.path(dirt)).ok();
        project.write(dirt, "dirt");
        let done = project.run(["build", "-o", "oci:out-dirty"]).success();
        assert!(done.stderr.contains(&format!("because `{dirt}` is not committed")), "{}", done.stderr);
        assert_eq!(project.layout("out-dirty").image().config["created"], "1980-01-01T00:00:00Z");
        match before {
            Some(before) => project.write(dirt, before),
            None => fs::remove_file(project.path(dirt)).unwrap(),
        }
    }

    git(&project, &["commit", "-qm", "two", "--allow-empty"]);
    let next = project.build().image();
    assert_eq!(next.manifest["layers"], image.manifest["layers"], "a new commit alone makes no new layer");
    assert_ne!(next.config["config"]["Labels"]["sha"], sha.as_str());
    let epoch = project.run(["build", "-o", "oci:out-epoch"]).env("SOURCE_DATE_EPOCH", "1").success();
    assert_eq!(epoch.stderr, "");
    assert_eq!(project.layout("out-epoch").image().config["created"], "1970-01-01T00:00:01Z");
}

#[test]
fn git_tags_give_the_version() {
    let text = "schema = 1\n[vars]\nversion = { from = \"git:tag\", strip-prefix = \"v\", default = \"none\" }\n\
        [image]\nbase = \"scratch\"\n[labels]\nversion = \"{{ version }}\"\n";
    let project = Project::of(&rooted(text)).file(".gitignore", "/out*\n");
    let version = || project.build().image().config["config"]["Labels"]["version"].as_str().unwrap().to_string();
    assert_eq!(version(), "none");
    fs::remove_dir_all(project.path("out")).unwrap();
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "one"]);
    assert_eq!(version(), "none");
    for tag in ["v1.9.0", "v1.10.0", "other"] {
        git(&project, &["tag", tag]);
    }
    assert_eq!(version(), "1.10.0");
    let set = project.run(["--set", "version=7", "build", "-o", "oci:out-set"]).success();
    assert_eq!(project.layout("out-set").image().config["config"]["Labels"]["version"], "7");
    assert_eq!(set.stderr, "");
}

/// The blocks of a manifest whose order has no meaning, each in several spellings.
const BLOCKS: [[&str; 3]; 6] = [
    ["[env]\nA = \"1\"\nB = \"2\"\n", "[env]\nB = '2'\nA = '1'\n", "env = { B = \"2\", A = \"\\u0031\" }\n"],
    [
        "[labels]\n\"a.b\" = \"c\"\nd = \"\"\"e\"\"\"\n",
        "[labels]\nd = 'e'\n'a.b' = \"c\"\n",
        "labels = { \"a.b\" = 'c', d = \"e\" }\n",
    ],
    [
        "[[user]]\nname = \"app\"\nuid = 1000\n",
        "[[user]]\nuid = 1_000\nname = 'app'\n",
        "[[user]]\nuid = 0x3e8 # hexadecimal\ngid = 0b1111101000\nname = \"app\"\n",
    ],
    [
        "[[file]]\ndest = \"/b\"\ncontent = \"x\\ny\"\nmode = \"0640\"\n",
        "[[file]]\ncontent = \"\"\"\nx\ny\"\"\"\nmode = 0o640\ndest = '/b'\n",
        "# why\n[[file]] # where\nmode    = 0o0640\ndest    = \"/b\"\ncontent = '''x\ny'''\n",
    ],
    [
        "[[dir]]\ndest = \"/d\"\nmode = \"0700\"\n",
        "[[dir]]\nmode = 0o700\ndest = \"/d\"\n",
        "[[dir]]\ndest = \"/\\u0064\"\nmode = \"0700\"\nreplace = false\n",
    ],
    [
        "[image]\nbase = \"scratch\"\nports = [\"80\", \"81\"]\ncmd = [\"a\", \"b\"]\n",
        "[image]\ncmd = ['a', 'b',]\nports = [\n  \"81/tcp\", # second\n  \"80/tcp\",\n]\nbase = 'scratch'\n",
        "image.cmd = [\"a\", \"b\"]\nimage.base = \"scratch\"\nimage.ports = [\"80\", \"81\"]\n",
    ],
];

/// A manifest of these blocks in this order; inline and dotted ones must stand above all tables.
fn spelt(order: &[usize], spelling: &[usize], crlf: bool) -> String {
    let blocks: Vec<&str> = order.iter().map(|block| BLOCKS[*block][spelling[*block]]).collect();
    let (tables, lines): (Vec<&str>, Vec<&str>) =
        blocks.into_iter().partition(|block| block.trim_start_matches("# why\n").starts_with('['));
    let text = format!("schema = 1\n{}\n{}", lines.concat(), tables.join("\n"));
    // In a text of several lines the ends of lines are content.
    let content = |line: &str| ["x", "content = \"\"\"", "content = '''x"].contains(&line);
    let end = |line: &str| if crlf && !content(line) { format!("{line}\r\n") } else { format!("{line}\n") };
    text.lines().map(end).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rep_17_order_and_spelling_without_meaning_do_not_count(
        order in Just((0..BLOCKS.len()).collect::<Vec<_>>()).prop_shuffle(),
        spelling in proptest::collection::vec(0..3usize, BLOCKS.len()),
        crlf in any::<bool>(),
    ) {
        let plain = Project::of(&rooted(&spelt(&[0, 1, 2, 3, 4, 5], &[0; 6], false))).digest();
        let text = spelt(&order, &spelling, crlf);
        prop_assert_eq!(Project::of(&rooted(&text)).digest(), plain, "{}", text);
    }
}

#[test]
fn rep_17_order_with_meaning_counts() {
    let digest = |rest: &str| Project::of(&scratch(rest)).digest();
    assert_ne!(digest("cmd = [\"a\", \"b\"]"), digest("cmd = [\"b\", \"a\"]"));
    assert_eq!(digest("ports = [\"1\", \"2\"]"), digest("ports = [\"2\", \"1\", \"1/tcp\"]"));
    let layers = |one: &str, two: &str| {
        digest(&format!(
            "[[file]]\ndest = \"/{one}\"\ncontent = \"\"\nlayer = \"{one}\"\n[[file]]\ndest = \"/{two}\"\ncontent = \"\"\nlayer = \"{two}\""
        ))
    };
    assert_ne!(layers("a", "b"), layers("b", "a"), "named layers stand in the order in which they are named");
}

#[test]
fn line_ends_of_the_checkout_do_not_count() {
    let text = scratch("[[file]]\ndest = \"/x\"\ncontent = \"\"\"\none\ntwo\n\"\"\"");
    let plain = Project::of(&text).digest();
    assert_eq!(Project::of(&text.replace('\n', "\r\n")).digest(), plain);
    assert_ne!(
        Project::of(&text.replace("one\n", "one\\r\\n")).digest(),
        plain,
        "what is written as an escape is meant"
    );
}
