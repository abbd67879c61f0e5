//! `[skeleton]`: what any system has, and only where nothing else is.

use crate::support::{Base, Project, dir, file, manifest, scratch};

#[test]
fn scratch_gets_what_any_system_has() {
    let project = Project::of(&scratch(
        "user = \"app\"\n[skeleton]\n[[user]]\nname = \"app\"\nuid = 1000\nhome = \"/home/app\"\n[[file]]\ndest = \"/srv/x\"\ncontent = \"\"\nowner = \"nobody\"\n",
    ));
    let image = project.build().image();
    let listing = [
        "d 0755 0:0 etc",
        "f 0644 0:0 etc/group",
        "f 0644 0:0 etc/nsswitch.conf",
        "f 0644 0:0 etc/os-release",
        "f 0644 0:0 etc/passwd",
        "d 0755 0:0 home",
        "d 0755 1000:1000 home/app",
        "d 0700 0:0 root",
        "d 0755 0:0 srv",
        "f 0644 65534:65534 srv/x",
        "d 1777 0:0 tmp",
        "d 0755 0:0 var",
        "d 1777 0:0 var/tmp",
    ];
    assert_eq!(image.listing(), listing);
    let passwd = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
        app:x:1000:1000::/home/app:/sbin/nologin\n";
    assert_eq!(image.text("etc/passwd"), passwd);
    assert_eq!(image.text("etc/group"), "root:x:0:\nnobody:x:65534:\napp:x:1000:\n");
    assert_eq!(image.config["config"]["User"], "1000:1000");
}

#[test]
fn parts_can_be_left_out() {
    let image =
        Project::of(&scratch("[skeleton]\naccounts = false\nnsswitch = false\nos-release = false\nlayer = \"low\"\n"))
            .build()
            .image();
    assert_eq!(image.layer_names(), ["low"]);
    assert_eq!(image.listing(), ["d 1777 0:0 tmp", "d 0755 0:0 var", "d 1777 0:0 var/tmp"]);
    let all = "tmp = false\naccounts = false\nhomes = false\nnsswitch = false\nos-release = false\n";
    assert!(Project::of(&scratch(&format!("[skeleton]\n{all}"))).build().image().layers.is_empty());
}

#[test]
fn what_the_base_or_an_entry_has_stays() {
    let project = Project::new();
    let base = Base::debian().write(&project, "base");
    let image = project.file("image.toml", manifest(&base, "[skeleton]\n")).build().image();
    assert_eq!(image.listing(), ["f 0644 0:0 etc/nsswitch.conf", "d 1777 0:0 var/tmp"]);

    let own = "[skeleton]\n[[file]]\ndest = \"/etc/os-release\"\ncontent = \"ID=acme\\n\"\n[[file]]\ndest = \"/etc/passwd\"\ncontent = \"own\\n\"\n\
        [[symlink]]\ndest = \"/tmp\"\ntarget = \"var/tmp\"\n[[symlink]]\ndest = \"/var\"\ntarget = \"data\"\n[[file]]\ndest = \"/etc/nsswitch.conf/x\"\ncontent = \"\"\n";
    let image = Project::of(&scratch(own)).build().image();
    assert_eq!((image.text("etc/os-release"), image.text("etc/passwd")), ("ID=acme\n", "own\n"));
    let listing = [
        "d 0755 0:0 etc",
        "f 0644 0:0 etc/group",
        "d 0755 0:0 etc/nsswitch.conf",
        "f 0644 0:0 etc/nsswitch.conf/x",
        "f 0644 0:0 etc/os-release",
        "f 0644 0:0 etc/passwd",
        "d 0700 0:0 root",
        "l 0777 0:0 tmp -> var/tmp",
        "l 0777 0:0 var -> data",
    ];
    assert_eq!(image.listing(), listing);
    let base = Base::of([
        dir("etc"),
        file("etc/passwd", "me:x:5:5::/:\n"),
        dir("usr/lib"),
        file("usr/lib/os-release", "ID=x\n"),
    ]);
    let project = Project::new();
    let reference = base.write(&project, "base");
    let image = project
        .file(
            "image.toml",
            manifest(&reference, "[skeleton]\ntmp = false\nnsswitch = false\n[[remove]]\ndest = \"/etc/passwd\"\n"),
        )
        .build()
        .image();
    assert_eq!(
        image.listing(),
        ["f 0644 0:0 etc/.wh.passwd", "f 0644 0:0 etc/group", "d 0700 0:0 root"],
        "what is removed stays so"
    );
}
