//! The Docker engine runs what we write, and knows it by our config's digest whichever way it came.

use std::fs;
use std::path::Path;

use crate::layout::images;
use crate::peers::{peer, registry, run, said};
use crate::project::{Project, digest};

/// A name for one test's image, which goes with it.
struct Name(String);

impl Name {
    fn new(test: &str) -> Name {
        Name(format!("stillframe.test/{test}-{}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = crate::peers::peer("docker").args(["rmi", "--force", &self.0]).output();
    }
}

/// A static program in C, and a project that runs it.
pub fn hello(name: &str, compression: &str) -> Project {
    let project = Project::new(&format!(
        r#"
[image]
name = "{name}"
base = "scratch"
compression = "{compression}"
user = "65532:65532"
workdir = "/data"
entrypoint = ["/app/hello"]
cmd = ["from a still frame"]
[env]
GREETING = "hello"
[[dir]]
dest = "/data"
owner = "65532:65532"
[[binary]]
src = "hello"
dest = "/app/hello"
link = "static"
"#
    ));
    // The engine keeps layers by their content, so what one test removes another one may just find there.
    compile(&project.app().join("hello"), &["-static", &format!("-DTEST=\"{name}\"")]);
    project
}

/// Compiles a program that tells its greeting, its arguments, its user and where it is, and writes there. A text in TEST
/// makes it one of its own.
pub fn compile(to: &Path, options: &[&str]) {
    let source = to.with_extension("c");
    let text = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef TEST
__attribute__((used)) static const char test[] = TEST;
#endif
int main(int count, char **words) {
    char here[256];
    const char *greeting = getenv("GREETING");
    FILE *file = fopen("written", "w");
    printf("%s %s %d:%d %s %s\n", greeting ? greeting : "-", count > 1 ? words[1] : "-", getuid(), getgid(),
           getcwd(here, sizeof here) ? here : "-", file ? "writes" : "cannot write");
    return 0;
}
"#;
    fs::write(&source, text).unwrap();
    run("cc", options.iter().map(|option| option.as_ref()).chain(["-o".as_ref(), to.as_os_str(), source.as_os_str()]));
    fs::remove_file(source).unwrap();
}

const SAYS: &str = "hello from a still frame 65532:65532 /data writes\n";

/// The config's digest, from a layout of the same project.
fn config(project: &Project) -> String {
    images(&project.layout("layout").0)[0].config_digest.clone()
}

fn id(name: &str) -> String {
    run("docker", ["image", "inspect", "--format", "{{.Id}}", name]).trim().to_string()
}

fn runs(name: &str) -> String {
    run("docker", ["run", "--rm", "--network", "none", name])
}

#[test]
fn a_docker_archive_is_loaded_and_runs() {
    for compression in ["gzip", "zstd", "none"] {
        let name = Name::new(&format!("archive-{compression}"));
        let project = hello(&name.0, compression);
        let archive = project.out("image.tar").display().to_string();
        project.build(&format!("docker-archive:{archive}"));
        run("docker", ["load", "--quiet", "--input", &archive]);
        assert_eq!(id(&name.0), config(&project), "{compression}");
        assert_eq!(runs(&name.0), SAYS, "{compression}");
        // The reader that Podman and CRI-O share.
        let copy = project.out("copy").display().to_string();
        run("skopeo", ["copy", "--quiet", &format!("docker-archive:{archive}"), &format!("dir:{copy}")]);
        assert!(run("crane", ["validate", "--tarball", &archive]).contains("PASS"));
    }
}

#[test]
fn the_engine_takes_an_image_through_its_socket() {
    for compression in ["gzip", "zstd"] {
        let name = Name::new(&format!("socket-{compression}"));
        let project = hello(&name.0, compression);
        project.build("docker");
        assert_eq!(id(&name.0), config(&project), "{compression}");
        assert_eq!(runs(&name.0), SAYS, "{compression}");
    }
}

#[test]
fn several_platforms_need_a_choice() {
    let name = Name::new("choice");
    let project = hello(&name.0, "gzip");
    let manifest = fs::read_to_string(project.app().join("image.toml")).unwrap();
    let several = manifest.replace("base =", "platforms = [\"linux/amd64\", \"linux/arm64\"]\nbase =");
    project.write("image.toml", several);
    let refused = project.run(&["build", "-o", "docker"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("--platform"), "{}", said(&refused));
    digest(&project.run(&["build", "--platform", "linux/amd64", "-o", "docker"]));
    assert_eq!(runs(&name.0), SAYS);
}

#[test]
fn the_engine_pulls_what_we_push() {
    let registry = registry(None);
    let name = Name(format!("{}/pulled", registry.host));
    let project = hello(&name.0, "gzip");
    let digest = digest(&project.run(&["push"]));
    run("docker", ["pull", "--quiet", &format!("{}@{digest}", name.0)]);
    run("docker", ["tag", &format!("{}@{digest}", name.0), &name.0]);
    assert_eq!(id(&name.0), config(&project));
    assert_eq!(runs(&name.0), SAYS);
}

#[test]
fn an_engine_is_given_an_image_where_no_certificate_authorities_are() {
    let name = format!("stillframe.test/bare-{}", std::process::id());
    let project = Project::new(&format!(
        "[image]\nname = \"{name}\"\nbase = \"scratch\"\n[[file]]\ndest = \"/a\"\ncontent = \"a\"\n"
    ));
    let mut build = project.command(&["build", "-o", "docker"]);
    let built = build.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere").output().unwrap();
    let _ = peer("docker").args(["rmi", "--force", &name]).output();
    assert!(built.status.success(), "{}", said(&built));
}
