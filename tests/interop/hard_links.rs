//! Layers in which equal files are one: what others unpack of them is right, file by file, and takes the room of one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::layout::{images, judge};
use crate::peers::run;
use crate::project::Project;

const MANIFEST: &str = r#"
[image]
name = "NAME"
base = "scratch"
hard-links = true
entrypoint = ["/look"]
[[binary]]
src = "look"
dest = "/look"
[[file]]
src = "tree"
dest = "/t"
[[file]]
src = "tree/a"
dest = "/owned/a"
owner = "7:7"
[[binary]]
src = "server"
dest = "/bin/one"
capabilities = ["cap_net_bind_service"]
layer = "servers"
[[binary]]
src = "server"
dest = "/bin/two"
capabilities = ["cap_net_bind_service"]
layer = "servers"
"#;

/// A program that tells of two files whether they are one, how many names each has, and whether they hold the same.
const LOOK: &str = r#"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
static size_t read_all(const char *path, char *room, size_t most) {
    FILE *file = fopen(path, "r");
    size_t count = file ? fread(room, 1, most, file) : 0;
    if (file) fclose(file);
    return count;
}
int main(int count, char **words) {
    static char left[1 << 20], right[1 << 20];
    struct stat one, other;
    char capability[64];
    if (count != 3 || stat(words[1], &one) || stat(words[2], &other)) return 1;
    size_t size = read_all(words[1], left, sizeof left);
    int same = size == read_all(words[2], right, sizeof right) && size > 0 && !memcmp(left, right, size);
    printf("%s inode, %d names, %s content, %d bytes of capabilities\n", one.st_ino == other.st_ino ? "one" : "another",
           (int)other.st_nlink, same ? "same" : "other",
           (int)getxattr(words[2], "security.capability", capability, sizeof capability));
    return 0;
}
"#;

fn project(name: &str) -> Project {
    let content = |letter: &str| letter.repeat(200_000);
    let project = Project::new(&MANIFEST.replace("NAME", name));
    let project = project.file("tree/a", content("a")).file("tree/b/c", content("a")).file("tree/d", content("d"));
    let project = project.file("tree/e", "").file("tree/f", "").file("look.c", LOOK);
    let app = project.app();
    run("cc", [Path::new("-static"), Path::new("-o"), &app.join("look"), &app.join("look.c")]);
    fs::copy(app.join("look"), app.join("server")).unwrap();
    project
}

#[test]
fn what_umoci_unpacks_is_right_and_takes_the_room_of_one() {
    let project = project("stillframe.test/hard-links");
    let (out, _) = project.layout("out");
    judge(&images(&out)[0], 0);
    let bundle = project.out("bundle");
    run("umoci", ["unpack", "--image", &format!("{}:latest", out.display()), bundle.to_str().unwrap()]);
    let facts = |path: &str| bundle.join("rootfs").join(path).metadata().unwrap();
    let (a, c, d, owned) = (facts("t/a"), facts("t/b/c"), facts("t/d"), facts("owned/a"));
    assert_eq!((a.ino(), a.nlink(), c.nlink()), (c.ino(), 2, 2));
    assert_ne!(a.ino(), owned.ino(), "another owner");
    assert_eq!((owned.uid(), owned.gid(), a.uid(), d.nlink(), owned.nlink()), (7, 7, 0, 1, 1));
    assert_eq!((facts("t/e").nlink(), facts("t/f").nlink()), (1, 1), "empty files");
    assert_eq!(facts("bin/one").ino(), facts("bin/two").ino());
    let read = |path: &str| fs::read(bundle.join("rootfs").join(path)).unwrap();
    for path in ["a", "b/c", "d", "e", "f"] {
        assert!(read(&format!("t/{path}")) == fs::read(project.app().join("tree").join(path)).unwrap(), "{path}");
    }
    assert!(read("owned/a") == read("t/a"));
}

#[test]
fn an_engine_that_loads_it_has_one_file_of_two_names() {
    let name = format!("stillframe.test/hard-links-{}", std::process::id());
    let project = project(&name);
    let archive = project.out("image.tar");
    let (out, _) = project.layout("out");
    run(
        "skopeo",
        [
            "copy",
            "--quiet",
            &format!("oci:{}:latest", out.display()),
            &format!("docker-archive:{}:{name}:latest", archive.display()),
        ],
    );
    run("docker", ["load", "--quiet", "--input", archive.to_str().unwrap()]);
    let look = |one: &str, other: &str| run("docker", ["run", "--rm", "--network", "none", &name, one, other]);
    let told = [look("/t/a", "/t/b/c"), look("/t/a", "/owned/a"), look("/bin/one", "/bin/two"), look("/t/a", "/t/d")];
    run("docker", ["rmi", "--force", &name]);
    assert_eq!(
        told,
        [
            "one inode, 2 names, same content, -1 bytes of capabilities\n",
            "another inode, 1 names, same content, -1 bytes of capabilities\n",
            "one inode, 2 names, same content, 20 bytes of capabilities\n",
            "another inode, 1 names, other content, -1 bytes of capabilities\n",
        ]
    );
}
