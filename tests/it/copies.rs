//! What is copied: links, odd files, globs, `.imageignore`, destinations. The contract's section Copying, checks LAY-14 to LAY-16.

use std::fs;
use std::process::Command;

use super::support::{Project, on_scratch};

#[test]
fn lay_14_a_link_out_of_the_tree_is_an_error() {
    let project =
        on_scratch(&[("file", "src = 'tree'; dest = '/t'")]).file("secret", "canary-4711").file("tree/a", "a");
    for target in ["../secret", project.path("secret").to_str().unwrap(), "/etc/passwd"] {
        std::os::unix::fs::symlink(target, project.path("tree/key")).unwrap();
        let done = project.run(["build", "-o", "oci:out"]).fails(2);
        assert!(done.stderr.contains("error[link-outside]") && !done.stderr.contains("canary"), "{}", done.stderr);
        assert!(!project.path("out").exists());
        fs::remove_file(project.path("tree/key")).unwrap();
    }
    let project = on_scratch(&[("file", "src = 'tree'; dest = '/t'; exclude = ['key']")]);
    let project = project.file("tree/a", "a").symlink("tree/key", "/etc/passwd");
    assert_eq!(project.build().image().listing(), ["d 0755 0:0 t", "f 0644 0:0 t/a"]);
}

#[test]
fn lay_15_a_link_in_the_tree_stays_a_link() {
    let project = on_scratch(&[("file", "src = 'tree'; dest = '/t'")]).file("tree/a/x", "x");
    let project = project.symlink("tree/b/x", "../a/x").symlink("tree/c", "a").symlink("tree/dangling", "nothing");
    let listing = [
        "d 0755 0:0 t",
        "d 0755 0:0 t/a",
        "f 0644 0:0 t/a/x",
        "d 0755 0:0 t/b",
        "l 0777 0:0 t/b/x -> ../a/x",
        "l 0777 0:0 t/c -> a",
        "l 0777 0:0 t/dangling -> nothing",
    ];
    assert_eq!(project.build().image().listing(), listing);
}

#[test]
fn lay_16_fifos_and_sockets_end_at_once() {
    let project = on_scratch(&[("file", "src = 'odd'; dest = '/odd'"), ("file", "src = 'tree'; dest = '/t'")]);
    let project = project.file("tree/a", "");
    for path in ["odd", "tree/fifo"] {
        assert!(Command::new("mkfifo").arg(project.path(path)).status().unwrap().success());
    }
    let socket = std::os::unix::net::UnixListener::bind(project.path("tree/socket")).unwrap();
    let done = project.run(["build"]).fails(2);
    assert_eq!(done.stderr.matches("is a FIFO").count(), 2, "{}", done.stderr);
    assert_eq!(done.stderr.matches("is a socket").count(), 1, "{}", done.stderr);
    drop(socket);
    let project = on_scratch(&[("file", "src = '/dev/null'; dest = '/null'")]);
    project.run(["build"]).fails(2);
}

#[test]
fn copies_choose_by_globs() {
    let files = |project: Project| {
        let all = ["a.html", "b.css", "sub/c.html", "sub/deep/d.js", "skip/e.html", "sub/skip/f.html"];
        all.into_iter().fold(project, |project, path| project.file(&format!("site/{path}"), path))
    };
    let check = |keys: &str, expect: &[&str]| {
        let image = files(on_scratch(&[("file", &format!("src = 'site/'; dest = '/s/'; {keys}"))])).build().image();
        let listing = image.listing();
        let paths: Vec<&str> = listing.iter().filter_map(|line| line.strip_prefix("f 0644 0:0 s/")).collect();
        assert_eq!(paths, expect, "{keys}");
    };
    check("include = ['*.html']; exclude = ['**/skip']", &["a.html", "sub/c.html"]);
    check("include = ['/*.html']", &["a.html"]);
    check("include = ['sub/']; exclude = ['**/skip', 'nothing']", &["sub/c.html", "sub/deep/d.js"]);
    check("exclude = ['*.html']", &["b.css", "sub/deep/d.js"]);
    let project = files(on_scratch(&[("file", "src = 'site'; dest = '/s'; include = ['*.png']")]));
    project.run(["build"]).fails(2);
}

#[test]
fn image_ignore_holds_for_each_directory_copy() {
    let ignore = "# comment\n**/*.secret\nsite/private\n!site/private/keep\n";
    let project = on_scratch(&[("file", "src = 'site'; dest = '/s'"), ("file", "src = 'a.secret'; dest = '/named'")])
        .file(".imageignore", ignore)
        .file("a.secret", "named by itself")
        .file("site/a", "")
        .file("site/b.secret", "")
        .file("site/private/x", "")
        .file("site/private/keep", "");
    let listing =
        ["f 0644 0:0 named", "d 0755 0:0 s", "f 0644 0:0 s/a", "d 0755 0:0 s/private", "f 0644 0:0 s/private/keep"];
    assert_eq!(project.build().image().listing(), listing);
}

#[test]
fn destinations_and_directory_modes() {
    let all = [
        ("file", "src = 'a.txt'; dest = '/into/'"),
        ("file", "src = 'a.txt'; dest = '/as'"),
        ("file", "src = 'tree'; dest = '/t'; mode = '0600'; dir-mode = '0700'; owner = '5'"),
        ("file", "src = 'tpl'; dest = '/rendered'; template = true"),
        ("file", "dest = '/inline'; content = '{{ platform.arch }}\\n'"),
        ("dir", "dest = '/d/e'; mode = '0700'"),
    ];
    let project =
        on_scratch(&all).file("a.txt", "a").file("tree/x/y", "y").file("tpl", "{{ platform.rust_target }}\n\n");
    let image = project.build().image();
    let listing = [
        "f 0644 0:0 as",
        "d 0755 0:0 d",
        "d 0700 0:0 d/e",
        "f 0644 0:0 inline",
        "d 0755 0:0 into",
        "f 0644 0:0 into/a.txt",
        "f 0644 0:0 rendered",
        "d 0755 0:0 t",
        "d 0700 5:5 t/x",
        "f 0600 5:5 t/x/y",
    ];
    assert_eq!(image.listing(), listing);
    assert_eq!((image.text("rendered"), image.text("inline")), ("x86_64-unknown-linux-musl\n\n", "amd64\n"));
}
