//! Whether the programs of an image would start: each rule with a program that is refused, the way out that is said, and a neighbour
//! that passes.

use crate::support::elf::{AARCH64, Elf, X86};
use crate::support::{Base, LOADER, Project, bytes, dir, link, manifest, program, rooted};

/// A base with glibc of this minor version, merged directories as in Debian, a shell, and `env`.
fn glibc(minor: u32) -> Base {
    let versions: Vec<String> = (2..=minor).map(|minor| format!("GLIBC_2.{minor}")).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let tool = hello().wants("libc.so.6", &["GLIBC_2.17"]).bytes();
    Base::of([
        dir("usr/bin"),
        dir("usr/lib/x86_64-linux-gnu"),
        dir("usr/lib64"),
        link("bin", "usr/bin"),
        link("lib", "usr/lib"),
        link("lib64", "usr/lib64"),
        bytes("usr/lib/x86_64-linux-gnu/ld-2.so", 0o755, Elf::library("ld-linux-x86-64.so.2").bytes()),
        link("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-2.so"),
        bytes("usr/lib/x86_64-linux-gnu/libc.so.6", 0o755, Elf::library("libc.so.6").defines(&versions).bytes()),
        bytes("usr/bin/sh", 0o755, tool.clone()),
        bytes("usr/bin/env", 0o755, tool),
        bytes("usr/bin/data", 0o644, b"data".to_vec()),
    ])
}

fn musl() -> Base {
    let loader = Elf::library("libc.musl-x86_64.so.1").bytes();
    Base::of([
        dir("lib"),
        bytes("lib/ld-musl-x86_64.so.1", 0o755, loader),
        dir("bin"),
        bytes("bin/sh", 0o755, on_musl().bytes()),
    ])
}

fn hello() -> Elf {
    Elf::program().pie().loader(LOADER).needs("libc.so.6")
}

fn on_musl() -> Elf {
    Elf::program().pie().loader("/lib/ld-musl-x86_64.so.1").needs("libc.musl-x86_64.so.1")
}

/// A project on a base (none is `scratch`) with these lines below `[image]`, and one file `app`.
fn project(base: Option<&Base>, rest: &str, app: impl AsRef<[u8]>) -> Project {
    let project = Project::new().file("app", app);
    let base = base.map_or("scratch".to_string(), |base| base.write(&project, "base"));
    project.write("image.toml", manifest(&base, rest));
    project
}

/// `check` and `build` say all of this of an error of this code, and build nothing.
#[track_caller]
fn refused(project: &Project, code: &str, says: &[&str]) {
    for command in [&["check"][..], &["build", "-o", "oci:out"], &["build", "-o", "oci-archive:out.tar"]] {
        let done = project.run(command).fails(4);
        assert!(done.stderr.contains(&format!("error[{code}]")), "{}", done.stderr);
        for words in says {
            assert!(done.stderr.contains(words), "`{words}` is not in: {}", done.stderr);
        }
    }
    assert!(!project.path("out").exists() && !project.path("out.tar").exists());
    in_sarif(project, code, "error");
}

/// SARIF has it at this level, with its line of the manifest.
#[track_caller]
fn in_sarif(project: &Project, code: &str, level: &str) {
    let log = project.run(["--format", "sarif", "check"]).ends().json();
    let results = log["runs"][0]["results"].as_array().unwrap().iter();
    let mut results = results.filter(|result| result["ruleId"] == code && result["level"] == level);
    let place = results.next().map(|result| result["locations"][0]["physicalLocation"].clone()).unwrap_or_default();
    assert_eq!(place["artifactLocation"]["uri"], "image.toml", "{code}: {log}");
    assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 1), "{code}: {log}");
}

/// It is built without a word.
#[track_caller]
fn passes(project: &Project) {
    let done = project.run(["build", "-o", "oci:out"]).success();
    assert!(!done.stderr.contains("error") && !done.stderr.contains("warning"), "{}", done.stderr);
}

/// It is built, with a warning of this code that says all of this.
#[track_caller]
fn warned(project: &Project, code: &str, says: &[&str]) {
    let done = project.run(["build", "-o", "oci:out"]).success();
    assert!(done.stderr.contains(&format!("warning[{code}]")), "{}", done.stderr);
    assert!(says.iter().all(|words| done.stderr.contains(words)), "{}", done.stderr);
    in_sarif(project, code, "warning");
}

const BINARY: &str = "[[binary]]\nsrc = \"app\"\ndest = \"/app\"\n";
const FILE: &str = "[[file]]\nsrc = \"app\"\ndest = \"/app\"\n";

#[test]
fn a_program_for_another_machine() {
    let arm = Elf::program().on(AARCH64).bytes();
    let says = [
        "linux/amd64: `app` is a program for 64-bit ARM",
        "`{{ platform.rust_target }}` (here `x86_64-unknown-linux-musl`",
    ];
    for table in [BINARY, FILE] {
        refused(&project(None, table, &arm), "wrong-machine", &says);
        passes(&project(None, table, Elf::program().bytes()));
        refused(
            &project(None, table, Elf::program().on(X86).bytes()),
            "wrong-machine",
            &["is a program for 32-bit x86"],
        );
    }
    passes(&project(None, &format!("platforms = [\"linux/arm64\"]\n{BINARY}"), &arm));
    let both = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    let each = format!("{both}[[binary]]\nsrc = \"app-{{{{ platform.arch }}}}\"\ndest = \"/app\"\n");
    let named = |amd64: Elf, arm64: Elf| {
        project(None, &each, "").file("app-amd64", amd64.bytes()).file("app-arm64", arm64.bytes())
    };
    passes(&named(Elf::program(), Elf::program().on(AARCH64)));
    let same = named(Elf::program(), Elf::program());
    refused(&same, "wrong-machine", &["linux/arm64: `app-arm64` is a program for x86-64"]);
    for (bytes, words) in [(&[0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1][..], "macOS"), (&windows(), "Windows")] {
        refused(&project(None, BINARY, bytes), "wrong-machine", &[words, "GOOS=linux"]);
        passes(&project(None, FILE, bytes));
    }
}

fn windows() -> Vec<u8> {
    let mut bytes = b"MZ".to_vec();
    bytes.resize(0x3c, 0);
    bytes.extend([0x40, 0, 0, 0]);
    bytes.extend(b"PE\0\0");
    bytes
}

#[test]
fn a_loader_that_is_not_there() {
    let says = [format!("`app` needs the loader `{LOADER}`, which is not in the image")];
    let says = [says[0].as_str(), "link it statically", "libs = \"copy\""];
    for table in [BINARY, FILE] {
        refused(&project(None, table, hello().bytes()), "missing-loader", &says);
        passes(&project(Some(&glibc(36)), table, hello().bytes()));
    }
    refused(&project(Some(&musl()), BINARY, hello().bytes()), "missing-loader", &["the base has musl"]);
    refused(&project(Some(&glibc(36)), BINARY, on_musl().bytes()), "missing-loader", &["the base has glibc"]);
    passes(&project(Some(&musl()), BINARY, on_musl().bytes()));
    let arm =
        Base::of([dir("lib64"), bytes("lib64/ld-linux-x86-64.so.2", 0o755, Elf::library("ld").on(AARCH64).bytes())]);
    refused(&project(Some(&arm), BINARY, hello().bytes()), "missing-loader", &["which is for 64-bit ARM"]);
    // The image's own files count, and what it removes does not.
    let own = format!("{BINARY}[[file]]\nsrc = \"ld\"\ndest = \"{LOADER}\"\n");
    passes(&project(None, &own, Elf::program().loader(LOADER).bytes()).file("ld", Elf::library("ld.so").bytes()));
    let removed = format!("{BINARY}[[remove]]\ndest = \"/usr/lib64/ld-linux-x86-64.so.2\"\n");
    refused(&project(Some(&glibc(36)), &removed, hello().bytes()), "missing-loader", &says[..1]);
}

#[test]
fn a_library_that_is_not_there() {
    let app = hello().needs("libx.so.1").runpath("$ORIGIN/lib:/opt/x");
    let says = ["`app` needs `libx.so.1`, which its loader does not find in the image", "take a base that has it"];
    refused(&project(Some(&glibc(36)), BINARY, app.bytes()), "missing-library", &says);
    let with = |path: &str, library: Elf| glibc(36).layer([bytes(path, 0o644, library.bytes())]);
    for path in ["lib/libx.so.1", "opt/x/libx.so.1", "usr/lib/x86_64-linux-gnu/libx.so.1"] {
        passes(&project(Some(&with(path, Elf::library("libx.so.1"))), BINARY, app.bytes()));
    }
    let wrong = with("opt/x/libx.so.1", Elf::library("libx.so.1").on(X86));
    refused(&project(Some(&wrong), BINARY, app.bytes()), "missing-library", &["`/opt/x/libx.so.1` is for 32-bit x86"]);
    let deep = with("opt/x/libx.so.1", Elf::library("libx.so.1").needs("liby.so"));
    let says = ["`/opt/x/libx.so.1`, which `app` needs, needs `liby.so`"];
    refused(&project(Some(&deep), BINARY, app.bytes()), "missing-library", &says);
    // The environment of the image, its own files, and links of them.
    let app = hello().needs("libx.so.1").bytes();
    let elsewhere = format!(
        "{BINARY}[[file]]\nsrc = \"x\"\ndest = \"/srv/x/libx.so.1.2\"\n[[symlink]]\ndest = \"/srv/x/libx.so.1\"\ntarget = \"libx.so.1.2\"\n"
    );
    let own = |rest: &str| {
        project(Some(&glibc(36)), &format!("{elsewhere}{rest}"), &app).file("x", Elf::library("libx.so.1").bytes())
    };
    refused(&own(""), "missing-library", &["`app` needs `libx.so.1`"]);
    passes(&own("[env]\nLD_LIBRARY_PATH = \"/srv/x\"\n"));
    let configured = "[[file]]\ndest = \"/etc/ld.so.conf\"\ncontent = \"include /etc/ld.so.conf.d/*.conf\"\n[[file]]\ndest = \"/etc/ld.so.conf.d/x.conf\"\ncontent = \"/srv/x\\n\"\n";
    warned(&own(configured), "odd-program", &["`/srv/x/libx.so.1` only through `/etc/ld.so.conf`", "ldconfig"]);
    let cache = crate::support::elf::cache(&[("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6")], false);
    let stale = glibc(36).layer([bytes("etc/ld.so.cache", 0o644, cache)]);
    let stale =
        project(Some(&stale), &format!("{elsewhere}{configured}"), &app).file("x", Elf::library("libx.so.1").bytes());
    refused(&stale, "missing-library", &["`/srv/x/libx.so.1` is there, but `/etc/ld.so.cache` does not list it"]);
}

#[test]
fn a_glibc_that_is_too_old() {
    let app = hello().wants("libc.so.6", &["GLIBC_2.4", "GLIBC_2.38"]).bytes();
    let says =
        ["`app` wants GLIBC_2.38, the image has 2.36", "build it on a system as old as the base", "take a newer base"];
    refused(&project(Some(&glibc(36)), BINARY, &app), "library-version", &says);
    passes(&project(Some(&glibc(38)), BINARY, &app));
    passes(&project(Some(&glibc(36)), BINARY, hello().wants("libc.so.6", &["GLIBC_2.36", "?GLIBC_2.38"]).bytes()));
    let library = Elf::library("libstdc++.so.6").defines(&["GLIBCXX_3.4.29", "GLIBCXX_3.4.30", "CXXABI_1.3"]);
    let base = glibc(36).layer([bytes("usr/lib/libstdc++.so.6", 0o644, library.bytes())]);
    let cxx = |version: &str| hello().needs("libstdc++.so.6").wants("libstdc++.so.6", &[version]).bytes();
    let says = ["`app` wants GLIBCXX_3.4.32, the image has 3.4.30 (`/lib/libstdc++.so.6`)"];
    refused(&project(Some(&base), BINARY, cxx("GLIBCXX_3.4.32")), "library-version", &says);
    passes(&project(Some(&base), BINARY, cxx("GLIBCXX_3.4.30")));
}

#[test]
fn an_interpreter_that_is_not_there() {
    let check = |text: &str, says: &[&str]| {
        for table in [BINARY, FILE] {
            let project = project(Some(&glibc(36)), table, text);
            if says.is_empty() { passes(&project) } else { refused(&project, "missing-interpreter", says) }
        }
    };
    check("#!/bin/sh\n", &[]);
    check("#!/bin/bash\n", &["`app` is run by `/bin/bash`, which is not in the image", "name one that the image has"]);
    check("#!/bin/sh\r\n", &["line feeds alone"]);
    check("#!/usr/bin\n", &["`/usr/bin`, which is not in the image"]);
    check("#!/usr/bin/data\n", &["nobody may execute", "mode is 0644"]);
    check("#!\n", &["names no interpreter"]);
    check("#!/usr/bin/env sh\n", &[]);
    check("#!/usr/bin/env -S sh -e\n", &[]);
    check("#!/usr/bin/env python3\n", &["`app` is run by `python3`, which `env` does not find in the image"]);
    check(
        "#!/usr/bin/env sh -e\n",
        &["`sh -e`, which `env` takes for the name of one program", "`#!/usr/bin/env -S sh -e`"],
    );
    passes(&project(Some(&glibc(36)), "[[file]]\ndest = \"/app\"\ncontent = \"#!/bin/sh\\n\"\n", ""));
    let inline = project(None, "[[file]]\ndest = \"/app\"\ncontent = \"#!/bin/sh\\n\"\n", "");
    refused(&inline, "missing-interpreter", &["`/app` is run by `/bin/sh`"]);
}

#[test]
fn what_is_copied_along_is_told_and_not_refused() {
    let tree = |name: &str, content: &[u8]| {
        project(Some(&glibc(36)), "[[file]]\nsrc = \"tree\"\ndest = \"/srv/\"\n", "")
            .file(&format!("tree/{name}"), content)
    };
    let library = Elf::library("x.so").on(AARCH64).bytes();
    let two = tree("x.so", &library).file("tree/deep/y.so", &library);
    warned(
        &two,
        "wrong-machine",
        &["`tree/deep/y.so` is a library for 64-bit ARM; the same goes for `/srv/x.so`", "`exclude`"],
    );
    warned(&tree("run", b"#!/bin/bash\n"), "missing-interpreter", &["`tree/run` is run by `/bin/bash`"]);
    warned(
        &tree("x.so", &Elf::library("x.so").needs("libpython.so").needs("libc.so.6").bytes()),
        "missing-library",
        &["`libpython.so`"],
    );
    refused(
        &tree("tool", &Elf::program().on(AARCH64).bytes()),
        "wrong-machine",
        &["`tree/tool` is a program for 64-bit ARM"],
    );
    passes(&tree("x.so", &Elf::library("x.so").needs("libc.so.6").bytes()));
    passes(&tree("a.o", &Elf::program().on(AARCH64).kind(1).bytes()));
    // The manifest can say so of some paths.
    let tree = "[[file]]\nsrc = \"tree\"\ndest = \"/srv/\"\n[check]\nroot-user = \"allow\"\n";
    let allow =
        format!("{tree}wrong-machine = {{ level = \"allow\", reason = \"cross tools\", paths = [\"/srv/arm/**\"] }}\n");
    let allowed = project(None, &allow, "").file("tree/arm/tool", Elf::program().on(AARCH64).bytes());
    let done = allowed.run(["build"]).success();
    assert!(done.stderr.contains("cross tools") && !done.stderr.contains("warning"), "{}", done.stderr);
    allowed.write("tree/other", Elf::program().on(AARCH64).bytes());
    refused(&allowed, "wrong-machine", &["`tree/other` is a program"]);
    let deny = project(None, &format!("{tree}wrong-machine = \"deny\"\n"), "").file("tree/x.so", &library);
    refused(&deny, "wrong-machine", &["`tree/x.so` is a library"]);
}

#[test]
fn programs_of_the_base_are_told_of_once() {
    let base = glibc(36).layer([
        bytes("usr/bin/one", 0o755, hello().needs("libgone.so").bytes()),
        bytes("usr/bin/two", 0o755, hello().needs("libgone.so").bytes()),
        bytes("usr/bin/idle", 0o644, hello().needs("libgone.so").bytes()),
        bytes("usr/share/three", 0o755, hello().needs("libgone.so").bytes()),
        bytes("usr/share/run", 0o755, b"#!/bin/gone\n".to_vec()),
    ]);
    let says = ["`/usr/bin/one` needs `libgone.so`", "; the same goes for `/usr/bin/two`\n"];
    warned(&project(Some(&base), "[[dir]]\ndest = \"/x\"\n", ""), "missing-library", &says);
    let wrong = Base::of([dir("bin"), bytes("bin/sh", 0o755, Elf::program().on(AARCH64).bytes())]);
    warned(
        &project(Some(&wrong), "[[dir]]\ndest = \"/x\"\n", ""),
        "wrong-machine",
        &["linux/amd64: `/bin/sh` is a program for 64-bit ARM"],
    );
    passes(&project(Some(&glibc(36)), "[[dir]]\ndest = \"/x\"\n", ""));
}

#[test]
fn what_the_image_starts_is_there() {
    let start = |words: &str, rest: &str| {
        project(Some(&glibc(36)), &format!("entrypoint = [{words}]\n{rest}"), hello().bytes())
    };
    passes(&start("\"/app\"", BINARY));
    let says = ["the image starts `/ap`, which is not in it", "did you mean `/app`?"];
    refused(&start("\"/ap\"", BINARY), "entrypoint", &says);
    let says = ["`/usr/local/bin/server`, which is not in it", "`[[binary]]` puts into the image is `/app`"];
    refused(&start("\"/usr/local/bin/server\"", BINARY), "entrypoint", &says);
    refused(&start("\"/usr/bin\"", BINARY), "entrypoint", &["`/usr/bin`, which is a directory"]);
    refused(&start("\"/bin/data\"", BINARY), "entrypoint", &["may not execute `/bin/data`: its mode is 0644"]);
    let dangling = format!("{BINARY}[[symlink]]\ndest = \"/run/app\"\ntarget = \"/gone\"\n");
    refused(&start("\"/run/app\"", &dangling), "entrypoint", &["`/run/app`, which is not in it"]);
    let linked = format!("{BINARY}[[symlink]]\ndest = \"/run/app\"\ntarget = \"../app\"\n");
    passes(&start("\"/run/app\"", &linked));
    // Names are looked for in `PATH`, paths in the working directory.
    passes(&start("\"sh\", \"-c\"", BINARY));
    let says = ["`app`, which is in none of the directories of `PATH`", "write its path, `/app`"];
    refused(&start("\"app\"", BINARY), "entrypoint", &says);
    passes(&start("\"app\"", &format!("{BINARY}[env]\nPATH = \"/usr/bin:/\"\n")));
    passes(&start("\"./app\"", BINARY));
    let elsewhere = "workdir = \"/srv\"\n[[binary]]\nsrc = \"app\"\ndest = \"/srv/app\"\n";
    passes(&start("\"./app\"", elsewhere));
    refused(&start("\"./bin/app\"", elsewhere), "entrypoint", &["`./bin/app`, which is not in it"]);
    // Without an entrypoint the command is it.
    passes(&project(Some(&glibc(36)), "cmd = [\"sh\"]\n", ""));
    refused(&project(Some(&glibc(36)), "cmd = [\"bash\"]\n", ""), "entrypoint", &["the image starts `bash`"]);
    passes(&start("\"/app\"", &format!("cmd = [\"--serve\"]\n{BINARY}")));
    // What it starts is looked at wherever it comes from.
    let odd =
        project(None, "entrypoint = [\"/app\"]\n[[file]]\nsrc = \"app\"\ndest = \"/app\"\nmode = \"0755\"\n", "data");
    warned(&odd, "odd-program", &["`/app`, which is neither an ELF program nor a script"]);
    let tree = "entrypoint = [\"/srv/run\"]\n[[file]]\nsrc = \"tree\"\ndest = \"/srv/\"\n";
    let script = project(Some(&glibc(36)), tree, "").file("tree/run", "#!/bin/bash\n");
    refused(&script, "missing-interpreter", &["`tree/run` is run by `/bin/bash`"]);
    let broken = glibc(36).layer([bytes("usr/bin/tool", 0o755, hello().needs("libgone.so").bytes())]);
    refused(
        &project(Some(&broken), "entrypoint = [\"tool\"]\n", ""),
        "missing-library",
        &["`/usr/bin/tool` needs `libgone.so`"],
    );
}

#[test]
fn the_user_may_start_it() {
    let start = |rest: &str, app: &str| {
        let text = format!("user = \"1000:1000\"\nentrypoint = [\"/srv/app\"]\n{rest}");
        project(Some(&glibc(36)), &text, app)
    };
    let file = |keys: &str| format!("[[file]]\nsrc = \"app\"\ndest = \"/srv/app\"\n{keys}");
    passes(&start(&file(""), "#!/bin/sh\n"));
    let says = [
        "the image's user 1000:1000 may not execute `/srv/app`: its mode is 0644, its owner 0:0",
        "say `mode = \"0755\"` in its `[[file]]`",
    ];
    refused(&start(&file("mode = \"0644\"\n"), "#!/bin/sh\n"), "entrypoint", &says);
    let data = ["neither an ELF header nor `#!`, so it got the mode of data"];
    refused(&start(&file(""), "echo hello\n"), "entrypoint", &data);
    refused(&start(&file("mode = \"0750\"\n"), "#!/bin/sh\n"), "entrypoint", &["its mode is 0750, its owner 0:0"]);
    passes(&start(&file("mode = \"0750\"\nowner = \"1000:0\"\n"), "#!/bin/sh\n"));
    passes(&start(&file("mode = \"0750\"\nowner = \"0:1000\"\n"), "#!/bin/sh\n"));
    // The first of owner, group and others that fits decides.
    refused(&start(&file("mode = \"0055\"\nowner = \"1000:0\"\n"), "#!/bin/sh\n"), "entrypoint", &["its mode is 0055"]);
    let closed = format!("{}[[dir]]\ndest = \"/srv\"\nmode = \"0700\"\n", file(""));
    refused(
        &start(&closed, "#!/bin/sh\n"),
        "entrypoint",
        &["may not enter `/srv` on the way to `/srv/app`: its mode is 0700"],
    );
    let mine = format!("{}[[dir]]\ndest = \"/srv\"\nmode = \"0700\"\nowner = \"1000\"\n", file(""));
    passes(&start(&mine, "#!/bin/sh\n"));
    // Root may enter everything, and execute what anybody may.
    let root = |mode: &str| {
        let text = format!(
            "entrypoint = [\"/srv/app\"]\n{}[[dir]]\ndest = \"/srv\"\nmode = \"0000\"\n",
            file(&format!("mode = \"{mode}\"\n"))
        );
        project(Some(&glibc(36)), &text, "#!/bin/sh\n")
    };
    passes(&root("0010"));
    refused(&root("0666"), "entrypoint", &["the image's user root may not execute"]);
    // A lone number has the groups of the accounts.
    let member = "user = \"1000\"\nentrypoint = [\"/srv/app\"]\n[[user]]\nname = \"app\"\nuid = 1000\n[[group]]\nname = \"staff\"\ngid = 50\nmembers = [\"app\"]\n";
    let owned = format!("{member}{}", file("mode = \"0750\"\nowner = \"0:50\"\n"));
    passes(&project(Some(&glibc(36)), &owned, "#!/bin/sh\n"));
    let other = owned.replace("0:50", "0:51");
    refused(&project(Some(&glibc(36)), &other, "#!/bin/sh\n"), "entrypoint", &["its owner 0:51"]);
}

#[test]
fn what_the_base_starts_is_only_told_of() {
    let started = |path: &str| glibc(36).config(serde_json::json!({"Entrypoint": [path]}));
    passes(&project(Some(&started("/bin/sh")), "[[dir]]\ndest = \"/x\"\n", ""));
    warned(
        &project(Some(&started("/bin/bash")), "[[dir]]\ndest = \"/x\"\n", ""),
        "entrypoint",
        &["`/bin/bash`, which is not in it"],
    );
    passes(&project(Some(&started("/bin/bash")), "entrypoint = [\"sh\"]\n", ""));
    let strict = "[[dir]]\ndest = \"/x\"\n[check]\nroot-user = \"allow\"\nentrypoint = \"deny\"\n";
    refused(&project(Some(&started("/bin/bash")), strict, ""), "entrypoint", &["`/bin/bash`"]);
}

#[test]
fn files_that_are_no_programs_are_not_judged() {
    for content in ["", "text", "MZ text", "\u{feff}#!/bin/sh"] {
        passes(&project(None, BINARY, content));
    }
    warned(&project(None, BINARY, "\x7fELF server"), "odd-program", &["`app` begins as an ELF file, but its class"]);
    warned(&project(None, BINARY, Elf::program().kind(1).bytes()), "odd-program", &["an object file"]);
}

/// The compiler of this machine makes a program that this machine's kernel and loader take; so do we.
#[test]
fn a_program_of_the_compiler_is_read() {
    use stillframe::facts::programs::{Linked, Nature, read};
    let project = Project::of(&rooted("schema = 1\n")).file("hello.c", "int main(void) { return 0; }\n");
    let made =
        std::process::Command::new("cc").args(["-o", "hello", "hello.c"]).current_dir(project.path(".")).output();
    assert!(made.unwrap().status.success());
    let bytes = std::fs::read(project.path("hello")).unwrap();
    let Some(Nature::Program(program)) = read(bytes.as_slice()) else { panic!("it is no program") };
    assert_eq!((program.linked(), program.is_program()), (Linked::Dynamic, true));
    assert!(std::path::Path::new(program.loader.as_deref().unwrap()).exists());
    assert!(program.needed.iter().any(|name| name.starts_with("libc.")), "{:?}", program.needed);
    let arch = match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        other => panic!("which platform is {other}?"),
    };
    assert_eq!(program.machine.suits(&arch.parse().unwrap()), Some(true));
    project.brought();
}

#[test]
fn the_finding_stands_at_its_line_in_machine_form() {
    let project = project(None, BINARY, hello().bytes());
    let done = project.run(["--format", "json", "check"]).fails(4);
    assert_eq!(done.findings(), ["missing-loader 5:7"]);
}

/// A project on `scratch` whose program takes its libraries from this image.
fn copying(from: &Base, rest: &str, app: &Elf) -> Project {
    let project = Project::new().file("app", app.bytes());
    let from = from.write(&project, "root");
    let text = format!("entrypoint = [\"/app\"]\n{BINARY}libs = \"copy\"\nlibs-from = \"{from}\"\n{rest}");
    project.write("image.toml", manifest("scratch", &text));
    project
}

#[test]
fn a_program_brings_its_libraries_along() {
    let x = Elf::library("libx.so.1").needs("liby.so").needs("libc.so.6");
    let root = glibc(36).layer([
        bytes("usr/lib/libx.so.1.2.3", 0o644, x.bytes()),
        link("usr/lib/libx.so.1", "libx.so.1.2.3"),
        bytes("usr/lib/x86_64-linux-gnu/liby.so", 0o644, Elf::library("liby.so").bytes()),
        bytes("usr/lib/libunused.so", 0o644, Elf::library("libunused.so").bytes()),
    ]);
    let app = hello().needs("libx.so.1").wants("libc.so.6", &["GLIBC_2.34"]);
    let project = copying(&root, "", &app);
    passes(&project);
    let image = project.layout("out").image();
    assert_eq!(image.layer_names(), ["imports", "binaries"]);
    let files: Vec<String> = image.listing().into_iter().filter(|line| line.starts_with('f')).collect();
    let expect = [
        "f 0755 0:0 app",
        "f 0755 0:0 lib/libx.so.1",
        "f 0755 0:0 lib/x86_64-linux-gnu/libc.so.6",
        "f 0755 0:0 lib/x86_64-linux-gnu/liby.so",
        "f 0755 0:0 lib64/ld-linux-x86-64.so.2",
    ];
    let mut found = files.clone();
    found.sort();
    assert_eq!(found, expect);
    assert_eq!(image.entry("lib/libx.so.1").content, x.bytes());
    // The same again, without the image that they were taken from.
    std::fs::remove_dir_all(project.path("root")).unwrap();
    let digest = image_digest(&project);
    assert_eq!(project.run(["--offline", "build", "-o", "oci:again"]).success().digest(), digest);
    // The origin is told.
    let origin = project.run(["--format", "json", "plan"]).ends().json();
    assert!(origin["images"][0]["layers"][0]["name"] == "imports", "{origin}");
}

fn image_digest(project: &Project) -> String {
    project.layout("out").digest()
}

#[test]
fn libraries_that_cannot_be_brought_are_told() {
    let app = hello().needs("libx.so.1");
    let says = ["`app` needs `libx.so.1`", "the image of `libs-from` does not have it either"];
    refused(&copying(&glibc(36), "", &app), "missing-library", &says);
    // What the manifest itself puts there counts.
    let own = "[[file]]\nsrc = \"x\"\ndest = \"/usr/lib/libx.so.1\"\n";
    passes(&copying(&glibc(36), own, &app).file("x", Elf::library("libx.so.1").bytes()));
    let old = hello().wants("libc.so.6", &["GLIBC_2.38"]);
    refused(&copying(&glibc(36), "", &old), "library-version", &["`app` wants GLIBC_2.38, the image has 2.36"]);
    passes(&copying(&glibc(38), "", &old));
    let says = [
        "`app` needs the loader `/lib64/ld-linux-x86-64.so.2`, which `oci:root@sha256:",
        "take an image with the C library",
    ];
    refused(&copying(&musl(), "", &hello()), "libs", &says);
    passes(&copying(&musl(), "", &on_musl()));
    // Mistakes of the manifest.
    let wrong = |text: &str, says: &str| {
        let project = Project::new().file("app", hello().bytes()).file("static", program(false)).file("text", "text");
        let from = glibc(36).write(&project, "root");
        project.write("image.toml", manifest("scratch", &text.replace("ROOT", &from)));
        let done = project.run(["check"]).fails(2);
        assert!(done.stderr.contains(says), "{}", done.stderr);
    };
    wrong(&format!("{BINARY}libs = \"copy\"\n"), "`libs = \"copy\"` needs `libs-from`");
    wrong(&format!("{BINARY}libs-from = \"ROOT\"\n"), "`libs-from` has no meaning without `libs`");
    wrong(&format!("{BINARY}libs = \"host\"\nlibs-from = \"ROOT\"\n"), "`libs` cannot be `host`");
    wrong(&format!("{BINARY}libs = \"copy\"\nlibs-from = \"scratch\"\n"), "`scratch` is no image");
    wrong(&format!("{BINARY}libs = \"copy\"\nlibs-from = \"debian:bookworm\"\n"), "lacks its digest");
    wrong(&format!("{BINARY}link = \"static\"\nlibs = \"copy\"\nlibs-from = \"ROOT\"\n"), "has no libraries");
    let of =
        |name: &str| format!("[[binary]]\nsrc = \"{name}\"\ndest = \"/app\"\nlibs = \"copy\"\nlibs-from = \"ROOT\"\n");
    wrong(&of("static"), "`static` is linked statically, it has no libraries to copy");
    wrong(&of("text"), "`text` is no ELF program");
    wrong(&of("gone"), "`gone` does not exist");
}

#[test]
fn libraries_of_two_images_are_not_mixed() {
    let project = Project::new().file("app", hello().bytes());
    let (base, from) = (glibc(36).write(&project, "base"), glibc(38).write(&project, "root"));
    project.write("image.toml", manifest(&base, &format!("{BINARY}libs = \"copy\"\nlibs-from = \"{from}\"\n")));
    let done = project.run(["check"]).fails(2);
    assert!(done.stderr.contains("`libs = \"copy\"` would replace `/usr/lib"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("error[base-conflict]").count(), 1, "{}", done.stderr);
    // Two programs share what they bring along from one image.
    let two = |one: &Base, other: &Base| {
        let project = Project::new().file("app", hello().bytes());
        let (one, other) = (one.write(&project, "one"), other.write(&project, "other"));
        let binary = |dest: &str, from: &str| {
            format!("[[binary]]\nsrc = \"app\"\ndest = \"{dest}\"\nlibs = \"copy\"\nlibs-from = \"{from}\"\n")
        };
        project.write("image.toml", manifest("scratch", &(binary("/a", &one) + &binary("/b", &other))));
        project
    };
    let shared = two(&glibc(36), &glibc(36));
    passes(&shared);
    assert_eq!(shared.layout("out").image().listing().iter().filter(|line| line.ends_with("libc.so.6")).count(), 1);
    let done = two(&glibc(36), &glibc(38)).run(["check"]).fails(2);
    assert!(done.stderr.contains("libc.so.6` is written twice"), "{}", done.stderr);
}

#[test]
fn a_library_that_only_the_cache_lists_comes_with_the_cache() {
    let entries = [("libx.so", "/opt/x/libx.so"), ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6")];
    let root = glibc(36).layer([
        bytes("opt/x/libx.so", 0o644, Elf::library("libx.so").bytes()),
        bytes("etc/ld.so.cache", 0o644, crate::support::elf::cache(&entries, false)),
    ]);
    let with = copying(&root, "", &hello().needs("libx.so"));
    passes(&with);
    let listing = with.layout("out").image().listing().join("\n");
    assert!(listing.contains("opt/x/libx.so") && listing.contains("etc/ld.so.cache"), "{listing}");
    let without = copying(&root, "", &hello());
    passes(&without);
    assert!(!without.layout("out").image().listing().join("\n").contains("ld.so.cache"));
}
