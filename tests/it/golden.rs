//! Golden digests of whole images (check REP-14): manifest, config and layers of each manifest in each compression. They change
//! only with a new format; `src/layer/golden.rs` has those of single layers.

use insta::{Settings, assert_snapshot};

use super::imports::{self, Part};
use super::support::{Base, Project, dir, file, idle, link, manifest};

/// Each with a name; sources are those of [`project`].
const FIXTURES: [(&str, &str, &str); 18] = [
    ("nothing", "", ""),
    ("file", "", "[[file]]\ndest = \"/etc/motd\"\ncontent = \"hello\\n\"\n"),
    ("tree", "", "[[file]]\nsrc = \"tree\"\ndest = \"/srv/\"\n"),
    (
        "program",
        "entrypoint = [\"/app\"]\n",
        "[[binary]]\nsrc = \"tree/run\"\ndest = \"/app\"\ncapabilities = [\"cap_net_bind_service\"]\n",
    ),
    (
        "modes",
        "",
        "[[dir]]\ndest = \"/tmp\"\nmode = \"1777\"\n[[file]]\ndest = \"/s\"\ncontent = \"\"\nmode = \"4755\"\n",
    ),
    (
        "users",
        "user = \"a\"\n",
        "[[user]]\nname = \"a\"\nuid = 3000000\n[[group]]\nname = \"g\"\ngid = 7\nmembers = [\"a\"]\n",
    ),
    ("links", "", "[[symlink]]\ndest = \"/usr/bin/x\"\ntarget = \"../../app\"\n"),
    ("names", "", "[[file]]\ndest = \"/ä/日本/x y\"\ncontent = \"\"\n"),
    (
        "layers",
        "",
        "[[file]]\ndest = \"/b\"\ncontent = \"b\"\nlayer = \"second\"\n[[file]]\ndest = \"/a\"\ncontent = \"a\"\n[[binary]]\nsrc = \"tree/run\"\ndest = \"/c\"\n",
    ),
    (
        "config",
        "cmd = [\"x\", \"y z\"]\nworkdir = \"/w\"\nports = [\"80\", \"53/udp\"]\nvolumes = [\"/v\"]\nstop-signal = \"SIGINT\"\n",
        "[env]\nB = \"2\"\nA = \"1\"\n[labels]\n\"k.b\" = \"ü\"\n\"k.a\" = \"<&>\\\"\"\n",
    ),
    (
        "annotations",
        "",
        "[annotations]\nboth = \"1\"\n[annotations.index]\nindex = \"2\"\n[annotations.manifest]\nmanifest = \"3\"\n",
    ),
    (
        "platforms",
        "platforms = [\"linux/arm64\", \"linux/amd64\", \"linux/arm/v7\"]\n",
        "[[file]]\ndest = \"/p\"\ncontent = \"{{ platform.arch }}{{ platform.variant }}\"\n",
    ),
    (
        "archive",
        "",
        "[[file]]\ndest = \"/app/f\"\ncontent = \"f\"\n[[archive]]\nsrc = \"ui.tar.xz\"\ndest = \"/app\"\nstrip = 1\nexclude = [\"no\"]\n",
    ),
    ("image", "", "[[copy]]\nfrom = \"TOOLS\"\nsrc = \"/opt\"\ndest = \"/o\"\n"),
    ("certificates", "", "[trust-store]\nsrc = \"ca.pem\"\n"),
    ("twins", "hard-links = true\n", "[[file]]\nsrc = \"twins\"\ndest = \"/t\"\n"),
    ("level", "compression-level = 9\n", "[[file]]\nsrc = \"twins\"\ndest = \"/t\"\n"),
    ("skeleton", "user = \"a\"\n", "[skeleton]\n[[user]]\nname = \"a\"\nuid = 7\nhome = \"/home/a\"\n"),
];

#[test]
fn rep_14_golden_digests_of_images() {
    let project = Project::new().file("tree/run", "#!/bin/sh\n").file("tree/a/b.txt", "b").symlink("tree/a/c", "b.txt");
    let parts = [
        Part::Dir("ui/", 0o700),
        Part::File("ui/b", b"#!/bin/sh\n", 0),
        Part::File("ui/a", b"a", 0o777),
        Part::Link("ui/l", "a"),
        Part::Hard("ui/h", "ui/b"),
        Part::File("ui/no", b"no", 0),
    ];
    let project = project.file("ui.tar.xz", imports::xz(&imports::tar(&parts, 7, 7)));
    let project = project.file("ca.pem", include_str!("golden/ca.pem"));
    let project = project.file("twins/a", "twin\n".repeat(1000)).file("twins/b", "twin\n".repeat(1000));
    let run = file("opt/t/run", "x").owned(0o4711, 3, 3);
    let tools = Base::of([dir("opt").owned(0o700, 3, 3), dir("opt/t").owned(0o1777, 3, 3), run, link("opt/l", "/x")]);
    let tools = tools.write(&project, "tools");
    let mut all = String::new();
    for (name, image, rest) in FIXTURES {
        for compression in ["gzip", "zstd", "none"] {
            if image.contains("level") && compression == "none" {
                continue;
            }
            let head = format!("created = \"2026-01-31T12:00:00Z\"\ncompression = \"{compression}\"\n{image}");
            project
                .write("image.toml", idle(&manifest("scratch", &format!("{head}{}", rest.replace("TOOLS", &tools)))));
            let made = project.run(["--format", "json", "build"]).success().json();
            all += &format!("{name} {compression} {}\n", made["digest"].as_str().unwrap());
            for image in made["images"].as_array().unwrap() {
                let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();
                all += &format!("  {} manifest {}\n", word(&image["platform"]), word(&image["digest"]));
                all += &format!("    config {}\n", word(&image["config"]));
                for layer in image["layers"].as_array().unwrap() {
                    all += &format!("    {} {}\n", word(&layer["name"]), word(&layer["digest"]));
                }
            }
        }
    }
    let mut settings = Settings::new();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_snapshot!("images", all));
}
