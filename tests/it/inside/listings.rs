//! `files` and `history`.

use serde_json::{Value, json};

use super::{document, odd, paths, project, short};
use crate::registry::Registry;
use crate::support::{Base, Project, dir, file, on_scratch};

#[test]
fn the_merged_image_is_what_a_container_sees() {
    let (project, reference) = project();
    let listed = project.run(["files", &reference, "--bytes"]).success().stdout;
    insta::assert_snapshot!(listed, @r"
    drwxr-xr-x  0:0  -  2  /etc
    -rw-------  0:0  6  2  /etc/motd
    lrwxrwxrwx  0:0  -  1  /lib -> usr/lib
    drwxr-xr-x  0:0  -  1  /opt
    -rw-r--r--  0:0  8  1  /opt/a
    -rw-r--r--  0:0  8  1  /opt/b = /opt/a
    -rw-r--r--  0:0  8  3  /opt/c = /opt/a
    -rw-r--r--  0:0  8  3  /opt/twin
    drwxr-xr-x  0:0  -  1  /var
    drwxr-xr-x  0:0  -  1  /var/cache
    -rw-r--r--  0:0  3  2  /var/cache/new

    6 files, 4 directories, 1 link: 25 bytes in 3 layers
    29 bytes more are shipped and not seen, efficiency 46.3 %; `--waste` lists them
    ");
}

#[test]
fn one_layer_shows_what_it_adds_and_removes() {
    let (project, reference) = project();
    let listed = project.run(["files", &reference, "--bytes", "--layer", "2"]).success().stdout;
    insta::assert_snapshot!(listed, @r"
    x---------    -  -  2  /doc (removed)
    drwxr-xr-x  0:0  -  2  /etc
    -rw-------  0:0  6  2  /etc/motd
    x---------    -  -  2  /etc/shadow (removed)
    drwxr-xr-x  0:0  -  2  /var
    drwxr-xr-x  0:0  -  2  /var/cache (emptied)
    -rw-r--r--  0:0  3  2  /var/cache/new

    2 files, 3 directories, 0 links, 2 removed: 9 bytes
    ");
    let third = project.run(["files", &reference, "--layer", "3"]).success().stdout;
    assert!(third.contains("/opt/c = /opt/a of a lower layer"), "{third}");
    // By number, digest and diff ID alike.
    let layers = document(&project.run(["--format", "json", "files", &reference]).success(), "files");
    let layer = &layers["layers"][1];
    for name in [layer["digest"].as_str().unwrap(), layer["diffId"].as_str().unwrap()] {
        assert_eq!(project.run(["files", &reference, "--bytes", "--layer", name]).success().stdout, listed);
    }
    for wrong in ["4", "files", &format!("sha256:{}", "0".repeat(64))] {
        let refused = project.run(["files", &reference, "--layer", wrong]).fails(2);
        assert!(refused.stderr.contains("it has 3 layers"), "{}", refused.stderr);
    }
    project.run(["files", &reference, "--layer", "0"]).fails(2);
}

#[test]
fn the_largest_come_first() {
    let (project, reference) = project();
    let listed = project.run(["files", &reference, "--by", "size", "--bytes"]).success().stdout;
    let sizes: Vec<u64> = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().nth(2)?.parse().ok())
        .collect();
    assert!(sizes.len() == 6 && sizes.is_sorted_by(|one, other| one >= other), "{listed}");
    assert!(listed.starts_with("-rw-r--r--  0:0  8  1  /opt/a\n-rw-r--r--  0:0  8  1  /opt/b = /opt/a\n"), "{listed}");
}

#[test]
fn a_tree_has_the_sums_of_its_directories() {
    let (project, reference) = project();
    let drawn = project.run(["files", &reference, "--tree", "--depth", "1", "--bytes"]).success().stdout;
    insta::assert_snapshot!(drawn, @r"
    d---------    -  25  /
    drwxr-xr-x  0:0   6  ├── etc
    lrwxrwxrwx  0:0   0  ├── lib -> usr/lib
    drwxr-xr-x  0:0  16  ├── opt
    drwxr-xr-x  0:0   3  └── var

    6 files, 4 directories, 1 link: 25 bytes in 3 layers
    29 bytes more are shipped and not seen, efficiency 46.3 %; `--waste` lists them
    ");
}

#[test]
fn waste_is_listed_with_who_hides_it() {
    let (project, reference) = project();
    let listed = project.run(["files", &reference, "--waste", "--bytes"]).success().stdout;
    insta::assert_snapshot!(listed, @r"
    54 bytes are shipped, 25 bytes are seen: efficiency 46.3 %
    as dive counts it: efficiency 78.3 %, 19 bytes wasted

    shipped and not seen: 29 bytes
    10  removed     /var/cache: in layer 1, removed by layer 2
     7  removed     /etc/shadow: in layer 1, removed by layer 2
     6  removed     /doc, 2 files: in layer 1, removed by layer 2
     6  only-facts  /etc/motd: in layer 1, stored again, with only mode, owner, time or attributes changed, by layer 2

    there more than once: 8 bytes
    8  /opt/a /opt/twin
    ");
    let document = document(&project.run(["--format", "json", "files", &reference]).success(), "files");
    let bytes = &document["bytes"];
    assert_eq!(bytes["stored"].as_u64().unwrap() - bytes["seen"].as_u64().unwrap(), bytes["wasted"].as_u64().unwrap());
    let sum: u64 = document["waste"].as_array().unwrap().iter().map(|one| one["size"].as_u64().unwrap()).sum();
    assert_eq!(bytes["wasted"], json!(sum));
    assert_eq!(document["duplicates"][0]["paths"], json!(["/opt/a", "/opt/twin"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_gives_the_same_list() {
    let (project, reference) = project();
    let registry = Registry::start().await;
    let there = format!("{}/acme/odd:1", registry.name());
    project.run(["copy", &reference, "oci-archive:a.tar", "docker-archive:d.tar", "store", &there]).success();
    let digest = reference.rsplit('@').next().unwrap();
    let files = |place: &str| {
        let document = document(&project.run(["--format", "json", "files", place]).success(), "files");
        (document["files"].clone(), document["waste"].clone(), document["bytes"].clone())
    };
    let expect = files(&reference);
    assert_eq!(expect.0.as_array().unwrap().len(), 11);
    for place in ["oci:odd", "oci-archive:a.tar", "docker-archive:d.tar", digest, &there] {
        assert_eq!(files(place), expect, "{place}");
    }
    // With another store, and with none of what was remembered.
    let elsewhere = project.path("other-store");
    for words in [&["--format", "json", "files", &there][..], &["--no-cache", "--format", "json", "files", &there]] {
        let done = project.run(words.iter().copied()).env("STILLFRAME_HOME", &elsewhere).success();
        assert_eq!(done.json()["files"], expect.0);
    }
    // What was seen once needs no layer again.
    registry.forget();
    project.run(["files", &there]).success();
    assert_eq!(registry.count("GET", "/blobs/"), 0);
}

#[test]
fn the_work_tree_tells_the_line_of_each_path() {
    let tables = [
        ("file", "src = 'site'; dest = '/srv'"),
        ("file", "dest = '/etc/app'; content = 'x'"),
        ("binary", "src = 'server'; dest = '/server'; link = 'static'"),
    ];
    let project = on_scratch(&tables).file("site/index.html", "hi").file("server", crate::support::program(false));
    let listed = project.run(["files", "--bytes"]).success().stdout;
    insta::assert_snapshot!(listed, @r"
    drwxr-xr-x  0:0    -  image.toml:8   /etc
    -rw-r--r--  0:0    1  image.toml:8   /etc/app
    -rwxr-xr-x  0:0  120  image.toml:12  /server
    drwxr-xr-x  0:0    -  image.toml:6   /srv
    -rw-r--r--  0:0    2  image.toml:6   /srv/index.html

    3 files, 2 directories, 0 links: 123 bytes in 2 layers
    ");
    assert_eq!(project.run(["files", ".", "--bytes"]).success().stdout, listed);
    let named = project.run(["files", "--layer", "binaries"]).success().stdout;
    assert!(named.contains("/server") && !named.contains("/srv"), "{named}");
    let told = project.run(["history"]).success().stdout;
    insta::assert_snapshot!(told, @r"
    LAYER   SIZE   WIRE  CREATED               FROM      CREATED BY
        1    3 B  160 B  1980-01-01T00:00:00Z  files     stillframe: files
                                                         image.toml:6  [[file]] /srv
                                                         image.toml:8  [[file]] /etc/app
        2  120 B  133 B  1980-01-01T00:00:00Z  binaries  stillframe: binaries
                                                         image.toml:12  [[binary]] /server
    ");
    let document = document(&project.run(["--format", "json", "history"]).success(), "history");
    assert_eq!(
        document["history"][0]["lines"][1],
        json!({"place": "image.toml:8", "table": "file", "dest": "/etc/app"})
    );
}

#[test]
fn layers_of_a_base_are_told_from_our_own() {
    let project = Project::new();
    let base = odd().write(&project, "base");
    project.write(
        "image.toml",
        format!("schema = 1\n[image]\nbase = \"{base}\"\nuser = \"1\"\n[[file]]\ndest = \"/x\"\ncontent = \"x\"\n"),
    );
    project.run(["build", "-o", "oci:out"]).success();
    let makers = |place: &str| -> Vec<Value> {
        let document = document(&project.run(["--format", "json", "history", place]).success(), "history");
        document["history"].as_array().unwrap().iter().map(|step| step["from"].clone()).collect()
    };
    // The image itself has the base's digest, the manifest its name.
    let digest = base.rsplit('@').next().unwrap();
    let shipped = json!(format!("base {digest}"));
    assert_eq!(makers("oci:out"), [shipped.clone(), shipped.clone(), shipped, json!("files")]);
    let planned = json!(format!("base {base}"));
    assert_eq!(makers("."), [planned.clone(), planned.clone(), planned, json!("files")]);
    let nobody = makers("oci:base");
    assert_eq!(nobody, [Value::Null, Value::Null, Value::Null]);
}

#[test]
fn steps_without_a_layer_have_no_size() {
    let project = Project::new();
    let history = json!([
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD rootfs /", "comment": "first"},
        {"created_by": "CMD [\"sh\"]\t\n  x", "empty_layer": true},
        {"created_by": "RUN y", "author": "me"},
    ]);
    let base = Base::of([dir("a"), file("a/x", "12345")]).layer([file("b", "1")]).rest(json!({"history": history}));
    base.write(&project, "base");
    let told = project.run(["history", "oci:base", "--bytes"]).success().stdout;
    let lines: Vec<Vec<&str>> = told.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[0][0], lines[0][1], &lines[0][5..]), ("1", "5", &["ADD", "rootfs", "/", "#", "first"][..]));
    assert_eq!((&lines[1][..3], &lines[1][5..]), (&["-", "0", "-"][..], &["CMD", "[\"sh\"]", "x"][..]));
    assert_eq!((lines[2][0], lines[2][1]), ("2", "1"));
}

#[test]
fn an_mtree_is_the_same_everywhere() {
    let (project, reference) = project();
    let written = project.run(["files", &reference, "--mtree"]).success().stdout;
    let digests = written.lines().filter(|line| line.contains("sha256digest=")).count();
    assert_eq!((written.lines().next(), digests), (Some("#mtree v2.0"), 6), "{written}");
    assert!(written.contains("./opt/a type=file mode=0644 uid=0 gid=0 time=1700000000.000000000 nlink=3 size=8"));
    assert!(written.contains("./lib type=link mode=0777 uid=0 gid=0 time=1700000000.000000000 link=usr/lib\n"));
    for words in [&["--jobs", "1"][..], &["--jobs", "4", "--no-cache"]] {
        let again = words.iter().copied().chain(["files", &reference, "--mtree"]);
        assert_eq!(project.run(again).success().stdout, written);
    }
}

#[test]
fn what_is_no_text_is_escaped_and_not_lost() {
    let project = Project::new();
    let names = ["a\nb", "c\u{1b}[31m", "rtl\u{202e}gpj", "back\\slash"];
    Base::of(names.map(|name| file(name, "x"))).write(&project, "odd");
    let listed = project.run(["files", "oci:odd"]).success().stdout;
    assert!(!listed.contains(['\u{1b}', '\u{202e}']), "{listed:?}");
    let document = document(&project.run(["--format", "json", "files", "oci:odd"]).success(), "files");
    assert_eq!(paths(&document["files"]), ["/a\\nb", "/back\\\\slash", "/c\\u{1b}[31m", "/rtl\\u{202e}gpj"]);
    assert_eq!(document["files"][0]["pathBase64"], json!("YQpi"));
    assert_eq!(short("x sha256:0123"), "x sha256:0123\n");
}

#[test]
fn choices_that_exclude_each_other_are_refused() {
    let (project, reference) = project();
    for words in [
        &["--mtree", "--tree"][..],
        &["--mtree", "--html", "x"],
        &["--layer", "1", "--waste"],
        &["--depth", "1"],
        &["--by", "size", "--tree"],
    ] {
        project.run(["files", &reference].into_iter().chain(words.iter().copied())).fails(2);
    }
    project.run(["files", "oci:nowhere"]).fails(2);
    project.run(["files"]).fails(2); // there is no manifest
}
