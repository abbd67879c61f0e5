//! The examples with packages, of real ones from the mirror that this machine's apt is set up with: another machine makes the same bytes of
//! them, dpkg's own reader and the scan find what is in them, and the Docker engine runs them: OpenSSL trusts whom it should, libc and
//! Python know the time of places, nginx answers.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::layout::{images, judge};
use crate::packages::{locked, mirror};
use crate::peers::{checkout, done, output, peer, run, said, serve, shell};
use crate::project::{Project, digest};
use crate::servers::Authority;

/// How often a program that starts is asked, and how long each time is waited.
const ASKED: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// A copy of an example, whose image has a name that only this process uses.
fn example(name: &str) -> Project {
    let project = Project::copy_of(&checkout().join("examples").join(name));
    edit(&project, "registry.example.com/examples", &format!("stillframe.test/bases-{}", std::process::id()));
    project
}

/// Puts something else at the place of a text of the manifest, which must be there.
fn edit(project: &Project, from: &str, to: &str) {
    let text = fs::read_to_string(project.app().join("image.toml")).unwrap();
    assert!(text.contains(from), "{text}");
    project.write("image.toml", text.replace(from, to));
}

/// Runs the program with this mirror.
fn with(project: &Project, mirror: &str, words: &[&str]) -> Output {
    let output = output(project.command(words).env("DEBIAN_MIRROR", mirror));
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    output
}

/// The example with its packages chosen.
fn resolved(name: &str) -> Project {
    let project = example(name);
    with(&project, mirror(), &["update"]);
    project
}

/// An image that the Docker engine has as long as this value lives.
struct Loaded(String);

impl Loaded {
    /// The image of this machine's platform, handed to the engine as an archive.
    fn of(project: &Project, as_name: &str) -> Loaded {
        let text = fs::read_to_string(project.app().join("image.toml")).unwrap();
        let name =
            text.lines().find_map(|line| line.trim().strip_prefix("name")?.split('"').nth(1)).unwrap().to_string();
        edit(project, &name, &format!("{name}-{as_name}"));
        let archive = project.out("image.tar");
        let to = format!("docker-archive:{}", archive.display());
        let platform: &[&str] = if text.contains("platforms") { &["--platform", "linux/amd64"] } else { &[] };
        with(project, mirror(), &[&["build", "-o", &to][..], platform].concat());
        run("docker", ["load", "--quiet", "--input", archive.to_str().unwrap()]);
        Loaded(format!("{name}-{as_name}"))
    }

    /// What a container of it says, which must end well.
    fn says(&self, options: &[&str], words: &[&str]) -> String {
        done(peer("docker").args(["run", "--rm", "--network", "none"]).args(options).arg(&self.0).args(words))
    }

    /// A container of it that goes on running.
    fn start(&self, options: &[&str], words: &[&str]) -> Container {
        let mut command = peer("docker");
        command.args(["run", "--detach", "--network", "none"]).args(options).arg(&self.0).args(words);
        Container(done(&mut command).trim().to_string())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = peer("docker").args(["rmi", "--force", &self.0]).output();
    }
}

/// A container that ends with this value.
struct Container(String);

impl Container {
    /// The answer of a server in it, asked by this machine's curl in the container's own network.
    fn get(&self, url: &str) -> String {
        let id = run("docker", ["inspect", "--format", "{{.State.Pid}}", &self.0]);
        let net = ["--target", id.trim(), "--net", "curl", "--silent", "--show-error", "--include", url];
        self.patiently(|| output(peer("nsenter").args(net)))
    }

    /// What a program in it says.
    fn exec(&self, words: &[&str]) -> Output {
        output(peer("docker").args(["exec", &self.0]).args(words))
    }

    /// Asks until it goes well.
    fn patiently(&self, ask: impl Fn() -> Output) -> String {
        let mut last = ask();
        for _ in 0..ASKED {
            if last.status.success() {
                return said(&last);
            }
            std::thread::sleep(PAUSE);
            last = ask();
        }
        panic!("{}\n{}", said(&last), said(&output(peer("docker").args(["logs", &self.0]))))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = peer("docker").args(["rm", "--force", &self.0]).output();
    }
}

/// The paths of the locked packages below their mirror, with the digests of their files.
fn pinned(project: &Project) -> Vec<(String, String)> {
    let lock = fs::read_to_string(project.app().join("image.lock")).unwrap();
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches([' ', '=', '"']).to_string());
    let paths: Vec<String> = lock.lines().filter_map(|line| value(line, "path")).collect();
    let digests = lock.lines().filter_map(|line| value(line, "digest"));
    paths.into_iter().zip(digests.map(|digest| digest.replace("sha256:", ""))).collect()
}

/// The file of a package in the store.
fn file(project: &Project, digest: &str) -> PathBuf {
    project.home().join("v1/blobs/sha256").join(digest)
}

/// An empty store, and a mirror at another place that has the files of packages and no index.
#[test]
fn a_second_machine_makes_the_same_base_from_another_mirror_and_no_index() {
    let first = resolved("distroless");
    let built = digest(&with(&first, mirror(), &["build"]));
    let second = Project::copy_of(&first.app());
    let pinned = pinned(&first);
    assert!(pinned.len() > 15, "two platforms: {pinned:?}");
    let other = serve("python3", |host, room| {
        for (path, digest) in &pinned {
            let to = room.join("www/far/away").join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(file(&first, digest), to).unwrap();
        }
        let (_, port) = host.rsplit_once(':').unwrap();
        let mut command = peer("bash");
        command.args(["-c", "exec python3 -u -m http.server --bind 127.0.0.1 --directory \"$0\" \"$1\" 2>&1"]);
        command.arg(room.join("www")).arg(port);
        command
    });
    let away = format!("http://{}/far/away/", other.host);
    let out = second.out("out");
    let again = with(&second, &away, &["--locked", "build", "-o", &format!("oci:{}", out.display())]);
    assert_eq!(digest(&again), built);
    let log = fs::read_to_string(other.log()).unwrap();
    let asked: BTreeSet<&str> = log.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(asked.len(), pinned.len(), "{log}");
    assert!(asked.iter().all(|line| line.starts_with("GET /far/away/pool/")), "{log}");
    let images = images(&out);
    images.iter().for_each(|image| judge(image, 0));
    let architectures: Vec<&Value> = images.iter().map(|image| &image.config["architecture"]).collect();
    assert_eq!(architectures, ["amd64", "arm64"]);
}

/// dpkg reads the records as its own; the scan asks about the packages by their sources; what is recorded is what the packages say.
#[test]
fn readers_of_the_records_find_the_locked_packages() {
    let project = resolved("distroless");
    edit(&project, "platforms = [\"linux/amd64\", \"linux/arm64\"]\n", "");
    with(&project, mirror(), &["update"]);
    let (out, database) = (project.out("out"), project.out("dpkg"));
    with(&project, mirror(), &["build", "-o", &format!("oci:{}", out.display())]);
    let bundle = project.out("bundle");
    run("umoci", ["unpack", "--image", &format!("{}:latest", out.display()), &bundle.display().to_string()]);
    let records = bundle.join("rootfs/var/lib/dpkg/status.d");
    fs::create_dir_all(database.join("info")).unwrap();
    let mut status = String::new();
    let mut sources = BTreeSet::new();
    for (_, digest) in pinned(&project) {
        let deb = file(&project, &digest).display().to_string();
        let name = run("dpkg-deb", ["--field", &deb, "Package"]);
        let record = fs::read_to_string(records.join(name.trim())).unwrap();
        assert_eq!(run("dpkg-deb", ["--field", &deb]).trim_end(), record.trim_end());
        status += &record.replacen('\n', "\nStatus: install ok installed\n", 1);
        status += "\n";
    }
    fs::write(database.join("status"), status).unwrap();
    let place = format!("--admindir={}", database.display());
    let query = |format: &str| run("dpkg-query", [place.as_str(), "--show", "--showformat", format]);
    let found: BTreeSet<String> = query("${Package} ${Version}\\n").lines().map(str::to_string).collect();
    assert_eq!(found, locked(&project));
    sources.extend(query("${source:Package} ${source:Version}\\n").lines().map(str::to_string));
    for (at, source) in sources.iter().enumerate() {
        let package = json!({ "ecosystem": "Debian:12", "name": source.split(' ').next().unwrap() });
        let ranges = json!([{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }] }]);
        let affected = json!([{ "package": package, "ranges": ranges }]);
        let record = json!({ "id": format!("X-{at}"), "modified": "2026-01-01T00:00:00Z", "affected": affected });
        project.write(&format!("db/X-{at}.json"), record.to_string());
    }
    let name = format!("oci:{}", out.display());
    let scanned = with(&project, mirror(), &["--format", "json", "scan", "--db", "db", &name]);
    let document: Value = serde_json::from_slice(&scanned.stdout).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_string();
    let all = document["images"][0]["vulnerabilities"].as_array().unwrap().iter().map(|one| &one["package"]);
    let asked: BTreeSet<String> =
        all.map(|package| format!("{} {}", word(&package["name"]), word(&package["version"]))).collect();
    assert_eq!(asked, sources);
}

/// The declared authority stands in the bundle, beside those of the package or alone; OpenSSL takes its server and nobody else's.
#[test]
fn openssl_in_the_image_trusts_whom_the_trust_store_names() {
    for (name, packages) in [("beside", "\"ca-certificates\", "), ("alone", "")] {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let project = example("distroless");
        project.write("ca.pem", authority.pem());
        edit(&project, "\"ca-certificates\", ", packages);
        edit(&project, "[skeleton]", "[trust-store]\nsrc = \"ca.pem\"\n\n[skeleton]");
        with(&project, mirror(), &["update"]);
        let keys = project.out("keys");
        fs::create_dir_all(keys.join("stranger")).unwrap();
        authority.sign("localhost", &keys);
        stranger.sign("localhost", &keys.join("stranger"));
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o755)).unwrap();
        let image = Loaded::of(&project, name);
        assert!(image.says(&["--entrypoint", "/usr/bin/openssl"], &["version"]).starts_with("OpenSSL 3."));
        let mount = format!("{}:/keys:ro", keys.display());
        let options = ["--volume", &mount, "--entrypoint", "/usr/bin/openssl"];
        let verified = |directory: &str, wanted: bool| {
            let (certificate, key) = (format!("{directory}/localhost.pem"), format!("{directory}/localhost.key"));
            let server = ["s_server", "-accept", "127.0.0.1:4433", "-cert", &certificate, "-key", &key, "-www"];
            let container = image.start(&options, &server);
            let client =
                ["/usr/bin/openssl", "s_client", "-connect", "127.0.0.1:4433", "-brief", "-verify_return_error"];
            let client = [&client[..], &["-verify_hostname", "localhost"]].concat();
            if wanted {
                let answer = container.patiently(|| container.exec(&client));
                assert!(answer.contains("Verification: OK"), "{name}: {answer}");
            } else {
                let greeted = [&client[..5], &["-brief"]].concat();
                container.patiently(|| container.exec(&greeted));
                let answer = container.exec(&client);
                assert!(!answer.status.success() && said(&answer).contains("verify"), "{name}: {}", said(&answer));
            }
        };
        verified("/keys", true);
        verified("/keys/stranger", false);
        // The authorities of the package are trusted where it is, and nowhere else.
        let bundle = image.says(&["--entrypoint", "/usr/bin/openssl"], &["storeutl", "-certs", "-noout", BUNDLE]);
        let count: usize = bundle.rsplit("Total found: ").next().unwrap().trim().parse().unwrap();
        assert!(if packages.is_empty() { count == 1 } else { count > 100 }, "{name}: {count}");
    }
}

/// Where the bundle is.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What a C program asks of libc: the time of a place, an account, another encoding, the name of a host, the characters of UTF-8.
const PROBE: &str = r#"
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    time_t at = 1750000000;
    char text[99] = "", in[] = "\xa4", *from = in, *to = text;
    size_t left = 1, room = sizeof text;
    strftime(text, sizeof text, "%H:%M %Z", localtime(&at));
    puts(text);
    struct passwd *account = getpwuid(getuid());
    printf("%s %s\n", account ? account->pw_name : "nobody", getpwnam("root") ? "root" : "no root");
    memset(text, 0, sizeof text);
    iconv_t latin = iconv_open("UTF-8", "ISO-8859-15");
    puts(latin == (iconv_t)-1 || iconv(latin, &from, &left, &to, &room) == (size_t)-1 ? "no iconv" : text);
    struct addrinfo *found = 0;
    puts(getaddrinfo("localhost", "80", 0, &found) || !found ? "no localhost" : "localhost");
    puts(setlocale(LC_ALL, "C.UTF-8") && MB_CUR_MAX > 1 ? "UTF-8" : "no UTF-8");
    return 0;
}
"#;

#[test]
fn libc_of_the_image_serves_programs_that_are_compiled_here() {
    let project = example("distroless");
    edit(&project, "platforms = [\"linux/amd64\", \"linux/arm64\"]\n", "");
    edit(&project, "\"ca-certificates\", ", "\"ca-certificates\", \"coreutils\", \"libc-bin\", ");
    edit(
        &project,
        "[skeleton]",
        "[[binary]]\nsrc = \"probe\"\ndest = \"/app/probe\"\nlink = \"dynamic\"\n\n[skeleton]",
    );
    project.write("probe.c", PROBE);
    shell(&project.app(), "gcc -o probe probe.c");
    with(&project, mirror(), &["update"]);
    let image = Loaded::of(&project, "libc");
    let probe = |zone: &str| image.says(&["--env", &format!("TZ={zone}"), "--entrypoint", "/app/probe"], &[]);
    let rest = "nonroot root\n€\nlocalhost\nUTF-8\n";
    assert_eq!(probe("UTC"), format!("15:06 UTC\n{rest}"));
    assert_eq!(probe("Asia/Tokyo"), format!("00:06 JST\n{rest}"));
    let date = ["--env", "TZ=Europe/Berlin", "--entrypoint", "/usr/bin/date"];
    assert_eq!(image.says(&date, &["-d", "@1750000000", "+%H:%M %Z"]), "17:06 CEST\n");
    assert_eq!(image.says(&["--entrypoint", "/usr/bin/date"], &["-d", "@1750000000", "+%H:%M %Z"]), "15:06 UTC\n");
}

#[test]
fn packaged_nginx_answers_on_a_root_that_is_read_only() {
    let project = resolved("nginx");
    let image = Loaded::of(&project, "run");
    let container = image.start(&["--read-only", "--tmpfs", "/tmp"], &[]);
    let answer = container.get("http://127.0.0.1:8080/");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("Content-Type: text/html"), "{answer}");
    assert!(answer.ends_with(&fs::read_to_string(project.app().join("site/index.html")).unwrap()), "{answer}");
    assert!(!answer.contains("1980") && !answer.contains("ETag"), "{answer}");
    assert!(container.get("http://127.0.0.1:8080/none").starts_with("HTTP/1.1 404 "));
}

#[test]
fn packaged_python_runs_an_application() {
    let project = resolved("python");
    let image = Loaded::of(&project, "run");
    let container = image.start(&["--read-only"], &[]);
    let answer = container.get("http://127.0.0.1:8000/Europe/Berlin");
    assert!(
        answer.starts_with("HTTP/1.0 200 ") && (answer.contains("+01:00") || answer.contains("+02:00")),
        "{answer}"
    );
    assert!(container.get("http://127.0.0.1:8000/Atlantis").starts_with("HTTP/1.0 404 "));
    let trusted = said(&output(peer("docker").args(["logs", &container.0])));
    let count: u32 = trusted.split(' ').next().unwrap().parse().unwrap();
    assert!(count > 100, "{trusted}");
    let modules = image.says(
        &["--entrypoint", "/usr/bin/python3"],
        &["-c", "import ctypes, sqlite3, zlib, ssl; print(ssl.OPENSSL_VERSION)"],
    );
    assert!(modules.starts_with("OpenSSL 3."), "{modules}");
}

/// Puts a base beside an example that stands on one, and gives its digest.
fn base(project: &Project) -> String {
    let base = resolved("distroless");
    digest(&with(
        &base,
        mirror(),
        &["build", "--platform", "linux/amd64", "-o", &format!("oci:{}", project.app().join("base").display())],
    ))
}

#[test]
fn static_programs_of_go_and_rust_run_on_the_base() {
    for (name, make, expected) in [
        (
            "go-on-distroless",
            "CGO_ENABLED=0 go build -trimpath -o clock clock.go",
            "17:06 CEST\ntrusts nobody: false\n",
        ),
        (
            "rust-on-alpine",
            "rustc --target x86_64-unknown-linux-musl -O -o accounts accounts.rs",
            "root\nnobody\nnonroot\n",
        ),
    ] {
        let project = example(name);
        let head = fs::read_to_string(project.app().join("image.toml")).unwrap();
        assert!(head.contains(make), "{head}");
        let home = project.out("go");
        go(&project.app(), &home, make);
        let base = base(&project);
        let image = format!("stillframe.test/bases-{}/{name}", std::process::id());
        let archive = project.out("image.tar");
        let mut command = project.command(&["build", "-o", &format!("docker-archive:{}", archive.display())]);
        assert!(output(command.env("BASE", base)).status.success());
        run("docker", ["load", "--quiet", "--input", archive.to_str().unwrap()]);
        assert_eq!(Loaded(image).says(&[], &[]), expected, "{name}");
    }
}

/// Runs a compiler, with a cache of its own.
fn go(directory: &Path, home: &Path, line: &str) {
    done(peer("bash").current_dir(directory).env("GOCACHE", home).env("GOPATH", home).args(["-euc", line]));
}
