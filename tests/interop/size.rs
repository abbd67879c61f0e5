//! Large inputs in little memory: the optimised program, measured from outside.

use std::fs;
use std::time::Instant;

use crate::peers::{done, peer};
use crate::project::{Project, release};

/// The most memory that a build may take, in bytes: at all, for each thread and for each entry.
const MOST_AT_ALL: u64 = 32 << 20;
const MOST_FOR_A_THREAD: u64 = 3 << 20;
const MOST_FOR_AN_ENTRY: u64 = 200;
/// Runs a program and tells its peak of memory, in KiB, on the last line.
pub const MEASURE: &str = "import resource, subprocess, sys\n\
code = subprocess.call(sys.argv[1:], stdout=sys.stderr)\n\
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n\
sys.exit(code)";

fn measure(what: &str, entries: u64, project: &Project) {
    let started = Instant::now();
    let mut command = peer("python3");
    project.prepare(&mut command);
    let out = format!("oci:{}", project.out("out").display());
    let said = done(command.args(["-c", MEASURE]).arg(release()).args(["build", "-o", &out]));
    let peak: u64 = said.trim().parse().unwrap();
    eprintln!("{what}: {} MiB at most, {} s", peak >> 10, started.elapsed().as_secs());
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let most = MOST_AT_ALL + MOST_FOR_A_THREAD * threads + MOST_FOR_AN_ENTRY * entries;
    assert!(peak << 10 < most, "{what}: {} MiB where {} are allowed", peak >> 10, most >> 20);
}

#[test]
fn a_file_of_four_gigabytes_needs_little_memory() {
    let project = Project::new("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"large\"\ndest = \"/large\"\n");
    fs::File::create(project.app().join("large")).unwrap().set_len(4 << 30).unwrap();
    measure("4 GiB in one file", 1, &project);
}

#[test]
fn a_tree_of_200_000_files_needs_little_memory() {
    let project = Project::new("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"tree\"\ndest = \"/tree\"\n");
    for directory in 0..400 {
        let below = project.app().join(format!("tree/package-{directory:04}/lib"));
        fs::create_dir_all(&below).unwrap();
        for file in 0..500 {
            fs::write(below.join(format!("module-{file:04}.txt")), format!("{directory} {file}\n")).unwrap();
        }
    }
    measure("200 000 files", 200_000, &project);
}
