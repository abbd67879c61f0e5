//! One image from every build of the program, on every processor (REP-11, REP-12, REP-13).

use std::path::Path;
use std::process::Command;

use crate::peers::{output, peer};
use crate::project::{Project, digest, other_program, program, release, varied};

/// The value of `compression`, and of `compression-level` where it is not the default. Of each kind of encoder the libraries have one.
const COMPRESSIONS: [&str; 9] = ["gzip", "gzip 1", "gzip 9", "gzip 12", "zstd", "zstd 1", "zstd 7", "zstd 19", "none"];

/// Builds without a store with the program that a command begins with.
fn built(project: &Project, mut command: Command, program: &Path) -> String {
    project.forget();
    let mut prepared = Command::new(command.get_program());
    prepared.args(command.get_args());
    project.prepare(&mut prepared);
    command = prepared;
    let out = format!("oci-archive:{}", project.out("out.tar").display());
    digest(&output(command.arg(program).args(["build", "-o", &out])))
}

fn emulated(emulator: &str, options: &[&str], program: &Path) {
    for compression in COMPRESSIONS {
        let project = varied(compression);
        let (_, right) = project.layout("right");
        let mut command = peer(emulator);
        command.args(options);
        assert_eq!(built(&project, command, program), right, "{emulator} {options:?} {compression}");
    }
}

#[test]
fn profiles_make_one_image() {
    let programs = [program(), other_program("quick"), release()];
    for compression in COMPRESSIONS {
        let project = varied(compression);
        let (_, right) = project.layout("right");
        for program in &programs {
            assert_eq!(built(&project, peer("env"), program), right, "{} {compression}", program.display());
        }
    }
}

#[test]
fn a_processor_without_extensions_makes_the_same_image() {
    emulated("qemu-x86_64-static", &["-cpu", "qemu64"], &release());
}

#[test]
fn a_processor_with_all_extensions_makes_the_same_image() {
    emulated("qemu-x86_64-static", &["-cpu", "max"], &release());
}

#[test]
fn another_architecture_makes_the_same_image() {
    emulated("qemu-aarch64-static", &[], &other_program("aarch64-unknown-linux-musl/release"));
}
