//! What is read of files, and what a loader would make of it.

use super::fixture::Elf;
use super::{Nature, Program, read};

mod loading;
mod reading;

const LD: &str = "/lib64/ld-linux-x86-64.so.2";

fn program(elf: &Elf) -> Box<Program> {
    let bytes = elf.bytes();
    match read(bytes.as_slice()) {
        Some(Nature::Program(program)) => program,
        other => panic!("{other:?}"),
    }
}
