//! Programs of real compilers, and what real loaders make of them: what we find is what `ldd` finds, and what is refused does not start.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stillframe::facts::programs::{Load, Nature, Search, View, load, read};

use crate::debian::debian;
use crate::peers::{done, output, peer, run, said};
use crate::project::{Project, refused};

/// The most programs of this machine that are compared.
const MOST: usize = 400;

/// The files of this machine.
struct Machine {
    natures: BTreeMap<String, Nature>,
}

fn real(path: &str) -> Option<PathBuf> {
    fs::canonicalize(Path::new("/").join(path)).ok().filter(|real| real.is_file())
}

impl View for Machine {
    fn file(&self, path: &str) -> Option<String> {
        Some(real(path)?.to_str()?.trim_start_matches('/').to_string())
    }

    fn nature(&self, real: &str) -> Option<&Nature> {
        self.natures.get(real)
    }

    fn text(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(real(path)?).ok()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(Path::new("/").join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// All files of this machine that may be programs or libraries.
fn machine() -> Machine {
    let mut natures = BTreeMap::new();
    let mut open = vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/lib"), PathBuf::from("/usr/sbin")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let facts = entry.metadata().unwrap();
            if facts.is_dir() {
                open.push(entry.path());
            } else if facts.is_file() && facts.len() < 64 << 20 {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                let name = entry.path().to_str().map(|path| path.trim_start_matches('/').to_string());
                natures.extend(name.zip(read(bytes.as_slice())));
            }
        }
    }
    Machine { natures }
}

/// The names that `ldd` finds with their paths, and those that it does not find.
fn ldd(path: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let said = said(&output(peer("ldd").arg(path)));
    let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
    for line in said.lines() {
        match line.trim().split_once(" => ") {
            Some((name, "not found")) => missing.push(name.to_string()),
            Some((name, path)) if path.starts_with('/') => {
                found.insert(name.to_string(), path.split(" (").next().unwrap().to_string());
            }
            _ => {}
        }
    }
    missing.sort();
    missing.dedup();
    (found, missing)
}

#[test]
fn what_a_program_loads_is_what_ldd_says() {
    let machine = machine();
    let search = Search::new(&machine, &[], "/");
    let dynamic = machine.natures.iter().filter_map(|(path, nature)| match nature {
        Nature::Program(program) if program.loader.is_some() && path.starts_with("usr/bin/") => Some((path, program)),
        _ => None,
    });
    let mut compared = 0;
    for (path, program) in dynamic.filter(|(_, program)| program.machine.number == 62).take(MOST) {
        let absolute = format!("/{path}");
        let (loaded, missing) = load(&search, Load { path: &absolute, program });
        let (theirs, lost) = ldd(&absolute);
        let ours: BTreeMap<String, String> = loaded
            .iter()
            .map(|found| (found.path.rsplit('/').next().unwrap().to_string(), found.real.clone()))
            .filter(|(name, _)| !name.starts_with("ld-linux"))
            .collect();
        let theirs: BTreeMap<String, String> = theirs
            .into_iter()
            .filter(|(name, _)| !name.starts_with("ld-linux"))
            .map(|(name, path)| (name, fs::canonicalize(path).unwrap().to_str().unwrap()[1..].to_string()))
            .collect();
        assert_eq!(ours, theirs, "{path}");
        assert_eq!(missing.len(), lost.len(), "{path}: {missing:?}");
        compared += 1;
    }
    assert!(compared > 100, "{compared} programs are no comparison");
}

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
const RUST: &str = "fn main() { println!(\"hello\"); }\n";

/// A program by a compiler, with these arguments, kept in the project as `app`.
fn compiled(project: &Project, compiler: &str, arguments: &[&str]) {
    let (source, text) = if compiler == "rustc" { ("app.rs", RUST) } else { ("app.c", HELLO) };
    project.write(source, text);
    let mut command = if compiler == "rustc" { std::process::Command::new("rustc") } else { peer(compiler) };
    done(command.args(arguments).args(["-o", "app", source]).current_dir(project.app()));
}

fn project(base: &str, image: &str, rest: &str) -> Project {
    let (layout, digest) = debian();
    let base = if base == "debian" { format!("oci:debian@{digest}") } else { base.to_string() };
    let project = Project::new(&format!(
        "[image]\nbase = \"{base}\"\nuser = \"65532:65532\"\nentrypoint = [\"/app\"]\n{image}\n[[binary]]\nsrc = \"app\"\ndest = \"/app\"\n{rest}"
    ));
    if base.contains("debian") {
        run("cp", [Path::new("-a"), &layout, &project.app().join("debian")]);
    }
    project
}

/// Whether something is said of programs; a real base has more to be told of.
fn told(words: &str) -> bool {
    let codes = ["entrypoint", "wrong-machine", "missing-", "library-version", "odd-program"];
    codes.iter().any(|code| words.contains(&format!("warning[{code}")))
}

/// It builds without a word on programs, and runs if this machine can run it.
fn passes(project: &Project, runs: bool) {
    let checked = project.run(&["check"]);
    assert!(checked.status.success() && !told(&said(&checked)), "{}", said(&checked));
    let (out, _) = project.layout("out");
    if runs {
        let name = format!(
            "stillframe.test/programs-{}-{}",
            std::process::id(),
            project.room().file_name().unwrap().to_str().unwrap().to_lowercase().replace('.', "")
        );
        // skopeo would ask the engine of the usual socket, whatever `DOCKER_HOST` says; docker itself asks the right one.
        let archive = project.out("archive.tar");
        let target = format!("docker-archive:{}:{name}:latest", archive.display());
        run("skopeo", ["copy", "--quiet", &format!("oci:{}", out.display()), &target]);
        run("docker", [Path::new("load"), Path::new("--quiet"), Path::new("--input"), &archive]);
        fs::remove_file(&archive).unwrap();
        let said = run("docker", ["run", "--rm", "--network", "none", &name]);
        let _ = peer("docker").args(["rmi", "--force", &name]).output();
        assert_eq!(said, "hello\n");
    }
}

#[test]
fn static_programs_start_on_nothing() {
    for (compiler, arguments) in [
        ("gcc", &["-static"][..]),
        ("gcc", &["-static-pie"]),
        ("musl-gcc", &["-static"]),
        ("rustc", &["--target", "x86_64-unknown-linux-musl"]),
    ] {
        let project = project("scratch", "", "link = \"static\"\n");
        compiled(&project, compiler, arguments);
        passes(&project, true);
    }
    let arm = "platforms = [\"linux/arm64\"]";
    for (compiler, arguments) in [
        ("aarch64-linux-gnu-gcc", &["-static"][..]),
        ("rustc", &["--target", "aarch64-unknown-linux-musl", "-Clinker=aarch64-linux-gnu-gcc"]),
    ] {
        let right = project("scratch", arm, "link = \"static\"\n");
        compiled(&right, compiler, arguments);
        passes(&right, false);
        let wrong = project("scratch", "", "");
        compiled(&wrong, compiler, arguments);
        refused(&wrong.run(&["check"]), 4, &["wrong-machine", "linux/amd64: `app` is a program for 64-bit ARM"]);
    }
    let wrong = project("scratch", arm, "");
    compiled(&wrong, "gcc", &["-static"]);
    refused(
        &wrong.run(&["build", "-o", "oci:out"]),
        4,
        &["linux/arm64: `app` is a program for x86-64", "platform.rust_target"],
    );
    assert!(!wrong.app().join("out").exists());
}

#[test]
fn dynamic_programs_start_where_their_libraries_are() {
    for (compiler, arguments) in [("gcc", &[][..]), ("gcc", &["-no-pie"]), ("rustc", &[])] {
        let there = project("debian", "", "link = \"dynamic\"\n");
        compiled(&there, compiler, arguments);
        passes(&there, true);
        let nothing = project("scratch", "", "");
        compiled(&nothing, compiler, arguments);
        refused(&nothing.run(&["check"]), 4, &["missing-loader", "ld-linux-x86-64.so.2", "libs = \"copy\""]);
    }
    let musl = project("debian", "", "");
    compiled(&musl, "musl-gcc", &[]);
    refused(&musl.run(&["check"]), 4, &["missing-loader", "/lib/ld-musl-x86_64.so.1", "the base has glibc"]);
    // With its loader, which is its C library too, it starts.
    let musl = project("scratch", "", "[[file]]\nsrc = \"ld\"\ndest = \"/lib/ld-musl-x86_64.so.1\"\n");
    compiled(&musl, "musl-gcc", &[]);
    musl.write("ld", fs::read("/lib/ld-musl-x86_64.so.1").unwrap());
    passes(&musl, true);
    let arm = project("debian", "", "");
    compiled(&arm, "aarch64-linux-gnu-gcc", &[]);
    refused(&arm.run(&["check"]), 4, &["wrong-machine"]);
}

#[test]
fn a_library_of_ones_own_is_found_where_the_loader_finds_it() {
    let with = |arguments: &[&str], dest: &str| {
        let rest = format!("[[file]]\nsrc = \"libgreet.so.1\"\ndest = \"{dest}\"\n");
        let project = project("debian", "", &rest);
        project.write("greet.c", "#include <stdio.h>\nvoid greet(void) { puts(\"hello\"); }\n");
        project.write("app.c", "void greet(void);\nint main(void) { greet(); return 0; }\n");
        let library = ["-shared", "-fPIC", "-Wl,-soname,libgreet.so.1", "-o", "libgreet.so.1", "greet.c"];
        done(peer("gcc").args(library).current_dir(project.app()));
        let program = [&["-o", "app", "app.c", "./libgreet.so.1"], arguments].concat();
        done(peer("gcc").args(program).current_dir(project.app()));
        project
    };
    passes(&with(&["-Wl,-rpath,$ORIGIN/lib"], "/lib/libgreet.so.1"), true);
    passes(&with(&["-Wl,-rpath,/opt/greet"], "/opt/greet/libgreet.so.1"), true);
    passes(&with(&[], "/usr/lib/x86_64-linux-gnu/libgreet.so.1"), true);
    let lost = with(&[], "/opt/greet/libgreet.so.1");
    refused(&lost.run(&["check"]), 4, &["missing-library", "`app` needs `libgreet.so.1`"]);
    // Where Debian's `ld.so.conf` leads, a loader finds only what its cache lists.
    let local = with(&[], "/usr/local/lib/libgreet.so.1");
    refused(&local.run(&["check"]), 4, &["missing-library", "`/etc/ld.so.cache` does not list it"]);
}

#[test]
fn a_program_of_a_newer_glibc_is_refused() {
    let project = project("debian", "", "");
    // The oldest symbol that this machine's glibc has is asked for in a version that no glibc has.
    project.write("app.c", HELLO);
    done(peer("gcc").args(["-o", "app", "app.c"]).current_dir(project.app()));
    let mut bytes = fs::read(project.app().join("app")).unwrap();
    let at = bytes.windows(11).position(|window| window == b"GLIBC_2.34\0").unwrap();
    bytes[at..at + 10].copy_from_slice(b"GLIBC_2.99");
    project.write("app", &bytes);
    fs::set_permissions(project.app().join("app"), fs::Permissions::from_mode(0o755)).unwrap();
    refused(&project.run(&["check"]), 4, &["library-version", "`app` wants GLIBC_2.99, the image has 2.36"]);
    let started = output(&mut std::process::Command::new(project.app().join("app")));
    assert!(!started.status.success() && said(&started).contains("GLIBC_2.99"), "{}", said(&started));
}

#[test]
fn a_real_debian_is_whole() {
    let (layout, digest) = debian();
    let project =
        Project::new(&format!("[image]\nbase = \"oci:debian@{digest}\"\nuser = \"65532\"\n[[dir]]\ndest = \"/x\"\n"));
    run("cp", [Path::new("-a"), &layout, &project.app().join("debian")]);
    let checked = project.run(&["check"]);
    assert!(checked.status.success() && !told(&said(&checked)), "{}", said(&checked));
    let removed = "[[remove]]\ndest = \"/usr/lib/x86_64-linux-gnu/libselinux.so.1\"\n";
    let manifest = fs::read_to_string(project.app().join("image.toml")).unwrap();
    project.write("image.toml", manifest + removed);
    let checked = project.run(&["check"]);
    let words = said(&checked);
    assert!(checked.status.success() && words.contains("warning[missing-library]"), "{words}");
    assert_eq!(words.matches("libselinux.so.1`, which").count(), 1, "{words}");
    assert!(words.contains("; the same goes for `/"), "{words}");
}

/// Dynamic programs on nothing: their loader and their libraries come out of a real Debian.
#[test]
fn programs_that_bring_their_libraries_along_run_on_nothing() {
    let copying = || {
        let (layout, digest) = debian();
        let rest = format!("link = \"dynamic\"\nlibs = \"copy\"\nlibs-from = \"oci:debian@{digest}\"\n");
        let project = project("scratch", "", &rest);
        run("cp", [Path::new("-a"), &layout, &project.app().join("debian")]);
        project
    };
    for (compiler, arguments) in
        [("gcc", &["-no-pie"][..]), ("gcc", &["-pie"]), ("rustc", &[]), ("rustc", &["-Cprefer-dynamic=no"])]
    {
        let project = copying();
        compiled(&project, compiler, arguments);
        passes(&project, true);
        let listed = said(&project.run(&["plan"]));
        assert!(listed.contains("/lib64/ld-linux-x86-64.so.2") && listed.contains("/libc.so.6"), "{listed}");
        assert_eq!(listed.contains("/libgcc_s.so.1"), compiler == "rustc", "{listed}");
    }
    // Programs that use more than the C library, in threads, with names of users: what they open by themselves is in it since glibc 2.34.
    let project = copying();
    let text = "#include <math.h>\n#include <pthread.h>\n#include <stdio.h>\nstatic void *say(void *x) { if (cos(*(double *)x) == 1.0) puts(\"hello\"); return 0; }\n\
        int main(void) { double zero = 0; pthread_t t; pthread_create(&t, 0, say, &zero); pthread_join(t, 0); return 0; }\n";
    project.write("app.c", text);
    done(peer("gcc").args(["-o", "app", "app.c", "-lm", "-lpthread", "-fno-builtin"]).current_dir(project.app()));
    passes(&project, true);
    assert!(said(&project.run(&["plan"])).contains("/libm.so.6"));
}
