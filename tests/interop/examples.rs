//! Small projects and the checkout's examples: the judge of the format and every other reader agree on each layer (LAY-01, LAY-13, LAY-19).

use std::fs;
use std::path::Path;

use crate::layout::{Image, images, judge};
use crate::peers::{done, peer, run, shell};
use crate::project::{Project, examples, noise, varied};

/// Names and whether umoci and crane know the compression.
fn check(project: &Project, name: &str) {
    let (out, _) = project.layout(&format!("{name}-layout"));
    let images = images(&out);
    for image in &images {
        judge(image, 0);
        image.layers.iter().for_each(|layer| list_alike(project, layer));
    }
    let copy = project.out(&format!("{name}-copy"));
    let (from, to) = (format!("oci:{}:latest", out.display()), format!("dir:{}", copy.display()));
    run("skopeo", ["copy", "--quiet", "--all", &from, &to]);
    if let [image] = images.as_slice()
        && !zstd(image)
    {
        unpack(project, &out, image, name);
        let archive = project.out(&format!("{name}.tar"));
        project.build(&format!("docker-archive:{}", archive.display()));
        run("crane", ["validate", "--tarball", &archive.display().to_string()]);
    }
}

fn zstd(image: &Image) -> bool {
    image.manifest["layers"].to_string().contains("zstd")
}

/// The paths of a layer's tar as Python reads them, without the slash of directories.
fn paths(tar: &Path) -> Vec<String> {
    let script = "import sys, tarfile\nfor entry in tarfile.open(sys.argv[1], 'r:'): sys.stdout.buffer.write(entry.name.encode() + b'\\n')";
    lines(&done(peer("python3").args(["-c", script]).arg(tar)))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim_end_matches('/').to_string()).collect()
}

/// Four tars list the same names.
fn list_alike(project: &Project, layer: &Path) {
    let tar = project.out("plain.tar");
    let unpack = match fs::read(layer).unwrap().get(..4) {
        Some([0x1f, 0x8b, ..]) => "gzip -dc",
        Some([0x28, 0xb5, 0x2f, 0xfd]) => "zstd -dqc",
        _ => "cat",
    };
    shell(project.room(), &format!("{unpack} <{} >{}", layer.display(), tar.display()));
    let python = paths(&tar);
    assert!(!python.is_empty());
    let gnu = done(peer("tar").args(["--quoting-style=literal", "--show-stored-names", "-tf"]).arg(&tar));
    assert_eq!(lines(&gnu), python, "GNU tar");
    let bsd = done(peer("bsdtar").env("LC_ALL", "C.UTF-8").arg("-tf").arg(&tar));
    assert_eq!(lines(&bsd), python, "bsdtar");
    // busybox 1.35 reads over PAX headers, so it knows a name that needs one by the header's first bytes only.
    let busybox = lines(&done(peer("busybox").arg("tar").arg("-tf").arg(&tar)));
    let (short, known): (Vec<_>, Vec<_>) =
        python.iter().zip(&busybox).filter(|(name, _)| name.len() <= 100 && name.is_ascii()).unzip();
    assert_eq!(busybox.len(), python.len(), "busybox");
    assert_eq!(short, known, "busybox");
}

/// umoci makes a tree of it that has what the layers have, and nothing else.
fn unpack(project: &Project, out: &Path, image: &Image, name: &str) {
    let bundle = project.out(&format!("{name}-bundle"));
    run("umoci", ["unpack", "--image", &format!("{}:latest", out.display()), &bundle.display().to_string()]);
    for layer in &image.layers {
        let tar = project.out("plain.tar");
        shell(project.room(), &format!("bsdtar -cf {} --format=pax @{}", tar.display(), layer.display()));
        for path in paths(&tar) {
            fs::symlink_metadata(bundle.join("rootfs").join(&path)).unwrap_or_else(|cause| panic!("{path}: {cause}"));
        }
    }
}

#[test]
fn gzip_is_read_by_all() {
    check(&varied("gzip"), "varied");
}

#[test]
fn zstd_is_read_by_all_that_know_it() {
    check(&varied("zstd"), "varied");
}

#[test]
fn plain_layers_are_read_by_all() {
    check(&varied("none"), "varied");
}

#[test]
fn long_names_and_large_owners_are_read_by_all() {
    let mut project = Project::new(
        r#"
[image]
base = "scratch"
[[file]]
src = "deep"
dest = "/deep"
owner = "3000000:4000000000"
"#,
    );
    let part = "d".repeat(200);
    for length in [99, 100, 101, 155, 156, 255, 256, 257, 1000, 3500] {
        let mut path = String::from("deep");
        while path.len() + 1 + 200 < length {
            path = format!("{path}/{part}");
        }
        let rest = length - path.len() - 1;
        path = format!("{path}/{}", "f".repeat(rest.min(250)));
        project = project.file(&path, format!("{length}"));
    }
    check(&project, "long");
}

#[test]
fn several_platforms_and_many_blocks_are_read_by_all() {
    for compression in ["gzip", "zstd"] {
        let manifest = format!(
            r#"
[image]
base = "scratch"
compression = "{compression}"
platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
[annotations]
"org.opencontainers.image.title" = "several"
[[file]]
src = "big-{{{{ platform.arch }}}}"
dest = "/big"
[[file]]
src = "shared"
dest = "/shared"
layer = "shared"
"#
        );
        let mut project = Project::new(&manifest).file("shared", noise(700_000, 1));
        for (seed, arch) in [(2, "amd64"), (3, "arm64"), (4, "arm")] {
            project = project.file(&format!("big-{arch}"), noise(3_000_000, seed));
        }
        check(&project, "several");
    }
}

#[test]
fn capabilities_arrive() {
    let project = Project::new(
        r#"
[image]
base = "scratch"
[[binary]]
src = "run"
dest = "/run"
capabilities = ["cap_net_bind_service"]
"#,
    )
    .script("run", "#!/bin/sh\n");
    let (out, _) = project.layout("layout");
    judge(&images(&out)[0], 0);
    let bundle = project.out("bundle");
    run("umoci", ["unpack", "--image", &format!("{}:latest", out.display()), &bundle.display().to_string()]);
    let found =
        run("getfattr", ["-e", "hex", "-n", "security.capability", &format!("{}/rootfs/run", bundle.display())]);
    assert!(found.contains("0x0100000200040000000000000000000000000000"), "{found}");
}

#[test]
fn the_examples_are_read_by_all() {
    for directory in examples() {
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        check(&Project::copy_of(&directory), &name);
    }
}
