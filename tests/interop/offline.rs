//! What needs no network asks for none: strace looks on while everything is in the store (LCK-04).

use std::fs;

use crate::packages::mirror;
use crate::peers::{output, peer, registry, run, said, serve, shell};
use crate::project::{Project, program};

/// The calls that reach another machine, or look for one.
const CALLS: &str = "trace=connect,bind,sendto,sendmsg,sendmmsg";

/// Runs the program under strace; every call that reaches another machine.
fn reached(project: &Project, words: &[&str]) -> Vec<String> {
    let log = project.out("trace");
    let mut command = peer("strace");
    project.prepare(&mut command);
    let traced = output(command.args(["-f", "-qq", "-e", CALLS, "-o"]).arg(&log).arg(program()).args(words));
    assert!(traced.status.success(), "{words:?}: {}", said(&traced));
    let log = fs::read_to_string(&log).unwrap();
    log.lines().filter(|line| line.contains("AF_INET") || line.contains("connect(")).map(str::to_string).collect()
}

/// A base of a registry, files of another image, an archive of the web and packages, each fetched once; then nobody is asked. The lock
/// names no document of the base: its digest in the manifest pins them all, and the store has them.
#[test]
fn lck_04_offline_with_all_present_connects_to_nobody() {
    let images = registry(None);
    let maker = Project::new("[image]\nbase = \"scratch\"\n[[file]]\ndest = \"/etc/made\"\ncontent = \"made\"\n");
    let (layout, digest) = maker.layout("made");
    for name in ["base:1", "tools:1"] {
        let from = format!("oci:{}:latest", layout.display());
        let to = format!("docker://{}/{name}", images.host);
        run("skopeo", ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
    }
    shell(maker.room(), "mkdir ui; echo page >ui/index.html; tar -cf ui.tar ui; rm -r ui");
    let archive = shell(maker.room(), "sha256sum ui.tar | cut -d' ' -f1");
    let web = serve("python3", |host, _| {
        let mut command = peer("python3");
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(maker.room());
        command.arg(host.rsplit(':').next().unwrap());
        command
    });
    let manifest = format!(
        "[image]\nbase = \"{host}/base:1@{digest}\"\n[[copy]]\nfrom = \"{host}/tools:1@{digest}\"\nsrc = \"/etc/made\"\ndest = \"/tools/\"\n\
         [[archive]]\nurl = \"http://{web}/ui.tar\"\nsha256 = \"{archive}\"\ndest = \"/srv\"\n\
         [packages.debian]\nmirror = \"{mirror}\"\nsuite = \"bookworm\"\ninstall = [\"tzdata\"]\n",
        host = images.host,
        web = web.host,
        archive = archive.trim(),
        mirror = mirror(),
    );
    let project = Project::new(&manifest);
    assert!(!reached(&project, &["update"]).is_empty(), "strace sees who is reached");
    let first = project.build(&format!("oci:{}", project.out("first").display()));
    drop((images, web));
    for words in [&["check"][..], &["build"], &["sbom"], &["provenance"]] {
        let all = [&["--offline", "--locked"][..], words].concat();
        assert_eq!(reached(&project, &all), Vec::<String>::new(), "{words:?}");
    }
    let out = format!("oci:{}", project.out("second").display());
    assert_eq!(reached(&project, &["--offline", "--locked", "build", "-o", &out]), Vec::<String>::new());
    assert_eq!(crate::layout::digest(&project.out("second")), first);
}
