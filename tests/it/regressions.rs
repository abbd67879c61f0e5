//! What once went wrong, each under the name of its cause.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::support::{Base, Project, dir, file, idle, link, manifest, scratch};

/// A project on a base with these entries, with the rest of a manifest.
fn on(entries: impl IntoIterator<Item = super::support::base::Entry>, rest: &str) -> Project {
    let project = Project::new();
    let reference = Base::of(entries).write(&project, "base");
    project.write("image.toml", manifest(&reference, rest));
    project
}

#[test]
fn files_of_the_user_beside_an_output_were_swept() {
    let project = Project::of(&scratch(""))
        .file(".stillframe-notes/keep", "mine")
        .file(".stillframe-tmp-notmine", "mine")
        .file(".stillframe-store/keep", "");
    project
        .run(["build", "-o", "oci-archive:x.tar"])
        .env("STILLFRAME_HOME", project.path(".stillframe-store"))
        .success();
    assert!(project.path(".stillframe-notes/keep").exists() && project.path(".stillframe-tmp-notmine").exists());
    assert!(project.path(".stillframe-store/keep").exists());
}

#[test]
fn many_warnings_pushed_an_error_out_of_the_report() {
    let project =
        Project::of(&scratch("[[file]]\nsrc = \"t\"\ndest = \"/t\"\n[[file]]\nsrc = \"nowhere\"\ndest = \"/n\""));
    for at in 0..210 {
        project.write(&format!("t/{at}"), "x");
        project.write(&format!("t/{at}x"), "x");
        fs::set_permissions(project.path(&format!("t/{at}")), fs::Permissions::from_mode(0o4755)).unwrap();
    }
    let done = project.run(["build"]).fails(2);
    assert!(done.stderr.contains("`nowhere` does not exist"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("setuid").count(), 1, "one warning for each source: {}", done.stderr);
}

#[test]
fn a_tree_copied_through_a_link_of_the_base_was_cut_wrongly() {
    let project = on([dir("d"), link("data", "d")], "[[file]]\nsrc = \"t\"\ndest = \"/\"").file("t/data/f", "x");
    assert_eq!(project.build().image().text("d/f"), "x");
    let project =
        on([dir("usr"), dir("usr/lib"), link("usr/lib64", "lib")], "[[file]]\nsrc = \"tree\"\ndest = \"/usr\"");
    project.write("tree/lib64/x.so", "so");
    assert_eq!(project.build().image().text("usr/lib/x.so"), "so");
}

#[test]
fn whiteouts_came_in_by_the_names_of_sources() {
    for (source, rest) in [
        (".wh.passwd", "src = \".wh.passwd\"\ndest = \"/etc/\""),
        ("t/.wh.etc/f", "src = \"t\"\ndest = \"/\""),
        ("t/a/.wh..wh..opq/f", "src = \"t\"\ndest = \"/\""),
    ] {
        let project = Project::of(&scratch(&format!("[[file]]\n{rest}"))).file(source, "x");
        let done = project.run(["build"]).fails(2);
        assert!(done.stderr.contains("whiteout"), "{}", done.stderr);
    }
}

#[test]
fn a_link_as_source_lost_its_name() {
    let project = Project::of(&scratch("[[file]]\nsrc = \"libfoo.so\"\ndest = \"/lib/\"")).file("libfoo.so.1.2", "so");
    symlink("libfoo.so.1.2", project.path("libfoo.so")).unwrap();
    assert_eq!(project.build().image().text("lib/libfoo.so"), "so");
}

#[test]
fn links_that_the_manifest_takes_away_were_still_followed() {
    let base = || [dir("usr"), dir("usr/lib"), link("lib", "usr/lib"), file("conf", "old")];
    let project = on(base(), "[[dir]]\ndest = \"/lib\"\nreplace = true\n[[file]]\ndest = \"/lib/x\"\ncontent = \"x\"");
    assert_eq!(project.build().image().listing(), ["d 0755 0:0 lib", "f 0644 0:0 lib/x"]);
    let project =
        on(base(), "[[dir]]\ndest = \"/conf\"\nreplace = true\n[[file]]\ndest = \"/conf/x\"\ncontent = \"x\"");
    assert_eq!(project.build().image().listing(), ["d 0755 0:0 conf", "f 0644 0:0 conf/x"]);
    let project = on(base(), "[[remove]]\ndest = \"/lib\"\n[[file]]\ndest = \"/lib/x\"\ncontent = \"x\"");
    let done = project.run(["build"]).fails(2);
    assert!(done.stderr.contains("removed and written at once"), "{}", done.stderr);
}

#[test]
fn a_copy_with_replace_reset_directories_of_the_base() {
    let project = on([dir("tmp").owned(0o1777, 0, 0)], "[[file]]\nsrc = \"t\"\ndest = \"/\"\nreplace = true");
    project.write("t/tmp/f", "x");
    assert_eq!(project.build().image().listing(), ["f 0644 0:0 tmp/f"]);
}

#[test]
fn members_of_a_group_of_the_base_were_dropped() {
    let base = [dir("etc"), file("etc/passwd", "a:x:1:1::/:/bin/sh\n"), file("etc/group", "adm:x:4:a\nlast:x:9:")];
    let project = on(
        base,
        "[[user]]\nname = \"b\"\nuid = 2\ngid = 9\n[[group]]\nname = \"adm\"\ngid = 4\nmembers = [\"a\", \"b\"]",
    );
    let image = project.build().image();
    assert_eq!(image.text("etc/group"), "adm:x:4:a,b\nlast:x:9:");
    assert_eq!(
        image.text("etc/passwd"),
        "a:x:1:1::/:/bin/sh\nb:x:2:9:::/sbin/nologin\n".replace(":::/sbin", "::/:/sbin")
    );
    let done =
        Project::of(&scratch("[[group]]\nname = \"g\"\ngid = 4\nmembers = [\"nobody\"]")).run(["check"]).fails(2);
    assert!(done.stderr.contains("the image has no user `nobody`"), "{}", done.stderr);
}

#[test]
fn a_group_of_a_users_name_was_declared_twice() {
    let project = Project::of(&scratch(
        "[[user]]\nname = \"web\"\nuid = 1000\n[[group]]\nname = \"web\"\ngid = 2000\n[[user]]\nname = \"two\"\nuid = 1001\ngid = 1000",
    ));
    assert_eq!(project.build().image().text("etc/group"), "web:x:2000:\ntwo:x:1000:\n");
}

#[test]
fn pipes_and_links_in_the_place_of_an_output_were_replaced() {
    let project = Project::of(&scratch(""));
    assert!(std::process::Command::new("mkfifo").arg(project.path("pipe")).status().unwrap().success());
    let done = project.run(["build", "-o", "oci-archive:pipe"]).fails(5);
    assert!(done.stderr.contains("no plain file"), "{}", done.stderr);
    project.write("real.tar", "");
    symlink("real.tar", project.path("link.tar")).unwrap();
    project.run(["build", "-o", "oci-archive:link.tar"]).success();
    assert!(fs::symlink_metadata(project.path("link.tar")).unwrap().is_symlink());
    assert!(fs::metadata(project.path("real.tar")).unwrap().len() > 0);
    project.run(["build", "-o", "docker-archive:-"]).fails(2);
}

#[test]
fn images_without_a_name_vanished_from_a_layout() {
    let project = Project::of(&idle(&scratch("cmd = [\"one\"]")));
    project.run(["build", "-o", "oci:out"]).success();
    let index = fs::read_to_string(project.path("out/index.json")).unwrap();
    let unnamed = index.replace("\"annotations\":{\"org.opencontainers.image.ref.name\":\"latest\"},", "");
    assert_ne!(index, unnamed);
    project.write("out/index.json", &unnamed);
    project.write("image.toml", idle(&scratch("cmd = [\"two\"]")));
    project.run(["build", "-o", "oci:out"]).success();
    let index: serde_json::Value = serde_json::from_slice(&fs::read(project.path("out/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "{index}");
}

#[test]
fn the_ignore_file_did_not_reach_sources_outside_of_its_directory() {
    let project =
        Project::new().file(".git/keep", "").file("svc/.imageignore", "**/.env\n").file("shared/a/.env", "secret");
    project.write("shared/a/f", "x");
    project.write("svc/image.toml", scratch("[[file]]\nsrc = \"../shared\"\ndest = \"/s\""));
    project.run(["-f", "svc", "build", "-o", "oci:out"]).ends();
    let listing = project.layout("out").image().listing();
    assert!(!listing.iter().any(|line| line.contains(".env")), "{listing:?}");
}

#[test]
fn a_chain_of_operators_in_a_template_overflowed_the_stack() {
    for chain in ["-".repeat(60_000) + "1", "not ".repeat(60_000) + "1", "1".to_string() + &"|upper".repeat(60_000)] {
        let project = Project::of(&scratch(&format!("[env]\nA = \"{{{{ {chain} }}}}\"")));
        let done = project.run(["check"]).fails(2);
        assert!(done.stderr.contains("bytes of code in one pair of braces, the limit is 1024"), "{}", done.stderr);
    }
    Project::of(&scratch("[env]\nA = \"{{ --1 }}{{ not not 1 }}{{ 'a'|upper|lower }}\"")).run(["check"]).success();
}
