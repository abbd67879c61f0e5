//! Programs and images of files in, libraries out.

use std::collections::BTreeMap;

use super::{LD, program};
use crate::facts::programs::fixture::{AARCH64, Elf, X86, cache};
use crate::facts::programs::{Load, Loaded, Missing, Nature, Search, View, Way, load, read};

/// An image of files and links, all by absolute path.
#[derive(Default)]
struct Files(BTreeMap<String, Vec<u8>>, BTreeMap<String, Nature>, BTreeMap<String, String>);

impl Files {
    fn of(files: &[(&str, Elf)]) -> Files {
        let mut all = Files::default();
        for (path, elf) in files {
            all = all.with(path, elf.bytes());
        }
        all
    }

    fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Files {
        let (name, bytes) = (path.trim_start_matches('/').to_string(), content.into());
        self.1.extend(read(bytes.as_slice()).map(|facts| (name.clone(), facts)));
        self.0.insert(name, bytes);
        self
    }

    fn link(mut self, path: &str, to: &str) -> Files {
        self.2.insert(path.trim_start_matches('/').into(), to.trim_start_matches('/').into());
        self
    }
}

impl View for Files {
    fn file(&self, path: &str) -> Option<String> {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
            match part {
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let path = parts.join("/");
        let path = self.2.get(&path).cloned().unwrap_or(path);
        self.0.contains_key(&path).then_some(path)
    }

    fn nature(&self, real: &str) -> Option<&Nature> {
        self.1.get(real)
    }

    fn text(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(&self.file(path)?).cloned()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let start = format!("{}/", path.trim_matches('/'));
        self.0.keys().filter_map(|name| name.strip_prefix(&start)).map(str::to_string).collect()
    }
}

fn loads_in(files: &Files, start: &Elf, variables: &[&str]) -> (Vec<Loaded>, Vec<Missing>) {
    let variables: Vec<String> = variables.iter().map(ToString::to_string).collect();
    let search = Search::new(files, &variables, "/data");
    load(&search, Load { path: "/app/bin/server", program: &program(start) })
}

/// The paths that are loaded, and what is missing, in one line each.
#[track_caller]
fn check(files: &Files, start: &Elf, variables: &[&str], loaded: &str, missing: &[&str]) {
    let (found, lacks) = loads_in(files, start, variables);
    let found: Vec<String> = found.into_iter().map(|found| found.path).collect();
    let lacks: Vec<String> = lacks
        .iter()
        .map(|missing| match missing {
            Missing::Loader(path) => format!("loader {path}"),
            Missing::OddLoader(path, what) => format!("loader {path} is {what}"),
            Missing::Library { name, by, odd, uncached } => {
                let odd = odd.as_ref().map(|(path, what)| format!(", {path} is {what}")).unwrap_or_default();
                let uncached = uncached.as_ref().map(|path| format!(", {path} is not cached")).unwrap_or_default();
                format!("{name} for {by}{odd}{uncached}")
            }
            Missing::Version { library, by, wants, has } => {
                format!("{wants} of {library} for {by}, has {}", has.as_deref().unwrap_or("none"))
            }
        })
        .collect();
    assert_eq!(
        (found.join(" ").as_str(), lacks),
        (loaded, missing.iter().map(ToString::to_string).collect::<Vec<_>>())
    );
}

fn glibc(version: u64) -> Files {
    let versions: Vec<String> = (2..=version).map(|minor| format!("GLIBC_2.{minor}")).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).chain(["GLIBC_PRIVATE"]).collect();
    let loader = Elf::library("ld-linux-x86-64.so.2").defines(&["GLIBC_2.2.5", "GLIBC_PRIVATE"]);
    let libc = Elf::library("libc.so.6").loader(LD).needs("ld-linux-x86-64.so.2");
    let libc = libc.wants("ld-linux-x86-64.so.2", &["GLIBC_PRIVATE"]).defines(&versions);
    Files::of(&[("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", loader), ("/lib/x86_64-linux-gnu/libc.so.6", libc)])
        .link(LD, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
}

fn hello() -> Elf {
    Elf::program().pie().loader(LD).needs("libc.so.6")
}

#[test]
fn the_loader_and_the_libraries_of_glibc() {
    let libc = "/lib/x86_64-linux-gnu/libc.so.6";
    check(&glibc(36), &hello(), &[], &format!("{LD} {libc}"), &[]);
    check(&glibc(36), &Elf::program(), &[], "", &[]);
    check(&Files::default(), &hello(), &[], "", &[&format!("loader {LD}")]);
    let wrong = Files::of(&[(LD, Elf::library("ld-linux-x86-64.so.2").on(AARCH64))]);
    check(&wrong, &hello(), &[], "", &[&format!("loader {LD} is for 64-bit ARM")]);
    check(&Files::default().with(LD, "x"), &hello(), &[], "", &[&format!("loader {LD} is no program")]);
    let more = hello().needs("libmore.so.1");
    check(&glibc(36), &more, &[], &format!("{LD} {libc}"), &["libmore.so.1 for /app/bin/server"]);
    // A library needs another one, and what was found once is not looked for again.
    let library = Elf::library("libmore.so.1").needs("libc.so.6").needs("libdeep.so").needs("libmore.so.1");
    let files = glibc(36).with("/usr/lib/libmore.so.1", library.bytes());
    check(&files, &more, &[], &format!("{LD} {libc} /usr/lib/libmore.so.1"), &["libdeep.so for /usr/lib/libmore.so.1"]);
}

#[test]
fn a_library_of_another_machine_is_skipped_by_glibc() {
    let more = hello().needs("libmore.so.1");
    let wrong = glibc(36).with("/lib/x86_64-linux-gnu/libmore.so.1", Elf::library("libmore.so.1").on(X86).bytes());
    let odd = ["libmore.so.1 for /app/bin/server, /lib/x86_64-linux-gnu/libmore.so.1 is for 32-bit x86"];
    check(&wrong, &more, &[], &format!("{LD} /lib/x86_64-linux-gnu/libc.so.6"), &odd);
    let right = wrong.with("/usr/lib/libmore.so.1", Elf::library("libmore.so.1").bytes());
    check(&right, &more, &[], &format!("{LD} /lib/x86_64-linux-gnu/libc.so.6 /usr/lib/libmore.so.1"), &[]);
    let text = glibc(36).with("/lib/x86_64-linux-gnu/libmore.so.1", "GROUP ( libmore.so.1.0 )");
    let odd = ["libmore.so.1 for /app/bin/server, /lib/x86_64-linux-gnu/libmore.so.1 is no library"];
    check(&text, &more, &[], &format!("{LD} /lib/x86_64-linux-gnu/libc.so.6"), &odd);
}

#[test]
fn the_paths_that_programs_bring_along() {
    let x = |path: &str| glibc(36).with(path, Elf::library("libx.so").bytes());
    let base = format!("{LD} /lib/x86_64-linux-gnu/libc.so.6");
    let lacks = ["libx.so for /app/bin/server"];
    let need = hello().needs("libx.so");
    for (path, elf, variables, found) in [
        ("/app/lib/libx.so", need.clone().runpath("$ORIGIN/../lib"), vec![], "/app/bin/../lib/libx.so"),
        ("/app/lib/libx.so", need.clone().rpath("${ORIGIN}/../lib"), vec![], "/app/bin/../lib/libx.so"),
        ("/app/lib/libx.so", need.clone().rpath("/a:/app/lib").runpath("/b"), vec![], ""),
        ("/x/lib/x86_64-linux-gnu/libx.so", need.clone().runpath("/x/$LIB"), vec![], "/x/lib/x86_64-linux-gnu/libx.so"),
        ("/x/x86_64/libx.so", need.clone().runpath("/x/$PLATFORM"), vec![], "/x/x86_64/libx.so"),
        ("/opt/x/libx.so", need.clone(), vec!["LD_LIBRARY_PATH=/a:/opt/x"], "/opt/x/libx.so"),
        ("/data/x/libx.so", need.clone(), vec!["LD_LIBRARY_PATH=x"], "/data/x/libx.so"),
        ("/opt/x/libx.so", need.clone(), vec!["PATH=/opt/x"], ""),
        ("/usr/lib/libx.so", need.clone().without_defaults(), vec![], ""),
        ("/opt/libx.so", hello().needs("/opt/libx.so"), vec![], "/opt/libx.so"),
    ] {
        let start = elf.clone();
        let (loaded, missing) = loads_in(&x(path), &start, &variables);
        let loaded: Vec<&str> = loaded.iter().map(|found| found.path.as_str()).collect();
        assert_eq!(loaded.contains(&found), !found.is_empty(), "{path}: {loaded:?}");
        assert_eq!(
            missing.iter().any(|one| matches!(one, Missing::Library { name, .. } if name.ends_with("libx.so"))),
            found.is_empty(),
            "{path}"
        );
    }
    // The old path of the program counts for its libraries too, the new one does not.
    let inner = Elf::library("libx.so").needs("liby.so").bytes();
    let files =
        || glibc(36).with("/app/lib/libx.so", inner.clone()).with("/app/lib/liby.so", Elf::library("liby.so").bytes());
    let old = need.clone().rpath("/app/lib");
    check(&files(), &old, &[], &format!("{base} /app/lib/libx.so /app/lib/liby.so"), &[]);
    let new = need.clone().runpath("/app/lib");
    check(&files(), &new, &[], &format!("{base} /app/lib/libx.so"), &["liby.so for /app/lib/libx.so"]);
    check(&glibc(36), &need, &[], &base, &lacks);
}

#[test]
fn configured_directories_and_the_cache() {
    let need = hello().needs("libx.so");
    let base = format!("{LD} /lib/x86_64-linux-gnu/libc.so.6");
    let x = || glibc(36).with("/opt/x/libx.so", Elf::library("libx.so").bytes());
    let conf = "# comment\ninclude ld.so.conf.d/*.conf\nhwcap 1 nosegneg\n";
    let configured = || x().with("/etc/ld.so.conf", conf).with("/etc/ld.so.conf.d/x.conf", "/a, /opt/x\t/b=libc6\n");
    check(&configured(), &need, &[], &format!("{base} /opt/x/libx.so"), &[]);
    assert!(loads_in(&configured(), &need, &[]).0.iter().any(|found| found.way == Way::Configured));
    let elsewhere = x().with("/etc/ld.so.conf", conf).with("/etc/ld.so.conf.d/x.txt", "/opt/x\n");
    check(&elsewhere, &need, &[], &base, &["libx.so for /app/bin/server"]);
    for old in [false, true] {
        let listed =
            configured().with("/etc/ld.so.cache", cache(&[("liba.so", "/a"), ("libx.so", "/opt/x/libx.so")], old));
        check(&listed, &need, &[], &format!("{base} /opt/x/libx.so"), &[]);
        let stale = configured().with("/etc/ld.so.cache", cache(&[("liba.so", "/a/liba.so")], old));
        check(&stale, &need, &[], &base, &["libx.so for /app/bin/server, /opt/x/libx.so is not cached"]);
        let gone = glibc(36).with("/etc/ld.so.cache", cache(&[("libx.so", "/opt/x/libx.so")], old));
        check(&gone, &need, &[], &base, &["libx.so for /app/bin/server"]);
    }
    // What is no cache is as good as none.
    check(&configured().with("/etc/ld.so.cache", "x"), &need, &[], &format!("{base} /opt/x/libx.so"), &[]);
    let circle = x().with("/etc/ld.so.conf", "include /etc/ld.so.conf\n/opt/x\n");
    check(&circle, &need, &[], &format!("{base} /opt/x/libx.so"), &[]);
}

#[test]
fn versions_are_compared_as_numbers() {
    let libc = "/lib/x86_64-linux-gnu/libc.so.6";
    let want = |versions: &[&str]| hello().wants("libc.so.6", versions);
    let base = format!("{LD} {libc}");
    check(&glibc(36), &want(&["GLIBC_2.2", "GLIBC_2.36"]), &[], &base, &[]);
    let new = format!("GLIBC_2.38 of {libc} for /app/bin/server, has GLIBC_2.36");
    check(&glibc(36), &want(&["GLIBC_2.4", "GLIBC_2.38", "GLIBC_2.37"]), &[], &base, &[&new]);
    check(
        &glibc(9),
        &want(&["GLIBC_2.10"]),
        &[],
        &base,
        &[&format!("GLIBC_2.10 of {libc} for /app/bin/server, has GLIBC_2.9")],
    );
    check(&glibc(36), &want(&["?GLIBC_2.38"]), &[], &base, &[]);
    let odd = format!("GLIBC_ABI_DT_RELR of {libc} for /app/bin/server, has none");
    check(&glibc(35), &want(&["GLIBC_ABI_DT_RELR"]), &[], &base, &[&odd]);
    // A library that is too new for its libc, and one without versions.
    let library = Elf::library("libm.so.6").needs("libc.so.6").wants("libc.so.6", &["GLIBC_2.40"]).bytes();
    let files = glibc(36).with("/lib/libm.so.6", library);
    let deep = format!("GLIBC_2.40 of {libc} for /lib/libm.so.6, has GLIBC_2.36");
    check(
        &files,
        &hello().needs("libm.so.6").wants("libm.so.6", &["X_1"]),
        &[],
        &format!("{base} /lib/libm.so.6"),
        &[&deep],
    );
}

#[test]
fn the_rules_of_musl() {
    let loader = "/lib/ld-musl-x86_64.so.1";
    let musl = || Files::of(&[(loader, Elf::library("libc.musl-x86_64.so.1"))]);
    let start = Elf::program().pie().loader(loader).needs("libc.musl-x86_64.so.1");
    check(&musl(), &start, &[], loader, &[]);
    check(&musl(), &start.clone().needs("libm.so").needs("libpthread.so.0"), &[], loader, &[]);
    let x = |path: &str| musl().with(path, Elf::library("libx.so").bytes());
    let need = start.clone().needs("libx.so");
    check(&x("/usr/local/lib/libx.so"), &need, &[], &format!("{loader} /usr/local/lib/libx.so"), &[]);
    let lacks = ["libx.so for /app/bin/server"];
    check(&x("/usr/lib/x86_64-linux-gnu/libx.so"), &need, &[], loader, &lacks);
    let path = || x("/opt/libx.so").with("/etc/ld-musl-x86_64.path", "/lib\n/opt:/usr/lib\n");
    check(&path(), &need, &[], &format!("{loader} /opt/libx.so"), &[]);
    check(&x("/usr/lib/libx.so").with("/etc/ld-musl-x86_64.path", "/opt"), &need, &[], loader, &lacks);
    // Both kinds of paths count alike, and those of who asked too.
    let inner = Elf::library("libx.so").needs("liby.so").bytes();
    let files = musl().with("/app/lib/libx.so", inner).with("/app/lib/liby.so", Elf::library("liby.so").bytes());
    check(&files, &need.clone().runpath("/app/lib"), &[], &format!("{loader} /app/lib/libx.so /app/lib/liby.so"), &[]);
    // The first file of the name counts, whatever it is; versions do not count.
    let wrong = x("/usr/lib/libx.so").with("/lib/libx.so", Elf::library("libx.so").on(AARCH64).bytes());
    let odd = ["libx.so for /app/bin/server, /lib/libx.so is for 64-bit ARM"];
    check(&wrong, &need, &[], loader, &odd);
    check(&musl(), &start.wants("libc.musl-x86_64.so.1", &["GLIBC_2.38"]), &[], loader, &[]);
}

#[test]
fn a_loader_that_nobody_knows_is_not_judged() {
    let odd = "/opt/ld-own.so";
    let start = Elf::program().loader(odd).needs("libnone.so");
    check(&Files::of(&[(odd, Elf::library("ld-own.so"))]), &start, &[], odd, &[]);
    // A bridge from glibc to musl is a program with a loader of its own.
    let bridge = Files::of(&[(LD, Elf::program().pie().loader("/lib/ld-musl-x86_64.so.1"))]);
    check(&bridge, &hello(), &[], LD, &[]);
}
