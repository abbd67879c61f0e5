//! Disks that are full: errors that name the place, nothing at a final name, and everything works once there is space (STA-09).

use std::fs;
use std::path::Path;

use crate::layout::images;
use crate::peers::{Mount, run};
use crate::project::{Project, noise, refused};

/// From hardly anything to what is just too little.
const SIZES: [&str; 6] = ["64k", "256k", "1m", "4m", "16m", "64m"];

fn project() -> Project {
    Project::new(
        r#"
[image]
base = "scratch"
[[file]]
src = "large"
dest = "/large"
[[file]]
src = "small"
dest = "/small"
layer = "small"
"#,
    )
    .file("large", noise(70 << 20, 11))
    .file("small", "small")
}

/// What is left in a directory, however deep, that is a file.
fn files(below: &Path) -> Vec<String> {
    run("find", [below.as_os_str(), "-type".as_ref(), "f".as_ref()]).lines().map(str::to_string).collect()
}

#[test]
fn a_full_store_is_an_error_and_works_once_there_is_space() {
    let project = project();
    let (_, right) = project.layout("right");
    for size in SIZES {
        let out = project.out("out");
        project.forget();
        let _mount = Mount::memory(size, &project.home());
        let output = project.run(&["build", "-o", &format!("oci:{}", out.display())]);
        refused(&output, 5, &["No space left", &project.home().display().to_string()]);
        assert!(!out.exists(), "{size}");
        let tmp = project.home().join("v1/tmp");
        assert!(!tmp.exists() || files(&tmp).is_empty(), "{size}: {:?}", files(&tmp));
        run("mount", ["-o", "remount,size=200m", &project.home().display().to_string()]);
        assert_eq!(project.build(&format!("oci:{}", out.display())), right, "{size}");
        images(&out);
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_full_disk_for_the_output_is_an_error_and_works_once_there_is_space() {
    let project = project();
    let (_, right) = project.layout("right");
    for (at, size) in SIZES.into_iter().enumerate() {
        // Each kind with a small and a large disk.
        let kind = ["oci", "oci-archive", "docker-archive"][at % 3];
        let disk = project.out("disk");
        let _mount = Mount::memory(size, &disk);
        let out = disk.join("out");
        let to = format!("{kind}:{}", out.display());
        let output = project.run(&["build", "-o", &to]);
        refused(&output, 5, &["No space left", &disk.display().to_string()]);
        assert!(files(&disk).is_empty(), "{size} {kind}: {:?}", files(&disk));
        run("mount", ["-o", "remount,size=200m", &disk.display().to_string()]);
        assert_eq!(project.build(&to), right, "{size} {kind}");
        assert!(out.exists(), "{size} {kind}");
    }
}
