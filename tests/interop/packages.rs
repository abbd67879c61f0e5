//! Packages of a real Debian, from the mirror that this machine's apt is set up with: apt judges what is chosen, dpkg-deb where files go,
//! the Docker engine whether it runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::debian::{differences, tree};
use crate::layout::{images, judge};
use crate::peers::{cache, done, output, peer, run, said, shell};
use crate::project::{Project, program};

/// The suite that is installed.
const SUITE: &str = "bookworm";

/// What is wished for, one set a line.
const SETS: [&str; 32] = [
    "ca-certificates tzdata",
    "libc6 libssl3 openssl ca-certificates tzdata",
    "nginx",
    "apache2",
    "haproxy",
    "curl",
    "git",
    "python3",
    "python3-venv python3-pip",
    "perl",
    "ruby",
    "nodejs",
    "php-fpm",
    "openjdk-17-jre-headless",
    "default-jre-headless",
    "golang-go",
    "gcc",
    "postgresql",
    "mariadb-server",
    "redis-server",
    "memcached",
    "rabbitmq-server",
    "nginx php-fpm mariadb-client",
    "exim4-daemon-light",
    "postfix",
    "openssh-server",
    "gnupg",
    "bash coreutils",
    "busybox-static tini",
    "systemd",
    "ffmpeg",
    "imagemagick",
];

/// The mirror that apt is set up with.
pub fn mirror() -> &'static str {
    &apt().1
}

/// Where apt is set up with one suite of one mirror, and nothing is installed; with what it knows of it. Made once for a run.
fn apt() -> &'static (PathBuf, String) {
    static APT: std::sync::OnceLock<(PathBuf, String)> = std::sync::OnceLock::new();
    APT.get_or_init(|| {
        let room = cache().join(format!("apt-{SUITE}"));
        fs::create_dir_all(&room).unwrap();
        let script = format!(
            r#"
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | LC_ALL=C sort -u | sed -n 1p)
mkdir -p lists/partial cache/archives/partial
: >status
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror {SUITE} main" >sources.list
cat >conf <<END
Dir::State "$PWD";
Dir::State::lists "$PWD/lists";
Dir::State::status "$PWD/status";
Dir::Cache "$PWD/cache";
Dir::Etc::sourcelist "$PWD/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "-";
APT::Sandbox::User "root";
END
APT_CONFIG=$PWD/conf apt-get update >update.log 2>&1 || {{ cat update.log >&2; exit 1; }}
echo "$mirror"
"#
        );
        let mirror = shell(&room, &script).trim().to_string();
        (room, mirror)
    })
}

fn manifest(image: &str, install: &str, rest: &str) -> String {
    let list: Vec<String> = install.split(' ').map(|name| format!("\"{name}\"")).collect();
    let mirror = &apt().1;
    format!(
        "[image]\nbase = \"scratch\"\n{image}\n[packages.debian]\nmirror = \"{mirror}\"\nsuite = \"{SUITE}\"\ninstall = [{}]\n{rest}\n",
        list.join(", ")
    )
}

/// The locked packages as lines `name version`.
pub fn locked(project: &Project) -> BTreeSet<String> {
    let lock = fs::read_to_string(project.app().join("image.lock")).unwrap();
    let value = |line: &str| line.split_once(" = ").map(|(_, value)| value.trim_matches('"').to_string());
    let mut found = BTreeSet::new();
    for package in lock.split("[[package]]").skip(1) {
        let mut fields =
            package.lines().filter(|line| line.starts_with("name") || line.starts_with("version")).map(value);
        found.insert(format!("{} {}", fields.next().flatten().unwrap(), fields.next().flatten().unwrap()));
    }
    found
}

/// What apt would install where nothing is.
fn chosen(install: &str) -> BTreeSet<String> {
    let mut command = peer("apt-get");
    command.env("APT_CONFIG", apt().0.join("conf")).args(["-s", "install", "--no-install-recommends"]);
    let output = output(command.args(install.split(' ')));
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        Some(format!("{name} {}", rest.split(' ').next()?))
    };
    text.lines().filter_map(line).collect()
}

#[track_caller]
fn update(project: &Project) {
    let output = project.run(&["update"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn what_is_chosen_is_what_apt_chooses() {
    let project = Project::new("");
    for install in SETS {
        project.write("image.toml", format!("schema = 1\n{}", manifest("", install, "")));
        update(&project);
        let (ours, theirs) = (locked(&project), chosen(install));
        assert!(theirs.len() > 1, "{install}");
        let only =
            |these: &BTreeSet<String>, those: &BTreeSet<String>| these.difference(those).cloned().collect::<Vec<_>>();
        assert_eq!((only(&ours, &theirs), only(&theirs, &ours)), (Vec::new(), Vec::new()), "{install}");
        eprintln!("{install}: {} packages", ours.len());
    }
}

/// apt takes the first alternative of a package before it knows that a later package brings the second; we take what is there anyway.
#[test]
fn where_apt_takes_a_package_that_nobody_misses_we_do_not() {
    let project = Project::new(&manifest("", "python3-django", ""));
    update(&project);
    let (ours, theirs) = (locked(&project), chosen("python3-django"));
    assert!(ours.is_subset(&theirs));
    let more: Vec<&str> = theirs.difference(&ours).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(more, ["python3-typing-extensions"]);
}

/// Runs a program and tells the processor time that it took, in milliseconds, on the last line.
const MEASURE: &str = "import resource, subprocess, sys\n\
code = subprocess.call(sys.argv[1:], stdout=sys.stderr)\n\
used = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
print(int((used.ru_utime + used.ru_stime) * 1000))\n\
sys.exit(code)";

/// Processor time, because the machine may have other work; that of a build without optimisation, which is the slowest.
#[test]
fn a_whole_index_is_resolved_in_two_seconds() {
    let project = Project::new(&manifest("", "nginx", ""));
    update(&project);
    let measured = || {
        let mut command = peer("python3");
        project.prepare(&mut command);
        done(command.args(["-c", MEASURE]).arg(program()).arg("update")).trim().parse::<u64>().unwrap()
    };
    let best = (0..5).map(|_| measured()).min().unwrap();
    eprintln!("nginx resolved in {best} ms of processor time, unoptimised");
    assert!(best < 2000, "{best}");
}

/// The packages of a distroless image as we lay them out, and as dpkg-deb unpacks them into a merged root.
#[test]
fn files_lie_where_dpkg_deb_puts_them() {
    let install = "base-files base-passwd ca-certificates tzdata libc6 libssl3 openssl";
    let project = Project::new(&manifest("", install, ""));
    update(&project);
    let (out, _) = project.layout("out");
    judge(&images(&out)[0], 0);
    let bundle = project.out("bundle");
    run("umoci", ["unpack", "--image", &format!("{}:latest", out.display()), &bundle.display().to_string()]);
    let theirs = project.out("theirs");
    fs::create_dir(&theirs).unwrap();
    shell(&theirs, "for top in bin sbin lib lib64; do mkdir -p usr/$top; ln -s usr/$top $top; done");
    for digest in digests(&project) {
        let deb = project.home().join("v1/blobs/sha256").join(digest);
        // As dpkg does, and `dpkg-deb -x` does not: a link to a directory stays where a package has the directory.
        let unpack = format!("dpkg-deb --fsys-tarfile {} | tar -x --keep-directory-symlink", deb.display());
        shell(&theirs, &unpack);
    }
    let (gone, new) = differences(&tree(&theirs), &tree(&bundle.join("rootfs")));
    // Those of `/usr/lib64` and `/usr/sbin` are made by the line of shell above.
    assert_eq!(gone, Vec::<String>::new());
    let made = |line: &String| {
        let path = line.split(' ').next().unwrap();
        !path.starts_with("var/lib/dpkg/status.d/")
    };
    // The link to the bundle, `/usr/lib/ssl/cert.pem`, the package `openssl` brings by itself.
    let new: Vec<String> =
        new.into_iter().filter(made).map(|line| line.split(' ').next().unwrap().to_string()).collect();
    assert_eq!(new, ["etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "var/lib/dpkg/status.d"]);
    let different = output(peer("diff").args(["-rq", "--no-dereference"]).args([&theirs, &bundle.join("rootfs")]));
    let different = said(&different);
    assert!(different.lines().all(|line| line.starts_with("Only in ")), "{different}");
}

/// The digests of the locked packages, without `sha256:`.
fn digests(project: &Project) -> Vec<String> {
    let lock = fs::read_to_string(project.app().join("image.lock")).unwrap();
    let digest = |line: &str| Some(line.strip_prefix("digest = \"sha256:")?.trim_end_matches('"').to_string());
    lock.lines().filter_map(digest).collect()
}

/// A distroless image of our own: a second machine makes the same bytes of it, a scanner finds its packages, and it runs.
#[test]
fn a_distroless_image_of_packages_runs() {
    let name = format!("stillframe.test/packages-{}", std::process::id());
    let install = "base-files base-passwd ca-certificates tzdata libc6 libssl3 openssl";
    let rest = "exclude = [\"usr/share/doc\", \"usr/share/man\", \"usr/share/locale\"]\n[[binary]]\nsrc = \"clock\"\ndest = \"/app/clock\"\nlink = \"dynamic\"\n";
    let image = format!("name = \"{name}\"\nuser = \"nobody\"\nentrypoint = [\"/app/clock\"]");
    let project = Project::new(&manifest(&image, install, rest));
    project.write(
        "clock.c",
        "#include <stdio.h>\n#include <time.h>\nint main(void) { time_t at = 1750000000; char text[99];\n\
         strftime(text, sizeof text, \"%H:%M %Z\", localtime(&at)); puts(text); return 0; }\n",
    );
    shell(&project.app(), "cc -o clock clock.c");
    update(&project);
    let digest = project.build("docker");
    let second = Project::copy_of(&project.app());
    assert_eq!(second.build("docker"), digest, "an empty store");
    let bill: Value = serde_json::from_slice(&project.run(&["sbom"]).stdout).unwrap();
    let packages = bill["packages"].as_array().unwrap().iter();
    let named = |package: &Value| {
        let purl = package["externalRefs"][0]["referenceLocator"].as_str()?;
        purl.starts_with("pkg:deb/debian/")
            .then(|| format!("{} {}", package["name"].as_str().unwrap(), package["versionInfo"].as_str().unwrap()))
    };
    assert_eq!(packages.filter_map(named).collect::<BTreeSet<_>>(), locked(&project));
    let docker = |options: &[&str], words: &[&str]| {
        let mut command = peer("docker");
        command.args(["run", "--rm", "--network", "none"]).args(options).arg(&name).args(words);
        let output = output(&mut command);
        (output.status.success(), said(&output))
    };
    let results = [
        docker(&[], &[]),
        docker(&["--env", "TZ=Asia/Tokyo"], &[]),
        docker(&["--entrypoint", "/usr/bin/openssl"], &["version"]),
        docker(
            &["--entrypoint", "/usr/bin/openssl"],
            &["verify", "/usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt"],
        ),
    ];
    let _ = peer("docker").args(["rmi", "--force", &name]).output();
    assert_eq!(results[0], (true, "15:06 UTC\n".into()));
    assert_eq!(results[1], (true, "00:06 JST\n".into()));
    assert!(results[2].0 && results[2].1.starts_with("OpenSSL 3."), "{:?}", results[2]);
    assert_eq!(results[3], (true, "/usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt: OK\n".into()));
}

/// Nothing is started: not while packages are chosen, not while they are laid out.
#[test]
fn pkg_04_nothing_of_a_package_is_run() {
    let project = Project::new(&manifest("", "nginx", ""));
    let log = project.out("trace");
    for words in [&["update"][..], &["build"]] {
        let mut command = peer("strace");
        project.prepare(&mut command);
        let traced = output(command.args(["-f", "-e", "trace=execve", "-o"]).arg(&log).arg(program()).args(words));
        assert!(traced.status.success(), "{}", said(&traced));
        let started = fs::read_to_string(&log).unwrap();
        let started: Vec<&str> = started.lines().filter(|line| line.contains("execve(")).collect();
        assert_eq!(started.len(), 1, "{started:?}");
    }
}
