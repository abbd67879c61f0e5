//! What stands in the layers: modes, owners, places, groups. The contract's sections Modes, Copying and Layers, checks LAY-01 to LAY-16.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::support::{
    Base, Elf, Entry, Project, bytes, canonical, dir, file, link, manifest, on_scratch, program, scratch, tables,
};

/// Adds the manifest of these tables on the Debian-like base.
fn on_debian(project: Project, all: &[(&str, &str)]) -> Project {
    let base = Base::debian().write(&project, "base");
    project.file("image.toml", manifest(&base, &tables(all)))
}

#[test]
fn lay_01_layers_are_canonical() {
    let project = on_scratch(&[
        ("file", "src = 'tree'; dest = '/'"),
        ("binary", "src = 'app'; dest = '/usr/bin/app'; capabilities = ['cap_net_bind_service']"),
        ("symlink", "dest = '/a'; target = 'b'"),
        ("dir", "dest = '/a-'; mode = '0700'; owner = '7:8'"),
        ("file", "dest = '/ä'; content = 'x'; layer = 'late'"),
    ]);
    let project = project.file("tree/a.d/x", "").file("tree/a.d/b/c", "c").file("tree/z", "#!z").file("app", "x");
    let image = project.build().image();
    assert_eq!(image.layer_names(), ["files", "late", "binaries"]);
    image.own().iter().for_each(|(_, layer)| canonical(layer));
    let listing = [
        "l 0777 0:0 a -> b",
        "d 0700 7:8 a-",
        "d 0755 0:0 a.d",
        "d 0755 0:0 a.d/b",
        "f 0644 0:0 a.d/b/c",
        "f 0644 0:0 a.d/x",
        "f 0755 0:0 z",
        "f 0644 0:0 ä",
        "d 0755 0:0 usr",
        "d 0755 0:0 usr/bin",
        "f 0755 0:0 usr/bin/app",
    ];
    assert_eq!(image.listing(), listing);
}

#[test]
fn lay_03_remove_hides_exactly_that_path() {
    let all = [("remove", "dest = '/usr/share/doc'"), ("remove", "dest = '/lib/os-release'")];
    let image = on_debian(Project::new(), &all).build().image();
    assert_eq!(image.listing(), ["f 0644 0:0 usr/lib/.wh.os-release", "f 0644 0:0 usr/share/.wh.doc"]);
    assert_eq!(image.layer_names(), ["files"]);
    let all = [
        ("remove", "dest = '/usr/share/doc/README'"),
        ("remove", "dest = '/usr/share/doc'"),
        ("remove", "dest = '/bin'"),
        ("file", "dest = '/late'; content = ''; layer = 'late'"),
    ];
    let image = on_debian(Project::new(), &all).build().image();
    assert_eq!(image.layer_names(), ["late"], "whiteouts stand in the first layer made");
    assert_eq!(image.listing(), ["f 0644 0:0 .wh.bin", "f 0644 0:0 late", "f 0644 0:0 usr/share/.wh.doc"]);
    let again = [("remove", "dest = '/etc/motd'"), ("file", "dest = '/etc/motd'; content = ''")];
    on_debian(Project::new(), &again).run(["build"]).fails(2);
    on_debian(Project::new(), &[("remove", "dest = '/etc/modt'")]).run(["build"]).fails(2);
}

#[test]
fn lay_04_a_link_of_the_base_is_followed() {
    let all = [
        ("file", "dest = '/lib/x.so'; content = 'x'"),
        ("file", "dest = '/lib/new/deep/y.so'; content = 'y'"),
        ("file", "src = 'tree'; dest = '/'"),
        ("binary", "src = 'app'; dest = '/bin/'"),
    ];
    let project = Project::new().file("tree/lib/z.so", "z").file("tree/bin/run", "#!run").file("app", "app");
    let image = on_debian(project, &all).build().image();
    let listing = [
        "f 0755 0:0 usr/bin/run",
        "d 0755 0:0 usr/lib/new",
        "d 0755 0:0 usr/lib/new/deep",
        "f 0644 0:0 usr/lib/new/deep/y.so",
        "f 0644 0:0 usr/lib/x.so",
        "f 0644 0:0 usr/lib/z.so",
        "f 0755 0:0 usr/bin/app",
    ];
    assert_eq!(image.listing(), listing);
    let twice = [("file", "dest = '/lib/x.so'; content = 'x'"), ("file", "dest = '/usr/lib/x.so'; content = 'y'")];
    on_debian(Project::new(), &twice).run(["build"]).fails(2);
}

#[test]
fn lay_05_the_base_is_replaced_only_where_it_is_said() {
    let each = [
        ("file", "dest = '/usr/share/doc'; content = 'x'", "f 0644 0:0 usr/share/doc"),
        ("dir", "dest = '/etc/motd'", "d 0755 0:0 etc/motd"),
        ("symlink", "dest = '/usr/share/doc'; target = '/doc'", "l 0777 0:0 usr/share/doc -> /doc"),
        ("file", "dest = '/lib'; content = 'x'", "f 0644 0:0 lib"),
        ("symlink", "dest = '/lib'; target = 'usr/lib64'", "l 0777 0:0 lib -> usr/lib64"),
        ("dir", "dest = '/tmp'; mode = '0700'", "d 0700 0:0 tmp"),
        ("dir", "dest = '/var/www'; owner = '0:0'", "d 0755 0:0 var/www"),
        ("dir", "dest = '/bin'; mode = '0700'; owner = '1:1'", "d 0700 1:1 bin"),
    ];
    for (name, keys, line) in each {
        let one = on_debian(Project::new(), &[(name, keys)]);
        if ["/tmp", "/var/www"].iter().any(|stays| keys.contains(stays)) {
            let done = one.run(["build", "-o", "oci:unchanged"]).success();
            assert!(done.stderr.contains("warning[base-directory]"), "{}", done.stderr);
            assert_eq!(one.layout("unchanged").image().listing(), [""; 0], "the base's directory stays as it is");
        } else if !keys.contains("/bin") {
            let failed = one.run(["check"]).fails(2);
            assert!(failed.stderr.contains("error[base-conflict]"), "{}", failed.stderr);
        }
        let replaced = on_debian(Project::new(), &[(name, &format!("{keys}; replace = true"))]);
        assert_eq!(replaced.build().image().listing(), [line]);
    }
    let same = [
        ("file", "dest = '/etc/motd'; content = 'new'"),
        ("dir", "dest = '/tmp'"),
        ("dir", "dest = '/var/www'; mode = '0750'; owner = 'www-data'"),
        ("symlink", "dest = '/lib'; target = 'usr/lib'"),
    ];
    let image = on_debian(Project::new(), &same).build().image();
    assert_eq!(
        image.listing(),
        ["f 0644 0:0 etc/motd"],
        "a file replaces a file; what is there already is not written"
    );
}

#[test]
fn lay_06_two_writers_need_a_word() {
    let one = ("file", "dest = '/a'; content = 'one'");
    on_scratch(&[one, ("file", "dest = '/a'; content = 'two'")]).run(["build"]).fails(2);
    for all in [
        [one, ("file", "dest = '/a'; content = 'two'; replace = true")],
        [("file", "dest = '/a'; content = 'two'; replace = true"), one],
    ] {
        assert_eq!(on_scratch(&all).build().image().text("a"), "two", "the one that says `replace` wins");
    }
    on_scratch(&[("dir", "dest = '/d'"), ("file", "src = 'tree'; dest = '/'")])
        .file("tree/d/f", "")
        .run(["build"])
        .success();
    on_scratch(&[("dir", "dest = '/d'; mode = '0700'"), ("file", "src = 'tree'; dest = '/'")])
        .file("tree/d/f", "")
        .run(["build"])
        .fails(2);
}

#[test]
fn lay_07_names_that_differ_in_case_only_are_two() {
    let all = [("file", "dest = '/a/File'; content = '1'"), ("file", "dest = '/a/file'; content = '2'")];
    let done = on_scratch(&all).run(["build"]).success();
    assert_eq!(done.stderr.matches("warning[").count(), 1, "{}", done.stderr);
    let image = on_scratch(&all).build().image();
    assert_eq!(image.listing(), ["d 0755 0:0 a", "f 0644 0:0 a/File", "f 0644 0:0 a/file"]);
}

#[test]
fn lay_08_host_modes_and_owners_are_not_copied() {
    let all = [("file", "src = 'tree'; dest = '/t'"), ("binary", "src = 'tree/a'; dest = '/bin/a'")];
    let project = on_scratch(&all)
        .file_mode("tree/a", "a", 0o600)
        .file_mode("tree/b", "b", 0o664)
        .file_mode("tree/c", "c", 0o755)
        .file_mode("tree/elf", "\u{7f}ELF", 0o644)
        .file_mode("tree/script", "#!/bin/sh\n", 0o400);
    fs::create_dir(project.path("tree/d")).unwrap();
    fs::set_permissions(project.path("tree/d"), fs::Permissions::from_mode(0o1700)).unwrap();
    let _ = std::os::unix::fs::chown(project.path("tree/b"), Some(1234), Some(1234)); // root only
    project.run(["build", "-o", "oci:out"]).after("umask 077").success();
    let listing = [
        "d 0755 0:0 t",
        "f 0644 0:0 t/a",
        "f 0644 0:0 t/b",
        "f 0644 0:0 t/c",
        "d 0755 0:0 t/d",
        "f 0755 0:0 t/elf",
        "f 0755 0:0 t/script",
        "d 0755 0:0 bin",
        "f 0755 0:0 bin/a",
    ];
    assert_eq!(project.layout("out").image().listing(), listing);
}

#[test]
fn lay_09_setuid_only_where_it_is_declared() {
    let project = on_scratch(&[("file", "src = 'su'; dest = '/su'")]).file_mode("su", "x", 0o4755);
    let done = project.run(["build", "-o", "oci:out"]).success();
    assert!(done.stderr.contains("warning[host-mode]: `su` is setuid"), "{}", done.stderr);
    assert_eq!(project.layout("out").image().listing(), ["f 0644 0:0 su"]);
    for mode in ["'4755'", "0o4755"] {
        let project = on_scratch(&[("file", &format!("src = 'su'; dest = '/su'; mode = {mode}"))]).file("su", "x");
        assert_eq!(project.build().image().listing(), ["f 4755 0:0 su"]);
    }
}

#[test]
fn lay_10_capabilities_are_declared_never_copied() {
    let all = [
        ("binary", "src = 'app'; dest = '/app'; capabilities = ['cap_net_bind_service', 'CAP_BPF']"),
        ("file", "src = 'app'; dest = '/plain'"),
    ];
    let project = on_scratch(&all).file("app", "x");
    let _ = rustix::fs::setxattr(project.path("app"), "user.x", b"1", rustix::fs::XattrFlags::empty());
    let image = project.build().image();
    let Entry { xattrs, .. } = image.entry("app");
    let expect = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(xattrs.keys().collect::<Vec<_>>(), ["security.capability"]);
    assert_eq!(xattrs["security.capability"], expect);
    assert!(image.entry("plain").xattrs.is_empty());
}

#[test]
fn lay_12_links_and_holes_of_the_host_do_not_count() {
    let all = [("file", "src = 'tree'; dest = '/t'")];
    let data = [vec![0; 1 << 20], b"end".to_vec()].concat();
    let dense = on_scratch(&all).file("tree/a", &data).file("tree/b", &data);
    let odd = on_scratch(&all).file("tree/a", "");
    let holes = fs::File::create(odd.path("tree/a")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"end", 1 << 20).unwrap();
    fs::hard_link(odd.path("tree/a"), odd.path("tree/b")).unwrap();
    assert_eq!(fs::metadata(odd.path("tree/b")).unwrap().nlink(), 2);
    assert_eq!(dense.digest(), odd.digest());
}

#[test]
fn lay_13_long_paths_and_large_numbers() {
    let part = "p".repeat(200);
    let long = format!("/{}", [part.as_str(); 20].join("/"));
    let hundred = format!("/{}", "x".repeat(100));
    let keys = format!("dest = '{long}'; content = '1'; owner = '3000000:3000001'");
    let project = on_scratch(&[("file", &keys), ("file", &format!("dest = '{hundred}'; content = ''"))]);
    let image = project.build().image();
    let entry = image.entry(&long[1..]);
    assert_eq!((entry.uid, entry.gid, entry.content.as_slice()), (3_000_000, 3_000_001, &b"1"[..]));
    assert_eq!(image.entry(&hundred[1..]).kind, 'f');
    for (last, code) in [(75, 0), (76, 2)] {
        let keys = format!("dest = '{long}/{}'; content = ''", "x".repeat(last));
        on_scratch(&[("file", &keys)]).run(["build"]).ends().expect(code);
    }
}

#[test]
fn layers_are_grouped_by_rate_of_change() {
    let all = [
        ("binary", "src = 'app'; dest = '/app/bin/server'"),
        ("file", "dest = '/app/z'; content = 'z'; layer = 'zebra'"),
        ("file", "dest = '/app/a'; content = 'a'; layer = 'ant'"),
        ("file", "dest = '/app/y'; content = 'y'; layer = 'zebra'"),
        ("binary", "src = 'app'; dest = '/app/bin/named'; layer = 'ant'"),
        ("file", "dest = '/app/plain'; content = 'p'"),
        ("symlink", "dest = '/app/bin/link'; target = 'server'"),
    ];
    let image = on_scratch(&all).file("app", "x").build().image();
    assert_eq!(image.layer_names(), ["files", "zebra", "ant", "binaries"]);
    let layers: Vec<Vec<String>> = image.own().iter().map(|(_, layer)| layer.listing()).collect();
    let files = ["d 0755 0:0 app", "d 0755 0:0 app/bin", "l 0777 0:0 app/bin/link -> server", "f 0644 0:0 app/plain"];
    assert_eq!(layers[0], files, "a parent stands in the first layer that needs it");
    assert_eq!(layers[1], ["f 0644 0:0 app/y", "f 0644 0:0 app/z"]);
    assert_eq!(layers[2], ["f 0644 0:0 app/a", "f 0755 0:0 app/bin/named"]);
    assert_eq!(layers[3], ["f 0755 0:0 app/bin/server"]);
    let binaries = on_scratch(&[("binary", "src = 'app'; dest = '/app'")]).file("app", "x").build().image();
    assert_eq!(binaries.layer_names(), ["binaries"], "an empty group makes no layer");
    assert!(Project::of(&scratch("")).build().image().layers.is_empty());
}

#[test]
fn users_and_groups_are_added_to_the_files_of_the_base() {
    let all = [
        ("user", "name = 'app'; uid = 1000; home = '/home/app'; shell = '/bin/sh'; comment = 'The App'"),
        ("user", "name = 'www-data'; uid = 33"),
        ("user", "name = 'second'; uid = 1001; gid = 4"),
        ("group", "name = 'team'; gid = 2000; members = ['app']"),
        ("dir", "dest = '/home/app'; owner = 'app:team'"),
        ("file", "dest = '/srv/x'; content = ''; owner = 'www-data'"),
        ("file", "dest = '/srv/y'; content = ''; owner = '33'"),
        ("file", "dest = '/srv/z'; content = ''; owner = '77:adm'"),
    ];
    let image = on_debian(Project::new(), &all).build().image();
    let passwd = "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n\
        app:x:1000:1000:The App:/home/app:/bin/sh\nsecond:x:1001:4::/:/sbin/nologin\n";
    assert_eq!(image.text("etc/passwd"), passwd);
    assert_eq!(image.text("etc/group"), "root:x:0:\nadm:x:4:\nwww-data:x:33:\napp:x:1000:\nteam:x:2000:app\n");
    let owner = |path: &str| (image.entry(path).uid, image.entry(path).gid);
    assert_eq!(owner("home/app"), (1000, 2000));
    assert_eq!((owner("srv/x"), owner("srv/z")), ((33, 33), (77, 4)));
    assert_eq!(owner("srv/y"), (33, 33), "the group of a known number is the account's");
}

#[test]
fn the_upper_layer_of_a_base_counts() {
    let project = Project::new();
    let upper = [
        dir("usr"),
        dir("usr/share"),
        file("usr/share/.wh.doc", ""),
        file("etc/motd", "upper"),
        link("opt", "srv"),
        dir("srv"),
    ];
    let base = Base::debian().layer(upper).write(&project, "base");
    let all = tables(&[
        ("file", "dest = '/usr/share/doc/new'; content = 'x'"),
        ("file", "dest = '/opt/x'; content = 'x'"),
        ("remove", "dest = '/etc/motd'"),
    ]);
    let image = project.file("image.toml", manifest(&base, &all)).build().image();
    let listing =
        ["f 0644 0:0 etc/.wh.motd", "f 0644 0:0 srv/x", "d 0755 0:0 usr/share/doc", "f 0644 0:0 usr/share/doc/new"];
    assert_eq!(image.listing(), listing);
}

#[test]
fn a_binary_is_linked_as_it_says() {
    let check = |link: &str, content: &[u8], expect: &str| {
        let items = format!("[[binary]]\nsrc = \"app\"\ndest = \"/app\"\nlink = \"{link}\"");
        let project = Project::new().file("app", content);
        let base = Base::of([dir("lib64"), bytes("lib64/ld-linux-x86-64.so.2", 0o755, Elf::library("ld.so").bytes())]);
        project.write("image.toml", manifest(&base.write(&project, "base"), &items));
        for command in ["check", "build"] {
            let run = project.run([command]);
            if expect.is_empty() {
                run.success();
            } else {
                let done = run.fails(4);
                assert!(done.stderr.contains("error[link]") && done.stderr.contains(expect), "{}", done.stderr);
            }
        }
    };
    check("static", &program(false), "");
    check("static", &program(true), "`CGO_ENABLED=0`");
    check("dynamic", &program(true), "");
    check("dynamic", &program(false), "`link = \"static\"`");
    for link in ["static", "dynamic"] {
        check(link, b"#!/bin/sh\n", "`app` is no ELF program");
        check(link, b"", "`app` is no ELF program");
    }
    check("any", b"data", "");
}
